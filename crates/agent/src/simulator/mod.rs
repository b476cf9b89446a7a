//! The embedded simulator of IAM and STS, and of as much of S3 and DynamoDB as programs need to have something
//! to do with their credentials: one pure state machine, [`Simulator`], with two fronts.
//!
//! [`Server`] speaks HTTP, checks real signatures, and is what the SDKs, the demo and the end-to-end tests talk
//! to; [`InProcess`] implements the agent's own `KeyService` on simulated time. Both know the same
//! [`Behaviour`] and [`Fault`]s, and both are set up through [`Command`]s: posted as JSON to
//! [`CONTROL_PATH`], or given to [`Simulator::control`].

mod account;
mod admission;
mod answer;
mod behaviour;
mod control;
mod dynamodb;
mod front;
mod http;
mod iam;
mod identity;
mod in_process;
mod lot;
mod message;
mod mfa;
mod policies;
mod refused;
mod reply;
mod roles;
mod s3;
mod sessions;
mod sigv4;
mod state;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests_http;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests_sessions;
mod xml;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::clock::{Clock as _, SystemClock};

pub use self::answer::{Answer, AssumedRow, Document, KeyRow, SessionRow, UseRow, UserRow};
pub use self::behaviour::{Behaviour, Fault};
pub use self::control::Command;
pub use self::http::{CONTROL_PATH, Clock, Server, Shared};
pub use self::in_process::InProcess;
pub use self::message::{ApiError, Call, Delivery, Event, Protocol, Reply, Request, Signature};
pub use self::state::Simulator;

/// Serves until SIGTERM or SIGINT. First writes one line of JSON, with `endpoint_url` and `control_url`.
pub async fn serve(
    listen: SocketAddr,
    behaviour: Behaviour,
    out: &mut impl Write,
) -> io::Result<()> {
    let simulator = Arc::new(Mutex::new(Simulator::new(behaviour)));
    // Before the line is written: whoever reads it may send the signal at once.
    let ended = end_signal()?;
    let server = Server::start(simulator, || SystemClock::default().now().wall, listen).await?;
    let endpoint = server.endpoint_url();
    let control = format!("{endpoint}{CONTROL_PATH}");
    let line = serde_json::json!({ "endpoint_url": endpoint, "control_url": control });
    writeln!(out, "{line}")?;
    out.flush()?;
    ended.await;
    server.stop().await;
    Ok(())
}

#[cfg(unix)]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a handler there is nothing to wait for.
        let _ = tokio::signal::ctrl_c().await;
    })
}
