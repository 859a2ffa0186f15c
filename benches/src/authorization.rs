//! What Envoy's ext_authz filter asks: a service that knows all keys and answers from memory, by HTTP and by
//! gRPC.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, HeaderAppendAction,
};
use envoy_types::ext_authz::v3::{CheckRequestExt, CheckResponseExt, OkHttpResponseBuilder};
use support::failure::Result;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

use crate::population::Population;

/// Names of the headers that tell who is calling, in the order of [`Identity`].
pub const IDENTITY_HEADERS: [&str; 4] = ["x-key-id", "x-user-id", "x-tenant-id", "x-key-scopes"];

/// What the service has to say of a key: the values of [`IDENTITY_HEADERS`].
type Identity = [String; 4];

type Known = Arc<HashMap<String, Identity>>;

/// Where the two servers listen.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// HTTP/1.1.
    pub http: u16,
    /// gRPC.
    pub grpc: u16,
}

/// Answers until the program ends.
pub async fn serve(population: Population) -> Result<Ports> {
    let known: Known = Arc::new(
        (0..population.keys)
            .map(|number| {
                let ids = population.kind.ids(number);
                let scopes = "orders:read orders:write".to_owned();
                (
                    population.kind.credential(number),
                    [ids.key, ids.user, ids.tenant, scopes],
                )
            })
            .collect(),
    );

    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let http = listener.local_addr()?.port();
    let routes = Router::new().fallback(check).with_state(Arc::clone(&known));
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let grpc = listener.local_addr()?.port();
    let server = tonic::transport::Server::builder()
        .add_service(AuthorizationServer::new(Service(known)))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(server);
    Ok(Ports { http, grpc })
}

async fn check(State(known): State<Known>, headers: HeaderMap) -> Response {
    let identity = headers
        .get("x-api-key")
        .and_then(|credential| known.get(credential.to_str().ok()?));
    let Some(identity) = identity else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let mut headers = HeaderMap::with_capacity(identity.len());
    for (name, value) in IDENTITY_HEADERS.into_iter().zip(identity) {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.into_response()
}

struct Service(Known);

#[tonic::async_trait]
impl Authorization for Service {
    async fn check(
        &self,
        request: tonic::Request<CheckRequest>,
    ) -> std::result::Result<tonic::Response<CheckResponse>, tonic::Status> {
        let request = request.into_inner();
        let identity = request
            .get_client_headers()
            .and_then(|headers| self.0.get(headers.get("x-api-key")?));
        let Some(identity) = identity else {
            let refused = tonic::Status::unauthenticated("nobody knows this key");
            return Ok(tonic::Response::new(CheckResponse::with_status(refused)));
        };
        let mut allowed = OkHttpResponseBuilder::new();
        for (name, value) in IDENTITY_HEADERS.into_iter().zip(identity) {
            let replaced = Some(HeaderAppendAction::OverwriteIfExistsOrAdd);
            allowed.add_header(name, value, replaced, false);
        }
        allowed.remove_header("x-api-key");
        let mut response = CheckResponse::with_status(tonic::Status::ok(""));
        response.set_http_response(allowed);
        Ok(tonic::Response::new(response))
    }
}
