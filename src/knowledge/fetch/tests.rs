use std::time::Duration;

use super::*;
use crate::test_util::test;

const NOW: Instant = Instant::from_millis(1000);

fn fetcher(waiting_requests: usize, lookups_in_flight: usize) -> Fetcher {
    Fetcher::new(
        &Limits {
            waiting_requests,
            lookups_in_flight,
        },
        7,
    )
}

fn digest(number: u8) -> Digest {
    Digest::new([number; 32])
}

fn waiters(fetcher: &mut Fetcher, number: u8) -> Vec<RequestId> {
    let waiters = fetcher.answered(&digest(number));
    waiters.into_iter().map(|(waiter, _)| waiter).collect()
}

fn later() -> Instant {
    NOW + Duration::from_millis(500)
}

#[test]
fn each_digest_is_asked_for_once_however_many_wait() {
    let mut fetcher = fetcher(100, 2);
    assert_eq!(fetcher.wait(digest(1), 10, later(), NOW), Admission::Queued);
    assert_eq!(fetcher.wait(digest(1), 11, later(), NOW), Admission::Joined);
    assert_eq!(fetcher.wait(digest(2), 12, later(), NOW), Admission::Queued);
    fetcher.refresh(digest(1), NOW);
    let batch = fetcher.next_batch(NOW, 0).unwrap();
    assert_eq!(batch.digests, [digest(1), digest(2)]);
    fetcher.sent();
    assert_eq!(fetcher.wait(digest(1), 13, later(), NOW), Admission::Joined);
    assert_eq!(fetcher.next_batch(NOW, 0), None);
    fetcher.ended();
    assert_eq!(waiters(&mut fetcher, 1), [10, 11, 13]);
    assert_eq!(waiters(&mut fetcher, 2), [12]);
    assert_eq!(fetcher.waiting(), 0);
    assert_eq!(fetcher.wait(digest(1), 10, later(), NOW), Admission::Queued);
}

#[test]
fn batches_and_calls_and_waiters_are_bounded() {
    let mut fetcher = fetcher(150, 2);
    for waiter in 0..150_u8 {
        assert_eq!(
            fetcher.wait(digest(waiter), u64::from(waiter), later(), NOW),
            Admission::Queued
        );
    }
    assert_eq!(
        fetcher.wait(digest(200), 200, later(), NOW),
        Admission::Refused
    );
    fetcher.refresh(digest(201), NOW);
    for _ in 0..2 {
        let batch = fetcher.next_batch(NOW, 0).unwrap();
        assert_eq!(batch.digests.len(), MOST_DIGESTS);
        fetcher.sent();
    }
    assert_eq!(fetcher.next_batch(NOW, 0), None);
    assert!(!fetcher.ready(NOW));
    fetcher.ended();
    assert_eq!(
        fetcher.next_batch(NOW, 0).unwrap().digests.len(),
        150 - 2 * MOST_DIGESTS
    );
}

#[test]
fn who_is_gone_is_not_asked_for() {
    let mut fetcher = fetcher(100, 2);
    fetcher.wait(digest(1), 1, later(), NOW);
    fetcher.wait(digest(2), 2, later(), NOW);
    fetcher.wait(digest(2), 3, later(), NOW);
    fetcher.forget(1);
    fetcher.forget(1);
    fetcher.forget(2);
    let batch = fetcher.next_batch(NOW, 0).unwrap();
    assert_eq!(batch.digests, [digest(2)]);
    fetcher.sent();
    fetcher.forget(3);
    assert_eq!(fetcher.wait(digest(2), 4, later(), NOW), Admission::Joined);
    assert_eq!(waiters(&mut fetcher, 2), [4]);
}

#[test]
fn who_has_waited_too_long_is_given_up() {
    let mut fetcher = fetcher(100, 2);
    fetcher.wait(digest(1), 1, later(), NOW);
    fetcher.wait(digest(1), 2, later() + Duration::from_millis(1), NOW);
    assert!(fetcher.take_late(NOW).is_empty());
    assert_eq!(fetcher.take_late(later()), [(1, digest(1))]);
    assert!(fetcher.take_late(later()).is_empty());
    assert_eq!(waiters(&mut fetcher, 1), [2]);
}

/// Sends what is queued and lets it fail.
fn fail(fetcher: &mut Fetcher, failure: Failure, now: Instant) -> Vec<Digest> {
    let batch = fetcher.next_batch(now, 0).unwrap();
    fetcher.sent();
    fetcher.ended();
    let given_up = fetcher.failed(batch, failure, now);
    for digest in &given_up {
        fetcher.answered(digest);
    }
    given_up
}

fn after(millis: u64) -> Instant {
    NOW + Duration::from_millis(millis)
}

#[test]
fn a_broken_connection_is_tried_again_once_at_once() {
    let mut fetcher = fetcher(100, 8);
    fetcher.wait(digest(1), 1, later(), NOW);
    assert_eq!(fail(&mut fetcher, Failure::Connection, NOW), []);
    assert_eq!(fail(&mut fetcher, Failure::Connection, NOW), [digest(1)]);
    assert_eq!(fetcher.wait(digest(2), 2, later(), NOW), Admission::Down);
}

#[test]
fn while_the_service_is_down_one_call_at_a_time_tries_it() {
    let mut fetcher = fetcher(1000, 8);
    for number in 0..=255 {
        fetcher.wait(digest(number), u64::from(number), later(), NOW);
    }
    let first = fetcher.next_batch(NOW, 0).unwrap();
    let second = fetcher.next_batch(NOW, 0).unwrap();
    fetcher.sent();
    fetcher.sent();
    fetcher.ended();
    assert_eq!(
        fetcher.failed(first, Failure::Other(None), NOW).len(),
        MOST_DIGESTS
    );
    // The other call is still under way; what is queued waits for what comes of it.
    assert!(!fetcher.ready(NOW));
    fetcher.ended();
    assert_eq!(
        fetcher.failed(second, Failure::Other(None), NOW).len(),
        MOST_DIGESTS
    );
    assert_eq!(
        fail(&mut fetcher, Failure::Other(None), after(1)).len(),
        256 - 2 * MOST_DIGESTS
    );
    (0..=255).for_each(|number| drop(fetcher.answered(&digest(number))));
    assert_eq!(
        fetcher.wait(digest(1), 300, later(), after(1)),
        Admission::Down
    );
    assert_eq!(
        fetcher.wait(digest(1), 300, later(), after(101)),
        Admission::Queued
    );
    assert!(fetcher.next_batch(after(101), 0).unwrap().probe);
    fetcher.sent();
    assert_eq!(
        fetcher.wait(digest(2), 301, later(), after(101)),
        Admission::Queued
    );
    assert!(!fetcher.ready(after(101)));
    fetcher.ended();
    fetcher.succeeded(after(102));
    assert!(fetcher.ready(after(102)));
}

#[test]
fn a_service_that_asks_to_be_left_alone_is() {
    let mut fetcher = fetcher(100, 8);
    fetcher.wait(digest(1), 1, later(), NOW);
    fail(
        &mut fetcher,
        Failure::Other(Some(Duration::from_secs(3))),
        NOW,
    );
    fetcher.refresh(digest(2), after(2_999));
    assert!(!fetcher.ready(after(2_999)));
    assert_eq!(
        fetcher.wait(digest(1), 2, later(), after(2_999)),
        Admission::Down
    );
    assert_eq!(
        fetcher.wait(digest(1), 2, later(), after(3_000)),
        Admission::Queued
    );
}

#[test]
fn what_the_service_asks_for_counts_whenever_the_call_was_sent() {
    let mut fetcher = fetcher(1000, 8);
    for number in 0..=200 {
        fetcher.wait(digest(number), u64::from(number), later(), NOW);
    }
    let mut batches = Vec::new();
    for _ in 0..3 {
        batches.push(fetcher.next_batch(NOW, 0).unwrap());
        fetcher.sent();
    }
    let asked = Failure::Other(Some(Duration::from_secs(1)));
    for (batch, millis) in batches.into_iter().zip([0, 500]) {
        fetcher.ended();
        fetcher.failed(batch, asked, after(millis));
    }
    fetcher.ended();
    fetcher.succeeded(after(600));
    assert_eq!(
        fetcher.wait(digest(250), 900, later(), after(1_499)),
        Admission::Down
    );
    assert_eq!(
        fetcher.wait(digest(250), 900, later(), after(1_500)),
        Admission::Queued
    );
}

#[test]
fn a_service_that_was_heard_of_is_tried_at_once() {
    let mut fetcher = fetcher(100, 8);
    let down = |fetcher: &mut Fetcher, failure| {
        for millis in [0, 10] {
            fetcher.heard(after(millis + 1));
            fetcher.wait(digest(1), 1, later(), after(millis + 5));
            fail(fetcher, failure, after(millis + 5));
        }
        fetcher.wait(digest(1), 1, later(), after(15))
    };
    assert_eq!(down(&mut fetcher, Failure::Other(None)), Admission::Down);
    fetcher.heard(after(15));
    assert_eq!(
        fetcher.wait(digest(1), 1, later(), after(15)),
        Admission::Down
    );
    fetcher.heard(after(16));
    assert_eq!(
        fetcher.wait(digest(1), 1, later(), after(16)),
        Admission::Queued
    );
    let asked = Failure::Other(Some(Duration::from_secs(1)));
    fail(&mut fetcher, asked, after(16));
    fetcher.heard(after(20));
    assert_eq!(
        fetcher.wait(digest(1), 1, later(), after(20)),
        Admission::Down
    );
}

#[test]
fn an_answer_of_no_use_is_asked_for_again_a_few_times() {
    let mut fetcher = fetcher(100, 8);
    fetcher.wait(digest(1), 1, later(), NOW);
    for again in [true, true, false] {
        let batch = fetcher.next_batch(NOW, 0).unwrap();
        assert_eq!(batch.digests, [digest(1)]);
        assert_eq!(fetcher.again(digest(1)), again);
    }
}
