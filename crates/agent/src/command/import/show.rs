//! `--dry-run`: what would be done, without a secret in it.

use super::{Files, Group, ImportArgs};
use crate::app::App;
use crate::shared_files::{Document, KEY, Kind, Shared, Wanted};

/// What would be done with each key.
pub(super) fn plan(app: &App, args: &ImportArgs, groups: &[Group]) {
    for group in groups {
        let first = group.first();
        let names: Vec<_> = group.members.iter().map(|member| member.profile.as_str()).collect();
        app.printer.data(&format!("{} ({})", first.id, names.join(", ")));
        let settings =
            [("region", &first.region), ("IAM", &first.iam_url), ("STS", &first.sts_url)];
        let settings: Vec<_> = settings
            .iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)))
            .collect();
        let with = if settings.is_empty() {
            String::new()
        } else {
            format!(", with {}", settings.join(", "))
        };
        app.printer.data(&format!("  ask AWS whether the key is good{with}"));
        app.printer.data("  keep its secret in the keystore, and read it back");
        for member in &group.members[1..] {
            app.printer.data(&format!("  {} uses the key of {}", member.profile, first.profile));
        }
        if args.keep_plaintext {
            app.printer.data(
                "  leave the key in the files: it is not rotated unattended until it is gone",
            );
        }
    }
}

/// What would be changed in the files.
pub(super) fn difference(app: &App, files: &Files, shared: &Shared<'_>, wanted: &[Wanted]) {
    for kind in [Kind::Config, Kind::Credentials] {
        let document = shared.document(kind);
        let changes = Wanted::changes(wanted, kind, document);
        if changes.is_empty() {
            continue;
        }
        let new = if files.of(kind).exists() { "" } else { " (new)" };
        app.printer.data(&format!("{}{new}", files.places.path(kind).display()));
        for gone in &changes.gone {
            app.printer.data(&format!(
                "  {:>5} - {}",
                gone.line + 1,
                redacted(document, gone.line)
            ));
            if gone.comment.is_some() {
                app.printer.data(&format!("  {:>5} + (the comment behind it)", gone.line + 1));
            }
        }
        for new in &changes.new {
            if let Some(section) = new.section() {
                app.printer.data(&format!("        + [{section}]"));
            }
            let after = new.after().map_or_else(String::new, |line| (line + 1).to_string());
            app.printer.data(&format!("  {after:>5} + {}", new.line));
        }
    }
}

/// A line of a key. The id is no secret; of everything else only the name is shown.
fn redacted(document: &Document<'_>, line: usize) -> String {
    let properties = document.sections.iter().flat_map(|section| &section.properties);
    match properties.clone().find(|property| property.lines.start == line) {
        Some(property) if property.name == KEY[0] => {
            format!("{} = {}", property.name, property.text().unwrap_or_default())
        }
        Some(property) => format!("{} = (redacted)", property.name),
        None => "(redacted)".to_owned(),
    }
}
