//! `history --verify`: is the record whole? Journals, receipts and the audit trail, each for itself and against the others.

use serde_json::json;

use crate::app::App;
use crate::audit::verify::Found as Trail;
use crate::failure::{Exit, Failed};
use crate::receipts::Receipts;
use crate::receipts::verify::Checked;
use crate::store::disk;
use crate::store::profile::ProfileState;
use crate::wording::counted;

/// A file, or a set of files, that was looked at.
struct Looked {
    what: String,
    /// How much of it there is, and where it ends.
    has: String,
    wrong: Vec<String>,
}

/// Runs it, for one profile or for all. Exit code 1 if anything is wrong.
pub fn run(app: &App, name: Option<String>, as_json: bool) -> Result<(), Failed> {
    let names = match name {
        Some(name) => vec![app.for_profile(&name).key_profile()?.to_owned()],
        None => app.managed()?,
    };
    // The receipts first: what is written in between, the trail has, and is looked for anew.
    let receipts = |name: &String| {
        let receipts = Receipts::of(&ProfileState::new(&app.paths.state, name));
        (receipts.read(), receipts)
    };
    let read: Vec<_> = names.iter().map(receipts).collect();
    let trail = app.audit().verify();
    let mut remarks = trail.remarks.clone();
    let mut looked = vec![audit(&trail)];
    for (name, (found, receipts)) in names.into_iter().zip(read) {
        let state = ProfileState::new(&app.paths.state, &name);
        looked.push(journal(&state));
        let Checked { count, wrong, remarks: more } = receipts.verify(found, &trail);
        remarks.extend(more);
        let what = state.dir().join("receipts").display().to_string();
        looked.push(Looked { what, has: counted(count, "receipt"), wrong });
    }
    for one in &looked {
        if as_json {
            let line = json!({"what": one.what, "ok": one.wrong.is_empty(), "has": one.has, "wrong": one.wrong});
            app.printer.data(&line.to_string());
            continue;
        }
        let verdict = if one.wrong.is_empty() { "ok   " } else { "WRONG" };
        app.printer.data(&format!("{verdict}  {}", one.what));
        app.printer.data(&format!("       {}", one.has));
        one.wrong.iter().for_each(|why| app.printer.data(&format!("       {why}")));
    }
    for remark in &remarks {
        app.printer.say(remark);
    }
    let wrong = looked.iter().map(|one| one.wrong.len()).sum::<usize>();
    if wrong == 0 {
        return Ok(());
    }
    Err(Failed::new(Exit::Failed, format!("{wrong} things are wrong with the record"))
        .hint("compare with a backup, and see docs/audit.md for what each of them means"))
}

fn audit(trail: &Trail) -> Looked {
    let what = match trail.files.last() {
        Some((path, _)) => path.display().to_string(),
        None => "no audit trail yet".to_owned(),
    };
    let lines: usize = trail.files.iter().map(|(_, lines)| lines).sum();
    let head = trail.head.chain.get(..16).unwrap_or_default();
    let has = match lines {
        0 => "0 lines".to_owned(),
        lines => format!(
            "{} in {}, the last one is number {}, {head}",
            counted(lines, "line"),
            counted(trail.files.len(), "file"),
            trail.head.n
        ),
    };
    Looked { what, has, wrong: trail.wrong.clone() }
}

fn journal(state: &ProfileState) -> Looked {
    let path = state.dir().join("journal");
    let what = path.display().to_string();
    match state.read() {
        Ok((entries, _)) => {
            let bytes = disk::read(&path).ok().flatten().unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let head = text.lines().last().and_then(|line| line.split(' ').next());
            let has = match entries.len() {
                0 => "no journal yet".to_owned(),
                lines => {
                    let head = head.unwrap_or_default();
                    format!("{}, the last one is {head}", counted(lines, "line"))
                }
            };
            Looked { what, has, wrong: Vec::new() }
        }
        Err(error) => {
            Looked { what, has: "cannot be read".to_owned(), wrong: vec![error.to_string()] }
        }
    }
}
