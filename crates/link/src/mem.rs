//! Links within one process, of the same type as real ones: for tests of whatever runs over links.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

use potluck_base::{PeerAddr, PeerId, limits};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::endpoint::Endpoint;
use crate::error::{Attempt, DialFault, LinkError, Transport};
use crate::lanes::Stop;
use crate::link::{Carrier, Ending, Link, Shared};

/// Endpoints that reach each other by key alone, whatever their addresses say. Clones are the same.
#[derive(Clone, Default)]
pub struct MemoryNet {
    endpoints: Arc<Mutex<BTreeMap<PeerId, Weak<MemoryEndpoint>>>>,
}

impl MemoryNet {
    /// A net without endpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new endpoint with this key; it takes the place of an older one with the same key.
    pub fn endpoint(&self, id: PeerId) -> Endpoint {
        let (put, take) = mpsc::channel(limits::LINKS);
        let endpoint = Arc::new(MemoryEndpoint {
            id,
            net: self.clone(),
            arrivals: put,
            accepted: AsyncMutex::new(take),
            links: Mutex::new(Vec::new()),
            closed: CancellationToken::new(),
        });
        self.lock().insert(id, Arc::downgrade(&endpoint));
        Endpoint::in_memory(endpoint)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Weak<MemoryEndpoint>>> {
        self.endpoints.lock().expect("no holder panics")
    }
}

/// Two ends of one link: the first belongs to `dialler` and leads to `acceptor`.
pub fn pair(dialler: PeerId, acceptor: PeerId) -> (Link, Link) {
    let (near_out, far_in) = mpsc::channel(limits::SEND_QUEUE_FRAMES);
    let (far_out, near_in) = mpsc::channel(limits::SEND_QUEUE_FRAMES);
    let mut near = None;
    let far = Arc::new_cyclic(|far: &Weak<Shared>| {
        let carrier = Carrier::Memory { other: far.clone() };
        let ours = Arc::new(Shared::new(acceptor, true, carrier, near_out, near_in));
        let carrier = Carrier::Memory { other: Arc::downgrade(&ours) };
        near = Some(ours);
        Shared::new(dialler, false, carrier, far_out, far_in)
    });
    let near = near.expect("made with the far end");
    (Link::new(near), Link::new(far))
}

/// One endpoint of a [`MemoryNet`].
pub(crate) struct MemoryEndpoint {
    id: PeerId,
    net: MemoryNet,
    arrivals: mpsc::Sender<Link>,
    accepted: AsyncMutex<mpsc::Receiver<Link>>,
    links: Mutex<Vec<Weak<Shared>>>,
    closed: CancellationToken,
}

impl MemoryEndpoint {
    pub(crate) fn id(&self) -> PeerId {
        self.id
    }

    pub(crate) fn dial(&self, addr: &PeerAddr) -> Result<Link, LinkError> {
        if addr.id == self.id {
            return Err(LinkError::Ourselves);
        }
        let other = self.net.lock().get(&addr.id).and_then(Weak::upgrade);
        let unreachable = |fault| {
            let attempt = Attempt { over: Transport::Memory, to: addr.id.short(), fault };
            LinkError::Unreachable { peer: addr.id, attempts: vec![attempt] }
        };
        let Some(other) = other.filter(|other| !other.closed.is_cancelled()) else {
            return Err(unreachable(DialFault::Refused));
        };
        if self.closed.is_cancelled() {
            return Err(LinkError::Closed);
        }
        let (near, far) = pair(self.id, addr.id);
        self.remember(&near);
        other.remember(&far);
        other.arrivals.try_send(far).map_err(|_| LinkError::Busy)?;
        Ok(near)
    }

    pub(crate) async fn accept(&self) -> Option<Link> {
        let mut accepted = self.accepted.lock().await;
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            link = accepted.recv() => link,
        }
    }

    pub(crate) fn close(&self) {
        self.closed.cancel();
        let links = std::mem::take(&mut *self.links.lock().expect("no holder panics"));
        for link in links.iter().filter_map(Weak::upgrade) {
            link.end(Ending::Ours("the node stops".to_owned()));
        }
    }

    fn remember(&self, link: &Link) {
        let mut links = self.links.lock().expect("no holder panics");
        links.retain(|link| link.strong_count() > 0);
        links.push(link.downgrade());
    }
}

/// Bytes held by a pipe before its writer waits.
const PIPE_BYTES: usize = 1024 * 1024;

/// A blocking stream of bytes: the lane of a link in memory.
pub(crate) struct Pipe {
    state: Mutex<PipeState>,
    changed: Condvar,
}

#[derive(Default)]
struct PipeState {
    bytes: VecDeque<u8>,
    /// The writer is done.
    finished: bool,
    /// The reader is gone, or the link is closed.
    stopped: bool,
}

impl Pipe {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), changed: Condvar::new() }
    }

    pub(crate) fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let full = |state: &mut PipeState| !state.stopped && state.bytes.len() >= PIPE_BYTES;
            let mut state = self.wait_while(full);
            if state.stopped {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let (now, rest) = bytes.split_at(bytes.len().min(PIPE_BYTES - state.bytes.len()));
            state.bytes.extend(now);
            bytes = rest;
            self.changed.notify_all();
        }
        Ok(())
    }

    pub(crate) fn read_exact(&self, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let dry =
                |state: &mut PipeState| !state.stopped && !state.finished && state.bytes.is_empty();
            let mut state = self.wait_while(dry);
            if state.stopped || state.bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (front, _) = state.bytes.as_slices();
            let count = front.len().min(buf.len());
            buf[..count].copy_from_slice(&front[..count]);
            state.bytes.drain(..count);
            buf = &mut buf[count..];
            self.changed.notify_all();
        }
        Ok(())
    }

    /// The writer is done: the reader gets what is left.
    pub(crate) fn finish(&self) {
        self.lock().finished = true;
        self.changed.notify_all();
    }

    fn wait_while(&self, busy: impl FnMut(&mut PipeState) -> bool) -> MutexGuard<'_, PipeState> {
        self.changed.wait_while(self.lock(), busy).expect("no holder panics")
    }

    fn lock(&self) -> MutexGuard<'_, PipeState> {
        self.state.lock().expect("no holder panics")
    }
}

impl Stop for Pipe {
    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}
