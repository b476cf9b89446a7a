//! `presign`: a URL by which anybody may do one thing with one object of S3, for a while.
//!
//! What a program signs with its placeholder is good at the proxy alone. This is good at AWS, for as long as the key that
//! signed it: so a rotation waits for it.

use clap::{Args, ValueEnum};
use http::Uri;
use jiff::{SignedDuration, Timestamp};
use rotakey_endpoint::proxy::presign::{EXPIRES_SECONDS_MAX, Local, verify_local};
use rotakey_endpoint::proxy::refusal::Refusal;
use rotakey_endpoint::proxy::uri;
use rotakey_endpoint::proxy::verify::{Placeholder, Placeholders, Policy};

use super::credential_process;
use crate::app::App;
use crate::clock::Clock;
use crate::config::{ProfileSettings, duration};
use crate::control::{self, Agent, LONG_PATIENCE};
use crate::failure::{Exit, Failed};
use crate::local_http::escape;
use crate::placeholder::is_placeholder;
use crate::presigning::{self, Made, NotMade, Wanted};
use crate::serving::holders;
use crate::serving::proxying::Proxied;
use crate::store::keystore::file::Asker;
use crate::wording::rfc3339;

/// How long a URL is good, unless it is said: the AWS CLI's `--expires-in`.
const EXPIRES_SECONDS: u64 = 3600;

/// A count of seconds, or a duration.
fn expiry(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().or_else(|| Some(duration::parse(text).ok()?.as_secs()));
    seconds.filter(|seconds| (1..=EXPIRES_SECONDS_MAX).contains(seconds)).ok_or_else(|| {
        format!("give seconds, 1 to {EXPIRES_SECONDS_MAX}, or a duration such as 15m, 1h or 7d")
    })
}

/// The arguments.
#[derive(Debug, Args)]
pub struct PresignArgs {
    /// s3://bucket/key, or a URL that a program signed with its placeholder; before it, the profile may be named
    #[arg(value_name = "TARGET", num_args = 1..=2, required = true)]
    pub target: Vec<String>,
    /// For how many seconds the URL is good, or 15m, 1h, 7d; 7 days at most [default: 1h, or as long as the program's URL]
    #[arg(long, value_name = "SECONDS", value_parser = expiry)]
    pub expires_in: Option<u64>,
    /// What whoever has it may do [default: GET, or what the program's URL is for]
    #[arg(long, value_enum, ignore_case = true)]
    pub method: Option<Method>,
    /// The bucket's region [default: the profile's]
    #[arg(long)]
    pub region: Option<String>,
    /// The Content-Type that has to be sent
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
}

/// What a URL is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Method {
    /// Read the object
    Get,
    /// Store it
    Put,
    /// Delete it
    Delete,
    /// See its metadata
    Head,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
        }
    }
}

impl PresignArgs {
    /// The profile, if it is named.
    pub fn profile(&self) -> Option<String> {
        self.target.first().filter(|_| self.target.len() == 2).cloned()
    }

    fn target(&self) -> &str {
        self.target.last().map_or("", String::as_str)
    }
}

/// Runs it.
pub fn run(app: &App, args: &PresignArgs) -> Result<(), Failed> {
    let target = args.target();
    let (app, wanted) = match target.strip_prefix("s3://") {
        Some(rest) => (app.clone(), object(app, args, rest)?),
        None if target.starts_with("http") => local(app, args, target)?,
        None => return Err(no_target(target)),
    };
    let holder = app.key_profile()?;
    let made = made(&app, &wanted)?;
    let until = rfc3339(made.until);
    // Before it is printed: whoever has it may use it.
    let what = format!("{} {} until {until}", wanted.method, wanted.path);
    app.audit().record("presign", holder, Some(&made.key), &what).map_err(|error| {
        Failed::new(Exit::Failed, format!("cannot write the audit trail: {error}"))
            .hint("make the state folder writable for you; no URL was printed")
    })?;
    app.printer
        .data_whole(&format!("{}\n", made.url))
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot write: {error}")))?;
    let lease = app.settings()?.policy.lease;
    let until = super::status::when(made.until, app.clock.now().wall);
    if made.is_cut_short {
        app.printer.say(&format!("the URL ends at {until}, with the session that signed it"));
    }
    if made.until.duration_since(app.clock.now().wall)
        > SignedDuration::try_from(lease).unwrap_or_default()
    {
        app.printer.say(&format!(
            "{} signed it: a rotation of {holder} does not retire that key before the URL ends, {until}",
            made.key
        ));
    }
    Ok(())
}

/// The agent makes it, or we do.
fn made(app: &App, wanted: &Wanted) -> Result<Made, Failed> {
    let order = format!("/v1/profiles/{}/presign", escape(&app.profile));
    let body = serde_json::to_vec(wanted)
        .map_err(|error| Failed::new(Exit::Failed, format!("cannot ask the agent: {error}")))?;
    let asked = Agent::at(app.paths.socket()).ask("POST", &order, &body, LONG_PATIENCE);
    let answer = asked.map_err(|error| {
        Failed::new(Exit::Unreachable, format!("the agent does not answer: {error}"))
            .hint("see its log, or start it again: `rotakey agent`")
    })?;
    match answer {
        Some(answer) if answer.status == 200 => serde_json::from_slice(&answer.body)
            .map_err(|error| Failed::new(Exit::Failed, format!("the agent's answer: {error}"))),
        Some(answer) if answer.status != 404 => Err(said(&control::message(&answer))),
        _ => alone(app, wanted),
    }
}

fn alone(app: &App, wanted: &Wanted) -> Result<Made, Failed> {
    let settings = app.config.settings(&app.profile, &app.env)?;
    let proxied = Proxied::of(&settings, None);
    let state = app.state()?;
    loop {
        let handed = credential_process::handed(app, Asker::Person)?;
        let now = app.clock.now();
        match presigning::make(&state, &handed.snapshot, &proxied, wanted, &now) {
            // The next one is served by now.
            Err(NotMade::Superseded) => {}
            Err(why) => return Err(said(&why.to_string())),
            Ok(made) => {
                holders::append(&state, &presigning::holder(&made), now.wall);
                return Ok(made);
            }
        }
    }
}

/// `s3://bucket/key`: whatever stands after the first slash is the key.
fn object(app: &App, args: &PresignArgs, rest: &str) -> Result<Wanted, Failed> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let is_char = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if !(3..=255).contains(&bucket.len()) || !bucket.bytes().all(is_char) || key.is_empty() {
        return Err(no_target(args.target()));
    }
    let settings = app.config.settings(&app.profile, &app.env)?;
    let key = String::from_utf8_lossy(&uri::encode(key.as_bytes())).into_owned();
    Ok(Wanted {
        method: args.method.unwrap_or(Method::Get).name().to_owned(),
        path: format!("/{bucket}/{key}"),
        query: String::new(),
        region: args.region.clone().unwrap_or(settings.region),
        content_type: args.content_type.clone(),
        expires_seconds: args.expires_in.unwrap_or(EXPIRES_SECONDS),
    })
}

fn no_target(target: &str) -> Failed {
    Failed::new(Exit::Usage, format!("{target:?} is no object of S3")).hint(
        "give s3://bucket/key, or a URL that a program signed with its placeholder, in quotes",
    )
}

/// What a program signed for the proxy, as it is for everybody.
fn local(app: &App, args: &PresignArgs, url: &str) -> Result<(App, Wanted), Failed> {
    let url: Uri = url.parse().map_err(|_| no_target("the URL"))?;
    let id =
        key_id(url.query().unwrap_or_default()).ok_or_else(|| said_refusal(Refusal::Unsigned))?;
    if !is_placeholder(&id) {
        return Err(said_refusal(Refusal::UnknownKey));
    }
    let found = find(app, &id)?;
    let (app, settings, placeholder) = found.ok_or_else(|| {
        let message = format!("no program of this machine has the placeholder {id}");
        Failed::new(Exit::Usage, message).hint(
            "a URL of a program's own session, or of a revoked placeholder, cannot be made real",
        )
    })?;
    let now = app.clock.now().wall;
    let policy = Policy {
        now,
        upstream_offset: SignedDuration::ZERO,
        is_host: &|_| true,
        presigned: true,
        version_2_region: settings.presigned_v2.then_some(settings.region.as_str()),
    };
    let methods = match args.method {
        Some(method) => vec![method],
        None => vec![Method::Get, Method::Put, Method::Head, Method::Delete],
    };
    let mut last = Refusal::WrongSignature;
    for method in methods {
        let kind = args.content_type.as_deref();
        match verify_local(method.name(), &url, kind, &policy, &One(placeholder.clone())) {
            Ok(local) => return Ok((app, of_local(args, local, method, now))),
            Err(why) => last = why,
        }
    }
    Err(said_refusal(last))
}

fn of_local(args: &PresignArgs, local: Local, method: Method, now: Timestamp) -> Wanted {
    let left = u64::try_from(local.ends.duration_since(now).as_secs()).unwrap_or(0);
    Wanted {
        method: method.name().to_owned(),
        path: local.path,
        query: local.query,
        region: args.region.clone().unwrap_or(local.region),
        content_type: local.content_type,
        // Never longer than the program meant it to be.
        expires_seconds: args.expires_in.map_or(left, |asked| asked.min(left)),
    }
}

/// The id that a URL is signed with, of either version.
fn key_id(query: &str) -> Option<String> {
    let (_, value) = uri::pairs(query.as_bytes())
        .find(|(name, _)| name == b"X-Amz-Credential" || name == b"AWSAccessKeyId")?;
    let text = String::from_utf8(value).ok()?;
    text.split('/').next().map(str::to_owned)
}

/// Whose placeholder it is.
fn find(
    app: &App,
    id: &str,
) -> Result<Option<(App, ProfileSettings, std::sync::Arc<Placeholder>)>, Failed> {
    for name in app.config.profile_names() {
        let settings = app.config.settings(name, &app.env)?;
        let known = Proxied::of(&settings, None).placeholders(&app.paths.state, name)?;
        if let Some(found) = known.into_iter().find(|one| one.id.as_str() == id) {
            return Ok(Some((app.for_profile(name), settings, found)));
        }
    }
    Ok(None)
}

struct One(std::sync::Arc<Placeholder>);

impl Placeholders for One {
    fn placeholder(&self, id: &str) -> Option<std::sync::Arc<Placeholder>> {
        (self.0.id.as_str() == id).then(|| std::sync::Arc::clone(&self.0))
    }
}

fn said_refusal(why: Refusal) -> Failed {
    said(&why.to_string())
}

/// A refusal has its hint at its end.
fn said(text: &str) -> Failed {
    let (message, hint) =
        text.split_once("; hint: ").unwrap_or((text, "see `rotakey presign --help`"));
    Failed::new(Exit::Usage, message.to_owned()).hint(hint.to_owned())
}
