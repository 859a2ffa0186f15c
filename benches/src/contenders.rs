//! Who is compared: what each does, and what it is sent.

use serde_json::{Value, json};
use support::home::Home;

use crate::authorization::IDENTITY_HEADERS;
use crate::gateway::{Listener, Modules, keybound};
use crate::lua;
use crate::population::{Kind, Population};

/// Keys of each population.
pub const KEYS: u32 = 1000;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// No filter.
    None,
    /// Envoy's own filter for keys.
    ApiKeyAuth,
    /// Lua: a table, one header set, one removed.
    LuaTrivial,
    /// Lua: what the filter does by default.
    LuaEqual,
    /// Lua: what the filter does with expectations.
    LuaExpectations,
    /// ext_authz by HTTP.
    ExtAuthzHttp,
    /// ext_authz by gRPC.
    ExtAuthzGrpc,
    /// A Proxy-Wasm filter that does nothing.
    WasmEmpty,
    /// The same without the exports that it does not need.
    WasmEmptyTrimmed,
    /// The host calls of a hit, and nothing else.
    WasmHostCalls,
    /// The calls of Envoy that a hit makes as a dynamic module, and nothing else.
    NativeCalls,
    /// Keybound.
    Keybound(Home, Case),
}

/// What Keybound is made to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Default configuration, key in the worker's own cache.
    Local,
    /// The same, key in the cache that the workers share.
    Shared,
    /// A key whose user is suspended.
    Refused,
    /// What does not look like a key.
    Malformed,
    /// Scopes, networks, hours, user and tenant expected.
    Expectations,
    /// Every check and every header.
    Everything,
}

const CASES: [Case; 6] = [
    Case::Local,
    Case::Shared,
    Case::Refused,
    Case::Malformed,
    Case::Expectations,
    Case::Everything,
];

impl Contender {
    /// All of them, in the order of the table.
    pub fn all() -> Vec<Self> {
        let others = [
            Self::None,
            Self::ApiKeyAuth,
            Self::LuaTrivial,
            Self::LuaEqual,
            Self::LuaExpectations,
            Self::ExtAuthzHttp,
            Self::ExtAuthzGrpc,
            Self::WasmEmpty,
            Self::WasmEmptyTrimmed,
            Self::WasmHostCalls,
            Self::NativeCalls,
        ];
        let ours = [Home::Wasm, Home::Native]
            .into_iter()
            .flat_map(|home| CASES.map(|case| Self::Keybound(home, case)))
            // The dynamic module has one cache, which all workers share.
            .filter(|ours| *ours != Self::Keybound(Home::Native, Case::Shared));
        others.into_iter().chain(ours).collect()
    }

    /// Short name, for the command line and for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ApiKeyAuth => "api-key-auth",
            Self::LuaTrivial => "lua-trivial",
            Self::LuaEqual => "lua-equal",
            Self::LuaExpectations => "lua-expectations",
            Self::ExtAuthzHttp => "ext-authz-http",
            Self::ExtAuthzGrpc => "ext-authz-grpc",
            Self::WasmEmpty => "wasm-empty",
            Self::WasmEmptyTrimmed => "wasm-empty-trimmed",
            Self::WasmHostCalls => "wasm-host-calls",
            Self::NativeCalls => "native-calls",
            Self::Keybound(Home::Wasm, Case::Local) => "keybound",
            Self::Keybound(Home::Wasm, Case::Shared) => "keybound-shared",
            Self::Keybound(Home::Wasm, Case::Refused) => "keybound-refused",
            Self::Keybound(Home::Wasm, Case::Malformed) => "keybound-malformed",
            Self::Keybound(Home::Wasm, Case::Expectations) => "keybound-expectations",
            Self::Keybound(Home::Wasm, Case::Everything) => "keybound-everything",
            Self::Keybound(Home::Native, Case::Local | Case::Shared) => "native",
            Self::Keybound(Home::Native, Case::Refused) => "native-refused",
            Self::Keybound(Home::Native, Case::Malformed) => "native-malformed",
            Self::Keybound(Home::Native, Case::Expectations) => "native-expectations",
            Self::Keybound(Home::Native, Case::Everything) => "native-everything",
        }
    }

    /// What it is, in a line of the table.
    pub const fn description(self) -> &'static str {
        match self {
            Self::None => "no filter",
            Self::ApiKeyAuth => "Envoy's api_key_auth",
            Self::LuaTrivial => "trivial Lua",
            Self::LuaEqual => "equal Lua",
            Self::LuaExpectations => "equal Lua with expectations",
            Self::ExtAuthzHttp => "ext_authz, HTTP",
            Self::ExtAuthzGrpc => "ext_authz, gRPC",
            Self::WasmEmpty => "empty Proxy-Wasm filter",
            Self::WasmEmptyTrimmed => "empty Proxy-Wasm filter, trimmed",
            Self::WasmHostCalls => "the host calls of a hit alone",
            Self::NativeCalls => "a dynamic module with the calls of a hit alone",
            Self::Keybound(Home::Wasm, Case::Local) => "Keybound: local hit",
            Self::Keybound(Home::Wasm, Case::Shared) => "Keybound: shared hit",
            Self::Keybound(Home::Wasm, Case::Refused) => "Keybound: refused key",
            Self::Keybound(Home::Wasm, Case::Malformed) => "Keybound: malformed key",
            Self::Keybound(Home::Wasm, Case::Expectations) => {
                "Keybound: local hit with expectations"
            }
            Self::Keybound(Home::Wasm, Case::Everything) => "Keybound: local hit with everything",
            Self::Keybound(Home::Native, Case::Local | Case::Shared) => {
                "Keybound, dynamic module: hit"
            }
            Self::Keybound(Home::Native, Case::Refused) => "Keybound, dynamic module: refused key",
            Self::Keybound(Home::Native, Case::Malformed) => {
                "Keybound, dynamic module: malformed key"
            }
            Self::Keybound(Home::Native, Case::Expectations) => {
                "Keybound, dynamic module: hit with expectations"
            }
            Self::Keybound(Home::Native, Case::Everything) => {
                "Keybound, dynamic module: hit with everything"
            }
        }
    }

    /// What Keybound is made to do, where it is Keybound.
    pub const fn case(self) -> Option<Case> {
        match self {
            Self::Keybound(_, case) => Some(case),
            _ => None,
        }
    }

    /// Whose keys it is sent; none where what it is sent is no key.
    pub const fn kind(self) -> Option<Kind> {
        match self.case() {
            Some(Case::Malformed) => None,
            Some(Case::Refused) => Some(Kind::Suspended),
            Some(Case::Expectations) => Some(Kind::Fenced),
            Some(Case::Everything) => Some(Kind::Complete),
            Some(Case::Local | Case::Shared) | None => Some(Kind::Plain),
        }
    }

    /// The counter of look-ups that each of its requests adds to, where its requests are looked up. The dynamic module
    /// has one cache, which all workers share.
    pub const fn counter(self) -> Option<&'static str> {
        match self {
            Self::Keybound(_, Case::Malformed) => None,
            Self::Keybound(Home::Native, _) | Self::Keybound(_, Case::Shared) => {
                Some("lookup.shared")
            }
            Self::Keybound(Home::Wasm, _) => Some("lookup.local"),
            _ => None,
        }
    }

    /// The status of every answer.
    pub const fn status(self) -> u16 {
        match self.case() {
            Some(Case::Malformed) => 401,
            Some(Case::Refused) => 403,
            _ => 200,
        }
    }

    /// Whether a service of ours does a part of its work: it then shares a processor with the generator.
    pub const fn asks_a_service(self) -> bool {
        matches!(self, Self::ExtAuthzHttp | Self::ExtAuthzGrpc)
    }

    /// The requests that it is sent, one after the other.
    pub fn requests(self) -> Vec<Vec<u8>> {
        match self.kind() {
            Some(kind) => (0..KEYS).map(|number| request(kind, number)).collect(),
            None => vec![with_credential(Kind::Plain, 0, "two words")],
        }
    }

    /// The listener whose filter it is. Each has its own, so that a worker knows the keys that it is sent and no others.
    pub fn listener(self, modules: &Modules) -> Listener {
        let population = Population {
            kind: Kind::Plain,
            keys: KEYS,
        };
        let filter = match self {
            Self::None => None,
            Self::ApiKeyAuth => Some(api_key_auth(population)),
            Self::LuaTrivial => Some(lua_filter(&lua::trivial(population))),
            Self::LuaEqual => Some(lua_filter(&lua::equal(population))),
            Self::LuaExpectations => Some(lua_filter(&lua::equal_with_expectations(population))),
            Self::ExtAuthzHttp => Some(ext_authz_http()),
            Self::ExtAuthzGrpc => Some(ext_authz_grpc()),
            Self::WasmEmpty => Some(modules.filter(&modules.empty, self.name(), "")),
            Self::WasmEmptyTrimmed => Some(modules.filter(&modules.empty_trimmed, self.name(), "")),
            Self::WasmHostCalls => Some(modules.filter(&modules.host_calls, self.name(), "")),
            Self::NativeCalls => Some(modules.native_calls()),
            Self::Keybound(home, case) => {
                Some(keybound(modules, home, self.name(), &case.settings()))
            }
        };
        Listener {
            name: self.name().to_owned(),
            filter,
            notices: self.case().is_some(),
        }
    }
}

impl Case {
    /// Settings beside the required ones.
    fn settings(self) -> Value {
        match self {
            Self::Local | Self::Refused | Self::Malformed => json!({}),
            // So few that no key is there any more when its turn comes again.
            Self::Shared => json!({"limits": {"local_entries": 16}}),
            Self::Expectations => json!({"default_policy": {
                "scopes": {"all": ["orders:read"]},
                "user": {"header": "x-user"}, "tenant": {"header": "x-tenant"},
            }}),
            Self::Everything => json!({
                "key_format": {
                    "prefixes": ["kb_live_", "kb_test_"], "checksum": "crc32",
                    "min_length": 46, "max_length": 46,
                },
                "identity_headers": {"environment": "x-key-environment"},
                "default_policy": {
                    "environment": "live", "api": "orders",
                    "scopes": {"all": ["orders:read"]},
                    "user": {"header": "x-user"}, "tenant": {"header": "x-tenant"},
                },
            }),
        }
    }
}

/// What an API client sends. Everybody gets the same headers, needed or not.
pub fn request(kind: Kind, number: u32) -> Vec<u8> {
    with_credential(kind, number, &kind.credential(number))
}

fn with_credential(kind: Kind, number: u32, credential: &str) -> Vec<u8> {
    let ids = kind.ids(number);
    format!(
        "GET /v1/orders/4711?fields=state HTTP/1.1\r\nhost: api.example.com\r\n\
         user-agent: shop-client/4.2\r\naccept: application/json\r\naccept-encoding: gzip\r\n\
         x-api-key: {credential}\r\nx-user: {}\r\nx-tenant: {}\r\n\r\n",
        ids.user, ids.tenant
    )
    .into_bytes()
}

fn api_key_auth(population: Population) -> Value {
    let credentials: Vec<Value> = (0..population.keys)
        .map(|number| {
            json!({
                "key": population.kind.credential(number),
                "client": population.kind.ids(number).key,
            })
        })
        .collect();
    json!({
        "name": "envoy.filters.http.api_key_auth",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
            "credentials": credentials,
            "key_sources": [{"header": "x-api-key"}],
            "forwarding": {"header": "x-key-id", "hide_credentials": true},
        },
    })
}

fn lua_filter(script: &str) -> Value {
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": script},
        },
    })
}

fn ext_authz_http() -> Value {
    let told: Vec<Value> = IDENTITY_HEADERS
        .iter()
        .map(|name| json!({"exact": name}))
        .collect();
    ext_authz(&json!({"http_service": {
        "server_uri": {
            "uri": "http://127.0.0.1", "cluster": "authorization_http", "timeout": "1s",
        },
        "authorization_response": {"allowed_upstream_headers": {"patterns": told}},
    }}))
}

fn ext_authz_grpc() -> Value {
    ext_authz(&json!({
        "grpc_service": {
            "envoy_grpc": {"cluster_name": "authorization_grpc"}, "timeout": "1s",
        },
    }))
}

fn ext_authz(service: &Value) -> Value {
    let mut settings = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "allowed_headers": {"patterns": [{"exact": "x-api-key"}]},
    });
    for (name, value) in service.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    json!({"name": "envoy.filters.http.ext_authz", "typed_config": settings})
}
