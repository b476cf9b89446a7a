//! Commands that cannot be understood: what is wrong with them, and what they might have been.

use super::scene::hint;
use super::support::World;

/// What is typed, what the error says of it, and what its hint does.
const MISTAKES: [(&str, &str, &str); 16] = [
    ("rotat", "there is no command \"rotat\"", "did you mean `rotakey rotate`"),
    ("service instal", "there is no command \"instal\"", "`rotakey service install`"),
    ("nonsense", "there is no command \"nonsense\"", "`rotakey --help`"),
    ("service", "install, uninstall or status", "`rotakey service --help`"),
    ("rotate --compromized", "has no option --compromized", "--compromised?"),
    ("--nonsense", "`rotakey` has no option --nonsense", "`rotakey --help`"),
    ("--profile rotate status -x", "`rotakey status` has no option -x", "`rotakey status --help`"),
    ("rotate a b", "\"b\" is one argument too many", "its form is `rotakey rotate"),
    ("rotate --wait gone", "\"gone\" is no value of --wait", "published, deactivated or deleted"),
    ("rotate --wait", "--wait <WAIT> needs a value", "`rotakey rotate --help`"),
    ("presign a s3://b/c --expires-in x", "\"x\" is no value of --expires-in", "15m, 1h or 7d"),
    ("exec deploy", "`rotakey exec` needs <CMD>", "its form is `rotakey exec <NAME> -- <CMD>...`"),
    ("rotate --output json", "needs --as <PROFILE> and --user", "`rotakey rotate --as"),
    ("keys --user a --all-users", "--user <NAME> and --all-users exclude", "`rotakey keys --help`"),
    ("status --json --json", "--json is given twice", "`rotakey status --help`"),
    ("status --json=yes", "unexpected value 'yes'", "`rotakey status --help`"),
];

#[test]
fn a_mistake_is_told_in_two_lines_of_which_the_last_is_a_hint() {
    let world = World::new();
    for (typed, says, hints) in MISTAKES {
        let run = world.expect(2, &typed.split(' ').collect::<Vec<_>>());
        let lines: Vec<_> = run.stderr.lines().collect();
        let [error, _] = lines[..] else { panic!("{typed}: {run:?}") };
        assert!(error.starts_with("error: ") && error.contains(says), "{typed}: {run:?}");
        assert!(hint(&run).contains(hints), "{typed}: {run:?}");
        assert_eq!(run.stdout, "", "{typed}");
    }
    // What a hint names as a whole command is one.
    for meant in ["service install", "service", "rotate", "status"] {
        let help =
            world.expect(0, &[&meant.split(' ').collect::<Vec<_>>()[..], &["--help"]].concat());
        assert!(help.stderr.is_empty() && help.stdout.contains("Usage: "), "{help:?}");
    }
}

#[test]
fn what_is_asked_for_is_no_mistake() {
    let world = World::new();
    for (asked, begins) in
        [("--help", "Rotates AWS"), ("--version", "rotakey "), ("help rotate", "Rotate")]
    {
        let run = world.expect(0, &asked.split(' ').collect::<Vec<_>>());
        assert!(run.stdout.starts_with(begins) && run.stderr.is_empty(), "{asked}: {run:?}");
    }
}

/// A secret that was typed where none belongs goes into no log, and nothing that was typed rules the terminal.
#[test]
fn a_word_that_may_be_a_secret_is_not_repeated() {
    let world = World::new();
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    for args in [&["add", "default", secret][..], &[secret], &["rotate", "--wait", secret]] {
        let run = world.expect(2, args);
        assert!(!run.stderr.contains(&secret[..12]), "{run:?}");
        assert!(run.stderr.contains("a word of 40 characters"), "{run:?}");
    }
    for word in ["\x1b[2Jx", "--\x1b[2Jx", "two\nlines"] {
        let run = world.expect(2, &[word]);
        assert!(!run.stderr.contains('\x1b') && run.stderr.lines().count() == 2, "{run:?}");
    }
}
