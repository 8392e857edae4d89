//! What the services know, in the words of the API.

use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use potluck_api::{
    Audience, Event, FileFailure, Listing, ListingEntry, ListingKind, NetworkName, PeerInfo,
    Progress, ShareInfo, ShareKind, Stage,
};
use potluck_base::{ContentId, NetworkId, PeerAddr, RelPath};
use potluck_content::{Kind, Manifest, Ticket, TicketKind};
use potluck_service::fetch::Step;
use potluck_service::peers::Linked;
use potluck_service::share::ShareStep;
use potluck_service::{GoneWhy, Notice};

use crate::networks::directory_state;
use crate::tracker;

/// Bytes that moved to and from a peer, and how fast lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    at: Option<Instant>,
    sent: u64,
    received: u64,
    /// Bytes a second to the peer.
    pub up: f64,
    /// Bytes a second from the peer.
    pub down: f64,
}

impl Rates {
    /// Looks at a link's counters.
    pub fn sample(&mut self, linked: &Linked) {
        let (now, sent, received) = (
            Instant::now(),
            linked.sent.load(Ordering::Relaxed),
            linked.received.load(Ordering::Relaxed),
        );
        if let Some(before) = self.at {
            let seconds = (now - before).as_secs_f64().max(1e-3);
            self.up = sent.saturating_sub(self.sent) as f64 / seconds;
            self.down = received.saturating_sub(self.received) as f64 / seconds;
        }
        (self.at, self.sent, self.received) = (Some(now), sent, received);
    }
}

/// The ticket of a share, with this node as provider.
///
/// A personal one is for named peers.
pub fn ticket(share: &potluck_store::ShareInfo, provider: PeerAddr, personal: bool) -> Ticket {
    let kind = match share.kind {
        potluck_store::ShareKind::File => {
            TicketKind::File { size: share.size, executable: share.executable }
        }
        potluck_store::ShareKind::Folder => TicketKind::Folder,
    };
    let name = share.name.clone();
    Ticket { content: share.id, kind, name, providers: vec![provider], personal }
}

/// A share, for `share` and `ls`.
pub fn share_info(
    share: &potluck_store::ShareInfo,
    provider: PeerAddr,
    receivers_done: u64,
    known_before: bool,
    personal: bool,
) -> ShareInfo {
    let ticket = ticket(share, provider, personal);
    ShareInfo {
        id: share.id,
        kind: kind(ticket.kind),
        name: share.name.as_str().to_owned(),
        files: u64::from(share.files),
        bytes: share.size,
        ticket: ticket.to_string(),
        created_ms: share.created * 1000,
        paths: vec![share.path.clone()],
        receivers_done,
        known_before,
        networks: Vec::new(),
        tags: Vec::new(),
        audience: Audience::default(),
        watched: false,
    }
}

/// A ticket's kind, without its numbers.
pub fn kind(kind: TicketKind) -> ShareKind {
    match kind {
        TicketKind::File { .. } => ShareKind::File,
        TicketKind::Folder => ShareKind::Folder,
    }
}

/// What a ticket holds: one file, or what the manifest lists.
pub fn listing(ticket: &Ticket, manifest: Option<&Manifest>) -> Listing {
    let entries: Vec<_> = match (manifest, ticket.kind) {
        (Some(manifest), _) => {
            manifest.entries().iter().map(|e| listing_entry(&e.path, &e.kind)).collect()
        }
        (None, TicketKind::File { size, executable }) => {
            vec![listing_entry(&ticket.name, &Kind::File { size, id: ticket.content, executable })]
        }
        (None, TicketKind::Folder) => Vec::new(),
    };
    let files = entries.iter().filter(|e| e.kind == ListingKind::File).count() as u64;
    let bytes = entries.iter().map(|e| e.bytes).sum();
    Listing {
        name: ticket.name.as_str().to_owned(),
        id: ticket.content,
        kind: kind(ticket.kind),
        entries,
        files,
        bytes,
    }
}

fn listing_entry(path: &RelPath, what: &Kind) -> ListingEntry {
    let (kind, bytes, executable, target) = match what {
        Kind::File { size, executable, .. } => (ListingKind::File, *size, *executable, None),
        Kind::Folder => (ListingKind::Folder, 0, false, None),
        Kind::Link { target } => (ListingKind::Link, 0, false, Some(target.clone())),
    };
    ListingEntry { path: path.as_str().to_owned(), bytes, kind, executable, target }
}

/// A linked peer, for `peers`.
pub fn peer_info(linked: &Linked, rates: Rates) -> PeerInfo {
    let path = linked.path();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    PeerInfo {
        id: linked.peer,
        agent: linked.hello.agent.clone(),
        path: path.kind,
        remote: path.remote,
        rtt_ms: linked.rtt().map(|rtt| rtt.as_secs_f64() * 1e3),
        rate_down_bps: rates.down,
        rate_up_bps: rates.up,
        sent: linked.sent.load(Ordering::Relaxed),
        received: linked.received.load(Ordering::Relaxed),
        since_ms: now.saturating_sub(linked.since.elapsed()).as_millis() as u64,
        dialled: linked.link().dialled(),
    }
}

/// A notice of the services as an event.
pub fn event_of(notice: Notice, name_of: impl Fn(&NetworkId) -> NetworkName) -> Option<Event> {
    Some(match notice {
        Notice::PeerUp { peer, path } => Event::PeerJoined { peer, content: None, path },
        Notice::PeerDown { peer } => Event::PeerLeft { peer, content: None },
        Notice::ReceiverDone { content, peer, count } => {
            Event::ReceiverDone { content, peer, count }
        }
        Notice::SourceChanged { content, path, why } => Event::SourceChanged {
            content,
            path: path.display().to_string(),
            why: gone_why(why).to_owned(),
        },
        Notice::Liar { peer, .. } => Event::Warning {
            text: format!("peer {} sent wrong bytes and was dropped", peer.short()),
            path: None,
        },
        Notice::Network { network, state } => Event::Network {
            network: name_of(&network),
            state: directory_state(&state),
            nick: None,
        },
        Notice::InStep { .. } => return None,
        Notice::NotListed { network, denial, .. } => Event::Warning {
            text: format!("{} does not list a share: {denial}", name_of(&network).name),
            path: None,
        },
        Notice::Publishing { text, path } => {
            Event::Warning { text, path: Some(path.display().to_string()) }
        }
        Notice::Tracker(event) => return tracker::event_of(&event, name_of),
    })
}

fn gone_why(why: GoneWhy) -> &'static str {
    match why {
        GoneWhy::Changed => "it was changed after it was shared",
        GoneWhy::Missing => "it was moved or deleted",
        GoneWhy::Unreadable => "it cannot be read",
    }
}

/// A step of sharing as an event.
pub fn share_event(step: ShareStep) -> Event {
    match step {
        ShareStep::Scanning => Event::Stage { content: None, stage: Stage::Scanning },
        ShareStep::Hashing { done, total, files } => Event::Hashing { done, total, files },
        ShareStep::LeftOut(warning) => Event::Warning {
            text: format!("left out: {}", warning.reason),
            path: Some(warning.path.display().to_string()),
        },
    }
}

/// A step of a download as an event.
pub fn fetch_event(content: ContentId, step: Step) -> Event {
    let stage = |stage| Event::Stage { content: Some(content), stage };
    match step {
        Step::Connecting => stage(Stage::Connecting),
        Step::Manifest => stage(Stage::Manifest),
        Step::Checking => stage(Stage::Checking),
        Step::Fetching => stage(Stage::Fetching),
        Step::Finishing => stage(Stage::Finishing),
        Step::Waiting { reason, retry_in } => Event::Waiting {
            content: Some(content),
            reason,
            retry_in_ms: retry_in.map(|pause| pause.as_millis() as u64),
        },
        Step::Progress { done, total, rate, peers, files_done, files_total } => {
            let left = total.saturating_sub(done) as f64;
            Event::Progress(Progress {
                content,
                done,
                total,
                rate_bps: rate,
                eta_s: (rate >= 1.0).then(|| (left / rate).ceil() as u64),
                peers: peers as u32,
                files_done,
                files_total,
            })
        }
        Step::FileFailed { path, why } => {
            Event::FileFailed(FileFailure { content, path: path.as_str().to_owned(), why })
        }
        Step::PeerJoined(peer, path) => Event::PeerJoined { peer, content: Some(content), path },
        Step::PeerLeft(peer) => Event::PeerLeft { peer, content: Some(content) },
    }
}
