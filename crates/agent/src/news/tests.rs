use super::*;

fn news(second: i64, kind: Kind, message: &str) -> News {
    News {
        time: Timestamp::from_second(1_700_000_000 + second).expect("in range"),
        profile: "app".to_owned(),
        kind,
        rotation: None,
        access_key_id: Some("AKIAEXAMPLE".parse().expect("an id")),
        message: message.to_owned(),
        hint: Some("`rotakey status`".to_owned()),
    }
}

#[test]
fn the_event_has_its_form() {
    let json = news(0, Kind::Stuck, "a stranger").json();
    assert_eq!(
        json,
        serde_json::json!({"version": 1, "time": "2023-11-14T22:13:20Z", "profile": "app", "kind": "stuck", "rotation": null,
            "access_key_id": "AKIAEXAMPLE", "message": "a stranger", "hint": "`rotakey status`"})
    );
    let kinds = [
        Kind::Rotated,
        Kind::Published,
        Kind::Undone,
        Kind::Reactivated,
        Kind::Held,
        Kind::Stuck,
        Kind::Failed,
        Kind::Quarantine,
        Kind::Compromised,
    ];
    for kind in kinds {
        assert_eq!(serde_json::to_value(kind).expect("plain"), kind.name());
    }
}

#[test]
fn news_are_told_once_and_again_after_a_day_also_by_the_next_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("state/news.jsonl");
    let heard = dir.path().join("heard");
    let ways = Ways {
        on_event: Some(format!("cat >> {heard:?}")),
        desktop: false,
        file: Some(file.clone()),
    };
    let tell = |all: &[News]| {
        let announcer = Announcer::new(ways.clone());
        all.iter().for_each(|news| announcer.clone().tell(news));
    };
    let held = |second| news(second, Kind::Held, "used from outside");
    tell(&[held(0), held(3600), news(3601, Kind::Failed, "no network")]);
    tell(&[held(7200), news(7300, Kind::Held, "used by another"), held(90_000)]);
    let text = crate::store::disk::read(&heard).expect("readable").expect("written");
    let told: Vec<News> =
        text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let seconds: Vec<i64> = told.iter().map(|news| news.time.as_second() - 1_700_000_000).collect();
    assert_eq!(seconds, [0, 3601, 7300, 90_000]);
    assert_eq!(told::read(&file), told);
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("news.jsonl");
    let mut told = Told::read(Some(file.clone()));
    for n in 0..300 {
        told.note(&news(n, Kind::Failed, &"x".repeat(1000)));
    }
    let kept = told::read(&file);
    assert!((50..200).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last().map(|news| news.time), Some(news(299, Kind::Failed, "").time));
}

/// Whoever tells something does not wait for whoever hears it.
#[test]
fn nobody_waits_for_a_slow_listener() {
    let ways = Ways { on_event: Some("sleep 1".to_owned()), ..Ways::default() };
    let announcer = Announcer::new(ways);
    let clock = crate::clock::SystemClock::new();
    let before = clock.wall();
    for n in 0..200 {
        announcer.tell(&news(n, Kind::Failed, &n.to_string()));
    }
    assert!(clock.wall().duration_since(before).as_millis() < 900);
}
