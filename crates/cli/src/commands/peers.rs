//! `potluck peers`

use std::time::{Duration, SystemTime};

use potluck_api::{Command, PeerInfo, Peers, Reply};
use potluck_base::{Bytes, Rate};

use super::{Context, ask};
use crate::error::{CliError, unexpected};
use crate::show::networks;
use crate::ui::table::Table;
use crate::ui::{shown, spoken};

/// What to type after `peers`.
#[derive(Debug, clap::Args)]
pub(crate) struct PeersArgs {}

/// Lists the members of the networks, and the peers that are linked.
pub(crate) async fn run(PeersArgs {}: PeersArgs, context: &Context) -> Result<(), CliError> {
    let ui = &context.ui;
    let (reply, is_running) = ask(context, Command::Peers).await?;
    if ui.json_reply(&reply)? {
        return Ok(());
    }
    let Reply::Peers(Peers { peers, members }) = &reply else {
        return Err(unexpected(&reply));
    };
    if !members.is_empty() {
        networks::members(members).print(ui)?;
        if !peers.is_empty() {
            ui.out("\nLinked:")?;
        }
    }
    match (peers.is_empty(), is_running) {
        (_, false) if !members.is_empty() => {}
        (_, false) => ui.note("No node is running here, so no peer is linked."),
        (true, true) => ui.note("No peer is linked."),
        (false, true) => {
            for line in table(peers).lines() {
                ui.out(&line)?;
            }
        }
    }
    Ok(())
}

/// One line a peer: over what, how far away, how fast.
pub(super) fn table(peers: &[PeerInfo]) -> Table {
    let headings = [
        "PEER",
        "OVER",
        "CALLED BY",
        "RTT",
        "DOWN",
        "UP",
        "RECEIVED",
        "SENT",
        "SINCE",
        "ADDRESS",
        "PROGRAM",
    ];
    let mut table = Table::new(&headings, &[3, 4, 5, 6, 7, 8]);
    for peer in peers {
        table.row(vec![
            peer.id.short(),
            peer.path.to_string(),
            if peer.dialled { "us" } else { "peer" }.to_owned(),
            peer.rtt_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms")),
            Rate(peer.rate_down_bps).to_string(),
            Rate(peer.rate_up_bps).to_string(),
            Bytes(peer.received).to_string(),
            Bytes(peer.sent).to_string(),
            spoken(since(peer.since_ms)),
            shown(&peer.remote),
            shown(&peer.agent),
        ]);
    }
    table
}

fn since(moment_ms: u64) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(moment_ms))
}
