//! Calls to the key service as a host sends them, and their answers as it gets them.

use std::time::Duration;

use crate::gate::{CallEnd, Gate, KeyService, Outgoing};
use crate::host::{Answer, Call, CallId, Host, Store};
use crate::protocol::{LONGEST_BODY, MARKER};
use crate::time::Now;

/// Sends every call that is to be sent.
pub(super) fn send(gate: &mut Gate, host: &impl Host, time: impl Fn() -> Now) {
    loop {
        let now = time();
        let Some(outgoing) = gate.next_call(now) else {
            break;
        };
        match dispatch(&gate.settings().key_service, &outgoing, host) {
            Some(call) => gate.sent(call, outgoing.purpose),
            None => gate.not_sent(outgoing.purpose, now, host),
        }
    }
}

fn dispatch(service: &KeyService, outgoing: &Outgoing, host: &impl Host) -> Option<CallId> {
    let authorization = service
        .token
        .as_ref()
        .map(|token| format!("Bearer {}", token.reveal()));
    let method = if outgoing.body.is_some() {
        "POST"
    } else {
        "GET"
    };
    let mut headers = vec![
        (":method", method),
        (":path", outgoing.path.as_str()),
        (":authority", service.authority.as_str()),
        ("accept", "application/json"),
    ];
    if outgoing.body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    if let Some(authorization) = &authorization {
        headers.push(("authorization", authorization));
    }
    host.call(&Call {
        cluster: &service.cluster,
        headers: &headers,
        body: outgoing.body.as_deref(),
        timeout_millis: u64::try_from(outgoing.timeout.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Tells the gate how a call has ended.
pub(super) fn ended(
    gate: &mut Gate,
    call: CallId,
    answer: Option<&impl Answer>,
    now: Now,
    store: &impl Store,
) {
    let body = answer.and_then(|answer| answer.body(LONGEST_BODY));
    let answered = answer.and_then(|answer| Some((status(answer)?, answer)));
    let end = match answered {
        Some((status, answer)) => CallEnd::Answered {
            status,
            marked: answer.header(MARKER.0).as_deref() == Some(MARKER.1.as_bytes()),
            body: body.as_deref(),
            retry_after: matches!(status, 429 | 503)
                .then(|| retry_after(answer))
                .flatten(),
        },
        None => CallEnd::Broken,
    };
    gate.ended(call, &end, now, store);
}

fn status(answer: &impl Answer) -> Option<u16> {
    std::str::from_utf8(&answer.header(":status")?)
        .ok()?
        .parse()
        .ok()
}

/// How long a service asks to be left alone, in seconds (RFC 9110 section 10.2.3). Reading the other form, a
/// date, would be more than a hundredth of the module; who sends one is tried again as after any failure.
fn retry_after(answer: &impl Answer) -> Option<Duration> {
    let value = answer.header("retry-after")?;
    let seconds = std::str::from_utf8(&value).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
