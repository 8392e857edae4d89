//! One connection of a client: its requests with time limits, and answers to it.

use std::io;
use std::time::Duration;

use potluck_base::limits;
use potluck_proto::p2p_ci::{Dialect, Item, Parser, Request, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Bytes read at a time.
const READ_BYTES: usize = 4096;
/// Bytes that a client may still send after the last answer.
const DRAIN_BYTES: usize = 64 * 1024;
/// Time for it to notice that the answer has ended.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// A client's connection.
pub(crate) struct Talk {
    stream: TcpStream,
    parser: Parser,
    faults: u32,
    rate: Rate,
    ended: Option<Ended>,
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client closed it.
    Client,
    /// We did: it said nonsense, was silent for too long, or broke.
    Us,
}

impl Talk {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, parser: Parser::new(), faults: 0, rate: Rate::new(), ended: None }
    }

    /// The next request, or how it is to be refused; none when the connection is over.
    pub(crate) async fn next(&mut self) -> Option<(Result<Request, Status>, Dialect)> {
        loop {
            match self.parser.pull() {
                Some(Item::Say(bytes)) => {
                    if self.send(&bytes).await.is_err() {
                        return self.over(Ended::Us);
                    }
                }
                Some(Item::Request(request, dialect)) => {
                    self.faults += u32::from(request.is_err());
                    if self.faults > limits::CI_FAULTS {
                        return self.over(Ended::Us);
                    }
                    sleep(self.rate.pause(Instant::now())).await;
                    return Some((request, dialect));
                }
                None if self.ended.is_some() => return None,
                None if self.parser.is_dead() => return self.over(Ended::Us),
                None => self.read().await,
            }
        }
    }

    /// Who ended the connection; ourselves as long as nobody did.
    pub(crate) fn ended(&self) -> Ended {
        self.ended.unwrap_or(Ended::Us)
    }

    /// The address on our side.
    pub(crate) fn local(&self) -> io::Result<std::net::SocketAddr> {
        self.stream.local_addr()
    }

    /// Sends bytes; a client that does not take them in time has hung up.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(limits::CI_WRITE_TIME, write).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Ends the connection so that everything sent arrives: what the client still sends is read.
    pub(crate) async fn close(mut self) {
        let _ = self.stream.shutdown().await;
        let drain = async {
            let mut buffer = [0; READ_BYTES];
            let mut left = DRAIN_BYTES;
            while let Ok(got @ 1..) = self.stream.read(&mut buffer).await {
                left = left.saturating_sub(got);
                if left == 0 {
                    break;
                }
            }
        };
        let _ = timeout(DRAIN_TIME, drain).await;
    }

    fn over<T>(&mut self, ended: Ended) -> Option<T> {
        self.ended.get_or_insert(ended);
        None
    }

    /// Reads once, or lets silence pass.
    async fn read(&mut self) {
        let mut buffer = [0; READ_BYTES];
        let waits = self.parser.waits();
        let patience = waits.unwrap_or(limits::CI_IDLE_TIME);
        match timeout(patience, self.stream.read(&mut buffer)).await {
            Ok(Ok(0)) => {
                self.parser.end();
                self.ended = Some(Ended::Client);
            }
            Ok(Ok(got)) => self.parser.feed(&buffer[..got]),
            Ok(Err(error)) => {
                tracing::trace!(%error, "a P2P-CI connection broke");
                self.ended = Some(Ended::Client);
            }
            Err(_) if waits.is_some() => self.parser.silence(),
            Err(_) => self.ended = Some(Ended::Us),
        }
    }
}

/// Slows down who asks too often: a bucket of requests that fills again.
struct Rate {
    /// When the bucket is full again.
    full_at: Instant,
}

impl Rate {
    fn new() -> Self {
        Self { full_at: Instant::now() }
    }

    /// How long the request at `now` has to wait.
    fn pause(&mut self, now: Instant) -> Duration {
        let each = Duration::from_secs(1) / limits::CI_REQUESTS;
        self.full_at = self.full_at.max(now) + each;
        (self.full_at - now).saturating_sub(each * limits::CI_BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Rate, limits};

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let (mut rate, now) = (Rate::new(), Instant::now());
        for _ in 0..limits::CI_BURST {
            assert_eq!(rate.pause(now), Duration::ZERO);
        }
        assert!(rate.pause(now) > Duration::ZERO);
        let later = now + Duration::from_secs(60);
        assert_eq!(rate.pause(later), Duration::ZERO);
    }
}
