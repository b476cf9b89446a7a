//! Where the passphrase of the encrypted file comes from.
#![allow(clippy::disallowed_methods, reason = "it checks owner and mode before it reads")]

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

/// Who waits for a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A person, or the agent at its start. A command may talk to him.
    Person,
    /// A program that waits for its credential for a few seconds. A command that takes longer is killed, and whatever
    /// it began: it would hold the pipes open that the program reads to their end.
    Program,
}

impl Asker {
    fn patience(self) -> Duration {
        match self {
            Self::Person => Duration::from_secs(30),
            Self::Program => Duration::from_secs(4),
        }
    }
}

/// Longest passphrase taken: enough for a key in base64, and an end to a mistaken `/dev/zero`.
const LONGEST: u64 = 4096;

/// A source of the passphrase, asked only once it is needed.
#[derive(Clone)]
pub enum Passphrase {
    /// A file that only its owner can read.
    File(PathBuf),
    /// What a command, run by `sh -c`, writes to its standard output.
    Command(String, Asker),
    /// A credential that systemd hands to the service.
    Credential {
        /// The value of `$CREDENTIALS_DIRECTORY`, if it is set.
        directory: Option<PathBuf>,
        /// The name given in `LoadCredential=` or `LoadCredentialEncrypted=`.
        name: String,
    },
    /// The passphrase itself, for tests.
    Literal(Zeroizing<String>),
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Command(..) => f.write_str("Command([redacted])"),
            Self::Credential { name, .. } => f.debug_tuple("Credential").field(name).finish(),
            Self::Literal(_) => f.write_str("Literal([redacted])"),
        }
    }
}

impl Passphrase {
    /// Gets the passphrase, without the newline that ends it. The error says why there is none.
    pub fn obtain(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut passphrase = match self {
            Self::File(path) => read(path, true)?,
            Self::Command(command, asker) => run(command, *asker)?,
            Self::Credential { directory, name } => {
                let directory = directory.as_ref().ok_or_else(|| {
                    format!("no $CREDENTIALS_DIRECTORY to take the credential {name} from")
                })?;
                if name.is_empty() || name.contains('/') || name == ".." {
                    return Err(format!("{name:?} is not the name of a credential"));
                }
                // systemd guards that folder itself, with modes that look open (0440).
                read(&directory.join(name), false)?
            }
            Self::Literal(text) => Zeroizing::new(text.as_bytes().to_vec()),
        };
        if passphrase.last() == Some(&b'\n') {
            passphrase.pop();
            if passphrase.last() == Some(&b'\r') {
                passphrase.pop();
            }
        }
        if passphrase.is_empty() {
            return Err("the passphrase is empty".to_owned());
        }
        Ok(passphrase)
    }
}

fn read(path: &Path, must_be_private: bool) -> Result<Zeroizing<Vec<u8>>, String> {
    let why = |reason: &dyn fmt::Display| format!("passphrase file {}: {reason}", path.display());
    let file = File::open(path).map_err(|error| why(&error))?;
    if must_be_private {
        let metadata = file.metadata().map_err(|error| why(&error))?;
        if let Some(reason) = super::private::not_private(&metadata) {
            return Err(why(&reason));
        }
    }
    read_all(file).map_err(|reason| why(&reason))
}

fn read_all(source: impl Read) -> Result<Zeroizing<Vec<u8>>, String> {
    // Allocated in full first: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    source.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("longer than {LONGEST} bytes"));
    }
    Ok(bytes)
}

fn run(command: &str, asker: Asker) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped());
    #[cfg(unix)]
    if asker == Asker::Program {
        use std::os::unix::process::CommandExt;
        shell.stderr(Stdio::null()).process_group(0);
    }
    let mut child =
        shell.spawn().map_err(|error| format!("passphrase command did not start: {error}"))?;
    let output = child.stdout.take().expect("standard output was piped");
    let deadline = Instant::now() + asker.patience();
    let (send, receive) = mpsc::channel();
    // Read beside, since a grandchild can hold the pipe open for as long as it likes.
    thread::spawn(move || {
        // Nobody listens any more after the timeout.
        let _ = send.send(read_all(output));
    });
    let answer = receive.recv_timeout(asker.patience());
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            _ => break None,
        }
    };
    let (Some(status), Ok(answer)) = (status, answer) else {
        // It may have ended just now; then there is nothing to kill.
        #[cfg(unix)]
        if asker == Asker::Program {
            use rustix::process::{Pid, Signal, kill_process_group};
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("passphrase command did not end in {} s", asker.patience().as_secs()));
    };
    if !status.success() {
        return Err(format!("passphrase command failed: {status}"));
    }
    answer.map_err(|reason| format!("passphrase command: {reason}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_source_gives_the_passphrase_without_its_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        std::fs::write(&path, "tidal moon \n").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |mode| std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode(0o640)).unwrap();
            let refused = Passphrase::File(path.clone()).obtain().unwrap_err();
            assert!(refused.contains("640"), "{refused}");
            std::fs::set_permissions(&path, mode(0o600)).unwrap();
        }
        let directory = Some(folder.path().to_owned());
        for source in [
            Passphrase::File(path),
            Passphrase::Command("printf 'tidal moon \\n'".to_owned(), Asker::Person),
            Passphrase::Credential { directory, name: "pass".to_owned() },
            Passphrase::Literal(Zeroizing::new("tidal moon ".to_owned())),
        ] {
            assert_eq!(source.obtain().unwrap().as_slice(), b"tidal moon ", "{source:?}");
        }
    }

    #[test]
    fn a_missing_passphrase_says_why() {
        for (source, expected) in [
            (Passphrase::File("/nonexistent".into()), "/nonexistent"),
            (Passphrase::Command("exit 3".to_owned(), Asker::Program), "3"),
            (Passphrase::Command("echo".to_owned(), Asker::Person), "empty"),
            (Passphrase::Credential { directory: None, name: "p".to_owned() }, "$CREDENTIALS"),
            (
                Passphrase::Credential { directory: Some("/tmp".into()), name: "../x".to_owned() },
                "not the name",
            ),
        ] {
            let error = source.obtain().unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
