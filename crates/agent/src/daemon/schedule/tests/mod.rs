//! When what is done.

mod desk;
mod due;
mod pauses;
mod quiet;
mod soak;
