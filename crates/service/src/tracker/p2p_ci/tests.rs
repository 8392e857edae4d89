//! Clients of the gateway on loopback, and its book in virtual time.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use potluck_base::limits;
use potluck_proto::p2p_ci::Dialect;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::book::Book;
use super::{CiBackend, CiPeer, CiRefusal, CiRow, Gateway, vouch};
use crate::p2p_ci::{CiClient, Me};

/// An index in memory that tells what it was asked to do.
struct Index {
    rows: Mutex<Vec<CiRow>>,
    told: mpsc::UnboundedSender<String>,
}

impl Index {
    fn tell(&self, what: String) {
        let _ = self.told.send(what);
    }
}

impl CiBackend for Index {
    fn add(&self, peer: &CiPeer, number: u32, title: &str) -> Result<(), CiRefusal> {
        if title == "refused" {
            return Err(CiRefusal("not this one".to_owned()));
        }
        let (host, port) = (peer.address.ip().to_string(), peer.address.port());
        self.rows.lock().unwrap().push(CiRow { number, title: title.to_owned(), host, port });
        self.tell(format!("add {number} {} {}", peer.host, peer.address));
        Ok(())
    }

    fn gone(&self, peer: &CiPeer) {
        self.rows.lock().unwrap().retain(|row| row.port != peer.address.port());
        self.tell(format!("gone {}", peer.address));
    }

    fn reset(&self) {
        self.rows.lock().unwrap().clear();
        self.tell("reset".to_owned());
    }

    fn lookup(&self, number: Option<u32>, title: Option<&str>) -> Vec<CiRow> {
        let rows = self.rows.lock().unwrap();
        let fits = |row: &&CiRow| match number {
            Some(number) => row.number == number,
            None => title == Some(row.title.as_str()),
        };
        rows.iter().filter(fits).cloned().collect()
    }

    fn list(&self) -> Vec<CiRow> {
        self.rows.lock().unwrap().clone()
    }
}

/// A gateway that runs.
struct World {
    at: SocketAddr,
    told: mpsc::UnboundedReceiver<String>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl World {
    async fn start() -> Self {
        let (told, mut heard) = mpsc::unbounded_channel();
        let index = Arc::new(Index { rows: Mutex::default(), told });
        let gateway = Gateway::bind("127.0.0.1:0".parse().unwrap(), index).await.unwrap();
        let at = gateway.local_addr().unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(gateway.run(stop.clone()));
        assert_eq!(heard.recv().await.unwrap(), "reset");
        Self { at, told: heard, stop, running }
    }

    async fn client(&self, port: u16) -> CiClient {
        let me = Me { host: "localhost".to_owned(), port };
        let port = self.at.port();
        CiClient::connect("127.0.0.1", port, me, Dialect::default()).await.unwrap()
    }

    async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.at).await.unwrap()
    }

    async fn heard(&mut self) -> String {
        self.told.recv().await.unwrap()
    }
}

/// Sends a request and reads the answer to its empty line, or what there is when it ends.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn what_a_connection_registered_goes_when_it_ends() {
    let mut world = World::start().await;
    let mut first = world.client(5001).await;
    let mut second = world.client(5002).await;
    assert_eq!(first.add(1, "One").await.unwrap().code, 200);
    assert_eq!(first.add(2, "Two").await.unwrap().code, 200);
    assert_eq!(world.heard().await, "add 1 localhost 127.0.0.1:5001");
    assert_eq!(world.heard().await, "add 2 localhost 127.0.0.1:5001");
    assert_eq!(second.list().await.unwrap().rows.len(), 2);
    drop(first);
    assert_eq!(world.heard().await, "gone 127.0.0.1:5001");
    assert_eq!(second.list().await.unwrap().rows, []);
}

#[tokio::test]
async fn a_client_that_connects_for_each_request_keeps_its_records() {
    let mut world = World::start().await;
    let mut once = world.client(5001).await;
    once.add(1, "One").await.unwrap();
    assert_eq!(world.heard().await, "add 1 localhost 127.0.0.1:5001");
    drop(once);
    let mut again = world.client(5001).await;
    let rows = again.lookup(1, "whatever").await.unwrap().rows;
    assert_eq!(rows[0].title, "One");
    drop(again);
    let goodbye = "EXIT P2P-CI/1.0\r\nHost: localhost\r\nPort: 5001\r\n\r\n";
    assert_eq!(ask(&mut world.raw().await, goodbye).await, "P2P-CI/1.0 200 OK\r\n\r\n");
    assert_eq!(world.heard().await, "gone 127.0.0.1:5001");
}

#[tokio::test]
async fn rows_of_the_title_come_first_and_nothing_is_404() {
    let world = World::start().await;
    let mut client = world.client(5001).await;
    for title in ["Alpha", "Beta"] {
        client.add(1, title).await.unwrap();
    }
    let titles = |rows: Vec<CiRow>| rows.into_iter().map(|row| row.title).collect::<Vec<_>>();
    let rows = client.lookup(1, "beta").await.unwrap().rows;
    assert_eq!(titles(rows), ["Beta", "Alpha"]);
    assert_eq!(client.lookup(9, "Beta").await.unwrap().code, 404);
    assert_eq!(client.add(2, "refused").await.unwrap().code, 400);
    let by_title = "LOOKUP P2P-CI/1.0\r\nTitle: Alpha\r\n\r\n";
    let answer = ask(&mut world.raw().await, by_title).await;
    assert!(answer.starts_with("P2P-CI/1.0 200 OK"), "{answer}");
}

#[tokio::test]
async fn nonsense_is_refused_and_too_much_of_it_ends_the_connection() {
    let world = World::start().await;
    let mut stream = world.raw().await;
    let get = "GET RFC 1 P2P-CI/1.0\r\nHost: h\r\nOS: x\r\n\r\n";
    let bad = "P2P-CI/1.0 400 Bad Request\r\n\r\n";
    assert_eq!(ask(&mut stream, get).await, bad);
    for _ in 0..limits::CI_FAULTS {
        assert_eq!(ask(&mut stream, "LOGIN P2P-CI/1.0\r\n\r\n").await, bad);
    }
    assert_eq!(ask(&mut stream, "LOGIN P2P-CI/1.0\r\n\r\n").await, "");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_ended() {
    let world = World::start().await;
    let list = "LIST ALL P2P-CI/1.0\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..limits::CI_CONNECTIONS_PER_HOST {
        let mut stream = world.raw().await;
        assert!(ask(&mut stream, list).await.contains("200"));
        open.push(stream);
    }
    assert_eq!(world.raw().await.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_stop_ends_all_connections_and_empties_the_index() {
    let mut world = World::start().await;
    let mut client = world.client(5001).await;
    client.add(1, "One").await.unwrap();
    assert_eq!(world.heard().await, "add 1 localhost 127.0.0.1:5001");
    world.stop.cancel();
    (&mut world.running).await.unwrap();
    assert_eq!(world.heard().await, "reset");
    assert!(client.list().await.is_err());
}

#[tokio::test]
async fn a_client_cannot_register_for_another_machine() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let (far, home) = (ip("192.0.2.7"), ip("127.0.0.1"));
    for (from, host, expected) in [
        (far, "192.0.2.7", Some(far)),
        (far, "192.0.2.8", None),
        (far, "::1", Some(far)),
        (far, "127.0.1.1", Some(far)),
        (far, "0.0.0.0", Some(far)),
        (far, "somebody-elses-name", Some(far)),
        (far, "::ffff:192.0.2.7", Some(far)),
        (home, "localhost", Some(home)),
        (home, "127.0.0.2", Some(home)),
        (home, "192.0.2.8", Some(ip("192.0.2.8"))),
        (home, "", Some(home)),
    ] {
        assert_eq!(vouch(from, host).await, expected, "{from} {host}");
    }
}

fn peer(port: u16) -> (CiPeer, IpAddr) {
    let ip = IpAddr::from([192, 0, 2, 1]);
    (CiPeer { host: "h".to_owned(), address: SocketAddr::new(ip, port) }, ip)
}

#[test]
fn a_lease_ends_unless_a_request_renews_it() {
    let (mut book, now) = (Book::default(), Instant::now());
    let (peer, from) = peer(1);
    book.admit(&peer, from, true, (1, "One")).unwrap();
    let held = BTreeSet::from([peer.address]);
    assert_eq!(book.expire(now + limits::CI_LEASE * 3), []);
    assert_eq!(book.release(&held, true, now), []);
    book.renew(from, 1, now + limits::CI_LEASE / 2);
    assert_eq!(book.expire(now + limits::CI_LEASE), []);
    assert_eq!(book.expire(now + limits::CI_LEASE * 3 / 2), [peer]);
}

#[test]
fn a_client_on_two_connections_stays_until_both_have_ended() {
    let (mut book, now) = (Book::default(), Instant::now());
    let (peer, from) = peer(1);
    book.admit(&peer, from, true, (1, "One")).unwrap();
    book.admit(&peer, from, true, (2, "Two")).unwrap();
    let held = BTreeSet::from([peer.address]);
    assert_eq!(book.release(&held, false, now), []);
    assert_eq!(book.release(&held, false, now), [peer]);
}

#[test]
fn files_of_one_address_are_counted_over_all_its_clients() {
    let mut book = Book::default();
    let (first, from) = peer(1);
    let (second, _) = peer(2);
    for number in 0..limits::CI_RECORDS_PER_HOST as u32 {
        book.admit(&first, from, number == 0, (number, "t")).unwrap();
    }
    assert!(book.admit(&first, from, false, (5, "t")).is_ok(), "the same file again");
    assert!(book.admit(&second, from, true, (1, "t")).is_err());
    book.leave(&BTreeSet::from([first.address]));
    assert!(book.admit(&second, from, true, (1, "t")).is_ok());
}
