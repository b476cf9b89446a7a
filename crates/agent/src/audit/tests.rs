use super::*;

fn trail() -> (tempfile::TempDir, Audit) {
    let dir = tempfile::tempdir().expect("a folder");
    let audit = Audit::new(dir.path().join("state/audit.jsonl"));
    (dir, audit)
}

fn write(path: &Path, bytes: &[u8]) {
    disk::replace(path, bytes).expect("writable");
}

fn read(path: &Path) -> Vec<u8> {
    disk::read(path).expect("readable").expect("there")
}

#[test]
fn what_was_done_stands_there_with_who_did_it() {
    let (_dir, audit) = trail();
    let id: AccessKeyId = "AKIAEXAMPLE".parse().expect("an id");
    audit.record("export", "app", Some(&id), "to standard output").expect("written");
    let long = "x".repeat(5000);
    audit.record("import", "app", None, &long).expect("written");
    let found = audit.verify();
    assert_eq!((found.wrong.len(), found.lines.len()), (0, 2), "{found:?}");
    let line = &found.lines[0];
    assert_eq!((&line["act"], &line["access_key_id"]), (&json!("export"), &json!("AKIAEXAMPLE")));
    assert_eq!(line["by"]["pid"], std::process::id());
    assert!(line["by"]["exe"].as_str().is_some_and(|exe| exe.contains("rotakey")));
    assert_eq!(found.lines[1]["detail"].as_str().map(str::len), Some(DETAIL_MAX));
    assert_eq!(audit.head(), Some(found.head));
}

#[test]
fn a_torn_line_is_cut_and_the_trail_goes_on() {
    for torn in [&b"{\"act\":\"ex"[..], b"{\"ac\0\0\0\n", b"\0\0\0\0"] {
        let (_dir, audit) = trail();
        audit.record("export", "app", None, "one").expect("written");
        let whole = read(&audit.path);
        write(&audit.path, &[&whole, torn].concat());
        let found = audit.verify();
        assert_eq!((found.wrong.len(), found.remarks.len()), (0, 1), "{found:?}");
        audit.record("export", "app", None, "two").expect("written");
        let found = audit.verify();
        assert_eq!((found.wrong, found.lines.len()), (vec![], 2));
        assert!(read(&audit.path).starts_with(&whole));
    }
}

#[test]
fn a_long_file_is_put_away_and_the_chain_goes_on() {
    let (_dir, audit) = trail();
    let long = "x".repeat(DETAIL_MAX);
    // As many lines as it takes, without syncing each.
    let (mut link, mut bytes) = (Link::default(), Vec::new());
    while bytes.len() as u64 <= PART_BYTES_MAX {
        let value = json!({"act": "export", "detail": long});
        let (line, next) = link.encode(value.as_object().expect("one"));
        bytes.extend_from_slice(line.as_bytes());
        link = next;
    }
    disk::create_private_dir(audit.dir()).expect("writable");
    write(&audit.path, &bytes);
    audit.record("export", "app", None, "the first of the next").expect("written");
    audit.record("export", "app", None, "the second").expect("written");
    let part = audit.dir().join("audit.1.jsonl");
    assert_eq!(read(&part), bytes);
    let found = audit.verify();
    assert_eq!((found.wrong.clone(), found.files.len(), found.head.n), (vec![], 2, link.n + 3));
    // A crash between the two steps of putting away.
    disk::rename(&audit.path, &audit.dir().join("audit.2.jsonl")).expect("moved");
    audit.record("export", "app", None, "after the crash").expect("written");
    let found = audit.verify();
    assert_eq!((found.wrong.clone(), found.files.len()), (vec![], 3));
    // The oldest part was moved to an archive: said, and no fault. One in the middle is.
    disk::rename(&part, &audit.dir().join("archive")).expect("moved");
    let found = audit.verify();
    assert_eq!((found.wrong.clone(), found.remarks.len()), (vec![], 1), "{found:?}");
    disk::rename(&audit.dir().join("archive"), &part).expect("moved");
    disk::rename(&audit.dir().join("audit.2.jsonl"), &audit.dir().join("archive")).expect("moved");
    assert_eq!(audit.verify().wrong.len(), 1);
}

#[test]
fn what_was_tampered_with_is_named_by_its_line() {
    let (_dir, audit) = trail();
    for n in 0..4 {
        audit.record("export", "app", None, &format!("number {n}")).expect("written");
    }
    let whole = read(&audit.path);
    let text = String::from_utf8(whole.clone()).expect("text");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let cases = [
        (text.replace("number 2", "number 7"), "line 3"),
        ([lines[0], lines[2], lines[3]].concat(), "line 2"),
        ([lines[0], lines[1], lines[2]].concat(), "lines 4 to 4 are missing at the end"),
        (String::new(), "lines 1 to 4 are missing"),
    ];
    for (tampered, named) in cases {
        write(&audit.path, tampered.as_bytes());
        let wrong = audit.verify().wrong;
        assert!(
            wrong.iter().any(|why| why.contains(named) && why.contains("audit.jsonl")),
            "{named}: {wrong:?}"
        );
    }
    write(&audit.path, &whole);
    assert_eq!(audit.verify().wrong, Vec::<String>::new());
    write(&audit.head_path(), b"{}");
    assert_eq!(audit.verify().wrong.len(), 1);
}

#[test]
fn many_at_once_write_one_chain() {
    let (_dir, audit) = trail();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..10 {
                    audit.record("export", "app", None, &n.to_string()).expect("written");
                }
            });
        }
        // Who looks in between sees a whole one.
        for _ in 0..40 {
            assert_eq!(audit.verify().wrong, Vec::<String>::new());
        }
    });
    let found = audit.verify();
    assert_eq!((found.wrong, found.lines.len()), (vec![], 40));
}
