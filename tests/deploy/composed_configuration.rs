//! envoy/compose/envoy.yaml is envoy/envoy.yaml, with the addresses that things have among containers and a
//! listener for what monitors ask. This test is also what makes it.

use std::fs;
use support::config::replace_once;
use support::paths;

const HEADER: &str = "\
# envoy.yaml for docker-compose.yaml: made from ../envoy.yaml by `make compose-configuration`, which also
# takes over what was changed there. Change that file, or a copy of this one.

";

/// What differs, as text of envoy.yaml and what stands here in its place.
const CHANGES: [(&str, &str); 6] = [
    (
        "{ address: 127.0.0.1, port_value: 10000 }",
        "{ address: 0.0.0.0, port_value: 10000 }",
    ),
    (
        "{ address: 127.0.0.1, port_value: 8082 }",
        "{ address: upstream, port_value: 8082 }",
    ),
    (
        "{ address: 127.0.0.1, port_value: 8081 }",
        "{ address: key-service, port_value: 8081 }",
    ),
    (
        "    - name: upstream\n      type: STATIC # for a host name: STRICT_DNS\n",
        "    - name: upstream\n      type: STRICT_DNS\n",
    ),
    (
        "    - name: key_service\n      type: STATIC # for a host name: STRICT_DNS\n",
        "    - name: key_service\n      type: STRICT_DNS\n",
    ),
    ("\n  clusters:\n", STATISTICS),
];

/// Goes between the listeners and the clusters.
const STATISTICS: &str = r#"
    # What monitors may ask of the admin interface, and no more of it: another container could shut Envoy
    # down there.
    - name: statistics
      address:
        socket_address: { address: 0.0.0.0, port_value: 9902 }
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: statistics
                normalize_path: true
                path_with_escaped_slashes_action: REJECT_REQUEST
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes:
                        - match:
                            safe_regex: { regex: "/(ready|server_info|stats|stats/prometheus)" }
                            headers: [{ name: ":method", string_match: { exact: GET } }]
                          route: { cluster: admin }

  clusters:
    - name: admin
      type: STATIC
      connect_timeout: 1s
      load_assignment:
        cluster_name: admin
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address: { address: 127.0.0.1, port_value: 9901 }

"#;

#[test]
fn it_is_made_from_the_shipped_one() {
    let mut wanted = fs::read_to_string(paths::shipped_configuration()).unwrap();
    for (old, new) in CHANGES {
        wanted = replace_once(&wanted, old, new).unwrap_or_else(|error| panic!("{error}"));
    }
    let (_, rest) = wanted.split_once("\nadmin:").expect("the part `admin`");
    let wanted = format!("{HEADER}admin:{rest}");
    let path = paths::root().join("envoy/compose/envoy.yaml");

    if std::env::var_os("MAKE_COMPOSED_CONFIGURATION").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let difference = found
        .lines()
        .zip(wanted.lines())
        .find(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "envoy/compose/envoy.yaml differs from what envoy/envoy.yaml gives; run `make compose-configuration`. \
         First difference: {difference:?}"
    );
}
