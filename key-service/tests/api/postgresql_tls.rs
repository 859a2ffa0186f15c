//! The connection to the database is as secure as its URL says.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::engine::{self, Database, is_postgresql};
use crate::program::{run, text};

/// What PostgreSQL answers to who asks for TLS, where it has it.
const YES: &[u8] = b"S";

/// A server with TLS before one that has none: the package's PostgreSQL is built without.
fn secured(name: &str, folder: &Path, to: u16) -> u16 {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let _ = serve(client.unwrap(), config, to);
            });
        }
    });
    port
}

fn serve(mut client: TcpStream, config: Arc<ServerConfig>, to: u16) -> io::Result<()> {
    // Length and code of the request for TLS.
    let mut asked = [0; 8];
    client.read_exact(&mut asked)?;
    client.write_all(YES)?;
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut client = StreamOwned::new(connection, client);
    let mut server = TcpStream::connect(("127.0.0.1", to))?;
    // Each side says something and then waits for the other: what is there is passed on in turns.
    let pause = std::time::Duration::from_millis(5);
    client.conn.complete_io(&mut client.sock)?;
    client.sock.set_read_timeout(Some(pause))?;
    server.set_read_timeout(Some(pause))?;
    while pass(&mut client, &mut server)? && pass(&mut server, &mut client)? {}
    Ok(())
}

/// Passes on what is there; false at the end.
fn pass(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<bool> {
    let mut bytes = [0; 16 * 1024];
    match from.read(&mut bytes) {
        Ok(0) => Ok(false),
        Ok(count) => {
            to.write_all(&bytes[..count])?;
            to.flush()?;
            Ok(true)
        }
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

#[test]
fn a_server_must_have_the_certificate_that_the_url_asks_for() {
    if !is_postgresql() {
        return;
    }
    let (folder, database) = (tempfile::tempdir().unwrap(), Database::new());
    let folder = folder.path();
    let plain = engine::server().unwrap().port();
    let right = secured("localhost", folder, plain);
    let other = secured("db.example.com", folder, plain);
    let list = |host: &str, port: u16, parameters: &str| {
        let url = format!(
            "postgres://keybound@{host}:{port}/{}?{parameters}",
            database.name
        );
        let output = run(folder, &[("KEYBOUND_DATABASE", &url)], &["token", "list"]);
        (output.status.code(), text(&output.stderr))
    };
    for (host, port, parameters, code) in [
        (
            "localhost",
            right,
            "sslmode=verify-full&sslrootcert=localhost.pem",
            0,
        ),
        ("localhost", right, "sslmode=require", 0),
        // Another name, another authority, none that the machine trusts, and no TLS at all.
        (
            "127.0.0.1",
            right,
            "sslmode=verify-full&sslrootcert=localhost.pem",
            1,
        ),
        (
            "localhost",
            other,
            "sslmode=verify-full&sslrootcert=db.example.com.pem",
            1,
        ),
        (
            "localhost",
            right,
            "sslmode=verify-full&sslrootcert=db.example.com.pem",
            1,
        ),
        ("localhost", right, "sslmode=verify-full", 1),
        ("localhost", plain, "sslmode=require", 1),
        ("localhost", plain, "sslmode=prefer", 0),
    ] {
        let (status, error) = list(host, port, parameters);
        assert_eq!(status, Some(code), "{host} {parameters}: {error}");
        assert!(
            code == 0 || error.contains("cannot connect to the database"),
            "{error}"
        );
    }
}
