//! The machine against a world in memory: every crash and every fault at every command.

mod alone;
mod answers;
mod asking;
mod compromised;
mod creation;
mod enumeration;
mod guard;
mod meddling;
mod moments;
mod patience;
mod planning;
mod preflight;
mod retiring;
mod rules;
mod wishes;
mod words;
mod world;
