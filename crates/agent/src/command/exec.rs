//! `exec`: runs a program whose SDK finds rotakey, and nothing else.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use rotakey_endpoint::drain::Drain;
use rotakey_endpoint::proxy::listener::{self, serve_proxy};
use rotakey_endpoint::server::{self, Limits};
use tokio::signal::unix::{SignalKind, signal};

use super::env::{self, STALE, Variables};
use super::{mfa, through_proxy};
use crate::app::App;
use crate::cli::args::{ExecArgs, ExecSource};
use crate::config::{ProfileSettings, Sources};
use crate::daemon::{Listening, Programs, Service};
use crate::failure::{Exit, Failed};
use crate::serving::placeholders;

/// Nobody tells a process that serves its own child of a new key: it looks.
const POLL: Duration = Duration::from_millis(500);

/// How long answers that are under way may take when the child has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs it. Returns only if the program could not be started, or was served by us.
pub async fn run(app: &App, args: &ExecArgs) -> Result<ExitCode, Failed> {
    let settings = app.config.settings(&app.profile, &app.env)?;
    let source = env::source(app, args.source, &settings)?;
    mfa::ask_ahead(app, &settings, source != ExecSource::Process).await?;
    match source {
        ExecSource::Process => Err(replace(app, args, &env::variables(app, &settings, None)?)),
        ExecSource::Container => match env::listening(app)? {
            Some(at) => Err(replace(app, args, &env::variables(app, &settings, Some(at))?)),
            None => serve(app, args, &settings, source).await,
        },
        ExecSource::Proxy | ExecSource::Connect => {
            match through_proxy::listening(app, &settings)? {
                Some(at) => {
                    Err(replace(app, args, &proxy_variables(app, args, &settings, at, source)?))
                }
                None => serve(app, args, &settings, source).await,
            }
        }
    }
}

/// Each program has a placeholder of its own.
fn proxy_variables(
    app: &App,
    args: &ExecArgs,
    settings: &ProfileSettings,
    at: SocketAddr,
    source: ExecSource,
) -> Result<Variables, Failed> {
    let program = placeholders::program_name(&args.command[0]);
    through_proxy::variables(app, settings, at, &program, source)
}

fn command(app: &App, args: &ExecArgs, variables: &Variables) -> Command {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    for name in STALE {
        command.env_remove(name);
    }
    let source = args.source.unwrap_or(ExecSource::Process);
    for name in through_proxy::stale(app, source) {
        command.env_remove(name);
    }
    for (name, value) in variables {
        command.env(name, value.as_str());
    }
    command
}

/// Becomes the program.
fn replace(app: &App, args: &ExecArgs, variables: &Variables) -> Failed {
    not_started(args, &command(app, args, variables).exec())
}

fn not_started(args: &ExecArgs, error: &std::io::Error) -> Failed {
    let program = args.command[0].to_string_lossy();
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound if !program.contains('/') => "it is in no folder of PATH",
        std::io::ErrorKind::NotFound => "there is no such file, or not the interpreter it names",
        _ => "what stands behind -- is run as it is, without a shell",
    };
    Failed::new(Exit::Failed, format!("cannot run {program}: {error}")).hint(hint)
}

/// No agent runs: serves the program from this process, for as long as it lives.
async fn serve(
    app: &App,
    args: &ExecArgs,
    settings: &ProfileSettings,
    source: ExecSource,
) -> Result<ExitCode, Failed> {
    let cannot = |error: std::io::Error| {
        Failed::new(Exit::Failed, format!("cannot serve the program: {error}"))
    };
    let listener = server::listen_tcp((Ipv4Addr::LOCALHOST, 0).into()).map_err(cannot)?;
    let at = listener.local_addr().map_err(cannot)?;
    let is_proxy = matches!(source, ExecSource::Proxy | ExecSource::Connect);
    let sources = Sources { container: !is_proxy, imds: false, proxy: is_proxy };
    let names = [app.profile.clone()];
    // The placeholder first: what serves reads it when it begins.
    let variables = match is_proxy {
        true => proxy_variables(app, args, settings, at, source)?,
        false => env::variables(app, settings, Some(at))?,
    };
    let listening = match is_proxy {
        true => Listening { http: None, proxy: Some(at) },
        false => Listening { http: Some(at), proxy: None },
    };
    let service = Service::start(app, &names, sources, listening, POLL).await?;
    let (drainer, drain) = Drain::new();
    let serving = if is_proxy {
        tokio::spawn(serve_proxy(listener, service.proxy()?, listener::limits(), drain))
    } else {
        let programs = Arc::new(Programs(Arc::clone(&service.desk)));
        tokio::spawn(server::serve_tcp(listener, programs, Limits::default(), drain))
    };

    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    // A terminal sends this one to the program itself, too; we go when it goes.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut child: tokio::process::Command = command(app, args, &variables).into();
    let mut child = child.spawn().map_err(|error| not_started(args, &error))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(cannot)?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
                if let Some(pid) = pid {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
            }
        }
    };
    drainer.drain(DRAIN_TIMEOUT);
    let _ = serving.await;
    service.end().await;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
