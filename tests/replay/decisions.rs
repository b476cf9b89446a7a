//! How the cases were made in which a person had to decide, or did; and those of damaged files.

use rotakey_core::credential::KeyStatus;
use rotakey_core::journal::Record;
use rotakey_core::rotation::{Command, Goal};

use crate::case::Case;
use crate::making::{
    both, dies_after, dies_before, expect, expect_new, run_to, runs, somebody_deletes,
    somebody_sets, world, write,
};
use crate::scene::{Asked, Ends, Expected};
use crate::system::ROTATE;
use crate::system::blows::Blow;
use crate::system::machine::{Operation, PowerCut, Trouble};

/// Undo, abort, and what somebody else did.
pub fn decisions() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut given_up = world();
    let first = given_up.ledger(0).access_key_id;
    dies_after(&mut given_up, ROTATE, "verified");
    let what = "A rotation that was killed before its publish, and that a person gives up.";
    let abandoned = || expect(Ends::Abandoned, &first).because("a person gave it up");
    cases.push(Case::of("to-be-given-up", what, &given_up, Asked::Abort, abandoned()));
    dies_after(&mut given_up, Goal::Abort, "abort-begun");
    let what = "A rotation that a person has given up; nothing is deleted yet.";
    cases.push(Case::of("abort-begun", what, &given_up, Asked::Resume, abandoned()));
    runs(&mut given_up, Goal::Resume);
    let what = "A rotation that was given up, and is over; the person begins another one.";
    cases.push(Case::of("abandoned", what, &given_up, Asked::Rotate, expect_new()));

    let mut shown = world();
    write(&mut shown, Record::Exported { access_key_id: first.clone() });
    let what = "A key whose secret was shown to a person; then it is rotated.";
    cases.push(Case::of("exported", what, &shown, Asked::Rotate, expect_new()));

    let mut published = world();
    dies_after(&mut published, ROTATE, "done-publish");
    let newer = published.ledger(0).access_key_id;
    let undone = || expect(Ends::Finished, &first);
    let what = "A rotation that was killed after its publish, and that a person undoes.";
    cases.push(Case::of("to-be-undone", what, &published, Asked::Undo, undone()));
    let mut back = published.clone();
    dies_after(&mut back, Goal::Undo, "undo-begun");
    let what = "A rotation that is being undone; the newer key is served still.";
    cases.push(Case::of("undo-begun", what, &back, Asked::Resume, undone()));
    dies_after(&mut back, Goal::Resume, "done-publish");
    let what =
        "A rotation that was undone: the previous key is served again, the newer one is open.";
    cases.push(Case::of("undone-and-open", what, &back, Asked::Resume, undone()));
    runs(&mut back, Goal::Resume);
    let what = "A rotation that was undone, and is over; the person begins another one.";
    cases.push(Case::of("undone", what, &back, Asked::Rotate, expect_new()));
    let mut soaking = published.clone();
    dies_after(&mut soaking, Goal::Resume, "done-deactivate");
    let mut revived = soaking.clone();
    for label in ["undo-begun", "intended-activate", "done-activate"] {
        dies_after(&mut revived, Goal::Undo, label);
        let name = format!("undo-of-a-deactivated-key-{label}");
        let what = format!("An undo of a rotation that had deactivated the previous key: {label}.");
        cases.push(Case::of(&name, &what, &revived, Asked::Resume, undone()));
    }

    let mut dead = published.clone();
    somebody_sets(&mut dead, &newer, KeyStatus::Inactive);
    runs(&mut dead, Goal::Resume);
    let what = "The key that is served was deactivated by somebody else: a person has to decide.";
    let stuck = expect(Ends::Stuck, &newer).because("deactivated by somebody else");
    cases.push(Case::of("stuck", what, &dead, Asked::Resume, stuck));
    cases.push(Case::of("stuck-and-undone", what, &dead, Asked::Undo, undone()));
    somebody_sets(&mut dead, &newer, KeyStatus::Active);
    let what = "The served key was deactivated and is Active again: the person says resume.";
    let finished = || expect(Ends::Finished, &newer);
    cases.push(Case::of("stuck-and-mended", what, &dead, Asked::Resume, finished()));
    dies_after(&mut dead, Goal::Resume, "resumed");
    let what = "A rotation that was stuck, and that a person has just resumed.";
    cases.push(Case::of("resumed", what, &dead, Asked::Resume, finished()));

    let mut gone = soaking.clone();
    somebody_deletes(&mut gone, &first);
    let what = "Somebody deleted the old key while it was soaking.";
    cases.push(Case::of("old-key-deleted", what, &gone, Asked::Resume, finished()));
    dies_after(&mut gone, Goal::Resume, "vanished");
    let what = "Somebody deleted the old key while it was soaking, which was noticed.";
    cases.push(Case::of("old-key-vanished", what, &gone, Asked::Resume, finished()));
    somebody_sets(&mut soaking, &first, KeyStatus::Active);
    let what = "Somebody made the old key Active again while it was soaking.";
    let stuck = expect(Ends::Stuck, &newer).because("made active again");
    cases.push(Case::of("old-key-revived", what, &soaking, Asked::Resume, stuck));
    cases
}

/// Files that lost or changed bytes.
pub fn torn_and_damaged() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut torn = world();
    dies_before(&mut torn, ROTATE, "drained");
    let drained = torn.clone();
    torn.start(0, Goal::Resume, None);
    run_to(&mut torn, |command| matches!(command, Command::Append(_)));
    let mut rehearsal = torn.clone();
    rehearsal.step(0, None);
    let operations = &rehearsal.installs[0].machine.operations;
    let number = operations.iter().position(|o| *o == Operation::Write).expect("it writes");
    torn.step(0, Some(Blow::Trouble(number, Trouble::DiesWithin)));
    torn.power_cut(0, PowerCut::Kept);
    let newer = both(&mut torn).0;
    let finished = expect(Ends::Finished, &newer);
    let what = "The power went while a line was written: half of it is there.";
    let half = Case::of("torn-line", what, &torn, Asked::Resume, finished);
    let mut zeros = Case { name: "torn-line-of-zeros".to_owned(), ..half.clone() };
    let end = zeros.journal.iter().rposition(|byte| *byte == b'\n').expect("lines") + 1;
    zeros.journal.truncate(end);
    zeros.journal.extend([0; 100]);
    zeros.journal.push(b'\n');
    zeros.scene.what =
        "The power went while a line was written: its bytes never reached the disk.".to_owned();
    cases.extend([half, zeros]);

    let come = expect(Ends::Finished, &newer);
    let whole = Case::of("", "", &drained, Asked::Resume, come);
    let damaged = |name: &str, what: &str, file: &str, change: &dyn Fn(&str) -> String| {
        let mut case = Case { name: name.to_owned(), ..whole.clone() };
        case.scene.what = what.to_owned();
        case.scene.expected = Expected::only(Ends::Damaged).because(&format!("/state/app/{file}"));
        let bytes = if file == "journal" { &mut case.journal } else { &mut case.ledger };
        *bytes = change(std::str::from_utf8(bytes).expect("text")).into_bytes();
        case
    };
    let what = "One letter in the middle of the journal is another one.";
    let change =
        |text: &str| text.replacen("\"origin\":\"handed-over\"", "\"origin\":\"handed-ovex\"", 1);
    cases.push(damaged("damaged-letter", what, "journal", &change));
    let what = "A line in the middle of the journal is missing.";
    let change = |text: &str| {
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        [&lines[..4], &lines[5..]].concat().concat()
    };
    cases.push(damaged("damaged-line-missing", what, "journal", &change));
    let what = "The journal is of a newer rotakey.";
    let change = |text: &str| text.replacen("rotakey-journal 1", "rotakey-journal 2", 1);
    cases.push(damaged("newer-journal", what, "journal", &change));
    let what = "The ledger is of a newer rotakey.";
    let change = |text: &str| text.replacen("\"version\": 1", "\"version\": 2", 1);
    cases.push(damaged("newer-ledger", what, "ledger.json", &change));
    let what = "The second half of the ledger is missing.";
    let change = |text: &str| text[..text.len() / 2].to_owned();
    cases.push(damaged("damaged-ledger", what, "ledger.json", &change));
    cases
}
