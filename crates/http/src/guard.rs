//! Who may talk to the API: decided for every request, known route or not, before any handler runs.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use potluck_api::{ApiError, ErrorKind};

use crate::routes::{Route, failure};
use crate::token::same_secret;

/// What a request must match.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
    token: String,
}

impl Guard {
    /// The guard of an API at `address`.
    pub(crate) fn new(address: SocketAddr, token: String) -> Self {
        // `SocketAddr` prints IPv6 in brackets, as `Host` does.
        let hosts = vec![address.to_string(), format!("localhost:{}", address.port())];
        let origins = hosts.iter().map(|host| format!("http://{host}")).collect();
        Self { hosts, origins, token }
    }

    /// Says why a request is refused, if it is.
    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let headers = request.headers();
        // Exactly one `Host`: a page that rebinds its DNS name to loopback still sends its own name
        // here.
        if !is_one_of(headers, header::HOST, &self.hosts) {
            return Err(Refusal::Host);
        }
        if headers.contains_key(header::ORIGIN)
            && !is_one_of(headers, header::ORIGIN, &self.origins)
        {
            return Err(Refusal::Origin);
        }
        if Route::is_open(request.method(), request.uri().path()) || self.is_authorised(headers) {
            Ok(())
        } else {
            Err(Refusal::Token)
        }
    }

    fn is_authorised(&self, headers: &HeaderMap) -> bool {
        only(headers, header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .is_some_and(|shown| same_secret(shown, self.token.as_bytes()))
    }
}

fn is_one_of(headers: &HeaderMap, name: HeaderName, allowed: &[String]) -> bool {
    only(headers, name)
        .is_some_and(|value| allowed.iter().any(|allowed| value.as_bytes() == allowed.as_bytes()))
}

/// A header that is there once and only once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    Host,
    Origin,
    Token,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Refusal::Host => (StatusCode::MISDIRECTED_REQUEST, "this host is not served here"),
            Refusal::Origin => (StatusCode::FORBIDDEN, "requests of other sites are refused"),
            Refusal::Token => (StatusCode::UNAUTHORIZED, "the request shows no valid token"),
        };
        let mut response = failure(status, ApiError::new(ErrorKind::Denied, message));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// The middleware.
pub(crate) async fn guard(
    State(guard): State<std::sync::Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            tracing::debug!(?refusal, path = request.uri().path(), "request refused");
            refusal.into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
