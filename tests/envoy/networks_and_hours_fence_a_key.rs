//! Checks 23 and 24 on addresses and clocks that are real. Networks are compared with the address that
//! Envoy trusts, and with nothing that the client writes.

use crate::now;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use support::client::{Request, Response};
use support::config::Config;
use support::gateway::Gateway;
use support::records;

const REFUSED: Option<&str> = Some("address_not_allowed");

fn fenced(gateway: &Gateway, networks: &[&str]) -> String {
    gateway.knows(records::active("fenced").key("networks", json!(networks)))
}

fn assert_code(answer: &Response, code: Option<&str>, what: &str) {
    assert_eq!(answer.header("x-keybound-code"), code, "{what}");
    let status = if code.is_some() { 403 } else { 200 };
    assert_eq!(answer.status, status, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_address_of_the_connection_whatever_the_client_writes() {
    let gateway = Gateway::scripted().start().await;

    for (networks, code) in [
        (&["127.0.0.1"][..], None),
        (&["127.0.0.1/32"], None),
        (&["127.0.0.0/8"], None),
        (&["0.0.0.0/0"], None),
        (&["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"], None),
        (&["::ffff:127.0.0.1"], None),
        (&["::ffff:127.0.0.0/104"], None),
        (&["127.0.0.2"], REFUSED),
        (&["127.0.0.2/31"], REFUSED),
        (&["128.0.0.0/1"], REFUSED),
        (&["::1"], REFUSED),
        (&["::/0"], REFUSED),
        (&[], REFUSED),
        // What cannot be read may have been the strictest.
        (&["127.0.0.1", "localhost"], REFUSED),
        (&["127.0.0.1/33"], REFUSED),
        (&["127.0.0.1-127.0.0.9"], REFUSED),
        (&["."], REFUSED),
    ] {
        let key = fenced(&gateway, networks);
        let answer = gateway.get("/", &[("x-api-key", &key)]).await;
        assert_code(&answer, code, &format!("{networks:?}"));
    }

    let inside = fenced(&gateway, &["127.0.0.0/8"]);
    let outside = fenced(&gateway, &["10.0.0.0/8"]);
    for (name, value) in [
        ("x-forwarded-for", "10.1.2.3"),
        ("x-forwarded-for", "10.1.2.3, 10.1.2.4"),
        ("x-forwarded-for", "10.1.2.3, 127.0.0.1"),
        ("x-envoy-external-address", "10.1.2.3"),
        ("x-real-ip", "10.1.2.3"),
        ("x-client-ip", "10.1.2.3"),
        ("true-client-ip", "10.1.2.3"),
        ("forwarded", "for=10.1.2.3"),
        ("x-envoy-internal", "true"),
    ] {
        let spoofed = |key: &str| {
            Request::get("/")
                .header("x-api-key", key)
                .header(name, value)
        };
        let answer = gateway.send(&spoofed(&inside)).await;
        assert_code(&answer, None, &format!("inside, {name}: {value}"));
        let answer = gateway.send(&spoofed(&outside)).await;
        assert_code(&answer, REFUSED, &format!("outside, {name}: {value}"));
    }
    gateway.log_says("[warning]").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_what_a_trusted_hop_appended() {
    let gateway = Gateway::scripted()
        .configure(|config| config.http_manager()["xff_num_trusted_hops"] = json!(1))
        .start()
        .await;
    let four = fenced(&gateway, &["10.0.0.0/8"]);
    let six = fenced(&gateway, &["2001:db8::/32"]);

    for (key, forwarded, code) in [
        (&four, "10.1.2.3", None),
        (&four, "192.0.2.1, 10.1.2.3", None),
        // The client wrote the first, the hop the second.
        (&four, "10.1.2.3, 192.0.2.1", REFUSED),
        (&four, "2001:db8::7", REFUSED),
        (&four, "::ffff:10.1.2.3", None),
        (&six, "2001:db8::7", None),
        (&six, "10.1.2.3", REFUSED),
        (&six, "2001:db9::7", REFUSED),
    ] {
        let answer = gateway
            .get("/", &[("x-api-key", key), ("x-forwarded-for", forwarded)])
            .await;
        assert_code(&answer, code, forwarded);
    }
}

/// Lets the gateway listen for IPv6 and IPv4 on one socket, as a gateway does that listens at `::`.
fn listen_to_both(config: &mut Config) {
    let address = config.at("/static_resources/listeners/0/address/socket_address");
    address["address"] = json!("::");
    address["ipv4_compat"] = json!(true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_ipv6_and_by_ipv4_that_comes_as_ipv6() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("this machine has no [::1]: nothing is tested");
        return;
    }
    let gateway = Gateway::scripted().configure(listen_to_both).start().await;
    const SIX: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
    const FOUR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    for (from, network, code) in [
        (SIX, "::1", None),
        (SIX, "::/64", None),
        (SIX, "::2/127", REFUSED),
        (SIX, "2001:db8::/32", REFUSED),
        (SIX, "127.0.0.1", REFUSED),
        (SIX, "0.0.0.0/0", REFUSED),
        (FOUR, "127.0.0.0/8", None),
        (FOUR, "::ffff:127.0.0.1", None),
        (FOUR, "::1", REFUSED),
        (FOUR, "::/0", REFUSED),
    ] {
        let key = fenced(&gateway, &[network]);
        let answer = Request::get("/")
            .header("x-api-key", &key)
            .header("x-forwarded-for", "2001:db8::7, 10.1.2.3")
            .send_to((from, gateway.port()).into())
            .await
            .unwrap();
        assert_code(&answer, code, &format!("from {from} to {network}"));
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The weekday, as a place in `DAYS`, and the time of a day, in UTC.
fn at(time: u64) -> (usize, String) {
    // 1 January 1970 was a Thursday.
    let day = usize::try_from((time / 86_400 + 3) % 7).expect("small");
    let minute = time % 86_400 / 60;
    (day, format!("{:02}:{:02}", minute / 60, minute % 60))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_the_hours_in_which_it_may_be_used() {
    let gateway = Gateway::scripted().start().await;
    const HOUR: u64 = 3600;
    let now = now();
    let (today, _) = at(now);
    // Far enough from now that no test is slow enough to reach them. `begun` is the day of the window
    // that is open now, if the first of the two is before and the second after now.
    let time = |hours: i64| at(now.saturating_add_signed(hours * HOUR as i64)).1;
    let (begun, _) = at(now - 2 * HOUR);
    let others = |day: usize| -> Vec<&str> {
        DAYS.into_iter()
            .enumerate()
            .filter(|(number, _)| *number != day)
            .map(|(_, name)| name)
            .collect()
    };
    let hours = |days: &[&str], from: &str, to: &str| json!({"days": days, "from": from, "to": to});
    const CLOSED: Option<&str> = Some("outside_hours");

    let rows: Vec<(&str, Value, Option<&str>)> = vec![
        ("around now", hours(&DAYS, &time(-2), &time(2)), None),
        (
            "begun on its day",
            hours(&[DAYS[begun]], &time(-2), &time(2)),
            None,
        ),
        (
            "on other days",
            hours(&others(begun), &time(-2), &time(2)),
            CLOSED,
        ),
        ("later", hours(&DAYS, &time(2), &time(4)), CLOSED),
        ("earlier", hours(&DAYS, &time(-4), &time(-2)), CLOSED),
        // A window of 22 hours that leaves out only what is not now, over midnight or not.
        ("all but earlier", hours(&DAYS, &time(-2), &time(-4)), None),
        ("all but now", hours(&DAYS, &time(2), &time(-2)), CLOSED),
        (
            "the whole day",
            hours(&[DAYS[today], DAYS[(today + 1) % 7]], "00:00", "00:00"),
            None,
        ),
        ("no day", hours(&[], "00:00", "00:00"), CLOSED),
        ("24:00", hours(&DAYS, "00:00", "24:00"), CLOSED),
        ("no time", hours(&DAYS, "morning", "evening"), CLOSED),
        (
            "no day of the week",
            hours(&["today"], "00:00", "00:00"),
            CLOSED,
        ),
        ("days in full", hours(&["Monday"], "00:00", "00:00"), CLOSED),
    ];
    for (name, hours, code) in rows {
        let key = gateway.knows(records::active("hours").key("hours", hours.clone()));
        let answer = gateway.get("/", &[("x-api-key", &key)]).await;
        assert_code(&answer, code, &format!("{name}: {hours}"));
    }
}
