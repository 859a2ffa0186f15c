//! The filter in a real Envoy with two workers: what clients, upstreams and operators see of it.
//!
//! Each test has an Envoy of its own. When a test ends, Envoy's logs are searched for crashes and for
//! every credential and token that was used (see `support::gateway`).

mod a_broken_key_service_is_never_an_invalid_key;
mod a_change_is_obeyed_at_once;
mod a_hostile_key_service_opens_nothing;
mod a_key_is_asked_for_once;
mod a_key_that_will_stop_working_says_so;
mod a_line_of_the_access_log_is_explained;
mod a_redirect_inside_envoy_keeps_its_key;
mod a_servlet_container_reads_what_was_judged;
mod a_token_of_another_kind_is_not_ours;
mod a_wrong_configuration_stops_envoy;
mod any_bytes_are_survived;
mod caches_keep_clients_apart;
mod credentials_stop_at_the_gateway;
mod each_request_has_the_policy_of_its_route;
mod every_refusal_at_every_level;
mod every_refusal_names_its_reason;
mod limits_by_the_documented_configuration;
mod manifests_tell_what_the_shipped_configuration_tells;
mod models_by_the_documented_configuration;
mod modes_let_requests_through;
mod monitors_read_what_is_emitted;
mod networks_and_hours_fence_a_key;
mod no_log_shows_what_a_client_sent;
mod no_spelling_reaches_a_looser_policy;
mod nothing_is_lost_while_something_breaks;
mod pages_and_clients_read_refusals;
mod policies_ask_for_what_they_say;
mod requests_wait_for_the_key_service;
mod routes_by_the_documented_guard;
mod situations;
mod stories;
mod the_access_log_tells_who_and_never_the_key;
mod the_real_key_service;
mod upstreams_can_trust_identity;
mod usage_is_counted_once;
mod virtual_machines_come_and_go;
mod what_a_service_answers_is_bounded;
mod what_stands_around_the_filter_is_told_apart;

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_secs()
}

/// A day on which no test that began today still runs.
fn in_three_days() -> &'static str {
    // 1 January 1970 was a Thursday.
    let days = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    days[usize::try_from(now() / 86_400 + 3).expect("small") % 7]
}
