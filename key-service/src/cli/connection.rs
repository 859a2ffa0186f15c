//! How a command reaches the service: which certificates it trusts, and when it goes through a proxy.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use super::outcome::Failure;

/// How long a provider of identities may take to answer: two of its answers are less than what a page may take.
const OF_PROVIDER: Duration = Duration::from_secs(5);

/// An agent for calls to this server. Every answer is an answer, whatever its status.
pub fn agent(server: &str, cacert: Option<&Path>, timeout: Duration) -> Result<Agent, Failure> {
    let mut tls = TlsConfig::builder();
    if server.starts_with("https:") || cacert.is_some() {
        tls = tls.root_certs(trusted(cacert)?);
    }
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(timeout))
        .tls_config(tls.build())
        .proxy(proxy(server));
    Ok(config.build().into())
}

/// How the service itself reaches others: it trusts the machine's own authorities.
pub fn tls() -> Result<TlsConfig, Failure> {
    Ok(TlsConfig::builder().root_certs(trusted(None)?).build())
}

/// How the service asks a provider of identities: by TLS, unless that is on this machine, and following nobody elsewhere.
pub fn of_provider(issuer: &str) -> Result<Agent, Failure> {
    let is_near = is_loopback(issuer);
    if !is_near && !issuer.starts_with("https://") {
        return Err(Failure::Usage(
            "--oidc-issuer must begin with https://, as who signs in trusts what it says"
                .to_owned(),
        ));
    }
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .https_only(!is_near)
        .timeout_global(Some(OF_PROVIDER))
        .tls_config(tls()?)
        .proxy(proxy(issuer));
    Ok(config.build().into())
}

/// The server as it may be printed: what stands before an @ may be a password.
pub fn shown(server: &str) -> String {
    match server.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let host = authority.rsplit('@').next().unwrap_or(authority);
            format!("{scheme}://{host}{path}")
        }
        None => server.rsplit('@').next().unwrap_or(server).to_owned(),
    }
}

/// The proxy of the environment. It cannot reach what listens on this machine alone, and would learn the
/// token.
fn proxy(server: &str) -> Option<Proxy> {
    if is_loopback(server) {
        return None;
    }
    Proxy::try_from_env()
}

fn is_loopback(server: &str) -> bool {
    let uri = server.parse::<Uri>().ok();
    let Some(host) = uri.as_ref().and_then(Uri::host) else {
        return false;
    };
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    let host = host.to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whom to believe: the file that is named, else the machine's own store (SSL_CERT_FILE and SSL_CERT_DIR
/// name another), else, in a container without one, the public authorities that come along.
fn trusted(cacert: Option<&Path>) -> Result<RootCerts, Failure> {
    if let Some(path) = cacert {
        return of_file(path);
    }
    let platform = rustls_native_certs::load_native_certs();
    let certificates: Vec<Certificate<'static>> = platform
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    if !certificates.is_empty() {
        return Ok(RootCerts::new_with_certs(&certificates));
    }
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if std::env::var_os(variable).is_some() {
            let causes = platform.errors.iter().map(ToString::to_string);
            let causes = causes.collect::<Vec<_>>().join("; ");
            return Err(Failure::Usage(format!(
                "{variable} names no certificates: {causes}"
            )));
        }
    }
    Ok(RootCerts::WebPki)
}

fn of_file(path: &Path) -> Result<RootCerts, Failure> {
    let wrong = |problem: &dyn std::fmt::Display| {
        Failure::Usage(format!("--cacert {}: {problem}", path.display()))
    };
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(&error))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong(
            &"holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
        ));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_any_of_its_names() {
        for near in [
            "http://127.0.0.1:8081",
            "http://127.9.9.9",
            "https://localhost:8081/base",
            "http://LOCALHOST",
            "http://keys.localhost",
            "http://[::1]:8081",
            "localhost:8081",
        ] {
            assert!(is_loopback(near), "{near}");
        }
        for far in [
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://[2001:db8::1]",
            "",
            "no url",
        ] {
            assert!(!is_loopback(far), "{far}");
        }
    }

    #[test]
    fn no_password_of_a_url_is_shown() {
        assert_eq!(
            shown("https://anna:secret@keys:8081/x@y"),
            "https://keys:8081/x@y"
        );
        assert_eq!(shown("anna:secret@keys"), "keys");
        assert_eq!(shown("http://127.0.0.1:8081"), "http://127.0.0.1:8081");
    }
}
