//! Wrong tokens: answered, counted, told of once a second, and never at the expense of good ones.

use key_service::domain::token::Token;

use crate::program::Running;
use crate::support::Service;

fn counted(metrics: &str, reason: &str) -> u64 {
    let name = format!("keybound_service_tokens_refused_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

#[test]
fn many_wrong_tokens_are_told_to_wait_and_good_ones_are_not() {
    let service = Service::furnished();
    let wrong = Token::chosen("a-token-that-nobody-has").unwrap();
    let mut answers = std::collections::BTreeMap::new();
    for round in 0..300 {
        let path = ["/v1/changes", "/admin/v1/keys"][round % 2];
        let answer = service.send("GET", path, Some(&wrong), None);
        *answers.entry(answer.status).or_insert(0) += 1;
        answer.problem(answer.status);
        if answer.status == 429 {
            let seconds: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
            service.get("/admin/v1/keys").expect(200);
            service.changes("");
            // What is wrong in another way is no attempt at a token.
            service.send("GET", path, None, None).problem(401);
        }
    }
    assert!(answers[&401] >= 100 && answers[&429] > 0, "{answers:?}");
    assert_eq!(answers.len(), 2, "{answers:?}");
    service
        .send("GET", "/admin/v1/keys", Some(&service.gateway), None)
        .problem(403);
    let metrics = service.send("GET", "/metrics", None, None).text;
    assert_eq!(counted(&metrics, "unknown"), 300);
    assert_eq!(counted(&metrics, "missing"), answers[&429]);
    assert_eq!(counted(&metrics, "forbidden"), 1);
}

#[test]
fn the_log_tells_of_wrong_tokens_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let service = Running::start(folder.path(), &[]);
    let began = std::time::Instant::now();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    for _ in 0..200 {
        let url = format!("{}/v1/changes", service.url);
        let request = agent
            .get(url)
            .header("authorization", "Bearer a-token-that-nobody-has");
        assert!([401, 429].contains(&request.call().unwrap().status().as_u16()));
    }
    let seconds = began.elapsed().as_secs();
    service.stop();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("unknown, revoked or expired token"));
    let told = lines.clone().count() as u64;
    assert!(
        (1..=seconds + 1).contains(&told),
        "{told} lines in {seconds} s"
    );
    let more: u64 = lines
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["fields"]["more_since_last_line"].as_u64().unwrap())
        .sum();
    assert!(told + more <= 200);
    assert!(!log.contains("a-token-that-nobody-has"));
}
