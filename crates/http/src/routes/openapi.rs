//! `GET /openapi.json`: the description of the API, made from the types themselves.

use axum::Json;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The description.
#[derive(OpenApi)]
#[openapi(
    info(title = "Potluck", description = "Ask a node; see the command's stream as it works."),
    paths(super::run::run, super::events::events, super::health, openapi),
    components(schemas(
        potluck_api::Command, potluck_api::Line, potluck_api::Outcome, potluck_api::Reply,
        potluck_api::Event, potluck_api::ApiError, potluck_api::ErrorKind
    )),
    security(("token" = [])),
    modifiers(&TokenScheme)
)]
pub(super) struct Description;

/// Says that the token is a bearer token.
struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// Describes this API.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, body = Object)))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Route;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let description = serde_json::to_value(Description::openapi()).unwrap();
        let paths = description["paths"].as_object().unwrap();
        assert_eq!(paths.len(), Route::ALL.len());
        for route in Route::ALL {
            let method = route.method().as_str().to_ascii_lowercase();
            assert!(paths[route.path()].get(&method).is_some(), "{route:?}");
        }
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let text = serde_json::to_string(&Description::openapi()).unwrap();
        let description: serde_json::Value = serde_json::from_str(&text).unwrap();
        let schemas = description["components"]["schemas"].as_object().unwrap();
        for named in text.split("#/components/schemas/").skip(1) {
            let name = named.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        assert!(schemas.contains_key("ShareInfo"));
    }
}
