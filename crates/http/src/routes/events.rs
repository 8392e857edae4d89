//! `GET /v1/events`: everything that happens in the node, as server-sent events.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use potluck_api::{Event, LogLevel};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::Shared;
use crate::node::Node;

/// Tells everything that happens in the node from now on, whoever asked for it.
#[utoipa::path(
    get, path = "/v1/events",
    responses((status = 200, content_type = "text/event-stream", body = Event))
)]
pub(super) async fn events<N: Node>(
    State(shared): State<Shared<N>>,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>> + Send> {
    let events = stream::unfold(shared.node.subscribe(), next)
        .take_until(shared.stopping.cancelled_owned())
        .filter_map(async |event| sse::Event::default().json_data(event).ok().map(Ok));
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn next(mut events: Receiver<Event>) -> Option<(Event, Receiver<Event>)> {
    let event = match events.recv().await {
        Ok(event) => event,
        Err(RecvError::Lagged(missed)) => {
            Event::Log { level: LogLevel::Warn, text: format!("{missed} events were missed") }
        }
        Err(RecvError::Closed) => return None,
    };
    Some((event, events))
}
