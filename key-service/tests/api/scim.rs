//! `/scim/v2`: what Okta and Microsoft Entra send, and what becomes of it.

use key_service::domain::token::{Grant, Role, Token};
use serde_json::{Value, json};

use crate::routes::{Area, routes_of};
use crate::support::{Answer, Service, assert_holds};

/// Registers a directory's token for a tenant.
pub fn directory(service: &Service, tenant: &str) -> Token {
    let token = Token::generate(Role::Scim);
    let grant = Grant {
        tenant_id: Some(tenant.to_owned()),
        ..Role::Scim.into()
    };
    service.write(async |write| {
        let name = if tenant == "ten_a" { "okta" } else { "entra" };
        assert!(write.put_token(name, grant, &token.digest()).await.unwrap());
    });
    token
}

/// A service with the directory of `ten_a`.
struct Shop {
    service: Service,
    okta: Token,
}

impl Shop {
    fn open() -> Self {
        let service = Service::furnished();
        let okta = directory(&service, "ten_a");
        Self { service, okta }
    }

    fn send_as(&self, token: &Token, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let authorization = format!("Bearer {}", token.reveal());
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/scim+json; charset=utf-8"),
        ];
        let body = body.map(|body| body.to_string().into_bytes());
        let path = format!("/scim/v2{path}");
        let answer = self
            .service
            .send_with(method, &path, &headers, body.as_deref());
        if answer.status != 204 {
            let media = answer.header("content-type");
            assert_eq!(media, "application/scim+json", "{}", answer.text);
        }
        answer
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send_as(&self.okta, method, path, Some(body))
    }

    fn get(&self, path: &str) -> Answer {
        self.send_as(&self.okta, "GET", path, None)
    }

    /// Makes a user, and gives its id.
    fn user(&self, login: &str) -> String {
        let body = json!({"schemas": [USER], "userName": login});
        let user = self.send("POST", "/Users", &body).expect(201);
        user["id"].as_str().unwrap().to_owned()
    }

    fn patch(&self, id: &str, operations: Value) -> Answer {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        self.send("PATCH", &format!("/Users/{id}"), &body)
    }

    /// The user as administrators see it.
    fn stored(&self, id: &str) -> Value {
        self.service
            .get(&format!("/admin/v1/users/{id}"))
            .expect(200)
    }

    fn set_status(&self, id: &str, status: &str) {
        let path = format!("/admin/v1/users/{id}?force=true");
        let body = json!({"status": status});
        self.service.patch(&path, &body).expect(200);
    }
}

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// The error of an answer that must have this status and this word of SCIM.
#[track_caller]
fn refused(answer: &Answer, status: u16, kind: Option<&str>) {
    let body = answer.expect(status);
    let error = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": status.to_string(),
    });
    assert_holds(&body, &error);
    assert_eq!(body["scimType"].as_str(), kind, "{body}");
    assert!(!body["detail"].as_str().unwrap().is_empty());
}

#[test]
fn only_a_directorys_token_opens_it_and_opens_nothing_else() {
    let shop = Shop::open();
    let routes = routes_of(&shop.service, Area::Scim);
    assert!(routes.len() > 10);
    for route in &routes {
        let path = route.path();
        let path = path.strip_prefix("/scim/v2").unwrap();
        let body = json!({});
        let unknown = Token::chosen("a-token-that-nobody-has").unwrap();
        let answer = shop.send_as(&unknown, &route.method, path, Some(&body));
        refused(&answer, 401, None);
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"keybound\""
        );
        for token in [
            &shop.service.admin,
            &shop.service.viewer,
            &shop.service.gateway,
        ] {
            let answer = shop.send_as(token, &route.method, path, Some(&body));
            refused(&answer, 403, None);
        }
        let answer = shop.send(&route.method, path, &body);
        assert!(![401, 403].contains(&answer.status), "{route:?}");
    }
    for area in [Area::Admin, Area::Protocol] {
        for route in routes_of(&shop.service, area) {
            let body = route.body.as_ref().map(|_| &b"{}"[..]);
            let path = route.path();
            let answer = shop
                .service
                .send(&route.method, &path, Some(&shop.okta), body);
            answer.problem(403);
        }
    }
}

#[test]
fn a_user_is_made_found_changed_and_deleted_as_okta_does_it() {
    let shop = Shop::open();
    // Okta looks first whether the user is there.
    let nobody = shop
        .get("/Users?filter=userName%20eq%20%22anna%40example.com%22&startIndex=1&count=100")
        .expect(200);
    let none = json!({"totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": []});
    assert_holds(&nobody, &none);
    let body = json!({
        "schemas": [USER], "userName": "anna@example.com",
        "name": {"givenName": "Anna", "familyName": "Example"},
        "emails": [{"primary": true, "value": "anna@example.com", "type": "work"}],
        "displayName": "Anna Example", "locale": "en-US", "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [], "password": "1mz050nq", "active": true,
    });
    let made = shop.send("POST", "/Users", &body);
    let user = made.expect(201);
    let id = user["id"].as_str().unwrap();
    assert_eq!(made.header("location"), user["meta"]["location"]);
    let location = format!("{}/scim/v2/Users/{id}", shop.service.url);
    assert_eq!(user["meta"]["location"], location);
    let shown = json!({
        "schemas": [USER], "userName": "anna@example.com", "externalId": "00ujl29u0le5T6Aj10h7",
        "displayName": "Anna Example", "active": true,
    });
    assert_holds(&user, &shown);
    assert!(!made.text.contains("1mz050nq"), "{}", made.text);
    let stored = shop.stored(id);
    let fields = json!({
        "tenant_id": "ten_a", "kind": "person", "login": "anna@example.com", "status": "active",
        "external_id": "00ujl29u0le5T6Aj10h7", "display_name": "Anna Example", "contact": "anna@example.com",
    });
    assert_holds(&stored, &fields);
    assert_eq!(shop.get(&format!("/Users/{id}")).expect(200), user);
    refused(&shop.send("POST", "/Users", &body), 409, Some("uniqueness"));

    // Okta puts the whole of what it read, and changes.
    let mut whole = user.clone();
    whole["displayName"] = json!("Anna Other");
    let put = shop.send("PUT", &format!("/Users/{id}"), &whole);
    assert_eq!(put.expect(200)["displayName"], "Anna Other");
    // Without active, nothing becomes of that; what is left out else is gone.
    shop.patch(id, json!([{"op": "replace", "value": {"active": false}}]))
        .expect(200);
    let put = shop.send(
        "PUT",
        &format!("/Users/{id}"),
        &json!({"userName": "anna@example.com"}),
    );
    let put = put.expect(200);
    assert_eq!(
        (&put["active"], &put["displayName"]),
        (&json!(false), &Value::Null)
    );

    let deleted = shop.send_as(&shop.okta, "DELETE", &format!("/Users/{id}"), None);
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(shop.stored(id)["status"], "deleted");
    for method in ["GET", "DELETE"] {
        let gone = shop.send_as(&shop.okta, method, &format!("/Users/{id}"), None);
        refused(&gone, 404, None);
    }
    refused(&shop.patch(id, json!([])), 404, None);
    // The name is free again, for somebody else.
    let again = shop.send("POST", "/Users", &body).expect(201);
    assert_ne!(again["id"], id);
    let audit = shop
        .service
        .get(&format!("/admin/v1/audit?id={id}"))
        .expect(200);
    let entries = audit["items"].as_array().unwrap();
    assert_eq!(entries.len(), 5);
    assert!(
        entries.iter().all(|entry| entry["actor"] == "scim:okta"),
        "{audit}"
    );
}

#[test]
fn a_user_is_deactivated_and_lifted_again_in_the_forms_of_okta_and_entra() {
    let shop = Shop::open();
    let id = shop.user("ben@example.com");
    let key = shop.service.make_key(&json!({"user_id": id}));
    let status = || {
        let digest = crate::support::digest(&key["secret"]);
        let resolved = shop.service.resolve(&[&digest]);
        resolved["results"][0]["user"]["status"].clone()
    };
    for (off, on) in [
        (
            json!([{"op": "replace", "value": {"active": false}}]),
            json!([{"op": "replace", "value": {"active": true}}]),
        ),
        (
            json!([{"op": "Replace", "path": "active", "value": "False"}]),
            json!([{"op": "Replace", "path": "active", "value": "True"}]),
        ),
        (
            json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": false}]),
            json!([{"op": "ADD", "path": "ACTIVE", "value": true}]),
        ),
    ] {
        assert_eq!(shop.patch(&id, off).expect(200)["active"], false);
        assert_eq!(status(), "deactivated");
        assert_eq!(shop.patch(&id, on).expect(200)["active"], true);
        assert_eq!(status(), "active");
    }
}

#[test]
fn an_explanation_says_who_left_since_when_and_by_which_directory() {
    let shop = Shop::open();
    let id = shop.user("nora@example.com");
    let key = shop.service.make_key(&json!({"user_id": id}));
    let question = json!({"key_id": key["id"]});
    let summary = || {
        let told = shop
            .service
            .post("/admin/v1/explain", &question)
            .expect(200);
        told["summary"].as_str().unwrap().to_owned()
    };
    let off = json!([{"op": "replace", "value": {"active": false}}]);
    shop.patch(&id, off.clone()).expect(200);
    let at = shop.stored(&id)["updated_at"].as_i64().unwrap();
    let at = key_service::domain::time::shown(at);
    assert_eq!(
        summary(),
        format!(
            "refused: user_deactivated - the person {id} left on {at}, deactivated by scim:okta"
        )
    );
    let path = format!("/admin/v1/users/{id}");
    shop.service
        .patch(&path, &json!({"kind": "system"}))
        .expect(200);
    assert_eq!(
        summary(),
        format!(
            "refused: user_deactivated - the system {id} was taken out of service on {at}, deactivated by scim:okta"
        )
    );
    // What an administrator has done since is told as before.
    shop.set_status(&id, "active");
    shop.set_status(&id, "deactivated");
    let plain = format!("refused: user_deactivated - the key's user {id} is deactivated");
    assert_eq!(summary(), plain);
}

#[test]
fn a_directory_lifts_nothing_that_another_has_set() {
    let shop = Shop::open();
    let id = shop.user("cara@example.com");
    let turn = |active: bool| {
        let turned = shop.patch(
            &id,
            json!([{"op": "replace", "path": "active", "value": active}]),
        );
        turned.expect(200)["active"].clone()
    };
    for set in ["suspended", "locked", "pending"] {
        shop.set_status(&id, set);
        assert_eq!(turn(true), false, "{set}");
        assert_eq!(shop.stored(&id)["status"], set);
        assert_eq!(turn(false), false);
        let left = json!({"status": "deactivated", "status_held": set});
        assert_holds(&shop.stored(&id), &left);
        assert_eq!(turn(true), false);
        assert_holds(
            &shop.stored(&id),
            &json!({"status": set, "status_held": null}),
        );
    }
    shop.set_status(&id, "deactivated");
    assert_eq!(turn(true), true);
}

#[test]
fn lists_are_filtered_cut_and_shown_as_they_are_asked_for() {
    let shop = Shop::open();
    let first = shop.user("Dora@example.com");
    for login in ["emil@example.com", "frida@example.com"] {
        shop.user(login);
    }
    let body = json!({"userName": "gerd@example.com", "externalId": "ext-1", "active": false});
    shop.send("POST", "/Users", &body).expect(201);
    let deleted = shop.user("hugo@example.com");
    shop.send_as(&shop.okta, "DELETE", &format!("/Users/{deleted}"), None);
    let names = |list: &Value| -> Vec<String> {
        let users = list["Resources"].as_array().unwrap().iter();
        users
            .map(|user| user["userName"].as_str().unwrap().to_owned())
            .collect()
    };
    let asked = |query: &str| shop.get(&format!("/Users?{query}")).expect(200);
    // Of a user without a login the id is shown.
    let all = [
        "usr_a",
        "Dora@example.com",
        "emil@example.com",
        "frida@example.com",
        "gerd@example.com",
    ];
    assert_eq!(names(&asked("")), all);
    for (query, found) in [
        ("filter=userName+eq+%22DORA%40EXAMPLE.COM%22", &all[1..2]),
        ("filter=externalId%20eq%20%22ext-1%22", &all[4..]),
        ("filter=active+eq+false", &all[4..]),
        (
            "filter=active+eq+true+and+userName+eq+%22emil%40example.com%22",
            &all[2..3],
        ),
        (
            "filter=active+eq+false+and+userName+eq+%22emil%40example.com%22",
            &[][..],
        ),
        ("filter=userName+eq+%22hugo%40example.com%22", &[][..]),
        (&format!("filter=id+eq+%22{first}%22"), &all[1..2]),
    ] {
        let list = asked(query);
        assert_eq!(names(&list), found, "{query}");
        assert_eq!(list["totalResults"], found.len());
    }
    let part = asked("startIndex=2&count=2&sortBy=userName");
    assert_eq!(names(&part), &all[1..3]);
    let numbers = json!({"totalResults": 5, "startIndex": 2, "itemsPerPage": 2});
    assert_holds(&part, &numbers);
    assert_holds(
        &asked("count=0"),
        &json!({"totalResults": 5, "itemsPerPage": 0}),
    );
    let few = asked("filter=externalId+eq+%22ext-1%22&attributes=userName");
    let members = few["Resources"][0].as_object().unwrap();
    assert_eq!(members.len(), 3, "{few}");
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "externalId eq \"ext-1\"", "excludedAttributes": ["meta", "active"],
        "startIndex": 1, "count": 10,
    });
    for path in ["/Users/.search", "/.search"] {
        let list = shop.send("POST", path, &search).expect(200);
        let user = &list["Resources"][0];
        assert_eq!(user["externalId"], "ext-1");
        assert_eq!(
            (&user["meta"], &user["active"]),
            (&Value::Null, &Value::Null)
        );
    }
    for filter in ["userName+sw+%22a%22", "title+eq+%22a%22", "active"] {
        refused(
            &shop.get(&format!("/Users?filter={filter}")),
            400,
            Some("invalidFilter"),
        );
    }
}

#[test]
fn wrong_bodies_are_errors_of_scim() {
    let shop = Shop::open();
    let id = shop.user("ida@example.com");
    let taken = shop.user("jan@example.com");
    let post = |body: Value| shop.send("POST", "/Users", &body);
    refused(&post(json!({})), 400, Some("invalidValue"));
    refused(&post(json!([])), 400, Some("invalidSyntax"));
    refused(&post(json!({"userName": 7})), 400, Some("invalidValue"));
    refused(
        &post(json!({"userName": "k", "active": "yes"})),
        400,
        Some("invalidValue"),
    );
    refused(
        &post(json!({"userName": "IDA@example.com"})),
        409,
        Some("uniqueness"),
    );
    for (operation, kind) in [
        (
            json!({"op": "move", "path": "active", "value": true}),
            "invalidSyntax",
        ),
        (json!({"op": "remove"}), "noTarget"),
        (json!({"op": "remove", "path": "userName"}), "mutability"),
        (
            json!({"op": "replace", "path": "id", "value": "usr_x"}),
            "mutability",
        ),
        (
            json!({"op": "replace", "path": "active", "value": 7}),
            "invalidValue",
        ),
    ] {
        refused(&shop.patch(&id, json!([operation])), 400, Some(kind));
    }
    // Of several operations all are done, or none.
    let operations = json!([
        {"op": "replace", "path": "active", "value": false},
        {"op": "replace", "path": "userName", "value": "JAN@example.com"},
    ]);
    refused(&shop.patch(&id, operations), 409, Some("uniqueness"));
    assert_eq!(shop.stored(&id)["status"], "active");
    let put = json!({"userName": "ida@example.com"});
    refused(
        &shop.send("PUT", &format!("/Users/{taken}"), &put),
        409,
        Some("uniqueness"),
    );
    let own = json!([{"op": "replace", "path": "userName", "value": "IDA@example.com"}]);
    assert_eq!(
        shop.patch(&id, own).expect(200)["userName"],
        "IDA@example.com"
    );
    for path in ["/Groups", "/Users/x/y", "/Bulk"] {
        refused(&shop.get(path), 404, None);
    }
    refused(&shop.send("PUT", "/Users", &json!({})), 405, None);
    let authorization = format!("Bearer {}", shop.okta.reveal());
    let send = |media: &str, body: &[u8]| {
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", media),
        ];
        shop.service
            .send_with("POST", "/scim/v2/Users", &headers, Some(body))
    };
    refused(&send("text/plain", b"{}"), 415, None);
    refused(
        &send("application/scim+json", b"{"),
        400,
        Some("invalidSyntax"),
    );
    let twice = br#"{"userName": "l", "active": true, "active": false}"#;
    refused(
        &send("application/scim+json", twice),
        400,
        Some("invalidSyntax"),
    );
    refused(
        &send("application/json", &vec![b' '; 1024 * 1024 + 1]),
        413,
        None,
    );
    assert_eq!(
        send("application/json", br#"{"userName": "m"}"#).status,
        201
    );
}

#[test]
fn the_users_of_another_tenant_do_not_exist_for_a_directory() {
    let shop = Shop::open();
    let service = &shop.service;
    service
        .post("/admin/v1/tenants", &json!({"id": "ten_b"}))
        .expect(201);
    let entra = directory(service, "ten_b");
    let body = json!({"userName": "kim@example.com", "externalId": "theirs"});
    let theirs = shop
        .send_as(&entra, "POST", "/Users", Some(&body))
        .expect(201);
    let id = theirs["id"].as_str().unwrap();
    service
        .post("/admin/v1/users", &json!({"id": "usr_n"}))
        .expect(201);
    for id in [id, "usr_n", "usr_nobody"] {
        let path = format!("/Users/{id}");
        let put = json!({"userName": "x"});
        let off = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
        for (method, body) in [
            ("GET", None),
            ("PUT", Some(&put)),
            ("PATCH", Some(&off)),
            ("DELETE", None),
        ] {
            refused(&shop.send_as(&shop.okta, method, &path, body), 404, None);
        }
    }
    let filters = [
        format!("filter=id+eq+%22{id}%22"),
        "filter=externalId+eq+%22theirs%22".to_owned(),
        "filter=userName+eq+%22kim%40example.com%22".to_owned(),
    ];
    for query in filters {
        let list = shop.get(&format!("/Users?{query}")).expect(200);
        assert_eq!(list["totalResults"], 0, "{list}");
    }
    assert_eq!(shop.get("/Users").expect(200)["totalResults"], 1);
    // The same names are free here.
    shop.send("POST", "/Users", &body).expect(201);
    assert_eq!(shop.stored(id)["status"], "active");
}

#[test]
fn who_leaves_with_keys_in_use_is_stopped_at_once_and_told_of() {
    let shop = Shop::open();
    let service = &shop.service;
    let counted = || {
        let metrics = service.send("GET", "/metrics", None, None).text;
        let name = "keybound_service_deactivated_in_use_total ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().parse::<u64>().unwrap()
    };
    let id = shop.user("lea@example.com");
    let keys: Vec<String> = (0..3)
        .map(|_| {
            let key = service.make_key(&json!({"user_id": id}));
            key["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let newest = || {
        let audit = service
            .get(&format!("/admin/v1/audit?id={id}&limit=1"))
            .expect(200);
        audit["items"][0].clone()
    };
    let off = json!([{"op": "replace", "path": "active", "value": "False"}]);
    let on = json!([{"op": "replace", "path": "active", "value": "True"}]);
    // Where nobody reports use, nobody knows.
    shop.patch(&id, off.clone()).expect(200);
    assert_eq!(newest()["after"]["keys_in_use"], Value::Null);
    shop.patch(&id, on.clone()).expect(200);
    let now = key_service::domain::time::now();
    let used = |id: &String| json!({"id": id, "allowed": 1, "rejected": 0, "last_at": now - 60});
    let report = json!({"reporter": "vm-1", "batch": 1, "from": now - 90, "to": now,
        "keys": keys[..2].iter().map(used).collect::<Vec<_>>()});
    let answer = service.send(
        "POST",
        "/v1/usage",
        Some(&service.gateway),
        Some(report.to_string().as_bytes()),
    );
    assert_eq!(answer.status, 204);
    assert_eq!(counted(), 0);
    // An administrator is asked first; a directory is obeyed.
    let path = format!("/admin/v1/users/{id}");
    service
        .patch(&path, &json!({"status": "deactivated"}))
        .problem(409);
    shop.patch(&id, off.clone()).expect(200);
    let entry = newest();
    assert_holds(
        &entry["after"],
        &json!({"status": "deactivated", "keys_in_use": 2, "in_use": keys[..2]}),
    );
    assert_eq!(entry["actor"], "scim:okta");
    assert_eq!(counted(), 1);
    // Again is nothing new.
    shop.patch(&id, off).expect(200);
    assert_eq!(counted(), 1);
    shop.patch(&id, on).expect(200);
    assert_eq!(newest()["after"]["keys_in_use"], Value::Null);
    shop.send_as(&shop.okta, "DELETE", &format!("/Users/{id}"), None);
    assert_holds(&newest(), &json!({"action": "delete"}));
    assert_eq!(newest()["after"]["keys_in_use"], 2);
    assert_eq!(counted(), 2);
}
