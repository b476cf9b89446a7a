//! The state machine, met through the in-process front on a clock of the tests' own.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, KeyStatus, SecretAccessKey, SessionToken};
use rotakey_core::iam::{Outcome, RefusalClass};
use serde_json::{Value, json};

use super::http::lock;
use super::{Answer, Call, Command, InProcess, Request, Shared, Signature, Simulator};
use crate::iam::KeyService;

struct Scene {
    simulator: Shared,
    aws: InProcess,
    clock: Arc<AtomicI64>,
    key: Credentials,
}

fn time(clock: &AtomicI64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + clock.load(Ordering::SeqCst)).unwrap()
}

impl Scene {
    /// One user `app` with one key, long settled; the behaviour changes afterwards.
    fn new(behaviour: Value) -> Self {
        let simulator: Shared = Arc::new(Mutex::new(Simulator::default()));
        let clock = Arc::new(AtomicI64::new(0));
        let server_clock = clock.clone();
        let aws = InProcess::new(simulator.clone(), move || time(&server_clock));
        let key = Credentials::long_term(
            "AKIANONE".parse().unwrap(),
            SecretAccessKey::new(String::new()),
        );
        let mut scene = Self { simulator, aws, clock, key };
        scene.control(json!({"op": "create-user", "user": "app", "path": "/team/"}));
        let made = scene.control(json!({"op": "create-key", "user": "app"}));
        scene.key = Credentials::long_term(
            made["access_key_id"].as_str().unwrap().parse().unwrap(),
            SecretAccessKey::new(made["secret_access_key"].as_str().unwrap().to_owned()),
        );
        scene.pass(3_600_000);
        scene.control(json!({"op": "behaviour", "set": behaviour}));
        scene
    }

    fn control(&self, command: Value) -> Value {
        let command = serde_json::from_value(command).unwrap();
        lock(&self.simulator).control(time(&self.clock), command).unwrap()
    }

    fn fault(&self, action: &str, kind: &str) {
        self.control(json!({"op": "fault", "action": action, "kind": kind}));
    }

    fn pass(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    async fn create(&self) -> Outcome<Credentials> {
        self.aws.create_access_key(&self.key, "app", "r1").await.map(|new| new.credentials)
    }

    async fn sts(&self, key: &Credentials, region: &str) -> Option<RefusalClass> {
        class(self.aws.caller_identity(key, region).await)
    }

    fn count(&self) -> usize {
        self.control(json!({"op": "keys"}))["keys"].as_array().unwrap().len()
    }
}

fn class<T>(outcome: Outcome<T>) -> Option<RefusalClass> {
    match outcome {
        Outcome::Done(_) => None,
        Outcome::Refused(refusal) => Some(refusal.class),
        Outcome::Unknown(doubt) => panic!("in doubt: {doubt}"),
    }
}

fn done<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Outcome::Done(value) => value,
        Outcome::Refused(refusal) => panic!("refused: {refusal}"),
        Outcome::Unknown(doubt) => panic!("in doubt: {doubt}"),
    }
}

#[tokio::test]
async fn inactive_keys_count_for_the_quota_and_are_refused() {
    let s = Scene::new(json!({}));
    let new = done(s.create().await);
    let (id, status) = (&new.access_key_id, KeyStatus::Inactive);
    done(s.aws.update_access_key(&s.key, "app", id, status).await);
    assert_eq!(s.sts(&new, "us-east-1").await, Some(RefusalClass::KeyUnknown));
    assert_eq!(class(s.create().await), Some(RefusalClass::Quota));
    done(s.aws.delete_access_key(&s.key, "app", id).await);
    let again = s.aws.delete_access_key(&s.key, "app", id).await;
    assert_eq!(class(again), Some(RefusalClass::NoSuchEntity));
    done(s.create().await);
}

#[tokio::test]
async fn who_signs_is_known_by_key_and_secret() {
    let s = Scene::new(json!({"partition": "aws"}));
    let identity = done(s.aws.caller_identity(&s.key, "eu-west-1").await);
    assert_eq!(identity.arn, "arn:aws:iam::123456789012:user/team/app");
    let secret_access_key = SecretAccessKey::new("wrong".to_owned());
    let wrong = Credentials { secret_access_key, ..s.key.clone() };
    assert_eq!(s.sts(&wrong, "eu-west-1").await, Some(RefusalClass::WrongSecret));
    for offset in [-1_000_000, 1_000_000] {
        s.control(json!({"op": "clock-offset", "milliseconds": offset}));
        assert_eq!(s.sts(&s.key, "eu-west-1").await, Some(RefusalClass::Clock));
    }
}

#[tokio::test]
async fn credentials_with_a_token_are_a_session() {
    let s = Scene::new(json!({}));
    let (now, key) = (time(&s.clock), &s.key);
    let signature = Signature {
        signer: key.access_key_id.to_string(),
        token: None,
        token_signed: false,
        region: "us-east-1".to_owned(),
        is_right: true,
        signed_at: Some(now),
        expires_seconds: None,
    };
    let request = Request {
        action: "GetSessionToken".to_owned(),
        params: Default::default(),
        signature: Some(signature),
        service: "sts".to_owned(),
        user_agent: String::new(),
        call: Call::Query,
        admitted: None,
    };
    let answer = lock(&s.simulator).handle(now, &request).result;
    let Ok(Answer::Session(made, None)) = answer else { panic!("{answer:?}") };
    let session = |token: Option<&str>| Credentials {
        access_key_id: made.id.parse().unwrap(),
        secret_access_key: SecretAccessKey::new(made.secret.clone()),
        session_token: token.map(|token| SessionToken::new(token.to_owned())),
    };
    let own = session(Some(&made.token));
    let identity = done(s.aws.caller_identity(&own, "eu-west-1").await);
    assert_eq!(identity.arn, "arn:aws:iam::123456789012:user/team/app");
    for token in [None, Some("other")] {
        let refused = s.sts(&session(token), "eu-west-1").await;
        assert_eq!(refused, Some(RefusalClass::KeyUnknown), "{token:?}");
    }
    let foreign = Credentials { session_token: own.session_token.clone(), ..s.key.clone() };
    assert_eq!(s.sts(&foreign, "eu-west-1").await, Some(RefusalClass::KeyUnknown));
    s.pass(43_200_000);
    assert_eq!(s.sts(&own, "eu-west-1").await, Some(RefusalClass::Expired));
}

#[tokio::test]
async fn the_log_is_numbered_from_the_beginning() {
    let s = Scene::new(json!({}));
    for _ in 0..10_003 {
        s.sts(&s.key, "us-east-1").await;
    }
    s.sts(&s.key, "eu-west-1").await;
    let log = s.control(json!({"op": "log", "from": 10_003}));
    assert_eq!(log["next"], 10_004);
    assert_eq!(log["events"].as_array().unwrap().len(), 1);
    assert_eq!(log["events"][0]["vantage"], "sts/eu-west-1");
    let whole = s.control(json!({"op": "log"}));
    assert_eq!(whole["events"].as_array().unwrap().len(), 10_000);
}

#[tokio::test]
async fn a_new_key_becomes_visible_per_vantage() {
    let s = Scene::new(json!({"visible_after": 5000, "visible_after_at": {"sts/eu-west-1": 9000}}));
    let new = done(s.create().await);
    s.pass(5000);
    assert_eq!(s.sts(&new, "us-east-1").await, None);
    assert_eq!(s.sts(&new, "eu-west-1").await, Some(RefusalClass::KeyUnknown));
    s.pass(4000);
    assert_eq!(s.sts(&new, "eu-west-1").await, None);
}

#[tokio::test]
async fn a_young_key_flaps_and_then_stays() {
    let s = Scene::new(json!({"flaps_until": 10_000}));
    let new = done(s.create().await);
    let mut refused = 0;
    for _ in 0..40 {
        refused += usize::from(s.sts(&new, "us-east-1").await.is_some());
    }
    assert!((5..35).contains(&refused), "{refused} of 40");
    s.pass(10_000);
    for _ in 0..40 {
        assert_eq!(s.sts(&new, "us-east-1").await, None);
    }
}

#[tokio::test]
async fn a_deleted_key_lingers() {
    let s = Scene::new(json!({"lingers": 3000}));
    let new = done(s.create().await);
    done(s.aws.delete_access_key(&s.key, "app", &new.access_key_id).await);
    assert_eq!(s.sts(&new, "us-east-1").await, None);
    s.pass(3000);
    assert_eq!(s.sts(&new, "us-east-1").await, Some(RefusalClass::KeyUnknown));
}

#[tokio::test]
async fn last_use_is_coarse_and_late() {
    let s = Scene::new(json!({"last_used_lag": 60_000}));
    let new = done(s.create().await);
    let last = || async { done(s.aws.access_key_last_used(&s.key, &new.access_key_id).await) };
    let start = time(&s.clock);
    assert_eq!(s.sts(&new, "eu-west-1").await, None);
    assert_eq!(last().await, None);
    s.pass(600_000);
    assert_eq!(s.sts(&new, "us-east-1").await, None);
    s.pass(60_000);
    let first = last().await.unwrap();
    assert_eq!(
        (first.at, first.region.as_str()),
        (start, "eu-west-1"),
        "the second is not recorded"
    );
    s.pass(300_000);
    assert_eq!(s.sts(&new, "us-west-2").await, None);
    s.pass(60_000);
    assert_eq!(last().await.unwrap().region, "us-west-2");
}

#[tokio::test]
async fn scripted_faults_are_done_or_not_as_they_say() {
    for (kind, is_done) in [
        ("lost", true),
        ("hung", true),
        ("truncated", true),
        ("dropped", false),
        ("hung-not-done", false),
    ] {
        let s = Scene::new(json!({}));
        s.fault("CreateAccessKey", kind);
        assert!(matches!(s.create().await, Outcome::Unknown(doubt) if doubt.sent), "{kind}");
        assert_eq!(s.count(), if is_done { 2 } else { 1 }, "{kind}");
    }
    for is_done in [true, false] {
        let s = Scene::new(json!({}));
        s.control(json!({"op": "fault", "action": "CreateAccessKey", "kind": "error",
            "status": 500, "code": "ServiceFailure", "done": is_done, "after": 0}));
        assert!(matches!(s.create().await, Outcome::Unknown(_)));
        assert_eq!(s.count(), if is_done { 2 } else { 1 });
    }
    let s = Scene::new(json!({}));
    s.fault("*", "throttled");
    assert_eq!(class(s.create().await), Some(RefusalClass::Throttled));
    done(s.create().await);
}

#[tokio::test]
async fn calls_over_the_rate_are_throttled() {
    let s = Scene::new(json!({"rate": {"GetCallerIdentity": 1}}));
    assert_eq!(s.sts(&s.key, "us-east-1").await, None);
    assert_eq!(s.sts(&s.key, "us-east-1").await, Some(RefusalClass::Throttled));
    s.pass(1000);
    assert_eq!(s.sts(&s.key, "us-east-1").await, None);
}

#[tokio::test]
async fn a_key_made_elsewhere_is_taken_over() {
    let s = Scene::new(json!({"visible_after": 5000, "lingers": 5000}));
    let import = |id: &str, status: &str| {
        let order = json!({"op": "import-key", "user": "app", "access_key_id": id,
            "secret_access_key": "made up", "status": status, "created": "2020-02-29T12:00:00Z"});
        let order: Command = serde_json::from_value(order).unwrap();
        assert!(!format!("{order:?}").contains("made up"));
        lock(&s.simulator).control(time(&s.clock), order)
    };
    let own = |id: &str| {
        Credentials::long_term(id.parse().unwrap(), SecretAccessKey::new("made up".to_owned()))
    };
    import("AKIAOLDEST", "Active").unwrap();
    assert_eq!(s.sts(&own("AKIAOLDEST"), "us-east-1").await, None);
    let listed = done(s.aws.list_access_keys(&s.key, "app").await).keys;
    assert_eq!(listed[0].access_key_id.as_str(), "AKIAOLDEST");
    assert_eq!(listed[0].created.to_string(), "2020-02-29T12:00:00Z");
    assert!(import("AKIATHIRD", "Active").unwrap_err().starts_with("LimitExceeded"));
    s.control(json!({"op": "delete-key", "access_key_id": "AKIAOLDEST"}));
    assert!(import("AKIAOLDEST", "Active").unwrap_err().starts_with("EntityAlreadyExists"));
    import("AKIATHIRD", "Inactive").unwrap();
    let refused = s.sts(&own("AKIATHIRD"), "us-east-1").await;
    assert_eq!(refused, Some(RefusalClass::KeyUnknown));
}

#[tokio::test]
async fn quarantine_and_denied_actions_differ() {
    let s = Scene::new(json!({}));
    let actions = ["iam:CreateAccessKey", "iam:ListUserTags", "iam:GetUser"];
    let arn = "arn:aws:iam::123456789012:user/team/app";
    s.control(json!({"op": "quarantine", "user": "app"}));
    s.control(json!({"op": "deny", "user": "app", "actions": ["ListUserTags"]}));
    assert_eq!(class(s.create().await), Some(RefusalClass::Quarantine));
    assert_eq!(class(s.aws.user_tags(&s.key, "app").await), Some(RefusalClass::Permission));
    assert_eq!(done(s.aws.denied_actions(&s.key, arn, &actions).await), actions[..2]);
    assert_eq!(s.sts(&s.key, "us-east-1").await, None);
    s.control(json!({"op": "quarantine", "user": "app", "on": false}));
    done(s.create().await);
}

#[tokio::test]
async fn tags_are_kept_and_the_log_tells_no_secrets() {
    let s = Scene::new(json!({}));
    done(s.aws.tag_user(&s.key, "app", "a", "1").await);
    done(s.aws.tag_user(&s.key, "app", "b", "2").await);
    done(s.aws.untag_user(&s.key, "app", "a").await);
    assert_eq!(done(s.aws.user_tags(&s.key, "app").await), [("b".to_owned(), "2".to_owned())]);
    assert_eq!(done(s.aws.list_users(&s.key).await), ["app"]);
    let new = done(s.create().await);
    let log = s.control(json!({"op": "log"})).to_string();
    assert!(log.contains(new.access_key_id.as_str()) && log.contains("rotation/r1"));
    assert!(!log.contains(new.secret_access_key.expose()));
}
