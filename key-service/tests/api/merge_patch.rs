//! A change is a merge patch (RFC 7396): null takes away, objects are merged, everything else is replaced.

use serde_json::{Value, json};

use crate::support::{Answer, Service};

fn patch(service: &Service, path: &str, media: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {}", service.admin.reveal());
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", media),
    ];
    service.send_with("PATCH", path, &headers, Some(body.to_string().as_bytes()))
}

#[test]
fn either_media_type_is_taken_and_described() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    let description = service.get("/openapi.json").expect(200);
    for path in [
        "/admin/v1/tenants/ten_a",
        "/admin/v1/users/usr_a",
        "/admin/v1/keys/key_1",
    ] {
        for media in [
            "application/merge-patch+json",
            "application/json",
            "application/merge-patch+json; charset=utf-8",
        ] {
            let changed = patch(&service, path, media, &json!({"name": media})).expect(200);
            assert_eq!(changed["name"], media);
            assert_eq!(
                patch(&service, path, media, &json!({"name": null})).expect(200)["name"],
                Value::Null
            );
        }
        let template = format!("{}/{{id}}", path.rsplit_once('/').unwrap().0);
        let content = &description["paths"][template]["patch"]["requestBody"]["content"];
        assert!(
            content["application/merge-patch+json"].is_object(),
            "{content}"
        );
    }
}

#[test]
fn what_is_missing_of_the_hours_stays_as_it_is() {
    let service = Service::furnished();
    service.make_key(&json!({"id": "key_1"}));
    let path = "/admin/v1/keys/key_1";
    let hours = |body: &Value| {
        patch(
            &service,
            path,
            "application/merge-patch+json",
            &json!({"hours": body}),
        )
    };
    assert_eq!(
        hours(&json!({"to": "18:00"})).problem(400),
        ["hours.days", "hours.from"]
    );
    let all = json!({"days": ["mon", "tue"], "from": "08:00", "to": "17:00"});
    assert_eq!(hours(&all).expect(200)["hours"], all);
    let later = json!({"days": ["mon", "tue"], "from": "08:00", "to": "19:00"});
    assert_eq!(hours(&json!({"to": "19:00"})).expect(200)["hours"], later);
    assert_eq!(hours(&json!({})).expect(200)["hours"], later);
    assert_eq!(
        hours(&json!({"days": ["sun"]})).expect(200)["hours"]["from"],
        "08:00"
    );
    assert_eq!(hours(&json!({"days": null})).problem(400), ["hours.days"]);
    assert_eq!(
        hours(&json!({"until": "19:00"})).problem(400),
        ["hours.until"]
    );
    assert_eq!(hours(&Value::Null).expect(200)["hours"], Value::Null);
    assert_eq!(
        hours(&json!({"from": "08:00"})).problem(400),
        ["hours.days", "hours.to"]
    );
}
