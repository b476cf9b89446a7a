//! What people and `credential-process` tell the agent, over its Unix socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use rotakey_endpoint::table::Caller;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::answers::{Control, no_content, say, unknown};
use super::engine::{Order, Orders};
use crate::failure::Failed;
use crate::serving::{proxying, token};

/// How long somebody who told the agent something waits for it to be done.
const DONE_TIMEOUT: Duration = Duration::from_secs(15);

/// No order is longer.
const ORDER_BYTES_MAX: usize = 16 * 1024;

/// No error code of AWS is longer.
const CODE_BYTES_MAX: usize = 64;

impl Control {
    /// Carries out `POST /v1/profiles/{profile}/{order}`.
    pub(super) async fn order(
        &self,
        caller: &Caller,
        profile: &str,
        order: &str,
        body: Incoming,
    ) -> Response<Full<Bytes>> {
        let desk = &self.0;
        let Some(engine) = &desk.engine else { return unknown(profile) };
        if !desk.serving.load().key_of.contains_key(profile) {
            return unknown(profile);
        }
        let Ok(body) = Limited::new(body, ORDER_BYTES_MAX).collect().await else {
            return say(StatusCode::PAYLOAD_TOO_LARGE, "Malformed", "the body is too long");
        };
        let profile = profile.to_owned();
        match order {
            "wake" => {
                let _ = engine.send(Order::Wake(profile));
                no_content()
            }
            "report" => self.report(caller, profile, &body.to_bytes()).await,
            "yield" => {
                let _ = engine.send(Order::Yield(profile));
                no_content()
            }
            "take-up" => {
                let (done, wait) = oneshot::channel();
                let _ = engine.send(Order::TakeUp(profile, done));
                match tokio::time::timeout(DONE_TIMEOUT, wait).await {
                    Ok(Ok(())) => no_content(),
                    _ => say(StatusCode::GATEWAY_TIMEOUT, "Timeout", "it is not taken up yet"),
                }
            }
            "mfa" => mfa(engine, profile, &body.to_bytes()).await,
            "presign" => self.presign(profile, body.to_bytes()).await,
            "token" => match token::load_or_make(&desk.state, &profile) {
                Ok(token) => {
                    if let Some(found) = desk.serving.load().table.profiles.get(&profile) {
                        found.token.store(Arc::new(token));
                    }
                    no_content()
                }
                Err(failed) => say(StatusCode::INTERNAL_SERVER_ERROR, "Token", &failed.message),
            },
            "placeholders" => match self.take_up_placeholders(&profile) {
                Ok(()) => no_content(),
                Err(failed) => {
                    say(StatusCode::INTERNAL_SERVER_ERROR, "Placeholders", &failed.message)
                }
            },
            _ => say(StatusCode::NOT_FOUND, "NotFound", "there is no such order"),
        }
    }

    /// Reads a profile's placeholders again. Those that are not there any more are worth nothing from then on.
    fn take_up_placeholders(&self, profile: &str) -> Result<(), Failed> {
        let serving = self.0.serving.load();
        let served = serving.key_of.get(profile).and_then(|key| key.profile(profile));
        let Some(served) = served.filter(|_| serving.proxy) else { return Ok(()) };
        let found = served.proxied.placeholders(&self.0.state, profile)?;
        proxying::take_up(&serving.placeholders, profile, &found);
        Ok(())
    }

    /// A program says that AWS refuses what it was served. It counts if the program, or the one that ran it, is recorded
    /// as a holder of the key that is served: whoever only tried a key that he has from elsewhere says nothing about this
    /// machine, and the old key is refused to everybody.
    async fn report(&self, caller: &Caller, profile: String, body: &[u8]) -> Response<Full<Bytes>> {
        let desk = &self.0;
        let Some(engine) = &desk.engine else { return unknown(&profile) };
        let holder = reporter(caller).and_then(|pids| {
            let key = desk.serving.load().key_of.get(&profile).cloned()?;
            let served = key.key.subscribe().latest().as_ref().map(|seen| seen.key.clone())?;
            let holders = desk.holders.of(&key.state, desk.clock.wall());
            holders.into_iter().find(|held| {
                held.access_key_id == served && held.pid.is_some_and(|pid| pids.contains(&pid))
            })
        });
        let Some(holder) = holder else {
            let why = "only a program that holds a credential of the served key can report";
            return say(StatusCode::FORBIDDEN, "NoHolder", why);
        };
        let said = code_of(body);
        let pid = holder.pid.unwrap_or_default();
        let exe = holder.exe.unwrap_or_default();
        let what = format!("pid {pid} ({exe}) says: {said}");
        let (done, wait) = oneshot::channel();
        let _ = engine.send(Order::Report(profile, what, done));
        match tokio::time::timeout(DONE_TIMEOUT, wait).await {
            Ok(Ok(true)) => no_content(),
            Ok(Ok(false)) => {
                let why = "no key of this profile is soaking: there is none to make active again";
                say(StatusCode::CONFLICT, "NothingSoaks", why)
            }
            _ => say(StatusCode::GATEWAY_TIMEOUT, "Timeout", "it is not looked at yet"),
        }
    }
}

/// A person's code.
async fn mfa(engine: &Orders, profile: String, body: &[u8]) -> Response<Full<Bytes>> {
    let Ok(code) = std::str::from_utf8(body) else {
        return say(StatusCode::BAD_REQUEST, "Malformed", "the code is not text");
    };
    let code = Zeroizing::new(code.trim().to_owned());
    let (done, wait) = oneshot::channel();
    let _ = engine.send(Order::Mfa(profile, code, done));
    match tokio::time::timeout(DONE_TIMEOUT, wait).await {
        Ok(Ok(Ok(()))) => no_content(),
        Ok(Ok(Err(why))) => say(StatusCode::CONFLICT, "Mfa", &why),
        _ => say(StatusCode::GATEWAY_TIMEOUT, "Timeout", "it was not taken yet"),
    }
}

/// The error code that a program saw. It goes into the journal, the log and the news, so nothing else of what it sends does.
fn code_of(body: &[u8]) -> &str {
    let code = std::str::from_utf8(body).unwrap_or_default().trim();
    let is_code = |code: &str| code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    if !code.is_empty() && code.len() <= CODE_BYTES_MAX && is_code(code) { code } else { "unnamed" }
}

/// The process that reports, and the one that ran it.
fn reporter(caller: &Caller) -> Option<[u32; 2]> {
    let Caller::Process { pid, .. } = caller else { return None };
    let parent = crate::proc::stat(*pid).map_or(0, |(parent, _)| parent);
    // Every orphan's parent is nobody's.
    Some([*pid, if parent > 1 { parent } else { *pid }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_kept_as_an_error_code_or_not_at_all() {
        assert_eq!(code_of(b" InvalidClientTokenId\n"), "InvalidClientTokenId");
        assert_eq!(code_of(b"AuthFailure.Expired2"), "AuthFailure.Expired2");
        assert_eq!(code_of("a".repeat(64).as_bytes()), "a".repeat(64));
        let long = "a".repeat(65);
        for odd in ["", "AWS refuses my key", "a/b+c=", "\u{e4}", "a\u{7}b", &long] {
            assert_eq!(code_of(odd.as_bytes()), "unnamed", "{odd}");
        }
        assert_eq!(code_of(&[0xff, b'a']), "unnamed");
    }
}
