//! What had happened before somebody looks for the cause: one record of each story that the product is for. The same
//! stories, without a person who looks, are in `tests/envoy/stories`.

use super::{World, with_key};
use serde_json::{Value, json};
use support::client::Request;
use support::key_service::CreatedKey;

/// The tenant that the API of summaries is for.
pub const CONTENT: &str = "ten_content";

/// A batch job runs on the key of an administrator, whose account a clean-up deactivated.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The shop.
    pub tenant: String,
    /// Whose account is deactivated.
    pub administrator: String,
    /// The batch job's key.
    pub key: CreatedKey,
}

impl Migration {
    /// Makes it so.
    pub async fn happened(world: &mut World) -> Self {
        let tenant = tenant(world, "shop", None).await;
        let administrator = user(world, &tenant, "administrator", "person").await;
        let all = json!({"scopes": ["*"], "name": "batch job"});
        let key = key(world, &administrator, all).await;
        set_status(world, &administrator, "deactivated").await;
        Self {
            tenant,
            administrator,
            key,
        }
    }

    /// What the job asks for.
    pub fn call(&self, path: &str) -> Request {
        with_key(Request::get(path), &self.key.key)
    }
}

/// A developer's key was made under the research tenant, and the API expects [`CONTENT`].
#[derive(Clone, Debug)]
pub struct WrongTenant {
    /// The tenant of the key.
    pub research: String,
    /// Whose key it is.
    pub developer: String,
    /// The key.
    pub key: CreatedKey,
}

impl WrongTenant {
    /// Makes it so.
    pub async fn happened(world: &mut World) -> Self {
        let research = tenant(world, "research", Some("ten_research")).await;
        tenant(world, "content", Some(CONTENT)).await;
        let developer = user(world, &research, "developer", "person").await;
        let scopes = json!({"scopes": ["summaries:create"], "name": "summaries"});
        let key = key(world, &developer, scopes).await;
        Self {
            research,
            developer,
            key,
        }
    }

    /// A call of the API.
    pub fn call(&self, path: &str) -> Request {
        with_key(Request::post(path, "a long text"), &self.key.key)
    }
}

/// An integration that ran for two years. The story begins when somebody deactivates its user.
#[derive(Clone, Debug)]
pub struct Overnight {
    /// The shop.
    pub tenant: String,
    /// The integration's user.
    pub user: String,
    /// Its key.
    pub key: CreatedKey,
}

impl Overnight {
    /// Makes it so.
    pub async fn begins(world: &mut World) -> Self {
        let tenant = tenant(world, "shop", None).await;
        let user = user(world, &tenant, "integration", "system").await;
        let scopes = json!({"scopes": ["orders:read"], "name": "orders"});
        let key = key(world, &user, scopes).await;
        Self { tenant, user, key }
    }

    /// What the integration asks for.
    pub fn call(&self, path: &str) -> Request {
        with_key(Request::get(path), &self.key.key)
    }
}

/// A person with five keys, one of which a batch job runs on. The story begins when the directory deactivates the
/// person.
#[derive(Clone, Debug)]
pub struct OffBoarding {
    /// The shop.
    pub tenant: String,
    /// Who leaves.
    pub person: String,
    /// Their keys; the batch job has the last.
    pub keys: Vec<CreatedKey>,
    directory: String,
}

impl OffBoarding {
    /// Makes it so.
    pub async fn begins(world: &mut World) -> Self {
        let tenant = tenant(world, "shop", None).await;
        let directory = world.token(&["scim", "--tenant", &tenant]);
        let joins = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "lea@example.com", "displayName": "Lea", "active": true,
        });
        let made = directory_says(world, &directory, "POST", "", &joins).await;
        let person = id(&made);
        let mut keys = Vec::new();
        for number in 1..=5 {
            let fields = json!({"name": format!("key number {number}"), "scopes": ["orders:read"]});
            keys.push(key(world, &person, fields).await);
        }
        Self {
            tenant,
            person,
            keys,
            directory,
        }
    }

    /// The batch job's key.
    ///
    /// # Panics
    /// Never: there are five.
    pub fn batch(&self) -> &CreatedKey {
        self.keys.last().expect("five keys")
    }

    /// What the job asks for.
    pub fn call(&self, path: &str) -> Request {
        with_key(Request::get(path), &self.batch().key)
    }

    /// The directory says that the person has left.
    pub async fn leaves(&self, world: &mut World) {
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "value": {"active": false}}],
        });
        let path = format!("/{}", self.person);
        let after = directory_says(world, &self.directory, "PATCH", &path, &body).await;
        assert_eq!(after["active"], false, "{after}");
    }
}

async fn tenant(world: &mut World, name: &str, id: Option<&str>) -> String {
    let mut body = json!({"name": name});
    if let Some(id) = id {
        body["id"] = json!(id);
    }
    self::id(&world.must("POST", "/tenants", body).await)
}

async fn user(world: &mut World, tenant: &str, name: &str, kind: &str) -> String {
    let body = json!({"tenant_id": tenant, "name": name, "kind": kind, "status": "active"});
    id(&world.must("POST", "/users", body).await)
}

async fn key(world: &mut World, user: &str, fields: Value) -> CreatedKey {
    let key = world.service().key(user, &fields).await;
    let key = key.unwrap_or_else(|error| panic!("{error}"));
    world.hides(&key.key);
    key
}

async fn set_status(world: &mut World, user: &str, status: &str) {
    let path = format!("/users/{user}?force=true");
    world.must("PATCH", &path, json!({"status": status})).await;
}

async fn directory_says(
    world: &mut World,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Value {
    let request = Request::new(method, format!("/scim/v2/Users{path}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/scim+json")
        .with_body(body.to_string());
    let answer = request.send(world.service().port()).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    assert!([200, 201].contains(&answer.status), "{}", answer.text());
    answer.json()
}

fn id(record: &Value) -> String {
    let id = record["id"].as_str();
    id.unwrap_or_else(|| panic!("no id in {record}")).to_owned()
}
