//! The upstream of the composed system: answers with what it was asked. `upstream` listens on port 8082 of
//! every address until it is told to stop; `upstream ready` says by its exit code whether one does.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use support::client::Request;
use support::failure::{Failure, Result};
use support::upstream::Upstream;
use tokio::signal::unix::{SignalKind, signal};

const PORT: u16 = 8082;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        None => serve().await,
        Some("ready") => ready().await,
        Some(other) => Err(Failure::new(format!(
            "{other:?} is not `ready`, the only argument that there is"
        ))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<()> {
    // The first process of a container ends by a signal only if it listens for it.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let _upstream = Upstream::listen((Ipv4Addr::UNSPECIFIED, PORT).into()).await?;
    println!("listening on port {PORT}");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn ready() -> Result<()> {
    let answer = Request::get("/").send(PORT).await?;
    match answer.status {
        200 => Ok(()),
        status => Err(Failure::new(format!("it answers {status}"))),
    }
}
