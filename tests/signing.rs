//! The proxy's signatures: against the vectors of AWS, against `aws-sigv4`, against the examples of the S3 user guide; and
//! what may not get through.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "a test reads files")]

#[path = "signing/bodies.rs"]
mod bodies;
#[path = "signing/client.rs"]
mod client;
#[path = "support/event_stream.rs"]
mod event_stream;
#[path = "signing/events.rs"]
mod events;
#[path = "signing/examples.rs"]
mod examples;
#[path = "signing/framed.rs"]
mod framed;
#[path = "signing/intruders.rs"]
mod intruders;
#[path = "signing/oracle.rs"]
mod oracle;
#[path = "signing/outbound.rs"]
mod outbound;
#[path = "signing/streams.rs"]
mod streams;
#[path = "signing/vectors.rs"]
mod vectors;
#[path = "signing/world.rs"]
mod world;
