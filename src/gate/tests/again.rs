//! Requests that the host begins anew.

use super::*;
use crate::test_util::test;

const CLIENT: &str = "203.0.113.7:50123";

/// A world that knows the key `k`, fenced to the client's address, and the key `other`.
fn world(configuration: &Value) -> World {
    let mut world = World::new(configuration);
    let mut fenced = good(1);
    fenced["key"]["networks"] = json!(["203.0.113.0/24"]);
    for (key, record) in [("k", &fenced), ("other", &good(1))] {
        let sent = first(key);
        assert!(matches!(world.send(&sent), Fate::Waits(_)));
        world.teach(key, 5, record);
    }
    world
}

fn first(key: &str) -> Sent<'_> {
    let mut sent = Sent::new(&[("x-api-key", key)]);
    sent.handed.source = Some(CLIENT.to_owned());
    sent
}

/// The same request begun anew: with other headers, and from the address of the connection.
fn anew<'a>(first: Sent<'_>, headers: &[(&'a str, &'a str)]) -> Sent<'a> {
    let mut sent = Sent::new(headers).from([10, 0, 0, 1].into());
    sent.handed.note = first.handed.note;
    sent
}

#[test]
fn they_stay_the_keys_and_the_clients() {
    let mut world = world(&json!({"internal_redirects": true}));
    let sent = first("k");
    assert_eq!(world.send(&sent), allowed());
    let sent = anew(sent, &[]);
    assert_eq!(world.send(&sent), allowed());
    let sent = anew(sent, &[("x-api-key", "other"), ("x-user-id", "made up")]);
    assert_eq!(world.send(&sent), allowed());
    // What is not noted is not known.
    let sent = anew(Sent::new(&[]), &[("x-user-id", "usr_1")]);
    assert_eq!(world.send(&sent), Fate::Refused(Reason::KeyMissing));
}

#[test]
fn they_are_judged_anew() {
    let mut world = world(&json!({"internal_redirects": true, "routes": [
        {"match": {"prefix": "/admin"}, "policy": "admin"}],
        "policies": {"admin": {"scopes": {"all": ["admin"]}}}}));
    let sent = first("k");
    assert_eq!(world.send(&sent), allowed());
    let sent = anew(sent, &[(":path", "/admin")]);
    assert_eq!(world.send(&sent), Fate::Refused(Reason::ScopeMissing));
    // A note that nobody could have written counts for nothing.
    let sent = anew(sent, &[]);
    sent.handed.note.borrow_mut().as_mut().unwrap().truncate(31);
    assert_eq!(world.send(&sent), Fate::Refused(Reason::KeyMissing));
}

#[test]
fn and_noted_nowhere_unless_it_is_asked_for() {
    let mut world = world(&json!({}));
    let sent = first("k");
    assert_eq!(world.send(&sent), allowed());
    assert_eq!(sent.handed.note.borrow().as_deref(), None);
    let sent = anew(sent, &[]);
    assert_eq!(world.send(&sent), Fate::Refused(Reason::KeyMissing));
}
