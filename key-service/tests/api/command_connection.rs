//! How commands reach the service: past proxies that cannot, and by certificates of one's own.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::program::{Running, run, text};

const ADMIN: &str = "admin-token-number-one";

fn started(folder: &Path) -> Running {
    Running::start(folder, &[("KEYBOUND_ADMIN_TOKEN", ADMIN)])
}

fn list(folder: &Path, server: &str, environment: &[(&str, &str)], more: &[&str]) -> Output {
    let token = [("KEYBOUND_TOKEN", ADMIN), ("KEYBOUND_SERVER", server)];
    let environment = [&token[..], environment].concat();
    run(folder, &environment, &[&["tenant", "list"], more].concat())
}

/// Counts who comes, and lets nobody through.
struct Trap(TcpListener);

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Whether somebody has come since this was asked last.
    fn sprang(&self) -> bool {
        let mut any = false;
        loop {
            match self.0.accept() {
                Ok(_) => any = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return any,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn no_proxy_stands_before_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let service = started(folder.path());
    let trap = Trap::set();
    let url = trap.url();
    let by_name = service.url.replace("127.0.0.1", "localhost");
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        let proxy = [(variable, url.as_str())];
        for server in [&service.url, &by_name] {
            let output = list(folder.path(), server, &proxy, &[]);
            assert!(
                output.status.success(),
                "{variable} {}",
                text(&output.stderr)
            );
            let ready = run(folder.path(), &proxy, &["ready", "--server", server]);
            assert!(ready.status.success(), "{variable} {}", text(&ready.stderr));
        }
    }
    assert!(!trap.sprang());
}

#[test]
fn a_proxy_carries_calls_to_elsewhere_unless_no_proxy_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let trap = Trap::set();
    let url = trap.url();
    let elsewhere = "http://keys.invalid:8081";
    // The trap does not answer, so the call fails soon after it has come: the name alone is of no use.
    let proxy = [("HTTP_PROXY", url.as_str()), ("NO_PROXY", "keys.invalid")];
    let past = list(folder.path(), elsewhere, &proxy, &[]);
    assert_eq!(past.status.code(), Some(3), "{}", text(&past.stderr));
    assert!(!trap.sprang());
    let through = thread::spawn({
        let folder = folder.path().to_owned();
        move || list(&folder, elsewhere, &[("HTTP_PROXY", &url)], &[])
    });
    while !trap.sprang() {
        assert!(!through.is_finished(), "it did not come through the proxy");
        thread::yield_now();
    }
    assert_eq!(through.join().unwrap().status.code(), Some(3));
}

/// The service behind TLS, with a certificate of an authority that only this test knows.
struct Tls {
    url: String,
    authority: PathBuf,
}

impl Tls {
    fn before(service: &Running, folder: &Path) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = folder.join("authority.pem");
        std::fs::write(&authority, params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let plain = service.url.trim_start_matches("http://").to_owned();
        let config = Arc::new(config);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A client that does not trust us ends the handshake.
                let _ = carry(&config, client, &plain);
            }
        });
        Self { url, authority }
    }
}

/// Carries one request and its answer.
fn carry(config: &Arc<ServerConfig>, client: TcpStream, plain: &str) -> std::io::Result<()> {
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut client = StreamOwned::new(connection, client);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    head.truncate(head.len() - 2);
    head.extend_from_slice(b"connection: close\r\n\r\n");
    let mut service = TcpStream::connect(plain)?;
    service.write_all(&head)?;
    let mut answer = Vec::new();
    service.read_to_end(&mut answer)?;
    client.write_all(&answer)?;
    client.conn.send_close_notify();
    client.flush()
}

#[test]
fn a_certificate_of_an_own_authority_is_trusted_where_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let service = started(folder.path());
    let tls = Tls::before(&service, folder.path());
    let authority = tls.authority.to_str().unwrap();

    let stranger = list(folder.path(), &tls.url, &[], &[]);
    let error = text(&stranger.stderr);
    assert_eq!(stranger.status.code(), Some(3), "{error}");
    assert!(
        error.contains("UnknownIssuer") && error.contains("--cacert"),
        "{error}"
    );

    for (environment, more) in [
        (&[][..], &["--cacert", authority][..]),
        (&[("KEYBOUND_CACERT", authority)], &[]),
        (&[("SSL_CERT_FILE", authority)], &[]),
    ] {
        let trusted = list(folder.path(), &tls.url, environment, more);
        assert!(
            trusted.status.success(),
            "{environment:?} {more:?} {}",
            text(&trusted.stderr)
        );
        let ready = [&["ready", "--server", tls.url.as_str()], more].concat();
        let ready = run(folder.path(), environment, &ready);
        assert!(ready.status.success(), "{}", text(&ready.stderr));
    }
}

#[test]
fn a_file_that_holds_no_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.pem"), "nothing\n").unwrap();
    for (environment, more, part) in [
        (
            &[][..],
            &["--cacert", "empty.pem"][..],
            "--cacert empty.pem: holds no certificate",
        ),
        (
            &[],
            &["--cacert", "none.pem"],
            "--cacert none.pem: No such file",
        ),
        (
            &[("SSL_CERT_FILE", "none.pem")],
            &[],
            "SSL_CERT_FILE names no certificates",
        ),
    ] {
        let output = list(folder.path(), "https://localhost:1", environment, more);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn no_help_or_error_shows_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        ("KEYBOUND_SERVER", "http://anna:pass-word@127.0.0.1:1"),
        ("KEYBOUND_DATABASE", "postgres://anna:pass-word@db/keys"),
        ("KEYBOUND_LISTEN", "pass-word:1"),
        ("KEYBOUND_TOKEN", ADMIN),
    ];
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["key", "create", "--help"],
        &["token", "create", "--help"],
        &["tenant", "list"],
        &["ready"],
    ] {
        let output = run(folder.path(), &variables, arguments);
        let printed = text(&output.stdout) + &text(&output.stderr);
        assert!(!printed.contains("pass-word"), "{arguments:?}: {printed}");
        assert!(printed.contains("KEYBOUND_SERVER") || printed.contains("http://127.0.0.1:1"));
    }
}
