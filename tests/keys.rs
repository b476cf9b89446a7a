//! `rotakey keys`: all users of an account, however many, however busy AWS is.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

mod support;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{Run, World};

/// What `keys --json` says: the lines about users, and the summary, which only `--all-users` has.
fn lines(run: &Run) -> (Vec<Value>, Option<Value>) {
    let mut lines: Vec<Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_summary = |line: &mut Value| line["type"] == "summary";
    let summary = lines.pop_if(is_summary);
    (lines, summary)
}

fn days_ago(days: i64) -> String {
    (Timestamp::now() - SignedDuration::from_hours(24 * days)).to_string()
}

fn user_with_key(world: &World, user: &str, id: &str, status: &str, days: i64) {
    world.control(json!({"op": "create-user", "user": user}));
    add_key(world, user, id, status, days);
}

fn add_key(world: &World, user: &str, id: &str, status: &str, days: i64) {
    world.control(json!({
        "op": "import-key", "user": user, "access_key_id": id, "secret_access_key": format!("secret-of-{id}"),
        "status": status, "created": days_ago(days),
    }));
}

#[test]
fn hundreds_of_users_come_page_by_page() {
    let world = World::added();
    for n in 0..250 {
        world.control(json!({"op": "create-user", "user": format!("user{n:03}")}));
    }
    world.control(json!({"op": "create-key", "user": "user249"}));
    let run = world.expect(0, &["keys", "--all-users", "--json"]);
    let (users, summary) = lines(&run);
    let names: Vec<&str> = users.iter().map(|line| line["user"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 251);
    assert!(names.is_sorted() && names.contains(&"app") && names.contains(&"user249"));
    let summary = summary.unwrap();
    assert_eq!((&summary["users"], &summary["users_without_keys"]), (&251.into(), &249.into()));
    assert_eq!((&summary["keys"], &summary["own_keys"]), (&2.into(), &1.into()));
    let events = world.control(json!({"op": "log"}));
    let lists = events["events"].as_array().unwrap().iter().filter(|e| e["action"] == "ListUsers");
    assert_eq!(lists.count(), 3, "100, 100 and 51");

    // The keys of one user come in pages, too, if a server makes them that small.
    world.control(json!({"op": "create-key", "user": "user249"}));
    world.control(json!({"op": "behaviour", "set": {"page_size": 1}}));
    let (keys, _) = lines(&world.expect(0, &["keys", "--user", "user249", "--json"]));
    assert_eq!(keys.len(), 2);
}

#[test]
fn a_busy_aws_is_asked_again_and_never_taken_for_an_empty_one() {
    let world = World::added();
    for n in 0..5 {
        world.control(json!({"op": "create-user", "user": format!("u{n}")}));
        world.control(json!({"op": "create-key", "user": format!("u{n}")}));
    }
    world.control(json!({"op": "behaviour", "set": {"page_size": 3}}));
    for action in
        ["ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed", "ListUserTags", "GetAccountSummary"]
    {
        world.control(
            json!({"op": "fault", "action": action, "kind": "throttled", "after": 1, "times": 2}),
        );
    }
    let (users, summary) = lines(&world.expect(0, &["keys", "--all-users", "--json"]));
    assert_eq!(users.len(), 6);
    assert!(users.iter().all(|line| line["last_used_unknown"].is_null()), "{users:?}");
    assert_eq!(summary.unwrap()["users_not_read"], json!([]));
    let log = world.control(json!({"op": "log"}));
    let throttled = |e: &&Value| e["outcome"] == "Throttling";
    assert!(log["events"].as_array().unwrap().iter().filter(throttled).count() >= 8, "{log}");

    // What is not allowed is not tried again, and is no empty list either.
    world.control(json!({"op": "deny", "user": "app", "actions": ["iam:ListAccessKeys"]}));
    let run = world.expect(1, &["keys", "--all-users", "--json"]);
    let (users, summary) = lines(&run);
    assert_eq!((users.len(), summary.unwrap()["users_not_read"].as_array().unwrap().len()), (0, 6));
    assert!(
        run.stderr.contains("6 users could not be read: app: AWS refused iam:ListAccessKeys"),
        "{run:?}"
    );
    world.control(json!({"op": "deny", "user": "app", "actions": ["iam:ListUsers"]}));
    assert_eq!(world.expect(4, &["keys", "--all-users"]).stdout, "");
    world.control(json!({"op": "deny", "user": "app", "actions": ["iam:GetAccessKeyLastUsed", "iam:ListUserTags", "iam:GetAccountSummary"]}));
    let (users, summary) = lines(&world.expect(0, &["keys", "--all-users", "--json"]));
    assert!(users.iter().all(|line| line["last_used_unknown"] == "AccessDenied"), "{users:?}");
    assert!(users.iter().all(|line| line["installs"].is_null()), "{users:?}");
    assert!(summary.as_ref().unwrap()["root_has_keys"].is_null(), "{summary:?}");
    assert_eq!(summary.unwrap()["keys_with_unknown_last_use"], 6);
}

#[test]
fn verdicts_owners_and_the_line_that_sums_up() {
    let world = World::added();
    user_with_key(&world, "fresh", "AKIAFRESHFRESHFRESH1", "Active", 10);
    user_with_key(&world, "idle", "AKIAIDLEIDLEIDLEIDL1", "Active", 60);
    user_with_key(&world, "old", "AKIAOLDOLDOLDOLDOLD1", "Active", 91);
    user_with_key(&world, "off", "AKIAOFFOFFOFFOFFOFF1", "Inactive", 900);
    user_with_key(&world, "two", "AKIATWOTWOTWOTWOTWO1", "Active", 1);
    add_key(&world, "two", "AKIATWOTWOTWOTWOTWO2", "Active", 1);
    world.control(json!({"op": "create-user", "user": "zero"}));
    world.control(json!({"op": "use-key", "access_key_id": "AKIAOLDOLDOLDOLDOLD1", "service": "s3", "region": "eu-west-1"}));
    world.control(json!({"op": "behaviour", "set": {"root_has_key": true}}));
    // One rotation, so that the user carries the tag of this installation.
    world.expect(0, &["rotate", "--wait", "deactivated"]);

    let run = world.expect(0, &["keys", "--all-users", "--json"]);
    let (lines, summary) = lines(&run);
    let cis = |id: &str| {
        let line = lines.iter().find(|line| line["access_key_id"] == id).unwrap();
        line["cis"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap()[..4].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(cis("AKIAFRESHFRESHFRESH1"), [""; 0]);
    assert_eq!(cis("AKIAIDLEIDLEIDLEIDL1"), ["1.12"]);
    assert_eq!(cis("AKIAOLDOLDOLDOLDOLD1"), ["1.14"]);
    assert_eq!(cis("AKIAOFFOFFOFFOFFOFF1"), [""; 0]);
    assert_eq!(cis("AKIATWOTWOTWOTWOTWO1"), ["1.13"]);
    let zero = lines.iter().find(|line| line["user"] == "zero").unwrap();
    assert_eq!((&zero["type"], &zero["access_key_id"]), (&"user".into(), &Value::Null));
    let own: Vec<_> = lines.iter().filter(|line| line["user"] == "app").collect();
    let stages: Vec<_> =
        own.iter().map(|line| (line["profile"].clone(), line["stage"].clone())).collect();
    assert_eq!(stages, [("app".into(), "previous".into()), ("app".into(), "current".into())]);
    assert!(own[0]["installs"][0].as_str().unwrap().starts_with("rotakey:"), "{own:?}");
    let summary = summary.unwrap();
    assert_eq!(
        (&summary["root_has_keys"], &summary["keys_with_findings"]),
        (&true.into(), &4.into())
    );

    let run = world.expect(0, &["keys", "--all-users"]);
    assert!(run.stdout.contains("zero                      no keys\n"), "{run:?}");
    assert!(
        run.stdout.contains("previous of app") && run.stdout.contains("current of app"),
        "{run:?}"
    );
    let last = run.stderr.lines().last().unwrap();
    assert_eq!(
        last,
        "7 users, 1 without keys; 8 keys, 6 active, 2 of this rotakey; 4 with CIS findings (numbers of v1.4 to v4.0.1); \
         1.4 root has access keys"
    );
    world.expect(4, &["keys", "--user", "nobody"]);
}
