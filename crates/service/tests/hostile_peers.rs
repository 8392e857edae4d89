//! Peers that lie, flood or keep silent, played by hand over links in memory against a real node's
//! services.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use potluck_base::{ContentId, PeerAddr, PeerId, PieceRange, RelPath};
use potluck_content::{Layout, Ticket, TicketKind, Value, Values, piece_value};
use potluck_link::mem::MemoryNet;
use potluck_link::{Endpoint, LaneTx, Link};
use potluck_proto::swarm::Message;
use potluck_proto::{BlockHeader, Frame, Hello, VERSION, What};
use potluck_service::directory::Directories;
use potluck_service::fetch::{Fetch, Fetched, Fetcher};
use potluck_service::peers::Peers;
use potluck_service::swarm::Swarms;
use potluck_service::{Announcing, Notice, Notices, ServiceError};
use potluck_store::{Audience, OnExists, Store};
use tempfile::TempDir;
use tokio::sync::{broadcast, mpsc};

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a story and leaves its threads behind: a lane that waits for more must not hold up the
/// verdict.
fn story(scene: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let timed = async { tokio::time::timeout(2 * PATIENCE, scene).await };
    let told = runtime.block_on(runtime.spawn(timed));
    runtime.shutdown_background();
    told.expect("the story is as told").expect("the story ends in time");
}

/// The services of one node.
struct Someone {
    fetcher: Fetcher,
    notices: broadcast::Receiver<Notice>,
    folder: TempDir,
    _home: TempDir,
}

fn someone(endpoint: Endpoint) -> Someone {
    let (home, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = Store::open(home.path()).unwrap();
    let sent = Notices::new();
    let notices = sent.listen();
    let peers = Peers::new(endpoint, "test/1".to_owned(), sent.clone());
    let swarms = Swarms::new(store.clone(), Arc::clone(&peers), sent.clone());
    peers.start(&swarms);
    let directories = Arc::new(Directories::default());
    let (of_store, of_directories) = (store.clone(), Arc::clone(&directories));
    let announcing = Announcing::new(of_store, of_directories, Arc::clone(&swarms), sent);
    let fetcher = Fetcher { store, peers, swarms, directories, announcing };
    Someone { fetcher, notices, folder, _home: home }
}

impl Someone {
    async fn get(&self, file: &Film, from: &[PeerId]) -> Result<Fetched, ServiceError> {
        let fetch = Fetch {
            ticket: Ticket {
                content: file.id,
                kind: TicketKind::File { size: file.bytes.len() as u64, executable: false },
                name: RelPath::parse("film").unwrap(),
                providers: from.iter().copied().map(PeerAddr::unknown).collect(),
                personal: false,
            },
            folder: self.folder.path().to_owned(),
            name: None,
            selection: Vec::new(),
            on_exists: OnExists::Refuse,
            give_up_after: Some(Duration::from_secs(4)),
            audience: Audience::anyone(),
            networks: Vec::new(),
            offer: None,
        };
        let (steps, mut heard) = mpsc::channel(64);
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        self.fetcher.fetch(fetch, &steps).await
    }

    fn received(&self) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join("film")).ok()
    }
}

/// A content of a few pieces.
struct Film {
    id: ContentId,
    bytes: Vec<u8>,
    layout: Layout,
    values: Vec<Value>,
}

fn film(pieces: usize) -> Film {
    let bytes: Vec<u8> = (0..pieces * 65_536 - 100).map(|i| (i * i / 7) as u8).collect();
    let layout = Layout::new(bytes.len() as u64);
    let piece = |index| {
        let (offset, length) = layout.span(index);
        &bytes[offset as usize..offset as usize + length as usize]
    };
    let values = (0..layout.pieces()).map(|i| piece_value(&layout, i, piece(i))).collect();
    Film { id: potluck_content::hash(&bytes), layout, values, bytes }
}

impl Film {
    fn of(&self, range: PieceRange) -> Vec<u8> {
        let span = |piece| self.layout.span(piece);
        let (start, _) = span(range.start);
        let (last, length) = span(range.end - 1);
        self.bytes[start as usize..last as usize + length as usize].to_vec()
    }
}

/// What a hand-made provider does with a request.
type Answer = fn(&Film, PieceRange, &mut LaneTx);

fn block(film: &Film, range: PieceRange, bytes: &[u8], lane: &mut LaneTx) {
    for (index, part) in bytes.chunks(potluck_base::limits::BLOCK_BYTES).enumerate() {
        assert_eq!(index, 0, "requests in these tests fit a block");
        let header = BlockHeader {
            content: film.id,
            range,
            offset: 0,
            bytes: part.len() as u32,
            last: true,
        };
        // The node may have hung up on us: that is what some tests want.
        let _ = lane.send(&[&header.encode(), part]);
    }
}

fn honest(film: &Film, range: PieceRange, lane: &mut LaneTx) {
    for piece in range.iter() {
        let one = PieceRange::one(piece);
        block(film, one, &film.of(one), lane);
    }
}

/// Provides a film to whoever links, in its own way.
async fn provide(endpoint: Endpoint, film: Arc<Film>, answer: Answer, forge_values: bool) {
    while let Some(link) = endpoint.accept().await {
        tokio::spawn(serve(link, Arc::clone(&film), answer, forge_values));
    }
}

async fn send(link: &Link, frame: Frame) {
    // The node may have hung up on us: that is what some tests want.
    let _ = link.send(frame.encode().into()).await;
}

async fn serve(link: Link, film: Arc<Film>, answer: Answer, forge_values: bool) {
    let content = film.id;
    let addresses: Vec<SocketAddr> = Vec::new();
    let agent = "liar/1".to_owned();
    send(
        &link,
        Frame::Hello(Hello { version: VERSION, features: 0, agent, addresses, relay: None }),
    )
    .await;
    while let Ok(Some(frame)) = link.recv().await {
        match Frame::decode(&frame).unwrap() {
            Frame::Ping(number) => send(&link, Frame::Pong(number)).await,
            Frame::Swarm { message: Message::Join { .. }, .. } => {
                let have = vec![PieceRange::new(0, film.layout.pieces())];
                let join = Message::Join { have, wants: false };
                send(&link, Frame::Swarm { content, message: join }).await;
                let grant = Message::Grant { bytes: 64 << 20 };
                send(&link, Frame::Swarm { content, message: grant }).await;
            }
            Frame::MetaRequest { id, what: What::Values { .. }, .. } => {
                let mut bytes: Vec<u8> = film.values.concat();
                bytes[7] ^= u8::from(forge_values);
                let total = bytes.len() as u64;
                send(&link, Frame::MetaChunk { id, total, offset: 0, bytes }).await;
            }
            Frame::Swarm { message: Message::Request(ranges), .. } => {
                let film = Arc::clone(&film);
                let Ok(mut lane) = link.outgoing_lane().await else { return };
                tokio::task::spawn_blocking(move || {
                    ranges.into_iter().for_each(|range| answer(&film, range, &mut lane));
                });
            }
            _ => {}
        }
    }
}

fn peer(number: u8) -> PeerId {
    PeerId([number; 32])
}

/// One node and some hand-made providers; the node gets the film from them.
async fn play(
    film: &Arc<Film>,
    providers: &[(Answer, bool)],
) -> (Someone, Result<Fetched, ServiceError>) {
    let net = MemoryNet::new();
    let mut ids = Vec::new();
    for (number, (answer, forge)) in providers.iter().enumerate() {
        ids.push(peer(number as u8 + 10));
        let endpoint = net.endpoint(ids[number]);
        tokio::spawn(provide(endpoint, Arc::clone(film), *answer, *forge));
    }
    let ben = someone(net.endpoint(peer(1)));
    let got = tokio::time::timeout(PATIENCE, ben.get(film, &ids)).await.expect("it ends in time");
    (ben, got)
}

fn liars(ben: &mut Someone) -> Vec<PeerId> {
    let mut liars = Vec::new();
    while let Ok(notice) = ben.notices.try_recv() {
        if let Notice::Liar { peer, .. } = notice {
            liars.push(peer);
        }
    }
    liars
}

#[test]
fn an_honest_hand_made_provider_is_understood() {
    story(async {
        let film = Arc::new(film(9));
        let (ben, got) = play(&film, &[(honest, false)]).await;
        assert_eq!(got.unwrap().bytes, film.bytes.len() as u64);
        assert_eq!(ben.received().as_deref(), Some(film.bytes.as_slice()));
    });
}

#[test]
fn wrong_bytes_are_never_kept_and_come_from_another_peer() {
    story(async {
        let film = Arc::new(film(40));
        let wrong: Answer = |film, range, lane| {
            for piece in range.iter() {
                let one = PieceRange::one(piece);
                let mut bytes = film.of(one);
                bytes[1000] ^= 1;
                block(film, one, &bytes, lane);
            }
        };
        let (mut ben, got) = play(&film, &[(wrong, false), (honest, false)]).await;
        let got = got.unwrap();
        assert_eq!(ben.received().as_deref(), Some(film.bytes.as_slice()));
        assert!(!got.from.contains_key(&peer(10)), "nothing of the liar's counts: {:?}", got.from);
        assert_eq!(liars(&mut ben), [peer(10)], "one lie, told once, is the last");
    });
}

#[test]
fn only_a_liar_left_means_no_file() {
    story(async {
        let film = Arc::new(film(5));
        let wrong: Answer = |film, range, lane| {
            let length = film.of(range).len();
            block(film, range, &vec![0; length.min(200_000)], lane);
        };
        let (ben, got) = play(&film, &[(wrong, false)]).await;
        assert!(matches!(got, Err(ServiceError::GaveUp(_))), "{got:?}");
        assert_eq!(ben.received(), None, "an unfinished file must not look finished");
    });
}

#[test]
fn forged_values_are_a_lie_too() {
    story(async {
        let film = Arc::new(film(20));
        let (mut ben, got) = play(&film, &[(honest, true), (honest, false)]).await;
        assert!(got.is_ok(), "{got:?}");
        assert_eq!(ben.received().as_deref(), Some(film.bytes.as_slice()));
        assert!(liars(&mut ben).iter().all(|liar| *liar == peer(10)));
    });
}

#[test]
fn pieces_that_nobody_asked_for_are_not_written() {
    story(async {
        let film = Arc::new(film(6));
        // Says that the bytes are of pieces far beyond the content, and of all pieces at once.
        let other: Answer = |film, range, lane| {
            let bytes = film.of(PieceRange::one(0));
            block(film, PieceRange::new(4_000_000, 4_000_001), &bytes, lane);
            block(film, PieceRange::new(0, 1000), &bytes, lane);
            honest(film, range, lane);
        };
        let (ben, got) = play(&film, &[(other, false)]).await;
        assert!(got.is_ok(), "{got:?}");
        assert_eq!(ben.received().as_deref(), Some(film.bytes.as_slice()));
    });
}

#[test]
fn a_peer_that_keeps_silent_loses_its_pieces_to_another() {
    story(async {
        let film = Arc::new(film(40));
        let silent: Answer = |_, _, _| {};
        let net = MemoryNet::new();
        tokio::spawn(provide(net.endpoint(peer(10)), Arc::clone(&film), silent, false));
        tokio::spawn(provide(net.endpoint(peer(11)), Arc::clone(&film), honest, false));
        let ben = someone(net.endpoint(peer(1)));
        let got = tokio::time::timeout(PATIENCE, ben.get(&film, &[peer(10), peer(11)])).await;
        assert!(got.expect("it ends in time").is_ok());
        assert_eq!(ben.received().as_deref(), Some(film.bytes.as_slice()));
    });
}

#[test]
fn nonsense_ends_the_link_and_the_node_goes_on() {
    story(async {
        let film = Arc::new(film(3));
        let net = MemoryNet::new();
        let ann = someone(net.endpoint(peer(1)));
        let path = ann.folder.path().join("film");
        std::fs::write(&path, &film.bytes).unwrap();
        share(&ann, &path).await;
        let eve = net.endpoint(peer(5));
        for nonsense in [&b"\xff\xff\xff"[..], &[0; 64], b""] {
            let link = eve.dial(&PeerAddr::unknown(peer(1))).await.unwrap();
            let agent = "eve/1".to_owned();
            let hello =
                Hello { version: VERSION, features: 0, agent, addresses: vec![], relay: None };
            send(&link, Frame::Hello(hello)).await;
            link.send(nonsense.to_vec().into()).await.unwrap();
            let closed = tokio::time::timeout(PATIENCE, link.closed()).await;
            assert!(closed.is_ok(), "the node hangs up on nonsense");
        }
        let ben = someone(net.endpoint(peer(2)));
        assert!(ben.get(&film, &[peer(1)]).await.is_ok(), "others are served as before");
    });
}

#[test]
fn what_is_not_shared_is_refused_in_words() {
    story(async {
        let film = Arc::new(film(3));
        let net = MemoryNet::new();
        let _ann = someone(net.endpoint(peer(1)));
        let ben = someone(net.endpoint(peer(2)));
        let got = ben.get(&film, &[peer(1)]).await;
        assert!(matches!(got, Err(ServiceError::NotShared)), "{got:?}");
    });
}

#[test]
fn a_newer_peer_is_told_apart_with_a_clear_message() {
    story(async {
        let net = MemoryNet::new();
        let ann = someone(net.endpoint(peer(1)));
        let new = net.endpoint(peer(9));
        tokio::spawn(async move {
            while let Some(link) = new.accept().await {
                let agent = "potluck/9.0.0".to_owned();
                let hello =
                    Hello { version: 9, features: 0, agent, addresses: vec![], relay: None };
                send(&link, Frame::Hello(hello)).await;
                link.closed().await;
            }
        });
        ann.fetcher.peers.learn(PeerAddr::unknown(peer(9)));
        let refused = ann.fetcher.peers.dial(peer(9)).await.unwrap_err().to_string();
        assert!(refused.contains("potluck/9.0.0") && refused.contains("update"), "{refused}");
    });
}

async fn share(who: &Someone, path: &Path) {
    let (steps, mut heard) = mpsc::channel(64);
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    let paths = vec![path.to_owned()];
    potluck_service::share::share(&who.fetcher.store, paths, None, &steps).await.unwrap();
}

#[test]
fn the_values_of_the_film_are_right() {
    let film = film(9);
    assert!(Values::verify(film.layout, film.id, film.values).is_ok());
}
