//! Whole trees, and what is left out of them.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::{SECRET, files, plant, scan, world};

#[test]
fn what_is_no_text_of_peoples_is_left_out_and_counted() {
    let world = world();
    let home = tempfile::tempdir().unwrap();
    let tree = home.path().join("tree");
    let with_key = |begin: &str| format!("{begin}\n{}\n{SECRET}\n", world.id);
    plant(&tree.join("found.txt"), with_key("a"));
    plant(&tree.join(".hidden/.gitignore"), "*");
    plant(&tree.join(".hidden/ignored.txt"), with_key("b"));
    plant(&tree.join(".git/config"), with_key("c"));
    plant(&tree.join("program"), with_key("\x7fELF\0\0"));
    plant(&tree.join(".git/objects/ab/cdef"), with_key("d"));
    plant(&tree.join("bare.git/objects/pack/x"), with_key("e"));
    let utf16: Vec<u8> = format!("\u{feff}x\r\n{}\r\n", world.id)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    plant(&tree.join("windows.reg"), utf16);
    // Nothing that could hold the scan up, or lead it round in a circle.
    assert!(Command::new("mkfifo").arg(tree.join("pipe")).status().unwrap().success());
    let _socket = UnixListener::bind(tree.join("socket")).unwrap();
    symlink("/dev/zero", tree.join("endless")).unwrap();
    symlink("..", tree.join(".hidden/loop")).unwrap();
    symlink("itself", tree.join("itself")).unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();
    symlink("found.txt", tree.join("again")).unwrap();
    let outside = home.path().join("outside.txt");
    plant(&outside, with_key("f"));
    symlink(&outside, tree.join("linked")).unwrap();

    let (copies, summary, _) = scan(&world, home.path(), &[tree.to_str().unwrap()]);
    let mut found: Vec<String> = files(&copies)
        .iter()
        .map(|(path, line, _)| {
            format!("{}:{line}", path.strip_prefix(tree.to_str().unwrap()).unwrap())
        })
        .collect();
    found.sort();
    let expected =
        ["/.git/config:2", "/.hidden/ignored.txt:2", "/found.txt:2", "/linked:2", "/windows.reg:2"];
    assert_eq!(found, expected, "{summary}");
    let skipped = &summary["skipped"];
    // `endless` is a device by its target; `itself` cannot be looked at.
    assert_eq!((&skipped["binaries"], &skipped["special"]), (&1.into(), &3.into()), "{summary}");
    assert_eq!(
        (&skipped["links_to_folders"], &skipped["folders"]),
        (&1.into(), &2.into()),
        "{summary}"
    );
    assert_eq!(skipped["unreadable"], 1, "{summary}");
}

#[test]
fn a_pipe_behind_a_link_is_not_opened() {
    let world = world();
    let home = tempfile::tempdir().unwrap();
    let (tree, pipe) = (home.path().join("tree"), home.path().join("pipe"));
    std::fs::create_dir(&tree).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink(&pipe, tree.join("linked")).unwrap();
    // Whoever writes there waits until somebody opens it to read.
    let waits = {
        let pipe = pipe.clone();
        std::thread::spawn(move || drop(std::fs::OpenOptions::new().write(true).open(pipe)))
    };
    let (_, summary, _) = scan(&world, home.path(), &[tree.to_str().unwrap()]);
    assert!(!waits.is_finished(), "it was opened");
    assert_eq!(summary["skipped"]["special"], 1, "{summary}");
    drop(std::fs::File::open(&pipe).unwrap());
    waits.join().unwrap();
}

#[test]
fn an_id_at_the_end_of_a_long_file_is_found_by_its_line() {
    use std::os::unix::fs::FileExt;
    let world = world();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("dump.sql");
    plant(&path, "text\n".repeat(2000));
    // The rest up to there is a hole, and takes no room on the disk.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(format!("\n{}\n{SECRET}\n", world.id).as_bytes(), (64 << 20) + 5).unwrap();
    let (copies, _, run) = scan(&world, home.path(), &[path.to_str().unwrap()]);
    assert_eq!(files(&copies), [(path.to_str().unwrap().to_owned(), 2002, "file".into())]);
    assert_eq!((run.code, &copies[0]["secret_line"]), (1, &2003.into()));
}

#[test]
fn rotakeys_own_places_are_no_copies() {
    let world = world();
    let home = world.home.path();
    let journal = std::fs::read_to_string(world.state().join("journal")).unwrap();
    assert!(journal.contains(&world.id), "there is something to leave out");
    for path in
        [home.to_path_buf(), home.join("state"), world.state(), world.state().join("journal")]
    {
        let (copies, ..) = scan(&world, home, &[path.to_str().unwrap()]);
        assert!(files(&copies).is_empty(), "{path:?}: {copies:?}");
    }
}

#[test]
fn one_copy_in_a_huge_tree_is_found_once() {
    let world = world();
    let home = tempfile::tempdir().unwrap();
    for folder in 0..200 {
        let folder = home.path().join(format!("huge/{folder}"));
        std::fs::create_dir_all(&folder).unwrap();
        for file in 0..100 {
            std::fs::write(folder.join(format!("{file}.txt")), "AKIA and nothing else\n").unwrap();
        }
    }
    // A long file, the id across the border between the first two reads.
    let mut long = "a line of text\n".repeat(256 * 1024 / 15);
    long.truncate(256 * 1024 - 11);
    long.push('\n');
    let line = long.lines().count() as u64 + 1;
    long.push_str(&world.id);
    long.push_str(&"\nmore\n".repeat(100_000));
    plant(&home.path().join("huge/long.log"), &long);
    let huge = home.path().join("huge");
    // Named twice, and once by a part of it: no copy is told twice.
    let args = [huge.to_str().unwrap(), huge.to_str().unwrap(), huge.join("7").to_str().unwrap()]
        .map(str::to_owned);
    let (copies, summary, _) = scan(&world, home.path(), &args.each_ref().map(String::as_str));
    assert_eq!(
        files(&copies),
        [(huge.join("long.log").to_str().unwrap().to_owned(), line, "file".into())]
    );
    assert_eq!(summary["files"], 20_001);
}
