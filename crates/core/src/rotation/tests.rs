//! The machine against a world in memory: every crash and every fault at every command.

mod alone;
mod answers;
mod enumeration;
mod guard;
mod meddling;
mod rules;
mod world;
