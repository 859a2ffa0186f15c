//! `sunset` (RFC 8594) and `deprecation` (RFC 9745) on what passes, by the shipped configuration.

use crate::now;
use support::client::{Request, Response};
use support::gateway::Gateway;
use support::records::{self, Known};

/// 1 December 2099, 08:30 UTC.
const FAR: (u64, &str) = (4_099_797_000, "Tue, 01 Dec 2099 08:30:00 GMT");

async fn passed(gateway: &Gateway, known: Known, headers: &[(&str, &str)]) -> Response {
    let key = gateway.knows(known);
    let answer = gateway
        .send(&Request::get("/").header("x-api-key", &key).headers(headers))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// Asks the upstream for headers of its own.
const OF_THE_UPSTREAM: [(&str, &str); 2] = [
    ("answer-sunset", "Sat, 01 Jan 2101 00:00:00 GMT"),
    ("answer-deprecation", "@1"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_its_date_of_expiry_and_by_the_date_of_its_replacement() {
    let gateway = Gateway::scripted().start().await;
    let soon = now() + 3600;
    let replaced = |name| {
        records::active(name)
            .key("replaced_by", "key_newer")
            .key("replaced_at", 1_790_000_000)
    };

    let expiring = passed(
        &gateway,
        records::active("expiring").key("expires_at", soon),
        &[],
    )
    .await;
    let going = passed(&gateway, replaced("going").key("expires_at", soon), &[]).await;
    let in_grace = passed(&gateway, replaced("in-grace").key("expires_at", FAR.0), &[]).await;

    assert_eq!(in_grace.header("sunset"), Some(FAR.1));
    assert_eq!(in_grace.header("deprecation"), Some("@1790000000"));
    assert_eq!(expiring.header("deprecation"), None);
    assert!(expiring.header("sunset").is_some());
    assert_eq!(
        expiring.header("sunset"),
        going.header("sunset"),
        "both end at the same second"
    );
    gateway.counted("expiring", 2).await;
    gateway.counted("in_grace", 2).await;
    gateway.counted("allowed", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_no_other_does() {
    let gateway = Gateway::scripted().start().await;
    let week = 7 * 86_400;
    let (long_before, just_before) = (now() + week + 3600, now() + week - 3600);

    for (known, warned) in [
        (records::active("for-ever"), [false, false]),
        (
            records::active("later").key("expires_at", long_before),
            [false, false],
        ),
        (
            records::active("soon").key("expires_at", just_before),
            [true, false],
        ),
        (
            records::active("replaced")
                .key("expires_at", long_before)
                .key("replaced_by", "key_newer")
                .key("replaced_at", now() - 60),
            [true, true],
        ),
        (
            records::active("replaced-for-ever")
                .key("replaced_by", "key_newer")
                .key("replaced_at", now() - 60),
            [false, true],
        ),
    ] {
        let name = known.credential.clone();
        let answer = passed(&gateway, known, &[]).await;
        assert_eq!(
            ["sunset", "deprecation"].map(|header| answer.header(header).is_some()),
            warned,
            "{name}"
        );
    }
    gateway.counted("expiring", 1).await;
    gateway.counted("in_grace", 2).await;
    gateway.counted("allowed", 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_what_the_upstream_says_of_itself() {
    let gateway = Gateway::scripted().start().await;
    let soon = now() + 3600;

    let kept = passed(&gateway, records::active("good"), &OF_THE_UPSTREAM).await;
    assert_eq!(kept.header("sunset"), Some(OF_THE_UPSTREAM[0].1));
    assert_eq!(kept.header("deprecation"), Some(OF_THE_UPSTREAM[1].1));

    let known = records::active("replaced")
        .key("expires_at", soon)
        .key("replaced_by", "key_newer")
        .key("replaced_at", 1_790_000_000);
    let replaced = passed(&gateway, known, &OF_THE_UPSTREAM).await;
    assert_eq!(replaced.header_values("sunset").len(), 1);
    assert_ne!(replaced.header("sunset"), Some(OF_THE_UPSTREAM[0].1));
    assert_eq!(replaced.header("deprecation"), Some("@1790000000"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_a_refused_one_is_refused_without_a_date() {
    let gateway = Gateway::scripted().start().await;
    let key = gateway.knows(
        records::active("locked")
            .user_status("locked")
            .key("expires_at", now() + 3600)
            .key("replaced_by", "key_newer")
            .key("replaced_at", now() - 60),
    );

    let answer = gateway.get("/", &[("x-api-key", &key)]).await;

    assert_eq!(answer.header("x-keybound-code"), Some("user_locked"));
    assert_eq!(answer.header("sunset"), None);
    assert_eq!(answer.header("deprecation"), None);
    gateway.counted("rejected.user_locked", 1).await;
    gateway.counted("expiring", 0).await;
    gateway.counted("in_grace", 0).await;
}
