//! Every route against everybody who should not get in, and the life of a command's stream.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use potluck_api::{Command, Event, Line, Outcome, Reply, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, broadcast, mpsc};

use super::*;
use crate::routes::Route;

/// A node that answers `status` with an error, `peers` never, and `stop` at once.
#[derive(Clone)]
struct FakeNode {
    home: PathBuf,
    asked: Arc<AtomicBool>,
    cancelled: Arc<Notify>,
    events: broadcast::Sender<Event>,
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Node for FakeNode {
    async fn run(&self, command: Command, events: mpsc::Sender<Event>) -> Result<Reply, ApiError> {
        self.asked.store(true, Ordering::SeqCst);
        match command {
            Command::Stop => {
                let stage = Event::Stage { content: None, stage: Stage::Finishing };
                events.send(stage).await.unwrap();
                Ok(Reply::Stopping)
            }
            Command::Peers => {
                let _notify = NotifyOnDrop(self.cancelled.clone());
                let waiting =
                    Event::Waiting { content: None, reason: "ever".into(), retry_in_ms: None };
                events.send(waiting).await.unwrap();
                std::future::pending().await
            }
            _ => Err(ApiError::new(ErrorKind::NoSpace, "the disk is full")),
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn home(&self) -> &Path {
        &self.home
    }

    fn set_api_address(&self, _: SocketAddr) {}
}

struct World {
    server: ApiServer,
    node: FakeNode,
    _home: tempfile::TempDir,
}

async fn world() -> World {
    let home = tempfile::tempdir().unwrap();
    let node = FakeNode {
        home: home.path().to_owned(),
        asked: Arc::default(),
        cancelled: Arc::default(),
        events: broadcast::channel(8).0,
    };
    let server = serve_node(node.clone(), "127.0.0.1:0".parse().unwrap(), true).await.unwrap();
    World { server, node, _home: home }
}

impl World {
    fn host(&self) -> String {
        self.server.address.to_string()
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.server.token)
    }

    /// Sends a request as typed and gives the connection.
    async fn send(&self, route: Route, host: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.server.address).await.unwrap();
        let request = format!(
            "{} {} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            route.method(),
            route.path(),
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// The status of the answer, and its text if the answer ends by itself.
    async fn ask(&self, route: Route, host: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = self.send(route, host, headers, body).await;
        let mut answer = Vec::new();
        if route == Route::Events {
            answer.resize(12, 0);
            stream.read_exact(&mut answer).await.unwrap();
        } else {
            stream.read_to_end(&mut answer).await.unwrap();
        }
        let answer = String::from_utf8(answer).unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }

    async fn run(&self, command: &str) -> (u16, String) {
        let host = format!("Host: {}\r\n", self.host());
        self.ask(Route::Run, &host, &self.bearer(), command).await
    }
}

#[tokio::test]
async fn every_route_refuses_everybody_but_us() {
    let world = world().await;
    let port = world.server.address.port();
    let ours = format!("Host: {}\r\n", world.host());
    let good = world.bearer();
    let token = &world.server.token;
    let upper = token.to_ascii_uppercase();
    let stop = r#"{"type":"stop"}"#;
    let hosts = [
        format!("Host: evil.example:{port}\r\n"),
        format!("Host: 127.0.0.1.evil.example:{port}\r\n"),
        format!("Host: {}0\r\n", world.host()),
        "Host: 127.0.0.1\r\n".into(),
        format!("Host: 127.0.0.2:{port}\r\n"),
        format!("{ours}Host: evil.example\r\n"),
        String::new(),
    ];
    let origins = ["http://evil.example", "null", "https://localhost", "http://localhost:1"];
    let tokens = [
        String::new(),
        "Authorization: Bearer \r\n".into(),
        format!("Authorization: Bearer {upper}\r\n"),
        format!("Authorization: Bearer {token}x\r\n"),
        format!("Authorization: Bearer {}\r\n", &token[1..]),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: {token}\r\n"),
        format!("X-Token: {token}\r\n"),
    ];
    for route in Route::ALL {
        for host in &hosts {
            let (status, _) = world.ask(route, host, &good, stop).await;
            // Two hosts, or none, are refused even earlier, as not being HTTP.
            assert!(matches!(status, 421 | 400), "{route:?} {host} {status}");
        }
        for origin in origins {
            let headers = format!("{good}Origin: {origin}\r\n");
            assert_eq!(world.ask(route, &ours, &headers, stop).await.0, 403, "{route:?} {origin}");
        }
        for wrong in tokens.iter().filter(|_| route != Route::Health) {
            let (status, answer) = world.ask(route, &ours, wrong, stop).await;
            assert_eq!(status, 401, "{route:?} {wrong}");
            assert!(!answer.contains(token.as_str()));
        }
    }
    assert!(!world.node.asked.load(Ordering::SeqCst), "a refused request reached the node");
}

#[tokio::test]
async fn every_route_answers_us() {
    let world = world().await;
    let origin = format!("Origin: http://localhost:{}\r\n", world.server.address.port());
    for host in [world.host(), format!("localhost:{}", world.server.address.port())] {
        for route in Route::ALL {
            let headers = world.bearer() + &origin;
            let host = format!("Host: {host}\r\n");
            let (status, _) = world.ask(route, &host, &headers, r#"{"type":"stop"}"#).await;
            assert_eq!(status, 200, "{route:?}");
        }
    }
    let host = format!("Host: {}\r\n", world.host());
    assert_eq!(world.ask(Route::Health, &host, "", "").await.0, 200);
}

#[tokio::test]
async fn a_path_that_is_no_route_is_guarded_too() {
    let world = world().await;
    let request = format!("GET /v2 HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", world.host());
    for (headers, expected) in [(String::new(), "401"), (world.bearer(), "404")] {
        let mut stream = TcpStream::connect(world.server.address).await.unwrap();
        stream.write_all(format!("{request}{headers}\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(&answer[9..12], expected);
    }
}

#[tokio::test]
async fn a_stream_has_the_events_and_ends_with_the_outcome() {
    let world = world().await;
    let (status, answer) = world.run(r#"{"type":"stop"}"#).await;
    assert_eq!(status, 200);
    let lines: Vec<Line> = answer
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(matches!(lines[0], Line::Event(Event::Stage { .. })), "{lines:?}");
    assert_eq!(lines[1], Line::Outcome(Outcome::Done { reply: Reply::Stopping }));
    assert_eq!(lines.len(), 2);
}

#[tokio::test]
async fn a_command_that_fails_at_once_has_the_status_of_its_kind() {
    let world = world().await;
    let (status, answer) = world.run(r#"{"type":"status"}"#).await;
    assert_eq!(status, ErrorKind::NoSpace.http_status());
    assert!(answer.contains(r#""kind":"no-space""#), "{answer}");
}

#[tokio::test]
async fn what_is_no_command_is_refused_with_a_reason() {
    let world = world().await;
    for (body, expected) in
        [("{", 400), (r#"{"type":"dance"}"#, 422), (r#"{"type":"unshare","id":"a","x":1}"#, 422)]
    {
        let (status, answer) = world.run(body).await;
        assert_eq!(status, expected, "{body}");
        assert!(answer.contains(r#""kind":"usage""#), "{answer}");
    }
    assert!(!world.node.asked.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_door_that_goes_away_cancels_its_command() {
    let world = world().await;
    let host = format!("Host: {}\r\n", world.host());
    let body = r#"{"type":"peers"}"#;
    let mut stream = world.send(Route::Run, &host, &world.bearer(), body).await;
    // The first event shows that the command runs.
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    drop(stream);
    world.node.cancelled.notified().await;
}

#[tokio::test]
async fn a_server_that_stops_tells_commands_that_they_are_interrupted() {
    let world = world().await;
    let host = format!("Host: {}\r\n", world.host());
    let body = r#"{"type":"peers"}"#;
    let mut stream = world.send(Route::Run, &host, &world.bearer(), body).await;
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    world.server.stop().await;
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8(answer).unwrap().contains(r#""kind":"interrupted""#));
}

#[tokio::test]
async fn an_address_that_others_could_reach_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let node = FakeNode {
        home: home.path().to_owned(),
        asked: Arc::default(),
        cancelled: Arc::default(),
        events: broadcast::channel(8).0,
    };
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = serve_node(node.clone(), listen.parse().unwrap(), false).await;
        assert!(matches!(refused, Err(HttpError::NotLoopback(_))), "{listen}");
    }
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn watchers_see_what_happens_in_the_node() {
    let world = world().await;
    let host = format!("Host: {}\r\n", world.host());
    let mut stream = world.send(Route::Events, &host, &world.bearer(), "").await;
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    let event = Event::Warning { text: "a link was skipped".into(), path: None };
    world.node.events.send(event).unwrap();
    while !String::from_utf8_lossy(&answer).contains("a link was skipped") {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "the stream ended");
    }
}

#[tokio::test]
async fn a_node_that_is_ending_takes_no_more_commands_and_says_so() {
    let world = world().await;
    world.server.end_commands();
    let host = format!("Host: {}\r\n", world.host());
    assert_eq!(world.ask(Route::Health, &host, "", "").await.0, 503);
    let (status, answer) = world.run(r#"{"type":"peers"}"#).await;
    assert!(answer.contains(r#""kind":"interrupted""#), "{status} {answer}");
}
