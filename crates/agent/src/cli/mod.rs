//! The command line: arguments in, text and an exit code out.

pub mod args;
mod log;
mod mistake;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Arguments, Verb};
use crate::app::App;
use crate::command;
use crate::config::{Config, Env, LogFormat, Paths};
use crate::failure::{Exit, Failed};
use crate::printer::Printer;

/// The short way of `credential-process`, which SDKs run again and again: one question to the agent over its socket.
/// `None` if that is not what was asked for, or if the agent does not have the answer; the long way then finds out why.
pub fn quick() -> Option<ExitCode> {
    let profile = command::credential_process::asked(std::env::args_os().skip(1))?;
    harden();
    match command::credential_process::quick(&profile)? {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(failed) => {
            Printer::new().error(&failed);
            Some(ExitCode::from(failed.exit as u8))
        }
    }
}

/// Runs the program.
pub fn run() -> ExitCode {
    harden();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let words = std::env::args_os().skip(1);
            let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
            return mistake::told(&error, &words, &Printer::new());
        }
    };
    let is_agent = matches!(arguments.verb, Some(Verb::Agent));
    log::init(arguments.verbose, !is_agent, log_format(is_agent));
    let printer = Printer::new();
    let done = dispatch(arguments, &printer);
    let done = match printer.lost() {
        Some(why) if done.is_ok() => {
            let message = format!("cannot write to standard output: {why}");
            Err(Failed::new(Exit::Failed, message)
                .hint("send it elsewhere, or make room there; what was shown is not all"))
        }
        _ => done,
    };
    match done {
        Ok(code) => code,
        Err(failed) => {
            printer.error(&failed);
            ExitCode::from(failed.exit as u8)
        }
    }
}

/// The form of the log. A configuration that is wrong is told later, by who needs it.
fn log_format(is_agent: bool) -> LogFormat {
    let env = Env::of_process();
    let configured = || {
        let paths = Paths::from_env(&env).ok().filter(|_| is_agent)?;
        Some(Config::load(&paths.config).ok()?.agent.log)
    };
    let asked = env.get("ROTAKEY_LOG_FORMAT").and_then(LogFormat::of);
    match asked.or_else(configured).unwrap_or_default() {
        LogFormat::Auto if log::is_read_by_journald(env.get("JOURNAL_STREAM")) => {
            LogFormat::Journald
        }
        LogFormat::Auto => LogFormat::Text,
        form => form,
    }
}

fn dispatch(arguments: Arguments, printer: &Printer) -> Result<ExitCode, Failed> {
    let env = Env::of_process();
    let profile = arguments.profile;
    let app = |named: Option<String>| {
        let name = named.or(profile.clone());
        let name = name.or_else(|| env.get("AWS_PROFILE").map(str::to_owned));
        App::load(env.clone(), name.unwrap_or_else(|| "default".to_owned()), printer)
    };
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failed::new(Exit::Failed, format!("cannot start: {error}")))
    };
    let Some(verb) = arguments.verb else {
        return command::next::run(&app(None)?).map(|()| ExitCode::SUCCESS);
    };
    let done = match verb {
        Verb::Add(args) => {
            let app = app(args.name.clone())?;
            runtime()?.block_on(command::add::run(&app, &args))
        }
        Verb::Import(args) => runtime()?.block_on(command::import::run(&app(None)?, &args)),
        Verb::Export(args) => {
            runtime()?.block_on(command::export::run(&app(args.name.clone())?, &args))
        }
        Verb::Remove { name, yes } => command::remove::run(&app(name)?, yes),
        Verb::Rotate(args) if args.admin.user.is_some() => {
            let app = app(args.admin.signer.clone())?;
            runtime()?.block_on(command::admin::run(&app, &args))
        }
        Verb::Rotate(args) => {
            if args.all {
                let names: Vec<String> = app(None)?.managed()?;
                if names.is_empty() {
                    printer.say("no profiles yet: `rotakey add default` takes a key over");
                }
                let runtime = runtime()?;
                command::rotate::all(names, &args, |name| app(Some(name)), &runtime)?;
                return Ok(ExitCode::SUCCESS);
            }
            let app = app(args.name.clone())?;
            runtime()?.block_on(command::rotate::rotate(&app, &args))
        }
        Verb::Undo { name, force } => {
            runtime()?.block_on(command::rotate::undo(&app(name)?, force))
        }
        Verb::Resume { name, wait, despite_use } => {
            runtime()?.block_on(command::rotate::resume(&app(name)?, wait, despite_use))
        }
        Verb::Abort { name } => runtime()?.block_on(command::rotate::abort(&app(name)?)),
        Verb::Status(args) => command::status::run(&app(None)?, profile.clone(), &args),
        Verb::Doctor(args) => {
            let named = args.name.clone().or(profile.clone());
            return runtime()?.block_on(command::doctor::run(&app(None)?, &args, named));
        }
        Verb::History(args) if args.verify => {
            let name = args.name.or(profile.clone());
            command::history::verify::run(&app(None)?, name, args.json)
        }
        Verb::History(args) => command::history::run(&app(args.name.clone())?, &args),
        Verb::Keys(args) => runtime()?.block_on(command::keys::run(&app(None)?, &args)),
        Verb::Scan(args) => return command::scan::run(&app(None)?, profile.as_deref(), &args),
        Verb::CredentialProcess => command::credential_process::run(&app(None)?),
        Verb::Service(verb) => command::service::run(&app(None)?, &verb),
        Verb::Agent => agent(app(None)?),
        Verb::Exec(args) => {
            let app = app(args.name.clone())?;
            return runtime()?.block_on(command::exec::run(&app, &args));
        }
        Verb::Env(args) => runtime()?.block_on(command::env::run(&app(args.name.clone())?, &args)),
        Verb::Presign(args) => command::presign::run(&app(args.profile())?, &args),
        Verb::Revoke { name } => command::revoke::run(&app(name)?),
        Verb::Mfa(args) => runtime()?.block_on(command::mfa::run(&app(args.name.clone())?, &args)),
        Verb::Completions { shell } => command::completions::run(shell, printer),
        Verb::Man(args) => command::man::run(&args, printer),
        #[cfg(feature = "demo")]
        Verb::Demo => runtime()?.block_on(command::demo::run(printer)),
        #[cfg(feature = "demo")]
        Verb::Simulator { listen } => runtime()?.block_on(command::demo::simulator(&listen)),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Two threads answer programs: one that is held up, by the kernel say, does not stop the other.
fn agent(app: App) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("answers")
        .enable_all()
        .build()
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot start: {error}")))?;
    let done = runtime.block_on(crate::daemon::run(app));
    // A thread that is held up must not hold up the end.
    runtime.shutdown_background();
    done
}

/// No core dump, and no other process of this user, may read our memory.
fn harden() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
}
