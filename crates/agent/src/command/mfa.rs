//! `mfa`: a person gives a code, or the device's seed once and for all.

use std::io::{BufRead, IsTerminal, Read};
use std::time::Duration;

use rotakey_core::credential::{Credentials, SecretAccessKey};
use zeroize::Zeroizing;

use crate::app::App;
use crate::cli::args::MfaArgs;
use crate::clock::Clock;
use crate::config::{MfaSettings, ProfileSettings};
use crate::control::{Agent, secret_body};
use crate::failure::{Exit, Failed};
use crate::iam::{MfaCode, Temporary};
use crate::session::mfa::{Ask, CODE_LIVES, seed_id};
use crate::session::{MfaSessions, NoCode, NotMinted};
use crate::store::keystore::Keystore;
use crate::totp;

/// More than a code or a seed needs.
const LONGEST: usize = 1024;

/// Runs it.
pub async fn run(app: &App, args: &MfaArgs) -> Result<(), Failed> {
    app.key_profile()?;
    let settings = app.config.settings(&app.profile, &app.env)?;
    let Some(device) = &settings.session.mfa else {
        let message = format!("profile {} names no MFA device", app.profile);
        return Err(Failed::new(Exit::Usage, message)
            .hint("mfa_serial = \"arn:aws:iam::123456789012:mfa/NAME\" in its table names one"));
    };
    let keystore = app.keystore()?;
    if args.forget {
        keystore.delete(&seed_id(&device.profile))?;
        let store = keystore.describe();
        app.printer.say(&format!("{store} holds no MFA seed of {} any more", device.profile));
        return Ok(());
    }
    if args.totp_seed_stdin {
        return keep_seed(app, device, keystore.as_ref()).await;
    }
    let code = ask_code(app, device, args.code_stdin)?;
    if Agent::at(app.paths.socket()).order(&app.profile, "mfa", &secret_body(code.expose()))? {
        app.printer.say(&format!("{}: the agent has the code", app.profile));
        return Ok(());
    }
    // Nobody keeps the session, but the person learns whether the device is the right one.
    let sessions = MfaSessions::default();
    sessions.give(&device.serial, code, app.clock.now().wall);
    session(app, device, keystore.as_ref(), &sessions).await??;
    let message = format!("AWS took the code of {}, but no agent runs to use it", device.serial);
    Err(Failed::new(Exit::Unreachable, message).hint(format!(
        "start `rotakey agent` and give the next code; or do without a person: mfa_process, or `rotakey mfa {} --totp-seed-stdin`",
        device.profile
    )))
}

/// Before a program starts: asks for a code, if there is somebody to ask and no session can be had without. The agent is
/// given it, or we keep it, if it is we who serve the program.
pub(super) async fn ask_ahead(
    app: &App,
    settings: &ProfileSettings,
    we_serve: bool,
) -> Result<(), Failed> {
    let Some(device) = &settings.session.mfa else { return Ok(()) };
    if device.process.is_some() || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    if app.keystore()?.get(&seed_id(&device.profile))?.is_some() {
        return Ok(());
    }
    let agent = Agent::at(app.paths.socket());
    match agent.profile(&app.profile)? {
        Some(seen) if seen["temporary"].is_null() => {
            let code = ask_code(app, device, false)?;
            agent.order(&app.profile, "mfa", &secret_body(code.expose()))?;
        }
        None if we_serve => {
            let code = ask_code(app, device, false)?;
            app.mfa.give(&device.serial, code, app.clock.now().wall);
        }
        _ => {}
    }
    Ok(())
}

/// Keeps a seed, once AWS has taken a code that was made of it.
async fn keep_seed(app: &App, device: &MfaSettings, keystore: &dyn Keystore) -> Result<(), Failed> {
    let profile = &device.profile;
    if device.process.is_some() {
        let message = format!("profile {profile} has mfa_process, which gives the codes");
        return Err(Failed::new(Exit::Usage, message).hint("remove mfa_process first"));
    }
    let seed = line_of_stdin()?;
    let seed = SecretAccessKey::new(seed.trim().to_owned());
    totp::code(seed.expose(), app.clock.now().wall).map_err(|error| {
        Failed::new(Exit::Usage, error.to_string())
            .hint("it is shown once, when the device is made: as \"secret key\", or in the QR code after secret=")
    })?;
    let id = seed_id(profile);
    let before = keystore.get(&id)?;
    if before.as_ref().is_some_and(|kept| *kept != seed) {
        let message = format!("{} holds another MFA seed of {profile}", keystore.describe());
        return Err(Failed::new(Exit::Usage, message)
            .hint(format!("`rotakey mfa {profile} --forget` removes it")));
    }
    keystore.put(&id, &seed)?;
    if keystore.get(&id)?.as_ref() != Some(&seed) {
        let message = format!("{} gave back something else than the seed", keystore.describe());
        return Err(
            Failed::new(Exit::Unreachable, message).hint("repair the keystore, then try again")
        );
    }
    app.printer.progress(&format!("{profile}: trying a code, which may take half a minute"));
    match session(app, device, keystore, &MfaSessions::default()).await? {
        Ok(_) => {}
        Err(error @ NotMinted::Mfa(NoCode::NotTaken { .. })) => {
            if before.is_none() {
                keystore.delete(&id)?;
            }
            return Err(error.into());
        }
        Err(error) => {
            let mut failed = Failed::from(error);
            failed.message = format!("the seed is kept, but not tried: {}", failed.message);
            return Err(failed);
        }
    }
    app.printer.progress_done();
    app.printer
        .say(&format!("{profile}: {} keeps the MFA seed; codes come from it", keystore.describe()));
    app.printer.say("Whoever can read the keystore now has both factors.");
    Ok(())
}

/// What signs IAM calls for a person: the served key, or a session of it if the user needs MFA.
pub(super) async fn iam_signer(
    app: &App,
    settings: &ProfileSettings,
    keystore: &dyn Keystore,
) -> Result<Credentials, Failed> {
    let Some(device) = &settings.session.mfa else { return app.current(keystore) };
    let sessions = MfaSessions::default();
    Ok(session(app, device, keystore, &sessions).await??.credentials)
}

/// A session with MFA of the served key.
async fn session(
    app: &App,
    device: &MfaSettings,
    keystore: &dyn Keystore,
    sessions: &MfaSessions,
) -> Result<Result<Temporary, NotMinted>, Failed> {
    let settings = app.settings()?;
    let key = app.current(keystore)?;
    let service = app.service(&settings);
    let ask = Ask {
        device,
        region: &settings.region,
        duration: settings.session.duration,
        enough: Duration::ZERO,
        patience: CODE_LIVES + Duration::from_secs(1),
        service: &service,
        keystore,
        clock: &app.clock,
    };
    Ok(sessions.session(&ask, &key).await)
}

fn ask_code(app: &App, device: &MfaSettings, from_stdin: bool) -> Result<MfaCode, Failed> {
    if !from_stdin {
        app.printer.ask(&format!("Code of {}: ", device.serial));
    }
    MfaCode::new(&line_of_stdin()?).map_err(|error| {
        Failed::new(Exit::Usage, error.to_string())
            .hint("give the six digits that the device shows now; in a script, by --code-stdin")
    })
}

/// A line of standard input, or what there is of it.
fn line_of_stdin() -> Result<Zeroizing<String>, Failed> {
    let mut line = Zeroizing::new(String::with_capacity(LONGEST));
    let read = std::io::stdin().lock().take(LONGEST as u64).read_line(&mut line);
    read.map_err(|error| {
        Failed::new(Exit::Usage, format!("cannot read standard input: {error}"))
            .hint("pipe in one line of text")
    })?;
    Ok(line)
}
