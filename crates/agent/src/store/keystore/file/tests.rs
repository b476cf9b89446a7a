use std::os::unix::fs::PermissionsExt;

use super::super::probe;
use super::*;

fn store(folder: &Path, passphrase: &str) -> FileKeystore {
    let passphrase = Passphrase::Literal(Zeroizing::new(passphrase.to_owned()));
    let mut store = FileKeystore::new(folder.join("keys"), passphrase);
    store.cost = Cost { memory_kib: 64, passes: 1 };
    store
}

fn id(text: &str) -> AccessKeyId {
    text.parse().unwrap()
}

fn secret(text: &str) -> SecretAccessKey {
    SecretAccessKey::new(text.to_owned())
}

/// A folder whose file holds AKIAONE and AKIATWO.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), "pass");
    store.put(&id("AKIAONE"), &secret("secret-one")).unwrap();
    store.put(&id("AKIATWO"), &secret("secret-two")).unwrap();
    folder
}

#[test]
fn secrets_come_back_to_this_object_and_to_another() {
    let folder = filled();
    let store = store(folder.path(), "pass");
    assert_eq!(store.get(&id("AKIAONE")).unwrap(), Some(secret("secret-one")));
    assert_eq!(store.get(&id("AKIANONE")).unwrap(), None);
    store.put(&id("AKIAONE"), &secret("secret-one")).unwrap();
    let replaced = store.put(&id("AKIAONE"), &secret("other"));
    assert!(matches!(replaced, Err(KeystoreError::Conflict { .. })));
    store.delete(&id("AKIAONE")).unwrap();
    store.delete(&id("AKIAONE")).unwrap();
    assert_eq!(store.get(&id("AKIAONE")).unwrap(), None);
    assert_eq!(store.get(&id("AKIATWO")).unwrap(), Some(secret("secret-two")));
    probe(&store, "app").unwrap();
}

#[test]
fn the_default_cost_is_the_documented_one_and_a_probe_leaves_no_entry() {
    let folder = tempfile::tempdir().unwrap();
    let passphrase = Passphrase::Literal(Zeroizing::new("pass".to_owned()));
    let store = FileKeystore::new(folder.path().join("keys"), passphrase);
    probe(&store, "app").unwrap();
    let contents = store.load().unwrap().unwrap();
    assert_eq!(contents.header.cost, Cost { memory_kib: 65536, passes: 3 });
    assert!(contents.entries.is_empty());
}

#[test]
fn what_is_not_there_is_none_but_what_vanished_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = store(folder.path(), "pass");
    assert_eq!(fresh.get(&id("AKIAONE")).unwrap(), None);
    fresh.delete(&id("AKIAONE")).unwrap();
    fresh.put(&id("AKIAONE"), &secret("s")).unwrap();
    fs::remove_file(folder.path().join("keys")).unwrap();
    assert!(matches!(fresh.get(&id("AKIAONE")), Err(KeystoreError::Unreachable { .. })));
    let put = fresh.put(&id("AKIAONE"), &secret("s"));
    assert!(matches!(put, Err(KeystoreError::Unreachable { .. })));
}

#[test]
fn a_wrong_passphrase_is_told_as_such() {
    let folder = filled();
    let wrong = store(folder.path(), "guess");
    assert!(matches!(wrong.get(&id("AKIAONE")), Err(KeystoreError::WrongPassphrase { .. })));
    let put = wrong.put(&id("AKIANEW"), &secret("s"));
    assert!(matches!(put, Err(KeystoreError::WrongPassphrase { .. })));
}

#[test]
fn a_truncated_file_is_damaged_and_left_alone() {
    let folder = filled();
    let path = folder.path().join("keys");
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len() - 1).step_by(7) {
        fs::write(&path, &whole[..length]).unwrap();
        let store = store(folder.path(), "pass");
        assert!(matches!(store.get(&id("AKIAONE")), Err(KeystoreError::Damaged { .. })));
        let put = store.put(&id("AKIANEW"), &secret("s"));
        assert!(matches!(put, Err(KeystoreError::Damaged { .. })));
        assert_eq!(fs::read(&path).unwrap(), whole[..length]);
    }
}

#[test]
fn a_flipped_bit_never_gives_another_secret() {
    let folder = filled();
    let path = folder.path().join("keys");
    let whole = fs::read(&path).unwrap();
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 1;
        fs::write(&path, &bytes).unwrap();
        match store(folder.path(), "pass").get(&id("AKIAONE")) {
            // White space, the letter case of hex, the other entry, or the id itself.
            Ok(Some(read)) => assert_eq!(read, secret("secret-one")),
            Ok(None) => assert!(!bytes.windows(9).any(|name| name == b"\"AKIAONE\"")),
            Err(KeystoreError::Damaged { .. }) => {}
            Err(other) => panic!("at byte {position}: {other}"),
        }
    }
    // Within the ciphertext of the entry itself.
    let text = String::from_utf8(whole).unwrap();
    let entry = text.find("\"AKIAONE\"").unwrap();
    let digit = entry + text[entry..].find("\"ciphertext\": \"").unwrap() + 15;
    let mut bytes = text.into_bytes();
    bytes[digit] = if bytes[digit] == b'0' { b'1' } else { b'0' };
    fs::write(&path, &bytes).unwrap();
    let read = store(folder.path(), "pass").get(&id("AKIAONE"));
    assert!(matches!(read, Err(KeystoreError::Damaged { .. })));
}

#[test]
fn a_newer_version_is_named() {
    let folder = filled();
    let path = folder.path().join("keys");
    fs::write(&path, r#"{"version": 2, "shape": "unknown"}"#).unwrap();
    let error = store(folder.path(), "pass").get(&id("AKIAONE")).unwrap_err();
    assert!(matches!(error, KeystoreError::Damaged { .. }));
    assert!(error.to_string().contains("was written by a newer rotakey"), "{error}");
}

#[test]
fn a_file_others_can_read_is_refused_and_new_files_are_private() {
    let folder = filled();
    let path = folder.path().join("keys");
    for name in ["keys", "keys.lock"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = store(folder.path(), "pass").get(&id("AKIAONE")).unwrap_err();
    assert!(matches!(error, KeystoreError::Refused { .. }));
    assert!(error.to_string().contains("0644"), "{error}");
}

#[test]
fn an_entry_moved_to_another_id_does_not_open() {
    let folder = filled();
    let store = store(folder.path(), "pass");
    let mut contents = store.load().unwrap().unwrap();
    let one = contents.entries.remove(&id("AKIAONE")).unwrap();
    contents.entries.insert(id("AKIATWO"), one);
    store.store(&contents).unwrap();
    assert!(matches!(store.get(&id("AKIATWO")), Err(KeystoreError::Damaged { .. })));
}

#[test]
fn no_secret_is_in_the_bytes() {
    let folder = filled();
    for name in fs::read_dir(folder.path()).unwrap() {
        let bytes = fs::read(name.unwrap().path()).unwrap();
        for text in ["secret-one", "secret-two", "pass\""] {
            assert!(!bytes.windows(text.len()).any(|found| found == text.as_bytes()));
            let hex = hex::encode(text);
            assert!(!bytes.windows(hex.len()).any(|found| found == hex.as_bytes()));
        }
    }
}

#[test]
fn writers_at_the_same_moment_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Each thread has its own object, as another process would: they meet in the file only.
    thread::scope(|scope| {
        for writer in 0..6 {
            let path = folder.path();
            scope.spawn(move || {
                let store = store(path, "pass");
                for number in 0..10 {
                    let name = format!("AKIA{writer}-{number}");
                    store.put(&id(&name), &secret(&name)).unwrap();
                }
            });
        }
    });
    let store = store(folder.path(), "pass");
    for writer in 0..6 {
        for number in 0..10 {
            let name = format!("AKIA{writer}-{number}");
            assert_eq!(store.get(&id(&name)).unwrap(), Some(secret(&name)));
        }
    }
}

#[test]
fn what_killed_writers_left_is_removed() {
    let folder = filled();
    let left = folder.path().join("keys.tmp-00ff");
    fs::write(&left, "half").unwrap();
    store(folder.path(), "pass").put(&id("AKIANEW"), &secret("s")).unwrap();
    assert!(!left.exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_told_and_can_still_be_read() {
    let folder = filled();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let here = store(folder.path(), "pass");
    assert_eq!(here.get(&id("AKIAONE")).unwrap(), Some(secret("secret-one")));
    // Modes do not stop root, for whom a folder of the kernel's stands in.
    let read_only =
        if rustix::process::geteuid().is_root() { Path::new("/proc/self") } else { folder.path() };
    let put = store(read_only, "pass").put(&id("AKIANEW"), &secret("s"));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    // An existing lock file opens even so; then the new file is what cannot be made.
    assert!(matches!(put, Err(KeystoreError::Unwritable { .. })), "{put:?}");
}

#[test]
fn a_writer_that_never_ends_does_not_hang_the_others() {
    let folder = filled();
    let held = store(folder.path(), "pass");
    let _lock = held.lock().unwrap();
    let other = store(folder.path(), "pass");
    let put = other.put(&id("AKIANEW"), &secret("s"));
    assert!(matches!(put, Err(KeystoreError::Unreachable { .. })), "{put:?}");
}
