//! The property list for launchd. It is made on every system, so that it can be tested; it has not run on macOS yet.

use std::fmt::Write as _;
use std::path::Path;

/// What launchd calls the agent, and the name of its file without `.plist`.
pub const LABEL: &str = "rotakey.agent";

/// The text for `~/Library/LaunchAgents/rotakey.agent.plist`. The agent opens its sockets itself.
pub fn plist(program: &Path, env: &[(String, String)], log: &Path) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>{LABEL}</string>\n  <key>ProgramArguments</key>\n  <array>\n"
    );
    for word in [program.to_string_lossy().as_ref(), "agent"] {
        let _ = writeln!(text, "    <string>{}</string>", escaped(word));
    }
    text.push_str("  </array>\n");
    if !env.is_empty() {
        text.push_str("  <key>EnvironmentVariables</key>\n  <dict>\n");
        for (name, value) in env {
            let (name, value) = (escaped(name), escaped(value));
            let _ = writeln!(text, "    <key>{name}</key>\n    <string>{value}</string>");
        }
        text.push_str("  </dict>\n");
    }
    let log = escaped(&log.to_string_lossy());
    // 63 is 077: property lists have no octal numbers.
    let _ = write!(
        text,
        "  <key>RunAtLoad</key>\n  <true/>\n  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n  \
         <key>ThrottleInterval</key>\n  <integer>10</integer>\n  <key>ProcessType</key>\n  <string>Adaptive</string>\n  \
         <key>Umask</key>\n  <integer>63</integer>\n  <key>HardResourceLimits</key>\n  <dict>\n    <key>Core</key>\n    <integer>0</integer>\n  </dict>\n  \
         <key>StandardErrorPath</key>\n  <string>{log}</string>\n</dict>\n</plist>\n"
    );
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
