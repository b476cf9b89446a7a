//! The journal: what was intended and what was done, one line each, synced before the world is touched.

mod codec;
mod record;
mod status;

pub use codec::{Chain, Damage, HEADER, Tail, decode};
pub use record::{Act, Entry, Reason, Record, RotationId};
pub use status::{Enrolment, Illegal, Key, Open, Origin, Orphan, Status, Step};
