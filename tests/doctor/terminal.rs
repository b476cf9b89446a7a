//! What a person at a terminal sees: lines that fit, broken between words, commands whole; and elsewhere nothing of it.

use std::process::Command;

use super::support::World;

/// What a terminal of so many columns shows, its last line the exit code.
fn shown(world: &World, columns: u32, arguments: &str) -> Vec<String> {
    let ours = world.command();
    let mut command = Command::new("script");
    command.env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
        .env("ROTAKEY", ours.get_program())
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .env("SHELL", "/bin/sh");
    let line = format!("stty cols {columns} rows 24; $ROTAKEY {arguments}; echo $?");
    let output =
        command.args(["-qec", &line, "/dev/null"]).output().expect("script, of util-linux");
    let text = String::from_utf8(output.stdout).unwrap();
    // Each line as it is in the end: progress replaces itself.
    let last =
        |line: &str| line.trim_end_matches('\r').rsplit("\r\x1b[2K").next().map(str::to_owned);
    text.lines().filter_map(last).collect()
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    let world = World::added();
    world.expect(0, &["rotate", "app"]);
    for (columns, arguments) in [
        (80, ""),
        (60, ""),
        (44, ""),
        (60, "--help"),
        (80, "rotate --help"),
        (80, "scan --help"),
        (80, "keys"),
        (60, "doctor"),
        (60, "rotate app"),
        (60, "rotate nobody"),
        (50, "abort app"),
        (60, "export app --nonsense"),
        (60, "rotat"),
        (44, "service instal"),
        (60, "rotate --wait gone"),
        (44, "exec app"),
        (60, "presign app s3://b/k --expires-in soon"),
        (80, "rotate --output json"),
        (60, "status"),
    ] {
        let lines = shown(&world, columns, arguments);
        assert!(lines.len() > 1, "{arguments}: {lines:#?}");
        for line in &lines {
            // What has no blank cannot be broken, and a command for the shell must not be.
            let is_whole = !line.trim().contains(' ') || line.trim().starts_with("$ ");
            let width = line.chars().count();
            assert!(is_whole || width <= columns as usize, "{arguments}: {width}: {lines:#?}");
        }
    }
}

#[test]
fn an_error_is_folded_under_itself_and_its_command_stays_whole() {
    let world = World::added();
    let lines = shown(&world, 50, "rotate nobody");
    let expected = [
        "error: there is no profile nobody",
        "hint: name the one there is, app; or",
        "      `rotakey add nobody` makes it",
        "2",
    ];
    assert_eq!(lines, expected);
    // One that was not understood is told alike.
    let lines = shown(&world, 50, "rotate --wait gone");
    let expected = [
        "error: \"gone\" is no value of --wait <WAIT>",
        "hint: it takes published, deactivated or deleted;",
        "      `rotakey rotate --help` says more",
        "2",
    ];
    assert_eq!(lines, expected);
    // Where nobody looks, a line is a line.
    let run = world.expect(2, &["rotate", "nobody"]);
    assert_eq!(run.stderr.lines().count(), 2, "{run:?}");
}

#[test]
fn a_page_for_man_says_what_it_is() {
    let world = World::new();
    let lines = shown(&world, 80, "man rotate");
    assert!(
        lines
            .iter()
            .any(|line| line == "hint: that is for man to read: `rotakey man rotate | man -l -`")
    );
    assert_eq!(world.expect(0, &["man", "rotate"]).stderr, "");
}
