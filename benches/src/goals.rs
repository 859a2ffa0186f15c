//! What Keybound is meant to reach, and whether it does.

use serde::Serialize;
use support::home::Home;

use crate::compare::Measured;
use crate::contenders::{Case, Contender};
use crate::statistics::Summary;

/// One aim.
#[derive(Debug, Serialize)]
pub struct Goal {
    /// What is compared.
    pub what: String,
    /// The largest value that meets it.
    pub limit: f64,
    /// What was measured: the median of the rounds' own ratios, and their spread.
    pub value: Summary,
    /// Whether it was met.
    pub met: bool,
}

impl Goal {
    /// The aim that the median of `values` is at most `limit`.
    pub fn new(what: impl Into<String>, limit: f64, values: impl IntoIterator<Item = f64>) -> Self {
        let value = Summary::of(values);
        Self {
            what: what.into(),
            limit,
            met: value.median <= limit,
            value,
        }
    }
}

/// The aims of a comparison, as far as those whom they are about took part.
pub fn of_comparison(measured: &[Measured]) -> Vec<Goal> {
    use Contender::{
        ApiKeyAuth, ExtAuthzGrpc, ExtAuthzHttp, Keybound, LuaEqual, LuaExpectations,
        None as NoFilter, WasmEmptyTrimmed,
    };
    let wasm = |case| Keybound(Home::Wasm, case);
    let native = |case| Keybound(Home::Native, case);
    let find = |contender| {
        measured
            .iter()
            .find(|measured| measured.contender == contender)
    };
    let added = |who, to| added(find(NoFilter)?, find(who)?, find(to)?);
    let total = |who, to| Some(ratios(&find(who)?.cpu_us, &find(to)?.cpu_us));
    let cheaper = [ExtAuthzHttp, ExtAuthzGrpc]
        .into_iter()
        .filter_map(find)
        .min_by(|a, b| cpu(a).total_cmp(&cpu(b)))
        .map(|measured| measured.contender);
    let p99 = |measured: &Measured| -> Vec<f64> {
        measured.latency.iter().map(|latency| latency.p99).collect()
    };
    let late = |who| Some(ratios(&p99(find(who)?), &p99(find(NoFilter)?)));
    [
        (
            "local hit / equal Lua, added CPU",
            1.5,
            added(wasm(Case::Local), LuaEqual),
        ),
        (
            "local hit / trimmed empty filter, added CPU",
            2.2,
            added(wasm(Case::Local), WasmEmptyTrimmed),
        ),
        (
            "local hit with expectations / equal Lua with expectations, added CPU",
            1.0,
            added(wasm(Case::Expectations), LuaExpectations),
        ),
        (
            "local hit / cheaper ext_authz, added CPU",
            0.32,
            cheaper.and_then(|cheaper| added(wasm(Case::Local), cheaper)),
        ),
        (
            "refused key / allowed key, total CPU",
            1.2,
            total(wasm(Case::Refused), wasm(Case::Local)),
        ),
        (
            "malformed key / allowed key, total CPU",
            1.2,
            total(wasm(Case::Malformed), wasm(Case::Local)),
        ),
        (
            "local hit / no filter, p99 latency at half of saturation",
            1.15,
            late(wasm(Case::Local)),
        ),
        (
            "dynamic module: local hit / equal Lua, added CPU",
            0.5,
            added(native(Case::Local), LuaEqual),
        ),
        (
            "dynamic module: local hit / cheaper ext_authz, added CPU",
            0.11,
            cheaper.and_then(|cheaper| added(native(Case::Local), cheaper)),
        ),
        (
            "dynamic module: local hit / api_key_auth, added CPU",
            2.5,
            added(native(Case::Local), ApiKeyAuth),
        ),
        (
            "dynamic module: local hit / Proxy-Wasm's local hit, added CPU",
            0.4,
            added(native(Case::Local), wasm(Case::Local)),
        ),
        (
            "dynamic module: local hit / no filter, p99 latency at half of saturation",
            1.1,
            late(native(Case::Local)),
        ),
    ]
    .into_iter()
    .filter_map(|(what, limit, values)| Some(Goal::new(what, limit, values?)))
    .filter(|goal| !goal.value.median.is_nan())
    .collect()
}

fn cpu(measured: &Measured) -> f64 {
    Summary::of(measured.cpu_us.iter().copied()).median
}

/// What one adds over no filter as a part of what another adds, round by round.
fn added(none: &Measured, who: &Measured, to: &Measured) -> Option<Vec<f64>> {
    let rounds = none.cpu_us.iter().zip(&who.cpu_us).zip(&to.cpu_us);
    Some(
        rounds
            .map(|((none, who), to)| (who - none) / (to - none))
            .collect(),
    )
}

/// Round by round.
pub fn ratios(who: &[f64], to: &[f64]) -> Vec<f64> {
    who.iter().zip(to).map(|(who, to)| who / to).collect()
}
