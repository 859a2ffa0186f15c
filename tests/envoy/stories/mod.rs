//! What the product is for, told from one end to the other: the real key service, the real gateway, and a
//! cause that took people days to find. Each story ends with the repair and a call that passes.

mod migration;
mod offboarding;
mod overnight;
mod wrong_tenant;

use serde_json::{Value, json};
use support::client::{Request, Response};
use support::failure::{Failure, Result};
use support::gateway::{Builder, Gateway};
use support::key_service::KeyService;
use support::postgres::Server;
use support::wait;

/// On a slow machine the key service may take its time.
fn patient() -> Value {
    json!({"key_service": {"timeout": "5s"}})
}

fn with_key(request: Request, key: &str) -> Request {
    request.header("authorization", format!("Bearer {key}"))
}

/// Refused with this code, at the level of detail at which the client is told everything.
fn refused(answer: &Response, status: u16, code: &str, title: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("x-keybound-code"), Some(code));
    let problem = answer.json();
    assert_eq!(problem["code"], code);
    assert_eq!(problem["title"], title);
}

const INVALID_USER: &str = "Invalid user associated with this key";
const INVALID_KEY: &str = "Invalid API key";
const NOT_PERMITTED: &str = "Not permitted for this key";

/// Sends a request again and again until it is refused with this code; until it passes where there is none.
async fn until_answered(gateway: &Gateway, request: &Request, code: Option<&str>) -> Response {
    wait::until(&format!("the answer to be {code:?}"), async || {
        let answer = gateway.send(request).await;
        match (answer.header("x-keybound-code"), answer.status) {
            (None, 200) if code.is_none() => Ok(answer),
            (seen, _) if code.is_some() && seen == code => Ok(answer),
            _ => Err(format!("{} {}", answer.status, answer.text())),
        }
    })
    .await
    .unwrap()
}

/// Asks the key service why, with what one line of the access log says. The first line must name the cause:
/// the code, and whoever it is about.
async fn explained(gateway: &mut Gateway, entry: &Value, code: &str, about: &[&str]) {
    let question = json!({
        "key_id": entry["refused_key_id"],
        "request": {
            "method": entry["method"], "host": entry["host"], "path": entry["path"],
            "source_address": entry["source_address"],
        },
    });
    let answer = gateway
        .key_service()
        .must("POST", "/explain", Some(&question))
        .await
        .unwrap();
    assert_eq!(answer["verdict"], code, "{answer:#}");
    let summary = answer["summary"].as_str().unwrap_or_default();
    assert!(
        summary.starts_with(&format!("refused: {code}")),
        "{summary}"
    );
    for about in about {
        assert!(summary.contains(about), "{about} is not in: {summary}");
    }
    let failed = answer["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|check| check["result"] == "failed");
    assert_eq!(failed.map(|check| &check["code"]), Some(&json!(code)));
    assert!(answer["next_step"].as_str().unwrap_or_default().len() > 20);
}

/// With its records in a database of this server, else in a file.
fn on(builder: Builder, server: Option<&Server>) -> Builder {
    let Some(server) = server else {
        return builder;
    };
    server.create("keybound").unwrap();
    builder.records_in(&server.url("keybound"))
}

/// The directory that the users of a tenant come from.
struct Directory {
    /// Whose way of writing it has: `okta`, or any other for Microsoft Entra's.
    name: &'static str,
    token: String,
}

impl Directory {
    /// Makes its token.
    fn of(service: &KeyService, name: &'static str, tenant: &str) -> Result<Self> {
        let create = ["token", "create", "--role", "scim", "--name", name];
        let made = service.command(&[&create[..], &["--tenant", tenant]].concat())?;
        let token = made["token"]
            .as_str()
            .ok_or_else(|| Failure::new("no token was made"))?;
        Ok(Self {
            name,
            token: token.to_owned(),
        })
    }

    /// Somebody joins, and is called so there. Gives the id.
    async fn joins(&self, service: &KeyService, login: &str) -> Result<String> {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": login, "active": true, "displayName": login,
        });
        let made = self.send(service, "POST", "", &body).await?;
        let id = made["id"].as_str();
        Ok(id
            .ok_or_else(|| Failure::new(format!("no id: {made}")))?
            .to_owned())
    }

    /// Somebody is disabled there.
    async fn leaves(&self, service: &KeyService, user: &str) -> Result<()> {
        self.set_active(service, user, false).await
    }

    /// Somebody is enabled again.
    async fn comes_back(&self, service: &KeyService, user: &str) -> Result<()> {
        self.set_active(service, user, true).await
    }

    async fn set_active(&self, service: &KeyService, user: &str, active: bool) -> Result<()> {
        let operation = match (self.name, active) {
            ("okta", _) => json!({"op": "replace", "value": {"active": active}}),
            (_, true) => json!({"op": "Replace", "path": "active", "value": "True"}),
            (_, false) => json!({"op": "Replace", "path": "active", "value": "False"}),
        };
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation],
        });
        let path = format!("/{user}");
        let after = self.send(service, "PATCH", &path, &body).await?;
        assert_eq!(after["active"], active, "{after}");
        Ok(())
    }

    async fn send(
        &self,
        service: &KeyService,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value> {
        let request = Request::new(method, format!("/scim/v2/Users{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/scim+json")
            .with_body(body.to_string());
        let answer = request.send(service.port()).await?;
        match answer.status {
            200 | 201 => Ok(answer.json()),
            status => Err(Failure::new(format!("{status}: {}", answer.text()))),
        }
    }
}
