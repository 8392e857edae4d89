//! A file from an old peer, in whichever dialect it understands.

use std::time::Duration;

use potluck_base::limits;
use potluck_proto::p2p_ci::{
    Body, Dialect, Framing, Greeting, HeadReader, LineEnd, Method, Request, print_request,
};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::body::receive;
use super::{CiFault, os};

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;

/// What is to be fetched, from whom.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The peer's host, a name or an address.
    pub host: String,
    /// The port of its GET server.
    pub port: u16,
    /// The file's number.
    pub number: u32,
    /// The most bytes that are taken.
    pub limit: u64,
}

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes.
    pub bytes: u64,
    /// The dialect in which the peer answered.
    pub dialect: Dialect,
}

/// Fetches a file into a writer, and tells how far it is: bytes so far, and bytes in all if that
/// is known. Nothing proves that these are the right bytes.
///
/// A peer that does not understand is asked again in the next dialect, on a new connection;
/// nothing is written before an answer is understood.
pub async fn fetch<W, P>(wanted: &Wanted, into: &mut W, mut progress: P) -> Result<Fetched, CiFault>
where
    W: AsyncWrite + Unpin,
    P: FnMut(u64, Option<u64>),
{
    let mut first = None;
    for dialect in dialects() {
        if is_hopeless(&dialect, first.as_ref()) {
            continue;
        }
        match ask(wanted, &dialect).await {
            Ok((mut stream, body)) => {
                let framing = dialect.framing;
                let bytes = receive(&mut stream, body, framing, wanted.limit, into, &mut progress);
                let bytes = bytes.await?;
                into.flush().await?;
                return Ok(Fetched { bytes, dialect });
            }
            Err(fault @ (CiFault::NotFound | CiFault::TooLarge { .. })) => return Err(fault),
            // Nobody is there: another dialect does not help.
            Err(CiFault::Io(error)) if is_unreachable(&error) => return Err(error.into()),
            Err(fault) => {
                tracing::debug!(%fault, "an old peer did not understand; trying another dialect");
                first.get_or_insert(fault);
            }
        }
    }
    Err(first.unwrap_or(CiFault::Silent))
}

/// The dialects that peers understand, most likely first.
pub(super) fn dialects() -> [Dialect; 6] {
    let book = Dialect::default();
    let lf = Dialect { line_end: LineEnd::Lf, ..Dialect::default() };
    let bare = Dialect { blank_line: false, ..Dialect::default() };
    let version = Dialect {
        whole_lines: false,
        blank_line: false,
        version: "P2P-CI-v1.0.0".to_owned(),
        ..lf.clone()
    };
    let framed = |framing| Dialect { framing, blank_line: false, ..lf.clone() };
    [book, lf.clone(), bare, version, framed(Framing::Prefixed), framed(Framing::Utf)]
}

/// Whether who said nothing to a text by the book will say nothing to another variety of it.
pub(super) fn is_hopeless(dialect: &Dialect, first: Option<&CiFault>) -> bool {
    let plain = dialect.framing == Framing::Text
        && dialect.terminator.is_none()
        && dialect.greeting == Greeting::None;
    plain && matches!(first, Some(CiFault::Silent))
}

/// Connects within [`limits::CI_DIAL_TIME`].
pub(super) async fn dial(host: &str, port: u16) -> Result<TcpStream, CiFault> {
    let stream = timeout(limits::CI_DIAL_TIME, TcpStream::connect((host, port)))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::HostUnreachable))??;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Asks in one dialect; gives the connection and how its body is to be read.
async fn ask(wanted: &Wanted, dialect: &Dialect) -> Result<(TcpStream, Body), CiFault> {
    let mut stream = dial(&wanted.host, wanted.port).await?;
    let request = Request {
        method: Method::Get,
        number: Some(wanted.number),
        title: None,
        host: Some(wanted.host.clone()),
        port: None,
        os: Some(os()),
    };
    stream.write_all(&print_request(&request, dialect)).await?;
    let mut body = read_head(&mut stream, dialect).await?;
    if !dialect.blank_line {
        // Who insists on no empty line sends none either: it is the file's.
        body.start.splice(..0, std::mem::take(&mut body.gap));
    }
    match body.code {
        200 => Ok((stream, body)),
        404 => Err(CiFault::NotFound),
        code => Err(CiFault::Refused(code)),
    }
}

async fn read_head(stream: &mut TcpStream, dialect: &Dialect) -> Result<Body, CiFault> {
    let mut reader = HeadReader::new(dialect.framing);
    let mut buffer = vec![0; READ_BYTES];
    let text = dialect.framing == Framing::Text;
    let mut nudge = text && dialect.terminator.is_none();
    let mut deadline = Instant::now() + limits::CI_ANSWER_TIME;
    loop {
        let patience = limits::CI_LONG_SILENCE.min(deadline - Instant::now());
        match timeout(patience, stream.read(&mut buffer)).await {
            Ok(Ok(0)) => return Ok(reader.end()?),
            Ok(Ok(got)) => {
                if let Some(body) = reader.feed(&buffer[..got])? {
                    return Ok(body);
                }
                deadline = Instant::now() + limits::CI_ANSWER_TIME;
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) if reader.is_plausible() => return Ok(reader.end()?),
            Err(_) if patience == Duration::ZERO => return Err(CiFault::Silent),
            // Some peers wait for a word behind the empty line.
            Err(_) if std::mem::take(&mut nudge) => {
                stream.write_all(format!("END{}", dialect.line_end.text()).as_bytes()).await?;
            }
            Err(_) if Instant::now() >= deadline => return Err(CiFault::Silent),
            Err(_) => (),
        }
    }
}

/// Whether nobody can be talked to, in whatever dialect.
fn is_unreachable(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let resolved = error.raw_os_error().is_some();
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable) || !resolved
}
