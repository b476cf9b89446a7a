//! Fetching credentials as programs do, through every source that is on.
//!
//! It proves that a source really serves what the ledger says: the answer comes over a real socket or from a real process,
//! and STS is then asked who that is.

use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use rotakey_core::credential::{
    AccessKeyId, Credentials, Generation, SecretAccessKey, SessionToken,
};
use rotakey_core::iam::Outcome;
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::clock::Clock;
use crate::control::{Agent, PATIENCE};
use crate::driver::{Endpoint, Offered};
use crate::iam::KeyService;
use crate::local_http::{self, Answer, escape};
use crate::serving::{placeholders, token};
use crate::session::Plan;
use crate::store::disk;
use crate::store::profile::ProfileState;

/// A `credential_process` that takes longer counts as broken.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(30);

/// The sources of the profiles that use one key.
#[derive(Debug)]
pub struct Sources<'a> {
    app: &'a App,
    /// The profile that holds the key.
    holder: &'a str,
    agent: Agent,
}

impl<'a> Sources<'a> {
    /// The sources of the profile that holds a key, and of those that share it.
    pub fn of(app: &'a App, holder: &'a str) -> Self {
        Self { app, holder, agent: Agent::at(app.paths.socket()) }
    }

    /// What the agent says, asked where blocking is allowed.
    async fn asking<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Agent) -> T + Send + 'static,
    ) -> Option<T> {
        let agent = self.agent.clone();
        tokio::task::spawn_blocking(move || ask(&agent)).await.ok()
    }

    async fn by_process(&self, profile: &str) -> Result<Credentials, String> {
        let program = crate::proc::own_program().map_err(|error| error.to_string())?;
        let mut command = tokio::process::Command::new(program);
        command
            .args(["credential-process", "--profile", profile])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PROCESS_TIMEOUT, command.output())
            .await
            .map_err(|_| "it did not answer in time".to_owned())?
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        parse(&output.stdout)
    }

    /// Without an agent a session does not say which key it is of: the one that was served all the while.
    async fn by_process_alone(&self, profile: &str) -> Result<Offered, String> {
        let before = self.served();
        let credentials = self.by_process(profile).await?;
        if credentials.session_token.is_none() {
            return Ok(credentials.into());
        }
        match before.filter(|before| self.served().as_ref() == Some(before)) {
            Some((_, key)) => {
                let plan = Plan::of(&self.app.config, &self.app.env, profile);
                let plan = plan.map_err(|error| error.message)?;
                let role_arn = plan.role_arn().map(str::to_owned);
                Ok(Offered { credentials, key, role_arn, identity: None })
            }
            None => Err("another key was published meanwhile".to_owned()),
        }
    }

    fn served(&self) -> Option<(Generation, AccessKeyId)> {
        let state = ProfileState::new(&self.app.paths.state, self.holder);
        let ledger = state.ledger().ok()??;
        Some((ledger.generation, ledger.access_key_id))
    }

    /// Asks STS through the proxy who it is. With which key that was, the agent says.
    async fn by_proxy(&self, profile: &str, before: &Value) -> Result<Offered, String> {
        let at = before["proxy_listen"].as_str().ok_or("it does not listen")?;
        let own = placeholders::load_or_make(&self.app.paths.state, profile, placeholders::OWN);
        let (own, is_new) = own.map_err(|error| error.message)?;
        let told = profile.to_owned();
        if is_new {
            let told = self.asking(move |agent| agent.order(&told, "placeholders", b"")).await;
            told.transpose().map_err(|error| error.message)?;
        }
        let placeholder = own.credentials().ok_or("the placeholder is damaged")?;
        let settings = self.app.config.settings(profile, &self.app.env);
        let mut settings = settings.map_err(|error| error.message)?;
        settings.endpoints.sts = Some(format!("http://{at}"));
        let service = self.app.service(&settings);
        let identity = match service.caller_identity(&placeholder, &settings.region).await {
            Outcome::Done(identity) => identity,
            Outcome::Refused(refusal) => return Err(refusal.to_string()),
            Outcome::Unknown(doubt) => return Err(doubt.to_string()),
        };
        let asked = profile.to_owned();
        let after = self.asking(move |agent| agent.profile(&asked)).await;
        let after = after.and_then(Result::ok).flatten().ok_or("the agent is gone")?;
        let own = |seen: &Value| seen["asked_sts"][placeholder.access_key_id.as_str()].clone();
        let (before_it, asked) = (own(before), own(&after));
        if asked["count"] == before_it["count"] {
            return Err("the agent did not see that it was asked".to_owned());
        }
        let key = asked["key"].as_str().and_then(|key| key.parse().ok());
        let key = key.ok_or("it had no key")?;
        let role_arn = before["role_arn"].as_str().map(str::to_owned);
        Ok(Offered { credentials: placeholder, key, role_arn, identity: Some(identity) })
    }

    async fn by_http(
        &self,
        profile: &str,
        at: SocketAddr,
        imds: bool,
    ) -> Result<Credentials, String> {
        let path = token::path(&self.app.paths.state, profile);
        let profile = escape(profile);
        let fetched = tokio::task::spawn_blocking(move || {
            if imds { fetch_imds(at, &profile) } else { fetch_container(at, &profile, &path) }
        });
        let answer = fetched.await.map_err(|error| error.to_string())??;
        parse(&answer.body)
    }

    /// Every source of one profile that is on, as the agent says; one that never worked is reported by `status`, and not
    /// required.
    async fn fetch_profile(
        &self,
        profile: &str,
        seen: Option<&Value>,
        offered: &mut Vec<(String, Result<Offered, String>)>,
    ) {
        let role_arn = seen.and_then(|seen| seen["role_arn"].as_str()).map(str::to_owned);
        let whose = |credentials: Credentials, seen: Option<&Value>| {
            let minted = seen.map(|seen| &seen["temporary"]);
            let id = minted.and_then(|minted| minted["access_key_id"].as_str());
            let key = minted.and_then(|minted| minted["key"].as_str()?.parse().ok());
            match key {
                Some(key) if id == Some(credentials.access_key_id.as_str()) => {
                    Ok(Offered { credentials, key, role_arn: role_arn.clone(), identity: None })
                }
                _ if credentials.session_token.is_none() => Ok(Offered::from(credentials)),
                _ => Err("it served a session that the agent does not know any more".to_owned()),
            }
        };
        let name = |source: &str| match profile == self.holder {
            true => source.to_owned(),
            false => format!("{source} of {profile}"),
        };
        let process = match seen {
            Some(_) => self.by_process(profile).await.and_then(|got| whose(got, seen)),
            None => self.by_process_alone(profile).await,
        };
        offered.push((name("process"), process));
        let Some(seen) = seen else { return };
        if seen["sources"]["proxy"]["required"] == true {
            offered.push((name("proxy"), self.by_proxy(profile, seen).await));
        }
        let Some(at) = seen["listen"].as_str().and_then(|at| at.parse().ok()) else { return };
        for (source, imds) in [("container", false), ("imds", true)] {
            if seen["sources"][source]["required"] == true {
                let got = self.by_http(profile, at, imds).await;
                offered.push((name(source), got.and_then(|got| whose(got, Some(seen)))));
            }
        }
    }
}

impl Endpoint for Sources<'_> {
    async fn published(&self) {
        let profile = self.holder.to_owned();
        // What becomes of it, the fetch that follows will show.
        let told = self.asking(move |agent| agent.order(&profile, "take-up", b"")).await;
        if let Some(Err(failed)) = told {
            tracing::warn!(error = failed.message, "the agent was not told of the new key");
        }
    }

    async fn fetch(&self) -> Vec<(String, Result<Offered, String>)> {
        let mut offered = Vec::new();
        let own = self.holder;
        for profile in std::iter::once(own).chain(self.app.config.sharers(own)) {
            let asked = profile.to_owned();
            let seen = self.asking(move |agent| agent.profile(&asked)).await;
            match seen {
                // Without an agent, those that share the key are served by the same process from the same ledger.
                Some(Ok(None)) if profile != own => {}
                Some(Ok(seen)) => self.fetch_profile(profile, seen.as_ref(), &mut offered).await,
                Some(Err(failed)) => offered.push(("agent".to_owned(), Err(failed.message))),
                None => offered.push(("agent".to_owned(), Err("it was not asked".to_owned()))),
            }
        }
        offered
    }

    async fn healthy_since(&self) -> Option<Timestamp> {
        let profile = self.holder.to_owned();
        match self.asking(move |agent| agent.profile(&profile)).await {
            Some(Ok(seen)) => seen?["healthy_since"].as_str()?.parse().ok(),
            // It is there and does not answer: programs get nothing just now.
            Some(Err(_)) | None => Some(self.app.clock.now().wall),
        }
    }

    async fn fell_over(&self) -> Option<Timestamp> {
        let profile = self.holder.to_owned();
        match self.asking(move |agent| agent.profile(&profile)).await {
            Some(Ok(seen)) => seen?["fell_over_at"].as_str()?.parse().ok(),
            Some(Err(_)) | None => Some(self.app.clock.now().wall),
        }
    }
}

fn connect(at: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn get(at: SocketAddr, method: &str, target: &str, headers: &str) -> Result<Answer, String> {
    let answer = connect(at)
        .and_then(|stream| local_http::ask(stream, method, target, headers, b""))
        .map_err(|error| error.to_string())?;
    match answer.status {
        200 => Ok(answer),
        _ => Err(crate::control::message(&answer)),
    }
}

fn fetch_container(
    at: SocketAddr,
    profile: &str,
    token: &std::path::Path,
) -> Result<Answer, String> {
    let token = disk::read(token).map_err(|error| error.to_string())?;
    let token = zeroize::Zeroizing::new(token.unwrap_or_default());
    let token = std::str::from_utf8(&token).map_err(|_| "the token is not text")?;
    let headers = zeroize::Zeroizing::new(format!("Authorization: {token}\r\n"));
    get(at, "GET", &format!("/credentials/{profile}"), &headers)
}

fn fetch_imds(at: SocketAddr, profile: &str) -> Result<Answer, String> {
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
    let token = get(at, "PUT", "/latest/api/token", ttl)?;
    let token = std::str::from_utf8(&token.body).map_err(|_| "the token is not text")?;
    let headers = format!("X-aws-ec2-metadata-token: {token}\r\n");
    get(at, "GET", &format!("/latest/meta-data/iam/security-credentials/{profile}"), &headers)
}

/// Reads an answer of any source; `Token` and `SessionToken` are the same thing.
pub fn parse(bytes: &[u8]) -> Result<Credentials, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Fetched {
        access_key_id: String,
        secret_access_key: String,
        #[serde(alias = "Token")]
        session_token: Option<String>,
    }
    let fetched: Fetched = serde_json::from_slice(bytes).map_err(|_| "it answered no JSON")?;
    let access_key_id: AccessKeyId =
        fetched.access_key_id.parse().map_err(|_| "it answered no key id")?;
    Ok(Credentials {
        access_key_id,
        secret_access_key: SecretAccessKey::new(fetched.secret_access_key),
        session_token: fetched.session_token.map(SessionToken::new),
    })
}
