//! Many clients played by hand in one process.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use potluck_base::{ContentId, NetworkId, ShareKey};
use potluck_identity::{Invite, SecretKey, Signed};
use potluck_proto::directory::record::{
    Entry, EntryKind, Page, Place, ShareHead, page_of, pages_for,
};
use potluck_proto::directory::tracker::Request;
use potluck_service::now_ms;

use crate::hand::{self, Hand};
use crate::role::{answer_of, micros, orders};
use crate::{FILES_PER_CLIENT, names};

/// Clients that do something at the same time. A tracker lets 64 be half open from one address.
const AT_ONCE: usize = 24;
/// How long shares are listed.
const LISTED_MS: u64 = 86_400_000;
/// Attempts to dial.
const DIALS: u32 = 5;

static DIALS_REPEATED: AtomicU64 = AtomicU64::new(0);

/// One client: what it will publish is signed before anything is measured.
struct Client {
    number: u64,
    share: Signed<ShareHead>,
    pages: Vec<Page>,
}

/// Is a crowd until the process that wanted one is gone.
pub async fn run(invite: &Invite, numbers: Range<u64>) {
    let network = invite.record.value.network;
    let clients: Vec<Client> = numbers.map(|number| Client::new(network, number)).collect();
    let mut hands: Vec<Arc<Hand>> = Vec::new();
    println!("ready");
    let mut orders = orders();
    while let Ok(Some(order)) = orders.next_line().await {
        let answer = match order.as_str() {
            "link" => {
                let dialling = clients.iter().map(|client| dial(invite, client.number));
                let dialled: Vec<_> = stream::iter(dialling).buffered(AT_ONCE).collect().await;
                let (times, linked): (Vec<f64>, Vec<_>) = dialled.into_iter().unzip();
                hands = linked;
                times
            }
            "register" => each(&clients, &hands, Client::register).await,
            "publish" => each(&clients, &hands, Client::publish).await,
            "alive" => {
                let linked = hands.iter().filter(|hand| hand.is_linked()).count() as f64;
                let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
                vec![linked, count(&hand::PUT_OFF), count(&DIALS_REPEATED)]
            }
            other => panic!("no order: {other}"),
        };
        println!("{}", answer_of(&answer));
    }
}

/// Lets each do something; returns how long each took, microseconds.
async fn each<'a, F: Future<Output = ()>>(
    clients: &'a [Client],
    hands: &'a [Arc<Hand>],
    what: impl Fn(&'a Client, &'a Arc<Hand>) -> F,
) -> Vec<f64> {
    let timed = clients.iter().zip(hands).map(|(client, hand)| {
        let doing = what(client, hand);
        async move {
            let begun = Instant::now();
            doing.await;
            micros(begun.elapsed())
        }
    });
    stream::iter(timed).buffer_unordered(AT_ONCE).collect().await
}

async fn dial(invite: &Invite, number: u64) -> (f64, Arc<Hand>) {
    let begun = Instant::now();
    for attempt in 1..=DIALS {
        match Hand::dial(invite, hand::key(hand::CROWD, number)).await {
            Ok(hand) => return (micros(begun.elapsed()), hand),
            Err(error) if attempt == DIALS => panic!("client {number}: {error}"),
            Err(_) => DIALS_REPEATED.fetch_add(1, Ordering::Relaxed),
        };
    }
    unreachable!("the last attempt returns")
}

impl Client {
    fn new(network: NetworkId, number: u64) -> Self {
        let entries = entries(number);
        let (share, pages) = publication(network, &hand::key(hand::CROWD, number), entries);
        Self { number, share, pages }
    }

    async fn register(&self, hand: &Arc<Hand>) {
        let lease = hand.register(&format!("client {}", self.number)).await.unwrap();
        let hand = Arc::clone(hand);
        // Not all at the same time.
        let wait = Duration::from_millis(self.number * 37 % (lease.as_millis() as u64 / 3));
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            hand.live(lease).await;
        });
    }

    async fn publish(&self, hand: &Arc<Hand>) {
        hand.ask(Request::PutShare { head: self.share.clone() }).await.unwrap();
        let pages = self.pages.iter().cloned();
        let putting = pages.map(|page| hand.ask(Request::PutPage { page }));
        for result in futures_util::future::join_all(putting).await {
            result.unwrap();
        }
    }
}

/// The files of a client, by name: one in ten is also elsewhere.
pub fn entries(number: u64) -> Vec<Entry> {
    let files = number * FILES_PER_CLIENT..(number + 1) * FILES_PER_CLIENT;
    let entry = |number: u64| {
        let content = if number.is_multiple_of(10) { number / 10 % 1000 } else { 1000 + number };
        Entry {
            path: names::path(number),
            content: potluck_content::hash(&content.to_le_bytes()),
            size: content * 1000,
            kind: EntryKind::File,
            executable: false,
            modified_s: 1_700_000_000 + number,
        }
    };
    let mut entries: Vec<Entry> = files.map(entry).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn publication(
    network: NetworkId,
    key: &SecretKey,
    entries: Vec<Entry>,
) -> (Signed<ShareHead>, Vec<Page>) {
    let (share, pages) = (ShareKey([7; 16]), pages_for(entries.len()));
    let (sequence, expires_ms) = (now_ms(), now_ms() + LISTED_MS);
    let head = ShareHead {
        network,
        peer: key.peer_id(),
        share,
        name: "Things".to_owned(),
        tags: Vec::new(),
        content: ContentId(key.peer_id().0),
        kind: EntryKind::Folder,
        size: entries.iter().map(|entry| entry.size).sum(),
        files: entries.len() as u32,
        partial: false,
        pages,
        sequence,
        expires_ms,
    };
    let page = |page| {
        let place = Place { network, share, page, pages, sequence, expires_ms };
        let of_page = entries.iter().filter(|entry| page_of(&entry.path, pages) == page);
        Page::make(key, place, of_page.cloned().collect()).unwrap()
    };
    (Signed::sign(key, head), (0..pages).map(page).collect())
}
