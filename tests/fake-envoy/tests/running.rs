//! Several threads at once, as fast as they can: for what a sanitizer sees. Nothing is left of the module behind it,
//! which is why this is a program of its own.

mod common;

use common::{Gateway, request, smallest};
use fake_envoy::{Exchange, Fate};
use std::fs;
use std::thread;
use std::time::Duration;

/// Requests of each round of each thread.
const REQUESTS: usize = if cfg!(miri) { 3 } else { 50 };

fn wait(what: &str, mut until: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if until() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}");
}

fn is_decided(sent: &Exchange) -> bool {
    sent.has_ended() && sent.fate() != Fate::Waiting
}

/// Threads of the module, as the system lists them.
fn ticking() -> usize {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("keybound-tick"))
        .count()
}

#[test]
fn configurations_come_and_go_under_traffic() {
    let mut gateway = Gateway::running(3);
    for key in 0..REQUESTS {
        gateway
            .service
            .has(&format!("secret-{key}"), &format!("of-{key}"), true);
    }
    let mut sent = Vec::new();
    for round in 0..4 {
        gateway.envoy.ends_streams_within(round % 2 == 0);
        thread::scope(|scope| {
            let gateway = &gateway;
            let clients: Vec<_> = (0..3)
                .map(|worker| {
                    scope.spawn(move || {
                        let send = |key| {
                            let sent = gateway.send(worker, request(&format!("secret-{key}")));
                            if key % 10 == 9 {
                                sent.hang_up();
                            }
                            (key, sent)
                        };
                        (0..2 * REQUESTS).map(send).collect::<Vec<_>>()
                    })
                })
                .collect();
            for client in clients {
                sent.extend(client.join().expect("no client fails"));
            }
        });
        let service = gateway.service.clone();
        let new = gateway
            .envoy
            .configure(&smallest(), move |call| service.handles(call));
        // The old one is let go while requests of it wait.
        gateway.configuration = new.expect("taken");
    }
    wait("some wait for ever", || {
        let hung_up = |key: usize| key % 10 == 9;
        sent.iter()
            .all(|(key, sent)| is_decided(sent) || hung_up(*key) && sent.has_ended())
    });
    for (key, sent) in sent {
        match sent.fate() {
            Fate::Onward(..) if key < REQUESTS => {
                assert_eq!(sent.upstream("x-user-id"), Some(format!("usr_of-{key}")));
            }
            Fate::Answered(response) if key >= REQUESTS => assert_eq!(response.status, 401),
            Fate::Waiting => assert_eq!(key % 10, 9),
            fate => panic!("{key}: {fate:?}"),
        }
    }

    assert_eq!(ticking(), usize::from(!cfg!(miri)));
    gateway.end();
    assert_eq!(ticking(), 0);
}
