//! `mfa_process`: a command that prints a code.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

use crate::iam::MfaCode;

/// How long it may take: somebody may have to touch a key.
const LIMIT: Duration = Duration::from_secs(30);

/// Longer output is no code.
const LONGEST: usize = 1024;

/// Runs it by `sh -c`, as SDKs run a `credential_process`, without input. The error never says what it printed, nor
/// the command, which may hold a secret.
pub(super) async fn run(command: &str) -> Result<MfaCode, String> {
    run_within(command, LIMIT).await
}

async fn run_within(command: &str, limit: Duration) -> Result<MfaCode, String> {
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // `credential-process`, which may be what needs the code, writes nothing there.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("it does not start: {error}"))?;
    let mut output = child.stdout.take().ok_or("it has no output")?.take(LONGEST as u64);
    let mut printed = Zeroizing::new(Vec::with_capacity(LONGEST));
    let ended = tokio::time::timeout(limit, async {
        output.read_to_end(&mut printed).await?;
        drop(output);
        child.wait().await
    });
    let status = ended
        .await
        .map_err(|_| format!("it does not end within {}s", limit.as_secs()))?
        .map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("it failed: {status}"));
    }
    let text = std::str::from_utf8(&printed).map_err(|_| "it printed no six digits")?;
    MfaCode::new(text).map_err(|_| "it printed no six digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn six_digits_are_taken_and_nothing_else_is_told() {
        assert_eq!(run("echo 123456").await, MfaCode::new("123456").map_err(|e| e.to_string()));
        assert!(run("cat; printf '12 34 56'").await.is_ok(), "it has no input");
        for (command, expected) in [
            ("echo 654321; exit 3", "3"),
            ("echo code: 654321", "six digits"),
            ("yes 654321", "fail"),
            ("true", "six digits"),
            ("/nonexistent/654321", "failed"),
        ] {
            let error = run(command).await.expect_err(command);
            assert!(error.contains(expected) && !error.contains("654321"), "{command}: {error}");
        }
        let error = run_within("sleep 600", Duration::from_millis(50)).await.expect_err("too slow");
        assert!(error.contains("within"), "{error}");
    }
}
