//! A notification on the desktop: `org.freedesktop.Notifications` on the session's bus, if there is one.

use std::collections::HashMap;
use std::time::Duration;

use zbus::blocking::connection::Builder;
use zbus::zvariant::Value;

use super::{Kind, News};

/// The interface, which is also the name of the service.
const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// A server that does not answer by then is left alone.
const LIMIT: Duration = Duration::from_secs(5);

/// Until the server takes it away, as it sees fit.
const EXPIRES: i32 = -1;

/// Shows it.
pub(super) fn notify(news: &News) -> zbus::Result<()> {
    let bus = Builder::session()?.method_timeout(LIMIT).build()?;
    let (summary, body) = (summary(news), body(news));
    let actions: [&str; 0] = [];
    let hints = HashMap::from([
        ("urgency", Value::from(urgency(news.kind))),
        ("category", Value::from("network")),
    ]);
    let arguments =
        ("rotakey", 0u32, "dialog-password", summary, body, &actions[..], hints, EXPIRES);
    bus.call_method(Some(SERVICE), PATH, Some(SERVICE), "Notify", &arguments)?;
    Ok(())
}

/// 0 low, 1 normal, 2 critical: it stays until somebody has seen it.
fn urgency(kind: Kind) -> u8 {
    match kind {
        kind if kind.is_urgent() => 2,
        Kind::Failed | Kind::Reactivated => 1,
        _ => 0,
    }
}

fn summary(news: &News) -> String {
    format!("rotakey: {} {}", news.profile, news.kind.name())
}

/// Servers may take it for markup.
fn body(news: &News) -> String {
    let mut text = news.message.clone();
    if let Some(hint) = &news.hint {
        text.push('\n');
        text.push_str(hint);
    }
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
