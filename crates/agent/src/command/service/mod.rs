//! `service`: has the agent run whenever its user does, by systemd's user manager, or launchd.

mod files;
pub mod launchd;
pub(in crate::command) mod systemctl;
pub mod unit;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use self::files::{Found, Wanted};
use self::unit::{SERVICE, SOCKET, Setting};
use crate::app::App;
use crate::config::Env;
use crate::control::Agent;
use crate::failure::{Exit, Failed};
use crate::proc;
use crate::store::disk;

/// Who runs services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// systemd's user manager (Linux)
    Systemd,
    /// launchd (macOS)
    Launchd,
}

/// What `service` does.
#[derive(Clone, Debug, Subcommand)]
pub enum ServiceVerb {
    /// Write the units, enable and start them; again, after a change of config.toml or of the program's place
    #[command(after_help = "Example: rotakey service install --print")]
    Install(InstallArgs),
    /// Stop the agent, and remove what `install` wrote
    #[command(after_help = "Example: rotakey service uninstall")]
    Uninstall {
        /// Remove units, too, that somebody changed
        #[arg(long)]
        force: bool,
    },
    /// What is installed, and whether it runs
    #[command(after_help = "Example: rotakey service status --json")]
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// The arguments of `service install`.
#[derive(Clone, Debug, Args)]
pub struct InstallArgs {
    /// Only print what would be written
    #[arg(long)]
    pub print: bool,
    /// Overwrite units, too, that somebody changed
    #[arg(long)]
    pub force: bool,
    /// For whom [default: this system's]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
}

const HERE: Format = if cfg!(target_os = "macos") { Format::Launchd } else { Format::Systemd };

/// Variables by which a person may have moved things. A service's environment has none of them.
const PLACES: [&str; 5] = [
    "ROTAKEY_HOME",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
];

/// Runs it.
pub fn run(app: &App, verb: &ServiceVerb) -> Result<(), Failed> {
    match verb {
        ServiceVerb::Install(args) => install(app, args),
        ServiceVerb::Uninstall { force } => uninstall(app, *force),
        ServiceVerb::Status { json } => status(app, *json),
    }
}

fn install(app: &App, args: &InstallArgs) -> Result<(), Failed> {
    let format = args.format.unwrap_or(HERE);
    let wanted = wanted(app, format)?;
    if args.print {
        for file in &wanted {
            if wanted.len() > 1 {
                app.printer.data(&format!("# {}", file.path.display()));
            }
            app.printer.data(file.text().trim_end());
        }
        return Ok(());
    }
    if format != HERE {
        return Err(Failed::new(Exit::Usage, "that is another system's service manager")
            .hint("--print prints what would be written"));
    }
    // All or nothing: a unit of somebody's must not leave the other one behind.
    for file in &wanted {
        if file.found()? == Found::Changed && !args.force {
            file.install(false)?;
        }
    }
    let mut changed = Vec::new();
    for file in &wanted {
        if file.install(args.force)? {
            app.printer.say(&format!("wrote {}", file.path.display()));
            changed.extend(file.path.file_name());
        }
    }
    let changed = |unit: &str| changed.iter().any(|name| *name == unit);
    match format {
        Format::Systemd => start(app, changed(SERVICE), changed(SOCKET)),
        Format::Launchd => {
            let path = wanted[0].path.display();
            app.printer.say(&format!("now: launchctl bootstrap gui/$(id -u) {path}"));
            Ok(())
        }
    }
}

/// Has systemd take the units in, enabled and running.
fn start(app: &App, service_changed: bool, socket_changed: bool) -> Result<(), Failed> {
    if let Some(why) = systemctl::absent() {
        return Err(Failed::new(
            Exit::Unreachable,
            format!("the units are written, and not started: {why}"),
        )
        .hint(format!(
            "in a session of this user: systemctl --user enable --now {SOCKET} {SERVICE}; \
                 on a server, first, as root: loginctl enable-linger USER"
        )));
    }
    systemctl::order(&["daemon-reload"])?;
    let main = systemctl::property(SERVICE, "MainPID").and_then(|pid| pid.parse().ok());
    let agent = Agent::at(app.paths.socket());
    // A socket that systemd listens at, with nothing behind it yet, must not be asked: it would start the agent.
    let is_active = |unit| systemctl::property(unit, "ActiveState").as_deref() == Some("active");
    if !is_active(SOCKET)
        && let Ok(Some(status)) = agent.status()
        && status["pid"].as_u64() != main
    {
        let message = format!("an agent runs already (pid {}), started by hand", status["pid"]);
        return Err(Failed::new(Exit::Decide, message)
            .hint("end it (SIGTERM), then run this again; the units are written"));
    }
    if socket_changed && (is_active(SOCKET) || is_active(SERVICE)) {
        // Other sockets can only be opened while nobody has the old ones.
        systemctl::order(&["stop", SERVICE, SOCKET])?;
    } else if service_changed {
        // The sockets stay open: whoever asks meanwhile waits.
        systemctl::order(&["try-restart", SERVICE])?;
    }
    systemctl::order(&["enable", "--now", SOCKET, SERVICE])?;
    let pid = systemctl::property(SERVICE, "MainPID").unwrap_or_default();
    app.printer.say(&format!("the agent runs (pid {pid}), and will at each login"));
    app.printer.say("without a login, as on a server: loginctl enable-linger, once, as root or with polkit's leave");
    Ok(())
}

fn uninstall(app: &App, force: bool) -> Result<(), Failed> {
    let wanted = wanted(app, HERE)?;
    for file in &wanted {
        if file.found()? == Found::Changed && !force {
            file.uninstall(false)?;
        }
    }
    let there = wanted.iter().any(|file| !matches!(file.found(), Ok(Found::Absent)));
    let manager = HERE == Format::Systemd && systemctl::absent().is_none();
    if manager && there {
        systemctl::order(&["disable", "--now", SOCKET, SERVICE])?;
    } else if HERE == Format::Systemd {
        // What `enable` makes, when nobody is there to unmake it.
        for link in ["default.target.wants/rotakey.service", "sockets.target.wants/rotakey.socket"]
        {
            let link = systemctl::units(&app.env)?.join(link);
            disk::remove_link(&link).map_err(|error| {
                Failed::new(Exit::Failed, format!("cannot remove {}: {error}", link.display()))
            })?;
        }
    }
    for file in &wanted {
        if file.uninstall(force)? {
            app.printer.say(&format!("removed {}", file.path.display()));
        }
    }
    if manager {
        systemctl::order(&["daemon-reload"])?;
    }
    if !there {
        app.printer.say("nothing was installed");
    }
    Ok(())
}

fn status(app: &App, as_json: bool) -> Result<(), Failed> {
    let wanted = wanted(app, HERE)?;
    let manager = systemctl::absent();
    let of = |unit, name| match manager {
        None => systemctl::property(unit, name).unwrap_or_else(|| "unknown".to_owned()),
        Some(_) => "unknown".to_owned(),
    };
    let mut units = Vec::new();
    for file in &wanted {
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (active, enabled) = (of(name, "ActiveState"), of(name, "UnitFileState"));
        units.push((name.to_owned(), file, file.found()?, active, enabled));
    }
    if as_json {
        let units: Vec<_> = units
            .iter()
            .map(|(name, file, found, active, enabled)| {
                json!({"unit": name, "path": file.path.to_string_lossy(), "file": found.name(), "active": active, "enabled": enabled})
            })
            .collect();
        app.printer.data(&json!({"version": 1, "manager": manager, "units": units}).to_string());
    } else {
        for (name, file, found, active, enabled) in &units {
            let path = file.path.display();
            app.printer.data(&format!("{name:16}  {active}, {enabled}"));
            app.printer.data(&format!("  {path}: {}", found.name()));
        }
        if let Some(why) = &manager {
            app.printer.data(&format!("no service manager: {why}"));
        }
    }
    let runs = |name: &str| units.iter().any(|unit| unit.0 == name && unit.3 == "active");
    if runs(SERVICE) || runs(SOCKET) {
        return Ok(());
    }
    Err(Failed::new(Exit::Unreachable, "the service does not run")
        .hint("`rotakey service install` installs and starts it"))
}

/// What is to be installed.
fn wanted(app: &App, format: Format) -> Result<Vec<Wanted>, Failed> {
    let setting = setting(app)?;
    if format == Format::Launchd {
        let home = home(&app.env)?;
        let path = home.join(format!("Library/LaunchAgents/{}.plist", launchd::LABEL));
        let log = home.join("Library/Logs/rotakey.log");
        let text = launchd::plist(&setting.program, &setting.env, &log);
        return Ok(vec![Wanted::plist(path, &text)]);
    }
    let folder = systemctl::units(&app.env)?;
    // The service last: it needs the sockets.
    Ok(vec![
        Wanted::unit(folder.join(SOCKET), &unit::socket(&setting)),
        Wanted::unit(folder.join(SERVICE), &unit::service(&setting)),
    ])
}

fn setting(app: &App) -> Result<Setting, Failed> {
    let program = proc::own_program().map_err(|error| {
        Failed::new(Exit::Failed, format!("cannot tell where this program is: {error}"))
    })?;
    let agent = &app.config.agent;
    let wants_tcp = agent.sources.container || agent.sources.imds;
    let at = app.paths.socket();
    let runtime = app.env.get("XDG_RUNTIME_DIR");
    let below = runtime.and_then(|runtime| at.strip_prefix(runtime).ok());
    let socket = match below {
        // The manager's own word for it: it is another folder for another user's copy of the unit.
        Some(below) => format!("%t/{}", unit::escaped(&below.to_string_lossy())),
        None => unit::escaped(&at.to_string_lossy()),
    };
    let env =
        PLACES.iter().filter_map(|name| Some(((*name).to_owned(), app.env.get(name)?.to_owned())));
    Ok(Setting {
        program,
        socket,
        // A port that is left to chance cannot be held for us.
        listen: (wants_tcp && agent.listen.port() != 0).then_some(agent.listen),
        proxy_listen: (agent.sources.proxy && agent.proxy_listen.port() != 0)
            .then_some(agent.proxy_listen),
        env: env.collect(),
    })
}

/// The user's home folder.
fn home(env: &Env) -> Result<PathBuf, Failed> {
    let home = env.get("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    home.ok_or_else(|| {
        Failed::new(Exit::Usage, "HOME is not set").hint("set it, or log in as the user")
    })
}
