use super::*;
use crate::policy::Statement;
use crate::record::{Hours, Key, Networks, Scopes, Tenant};
use crate::test_util::{Sent, at, chain, test};

fn verdict_of(chain: &Chain, policy: &Policy, sent: &Sent) -> Option<Reason> {
    let facts = Facts {
        knowledge: Knowledge::Known(chain),
        policies: Chosen::one(policy),
        request: &sent.request(),
        now: at(0).unix,
    };
    let failed: Vec<Reason> = explain(&facts)
        .into_iter()
        .filter(|(_, outcome)| *outcome == Outcome::Failed)
        .map(|(reason, _)| reason)
        .collect();
    let verdict = decide(&facts);
    assert_eq!(
        verdict,
        failed.first().copied(),
        "decide and explain disagree"
    );
    verdict
}

fn verdict(change: impl FnOnce(&mut Key, &mut User, &mut Tenant)) -> Option<Reason> {
    verdict_of(&chain(change), &Policy::default(), &Sent::new(&[]))
}

#[test]
fn a_good_chain_is_allowed() {
    assert_eq!(verdict(|_, _, _| {}), None);
}

#[test]
fn each_status_has_its_own_reason() {
    let code = |record: &str, word: &str| match word {
        "active" => None,
        word => Some(format!("{record}_{word}")),
    };
    let named = |verdict: Option<Reason>| verdict.map(|reason| reason.code().to_owned());
    for status in KeyStatus::ALL {
        let verdict = verdict(|key, _, _| key.status = status);
        assert_eq!(named(verdict), code("key", status.word()));
    }
    for status in UserStatus::ALL {
        let verdict = verdict(|_, user, _| user.status = status);
        assert_eq!(named(verdict), code("user", status.word()));
    }
    for status in TenantStatus::ALL {
        let verdict = verdict(|_, _, tenant| tenant.status = status);
        assert_eq!(named(verdict), code("tenant", status.word()));
    }
}

#[test]
fn a_life_begins_and_ends_to_the_second() {
    let now = at(0).unix;
    assert_eq!(verdict(|key, _, _| key.not_before = Some(now)), None);
    assert_eq!(
        verdict(|key, _, _| key.not_before = Some(now + 1)),
        Some(Reason::KeyNotYetValid)
    );
    assert_eq!(verdict(|key, _, _| key.expires_at = Some(now + 1)), None);
    assert_eq!(
        verdict(|key, _, _| key.expires_at = Some(now)),
        Some(Reason::KeyExpired)
    );
    let replaced = |expires_at| {
        verdict(move |key, _, _| {
            key.replaced = true;
            key.expires_at = expires_at;
        })
    };
    assert_eq!(replaced(Some(now)), Some(Reason::KeyReplaced));
    assert_eq!(replaced(Some(now + 1)), None);
    assert_eq!(replaced(None), None);
}

#[test]
fn a_missing_owner_is_not_an_inactive_one() {
    let mut orphan = chain(|key, _, _| key.user_id = None);
    orphan.user = None;
    let mut of_nobody = chain(|_, _, _| {});
    of_nobody.user = None;
    for chain in [&orphan, &of_nobody] {
        assert_eq!(
            verdict_of(chain, &Policy::default(), &Sent::new(&[])),
            Some(Reason::UserMissing)
        );
    }
    let mut no_tenant = chain(|_, _, _| {});
    no_tenant.tenant = None;
    assert_eq!(
        verdict_of(&no_tenant, &Policy::default(), &Sent::new(&[])),
        Some(Reason::TenantMissing)
    );
    assert_eq!(
        verdict(|_, user, _| user.tenant_id = Some("ten_2".into())),
        Some(Reason::TenantMissing)
    );
    assert_eq!(verdict(|_, user, _| user.tenant_id = None), None);
}

#[test]
fn a_system_without_tenants_skips_them_and_fails_any_expectation_of_one() {
    let mut without = chain(|key, _, _| key.tenant_id = None);
    without.tenant = None;
    assert_eq!(
        verdict_of(&without, &Policy::default(), &Sent::new(&[])),
        None
    );
    let policy = Policy {
        tenant: Some(Statement::Value("ten_1".to_owned())),
        ..Policy::default()
    };
    assert_eq!(
        verdict_of(&without, &policy, &Sent::new(&[])),
        Some(Reason::TenantMismatch)
    );
}

#[test]
fn the_order_of_the_checks_is_the_contracts() {
    // The list itself is held against docs/protocol.md.
    let explained = explain(&Facts {
        knowledge: Knowledge::Known(&chain(|_, _, _| {})),
        policies: Chosen::one(&Policy::default()),
        request: &Sent::new(&[]).request(),
        now: at(0).unix,
    });
    let run: Vec<Reason> = explained.into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(run, Reason::CHECKS);
    // With everything wrong at once, mending one thing after the other gives them in this order.
    let now = at(0).unix;
    let everything = |mended: usize| {
        let wrong = |index: usize| index >= mended;
        let mut chain = chain(|key, user, tenant| {
            key.environment = Some("test".into());
            key.scopes = Scopes::default();
            key.networks = Some(Networks::Unreadable);
            key.hours = Some(Hours::Unreadable);
            key.not_before = wrong(1).then_some(now + 1);
            key.expires_at = wrong(2).then_some(now);
            key.status = if wrong(0) {
                KeyStatus::Revoked
            } else {
                KeyStatus::Active
            };
            user.apis = Some(crate::record::List::default());
            user.status = if wrong(4) {
                UserStatus::Locked
            } else {
                UserStatus::Active
            };
            tenant.status = if wrong(6) {
                TenantStatus::Suspended
            } else {
                TenantStatus::Active
            };
            if wrong(5) {
                user.tenant_id = Some("ten_2".into());
            }
        });
        if wrong(3) {
            chain.user = None;
        }
        chain
    };
    let policy = Policy {
        user: Some(Statement::Value("usr_2".to_owned())),
        ..Policy::default()
    };
    let verdicts: Vec<Option<Reason>> = (0..=7)
        .map(|mended| verdict_of(&everything(mended), &policy, &Sent::new(&[])))
        .collect();
    assert_eq!(
        verdicts,
        [
            Reason::KeyRevoked,
            Reason::KeyNotYetValid,
            Reason::KeyExpired,
            Reason::UserMissing,
            Reason::UserLocked,
            Reason::TenantMissing,
            Reason::TenantSuspended,
            Reason::UserMismatch,
        ]
        .map(Some)
    );
}

#[test]
fn a_policy_asks_for_what_it_names() {
    let sent = Sent::new(&[]);
    let all = |scopes: &[&str]| {
        Some(RequiredScopes::All(
            scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ))
    };
    let any = |scopes: &[&str]| {
        Some(RequiredScopes::Any(
            scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ))
    };
    let environment = |name: &str| Policy {
        environment: Some(name.to_owned()),
        ..Policy::default()
    };
    let api = Policy {
        api: Some("orders".to_owned()),
        ..Policy::default()
    };
    let scopes = |scopes| Policy {
        scopes,
        ..Policy::default()
    };
    let good = chain(|_, _, _| {});
    let narrowed = chain(|_, user, _| user.scopes = Some(Scopes::new(["stock:*"])));
    let approved = chain(|_, user, _| user.apis = Some(["orders".into()].into()));
    let other_api = chain(|_, user, _| user.apis = Some(["stock".into()].into()));
    let no_environment = chain(|key, _, _| key.environment = None);
    for (chain, policy, reason) in [
        (&good, environment("live"), None),
        (
            &good,
            environment("test"),
            Some(Reason::EnvironmentMismatch),
        ),
        (
            &no_environment,
            environment("live"),
            Some(Reason::EnvironmentMismatch),
        ),
        (&good, api.clone(), None),
        (&approved, api.clone(), None),
        (&other_api, api, Some(Reason::ApiNotApproved)),
        (&good, scopes(all(&["orders:read", "stock:write"])), None),
        (
            &good,
            scopes(all(&["orders:read", "orders:write"])),
            Some(Reason::ScopeMissing),
        ),
        (&good, scopes(any(&["orders:write", "stock:write"])), None),
        (
            &good,
            scopes(any(&["orders:write"])),
            Some(Reason::ScopeMissing),
        ),
        (&narrowed, scopes(all(&["stock:write"])), None),
        (
            &narrowed,
            scopes(all(&["orders:read"])),
            Some(Reason::ScopeMissing),
        ),
    ] {
        assert_eq!(verdict_of(chain, &policy, &sent), reason, "{policy:?}");
    }
}

#[test]
fn only_the_trusted_address_counts() {
    let fenced = chain(|key, _, _| key.networks = Some(Networks::parse(["192.0.2.0/24"])));
    let verdict = |sent: &Sent| verdict_of(&fenced, &Policy::default(), sent);
    let forwarded = Sent::new(&[("x-forwarded-for", "192.0.2.7")]);
    assert_eq!(verdict(&forwarded), Some(Reason::AddressNotAllowed));
    assert_eq!(
        verdict(&Sent::new(&[]).from("192.0.2.7".parse().unwrap())),
        None
    );
    assert_eq!(
        verdict(&Sent::new(&[]).from("::ffff:192.0.2.7".parse().unwrap())),
        None
    );
    let elsewhere = Sent::new(&[]).from("2001:db8::1".parse().unwrap());
    assert_eq!(verdict(&elsewhere), Some(Reason::AddressNotAllowed));
}

#[test]
fn hours_are_those_of_now() {
    let now = at(0).unix;
    let minute = |offset: u64| {
        let minutes = (now / 60 + offset) % (24 * 60);
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    };
    let during = |from: u64, to: u64| {
        verdict(|key, _, _| {
            key.hours = Some(Hours::parse(
                crate::record::DAYS,
                &minute(from),
                &minute(to),
            ));
        })
    };
    assert_eq!(during(0, 1), None);
    assert_eq!(during(1, 24 * 60), Some(Reason::OutsideHours));
}

#[test]
fn what_is_not_known_is_skipped_and_what_was_seen_has_passed() {
    let sent = Sent::new(&[]);
    let policy = Policy::default();
    let outcomes = |knowledge: Knowledge<'_>| {
        let facts = Facts {
            knowledge,
            policies: Chosen::one(&policy),
            request: &sent.request(),
            now: 0,
        };
        let letters = explain(&facts)
            .into_iter()
            .map(|(_, outcome)| match outcome {
                Outcome::Passed => 'p',
                Outcome::Failed => 'F',
                Outcome::Skipped => '-',
            });
        (decide(&facts), letters.collect::<String>())
    };
    let checks = Reason::CHECKS.len();
    let skipped = |passed: usize| "-".repeat(checks - passed - 1);
    for (knowledge, reason, passed) in [
        (Knowledge::Fault(Fault::Missing), Reason::KeyMissing, 0),
        (
            Knowledge::Fault(Fault::Duplicated),
            Reason::KeyDuplicated,
            1,
        ),
        (Knowledge::Fault(Fault::Malformed), Reason::KeyMalformed, 2),
        (Knowledge::Unknown, Reason::KeyUnknown, 3),
    ] {
        let expected = format!("{}F{}", "p".repeat(passed), skipped(passed));
        assert_eq!(outcomes(knowledge), (Some(reason), expected));
    }
    assert_eq!(
        outcomes(Knowledge::Unavailable),
        (
            Some(Reason::KeyServiceUnavailable),
            format!("ppp{}F-", "-".repeat(checks - 5))
        )
    );
    assert_eq!(
        outcomes(Knowledge::Overloaded),
        (
            Some(Reason::Overloaded),
            format!("ppp{}F", "-".repeat(checks - 4))
        )
    );
}
