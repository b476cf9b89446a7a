//! Which profiles are taken: those named, all that can be, or what a person answers.

use std::io::IsTerminal;

use super::{Files, Group, ImportArgs};
use crate::app::App;
use crate::failure::{Exit, Failed};
use crate::shared_files::{Holding, Kind, Shared, Standing};

/// The profiles to take, those of one key together.
pub(super) fn choose(
    app: &App,
    args: &ImportArgs,
    files: &Files,
    shared: &Shared<'_>,
) -> Result<Vec<Group>, Failed> {
    let (mut holdings, mut left) = (Vec::new(), Vec::new());
    for name in shared.profiles() {
        match shared.standing(&name) {
            Standing::Holds(holding) => holdings.push(*holding),
            Standing::Left(why) => left.push((name, why)),
        }
    }
    for name in &args.profile {
        if let Some((_, why)) = left.iter().find(|(left, _)| left == name) {
            return Err(Failed::new(Exit::Usage, format!("{name} cannot be taken: {why}"))
                .hint("`rotakey import --dry-run --all` lists what can; nothing was changed"));
        }
        if !holdings.iter().any(|holding| holding.profile == *name) {
            let message = format!("there is no profile {name} in {}", both(files));
            return Err(Failed::new(Exit::Usage, message).hint(hint(&holdings)));
        }
    }
    let names: Vec<String> = if !args.profile.is_empty() {
        args.profile.clone()
    } else {
        for (name, why) in &left {
            app.printer.say(&format!("left: {name}: {why}"));
        }
        if holdings.is_empty() {
            app.printer.say(&format!("there is no key to take in {}", both(files)));
            return Ok(Vec::new());
        }
        if args.all {
            holdings.iter().map(|holding| holding.profile.clone()).collect()
        } else {
            ask(app, &holdings)?
        }
    };
    Ok(groups(holdings, &names))
}

/// The profiles of one key are taken together: what is left of it in plaintext would die with the next rotation.
fn groups(holdings: Vec<Holding>, names: &[String]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for holding in holdings {
        let same = |group: &&mut Group| {
            group.first().id == holding.id && group.first().secret == holding.secret
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.members.push(holding),
            None => groups.push(Group { members: vec![holding] }),
        }
    }
    groups.retain(|group| group.members.iter().any(|member| names.contains(&member.profile)));
    groups
}

fn ask(app: &App, holdings: &[Holding]) -> Result<Vec<String>, Failed> {
    if !std::io::stdin().is_terminal() {
        return Err(Failed::new(Exit::Usage, "say which profiles: --profile NAME, or --all")
            .hint(hint(holdings)));
    }
    app.printer.say("these hold a key that can be taken:");
    for (number, holding) in holdings.iter().enumerate() {
        app.printer.say(&format!("  {}  {}  {}", number + 1, holding.profile, holding.id));
    }
    app.printer.ask("Take which? Numbers or names with blanks between them, `all`, or nothing: ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failed::new(Exit::Usage, format!("cannot ask: {error}")))?;
    let mut names = Vec::new();
    for word in answer.split([' ', ',', '\t', '\n']).filter(|word| !word.is_empty()) {
        let numbered = word.parse::<usize>().ok().and_then(|n| holdings.get(n.checked_sub(1)?));
        let named = holdings.iter().find(|holding| holding.profile == word);
        match named.or(numbered) {
            _ if word == "all" => names.extend(holdings.iter().map(|h| h.profile.clone())),
            Some(holding) => names.push(holding.profile.clone()),
            None => {
                return Err(Failed::new(Exit::Usage, format!("{word} is none of them"))
                    .hint("nothing was changed"));
            }
        }
    }
    Ok(names)
}

fn hint(holdings: &[Holding]) -> String {
    if holdings.is_empty() {
        return "none of the profiles there holds a key that can be taken".to_owned();
    }
    let names: Vec<_> = holdings.iter().map(|holding| holding.profile.as_str()).collect();
    format!("these can be taken: {}", names.join(", "))
}

fn both(files: &Files) -> String {
    let path = |kind| files.places.path(kind).display();
    format!("{} and {}", path(Kind::Credentials), path(Kind::Config))
}
