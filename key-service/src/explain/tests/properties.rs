//! For any key, policy, request and time: the explanation is the verdict, and what is allowed obeys every
//! rule, as computed here once more, plainly and on its own.

use std::net::Ipv4Addr;
use std::rc::Rc;

use proptest::option;
use proptest::prelude::*;

use crate::explain::{Known, Question, Subject};
use keybound::config;
use keybound::gate::Settings;
use keybound::policy::{Chosen, Policies, Policy, RequiredScopes, Statement};
use keybound::record::Chain;
use keybound::record::{
    Hours, Key, KeyStatus, Networks, Scopes, Tenant, TenantStatus, Text, User, UserStatus,
};
use keybound::test_util::Sent;
use keybound::verdict::{Facts, Knowledge, Outcome, decide};

/// 2026-11-23 00:00:00 UTC, a Monday.
const MONDAY: u64 = 1_795_392_000;
const WEEK: u64 = 7 * 86_400;

fn name(choices: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(choices).prop_map(str::to_owned)
}

fn scope() -> impl Strategy<Value = String> {
    name(&["a:r", "a:w", "b:r", "a:*", "*"])
}

fn scopes() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(scope(), 0..4)
}

fn tenant_id() -> impl Strategy<Value = Option<String>> {
    prop::sample::select(&[None, Some("ten_1"), Some("ten_1"), Some("ten_2")][..])
        .prop_map(|id| id.map(str::to_owned))
}

fn around(time: u64) -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        4 => Just(None),
        4 => (time - 3600..time + WEEK + 3600).prop_map(Some),
        1 => Just(Some(time)),
    ]
}

/// Everything that a verdict depends on, in the plainest types.
#[derive(Debug, Clone)]
struct World {
    key_status: KeyStatus,
    not_before: Option<u64>,
    expires_at: Option<u64>,
    replaced: bool,
    environment: Option<String>,
    key_scopes: Vec<String>,
    networks: Option<Vec<&'static str>>,
    hours: Option<(Vec<usize>, u16, u16)>,
    has_user_id: bool,
    key_tenant: Option<String>,
    user: Option<Owner>,
    tenant: Option<TenantStatus>,
    wants: Wants,
    stated: (Option<String>, Option<String>),
    source: Option<Ipv4Addr>,
    now: u64,
}

#[derive(Debug, Clone)]
struct Owner {
    status: UserStatus,
    tenant: Option<String>,
    narrowed: Option<Vec<String>>,
    apis: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
struct Wants {
    user: bool,
    tenant: bool,
    environment: Option<String>,
    api: Option<String>,
    all: Option<Vec<String>>,
    any: bool,
}

fn mostly<T: Clone + std::fmt::Debug + Sync + 'static>(
    usual: T,
    others: &'static [T],
) -> impl Strategy<Value = T> {
    prop_oneof![5 => Just(usual), 1 => prop::sample::select(others)]
}

fn user() -> impl Strategy<Value = Option<Owner>> {
    let apis = prop::collection::vec(name(&["orders", "stock"]), 0..3);
    let status = mostly(UserStatus::Active, &UserStatus::ALL);
    let user = (status, tenant_id(), option::of(scopes()), option::of(apis));
    let owner = |(status, tenant, narrowed, apis)| Owner {
        status,
        tenant,
        narrowed,
        apis,
    };
    prop_oneof![8 => user.prop_map(owner).prop_map(Some), 1 => Just(None)]
}

fn wants() -> impl Strategy<Value = Wants> {
    (
        any::<bool>(),
        any::<bool>(),
        option::of(name(&["live", "test"])),
        option::of(name(&["orders", "stock"])),
        option::of(prop::collection::vec(name(&["a:r", "a:w", "b:r"]), 1..3)),
        any::<bool>(),
    )
        .prop_map(|(user, tenant, environment, api, all, any)| Wants {
            user,
            tenant,
            environment,
            api,
            all,
            any,
        })
}

fn world() -> impl Strategy<Value = World> {
    let key = (
        mostly(KeyStatus::Active, &KeyStatus::ALL),
        prop_oneof![3 => Just(None), 1 => around(MONDAY)],
        prop_oneof![3 => Just(None), 1 => around(MONDAY)],
        any::<bool>(),
        mostly(Some("live".to_owned()), &[None]),
        scopes(),
        option::of(prop::collection::vec(
            prop::sample::select(&["10.0.0.0/8", "192.0.2.1/32", "0.0.0.0/0"][..]),
            0..3,
        )),
        option::of((
            prop::collection::vec(0_usize..7, 0..7),
            0_u16..1440,
            0_u16..1440,
        )),
    );
    let owners = (any::<bool>().prop_map(|other| !other), tenant_id(), user());
    let request = (
        option::of(name(&["usr_1", "usr_2"])),
        option::of(name(&["ten_1", "ten_2"])),
        option::of(prop::sample::select(vec![
            Ipv4Addr::new(10, 1, 2, 3),
            Ipv4Addr::new(192, 0, 2, 1),
        ])),
    );
    let tenant = prop_oneof![8 => Just(Some(TenantStatus::Active)), 1 => Just(Some(TenantStatus::Suspended)), 1 => Just(None)];
    (key, owners, tenant, wants(), request, MONDAY..MONDAY + WEEK).prop_map(
        |(key, owners, tenant, wants, request, now)| World {
            key_status: key.0,
            not_before: key.1,
            expires_at: key.2,
            replaced: key.3,
            environment: key.4,
            key_scopes: key.5,
            networks: key.6,
            hours: key.7,
            has_user_id: owners.0,
            key_tenant: owners.1,
            user: owners.2,
            tenant,
            wants,
            stated: (request.0, request.1),
            source: request.2,
            now,
        },
    )
}

fn text(text: &str) -> Text {
    text.into()
}

impl World {
    fn chain(&self) -> Chain {
        let scopes = |scopes: &[String]| Scopes::new(scopes.iter().map(String::as_str));
        let named = self.has_user_id || self.user.is_some();
        let key = Key {
            id: "key_1".into(),
            version: 1,
            user_id: named.then(|| "usr_1".into()),
            tenant_id: self.key_tenant.as_deref().map(text),
            environment: self.environment.as_deref().map(text),
            status: self.key_status,
            not_before: self.not_before,
            expires_at: self.expires_at,
            replaced: self.replaced,
            replaced_at: None,
            scopes: scopes(&self.key_scopes),
            networks: self
                .networks
                .as_ref()
                .map(|ranges| Networks::parse(ranges.iter().copied())),
            hours: self.hours.as_ref().map(|(days, from, to)| Hours::Window {
                days: std::array::from_fn(|day| days.contains(&day)),
                from: *from,
                to: *to,
            }),
        };
        let user = self.user.as_ref().map(|owner| User {
            id: "usr_1".into(),
            version: 1,
            tenant_id: owner.tenant.as_deref().map(text),
            status: owner.status,
            scopes: owner.narrowed.as_deref().map(scopes),
            apis: owner
                .apis
                .as_ref()
                .map(|apis| apis.iter().map(|api| text(api)).collect()),
        });
        let tenant = self
            .key_tenant
            .as_deref()
            .zip(self.tenant)
            .map(|(id, status)| Tenant {
                id: id.into(),
                version: 1,
                status,
            });
        Chain {
            key: Rc::new(key),
            user: user.map(Rc::new),
            tenant: tenant.map(Rc::new),
        }
    }

    fn policy(&self) -> Policy {
        let wants = &self.wants;
        let header = |name: &str| Statement::Header(name.to_owned());
        Policy {
            environment: wants.environment.clone(),
            api: wants.api.clone(),
            scopes: wants.all.clone().map(|scopes| {
                if wants.any {
                    RequiredScopes::Any(scopes)
                } else {
                    RequiredScopes::All(scopes)
                }
            }),
            user: wants.user.then(|| header("x-user")),
            tenant: wants.tenant.then(|| header("x-tenant")),
            ..Policy::default()
        }
    }

    fn sent(&self) -> Sent<'_> {
        let stated = [("x-user", &self.stated.0), ("x-tenant", &self.stated.1)];
        let stated = stated
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let mut sent = Sent::new(&stated.collect::<Vec<_>>());
        sent.handed.source = self.source.map(|address| format!("{address}:1234"));
        sent
    }

    fn settings(&self) -> Settings {
        let text = br#"{"key_service": {"cluster": "key_service"}}"#;
        let mut settings = config::parse(text, &|_| None).unwrap();
        settings.policies = Policies::new(Vec::new(), Vec::new(), self.policy());
        settings
    }

    /// Every rule of the contract for a key that is known, in its own words.
    fn obeys_every_rule(&self) -> bool {
        let Some(owner) = &self.user else {
            return false;
        };
        let wants = &self.wants;
        let has = |granted: &[String], scope: &str| {
            let group = format!("{}:*", scope.split(':').next().unwrap());
            granted
                .iter()
                .any(|one| one == scope || one == "*" || *one == group)
        };
        let covered = |scope: &String| {
            has(&self.key_scopes, scope)
                && owner
                    .narrowed
                    .as_ref()
                    .is_none_or(|narrowed| has(narrowed, scope))
        };
        let tenant_is_sound = match &self.key_tenant {
            None => true,
            Some(tenant) => {
                self.tenant == Some(TenantStatus::Active)
                    && (owner.tenant.is_none() || owner.tenant.as_ref() == Some(tenant))
            }
        };
        let in_network = |range: &&str| match *range {
            "0.0.0.0/0" => self.source.is_some(),
            "10.0.0.0/8" => self.source.is_some_and(|source| source.octets()[0] == 10),
            _ => self.source == Some(Ipv4Addr::new(192, 0, 2, 1)),
        };
        self.key_status == KeyStatus::Active
            && self.not_before.is_none_or(|begin| begin <= self.now)
            && self.expires_at.is_none_or(|end| self.now < end)
            && owner.status == UserStatus::Active
            && tenant_is_sound
            && (!wants.user || self.stated.0.as_deref() == Some("usr_1"))
            && (!wants.tenant || (self.stated.1.is_some() && self.stated.1 == self.key_tenant))
            && (wants.environment.is_none() || wants.environment == self.environment)
            && wants
                .api
                .as_ref()
                .is_none_or(|api| owner.apis.as_ref().is_none_or(|apis| apis.contains(api)))
            && wants.all.as_ref().is_none_or(|scopes| {
                if wants.any {
                    scopes.iter().any(covered)
                } else {
                    scopes.iter().all(covered)
                }
            })
            && self
                .networks
                .as_ref()
                .is_none_or(|ranges| ranges.iter().any(in_network))
            && self
                .hours
                .as_ref()
                .is_none_or(|hours| self.is_within(hours))
    }

    /// Counts minute by minute from the beginning of each window that could be running.
    fn is_within(&self, (days, from, to): &(Vec<usize>, u16, u16)) -> bool {
        let minute = (self.now - MONDAY) / 60;
        let (from, to) = (u64::from(*from), u64::from(*to));
        let length = if to > from {
            to - from
        } else {
            to + 1440 - from
        };
        days.iter().any(|day| {
            let begin = u64::try_from(*day).unwrap() * 1440 + from;
            // A window that begins on Sunday can run into Monday.
            [begin, begin + 7 * 1440].iter().any(|begin| {
                let minute = if *begin > minute + 1440 {
                    minute + 7 * 1440
                } else {
                    minute
                };
                (*begin..begin + length).contains(&minute)
            })
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_explanation_is_the_verdict_and_obeys_every_rule(world in world()) {
        let (chain, settings, sent, policy) = (world.chain(), world.settings(), world.sent(), world.policy());
        let request = sent.request();
        let verdict = decide(&Facts {
            knowledge: Knowledge::Known(&chain),
            policies: Chosen::one(&policy),
            request: &request,
            now: world.now,
        });
        let question = Question {
            settings: &settings,
            configured: true,
            request: &request,
            subject: Subject::Named,
            now: world.now,
            utc: &|seconds| seconds.to_string(),
        };
        let known = Known { chain: &chain, replaced_by: None, revoked_at: None, revoked_reason: None, owner: None, approvals: &[] };
        let explanation = question.explain(Some(known));
        let failed = explanation.checks.iter().find(|check| check.outcome == Outcome::Failed);
        prop_assert_eq!(explanation.verdict, verdict);
        prop_assert_eq!(failed.map(|check| check.reason), verdict);
        prop_assert_eq!(verdict.is_none(), world.obeys_every_rule(), "{:?}", verdict);
        for check in &explanation.checks {
            prop_assert!(check.detail.ends_with('.') && check.detail.len() > 10, "{:?}", check);
        }
    }
}

/// The property says little if nearly nothing is allowed, or everything.
#[test]
fn both_outcomes_are_common() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let allowed = (0..2000).filter(|_| {
        let world = world().new_tree(&mut runner).unwrap().current();
        world.obeys_every_rule()
    });
    let allowed = allowed.count();
    assert!((40..1000).contains(&allowed), "{allowed} of 2000");
}
