//! What one can ask a tracker: the commands of `potluck tracker COMMAND` and of the tracker's own
//! shell, once for both.

use potluck_api::{ApiError, Command, ErrorKind, Reply, TrackerCommand, TrackerFiles};

use crate::commands::search::Wanted;
use crate::error::{CliError, unexpected};
use crate::show::networks::pinged;
use crate::show::{Shown, found, tracker};
use crate::ui::Ui;

/// Files that `discover` lists at most: as many as the largest peers have.
const FILES_MAX: usize = 200_000;

/// A question to a tracker.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum TrackerAsk {
    /// Print the ticket for those who make networks here; a secret
    Ticket,
    /// List the members of all networks
    Peers,
    /// List the files of a peer
    Discover(OnePeer),
    /// Measure the round trip to a peer now
    Ping(Ping),
    /// Look for files in the index
    Search(Box<Wanted>),
    /// Show how much there is, and how much was done and refused
    Stats,
    /// End a peer's session; it may come back
    Kick(OnePeer),
    /// End a peer's session and let it in no more
    Ban(OnePeer),
    /// Let a banned peer in again
    Unban(OnePeer),
    /// List the networks
    Networks,
    /// Stop the tracker, in order
    Stop,
}

/// A peer.
#[derive(Debug, clap::Args)]
pub(crate) struct OnePeer {
    /// Its nickname, its id, or the first characters of its id
    #[arg(value_name = "PEER")]
    peer: String,
}

/// What to type after `ping`.
#[derive(Debug, clap::Args)]
pub(crate) struct Ping {
    #[command(flatten)]
    who: OnePeer,
    /// How many round trips to measure, one a second
    #[arg(short, long, env = "POTLUCK_PING_COUNT", value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
}

impl TrackerAsk {
    /// Asks by `ask`, and puts an answer of several pages together.
    pub(crate) async fn ask(
        &self,
        ask: impl AsyncFn(Command) -> Result<Reply, ApiError>,
    ) -> Result<Reply, ApiError> {
        let what = match self {
            TrackerAsk::Discover(of) => return discover(&of.peer, ask).await,
            TrackerAsk::Stop => return ask(Command::Stop).await,
            TrackerAsk::Ticket => TrackerCommand::Ticket,
            TrackerAsk::Peers => TrackerCommand::Peers,
            TrackerAsk::Ping(ping) => {
                TrackerCommand::Ping { peer: ping.who.peer.clone(), count: ping.count }
            }
            TrackerAsk::Search(wanted) => TrackerCommand::Search(wanted.to_command()?),
            TrackerAsk::Stats => TrackerCommand::Stats,
            TrackerAsk::Kick(of) => TrackerCommand::Kick { peer: of.peer.clone() },
            TrackerAsk::Ban(of) => TrackerCommand::Ban { peer: of.peer.clone() },
            TrackerAsk::Unban(of) => TrackerCommand::Unban { peer: of.peer.clone() },
            TrackerAsk::Networks => TrackerCommand::Networks,
        };
        ask(Command::TrackerDo { what }).await
    }

    /// Shows the answer. `searching` is the command that proposals begin with.
    pub(crate) fn show(&self, reply: &Reply, searching: &str, ui: &Ui) -> Result<(), CliError> {
        if !ui.json_reply(reply)? {
            self.shown(reply, searching)?.print(ui)?;
        }
        match reply {
            Reply::Pinged(ping) if ping.times_ms.is_empty() => {
                Err(CliError::Told(ErrorKind::Unreachable))
            }
            _ => Ok(()),
        }
    }

    fn shown(&self, reply: &Reply, searching: &str) -> Result<Shown, CliError> {
        let mut out = Shown::default();
        match (reply, self) {
            (Reply::TrackerTicket(ticket), _) => out.result(&*ticket.ticket),
            (Reply::TrackerPeers(peers), _) => return Ok(tracker::peers(peers)),
            (Reply::TrackerFiles(files), _) => return Ok(tracker::files(files)),
            (Reply::TrackerStats(stats), _) => return Ok(tracker::stats(stats)),
            (Reply::TrackerActed(acted), _) => return Ok(tracker::acted(acted)),
            (Reply::TrackerNetworks(networks), _) => return Ok(tracker::networks(networks)),
            (Reply::Found(found), TrackerAsk::Search(wanted)) => {
                return Ok(found::found(found, wanted.look(searching)));
            }
            (Reply::Pinged(ping), _) => out.result(pinged(ping)),
            (Reply::Stopping, _) => {}
            _ => return Err(unexpected(reply)),
        }
        Ok(out)
    }
}

async fn discover(
    peer: &str,
    ask: impl AsyncFn(Command) -> Result<Reply, ApiError>,
) -> Result<Reply, ApiError> {
    let mut whole: Option<TrackerFiles> = None;
    let mut after = None;
    loop {
        let what = TrackerCommand::Discover { peer: peer.to_owned(), after: after.clone() };
        let page = match ask(Command::TrackerDo { what }).await? {
            Reply::TrackerFiles(page) => page,
            reply => return Ok(reply),
        };
        let goes_on = page.after.is_some() && page.after != after && !page.files.is_empty();
        after = page.after.clone();
        match &mut whole {
            None => whole = Some(page),
            Some(whole) => {
                whole.files.extend(page.files);
                whole.after = page.after;
            }
        }
        if let Some(done) = whole.take_if(|w| !goes_on || w.files.len() >= FILES_MAX) {
            return Ok(Reply::TrackerFiles(done));
        }
    }
}
