//! What the other tests rely on: that the browser is used as a person uses it, and that what is wrong is seen.

use crate::browser::{Browser, DARK, LIGHT, NARROW, WIDE, ZOOMED};
use crate::site::{Site, form_to};
use std::panic::AssertUnwindSafe;
use support::client::Request;
use support::needs;

const FORM: &str = r##"
    <p>A paragraph</p>
    <form method="post" action="/taken" aria-label="New key">
      <label for="name">Name</label> <input id="name" name="name" value="old">
      <label>Purpose <textarea name="purpose"></textarea></label>
      <label>Status <select name="status"><option>active</option><option>suspended</option></select></label>
      <fieldset><legend>Environment</legend>
        <label><input type="radio" name="environment" value="live" checked> live</label>
        <label><input type="radio" name="environment" value="test"> test</label></fieldset>
      <label><input type="checkbox" name="force"> Whoever uses it</label>
      <label>Until <input type="date" name="until"></label>
      <button>Make it</button>
    </form>
    <section><h2>First</h2><a href="/first">Open</a></section>
    <section><h2>Second <span>of two</span></h2><a href="/second">Open</a>
      <details><summary>More</summary><label>Reason <input name="reason"></label></details></section>
    <table><caption>Keys</caption><thead><tr><th>Id</th><th>Name</th><th>Do</th></tr></thead><tbody>
      <tr><td>key_1</td><td>one</td><td><a href="/keys/1">Revoke</a></td></tr>
      <tr><td>key_2</td><td>two</td><td><a href="/keys/2">Revoke</a></td></tr></tbody></table>
    <dl><dt>Owner</dt><dd>usr_1</dd></dl>"##;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_are_filled_by_their_labels() {
    if !needs::browser() {
        return;
    }
    let site = Site::strict(&[("/form", FORM), ("/taken", "<p>Thank you</p>")]).await;
    let browser = Browser::start(site.port()).await;
    browser.open("/form").await;

    let form = browser.within("New key");
    form.fill("Name", "a & b").await;
    form.fill("Purpose", "night's work").await;
    form.choose("Status", "suspended").await;
    form.choose("Environment", "test").await;
    browser.tick("Whoever uses it", true).await;
    form.fill("Until", "2031-12-24").await;
    assert_eq!(form.value("Name").await, "a & b");
    assert!(
        !browser.source().await.contains("a & b"),
        "it is not in the page as it came"
    );
    browser.click("Make it").await;

    browser.sees("Thank you").await;
    assert_eq!(browser.url().await, "/taken");
    let taken = site.visits().pop().unwrap();
    assert_eq!(taken.line, "POST /taken");
    assert_eq!(
        taken.body,
        "name=a+%26+b&purpose=night%27s+work&status=suspended&environment=test&force=on&until=2031-12-24"
    );
    assert!(
        taken.headers.contains("sec-fetch-site: same-origin"),
        "{taken:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_fields_and_facts_are_found_where_a_person_looks() {
    if !needs::browser() {
        return;
    }
    let page = "<p>There</p>";
    let pages = [("/form", FORM), ("/second", page), ("/keys/2", page)];
    let site = Site::strict(&pages).await;
    let browser = Browser::start(site.port()).await;
    browser.open("/form").await;

    assert_eq!(browser.status().await, 200);
    assert_eq!(browser.title().await, "/form");
    let table = browser.table().await;
    assert_eq!(table.column("Name"), ["one", "two"]);
    assert_eq!(browser.fact("Owner").await, "usr_1");
    assert!(browser.offers("Make it").await);
    assert!(!browser.offers("Make nothing").await);
    browser.sees_no("usr_2").await;
    assert_eq!(browser.text().await.matches("Revoke").count(), 2);
    let second = browser.within("Second");
    assert_eq!(second.fields().await, Vec::<String>::new(), "it is folded");
    second.click("More").await;
    assert_eq!(second.fields().await, ["Reason"]);
    assert_eq!(second.offered().await, ["Open", "More"]);

    browser.reload().await;
    second.click("Open").await;
    assert_eq!(browser.url().await, "/second");
    browser.back().await;
    browser.within("key_2").click("Revoke").await;
    assert_eq!(browser.url().await, "/keys/2");
    browser.open("/nowhere").await;
    assert_eq!(browser.status().await, 404);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_fails_the_test_and_says_what_is() {
    if !needs::browser() {
        return;
    }
    let site = Site::strict(&[("/form", FORM)]).await;
    let browser = Browser::start(site.port()).await;
    browser.open("/form").await;

    says(
        browser.click("Open"),
        r#"2 link or buttons are called "Open""#,
    )
    .await;
    says(
        browser.click("Close"),
        r#"there are: "Make it", "Open", "Open", "More""#,
    )
    .await;
    says(browser.fill("Reason", "x"), "but for one that is not shown").await;
    says(
        browser.choose("Status", "dead"),
        r#"there are: "active", "suspended""#,
    )
    .await;
    says(
        browser.within("Third").click("Open"),
        r#"no part is called "Third""#,
    )
    .await;
    says(browser.sees("Nonsense"), "A paragraph").await;
    says(browser.sees_no("A paragraph"), "is there").await;
}

/// Fails with a message that holds this.
async fn says(attempt: impl Future<Output = ()>, text: &str) {
    use std::task::Poll;
    let mut attempt = Box::pin(attempt);
    let outcome = std::future::poll_fn(|context| {
        let step = AssertUnwindSafe(|| attempt.as_mut().poll(context));
        match std::panic::catch_unwind(step) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(None),
            Err(panic) => Poll::Ready(Some(panic)),
        }
    })
    .await;
    let panic = outcome.unwrap_or_else(|| panic!("it should have failed with {text:?}"));
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains(text), "{text:?} is not in: {message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_goes_from_one_thing_to_the_next() {
    if !needs::browser() {
        return;
    }
    let site = Site::strict(&[("/form", FORM), ("/taken", "<p>Thank you</p>")]).await;
    let browser = Browser::start(site.port()).await;
    browser.open("/form").await;

    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(browser.tab().await);
    }
    assert_eq!(order, ["Name", "Purpose", "Status", "live"]);
    browser.enter().await;
    assert_eq!(browser.url().await, "/taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_seen_by_night_on_a_telephone_and_from_near() {
    if !needs::browser() {
        return;
    }
    let pages = [
        (
            "/wide",
            "<table><tr><td><svg width=\"800\" height=\"9\"></svg></table>",
        ),
        ("/form", FORM),
    ];
    let site = Site::strict(&pages).await;
    let browser = Browser::start(site.port()).await;

    browser.open("/form").await;
    assert!(browser.matches("(prefers-color-scheme: light)").await);
    browser.prefers(DARK).await;
    browser.open(&site.elsewhere("/form")).await;
    assert!(
        browser.matches("(prefers-color-scheme: dark)").await,
        "on each page from now on"
    );
    browser.prefers(LIGHT).await;
    assert!(browser.matches("(prefers-color-scheme: light)").await);

    for (view, width) in [(NARROW, 390), (ZOOMED, 640), (WIDE, 1280)] {
        browser.view(view).await;
        browser.open("/form").await;
        assert!(
            browser.matches(&format!("(width: {width}px)")).await,
            "{view:?}"
        );
    }
    browser.fits_everywhere().await;
    browser.open("/wide").await;
    says(browser.fits_everywhere(), "wider than a zoomed window").await;

    let picture = std::fs::read(browser.documents("itself").await).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    assert!(browser.picture().await.starts_with(b"\x89PNG"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_some_people_cannot_use_is_found() {
    if !needs::browser() {
        return;
    }
    let bad = "<p>An <input name=\"a\"> without a label</p>";
    let site = Site::strict(&[("/form", FORM), ("/bad", bad)]).await;
    let browser = Browser::start(site.port()).await;

    browser.open("/form").await;
    browser.is_accessible().await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.open("/bad").await;
    says(browser.is_accessible(), "label").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_policy_stops_is_complained_about() {
    if !needs::browser() {
        return;
    }
    let other = Site::foreign(&[("/picture", "")]).await;
    let injected = format!(
        "<p>Before</p><script>document.body.textContent = 'injected'</script><img alt=\"\" src=\"{}\">",
        other.elsewhere("/picture")
    );
    let strict = Site::strict(&[("/injected", &injected)]).await;
    let browser = Browser::start(strict.port()).await;

    browser.open("/injected").await;
    browser.sees("Before").await;
    let complaints = browser.complaints().await.join("\n");
    assert!(
        complaints.contains("Content Security Policy"),
        "{complaints}"
    );
    assert!(other.visits().is_empty(), "{:?}", other.visits());

    // Where there is no policy, both are seen.
    let foreign = Site::foreign(&[("/injected", &injected)]).await;
    browser.open(&foreign.elsewhere("/injected")).await;
    browser.sees("injected").await;
    assert_eq!(browser.strangers().await, [other.elsewhere("/picture")]);
    assert_eq!(other.visits().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sites_form_is_seen_to_come_from_there() {
    if !needs::browser() {
        return;
    }
    let site = Site::strict(&[("/page", "<p>Ours</p>"), ("/taken", "<p>Ours again</p>")]).await;
    let browser = Browser::start(site.port()).await;
    browser.open("/page").await;
    let cookie = browser.cookie("visited").await.unwrap();
    assert_eq!(cookie["httpOnly"], true);
    assert_eq!(cookie["sameSite"], "Lax");

    let form = form_to(&browser.address("/taken"), "", &[("status", "active")]);
    let other = Site::foreign(&[("/prize", &form)]).await;
    browser.open(&other.elsewhere("/prize")).await;
    browser.click("Win a prize").await;

    browser.sees("Ours again").await;
    let visit = site.visits().pop().unwrap();
    assert_eq!(
        (visit.line.as_str(), visit.body.as_str()),
        ("POST /taken", "status=active")
    );
    assert!(
        visit.headers.contains("sec-fetch-site: cross-site"),
        "{visit:?}"
    );
    assert!(!visit.headers.contains("cookie: visited"), "{visit:?}");

    browser.open("/page").await;
    let answer = browser
        .forge(Request::post("/taken", "status=suspended"))
        .await;
    assert_eq!(answer.status, 200);
    let visit = site.visits().pop().unwrap();
    assert!(visit.headers.contains("cookie: visited=yes"), "{visit:?}");
    browser.forget_cookies().await;
    assert!(browser.cookies().await.is_empty());
}
