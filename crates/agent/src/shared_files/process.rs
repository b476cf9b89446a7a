//! A `credential_process` line: the words of it, and whether it runs rotakey.

use std::path::Path;

/// The verb by which it asks rotakey.
const VERB: &str = "credential-process";

/// A line, split as `shlex` splits it, which is how botocore does.
#[derive(Clone, PartialEq, Eq)]
pub struct Process {
    words: Vec<String>,
}

impl Process {
    /// Splits a line. One with a quote that is not closed has no words: nobody can run it.
    pub fn read(line: &str) -> Self {
        Self { words: shlex::split(line).unwrap_or_default() }
    }

    /// The program, as it is named there; `None` if there is none.
    pub fn program(&self) -> Option<&str> {
        self.words.first().map(String::as_str)
    }

    /// The program for messages. A first word with `=` sets a variable, which may well be a secret: nothing of it is shown.
    pub fn shown(&self) -> &str {
        self.program().filter(|word| !word.contains('=')).unwrap_or("another program")
    }

    /// Whether it runs rotakey, from wherever that was then: a program of that name, or the one that runs now.
    pub fn is_rotakey(&self) -> bool {
        let Some(program) = self.program().filter(|_| self.words[1..].iter().any(|w| w == VERB))
        else {
            return false;
        };
        Path::new(program).file_name().is_some_and(|name| name == "rotakey")
            || crate::proc::own_program().is_ok_and(|own| own == Path::new(program))
    }

    /// The profile that it names.
    pub fn profile(&self) -> Option<&str> {
        let mut words = self.words.iter().skip(1);
        words
            .find_map(|word| {
                Some(word.strip_prefix("--profile")?)
                    .filter(|rest| rest.is_empty() || rest.starts_with('='))
            })
            .map(|rest| rest.strip_prefix('='))
            .and_then(|given| given.or_else(|| words.next().map(String::as_str)))
    }

    /// Whether it asks rotakey for this profile.
    pub fn serves(&self, profile: &str) -> bool {
        self.is_rotakey() && self.profile() == Some(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_however_it_is_written() {
        for line in [
            "rotakey credential-process --profile p",
            "/usr/bin/rotakey  credential-process   --profile  p",
            "'/a b/rotakey' credential-process --profile=p",
            r#""/a b/rotakey" --profile "p" credential-process"#,
        ] {
            assert!(Process::read(line).serves("p"), "{line}");
            assert!(!Process::read(line).serves("q"), "{line}");
        }
        let named = Process::read("rotakey credential-process --profiles p");
        assert_eq!((named.is_rotakey(), named.profile()), (true, None));
        for line in
            ["", "rotakey", "rotakey env p", "aws-vault exec credential-process", "rotakey \""]
        {
            assert!(!Process::read(line).is_rotakey(), "{line}");
        }
        let own = crate::proc::own_program().expect("there");
        let line = format!("'{}' credential-process --profile p", own.display());
        assert!(Process::read(&line).serves("p"));
    }

    #[test]
    fn a_variable_in_front_is_not_shown() {
        assert_eq!(Process::read("aws-vault exec app --json").shown(), "aws-vault");
        assert_eq!(Process::read("VAULT_TOKEN=s.xxx helper").shown(), "another program");
        assert_eq!(Process::read("").shown(), "another program");
    }
}
