//! Lua scripts that check keys from tables, for Envoy's Lua filter.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::population::{Population, expires_at};

/// Looks a key up, sets one header and removes one.
pub fn trivial(population: Population) -> String {
    let mut script = String::from("local KEYS = {\n");
    for number in 0..population.keys {
        let credential = population.kind.credential(number);
        let id = population.kind.ids(number).key;
        let _ = writeln!(script, "[\"{credential}\"] = \"{id}\",");
    }
    script + "}\n" + include_str!("lua/trivial.lua")
}

/// Checks key, user, tenant and expiry, sets four headers and removes one.
pub fn equal(population: Population) -> String {
    tables(population) + include_str!("lua/equal.lua")
}

/// The same, and a scope, the network and the tenant that the request states.
pub fn equal_with_expectations(population: Population) -> String {
    tables(population) + include_str!("lua/equal_with_expectations.lua")
}

fn tables(population: Population) -> String {
    let (mut keys, mut users, mut tenants) = (String::new(), BTreeMap::new(), BTreeMap::new());
    for number in 0..population.keys {
        let credential = population.kind.credential(number);
        let ids = population.kind.ids(number);
        let _ = writeln!(
            keys,
            "[\"{credential}\"] = {{id = \"{}\", user = \"{}\", tenant = \"{}\", status = \"active\", \
             expires_at = {}, scopes = \"orders:read orders:write\", \
             scope = {{[\"orders:read\"] = true, [\"orders:write\"] = true}}, \
             networks = {{{{address = network(10, 0, 0, 0), mask = bits(8)}}, \
             {{address = network(127, 0, 0, 0), mask = bits(8)}}}}}},",
            ids.key,
            ids.user,
            ids.tenant,
            expires_at(),
        );
        users.insert(
            ids.user,
            format!("{{status = \"active\", tenant = \"{}\"}}", ids.tenant),
        );
        tenants.insert(ids.tenant, "{status = \"active\"}".to_owned());
    }
    let table = |entries: BTreeMap<String, String>| -> String {
        entries
            .into_iter()
            .map(|(id, record)| format!("[\"{id}\"] = {record},\n"))
            .collect()
    };
    format!(
        "local function network(a, b, c, d) return bit.tobit(((a * 256 + b) * 256 + c) * 256 + d) end\n\
         local function bits(count) return bit.lshift(-1, 32 - count) end\n\
         local KEYS = {{\n{keys}}}\nlocal USERS = {{\n{}}}\nlocal TENANTS = {{\n{}}}\n",
        table(users),
        table(tenants)
    )
}
