//! ADD, LOOKUP and LIST at an index server that somebody else wrote.

use potluck_base::limits;
use potluck_proto::p2p_ci::{
    Answer, AnswerFault, Dialect, Framing, Greeting, LineEnd, Method, Request, Terminator,
    print_request, read_rows,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, timeout};

use super::CiFault;
use super::fetch::{dial, dialects, is_hopeless};

/// Bytes read at a time.
const READ_BYTES: usize = 16 * 1024;
/// Silence behind an answer that does not say where it ends.
const QUIET: Duration = Duration::from_millis(300);

/// Who we say we are: where our own GET server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// Our host.
    pub host: String,
    /// The port of our GET server.
    pub port: u16,
}

/// A connection to an index server. Old servers forget what was added when it ends.
pub struct CiClient {
    stream: TcpStream,
    dialect: Dialect,
    me: Me,
}

impl CiClient {
    /// Connects, and speaks one dialect.
    pub async fn connect(host: &str, port: u16, me: Me, dialect: Dialect) -> Result<Self, CiFault> {
        let stream = dial(host, port).await?;
        let mut client = Self { stream, dialect, me };
        client.greet().await?;
        Ok(client)
    }

    /// Connects, and finds a dialect that the server understands by asking it for its list. An
    /// index that is empty is an answer, too.
    pub async fn find(host: &str, port: u16, me: Me) -> Result<Self, CiFault> {
        let lines = Dialect {
            line_end: LineEnd::Lf,
            blank_line: false,
            greeting: Greeting::Lines,
            ..Dialect::default()
        };
        let ended = Dialect {
            line_end: LineEnd::Lf,
            terminator: Some(Terminator::End),
            ..Dialect::default()
        };
        let bare = Dialect { line_end: LineEnd::Lf, bare_list: true, ..Dialect::default() };
        let acks = Dialect { greeting: Greeting::Acks, ..Dialect::default() };
        let mut first = None;
        for dialect in dialects().into_iter().chain([ended, bare, lines, acks]) {
            if is_hopeless(&dialect, first.as_ref()) {
                continue;
            }
            let listed = match Self::connect(host, port, me.clone(), dialect).await {
                Ok(mut client) => client.list().await.map(|answer| (client, answer)),
                Err(fault @ CiFault::Io(_)) => return Err(fault),
                Err(fault) => Err(fault),
            };
            match listed {
                Ok((client, answer)) if matches!(answer.code, 200 | 404) => return Ok(client),
                Ok((_, answer)) => first.get_or_insert(CiFault::Refused(answer.code)),
                Err(fault) => first.get_or_insert(fault),
            };
        }
        Err(first.unwrap_or(CiFault::Silent))
    }

    /// How it speaks.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// Registers a file of ours.
    pub async fn add(&mut self, number: u32, title: &str) -> Result<Answer, CiFault> {
        self.ask(Method::Add, Some(number), Some(title)).await
    }

    /// Asks who has a file.
    pub async fn lookup(&mut self, number: u32, title: &str) -> Result<Answer, CiFault> {
        self.ask(Method::Lookup, Some(number), Some(title)).await
    }

    /// Asks for the whole index.
    pub async fn list(&mut self) -> Result<Answer, CiFault> {
        self.ask(Method::List, None, None).await
    }

    async fn greet(&mut self) -> Result<(), CiFault> {
        if self.dialect.greeting == Greeting::Lines {
            let greeting = format!("{}\n{}\n", self.me.host, self.me.port);
            self.stream.write_all(greeting.as_bytes()).await?;
        }
        if self.dialect.greeting == Greeting::Acks {
            self.stream.write_all(self.me.host.as_bytes()).await?;
            self.acknowledged().await?;
            self.stream.write_all(&u32::from(self.me.port).to_be_bytes()).await?;
            self.acknowledged().await?;
        }
        Ok(())
    }

    /// Waits for the one byte that answers a part of a greeting.
    async fn acknowledged(&mut self) -> Result<(), CiFault> {
        let read = timeout(limits::CI_ANSWER_TIME, self.stream.read_u8());
        let byte = read.await.map_err(|_| CiFault::Silent)??;
        if byte == b'A' { Ok(()) } else { Err(CiFault::Garbled(AnswerFault::Status)) }
    }

    async fn ask(
        &mut self,
        method: Method,
        number: Option<u32>,
        title: Option<&str>,
    ) -> Result<Answer, CiFault> {
        let request = Request {
            method,
            number,
            title: title.map(str::to_owned),
            host: Some(self.me.host.clone()),
            port: Some(self.me.port),
            os: None,
        };
        self.stream.write_all(&print_request(&request, &self.dialect)).await?;
        let bytes = self.collect().await?;
        Ok(read_rows(&bytes, self.dialect.framing)?)
    }

    /// The bytes of one answer.
    async fn collect(&mut self) -> Result<Vec<u8>, CiFault> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        let deadline = Instant::now() + limits::CI_ANSWER_TIME;
        while !self.is_whole(&bytes) {
            let quiet = self.dialect.framing == Framing::Text && !bytes.is_empty();
            let patience = if quiet { QUIET } else { deadline - Instant::now() };
            match timeout(patience, self.stream.read(&mut buffer)).await {
                Ok(Ok(0)) if bytes.is_empty() => return Err(CiFault::Silent),
                Ok(Ok(0)) => break,
                Ok(Ok(got)) => bytes.extend_from_slice(&buffer[..got]),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) if quiet => break,
                Err(_) => return Err(CiFault::Silent),
            }
            if bytes.len() > limits::CI_ANSWER_BYTES {
                return Err(CiFault::TooLarge { limit: limits::CI_ANSWER_BYTES as u64 });
            }
        }
        Ok(bytes)
    }

    /// Whether an answer has ended for sure.
    fn is_whole(&self, bytes: &[u8]) -> bool {
        if self.dialect.framing != Framing::Text {
            return read_rows(bytes, self.dialect.framing).is_ok();
        }
        let ends = ["\nEOR\n", "\nEND\n", "\nEOR\r\n", "\nEND\r\n"];
        if ends.iter().any(|end| bytes.ends_with(end.as_bytes())) {
            return true;
        }
        let blank = bytes.ends_with(b"\n\n") || bytes.ends_with(b"\n\r\n");
        blank && read_rows(bytes, Framing::Text).is_ok_and(|answer| !answer.rows.is_empty())
    }
}
