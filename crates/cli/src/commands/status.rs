//! `potluck status`

use std::time::Duration;

use potluck_api::{Command, Reply, Status};

use super::{Context, ask};
use crate::error::{CliError, unexpected};
use crate::show::networks;
use crate::ui::table::Table;
use crate::ui::{shown, shown_path, spoken};

/// What to type after `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {}

/// Shows how the node is.
pub(crate) async fn run(StatusArgs {}: StatusArgs, context: &Context) -> Result<(), CliError> {
    let ui = &context.ui;
    let (reply, is_running) = ask(context, Command::Status).await?;
    if ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Status(status) = &reply else {
        return Err(unexpected(&reply));
    };
    for line in table(status, is_running).lines().iter().skip(1) {
        ui.out(line)?;
    }
    if !status.networks.is_empty() {
        networks::networks(&status.networks).print(ui)?;
    }
    if is_running && !status.linked.is_empty() {
        for line in super::peers::table(&status.linked).lines() {
            ui.out(&line)?;
        }
    }
    if !is_running {
        ui.note("No node is running here; \"potluck daemon start\" starts one.");
    }
    Ok(())
}

fn table(status: &Status, is_running: bool) -> Table {
    let mut table = Table::new(&[], &[]);
    let mut row = |name: &str, value: String| table.row(vec![name.to_owned(), value]);
    row("id", status.id.to_string());
    row("version", shown(&status.version));
    row("home", shown_path(&status.home));
    if is_running {
        row("process", status.pid.to_string());
        row("running for", spoken(Duration::from_millis(status.uptime_ms)));
        let listening: Vec<String> = status.listening.iter().map(ToString::to_string).collect();
        row("listening on", listening.join(", "));
        let api = status.api_address.map(|address| format!("http://{address}"));
        row("api", api.unwrap_or_else(|| "-".to_owned()));
    } else {
        row("running", "no".to_owned());
    }
    row("shares", status.shares.to_string());
    if is_running {
        row("downloads", status.downloads.to_string());
        row("peers", status.peers.to_string());
    }
    table
}
