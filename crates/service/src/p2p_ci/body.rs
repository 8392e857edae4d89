//! The bytes of a file behind its head, however they end.

use potluck_base::limits;
use potluck_proto::p2p_ci::{Body, Framing};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Duration, timeout};

use super::CiFault;

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;
/// Words that may stand on the last line, behind a file whose length was not said.
const LAST_WORDS: [&[u8]; 6] = [b"EOR\n", b"END\n", b"EOF\n", b"EOR\r\n", b"END\r\n", b"EOF\r\n"];
/// Bytes behind a file after which it is clear that they are no end mark.
const TRAILER_BYTES: u64 = 8;
/// Bytes of the longest of them.
const LAST_WORD_BYTES: usize = 5;
/// Silence behind a file that is whole.
const QUIET: Duration = Duration::from_millis(300);
/// Bytes of a length before each message.
const PREFIX_BYTES: usize = 10;

/// Writes a file's bytes; gives how many they were.
pub(super) async fn receive<R, W, P>(
    from: &mut R,
    body: Body,
    framing: Framing,
    limit: u64,
    into: &mut W,
    progress: &mut P,
) -> Result<u64, CiFault>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    P: FnMut(u64, Option<u64>),
{
    let length = body.length;
    if length.is_some_and(|length| length > limit) {
        return Err(CiFault::TooLarge { limit });
    }
    let source = Source { from, start: body.start.clone(), framing, message_left: 0, done: false };
    let mut sink = Sink { into, limit, length, written: 0, progress };
    let unsure =
        !body.gap.is_empty() && length.is_some_and(|length| length <= limits::CI_HOLD_BYTES as u64);
    if unsure {
        held(source, &body, &mut sink).await
    } else if length.is_some() {
        counted(source, &mut sink).await
    } else {
        to_the_end(source, &mut sink).await
    }
}

/// Where the bytes come from: what came with the head, then the connection.
struct Source<'a, R> {
    from: &'a mut R,
    start: Vec<u8>,
    framing: Framing,
    /// Bytes of a framed message that are still to come.
    message_left: usize,
    done: bool,
}

impl<R: AsyncRead + Unpin> Source<'_, R> {
    /// The next bytes of the file; none at their end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, CiFault> {
        loop {
            if self.framing != Framing::Prefixed {
                return self.raw().await;
            }
            if self.message_left > 0 {
                let Some(mut bytes) = self.raw().await? else { return Ok(None) };
                let rest = bytes.split_off(bytes.len().min(self.message_left));
                self.message_left -= bytes.len();
                self.start = rest;
                return Ok(Some(bytes));
            }
            let mut head = Vec::new();
            while head.len() < PREFIX_BYTES {
                let Some(bytes) = self.raw().await? else { return Ok(None) };
                head.extend(bytes);
            }
            self.start = head.split_off(PREFIX_BYTES);
            let text = String::from_utf8_lossy(&head);
            let length = text.trim().parse::<usize>().ok();
            let fits = length.filter(|length| *length <= limits::CI_ANSWER_BYTES);
            self.message_left = fits.ok_or(potluck_proto::p2p_ci::AnswerFault::Length)?;
        }
    }

    async fn raw(&mut self) -> Result<Option<Vec<u8>>, CiFault> {
        if !self.start.is_empty() {
            return Ok(Some(std::mem::take(&mut self.start)));
        }
        // A frame of Java's holds the whole file.
        if self.done || self.framing == Framing::Utf {
            return Ok(None);
        }
        let mut bytes = vec![0; READ_BYTES];
        let got = timeout(limits::CI_STALL_TIME, self.from.read(&mut bytes))
            .await
            .map_err(|_| CiFault::Silent)??;
        bytes.truncate(got);
        self.done = got == 0;
        Ok((got > 0).then_some(bytes))
    }

    /// As [`Self::next`], but a while of silence is an end, too.
    async fn next_within(&mut self, patience: Duration) -> Result<Option<Vec<u8>>, CiFault> {
        timeout(patience, self.next()).await.unwrap_or(Ok(None))
    }
}

/// Where they go.
struct Sink<'a, W, P> {
    into: &'a mut W,
    limit: u64,
    length: Option<u64>,
    written: u64,
    progress: &'a mut P,
}

impl<W: AsyncWrite + Unpin, P: FnMut(u64, Option<u64>)> Sink<'_, W, P> {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), CiFault> {
        self.written += bytes.len() as u64;
        if self.written > self.limit {
            return Err(CiFault::TooLarge { limit: self.limit });
        }
        self.into.write_all(bytes).await?;
        (self.progress)(self.written, self.length);
        Ok(())
    }
}

/// As many bytes as the head says; what follows is not of the file.
async fn counted<R, W, P>(
    mut source: Source<'_, R>,
    sink: &mut Sink<'_, W, P>,
) -> Result<u64, CiFault>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    P: FnMut(u64, Option<u64>),
{
    let wanted = sink.length.unwrap_or(0);
    while sink.written < wanted {
        let Some(bytes) = source.next().await? else {
            return Err(CiFault::Short { got: sink.written, wanted });
        };
        let left = usize::try_from(wanted - sink.written).unwrap_or(usize::MAX);
        sink.write(&bytes[..bytes.len().min(left)]).await?;
    }
    Ok(sink.written)
}

/// A short file behind an empty line, which may be its own first line: held back until the length
/// tells.
async fn held<R, W, P>(
    mut source: Source<'_, R>,
    body: &Body,
    sink: &mut Sink<'_, W, P>,
) -> Result<u64, CiFault>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    P: FnMut(u64, Option<u64>),
{
    let wanted = sink.length.unwrap_or(0);
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < wanted + TRAILER_BYTES {
        // Only if no more than the empty line is missing may silence be the end.
        let near = (bytes.len() + body.gap.len()) as u64 >= wanted;
        let next = match (bytes.len() as u64 >= wanted, near) {
            (true, _) => source.next_within(QUIET).await?,
            (_, true) => source.next_within(limits::CI_LONG_SILENCE).await?,
            _ => source.next().await?,
        };
        let Some(next) = next else { break };
        bytes.extend(next);
        (sink.progress)((bytes.len() as u64).min(wanted), sink.length);
    }
    if body.owns_gap(&bytes) {
        bytes.splice(..0, body.gap.iter().copied());
    }
    if (bytes.len() as u64) < wanted {
        return Err(CiFault::Short { got: bytes.len() as u64, wanted });
    }
    bytes.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
    sink.write(&bytes).await?;
    Ok(sink.written)
}

/// Everything until the connection ends; a terminator on the last line is not of the file.
async fn to_the_end<R, W, P>(
    mut source: Source<'_, R>,
    sink: &mut Sink<'_, W, P>,
) -> Result<u64, CiFault>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
    P: FnMut(u64, Option<u64>),
{
    let mut tail = Vec::new();
    loop {
        let worded = LAST_WORDS.iter().any(|word| tail.ends_with(word));
        let next = if worded {
            source.next_within(limits::CI_LONG_SILENCE).await?
        } else {
            source.next().await?
        };
        let Some(next) = next else { break };
        tail.extend(next);
        let sure = tail.len().saturating_sub(LAST_WORD_BYTES);
        sink.write(&tail[..sure]).await?;
        tail.drain(..sure);
    }
    let word = LAST_WORDS.iter().rev().find(|word| tail.ends_with(word)).map_or(0, |w| w.len());
    tail.truncate(tail.len() - word);
    sink.write(&tail).await?;
    Ok(sink.written)
}
