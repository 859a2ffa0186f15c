//! From a decision to what the host does, in the one right order: filter state, edits, a second look at the route that
//! they have chosen, then the answer, since a request that was answered or let go on is not touched again.

use super::Fate;
use crate::gate::{Decision, Gate, Notice, Passage, Refusal};
use crate::host::{Header, LocalAnswer, Stream};
use crate::request::Request;
use crate::request::headers::Headers;
use crate::time::{Now, http_date};

/// Carries out a decision. A request that is to go on has still to be resumed where it was stopped.
pub(super) fn carry_out(
    decision: &Decision,
    gate: &mut Gate,
    headers: &[Header<'_>],
    stream: &mut impl Stream,
    now: Now,
) -> Fate {
    let headers = Headers::new(headers);
    match decision {
        Decision::Proceed(passage) => {
            proceed(passage, gate, headers, stream);
            match look_again(passage, gate, stream, now) {
                Some(refusal) => {
                    refuse(&refusal, gate, headers, stream);
                    Fate::Answered
                }
                None => Fate::Onward,
            }
        }
        Decision::Refuse(refusal) => {
            refuse(refusal, gate, headers, stream);
            Fate::Answered
        }
        Decision::Wait => {
            gate.edit_waiting(headers, stream);
            Fate::Waiting
        }
    }
}

fn proceed(passage: &Passage, gate: &Gate, headers: Headers<'_>, stream: &mut impl Stream) {
    if let Some(refusal) = &passage.shadowed {
        write_refusal(refusal, stream);
    }
    if let Some(notice) = passage.notice {
        write_notice(notice, stream);
    }
    if let Some(policies) = &passage.policies {
        stream.set_filter_state("keybound.policies", &gate.policies_that_hold(policies));
    }
    gate.edit(passage, headers, stream);
}

/// What the policy of the route that serves says, where that is wanted.
fn look_again(
    passage: &Passage,
    gate: &mut Gate,
    stream: &mut impl Stream,
    now: Now,
) -> Option<Refusal> {
    passage.policies.as_ref()?;
    match stream.serving_policy() {
        Some(serving) => gate.look_again(passage, serving, now),
        None => {
            gate.passes(passage, now);
            None
        }
    }
}

fn refuse(refusal: &Refusal, gate: &Gate, headers: Headers<'_>, stream: &mut impl Stream) {
    let reply = gate.reply(refusal, &Request::new(headers, &*stream));
    write_refusal(refusal, stream);
    gate.edit_refused(headers, stream);
    stream.answer(&LocalAnswer {
        status: reply.status,
        grpc_status: reply.grpc_status,
        headers: &reply.headers,
        body: &reply.body,
        details: &format!("keybound_{}", refusal.reason.code()),
    });
}

fn write_refusal(refusal: &Refusal, stream: &mut impl Stream) {
    stream.set_filter_state("keybound.code", refusal.reason.code());
    let Some(chain) = &refusal.chain else { return };
    stream.set_filter_state("keybound.key_id", &chain.key.id);
    if let Some(user) = &chain.key.user_id {
        stream.set_filter_state("keybound.user_id", user);
    }
    if let Some(tenant) = &chain.key.tenant_id {
        stream.set_filter_state("keybound.tenant_id", tenant);
    }
}

/// Envoy makes response headers of these (`response_headers_to_add`), which costs other requests nothing.
fn write_notice(notice: Notice, stream: &mut impl Stream) {
    if let Some(date) = notice.sunset.and_then(http_date) {
        stream.set_filter_state("keybound.sunset", &date);
    }
    if let Some(replaced_at) = notice.deprecation {
        stream.set_filter_state("keybound.deprecation", &format!("@{replaced_at}"));
    }
}
