//! The password of the database is nowhere but where it was given.

use ::support::postgres::Server;

use crate::engine::{VERSION, is_postgresql};
use crate::program::{Running, run, text};

const PASSWORD: &str = "hunter22-of-the-database";

#[test]
fn a_password_is_taken_from_url_variable_and_file_and_shown_nowhere() {
    if !is_postgresql() {
        return;
    }
    let server = Server::start(VERSION.as_deref().unwrap()).unwrap();
    server.create("keys").unwrap();
    server.guard(PASSWORD).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = folder.join("passwords");
    let line = format!("127.0.0.1:{}:keys:guarded:{PASSWORD}\n", server.port());
    std::fs::write(&file, line).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, private).unwrap();
    let (open, bare) = (
        server.guarded_url("keys", PASSWORD),
        server.guarded_url("keys", ""),
    );
    let file = file.to_str().unwrap();
    for environment in [
        vec![("KEYBOUND_DATABASE", open.as_str())],
        vec![
            ("KEYBOUND_DATABASE", bare.as_str()),
            ("PGPASSWORD", PASSWORD),
        ],
        vec![("KEYBOUND_DATABASE", bare.as_str()), ("PGPASSFILE", file)],
    ] {
        let mut environment = environment;
        environment.push(("RUST_LOG", "trace"));
        let service = Running::start(folder, &environment);
        let ready = ureq::get(format!("{}/readyz", service.url))
            .call()
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        assert!(!ready.contains(PASSWORD), "{ready}");
        let first_lines = service.first_lines.clone();
        let printed = first_lines + &service.stop();
        assert!(!printed.contains(PASSWORD), "{printed}");
    }
    let wrong = server.guarded_url("keys", "wrong-hunter22");
    let elsewhere = open.replace(&server.port().to_string(), "1");
    let unknown = format!("{open}?passwort={PASSWORD}");
    let broken = open.replace("127.0.0.1", "127.0.0.1:x");
    let none = open.replace("/keys", "/none");
    for (url, told) in [
        (wrong.as_str(), "check user and password"),
        (&elsewhere, "cannot connect"),
        (&unknown, "parameter that is not known"),
        (&broken, "is not postgres://"),
        (&none, "CREATE DATABASE"),
    ] {
        for arguments in [
            &["serve", "--listen", "127.0.0.1:0"][..],
            &["token", "list"],
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--log-level",
                "trace",
                "--database",
                url,
            ],
        ] {
            // A service waits for a server that cannot be reached.
            if url == elsewhere && arguments[0] == "serve" {
                continue;
            }
            let output = run(folder, &[("KEYBOUND_DATABASE", url)], arguments);
            let error = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(error.contains(told), "{told}: {error}");
            assert!(!error.contains("hunter22"), "{error}");
            let last = error.lines().last().unwrap();
            assert!(last.starts_with("error: postgres://127.0.0.1"), "{last}");
        }
    }
    let log = std::fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("listening") && !log.contains("hunter22"));
}
