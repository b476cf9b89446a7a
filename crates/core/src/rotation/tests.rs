//! The machine against a world in memory: every crash and every fault at every command.

mod enumeration;
mod meddling;
mod rules;
mod world;
