//! Where copies of keys are usually found. One table: the walk, the help and the documents are made from it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::printer::layout::wrap;

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// What people call it.
    pub kind: &'static str,
    /// Where it is in the home folder; a folder ends in `/` and counts with all that is in it.
    pub home: &'static [&'static str],
    /// What such files are called anywhere else, `*` standing for anything. A name with a `/` has a folder
    /// above it.
    pub names: &'static [&'static str],
}

/// The kinds, the particular before the general.
pub const PLACES: [Place; 19] = [
    Place { kind: "AWS credentials file", home: &[".aws/credentials"], names: &[] },
    Place { kind: "AWS config file", home: &[".aws/config"], names: &[] },
    Place { kind: "AWS folder", home: &[".aws/"], names: &[] },
    Place { kind: "dotenv file", home: &[], names: &[".env", ".env.*", "*.env", ".envrc"] },
    Place { kind: "rclone", home: &[".config/rclone/", ".rclone.conf"], names: &["rclone.conf"] },
    Place { kind: "s3cmd", home: &[".s3cfg"], names: &["*.s3cfg"] },
    Place { kind: "S3 tool", home: &[".mc/", ".passwd-s3fs", ".s5cmd/"], names: &[] },
    Place { kind: "boto", home: &[".boto", ".config/boto/"], names: &["boto.cfg"] },
    Place {
        kind: "Terraform",
        home: &[".terraformrc", ".terraform.d/"],
        names: &["*.tfvars", "*.tfvars.json", "*.tfstate", "*.tfstate.backup"],
    },
    Place {
        kind: "systemd user unit",
        home: &[".config/systemd/", ".config/environment.d/", ".local/share/systemd/user/"],
        names: &[],
    },
    Place {
        kind: "Docker",
        home: &[".docker/"],
        names: &["Dockerfile", "docker-compose*", "compose.y*ml"],
    },
    Place { kind: "Kubernetes", home: &[".kube/"], names: &["kustomization.y*ml", "values*.y*ml"] },
    Place {
        kind: "IDE settings",
        home: &[
            ".config/Code/",
            ".config/VSCodium/",
            ".config/Cursor/",
            ".config/JetBrains/",
            ".vscode-server/data/",
            ".vscode/",
            ".emacs.d/",
            ".config/nvim/",
        ],
        names: &[".vscode/*.json", ".idea/*.xml"],
    },
    Place {
        kind: "shell history",
        home: &[
            ".bash_history",
            ".zsh_history",
            ".histfile",
            ".sh_history",
            ".python_history",
            ".node_repl_history",
            ".local/share/fish/fish_history",
        ],
        names: &[],
    },
    Place {
        kind: "shell profile",
        home: &[
            ".profile",
            ".bashrc",
            ".bash_profile",
            ".bash_login",
            ".bash_aliases",
            ".zshrc",
            ".zshenv",
            ".zprofile",
            ".zlogin",
            ".pam_environment",
            ".xprofile",
            ".config/fish/",
        ],
        names: &[],
    },
    Place {
        kind: "build tool",
        home: &[
            ".npmrc",
            ".pypirc",
            ".netrc",
            ".m2/settings.xml",
            ".gradle/gradle.properties",
            ".sbt/",
            ".cargo/config.toml",
        ],
        names: &["gradle.properties", "serverless.y*ml", "local.settings.json"],
    },
    Place { kind: "git", home: &[".gitconfig", ".git-credentials", ".config/git/"], names: &[] },
    Place { kind: "notebook", home: &[".jupyter/"], names: &["*.ipynb"] },
    Place { kind: "settings", home: &[".config/"], names: &[] },
];

/// What kind of file this is: that of the first place that it fits, else `file`.
pub fn kind(path: &Path) -> &'static str {
    let found = PLACES.iter().find(|place| {
        place.home.iter().any(|at| is_at(path, at)) || place.names.iter().any(|n| is_named(path, n))
    });
    found.map_or("file", |place| place.kind)
}

/// Whether a file of this name may hold keys wherever it is.
pub fn is_well_named(path: &Path) -> bool {
    PLACES.iter().flat_map(|place| place.names).any(|name| is_named(path, name))
}

/// The places in a home folder, those that are there and those that are not.
pub fn in_home(home: &Path) -> Vec<PathBuf> {
    let all = PLACES.iter().flat_map(|place| place.home);
    all.map(|at| home.join(at.trim_end_matches('/'))).collect()
}

/// The table, for the end of `rotakey scan --help`.
pub fn help() -> String {
    let mut text = "Example: rotakey scan\n         rotakey scan ~/projects /srv/app --json\n\n\
                    Ends with 0 if there is no copy outside of rotakey's own places, with 1 if there is one.\n\n\
                    Places, without paths:\n"
        .to_owned();
    for place in &PLACES {
        let home: Vec<String> = place.home.iter().map(|at| format!("~/{at}")).collect();
        let mut at = home.join(", ");
        if !place.names.is_empty() {
            let begin = if at.is_empty() { "in any project: " } else { "; in any project: " };
            at.push_str(begin);
            at.push_str(&place.names.join(", "));
        }
        for (n, line) in wrap(&at, 80 - 23).iter().enumerate() {
            let kind = if n == 0 { place.kind } else { "" };
            let _ = writeln!(text, "  {kind:21}{line}");
        }
    }
    text.push_str(
        "and what AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name. With paths: these trees, whole.",
    );
    text
}

/// Whether a path ends in `at`, or lies in it if that is a folder.
fn is_at(path: &Path, at: &str) -> bool {
    match at.strip_suffix('/') {
        Some(folder) => path.ancestors().skip(1).any(|above| above.ends_with(folder)),
        None => path.ends_with(at),
    }
}

fn is_named(path: &Path, pattern: &str) -> bool {
    let (folder, name) = match pattern.rsplit_once('/') {
        Some((folder, name)) => (Some(folder), name),
        None => (None, pattern),
    };
    let above = path.parent();
    path.file_name().and_then(|name| name.to_str()).is_some_and(|text| fits(text, name))
        && folder.is_none_or(|folder| above.is_some_and(|above| above.ends_with(folder)))
}

/// `*` stands for anything.
fn fits(text: &str, pattern: &str) -> bool {
    let Some((begins, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(text) = text.strip_prefix(begins) else { return false };
    (0..=text.len()).any(|at| text.get(at..).is_some_and(|text| fits(text, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_of_the_first_kind_that_it_fits() {
        for (path, expected) in [
            ("/home/me/.aws/credentials", "AWS credentials file"),
            ("/home/me/.aws/cli/cache/x.json", "AWS folder"),
            ("/home/me/.config/Code/User/settings.json", "IDE settings"),
            ("/home/me/.config/other.toml", "settings"),
            ("/srv/app/.env.production", "dotenv file"),
            ("/srv/app/.envelope", "file"),
            ("/srv/app/prod.tfvars", "Terraform"),
            ("/srv/app/.idea/workspace.xml", "IDE settings"),
            ("/srv/app/workspace.xml", "file"),
            ("/srv/app/values-prod.yaml", "Kubernetes"),
            ("/srv/.aws", "file"),
        ] {
            assert_eq!(kind(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn the_help_names_every_place() {
        let help = help();
        for place in PLACES {
            assert!(help.contains(place.kind));
            assert!(place.home.iter().chain(place.names).all(|at| help.contains(at)), "{place:?}");
        }
    }
}
