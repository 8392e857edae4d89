//! Typed client of the HTTP API.

mod lines;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use potluck_api::{
    API_FILE, API_VERSION, ApiError, ApiFile, Command, ErrorKind, Event, Health, Line, Reply,
};
use reqwest::{Response, StatusCode, header, redirect};

use crate::lines::Lines;

/// How long a node may take to say that it is there. It is on this machine and has nothing to look up.
const HEALTH_TIME: Duration = Duration::from_secs(2);

/// Why there is no client, although there may be a node.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The running node speaks another version of the API.
    #[error("the running node (version {version}) speaks another version of the API than this program")]
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
    /// The HTTP machinery does not start.
    #[error("the HTTP client does not start")]
    Http(#[from] reqwest::Error),
}

impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        let (kind, hint) = match &error {
            ClientError::Version { .. } => {
                (ErrorKind::Version, Some("\"potluck daemon stop\" and start it again"))
            }
            ClientError::NotLoopback { .. } => (ErrorKind::Denied, Some("remove that file")),
            ClientError::File { .. } => (ErrorKind::Denied, None),
            ClientError::Http(_) => (ErrorKind::Internal, None),
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
    http: reqwest::Client,
    file: ApiFile,
}

impl Client {
    /// The node that runs on this home, if there is one that answers. What a crashed node left is no node.
    pub async fn from_home(home: &Path) -> Result<Option<Client>, ClientError> {
        let path = home.join(API_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ClientError::File { path, error }),
        };
        let Ok(file) = serde_json::from_slice::<ApiFile>(&text) else { return Ok(None) };
        if !file.address.ip().is_loopback() {
            return Err(ClientError::NotLoopback { path, address: file.address });
        }
        // The node is on this machine: a proxy of the system has no business here, nor has a redirect.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(HEALTH_TIME)
            .build()?;
        let client = Client { http, file };
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
        let request = self.http.get(self.url("/v1/health")).timeout(HEALTH_TIME);
        let response = request.send().await.ok()?;
        // A node that is ending has no use for us, nor we for it.
        response.error_for_status().ok()?.json().await.ok()
    }

    /// Tells everything that happens in the node, until it ends.
    pub async fn watch(&self, mut on_event: impl FnMut(Event)) -> Result<(), ApiError> {
        let request = self.http.get(self.url("/v1/events")).bearer_auth(&self.file.token);
        let response = request.send().await.map_err(|error| self.gone(&error))?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let mut lines = Lines::new(response);
        while let Some(line) = lines.next().await.map_err(|error| self.gone(&error))? {
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
        let request = self
            .http
            .post(self.url("/v1/run"))
            .bearer_auth(&self.file.token)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let response = request.send().await.map_err(|error| self.gone(&error))?;
        if !is_stream(&response) {
            return Err(refused(response).await);
        }
        let mut lines = Lines::new(response);
        while let Some(line) = lines.next().await.map_err(|error| self.gone(&error))? {
            match serde_json::from_slice(&line) {
                Ok(Line::Event(event)) => on_event(event),
                Ok(Line::Outcome(outcome)) => return outcome.into(),
                // A node may tell more than this program knows; only the outcome must be understood.
                Err(error) => {
                    if is_outcome(&line) {
                        let failure = ApiError::new(ErrorKind::Version, "the node's answer is strange");
                        return Err(failure.because(&error));
                    }
                }
            }
        }
        Err(ApiError::new(ErrorKind::Interrupted, "the node ended before the command did")
            .hint("run the same command again to continue"))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.file.address)
    }

    fn gone(&self, error: &reqwest::Error) -> ApiError {
        if error.is_connect() {
            let message = format!("the node at {} does not answer", self.file.address);
            ApiError::new(ErrorKind::Unreachable, message).because(error)
        } else {
            ApiError::new(ErrorKind::Interrupted, "the connection to the running node broke")
                .because(error)
                .hint("run the same command again to continue")
        }
    }
}

fn is_stream(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-ndjson"))
}

fn is_outcome(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(line)
        .is_ok_and(|line| matches!(line["type"].as_str(), Some("done" | "failed")))
}

/// An answer that never became a stream: the error it carries.
async fn refused(response: Response) -> ApiError {
    let status = response.status();
    let told: Option<ApiError> = response.json().await.ok();
    let failure = told.unwrap_or_else(|| {
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
