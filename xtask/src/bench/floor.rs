//! The floor: a plain TCP copy with 256 KiB buffers, nothing encrypted, nothing verified.
//!
//! Two processes of this program play it, so that it costs what any two programs must pay: one
//! reads files (from the page cache), one writes them. A stream is a row of entries, each a
//! name's length (4 bytes), a size (8 bytes), the name and the bytes; it ends where it ends.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::tree;

/// Bytes of one read or write.
const BUFFER_BYTES: usize = 256 * 1024;
/// Bytes of a name; the other end is this program, but a number still gets a limit.
const NAME_BYTES_MAX: u32 = 4096;

/// What the sending end needs.
#[derive(clap::Args)]
pub struct SendArgs {
    /// The file or folder.
    path: PathBuf,
}

/// What the receiving end needs.
#[derive(clap::Args)]
pub struct RecvArgs {
    /// Where the sender listens.
    address: SocketAddr,
    /// The folder to write into.
    out: PathBuf,
}

/// Says where it listens, serves one receiver, ends.
pub fn send(args: &SendArgs) -> Result<()> {
    let root = args.path.parent().context("the path has no folder")?;
    let files = tree::files(&args.path)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let (stream, _) = listener.accept()?;
    let mut stream = BufWriter::with_capacity(BUFFER_BYTES, stream);
    let mut buffer = vec![0; BUFFER_BYTES];
    for path in files {
        let name = path.strip_prefix(root)?.to_str().context("a name is not UTF-8")?;
        let mut file = File::open(&path)?;
        let size = file.metadata()?.len();
        stream.write_all(&u32::try_from(name.len())?.to_le_bytes())?;
        stream.write_all(&size.to_le_bytes())?;
        stream.write_all(name.as_bytes())?;
        copy(&mut file, &mut stream, size, &mut buffer)?;
    }
    stream.flush()?;
    Ok(())
}

/// Writes what a sender sends, ends with it.
pub fn recv(args: &RecvArgs) -> Result<()> {
    let stream = TcpStream::connect(args.address)?;
    let mut stream = BufReader::with_capacity(BUFFER_BYTES, stream);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut folder = PathBuf::new();
    let mut length = [0; 4];
    loop {
        match stream.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            result => result?,
        }
        let name_bytes = u32::from_le_bytes(length);
        ensure!(name_bytes <= NAME_BYTES_MAX, "a name of {name_bytes} bytes");
        let (mut size, mut name) = ([0; 8], vec![0; name_bytes as usize]);
        stream.read_exact(&mut size)?;
        stream.read_exact(&mut name)?;
        let path = args.out.join(std::str::from_utf8(&name)?);
        let parent = path.parent().unwrap_or(Path::new("."));
        if folder != parent {
            fs::create_dir_all(parent)?;
            folder = parent.to_owned();
        }
        let mut file = File::create(path)?;
        copy(&mut stream, &mut file, u64::from_le_bytes(size), &mut buffer)?;
    }
}

fn copy(from: &mut impl Read, to: &mut impl Write, mut left: u64, buffer: &mut [u8]) -> Result<()> {
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = from.read(&mut buffer[..part])?;
        ensure!(read > 0, "the stream ended inside a file");
        to.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    Ok(())
}
