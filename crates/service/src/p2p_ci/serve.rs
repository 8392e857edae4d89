//! A peer's own GET server: files of this node for old clients.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use potluck_base::limits;
use potluck_proto::p2p_ci::{
    Dialect, FileHead, Framing, Method, Request, Status, frame, print_file_head,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::listen::accept_all;
use super::os;
use super::talk::Talk;

/// Bytes of a file that are read at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait to be sent.
const PIECES_AHEAD: usize = 4;
/// Bytes of a file in one message of a client that puts lengths before them; it reads no more.
const MESSAGE_BYTES: usize = 1024;
/// Bytes of the only message of a client that speaks `writeUTF`.
const UTF_BYTES: u64 = u16::MAX as u64;

/// A file that is served.
pub struct CiFile {
    /// Its name.
    pub title: String,
    /// Its size, bytes; no more are sent.
    pub size: u64,
    /// When it was changed last, seconds since 1970.
    pub modified: u64,
    /// Its bytes, read on a thread of its own.
    pub reader: Box<dyn Read + Send>,
}

/// Which files are served. Calls block, and run on threads of their own.
pub trait CiFiles: Send + Sync + 'static {
    /// The file that goes under a number; the title helps if several do.
    fn open(&self, number: u32, title: Option<&str>) -> Option<CiFile>;
}

/// A GET server that is bound and not yet running.
pub struct GetServer {
    listener: TcpListener,
    files: Arc<dyn CiFiles>,
}

impl GetServer {
    /// Binds it. What it serves goes to anyone who can connect, in clear text.
    pub async fn bind(listen: SocketAddr, files: Arc<dyn CiFiles>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let listen = listener.local_addr()?;
        tracing::warn!(%listen, "P2P-CI: shared files are served in clear text, to anyone here");
        Ok(Self { listener, files })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let files = self.files;
        accept_all(self.listener, stop, |stream, _| serve(stream, files.clone())).await;
    }
}

/// All requests of one client; most take the end of the connection for the end of the file.
async fn serve(stream: TcpStream, files: Arc<dyn CiFiles>) {
    let mut talk = Talk::new(stream);
    while let Some((request, dialect)) = talk.next().await {
        if let Err(error) = answer(&mut talk, request, &dialect, &files).await {
            tracing::debug!(%error, "a file could not be sent to an old peer");
            return;
        }
        if dialect.terminator.is_none() {
            break;
        }
    }
    talk.close().await;
}

async fn answer(
    talk: &mut Talk,
    request: Result<Request, Status>,
    dialect: &Dialect,
    files: &Arc<dyn CiFiles>,
) -> io::Result<()> {
    let request = match request {
        Ok(request) => request,
        Err(status) => return refuse(talk, status, dialect).await,
    };
    let (Method::Get | Method::Lookup, Some(number)) = (request.method, request.number) else {
        return refuse(talk, Status::BadRequest, dialect).await;
    };
    let files = files.clone();
    let opened = tokio::task::spawn_blocking(move || files.open(number, request.title.as_deref()));
    let Some(file) = opened.await.map_err(io::Error::other)? else {
        return refuse(talk, Status::NotFound, dialect).await;
    };
    let head = FileHead {
        now: now_s(),
        modified: file.modified,
        length: file.size,
        os: os(),
        content_type: content_type(&file.title),
    };
    let head = print_file_head(Status::Ok, Some(&head), dialect);
    match dialect.framing {
        // Some read everything with one call: the head must not go ahead.
        Framing::Text if !dialect.pause_before_body() => {
            return send_body(talk, head.into_bytes(), file, Framing::Text).await;
        }
        Framing::Text => {
            talk.send(head.as_bytes()).await?;
            sleep(limits::CI_HEAD_PAUSE).await;
        }
        Framing::Prefixed => talk.send(&frame(head.as_bytes(), Framing::Prefixed)).await?,
        Framing::Utf if head.len() as u64 + file.size > UTF_BYTES => {
            return refuse(talk, Status::BadRequest, dialect).await;
        }
        Framing::Utf => return send_utf(talk, head, file).await,
    }
    send_body(talk, Vec::new(), file, dialect.framing).await
}

async fn refuse(talk: &mut Talk, status: Status, dialect: &Dialect) -> io::Result<()> {
    let head = print_file_head(status, None, dialect);
    talk.send(&frame(head.as_bytes(), dialect.framing)).await
}

/// Head and file in one message.
async fn send_utf(talk: &mut Talk, head: String, file: CiFile) -> io::Result<()> {
    let read = move || {
        let mut message = head.into_bytes();
        file.reader.take(file.size).read_to_end(&mut message).map(|_| message)
    };
    let message = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
    talk.send(&frame(&message, Framing::Utf)).await
}

/// What comes first and the bytes of a file, as fast as the client takes them.
async fn send_body(
    talk: &mut Talk,
    mut first: Vec<u8>,
    file: CiFile,
    framing: Framing,
) -> io::Result<()> {
    let (pieces, mut read) = mpsc::channel(PIECES_AHEAD);
    let reading = tokio::task::spawn_blocking(move || read_pieces(file, &pieces));
    while let Some(piece) = read.recv().await {
        if framing == Framing::Text {
            first.extend_from_slice(&piece);
            talk.send(&first).await?;
            first.clear();
            continue;
        }
        for message in piece.chunks(MESSAGE_BYTES) {
            talk.send(&frame(message, framing)).await?;
        }
    }
    talk.send(&first).await?;
    reading.await.map_err(io::Error::other)?
}

fn read_pieces(file: CiFile, pieces: &mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    let mut left = file.size;
    let mut reader = file.reader;
    while left > 0 {
        let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES))];
        let got = reader.read(&mut piece)?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        piece.truncate(got);
        left -= got as u64;
        if pieces.blocking_send(piece).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What a name's ending says; old clients know texts only.
fn content_type(title: &str) -> &'static str {
    let ending = title.rsplit_once('.').map_or("txt", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "pdf" => "application/pdf",
        "html" | "htm" => "text/html",
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "zip" => "application/zip",
        "txt" | "md" | "csv" => "text/plain",
        _ if ending.contains(' ') => "text/plain",
        _ => "application/octet-stream",
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
