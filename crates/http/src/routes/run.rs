//! `POST /v1/run`: one command, its events as they come, its outcome as the last line.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use potluck_api::{ApiError, Command, Line, Outcome};

use super::{Shared, failure};
use crate::node::Node;
use crate::stream;

/// How the lines are written.
#[derive(Clone, Copy)]
enum Format {
    /// One JSON value a line.
    Ndjson,
    /// Server-sent events, for browsers.
    Sse,
}

/// Runs a command and answers with its events, the last of which is `done` or `failed`. Closing the
/// connection cancels the command. A command that fails before its first event has the error's
/// status.
#[utoipa::path(
    post, path = "/v1/run", request_body = Command,
    responses(
        (status = 200, description = "lines of JSON, or server-sent events if asked for by Accept",
         content((Line = "application/x-ndjson"), (Line = "text/event-stream"))),
        (status = 400, description = "not a command", body = ApiError),
        (status = 401, description = "no valid token", body = ApiError),
    )
)]
pub(super) async fn run<N: Node>(
    State(shared): State<Shared<N>>,
    headers: HeaderMap,
    command: Result<Json<Command>, JsonRejection>,
) -> Response {
    let command = match command {
        Ok(Json(command)) => command,
        Err(rejection) => {
            return failure(rejection.status(), ApiError::usage(rejection.body_text()));
        }
    };
    let format = if accepts_sse(&headers) { Format::Sse } else { Format::Ndjson };
    let mut lines = Box::pin(stream::run(shared.node, command, shared.stopping));
    let first = lines.next().await;
    let status = match &first {
        Some(Line::Outcome(Outcome::Failed { error })) => {
            StatusCode::from_u16(error.kind.http_status()).unwrap_or(StatusCode::BAD_GATEWAY)
        }
        _ => StatusCode::OK,
    };
    respond(status, format, futures_util::stream::iter(first).chain(lines))
}

fn accepts_sse(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"))
}

fn respond(
    status: StatusCode,
    format: Format,
    lines: impl Stream<Item = Line> + Send + 'static,
) -> Response {
    let kind = match format {
        Format::Ndjson => "application/x-ndjson",
        Format::Sse => "text/event-stream",
    };
    let bytes = lines.map(move |line| Ok::<_, Infallible>(written(format, &line)));
    (status, [(header::CONTENT_TYPE, kind)], Body::from_stream(bytes)).into_response()
}

fn written(format: Format, line: &Line) -> Bytes {
    let json = serde_json::to_string(line).unwrap_or_else(|error| {
        // A path that is not Unicode is the one thing that JSON cannot say.
        let error = ApiError::internal("the answer cannot be written as JSON").because(&error);
        serde_json::to_string(&Line::Outcome(Outcome::Failed { error })).unwrap_or_default()
    });
    match format {
        Format::Ndjson => format!("{json}\n").into(),
        Format::Sse => format!("data: {json}\n\n").into(),
    }
}
