//! One content that this node moves: what is held of it, who may send what, and the queue of its
//! machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};

use potluck_base::{ContentId, PeerId, PieceRange, PieceSet};
use potluck_content::{Manifest, PieceMap, Values};
use potluck_proto::Input;
use potluck_proto::swarm::{Command, GoneWhy, Outcome, Swarm};
use potluck_store::{Audience, Download, ReadError, Source, StoreError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::notice::{Notice, Notices};

/// Where the pieces of a content are.
pub enum Holding {
    /// Complete, in files of the person's.
    Source(Source),
    /// Arriving, in a working file or folder.
    Download(Arc<Download>),
}

impl Holding {
    /// Reads whole pieces into `buffer`, replacing what it held.
    pub fn read(&self, range: PieceRange, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
        match self {
            Holding::Source(source) => source.read(range, buffer),
            Holding::Download(download) => download.read(range, buffer),
        }
    }

    /// Reads a part of one piece into `buffer`, replacing what it held.
    pub fn read_part(
        &self,
        piece: u32,
        offset: u32,
        length: u32,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        match self {
            Holding::Source(source) => source.read_part(piece, offset, length, buffer),
            Holding::Download(download) => download.read_part(piece, offset, length, buffer),
        }
    }

    /// The piece values of a file, if they are known here.
    pub fn values(&self, file: u32) -> Result<Option<Arc<Values>>, StoreError> {
        match self {
            Holding::Source(source) => source.values(file),
            Holding::Download(download) => download.values(file),
        }
    }

    /// The manifest, if the content is a folder.
    pub fn manifest(&self) -> Option<Arc<Manifest>> {
        match self {
            Holding::Source(source) => source.manifest(),
            Holding::Download(download) => download.manifest().cloned(),
        }
    }
}

/// How far a session is, for whoever waits for it.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// Every piece that is wanted is here.
    pub complete: bool,
    /// Pieces that were offered once and can no longer be had, and why.
    pub lost: Vec<(PieceRange, GoneWhy)>,
    /// Peers that have told us that they have all they wanted.
    pub finished: u64,
    /// Peers of the session that we are linked to.
    pub peers: BTreeSet<PeerId>,
    /// Peers that said that they do not share this content.
    pub refused: BTreeSet<PeerId>,
    /// A write failed: the reason stands in [`Session::failure`].
    pub failed: bool,
}

/// One content and its machine's queue. Shared by lanes, links and whoever waits for the result.
pub struct Session {
    /// The content.
    pub id: ContentId,
    /// Its pieces.
    pub map: Arc<PieceMap>,
    /// Ends the runner.
    pub stop: CancellationToken,
    /// Bytes that arrived and were good, by peer.
    pub arrived: Mutex<BTreeMap<PeerId, u64>>,
    /// Bytes that arrived although they were here already.
    pub duplicate: AtomicU64,
    /// How far it is.
    pub outlook: watch::Sender<Outlook>,
    /// Where its notices go.
    pub notices: Notices,
    holding: RwLock<Arc<Holding>>,
    audience: RwLock<Arc<Audience>>,
    providers: Mutex<BTreeSet<PeerId>>,
    inputs: mpsc::Sender<Input<Swarm<PeerId>>>,
    expected: Mutex<BTreeMap<PeerId, PieceSet>>,
    interested: Mutex<BTreeSet<PeerId>>,
    claimed: Mutex<BTreeSet<u32>>,
    changed: Mutex<BTreeSet<u32>>,
    failure: Mutex<Option<StoreError>>,
}

impl Session {
    /// A session whose machine reads from the other end of `inputs`.
    pub fn new(
        id: ContentId,
        map: Arc<PieceMap>,
        holding: Holding,
        audience: Audience,
        inputs: mpsc::Sender<Input<Swarm<PeerId>>>,
        notices: Notices,
    ) -> Self {
        Self {
            id,
            map,
            stop: CancellationToken::new(),
            arrived: Mutex::new(BTreeMap::new()),
            duplicate: AtomicU64::new(0),
            outlook: watch::Sender::new(Outlook::default()),
            notices,
            holding: RwLock::new(Arc::new(holding)),
            audience: RwLock::new(Arc::new(audience)),
            providers: Mutex::new(BTreeSet::new()),
            inputs,
            expected: Mutex::new(BTreeMap::new()),
            interested: Mutex::new(BTreeSet::new()),
            claimed: Mutex::new(BTreeSet::new()),
            changed: Mutex::new(BTreeSet::new()),
            failure: Mutex::new(None),
        }
    }

    /// Where the pieces are now.
    pub fn holding(&self) -> Arc<Holding> {
        Arc::clone(&self.holding.read().expect("no panic while held"))
    }

    /// Who may take part.
    pub fn audience(&self) -> Arc<Audience> {
        Arc::clone(&self.audience.read().expect("no panic while held"))
    }

    /// From now on others may take part. Whoever no longer may is let go by who calls this.
    pub(super) fn set_audience(&self, audience: Audience) {
        *self.audience.write().expect("no panic while held") = Arc::new(audience);
    }

    /// This node itself turned to a peer for the content: what it says is heard, whoever it is.
    pub fn add_provider(&self, peer: PeerId) {
        self.providers.lock().expect("no panic while held").insert(peer);
    }

    /// Whether this node itself turned to a peer for the content.
    pub fn is_provider(&self, peer: PeerId) -> bool {
        self.providers.lock().expect("no panic while held").contains(&peer)
    }

    /// A peer is no longer heard because this node turned to it once.
    pub(super) fn remove_provider(&self, peer: PeerId) {
        self.providers.lock().expect("no panic while held").remove(&peer);
    }

    /// From now on the pieces are elsewhere: a download became a file of the person's.
    pub fn hold(&self, holding: Holding) {
        *self.holding.write().expect("no panic while held") = Arc::new(holding);
    }

    /// Whether pieces are still being fetched into a download.
    pub fn is_fetching(&self) -> bool {
        matches!(&*self.holding(), Holding::Download(_))
    }

    /// Tells the machine how work ended. For threads: waits while the machine's queue is full.
    pub fn tell(&self, outcome: Outcome<PeerId>) {
        // The runner is gone only when the session ends: then nobody needs to know.
        let _ = self.inputs.blocking_send(Input::Done(outcome));
    }

    /// Tells the machine what our side wants. For threads: waits while the machine's queue is full.
    pub fn command(&self, command: Command) {
        // As above.
        let _ = self.inputs.blocking_send(Input::Command(command));
    }

    /// Tells the machine how work ended, from a place that must not wait.
    pub fn tell_soon(self: &Arc<Self>, outcome: Outcome<PeerId>) {
        let session = Arc::clone(self);
        tokio::spawn(async move { session.input(Input::Done(outcome)).await });
    }

    /// Hands the machine an input, waiting while its queue is full.
    pub async fn input(&self, input: Input<Swarm<PeerId>>) {
        tokio::select! {
            _ = self.inputs.send(input) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// From now on a peer's link coming up is told to the machine; true if it was not before.
    pub fn add_interest(&self, peer: PeerId) -> bool {
        self.interested.lock().expect("no panic while held").insert(peer)
    }

    /// Whether the machine wants to hear of this peer's link.
    pub fn is_interested(&self, peer: PeerId) -> bool {
        self.interested.lock().expect("no panic while held").contains(&peer)
    }

    /// These pieces were asked from a peer and may arrive.
    pub fn expect(&self, from: PeerId, ranges: &[PieceRange]) {
        let mut expected = self.expected.lock().expect("no panic while held");
        let total = self.map.total();
        let set = expected.entry(from).or_insert_with(|| PieceSet::none(total));
        for range in ranges {
            set.insert_range(*range);
        }
    }

    /// These pieces may no longer arrive from a peer.
    pub fn forget(&self, from: PeerId, ranges: &[PieceRange]) {
        let mut expected = self.expected.lock().expect("no panic while held");
        if let Some(set) = expected.get_mut(&from) {
            for range in ranges {
                set.remove_range(*range);
            }
        }
    }

    /// A peer's link is gone: nothing may arrive from it any more.
    pub fn forget_peer(&self, from: PeerId) {
        self.expected.lock().expect("no panic while held").remove(&from);
    }

    /// Whether each piece of the range was asked from this peer.
    pub fn is_expected(&self, from: PeerId, range: PieceRange) -> bool {
        let expected = self.expected.lock().expect("no panic while held");
        expected.get(&from).is_some_and(|set| set.contains_range(range))
    }

    /// Cuts a range into parts that were asked from this peer and parts that were not.
    pub fn split_expected(&self, from: PeerId, range: PieceRange) -> Vec<(PieceRange, bool)> {
        let expected = self.expected.lock().expect("no panic while held");
        let set = expected.get(&from);
        let mut parts: Vec<(PieceRange, bool)> = Vec::new();
        for piece in range.iter() {
            let is = set.is_some_and(|set| set.contains(piece));
            match parts.last_mut() {
                Some((part, was)) if *was == is => part.end = piece + 1,
                _ => parts.push((PieceRange::one(piece), is)),
            }
        }
        parts
    }

    /// Reserves the writing of a piece that arrives in several blocks; false if another lane has
    /// it.
    pub fn claim(&self, piece: u32) -> bool {
        self.claimed.lock().expect("no panic while held").insert(piece)
    }

    /// Ends a [`claim`](Session::claim).
    pub fn unclaim(&self, piece: u32) {
        self.claimed.lock().expect("no panic while held").remove(&piece);
    }

    /// The disk refused: whoever waits for the session learns why, once.
    pub fn fail(&self, error: StoreError) {
        self.failure.lock().expect("no panic while held").get_or_insert(error);
        self.outlook.send_modify(|outlook| outlook.failed = true);
    }

    /// Takes the reason of a failure.
    pub fn failure(&self) -> Option<StoreError> {
        self.failure.lock().expect("no panic while held").take()
    }

    /// Counts good bytes from a peer.
    pub fn count(&self, from: PeerId, bytes: u64) {
        *self.arrived.lock().expect("no panic while held").entry(from).or_default() += bytes;
    }

    /// Waits until the machine has taken what was queued before.
    pub async fn flush(&self) {
        let room = self.inputs.reserve_many(self.inputs.max_capacity());
        tokio::select! {
            _ = room => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// A file that we serve is no longer what was shared: none of it is offered any more, and the
    /// person hears of it, once.
    pub fn source_changed(&self, pieces: PieceRange, path: PathBuf, why: GoneWhy) {
        if !self.changed.lock().expect("no panic while held").insert(pieces.start) {
            return;
        }
        tracing::warn!(content = %self.id.short(), ?pieces, ?why, "a shared file changed");
        self.command(Command::Lost(vec![pieces]));
        self.notices.send(Notice::SourceChanged { content: self.id, path, why });
    }
}
