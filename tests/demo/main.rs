//! `make run`: the whole of Keybound on one machine, with keys for every case.
//!
//! It lives among the tests because it is put together from the same parts: a real Envoy with the
//! configuration that users copy, the real key service, and an upstream that answers with what it was
//! asked. What it starts ends with it, whatever ends it.

mod setting;
mod table;

use setting::Setting;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use support::client::Request;
use support::config::{Ports, shipped_for};
use support::envoy::{DRAIN, Envoy, Start};
use support::failure::{Failure, Result};
use support::home::Home;
use support::key_service::{KeyService, Tokens, filter_configuration};
use support::upstream::Upstream;
use support::{paths, wait};
use table::Case;
use tokio::signal::unix::{Signal, SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.to_string().trim_end());
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let mut end = End::new()?;
    let setting = Setting::from_environment()?;
    let mut parts = tokio::select! {
        started = Parts::start(&setting) => started?,
        () = end.asked_for() => return Ok(()),
    };
    let outcome = tokio::select! {
        died = parts.death() => Err(died),
        () = end.asked_for() => Ok(()),
    };
    println!("\nstopping");
    let stopped = parts.stop().await;
    outcome.and(stopped)
}

/// What runs, in the order in which it was started.
struct Parts {
    key_service: KeyService,
    _upstream: Upstream,
    envoy: Envoy,
}

impl Parts {
    async fn start(setting: &Setting) -> Result<Self> {
        let ports = setting.ports;
        let folder = setting.folder.as_path();
        let tokens = Tokens {
            admin: setting::kept_token(&folder.join("admin-token"))?,
            gateway: setting::kept_token(&folder.join("gateway-token"))?,
        };

        // What `explain` judges by is what Envoy gets.
        let configuration = shipped_for(Home::chosen(), ports)?;
        std::fs::write(filter_configuration(folder), &configuration)?;
        println!(
            "starting the key service on 127.0.0.1:{}",
            ports.key_service
        );
        let key_service = KeyService::start(ports.key_service, folder, tokens.clone()).await?;
        let cases = table::cases(key_service.command(&["demo", "--with-use"])?)?;

        println!(
            "starting an upstream on 127.0.0.1:{} that answers with what it was asked",
            ports.upstream
        );
        let upstream = Upstream::start(ports.upstream).await?;

        println!(
            "starting Envoy{} on 127.0.0.1:{}, admin on 127.0.0.1:{}",
            match Home::chosen() {
                Home::Wasm => "",
                Home::Native => " with the dynamic module",
            },
            ports.gateway,
            ports.admin
        );
        let envoy = Envoy::start(Start {
            configuration,
            port: ports.gateway,
            admin: ports.admin,
            workers: 2,
            environment: vec![("KEYBOUND_GATEWAY_TOKEN".to_owned(), tokens.gateway)],
            folder: folder.to_owned(),
            drain: DRAIN,
            hot_restart: false,
            debug: true,
        })
        .await?;

        table::print(&cases, ports.gateway);
        print_places(folder, ports);
        a_good_key_passes(&cases, ports.gateway).await?;
        println!(
            "ready http://127.0.0.1:{} (Ctrl-C stops everything)",
            ports.gateway
        );
        print_next(&cases, folder, ports)?;
        Ok(Self {
            key_service,
            _upstream: upstream,
            envoy,
        })
    }

    /// Waits until one of them ends, which it should not.
    async fn death(&mut self) -> Failure {
        loop {
            for process in [Some(self.envoy.process()), self.key_service.process()]
                .into_iter()
                .flatten()
            {
                if let Some(status) = process.ended() {
                    let (name, tail) = (process.name(), process.tail(30));
                    return Failure::new(format!("{name} ended by itself ({status})\n{tail}"));
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends them in the opposite order, so that none misses one that it needs.
    async fn stop(mut self) -> Result<()> {
        self.envoy.process().stop().await?;
        self.key_service.stop().await
    }
}

/// Ready is what answers, not what was started.
async fn a_good_key_passes(cases: &[Case], port: u16) -> Result<()> {
    let good = cases
        .iter()
        .find(|case| case.expect_status == 200)
        .ok_or_else(|| Failure::new("the demonstration has no key that is allowed"))?;
    let mut request = Request::get("/");
    if let Some(key) = &good.key {
        request = request.header("x-api-key", key);
    }
    wait::until("a good key to pass through Envoy", async || {
        let answer = request
            .send(port)
            .await
            .map_err(|error| error.to_string())?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(format!("{} {}", answer.status, answer.text()))
        }
    })
    .await
}

fn print_places(folder: &Path, ports: Ports) {
    println!(
        "statistics   curl -s http://127.0.0.1:{}/stats?filter=keybound",
        ports.admin
    );
    println!("access log   {}", folder.join("envoy.out").display());
    println!("Envoy's log  {}", folder.join("envoy.log").display());
    println!(
        "admin API    curl -H \"authorization: Bearer $(cat {})\" http://127.0.0.1:{}/admin/v1/keys",
        folder.join("admin-token").display(),
        ports.key_service
    );
    println!(
        "console      http://127.0.0.1:{}/console, sign in with the token in {}",
        ports.key_service,
        folder.join("admin-token").display()
    );
    println!();
}

/// What a newcomer tries first, as commands that can be pasted.
fn print_next(cases: &[Case], folder: &Path, ports: Ports) -> Result<()> {
    let program = paths::key_service()?;
    let (program, gateway) = (program.display(), ports.gateway);
    println!(
        "\nNext, in another terminal: make a key and use it, and ask why another one is refused."
    );
    println!(
        "  export KEYBOUND_SERVER=http://127.0.0.1:{} KEYBOUND_TOKEN=$(cat {})",
        ports.key_service,
        folder.join("admin-token").display()
    );
    println!(
        "  {program} key create --user usr_demo_active --environment live --name 'My first key'"
    );
    println!("  curl -i -H 'x-api-key: SECRET' http://127.0.0.1:{gateway}/");
    let suspended = cases.iter().find(|case| case.code() == "user_suspended");
    if let Some(case) = suspended {
        println!("  {}", case.command(gateway));
        println!(
            "  sleep 2; grep user_suspended {} | tail -n 1 | {program} explain --access-log -",
            folder.join("envoy.out").display()
        );
    }
    Ok(())
}

/// The ways in which a person or a system asks for the end.
struct End {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl End {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn asked_for(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
