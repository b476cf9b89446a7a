use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn held(key: &str, pid: Option<u32>, until: i64) -> Holder {
    let program = pid.map(|pid| Program { pid, started: 7, exe: Some("/usr/bin/x".into()) });
    holder(key.parse().expect("an id"), Source::Imds, 1, program, at(until))
}

#[test]
fn who_asks_again_holds_longer_and_what_is_over_is_forgotten() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = ProfileState::new(dir.path(), "p");
    drop(state.lock().expect("free"));
    let noted = [
        ("AKIAONE", Some(3), 10),
        ("AKIAONE", Some(3), 5),
        ("AKIAONE", Some(4), 1),
        ("AKIATWO", None, 9),
    ];
    for (key, pid, until) in noted {
        append(&state, &held(key, pid, until), at(0));
    }
    let read = read(&state, at(2));
    assert_eq!(read, [held("AKIAONE", Some(3), 10), held("AKIATWO", None, 9)]);
    // Process 3 never began at tick 7.
    assert_eq!(alive(&read, at(2)), [held("AKIATWO", None, 9)]);
    assert_eq!(alive(&read, at(9)), []);
}

#[test]
fn a_crowd_of_holders_makes_neither_the_list_nor_its_file_grow_without_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = ProfileState::new(dir.path(), "p");
    drop(state.lock().expect("free"));
    let crowd = 3 * u32::try_from(HOLDERS_MAX).expect("small");
    let mut list = Vec::new();
    for pid in 1..=crowd {
        let one = held("AKIAONE", Some(pid), 10);
        append(&state, &one, at(0));
        merge(&mut list, one);
    }
    for list in [list, read(&state, at(0))] {
        assert_eq!(list.len(), HOLDERS_MAX);
        assert_eq!(list.last().expect("not empty").pid, Some(crowd), "the newest stays");
    }
    let bytes = disk::read(&state.dir().join("holders")).expect("readable").expect("there");
    let line = bytes.len() / crowd as usize;
    assert!(bytes.len() as u64 <= FILE_BYTES_MAX + 4 * line as u64, "{} bytes", bytes.len());
}
