//! What the configuration may say and the filter does not do yet: refused, never ignored.

use super::error::Place;
use crate::json::Json;

/// Paths and the values there that have no effect yet. What is not given is not refused.
static NOT_YET: &[(&[&str], Json)] = &[(&["key_service", "changes", "enabled"], Json::Bool(true))];

/// Refuses what a configuration asks for in vain.
pub(super) fn refuse(configuration: &Json, root: &Place<'_>) {
    for (names, value) in NOT_YET {
        refuse_at(names, value, configuration, root);
    }
}

fn refuse_at(names: &[&str], value: &Json, json: &Json, place: &Place<'_>) {
    match (names.split_first(), json) {
        (None, json) if json == value => {
            place.refuse(format_args!("not supported yet: leave the field out"));
        }
        (Some((name, names)), Json::Object(members)) => {
            if let Some((_, json)) = members.iter().find(|(known, _)| known == name) {
                refuse_at(names, value, json, &Place::Member(place, name));
            }
        }
        _ => {}
    }
}
