//! Many clients as they really are in one process: the machine that dials again, registers and
//! compares what is listed. Only their store is one for all.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use potluck_base::{ContentId, ShareKey};
use potluck_identity::{Invite, Membership, Revocations};
use potluck_link::Endpoint;
use potluck_proto::directory::tracker::Nick;
use potluck_service::Notices;
use potluck_service::directory::tracker::{Setup, Switchboard, TrackerDirectory};
use potluck_service::directory::{Announcement, EntryKind};
use potluck_service::directory::{Happened, State};
use potluck_service::peers::Peers;
use potluck_service::swarm::Swarms;
use potluck_store::Store;
use tokio::sync::mpsc;

use crate::role::{answer_of, orders, unix_us};
use crate::{crowd, hand, tracker};

/// Clients that start at the same time.
const AT_ONCE: usize = 16;
const LINKS: usize = 8;
/// How long everybody is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Their files are others than those of the crowd.
const FIRST_FILES: u64 = 1_000_000;

/// When a client last registered, and last had everything listed; microseconds, 0 for never.
type Moments = Arc<Mutex<[u64; 2]>>;

struct Client {
    moments: Moments,
    _directory: Arc<TrackerDirectory>,
    _swarms: Arc<Swarms>,
}

/// Is such clients until the process that wanted them is gone.
pub async fn run(invite: &Invite, count: u64, folder: &Path) {
    let store = Store::open(folder).unwrap();
    let starting = (0..count).map(|number| Client::start(invite, number, store.clone()));
    let clients: Vec<Client> = stream::iter(starting).buffer_unordered(AT_ONCE).collect().await;
    println!("ready");
    let mut orders = orders();
    while let Ok(Some(order)) = orders.next_line().await {
        let since = order.strip_prefix("back ").expect("no other order").parse().unwrap();
        wait(&clients, since).await;
        let times = |what| {
            let moments = clients.iter().map(|client| client.moments.lock().unwrap()[what]);
            let times = moments.filter(|at| *at > since).map(|at| (at - since) as f64);
            answer_of(&times.collect::<Vec<_>>())
        };
        println!("{};{}", times(0), times(1));
    }
}

/// Waits until all have registered since then, and have everything listed.
async fn wait(clients: &[Client], since: u64) {
    let begun = Instant::now();
    let back = |client: &Client| client.moments.lock().unwrap().iter().all(|at| *at > since);
    while begun.elapsed() < PATIENCE && !clients.iter().all(back) {
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

impl Client {
    /// Starts a client and waits until everything that it publishes is listed.
    async fn start(invite: &Invite, number: u64, store: Store) -> Self {
        let (secret, notices) = (hand::key(hand::WAVE, number), Notices::new());
        let endpoint = Endpoint::bind(tracker::config(secret.clone(), 0, LINKS)).await.unwrap();
        let peers = Peers::new(endpoint, "bench/1".to_owned(), notices.clone());
        let swarms = Swarms::new(store.clone(), Arc::clone(&peers), notices);
        let switchboard = Arc::new(Switchboard::default());
        peers.listen_frames(Arc::clone(&switchboard) as Arc<_>);
        peers.start(&swarms);
        let setup = Setup {
            record: invite.record.clone(),
            membership: Membership::open(secret.peer_id()),
            revocations: Revocations::none(invite.record.value.network),
            nick: Nick::Any,
            token: None,
            published: vec![announcement(number)],
            secret,
            agent: "bench/1".to_owned(),
            p2p_ci: None,
            peers,
            switchboard,
            store,
        };
        let (directory, happenings) = TrackerDirectory::start(setup).await.unwrap();
        let moments = Moments::default();
        tokio::spawn(follow(happenings, Arc::clone(&moments)));
        let client = Self { moments, _directory: directory, _swarms: swarms };
        wait(std::slice::from_ref(&client), 0).await;
        client
    }
}

async fn follow(mut happenings: mpsc::Receiver<Happened>, moments: Moments) {
    while let Some(happened) = happenings.recv().await {
        match happened {
            Happened::State(State::Online { .. }) => moments.lock().unwrap()[0] = unix_us(),
            Happened::InStep => moments.lock().unwrap()[1] = unix_us(),
            _ => {}
        }
    }
}

fn announcement(number: u64) -> Announcement {
    let entries = crowd::entries(FIRST_FILES + number);
    let mut key = [9; 16];
    key[..8].copy_from_slice(&number.to_le_bytes());
    Announcement {
        share: ShareKey(key),
        name: "Things".to_owned(),
        tags: Vec::new(),
        content: ContentId(hand::key(hand::WAVE, number).peer_id().0),
        kind: EntryKind::Folder,
        size: entries.iter().map(|entry| entry.size).sum(),
        partial: false,
        entries: Arc::new(entries),
    }
}
