//! Sessions, roles and MFA, call by call on the state machine.

use jiff::{SignedDuration, Timestamp};
use rotakey_core::credential::SessionToken;
use serde_json::{Value, json};

use super::answer::{Answer, SessionRow};
use super::message::{ApiError, Call, Request, Signature};
use super::state::Simulator;

const SEED: &str = "GEZDGNBVGY3TQOJQ";

struct Account {
    simulator: Simulator,
    now: Timestamp,
    key: String,
}

impl Account {
    /// One user `app` with one key.
    fn new() -> Self {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut account = Self { simulator: Simulator::default(), now, key: String::new() };
        account.control(json!({"op": "create-user", "user": "app"}));
        let key = account.control(json!({"op": "create-key", "user": "app"}));
        account.key = key["access_key_id"].as_str().unwrap().to_owned();
        account
    }

    fn control(&mut self, command: Value) -> Value {
        let command = serde_json::from_value(command).unwrap();
        self.simulator.control(self.now, command).unwrap()
    }

    fn pass(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    fn call_as(
        &mut self,
        id: &str,
        token: Option<&str>,
        action: &str,
        params: &[(&str, &str)],
    ) -> Result<Answer, ApiError> {
        let signature = Signature {
            signer: id.to_owned(),
            token: token.map(|token| SessionToken::new(token.to_owned())),
            token_signed: true,
            region: "us-east-1".to_owned(),
            is_right: true,
            signed_at: Some(self.now),
            expires_seconds: None,
        };
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let request = Request {
            action: action.to_owned(),
            params: params.iter().map(pair).collect(),
            signature: Some(signature),
            service: "sts".to_owned(),
            user_agent: String::new(),
            call: Call::Query,
            admitted: None,
        };
        self.simulator.handle(self.now, &request).result
    }

    fn with_key(&mut self, action: &str, params: &[(&str, &str)]) -> Result<Answer, ApiError> {
        let id = self.key.clone();
        self.call_as(&id, None, action, params)
    }

    fn with_session(
        &mut self,
        session: &SessionRow,
        action: &str,
        params: &[(&str, &str)],
    ) -> Result<Answer, ApiError> {
        self.call_as(&session.id, Some(&session.token), action, params)
    }

    fn session(&mut self) -> SessionRow {
        minted(self.with_key("GetSessionToken", &[]))
    }

    fn with_role(&mut self, more: Value) {
        let mut order = json!({"op": "create-role", "role": "r",
            "trust": ["arn:aws:iam::123456789012:user/app"]});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.control(order);
    }

    fn device(&mut self) -> String {
        let made = self.control(json!({"op": "mfa-device", "user": "app", "seed": SEED}));
        made["serial"].as_str().unwrap().to_owned()
    }

    fn code(&self) -> String {
        crate::totp::code(SEED, self.now).unwrap()
    }
}

fn minted(answer: Result<Answer, ApiError>) -> SessionRow {
    match answer {
        Ok(Answer::Session(row, _)) => row,
        other => panic!("{other:?}"),
    }
}

fn code(answer: Result<Answer, ApiError>) -> String {
    answer.unwrap_err().code
}

fn arn(answer: Result<Answer, ApiError>) -> String {
    match answer {
        Ok(Answer::Identity { arn, .. }) => arn,
        other => panic!("{other:?}"),
    }
}

const ROLE: [(&str, &str); 2] =
    [("RoleArn", "arn:aws:iam::123456789012:role/r"), ("RoleSessionName", "me@here")];

#[test]
fn a_session_stands_for_its_user_until_it_ends() {
    let mut a = Account::new();
    let session = minted(a.with_key("GetSessionToken", &[("DurationSeconds", "900")]));
    assert!(session.id.starts_with("ASIA") && session.token.len() > 300, "{session:?}");
    a.pass(899);
    let who = arn(a.with_session(&session, "GetCallerIdentity", &[]));
    assert_eq!(who, "arn:aws:iam::123456789012:user/app");
    a.pass(1);
    let ended = a.with_session(&session, "GetCallerIdentity", &[]).unwrap_err();
    assert_eq!((ended.status, ended.code.as_str()), (403, "ExpiredToken"));
    assert_eq!(ended.message, "The security token included in the request is expired");
    let day = minted(a.with_key("GetSessionToken", &[]));
    assert_eq!(day.expires.duration_since(a.now).as_hours(), 12);
}

#[test]
fn durations_have_bounds_and_a_floor_that_a_test_may_lower() {
    let mut a = Account::new();
    for bad in ["899", "129601", "x"] {
        let answer = a.with_key("GetSessionToken", &[("DurationSeconds", bad)]);
        assert_eq!(code(answer), "ValidationError", "{bad}");
    }
    a.control(json!({"op": "behaviour", "set": {"session_seconds_min": 2}}));
    let short = minted(a.with_key("GetSessionToken", &[("DurationSeconds", "2")]));
    assert_eq!(short.expires.duration_since(a.now).as_secs(), 2);
}

#[test]
fn a_token_has_to_be_the_sessions_own() {
    let mut a = Account::new();
    let (one, other) = (a.session(), a.session());
    for token in [None, Some(""), Some("x"), Some(other.token.as_str())] {
        let answer = a.call_as(&one.id, token, "GetCallerIdentity", &[]);
        assert_eq!(code(answer), "InvalidClientTokenId", "{token:?}");
    }
    let key = a.key.clone();
    for token in ["", one.token.as_str()] {
        let answer = a.call_as(&key, Some(token), "GetCallerIdentity", &[]);
        assert_eq!(code(answer), "InvalidClientTokenId", "a long-term key has no token");
    }
    a.with_session(&one, "GetCallerIdentity", &[]).unwrap();
}

#[test]
fn a_session_without_mfa_may_do_little() {
    let mut a = Account::new();
    let session = a.session();
    let again = a.with_session(&session, "GetSessionToken", &[]).unwrap_err();
    assert_eq!(again.code, "AccessDenied");
    assert_eq!(again.message, "Cannot call GetSessionToken with session credentials");
    let listed = a.with_session(&session, "ListAccessKeys", &[("UserName", "app")]);
    assert_eq!(code(listed), "InvalidClientTokenId", "as AWS words it");
}

#[test]
fn a_session_outlives_its_key_unless_it_is_told_not_to() {
    let mut a = Account::new();
    let session = a.session();
    let id = a.key.clone();
    a.control(json!({"op": "set-key-status", "access_key_id": id, "status": "Inactive"}));
    assert_eq!(code(a.with_key("GetCallerIdentity", &[])), "InvalidClientTokenId");
    a.with_session(&session, "GetCallerIdentity", &[]).unwrap();
    a.control(json!({"op": "behaviour", "set": {"sessions_die_with_key": true}}));
    let dead = a.with_session(&session, "GetCallerIdentity", &[]);
    assert_eq!(code(dead), "InvalidClientTokenId");
    assert_eq!(a.control(json!({"op": "sessions"})), json!({"sessions": []}));
    a.control(json!({"op": "set-key-status", "access_key_id": id, "status": "Active"}));
    a.with_session(&session, "GetCallerIdentity", &[]).unwrap();
    a.control(json!({"op": "delete-key", "access_key_id": id}));
    assert!(a.with_session(&session, "GetCallerIdentity", &[]).is_err());
}

#[test]
fn the_log_names_the_key_at_the_root_and_its_last_use_is_not_the_sessions() {
    let mut a = Account::new();
    a.with_role(json!({}));
    let session = a.session();
    let used = |a: &mut Account| {
        let id = a.key.clone();
        a.with_key("GetAccessKeyLastUsed", &[("AccessKeyId", &id)]).map(|answer| match answer {
            Answer::LastUsed { last, .. } => last.map(|last| last.at),
            other => panic!("{other:?}"),
        })
    };
    let before = used(&mut a).unwrap();
    a.pass(3600);
    let role = minted(a.with_session(&session, "AssumeRole", &ROLE));
    a.with_session(&role, "GetCallerIdentity", &[]).unwrap();
    assert_eq!(a.simulator.log().last().unwrap().minted_from.as_ref(), Some(&a.key));
    a.pass(86_400);
    a.with_session(&role, "GetCallerIdentity", &[]).unwrap_err();
    let log = a.control(json!({"op": "log"}));
    let last = log["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["signer"], role.id.as_str());
    assert_eq!(last["minted_from"], a.key.as_str(), "refused or not");
    let key = a.simulator.keys[0].last_used(a.now, &a.simulator.behaviour).unwrap();
    assert_eq!(Some(key.at), before);
    let answer = a.with_key("GetAccessKeyLastUsed", &[("AccessKeyId", &role.id)]);
    assert_eq!(code(answer), "AccessDenied", "IAM does not know such ids");
    for secret in [&session.secret, &session.token, &role.secret, &role.token] {
        assert!(
            !log.to_string().contains(secret) && !format!("{:?}", a.simulator).contains(secret)
        );
    }
}

#[test]
fn a_role_is_taken_on_by_whom_it_trusts() {
    let mut a = Account::new();
    a.with_role(json!({"external_id": "42", "max_session_seconds": 7200}));
    a.control(json!({"op": "create-role", "role": "other", "trust": ["arn:aws:iam::1:root"]}));
    let whole = [ROLE[0], ROLE[1], ("ExternalId", "42")];
    assert_eq!(code(a.with_key("AssumeRole", &ROLE)), "AccessDenied", "no external id");
    for name in ["r2", "other"] {
        let arn = format!("arn:aws:iam::123456789012:role/{name}");
        let answer = a.with_key("AssumeRole", &[("RoleArn", &arn), ROLE[1]]);
        assert_eq!(code(answer), "AccessDenied", "{name}");
    }
    for bad in ["x", "a b", &"x".repeat(65)] {
        let answer = a.with_key("AssumeRole", &[whole[0], ("RoleSessionName", bad), whole[2]]);
        assert_eq!(code(answer), "ValidationError", "{bad}");
    }
    let long = [whole[0], whole[1], whole[2], ("DurationSeconds", "7201")];
    assert_eq!(code(a.with_key("AssumeRole", &long)), "ValidationError");
    let Ok(Answer::Session(row, Some(role))) = a.with_key("AssumeRole", &whole) else { panic!() };
    assert_eq!(row.expires.duration_since(a.now).as_secs(), 3600);
    assert_eq!(role.arn, "arn:aws:sts::123456789012:assumed-role/r/me@here");
    assert!(role.id.starts_with("AROA") && role.id.ends_with(":me@here"), "{role:?}");
    assert_eq!(arn(a.with_session(&row, "GetCallerIdentity", &[])), role.arn);
    let listed = a.with_session(&row, "ListAccessKeys", &[("UserName", "app")]);
    assert_eq!(code(listed), "AccessDenied");
    assert_eq!(code(a.with_session(&row, "GetSessionToken", &[])), "AccessDenied");
}

#[test]
fn a_chain_of_roles_is_short() {
    let mut a = Account::new();
    a.with_role(json!({"max_session_seconds": 43_200}));
    let trust = ["arn:aws:iam::123456789012:role/r"];
    a.control(json!({"op": "create-role", "role": "second", "trust": trust,
        "max_session_seconds": 43_200}));
    let first = minted(a.with_key("AssumeRole", &ROLE));
    let arn = "arn:aws:iam::123456789012:role/second";
    let second = [("RoleArn", arn), ROLE[1], ("DurationSeconds", "3601")];
    assert_eq!(code(a.with_key("AssumeRole", &second[..2])), "AccessDenied");
    let long = a.with_session(&first, "AssumeRole", &second).unwrap_err();
    assert!(long.message.contains("role chaining"), "{long:?}");
    let second = minted(a.with_session(&first, "AssumeRole", &second[..2]));
    a.with_session(&second, "GetCallerIdentity", &[]).unwrap();
}

#[test]
fn mfa_opens_what_asks_for_it_and_each_code_once() {
    let mut a = Account::new();
    let serial = a.device();
    a.control(json!({"op": "require-mfa", "user": "app"}));
    let list = [("UserName", "app")];
    let denied = a.with_key("ListAccessKeys", &list).unwrap_err();
    assert!(denied.message.contains("explicit deny"), "{denied:?}");
    a.with_key("GetCallerIdentity", &[]).unwrap();

    let shown = a.code();
    let with_code = [("SerialNumber", serial.as_str()), ("TokenCode", shown.as_str())];
    assert_eq!(code(a.with_key("GetSessionToken", &with_code[..1])), "AccessDenied");
    let wrong = [with_code[0], ("TokenCode", "000000")];
    assert_eq!(code(a.with_key("GetSessionToken", &wrong)), "AccessDenied");
    let foreign = [("SerialNumber", "arn:aws:iam::123456789012:mfa/other"), with_code[1]];
    assert_eq!(code(a.with_key("GetSessionToken", &foreign)), "AccessDenied");
    let session = minted(a.with_key("GetSessionToken", &with_code));
    let again = a.with_key("GetSessionToken", &with_code).unwrap_err();
    assert!(again.message.contains("invalid MFA one time pass code."), "{again:?}");

    a.with_session(&session, "ListAccessKeys", &list).unwrap();
    let unnamed = a.with_session(&session, "ListAccessKeys", &[]);
    assert_eq!(code(unnamed), "ValidationError", "a session names the user");
    a.with_role(json!({"requires_mfa": true}));
    assert_eq!(code(a.with_key("AssumeRole", &ROLE)), "AccessDenied");
    a.with_session(&session, "AssumeRole", &ROLE).unwrap();
    a.pass(30);
    let shown = a.code();
    let whole = [ROLE[0], ROLE[1], with_code[0], ("TokenCode", shown.as_str())];
    a.with_key("AssumeRole", &whole).unwrap();
    a.control(json!({"op": "require-mfa", "user": "app", "on": false}));
    a.with_key("ListAccessKeys", &list).unwrap();
}

#[test]
fn sessions_can_be_denied_and_are_under_quarantine() {
    let mut a = Account::new();
    a.control(json!({"op": "deny", "user": "app", "actions": ["sts:GetSessionToken"]}));
    assert_eq!(code(a.with_key("GetSessionToken", &[])), "AccessDenied");
    a.control(json!({"op": "deny", "user": "app", "actions": []}));
    a.session();
    a.control(json!({"op": "quarantine", "user": "app"}));
    let denied = a.with_key("GetSessionToken", &[]).unwrap_err();
    assert!(denied.message.contains("AWSCompromisedKeyQuarantine"), "{denied:?}");
}

#[test]
fn the_sessions_are_listed_without_their_secrets_and_decide_the_digest() {
    let mut a = Account::new();
    let before = format!("{:?}", a.simulator);
    let session = a.session();
    let with = format!("{:?}", a.simulator);
    assert!(with.contains(&session.id) && !before.contains("ASIA"));
    let listed = a.control(json!({"op": "sessions"}));
    assert_eq!(
        listed,
        json!({"sessions": [{
            "access_key_id": session.id, "minted_from": a.key,
            "arn": "arn:aws:iam::123456789012:user/app", "expires": session.expires.to_string(),
        }]})
    );
    a.pass(43_200);
    assert_eq!(a.control(json!({"op": "sessions"})), json!({"sessions": []}));
    a.pass(49 * 3600);
    a.session();
    assert!(!format!("{:?}", a.simulator).contains(&session.id), "forgotten in the end");
}
