//! The description of the API at `/openapi.json`, collected from the handlers.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keybound key service",
        description = "The key service protocol (version 1) for gateways under /v1, and the admin API under /admin/v1.",
    ),
    security(("bearer" = [])),
    modifiers(&Bearer),
)]
pub struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        description
            .components
            .get_or_insert_default()
            .add_security_scheme(
                "bearer",
                SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
            );
    }
}
