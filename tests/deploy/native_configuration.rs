//! envoy/native/envoy.yaml is envoy/envoy.yaml with the filter as a dynamic module. This test is also what makes it.

use serde_json::Value;
use std::fs;
use support::config::replace_once;
use support::home::Home;
use support::paths;

const HEADER: &str = "\
# Keybound in Envoy as a dynamic module: made from ../envoy.yaml by `make native-configuration`, which also takes
# over what was changed there. Change that file, or a copy of this one.
#
# Copy this file, put libkeybound.so into a folder, give Envoy the name of that folder and the token with which it
# may ask the key service, and start:
#
#     ENVOY_DYNAMIC_MODULES_SEARCH_PATH=/usr/local/lib KEYBOUND_GATEWAY_TOKEN=... envoy -c envoy.yaml
#
# Envoy 1.39 or later. `make run NATIVE=1` starts exactly this file. It replaces the four ports where they are set to
# something else, each of which therefore stands here exactly once.

";

const FLAG: &str = r"        http.async_response_buffer_limit: 1114112
";

const FLAGS: &str = r"        http.async_response_buffer_limit: 1114112
        # The metrics have the same names in Prometheus as those of the other home, without `envoy_` before them.
        envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix: true
";

/// Begins the filter's part and ends it.
const FILTER: [&str; 2] = [
    "                      \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n",
    "                          value: |\n",
];

const NATIVE: &str = r#"                      "@type": type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter
                      dynamic_module_config:
                        # libkeybound.so, in the folder that ENVOY_DYNAMIC_MODULES_SEARCH_PATH names.
                        name: keybound
                        # What is loaded stays loaded: its threads may not lose the ground.
                        do_not_close: true
                        # That of the metrics, as in the other home.
                        metrics_namespace: wasmcustom
                      filter_name: keybound
                      # The filter's configuration: JSON in a StringValue (a Struct is taken, too).
                      # A field that is not named has its default; a mistake stops Envoy at start.
                      filter_config:
                        "@type": type.googleapis.com/google.protobuf.StringValue
                        value: |
"#;

fn made() -> String {
    let shipped = fs::read_to_string(paths::shipped_configuration()).unwrap();
    let (_, rest) = shipped.split_once("\nadmin:").expect("the part `admin`");
    let shipped = replace_once(&format!("{HEADER}admin:{rest}"), FLAG, FLAGS);
    let shipped = shipped.unwrap_or_else(|error| panic!("{error}"));
    let (before, filter) = shipped.split_once(FILTER[0]).expect("the filter");
    let (_, filter) = filter.split_once(FILTER[1]).expect("its configuration");
    let (settings, after) = filter
        .split_once("                  - name: ")
        .expect("the router");
    // The text is less deep there.
    let settings = settings.replace("\n  ", "\n");
    let settings = settings.strip_prefix("  ").expect("a text below");
    format!("{before}{NATIVE}{settings}                  - name: {after}")
}

#[test]
fn it_is_made_from_the_shipped_one() {
    let wanted = made();
    let path = paths::native_configuration();

    if std::env::var_os("MAKE_NATIVE_CONFIGURATION").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let difference = found
        .lines()
        .zip(wanted.lines())
        .find(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "envoy/native/envoy.yaml differs from what envoy/envoy.yaml gives; run `make native-configuration`. \
         First difference: {difference:?}"
    );
}

/// The tests of the gateway turn the shipped configuration into one for this home. It is the one that users copy.
#[test]
fn it_is_what_the_tests_run_with() {
    let read = |path| -> Value {
        let text = fs::read_to_string(path).unwrap();
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}"))
    };

    assert_eq!(
        read(paths::native_configuration()),
        Home::Native.configured(&read(paths::shipped_configuration()))
    );
}
