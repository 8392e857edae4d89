//! `potluck ls`

use clap::builder::BoolishValueParser;
use potluck_api::{Command, DownloadInfo, Reply, ShareInfo, ShareKind, Shares};
use potluck_base::Bytes;

use super::{Context, ask};
use crate::error::{CliError, unexpected};
use crate::show::networks;
use crate::ui::table::Table;
use crate::ui::{Ui, shown, shown_path};

/// What to type after `ls`.
#[derive(Debug, clap::Args)]
pub(crate) struct LsArgs {
    /// Show the tickets instead of the sizes
    #[arg(short, long, env = "POTLUCK_TICKETS", value_parser = BoolishValueParser::new())]
    tickets: bool,
}

/// Lists what is shared and what is not finished.
pub(crate) async fn run(args: LsArgs, context: &Context) -> Result<(), CliError> {
    let ui = &context.ui;
    let (reply, is_running) = ask(context, Command::Ls).await?;
    if ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Shares(Shares { shares, downloads }) = &reply else {
        return Err(unexpected(&reply));
    };
    if args.tickets {
        return show_tickets(ui, shares);
    }
    if !shares.is_empty() {
        show_shares(ui, shares)?;
    }
    if !downloads.is_empty() {
        show_downloads(ui, downloads)?;
    }
    match (shares.is_empty(), downloads.is_empty(), is_running) {
        (true, true, _) => ui.note("Nothing is shared; \"potluck share PATH\" does."),
        (false, _, false) => {
            ui.note("No node is running; \"potluck daemon start\" would serve these.");
        }
        _ => {}
    }
    Ok(())
}

fn show_tickets(ui: &Ui, shares: &[ShareInfo]) -> Result<(), CliError> {
    let mut table = Table::new(&["ID", "NAME", "TICKET"], &[]);
    for share in shares {
        table.row(vec![share.id.short(), shown(&share.name), share.ticket.clone()]);
    }
    print(ui, &table)
}

fn show_shares(ui: &Ui, shares: &[ShareInfo]) -> Result<(), CliError> {
    let headings = ["ID", "KIND", "FILES", "SIZE", "RECEIVED", "LISTED IN", "FOR", "NAME", "FROM"];
    let mut table = Table::new(&headings, &[2, 3, 4]);
    for share in shares {
        let from = match share.paths.as_slice() {
            [path] => shown_path(path),
            paths => format!("{} paths", paths.len()),
        };
        table.row(vec![
            share.id.short(),
            kind(share.kind).to_owned(),
            share.files.to_string(),
            Bytes(share.bytes).to_string(),
            share.receivers_done.to_string(),
            listed_in(share),
            networks::audience(&share.audience),
            shown(&share.name),
            from,
        ]);
    }
    print(ui, &table)
}

fn listed_in(share: &ShareInfo) -> String {
    match share.networks.as_slice() {
        [] => "-".to_owned(),
        listed => networks::names(listed),
    }
}

fn show_downloads(ui: &Ui, downloads: &[DownloadInfo]) -> Result<(), CliError> {
    let mut table = Table::new(&["ID", "STATE", "DONE", "SIZE", "NAME", "TO"], &[2, 3]);
    for download in downloads {
        let state = if download.running { "fetching" } else { "stopped" };
        table.row(vec![
            download.id.short(),
            state.to_owned(),
            percent(download.done, download.total),
            Bytes(download.total).to_string(),
            shown(&download.name),
            shown_path(&download.target),
        ]);
    }
    print(ui, &table)
}

fn print(ui: &Ui, table: &Table) -> Result<(), CliError> {
    for line in table.lines() {
        ui.out(&line)?;
    }
    Ok(())
}

/// A word for the kind of a share.
pub(crate) fn kind(kind: ShareKind) -> &'static str {
    match kind {
        ShareKind::File => "file",
        ShareKind::Folder => "folder",
    }
}

/// How much is done; never 100 % before all of it is.
fn percent(done: u64, total: u64) -> String {
    let whole = u128::from(done) * 100 / u128::from(total.max(1));
    format!("{}%", if total == 0 { 100 } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_at_a_hundred_percent_only_when_it_is_complete() {
        assert_eq!(percent(0, 1000), "0%");
        assert_eq!(percent(999, 1000), "99%");
        assert_eq!(percent(u64::MAX, u64::MAX), "100%");
        assert_eq!(percent(0, 0), "100%");
    }
}
