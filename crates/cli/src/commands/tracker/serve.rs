//! `potluck tracker run`: the tracker itself, with its shell.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use potluck_api::{ApiError, Command, Event, PeerName, Reply, TrackerCommand, TrackerTicket};
use potluck_base::escape;
use potluck_node::TrackerSettings;

use super::TrackerAsk;
use crate::commands::Context;
use crate::door::{Asker, Door};
use crate::error::{CliError, unexpected};
use crate::shell::{Flow, Known, Manner, Noun, Shell};
use crate::show::{networks, tracker};
use crate::ui::{Ui, shown, shown_path};

/// How long completion may wait for an answer: longer, and the person has typed the word.
const KNOWN_TIME: Duration = Duration::from_millis(500);
/// Characters of the name that stand in the prompt.
const PROMPT_CHARS: usize = 24;

/// What to type after `tracker run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Its name, in its prompt and in its ticket
    #[arg(long, env = "POTLUCK_TRACKER_NAME", value_name = "NAME", default_value = "tracker")]
    name: String,
    /// Also speak the classic P2P-CI/1.0, in clear text, at this address
    #[arg(long, env = "POTLUCK_TRACKER_P2P_CI", value_name = "ADDRESS:PORT")]
    p2p_ci: Option<SocketAddr>,
    /// How long a peer may be silent before it counts as offline
    #[arg(long, env = "POTLUCK_LEASE", value_name = "SECONDS", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u64).range(2..=3600))]
    lease: u64,
}

/// Runs a tracker until it is told to stop.
pub(crate) async fn run(args: RunArgs, data: PathBuf, context: &Context) -> Result<(), CliError> {
    let mut settings = context.settings.clone();
    settings.home = Some(data.clone());
    let mut config = settings.load()?;
    config.tracker = Some(TrackerSettings {
        name: args.name,
        p2p_ci: args.p2p_ci,
        lease: Duration::from_secs(args.lease),
    });
    let door = tokio::select! {
        biased;
        () = context.interrupt.wait() => return Ok(()),
        door = Door::serve(context, config) => door?,
    };
    let result = serve(&door, data, context).await;
    context.ui.note("The tracker is stopping.");
    door.close().await;
    result
}

async fn serve(door: &Door<'_>, data: PathBuf, context: &Context) -> Result<(), CliError> {
    let asker = door.asker();
    let reply = asker.ask(Command::TrackerDo { what: TrackerCommand::Ticket }).await?;
    let Reply::TrackerTicket(ticket) = &reply else {
        return Err(unexpected(&reply));
    };
    if !context.ui.json_reply(&reply)? {
        greet(ticket, &data, &context.ui)?;
    }
    let manner = Manner {
        prompt: escape(&ticket.name, PROMPT_CHARS),
        history: data.join("history"),
        leaving: "Say how to stop: a tracker goes on as long as its terminal is open",
        stays: "The tracker goes on; \"stop\" ends it, or Ctrl-C twice.",
        tell,
        known: known(asker.clone()),
    };
    let ui = &context.ui;
    let shell: Shell<'_, TrackerAsk> = Shell::new(context, door, manner);
    shell
        .run(async |question: TrackerAsk| {
            if matches!(question, TrackerAsk::Stop) {
                return Ok(Flow::Stop);
            }
            let reply = question.ask(async |command: Command| asker.ask(command).await).await?;
            question.show(&reply, "search", ui)?;
            Ok(Flow::GoOn)
        })
        .await
}

fn greet(ticket: &TrackerTicket, data: &std::path::Path, ui: &Ui) -> Result<(), CliError> {
    let addresses: Vec<String> = ticket.addresses.iter().map(ToString::to_string).collect();
    let name = ui.bold(&shown(&ticket.name));
    ui.note(&format!("{name} is running at {}, in {}.", addresses.join(", "), shown_path(data)));
    if let Some(address) = ticket.p2p_ci {
        ui.warn(&format!("P2P-CI at {address} is clear text, and nobody vouches for its files"));
    }
    ui.note("Who has this ticket may make networks here: potluck network create NAME --tracker …");
    ui.out(&ticket.ticket)?;
    if ui.has_prompt() {
        ui.note("\"help\" shows the commands, Tab completes them.");
    }
    Ok(())
}

/// What a person at the tracker wants to see as it happens.
fn tell(event: &Event) -> Option<String> {
    match event {
        Event::Member { network, peer, change } => Some(networks::change(network, peer, change)),
        Event::Warning { text, path: None } => Some(shown(text)),
        Event::Warning { text, path: Some(path) } => {
            Some(format!("{}: {}", shown(path), shown(text)))
        }
        _ => None,
    }
}

/// Asks the node for the peers and networks that Tab offers.
fn known(asker: Asker) -> Known {
    let runtime = tokio::runtime::Handle::current();
    Box::new(move |noun| {
        let asking = async { tokio::time::timeout(KNOWN_TIME, names(&asker, noun)).await };
        runtime.block_on(asking).ok().and_then(Result::ok).unwrap_or_default()
    })
}

async fn names(asker: &Asker, noun: Noun) -> Result<Vec<String>, ApiError> {
    let ask = |what| asker.ask(Command::TrackerDo { what });
    let mut names: Vec<String> = match noun {
        Noun::Peer => match ask(TrackerCommand::Peers).await? {
            Reply::TrackerPeers(all) => all
                .peers
                .into_iter()
                .map(|peer| tracker::typed(&PeerName { id: peer.id, nick: Some(peer.nick) }))
                .collect(),
            _ => Vec::new(),
        },
        Noun::Network => match ask(TrackerCommand::Networks).await? {
            Reply::TrackerNetworks(all) => {
                all.networks.into_iter().map(|network| network.network.name).collect()
            }
            _ => Vec::new(),
        },
    };
    // A name that acts on the terminal is not offered to it.
    names.retain(|name| escape(name, usize::MAX) == *name);
    names.sort();
    names.dedup();
    Ok(names)
}
