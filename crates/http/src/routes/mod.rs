//! The routes, one table: what is not in it does not exist, and a test walks all of it.

mod events;
mod openapi;
mod run;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use potluck_api::{API_VERSION, ApiError, ErrorKind, Health};
use tokio_util::sync::CancellationToken;

use crate::node::Node;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared<N> {
    pub(crate) node: N,
    /// Cancelled once commands shall end.
    pub(crate) stopping: CancellationToken,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Runs a command.
    Run,
    /// Tells everything that happens.
    Events,
    /// Tells that somebody is here.
    Health,
    /// Describes the API.
    OpenApi,
}

impl Route {
    /// All routes.
    pub(crate) const ALL: [Route; 4] = [Route::Run, Route::Events, Route::Health, Route::OpenApi];

    /// Its path.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Route::Run => "/v1/run",
            Route::Events => "/v1/events",
            Route::Health => "/v1/health",
            Route::OpenApi => "/openapi.json",
        }
    }

    /// Its method.
    pub(crate) const fn method(self) -> Method {
        match self {
            Route::Run => Method::POST,
            Route::Events | Route::Health | Route::OpenApi => Method::GET,
        }
    }

    /// Whether a request needs no token: it must tell nothing and change nothing.
    pub(crate) fn is_open(method: &Method, path: &str) -> bool {
        method == Route::Health.method() && path == Route::Health.path()
    }

    fn handler<N: Node>(self) -> MethodRouter<Shared<N>> {
        match self {
            Route::Run => post(run::run::<N>),
            Route::Events => get(events::events::<N>),
            Route::Health => get(health::<N>),
            Route::OpenApi => get(openapi::openapi),
        }
    }
}

/// All routes over a node, not yet guarded.
pub(crate) fn router<N: Node>(shared: Shared<N>) -> Router {
    Route::ALL
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route.path(), route.handler()))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

/// A response that is an error.
pub(crate) fn failure(status: StatusCode, error: ApiError) -> Response {
    (status, Json(error)).into_response()
}

async fn nothing_here() -> Response {
    let error = ApiError::new(ErrorKind::NotFound, "no such route")
        .hint("the routes are listed at /openapi.json");
    failure(StatusCode::NOT_FOUND, error)
}

async fn wrong_method() -> Response {
    let error = ApiError::usage("this route has another method")
        .hint("the routes are listed at /openapi.json");
    failure(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// Tells that somebody is here, and which language it speaks. Needs no token.
#[utoipa::path(
    get, path = "/v1/health", security(()),
    responses((status = 200, body = Health), (status = 503, description = "the node is ending"))
)]
async fn health<N: Node>(State(shared): State<Shared<N>>) -> Response {
    if shared.stopping.is_cancelled() {
        let error = ApiError::new(ErrorKind::Interrupted, "the node is ending");
        return failure(StatusCode::SERVICE_UNAVAILABLE, error);
    }
    Json(Health { api: API_VERSION, version: env!("CARGO_PKG_VERSION").to_owned() }).into_response()
}
