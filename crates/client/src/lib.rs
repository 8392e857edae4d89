//! Typed client of the HTTP API.

mod http;
mod lines;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use potluck_api::{
    API_FILE, API_VERSION, ApiError, ApiFile, Command, ErrorKind, Event, Health, Line, Reply,
};
use tokio::time::timeout;

use crate::http::{Answer, HttpFault};
use crate::lines::Lines;

/// How long a node may take to say that it is there. It is on this machine and has nothing to look
/// up.
const HEALTH_TIME: Duration = Duration::from_secs(2);

/// Why there is no client, although there may be a node.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The running node speaks another version of the API.
    #[error(
        "the running node (version {version}) speaks another version of the API than this program"
    )]
    Version {
        /// The node's version.
        version: String,
    },
    /// The file names an address that is not on this machine; the token is not sent there.
    #[error("{} names the address {address}, which is not on this machine", path.display())]
    NotLoopback {
        /// The file.
        path: PathBuf,
        /// The address.
        address: SocketAddr,
    },
    /// The file exists and cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        let (kind, hint) = match &error {
            ClientError::Version { .. } => {
                (ErrorKind::Version, Some("\"potluck daemon stop\" and start it again"))
            }
            ClientError::NotLoopback { .. } => (ErrorKind::Denied, Some("remove that file")),
            ClientError::File { .. } => (ErrorKind::Denied, None),
        };
        let failure = ApiError::from_error(kind, &error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// A running node on this machine.
#[derive(Clone, Debug)]
pub struct Client {
    file: ApiFile,
}

impl Client {
    /// The node that runs on this home, if there is one that answers. What a crashed node left is
    /// no node.
    pub async fn from_home(home: &Path) -> Result<Option<Client>, ClientError> {
        let path = home.join(API_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ClientError::File { path, error }),
        };
        let Ok(file) = serde_json::from_slice::<ApiFile>(&text) else {
            return Ok(None);
        };
        if !file.token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        if !file.address.ip().is_loopback() {
            return Err(ClientError::NotLoopback { path, address: file.address });
        }
        let client = Client { file };
        match client.health().await {
            Some(health) if health.api == API_VERSION => Ok(Some(client)),
            Some(health) => Err(ClientError::Version { version: health.version }),
            None => Ok(None),
        }
    }

    /// Where the node's API listens.
    pub fn address(&self) -> SocketAddr {
        self.file.address
    }

    /// The node's process.
    pub fn pid(&self) -> u32 {
        self.file.pid
    }

    /// Whether the node goes on until it is told to stop; else it ends with the command it runs.
    pub fn is_daemon(&self) -> bool {
        self.file.daemon
    }

    /// What the node says of itself, unless nobody is there.
    pub async fn health(&self) -> Option<Health> {
        let asked = async {
            let answer = self.send(Method::GET, "/v1/health", None).await?;
            Ok::<_, HttpFault>((answer.status(), answer.whole().await?))
        };
        match timeout(HEALTH_TIME, asked).await {
            // A node that is ending has no use for us, nor we for it.
            Ok(Ok((StatusCode::OK, body))) => serde_json::from_slice(&body).ok(),
            _ => None,
        }
    }

    /// Tells everything that happens in the node, until it ends.
    pub async fn watch(&self, mut on_event: impl FnMut(Event)) -> Result<(), ApiError> {
        let answer = self.send(Method::GET, "/v1/events", None).await;
        let answer = answer.map_err(gone)?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer).await);
        }
        let mut lines = Lines::new(answer);
        while let Some(line) = lines.next().await.map_err(gone)? {
            let event = line.strip_prefix(b"data: ").map(serde_json::from_slice);
            if let Some(Ok(event)) = event {
                on_event(event);
            }
        }
        Ok(())
    }

    /// Runs a command, telling its events as they come. Dropping the future cancels the command.
    pub async fn run(
        &self,
        command: Command,
        mut on_event: impl FnMut(Event),
    ) -> Result<Reply, ApiError> {
        let body = serde_json::to_vec(&command).map_err(|error| {
            ApiError::usage("a path that is not Unicode cannot be told to the running node")
                .because(&error)
        })?;
        let answer = self.send(Method::POST, "/v1/run", Some(body)).await;
        let answer = answer.map_err(gone)?;
        if !answer.is("application/x-ndjson") {
            return Err(refused(answer).await);
        }
        let mut lines = Lines::new(answer);
        while let Some(line) = lines.next().await.map_err(gone)? {
            match serde_json::from_slice(&line) {
                Ok(Line::Event(event)) => on_event(event),
                Ok(Line::Outcome(outcome)) => return outcome.into(),
                // A node may tell more than this program knows; only the outcome must be
                // understood.
                Err(error) => {
                    if is_outcome(&line) {
                        let failure =
                            ApiError::new(ErrorKind::Version, "the node's answer is strange");
                        return Err(failure.because(&error));
                    }
                }
            }
        }
        Err(ApiError::new(ErrorKind::Interrupted, "the node ended before the command did")
            .hint("run the same command again to continue"))
    }

    /// Sends a request, with the token where one is needed.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, HttpFault> {
        let mut request = Request::builder().method(method).uri(path);
        if path != "/v1/health" {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.file.token));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).expect("the token is a header's text, as was checked");
        http::send(self.file.address, request).await
    }
}

fn gone(fault: HttpFault) -> ApiError {
    let message = match fault {
        HttpFault::Connect { .. } => "the running node does not answer any more",
        HttpFault::Broken(_) => "the connection to the running node broke",
    };
    ApiError::new(ErrorKind::Interrupted, message)
        .because(&fault)
        .hint("run the same command again to continue")
}

fn is_outcome(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(line)
        .is_ok_and(|line| matches!(line["type"].as_str(), Some("done" | "failed")))
}

/// An answer that never became a stream: the error it carries.
async fn refused(answer: Answer) -> ApiError {
    let status = answer.status();
    let told = answer.whole().await.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let failure: ApiError = told.unwrap_or_else(|| {
        ApiError::internal(format!("the node answered with the HTTP status {status}"))
    });
    if status == StatusCode::UNAUTHORIZED {
        // The file was read just before a new node wrote its own.
        failure.hint("a node has just been started here: try again")
    } else {
        failure
    }
}

#[cfg(test)]
mod tests;
