//! Our server and our client on loopback, and peers that answer as others' programs do.

use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Arc;

use potluck_base::ContentId;
use potluck_proto::p2p_ci::Framing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{CiFault, CiFile, CiFiles, Fetched, GetServer, Wanted, fetch, number_of};

/// A text that begins with empty lines, as RFCs do.
const TEXT: &str = "\n\nNetwork Working Group\n\nThe end.\n";

struct Shelf;

impl CiFiles for Shelf {
    fn open(&self, number: u32, _: Option<&str>) -> Option<CiFile> {
        let bytes = match number {
            7 => TEXT.as_bytes().to_vec(),
            8 => (0..3_000_000u32).map(|n| (n % 251) as u8).collect(),
            _ => return None,
        };
        let (title, size) = (format!("rfc{number}.txt"), bytes.len() as u64);
        Some(CiFile { title, size, modified: 0, reader: Box::new(Cursor::new(bytes)) })
    }
}

async fn server() -> SocketAddr {
    let at = "127.0.0.1:0".parse().unwrap();
    let server = GetServer::bind(at, Arc::new(Shelf)).await.unwrap();
    let at = server.local_addr().unwrap();
    tokio::spawn(server.run(CancellationToken::new()));
    at
}

async fn get(at: SocketAddr, number: u32, limit: u64) -> Result<(Fetched, Vec<u8>), CiFault> {
    let wanted = Wanted { host: at.ip().to_string(), port: at.port(), number, limit };
    let mut bytes = Vec::new();
    let fetched = fetch(&wanted, &mut bytes, |_, _| ()).await?;
    assert_eq!(fetched.bytes, bytes.len() as u64);
    Ok((fetched, bytes))
}

/// Everything that the server answers to some bytes.
async fn raw(at: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_file_goes_from_our_server_to_our_client() {
    let at = server().await;
    let (_, text) = get(at, 7, 1000).await.unwrap();
    assert_eq!(text, TEXT.as_bytes());
    let (_, bytes) = get(at, 8, 4_000_000).await.unwrap();
    assert!(bytes.iter().enumerate().all(|(at, byte)| at % 251 == usize::from(*byte)));
    assert_eq!(bytes.len(), 3_000_000);
    assert!(matches!(get(at, 9, 1000).await, Err(CiFault::NotFound)));
    assert!(matches!(get(at, 8, 1000).await, Err(CiFault::TooLarge { limit: 1000 })));
}

#[tokio::test]
async fn each_dialect_gets_the_file_as_it_expects_it() {
    let at = server().await;
    let cases: &[(&str, &[u8], &str)] = &[
        ("an empty line", b"GET RFC 7 P2P-CI/1.0\nHost: h\nOS: x\n\n", "text/plain\n\n\n\nNet"),
        ("none", b"GET RFC 7 P2P-CI/1.0\nHost: h\nOS: x\n", "text/plain\n\n\nNet"),
        ("nor an end", b"GET RFC 7 P2P-CI-v1.0.0\nHost: h\nOS: x", "P2P-CI-v1.0.0 200 OK\n"),
        ("its LOOKUP", b"LOOKUP RFC 7 P2P-CI/1.0\nHost: h\nPort: 1\nTitle: t", "The end.\n"),
        ("a length", b"38        GET RFC 7 P2P-CI/1.0\nHOST: h\nOS: Linux", "34        \n\nNet"),
        ("writeUTF", b"\0\x26GET RFC 7 P2P-CI/1.0\nHost: h\nOS: Linux", "text/plain\n\n\nNet"),
        ("another version", b"GET RFC 7 P2P-CI/3.0\n\n", "505 P2P-CI Version Not Supported\n"),
        ("no such file", b"GET RFC 9 P2P-CI/1.0\n\n", "P2P-CI/1.0 404 Not Found\n"),
        ("nonsense", b"PUT RFC 9 P2P-CI/1.0\n\n", "P2P-CI/1.0 400 Bad Request\n"),
        ("too long for writeUTF", b"\0\x26GET RFC 8 P2P-CI/1.0\nHost: h\nOS: Linux", "400 Bad"),
    ];
    for (name, request, part) in cases {
        let answer = raw(at, request).await;
        assert!(answer.contains(part), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn with_terminators_a_connection_serves_many_requests() {
    let at = server().await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    for _ in 0..2 {
        let request = b"GET RFC 7 P2P-CI/1.0\nHost: h\nOS: x\n\nEND\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(TEXT.as_bytes()) {
            answer.push(stream.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("text/plain\n\nEND\n\n\nNetwork"), "{answer}");
    }
}

/// A peer that knows one dialect: what it must be asked, and what it then says, before it closes.
async fn peer(understands: &'static [u8], answer: Vec<u8>, otherwise: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let got = stream.read(&mut request).await.unwrap();
            let fits = request[..got].starts_with(understands);
            let answer = if fits { answer.as_slice() } else { otherwise };
            let _ = stream.write_all(answer).await;
        }
    });
    at
}

fn head(end: &str, length: usize) -> String {
    format!("P2P-CI/1.0 200 OK{end}Date: x{end}Content-Length: {length}{end}Content-Type: t{end}")
}

#[tokio::test]
async fn files_are_read_however_they_end() {
    let head_lf = head("\n", TEXT.len());
    let cases: Vec<(&str, String)> = vec![
        ("by the book", format!("{}\r\n{TEXT}", head("\r\n", TEXT.len()))),
        ("no empty line", format!("{head_lf}{TEXT}")),
        ("no empty line, and EOR", format!("{head_lf}{TEXT}EOR\n")),
        ("END before the file", format!("{head_lf}\nEND\n{TEXT}")),
        ("no length, an empty line", format!("P2P-CI/1.0 200 OK\nOS: x\n\n{TEXT}")),
        ("no length, and EOR", format!("P2P-CI/1.0 200 OK\nOS: x\n\n{TEXT}EOR\n")),
        ("no headers at all", format!("P2P-CI/1.0 200 OK\n{TEXT}")),
    ];
    for (name, answer) in cases {
        let at = peer(b"GET", answer.into_bytes(), b"").await;
        let (_, text) = get(at, 7, 1000).await.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(String::from_utf8_lossy(&text), TEXT, "{name}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_understand_is_asked_in_another_dialect() {
    let head = head("\n", TEXT.len());
    let version = b"P2P-CI-v1.0.0 505 P2P-CI Version Not Supported\n";
    let text = format!("{head}{TEXT}").into_bytes();
    let at = peer(b"GET RFC 7 P2P-CI-v1.0.0\n", text.clone(), version).await;
    let (fetched, bytes) = get(at, 7, 1000).await.unwrap();
    assert_eq!(
        (fetched.dialect.version.as_str(), bytes.as_slice()),
        ("P2P-CI-v1.0.0", TEXT.as_bytes())
    );

    let frames = format!("{:<10}{}{:<10}{}", head.len() - 1, head.trim_end(), TEXT.len(), TEXT);
    let at = peer(b"5", frames.into_bytes(), b"").await;
    let (fetched, bytes) = get(at, 7, 1000).await.unwrap();
    assert_eq!((fetched.dialect.framing, bytes.as_slice()), (Framing::Prefixed, TEXT.as_bytes()));

    let utf = [&(text.len() as u16).to_be_bytes(), text.as_slice()].concat();
    let at = peer(b"\0", utf, b"").await;
    let (fetched, bytes) = get(at, 7, 1000).await.unwrap();
    assert_eq!((fetched.dialect.framing, bytes.as_slice()), (Framing::Utf, TEXT.as_bytes()));
}

#[tokio::test]
async fn what_is_cut_off_too_long_or_nonsense_is_an_error() {
    let short = peer(b"GET", format!("{}\nabc", head("\n", 2000)).into_bytes(), b"").await;
    assert!(matches!(get(short, 7, 9000).await, Err(CiFault::Short { got: 3, wanted: 2000 })));
    let endless = [b"P2P-CI/1.0 200 OK\nOS: x\n\n".as_slice(), &[b'x'; 100_000]].concat();
    let endless = peer(b"GET", endless, b"").await;
    assert!(matches!(get(endless, 7, 9000).await, Err(CiFault::TooLarge { .. })));
    let other = peer(b"", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), b"").await;
    assert!(matches!(get(other, 7, 9000).await, Err(CiFault::Garbled(_))));
}

#[test]
fn numbers_come_from_names_or_from_the_content() {
    let content = ContentId([0x80, 0, 0, 3, 9, 9, 9, 9].repeat(4).try_into().unwrap());
    for (name, number) in [
        ("rfc123.txt", 123),
        ("RFC123.TXT", 123),
        ("123.txt", 123),
        ("123", 123),
        ("RFC 123 A Preferred Title.pdf", 123),
        ("rfc-2616.html", 2616),
        ("docs/rfc_9.txt", 9),
        ("rfc123bis.txt", 0x4000_0001),
        ("2024 report.pdf", 0x4000_0001),
        ("rfc0.txt", 0x4000_0001),
        ("rfc99999999999.txt", 0x4000_0001),
        ("film.mkv", 0x4000_0001),
    ] {
        assert_eq!(number_of(name, &content), number, "{name}");
    }
    assert_eq!(number_of("film.mkv", &ContentId([0; 32])), 1);
}
