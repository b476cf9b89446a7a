//! `import`: long-term keys go out of AWS's shared files and into the keystore, and programs go on getting them.
//!
//! Nothing is lost at any instant. A key is checked with AWS, its secret is kept and read back, and it is written into
//! the journal and config.toml; then the config file gets its `credential_process` line; and then, in one step, the
//! credentials file loses the key. Until that last step every program finds the key where it always was.

mod choose;
mod show;
mod take;

use clap::Args;

use super::enrol;
use crate::app::App;
use crate::control::Agent;
use crate::failure::{Exit, Failed};
use crate::shared_files::{Holding, Kind, Places, Shared};
use crate::store::foreign;
use crate::store::foreign::{Foreign, NotReplaced};

/// The arguments.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A profile to take; may be given several times
    #[arg(long = "profile", value_name = "NAME")]
    pub profile: Vec<String>,
    /// Every profile that has a key to take
    #[arg(long, conflicts_with = "profile")]
    pub all: bool,
    /// Leave the keys in the files: programs go on reading them there, and they are not rotated unattended
    #[arg(long)]
    pub keep_plaintext: bool,
    /// Only print what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// The two files as they were read.
struct Files {
    places: Places,
    credentials: Foreign,
    config: Foreign,
}

/// Profiles that hold one key; the first is to manage it.
struct Group {
    members: Vec<Holding>,
}

/// Runs it.
pub async fn run(app: &App, args: &ImportArgs) -> Result<(), Failed> {
    let places = Places::from_env(&app.env)?;
    let alone = if args.dry_run { None } else { Some(enrol::alone(app)?) };
    let app = alone.as_ref().map_or(app, |(app, _lock)| app);
    let files = Files::read(places)?;
    let shared = files.shared();
    let groups = choose::choose(app, args, &files, &shared)?;
    if groups.is_empty() {
        return Ok(());
    }
    let wanted = take::wanted(groups.iter().flat_map(|group| &group.members), args.keep_plaintext)?;
    for kind in [Kind::Credentials, Kind::Config] {
        let changes = crate::shared_files::Wanted::changes(&wanted, kind, shared.document(kind));
        if changes.is_empty() {
            continue;
        }
        files.of(kind).check()?;
        changes.apply(shared.document(kind)).map_err(|why| files.entangled(kind, why))?;
        if kind == Kind::Credentials
            && let Some(mode) = files.credentials.readable_by_others()
        {
            let path = files.places.credentials.display();
            app.printer.say(&format!(
                "warning: {path} can be read by others (mode {mode:04o}), and stays so: chmod 600 {path}"
            ));
        }
    }
    if args.dry_run {
        show::plan(app, args, &groups);
        show::difference(app, &files, &shared, &wanted);
        return Ok(());
    }
    for file in [&files.credentials, &files.config] {
        file.clean().map_err(|error| NotReplaced::Io(file.path.clone(), error))?;
    }
    let (taken, failed) = take::enrol(app, groups).await?;
    if !taken.is_empty() {
        take::change_files(app, &files.places, &taken, args.keep_plaintext)?;
        Agent::at(app.paths.socket()).reload(&app.paths.config);
        take::say(app, &files.places, &taken, args.keep_plaintext);
    }
    failed.map_or(Ok(()), Err)
}

impl Files {
    fn read(places: Places) -> Result<Self, Failed> {
        let read = |kind: Kind| {
            Foreign::read(places.path(kind)).map_err(|error| {
                let path = places.path(kind).display();
                Failed::new(Exit::Failed, format!("cannot read {path}: {error}"))
                    .hint("AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE say where the files are")
            })
        };
        let (credentials, config) = (read(Kind::Credentials)?, read(Kind::Config)?);
        if credentials.path == config.path {
            let message = format!("{} is both files at once", config.path.display());
            return Err(Failed::new(Exit::Usage, message)
                .hint("set AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE to different files"));
        }
        Ok(Self { places, credentials, config })
    }

    fn shared(&self) -> Shared<'_> {
        Shared::parse(&self.credentials.bytes, &self.config.bytes)
    }

    fn of(&self, kind: Kind) -> &foreign::Foreign {
        match kind {
            Kind::Credentials => &self.credentials,
            Kind::Config => &self.config,
        }
    }

    fn entangled(&self, kind: Kind, why: crate::shared_files::Entangled) -> Failed {
        let path = self.places.path(kind).display();
        Failed::new(Exit::Decide, format!("{path} is not changed: {why}"))
            .hint("write each setting at the beginning of a line, then try again")
    }
}

impl Group {
    fn first(&self) -> &Holding {
        &self.members[0]
    }
}

impl From<NotReplaced> for Failed {
    fn from(error: NotReplaced) -> Self {
        let hint = error.hint();
        Self::new(Exit::Failed, error.to_string()).hint(hint)
    }
}
