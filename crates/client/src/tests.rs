//! The client against a listener that answers as typed.

use potluck_api::Stage;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const HEALTHY: &str = "{\"api\":1,\"version\":\"0.1.0\"}";

/// Answers each connection with the next text and gives what was asked.
async fn node(answers: Vec<String>) -> (tempfile::TempDir, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = tempfile::tempdir().unwrap();
    write_file(&home, listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            asked.push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    (home, task)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    body.len() == length.map_or(0, |length| length.parse().unwrap())
}

fn write_file(home: &tempfile::TempDir, address: SocketAddr) {
    let file = ApiFile { address, token: "secret".into(), pid: 1, daemon: true };
    std::fs::write(home.path().join(API_FILE), serde_json::to_vec(&file).unwrap()).unwrap();
}

fn response(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n{body}")
}

fn stream(body: &str) -> String {
    response("200 OK", "application/x-ndjson", body)
}

fn healthy() -> String {
    response("200 OK", "application/json", HEALTHY)
}

async fn run(answer: String) -> (Result<Reply, ApiError>, Vec<Event>, Vec<String>) {
    let (home, asked) = node(vec![healthy(), answer]).await;
    let client = Client::from_home(home.path()).await.unwrap().unwrap();
    let mut events = Vec::new();
    let result = client.run(Command::Stop, |event| events.push(event)).await;
    (result, events, asked.await.unwrap())
}

#[tokio::test]
async fn a_command_is_posted_with_the_token_and_its_events_are_told() {
    let body = "{\"type\":\"stage\",\"stage\":\"finishing\"}\n\
                {\"type\":\"of-a-later-version\",\"x\":1}\n\
                {\"type\":\"done\",\"reply\":{\"type\":\"stopping\"}}\n";
    let (result, events, asked) = run(stream(body)).await;
    assert_eq!(result, Ok(Reply::Stopping));
    assert_eq!(events, [Event::Stage { content: None, stage: Stage::Finishing }]);
    let request = asked[1].to_ascii_lowercase();
    assert!(request.starts_with("post /v1/run http/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: bearer secret\r\n"), "{request}");
    assert!(request.ends_with("{\"type\":\"stop\"}"), "{request}");
    assert!(!asked[0].contains("secret"), "health needs no token: {}", asked[0]);
}

#[tokio::test]
async fn a_failure_in_the_stream_is_the_result() {
    let body = "{\"type\":\"failed\",\"error\":{\"kind\":\"no-space\",\"message\":\"full\"}}\n";
    let (result, ..) = run(response("507 x", "application/x-ndjson", body)).await;
    assert_eq!(result, Err(ApiError::new(ErrorKind::NoSpace, "full")));
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_an_interruption() {
    for body in ["", "{\"type\":\"stage\",\"stage\":\"finishing\"}\n{\"type\":\"do"] {
        let (result, ..) = run(stream(body)).await;
        assert_eq!(result.unwrap_err().kind, ErrorKind::Interrupted);
    }
}

#[tokio::test]
async fn an_outcome_that_is_not_understood_is_a_matter_of_versions() {
    let (result, ..) = run(stream("{\"type\":\"done\",\"reply\":{\"type\":\"new\"}}\n")).await;
    assert_eq!(result.unwrap_err().kind, ErrorKind::Version);
}

#[tokio::test]
async fn a_refusal_tells_what_the_node_told() {
    let body = "{\"kind\":\"denied\",\"message\":\"no token\"}";
    let (result, ..) = run(response("401 x", "application/json", body)).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Denied, "no token"));
    assert!(error.hint.is_some());
}

#[tokio::test]
async fn a_home_without_a_node_has_no_client() {
    let home = tempfile::tempdir().unwrap();
    assert!(Client::from_home(home.path()).await.unwrap().is_none(), "no file");
    std::fs::write(home.path().join(API_FILE), "{").unwrap();
    assert!(Client::from_home(home.path()).await.unwrap().is_none(), "no JSON");
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    write_file(&home, closed);
    assert!(Client::from_home(home.path()).await.unwrap().is_none(), "nobody listens");
    let (home, _asked) = node(vec![response("200 OK", "text/html", "<p>hello")]).await;
    assert!(Client::from_home(home.path()).await.unwrap().is_none(), "somebody else listens");
}

#[tokio::test]
async fn a_node_of_another_api_version_is_named() {
    let body = "{\"api\":2,\"version\":\"9.0.0\"}";
    let (home, _asked) = node(vec![response("200 OK", "application/json", body)]).await;
    let error = Client::from_home(home.path()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Version { version } if version == "9.0.0"), "{error}");
    assert_eq!(ApiError::from(error).kind, ErrorKind::Version);
}

#[tokio::test]
async fn the_token_never_leaves_the_machine() {
    let home = tempfile::tempdir().unwrap();
    write_file(&home, "192.0.2.1:80".parse().unwrap());
    let error = Client::from_home(home.path()).await.unwrap_err();
    assert!(matches!(error, ClientError::NotLoopback { .. }), "{error}");
}

#[tokio::test]
async fn debug_output_hides_the_token() {
    let (home, _asked) = node(vec![healthy()]).await;
    let client = Client::from_home(home.path()).await.unwrap().unwrap();
    assert!(!format!("{client:?}").contains("secret"));
}

#[tokio::test]
async fn a_watcher_is_told_events_until_the_node_ends() {
    let body = ": still here\n\ndata: {\"type\":\"stage\",\"stage\":\"finishing\"}\n\n";
    let (home, asked) = node(vec![healthy(), response("200 OK", "text/event-stream", body)]).await;
    let client = Client::from_home(home.path()).await.unwrap().unwrap();
    let mut events = Vec::new();
    client.watch(|event| events.push(event)).await.unwrap();
    assert_eq!(events, [Event::Stage { content: None, stage: Stage::Finishing }]);
    assert!(asked.await.unwrap()[1].contains("Bearer secret"));
}

#[tokio::test]
async fn a_node_that_is_ending_is_no_node() {
    let (home, _asked) = node(vec![response("503 x", "application/json", HEALTHY)]).await;
    assert!(Client::from_home(home.path()).await.unwrap().is_none());
}
