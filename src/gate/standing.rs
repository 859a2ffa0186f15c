//! How a request stands before anything is looked up. The order of these questions is written here alone: the gate
//! and the key service's explanations both ask them.

use super::settings::{Enforcement, Preflight, Settings};
use crate::credential::{self, Fault};
use crate::edit::Reserved;
use crate::host::Circumstances;
use crate::policy::{Authentication, Chosen, UnknownPolicy};
use crate::request::Request;

/// How a request stands, with the credential in whatever form it is found.
#[derive(Debug)]
pub enum Standing<'a, T> {
    /// It is a CORS preflight, which passes without a key.
    Preflight,
    /// There is nothing to judge it by: its route names a policy that does not exist.
    PolicyUnknown(UnknownPolicy),
    /// Its policies ask for no key.
    Unasked(Chosen<'a>),
    /// It has no key, and its policies ask for one only of those who send one.
    Anonymous(Chosen<'a>),
    /// It has no credential that could be looked up.
    Faulty(Chosen<'a>, Fault),
    /// It has a credential, which is to be looked up.
    Presents(Chosen<'a>, T),
}

impl<'a, T> Standing<'a, T> {
    /// Asks all questions. `find` gives the credential, or says why there is none to look up.
    pub fn of(
        settings: &'a Settings,
        reserved: &Reserved,
        request: &Request<'_, impl Circumstances>,
        find: impl FnOnce() -> Result<T, Fault>,
    ) -> Self {
        if settings.preflight == Preflight::Pass && request.is_preflight() {
            return Self::Preflight;
        }
        match settings.policies.choose(request) {
            Ok(chosen) if steers(settings, reserved, request, chosen) => {
                Self::by(settings.policies.all(), find)
            }
            Ok(chosen) => Self::by(chosen, find),
            Err(unknown) => Self::PolicyUnknown(unknown),
        }
    }

    /// Asks what comes once policies are chosen.
    pub fn by(policies: Chosen<'a>, find: impl FnOnce() -> Result<T, Fault>) -> Self {
        if policies.authentication() == Authentication::None {
            return Self::Unasked(policies);
        }
        match find() {
            Ok(credential) => Self::Presents(policies, credential),
            Err(Fault::Missing) if policies.authentication() == Authentication::Optional => {
                Self::Anonymous(policies)
            }
            Err(fault) => Self::Faulty(policies, fault),
        }
    }
}

/// Whether the client sent something that is taken away again, besides the one credential that counts,
/// where Envoy's routes name policies. Envoy chooses the route once more when headers have changed, and
/// says which only when it is too late: so a client could be judged by the policy of a route that its own
/// header, parameter or cookie chose, and be served by another one.
fn steers(
    settings: &Settings,
    reserved: &Reserved,
    request: &Request<'_, impl Circumstances>,
    chosen: Chosen<'_>,
) -> bool {
    let strips = settings.strip_credential && chosen.authentication() != Authentication::None;
    let surplus =
        || credential::has_surplus(&settings.credentials, &settings.key_format, request.headers);
    let named = || settings.policies.has_unrouted() || request.route_policy().is_some();
    !settings.policies.is_single()
        && settings.enforcement == Enforcement::Enforce
        && (reserved.find(request.headers).is_any() || strips && surplus())
        && named()
}
