//! `potluck get WHAT [-o WHERE]`: a ticket, or a name or an id that a network knows.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use potluck_api::{
    ApiError, Command, ErrorKind, GetCommand, GetResult, Listing, ListingEntry, ListingKind,
    OnExists, Reply,
};
use potluck_base::{Bytes, Rate, limits};

use super::{Context, choose, secret};
use crate::door::{Door, Purpose};
use crate::error::{CliError, unexpected};
use crate::suggest::{
    looks_like_invite, looks_like_outside, looks_like_ticket, looks_like_tracker,
};
use crate::ui::progress::Meter;
use crate::ui::table::Table;
use crate::ui::{Ui, counted, shown, spoken};

/// Files that cannot be had and are named one by one.
const MISSING_SHOWN: usize = 20;

/// What to type after `get`.
#[derive(Debug, clap::Args)]
pub(crate) struct GetArgs {
    /// A ticket, a name or an id; "-" reads it from standard input
    #[arg(env = "POTLUCK_TICKET", hide_env_values = true, value_name = "WHAT")]
    what: Option<String>,
    /// A folder to put it into, or the new name of the file or folder itself [default: here]
    #[arg(short, long, env = "POTLUCK_OUTPUT", value_name = "WHERE")]
    output: Option<PathBuf>,
    /// Fetch only paths that match; can be given more than once
    #[arg(short, long, env = "POTLUCK_SELECT", value_name = "GLOB", value_delimiter = '\n')]
    select: Vec<String>,
    /// Only list what is in it
    #[arg(short, long, env = "POTLUCK_LIST", value_parser = BoolishValueParser::new())]
    #[arg(conflicts_with_all = ["output", "select", "overwrite", "rename", "give_up"])]
    list: bool,
    /// Replace files that are in the way, once the new ones are complete
    #[arg(long, env = "POTLUCK_OVERWRITE", value_parser = BoolishValueParser::new())]
    #[arg(conflicts_with = "rename")]
    overwrite: bool,
    /// Keep what is in the way, and call the new one NAME (2)
    #[arg(long, env = "POTLUCK_RENAME", value_parser = BoolishValueParser::new())]
    rename: bool,
    /// Give up after so many seconds without progress, instead of waiting for a provider
    #[arg(long, env = "POTLUCK_GIVE_UP", value_name = "SECONDS")]
    give_up: Option<u64>,
    /// Look for the name or the id, and for more providers, in this network only
    #[arg(short, long, env = "POTLUCK_NETWORK", value_name = "NETWORK")]
    network: Option<String>,
    /// Do not share it with the network afterwards
    #[arg(long, env = "POTLUCK_NO_SHARE", value_parser = BoolishValueParser::new())]
    no_share: bool,
    /// Take it without asking from a provider for which nobody vouches
    #[arg(long, env = "POTLUCK_UNVERIFIED", value_parser = BoolishValueParser::new())]
    unverified: bool,
}

/// Fetches or lists what a ticket, a name or an id stands for.
pub(crate) async fn run(args: GetArgs, context: &Context) -> Result<(), CliError> {
    let what = args.what()?;
    let output = args.output()?;
    let mut door = Door::open(context, Purpose::Work).await?;
    // Whoever types the place of a file without key has seen whose it is.
    let found = if looks_like_ticket(&what) || looks_like_outside(&what) {
        Ok((what, args.network.clone()))
    } else {
        let network = args.network.as_deref();
        choose::find(&mut door, &what, network, args.unverified, context).await.map(|candidate| {
            let network = candidate.network.id.to_string();
            (candidate.ticket, Some(network))
        })
    };
    match found {
        Ok((ticket, network)) => {
            let is_list = args.list;
            let command = args.into_command(ticket, network, output);
            fetch(door, command, is_list, context).await
        }
        Err(error) => {
            door.close().await;
            Err(error)
        }
    }
}

async fn fetch(
    mut door: Door<'_>,
    command: Command,
    is_list: bool,
    context: &Context,
) -> Result<(), CliError> {
    let mut meter = Meter::new(&context.ui);
    let result = door.run(command, |event| meter.event(&event)).await;
    // What is here is recorded before the person reads how to go on.
    meter.status("finishing");
    door.close().await;
    let so_far = meter.progress().map(|p| (p.done, p.total));
    let output = meter.finish();
    let reply = match result {
        Err(error) if error.kind == ErrorKind::Interrupted && !is_list => {
            return Err(interrupted(error, so_far).into());
        }
        result => result?,
    };
    output?;
    show(&reply, &context.ui)
}

impl GetArgs {
    /// The ticket, the name or the id.
    fn what(&self) -> Result<String, ApiError> {
        let Some(what) = secret(self.what.as_deref(), "ticket", limits::TICKET_CHARS)? else {
            return Err(ApiError::usage("nothing is named")
                .hint("\"potluck get WHAT\", \"potluck get -\", or POTLUCK_TICKET"));
        };
        if looks_like_invite(&what) {
            return Err(ApiError::usage("this is an invite, not a ticket")
                .hint("\"potluck join INVITE\" enters its network"));
        }
        if looks_like_tracker(&what) {
            return Err(ApiError::usage("this is the ticket of a tracker, not of a content")
                .hint("\"potluck network create NAME --tracker TICKET\" makes a network there"));
        }
        match what.trim() {
            "" => Err(ApiError::usage("nothing is named")
                .hint("\"potluck get WHAT\", \"potluck get -\", or POTLUCK_TICKET")),
            what => Ok(what.to_owned()),
        }
    }

    fn output(&self) -> Result<PathBuf, ApiError> {
        let output = self.output.clone().unwrap_or_else(|| PathBuf::from("."));
        std::path::absolute(&output).map_err(|error| {
            ApiError::usage(format!("{} is no path", output.display())).because(&error)
        })
    }

    fn into_command(self, ticket: String, network: Option<String>, output: PathBuf) -> Command {
        if self.list {
            return Command::List { ticket };
        }
        let on_exists = match (self.overwrite, self.rename) {
            (true, _) => OnExists::Overwrite,
            (false, true) => OnExists::Rename,
            (false, false) => OnExists::Refuse,
        };
        Command::Get(GetCommand {
            ticket,
            output: Some(output),
            selection: self.select,
            on_exists,
            give_up_after_s: self.give_up,
            network,
            no_share: self.no_share,
        })
    }
}

/// What to tell who stopped a download.
fn interrupted(error: ApiError, so_far: Option<(u64, u64)>) -> ApiError {
    let message = match so_far {
        Some((done, total)) => {
            format!("{}; {} of {} are here", error.message, Bytes(done), Bytes(total))
        }
        None => error.message.clone(),
    };
    ApiError { message, ..error }.hint("run the same command again to continue")
}

fn show(reply: &Reply, ui: &Ui) -> Result<(), CliError> {
    let is_json = ui.json_reply(reply)?;
    match reply {
        Reply::Listing(listing) if !is_json => show_listing(listing, ui),
        Reply::Got(got) => {
            if !is_json {
                show_result(got, ui)?;
            }
            // What is there is right, but it is not everything.
            if got.missing.is_empty() { Ok(()) } else { Err(CliError::Told(ErrorKind::Corrupt)) }
        }
        Reply::Listing(_) => Ok(()),
        _ => Err(unexpected(reply)),
    }
}

fn show_result(got: &GetResult, ui: &Ui) -> Result<(), CliError> {
    for failure in got.missing.iter().take(MISSING_SHOWN) {
        ui.warn(&format!("{} is missing: {}", shown(&failure.path), shown(&failure.why)));
    }
    if got.missing.len() > MISSING_SHOWN {
        let more = got.missing.len() - MISSING_SHOWN;
        ui.warn(&format!("{} more are missing; --json names all", counted(more as u64, "file")));
    }
    ui.note(&summary(got));
    Ok(ui.out_path(&got.path)?)
}

fn summary(got: &GetResult) -> String {
    let elapsed = Duration::from_millis(got.elapsed_ms);
    let mut text = format!("{}, {}", counted(got.files, "file"), Bytes(got.bytes));
    if got.resumed_bytes > 0 {
        text += &format!(" ({} were here already)", Bytes(got.resumed_bytes));
    }
    text += &format!(" in {}", spoken(elapsed));
    if got.fetched_bytes > 0 {
        let rate = got.fetched_bytes as f64 / elapsed.as_secs_f64().max(0.001);
        let peers = got.from_peers.iter().filter(|peer| peer.bytes > 0).count() as u64;
        text += &format!(", {} from {}", Rate(rate), counted(peers, "peer"));
    }
    if !got.missing.is_empty() {
        text += &format!("; {} missing", counted(got.missing.len() as u64, "file"));
    }
    text
}

fn show_listing(listing: &Listing, ui: &Ui) -> Result<(), CliError> {
    let mut table = Table::new(&["SIZE", "", "PATH"], &[0]);
    for entry in &listing.entries {
        let (size, mark) = match entry.kind {
            ListingKind::File if entry.executable => (Bytes(entry.bytes).to_string(), "x"),
            ListingKind::File => (Bytes(entry.bytes).to_string(), ""),
            ListingKind::Folder => ("-".to_owned(), "d"),
            ListingKind::Link => ("-".to_owned(), "l"),
        };
        table.row(vec![size, mark.to_owned(), entry_path(entry)]);
    }
    for line in table.lines() {
        ui.out(&line)?;
    }
    let (files, bytes) = (counted(listing.files, "file"), Bytes(listing.bytes));
    ui.note(&format!("{} ({}): {files}, {bytes}", shown(&listing.name), listing.id.short()));
    Ok(())
}

fn entry_path(entry: &ListingEntry) -> String {
    match (&entry.target, entry.kind) {
        (Some(target), _) => format!("{} -> {}", shown(&entry.path), shown(target)),
        (None, ListingKind::Folder) => format!("{}/", shown(&entry.path)),
        (None, _) => shown(&entry.path),
    }
}

#[cfg(test)]
mod tests {
    use potluck_api::{FileFailure, PeerShare};
    use potluck_base::{ContentId, PeerId};

    use super::*;

    fn got() -> GetResult {
        let from = |n, bytes| PeerShare { peer: PeerId([n; 32]), bytes, in_ticket: n == 0 };
        GetResult {
            path: "/tmp/films".into(),
            id: ContentId([0; 32]),
            bytes: 3_000_000,
            files: 12,
            missing: Vec::new(),
            elapsed_ms: 2000,
            fetched_bytes: 2_000_000,
            from_peers: vec![from(0, 1_500_000), from(1, 500_000), from(2, 0)],
            resumed_bytes: 1_000_000,
            duplicate_bytes: 0,
        }
    }

    #[test]
    fn the_summary_says_what_came_from_how_many_and_what_was_here() {
        let expected =
            "12 files, 3.0 MB (1.0 MB were here already) in 2.0 s, 1.0 MB/s from 2 peers";
        assert_eq!(summary(&got()), expected);
        let nothing = GetResult { fetched_bytes: 0, resumed_bytes: 0, elapsed_ms: 0, ..got() };
        assert_eq!(summary(&nothing), "12 files, 3.0 MB in 0.0 s");
    }

    #[test]
    fn a_result_with_missing_files_is_told_and_is_no_success() {
        let missing = vec![FileFailure {
            content: ContentId([0; 32]),
            path: "a".into(),
            why: "changed".into(),
        }];
        let got = GetResult { missing, ..got() };
        assert!(summary(&got).ends_with("; 1 file missing"));
        let ended = show(&Reply::Got(got), &Ui::quiet());
        assert!(matches!(ended, Err(CliError::Told(ErrorKind::Corrupt))));
    }

    #[test]
    fn who_stops_a_download_is_told_how_far_it_is_and_how_to_go_on() {
        let error =
            interrupted(ApiError::new(ErrorKind::Interrupted, "stopped"), Some((1000, 2000)));
        assert_eq!(error.message, "stopped; 1.0 kB of 2.0 kB are here");
        assert_eq!(error.hint.as_deref(), Some("run the same command again to continue"));
    }
}
