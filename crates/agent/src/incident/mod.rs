//! A key that leaked: what is written down about it, what ends the sessions made from it, and what AWS does by itself.

pub mod advice;
pub mod evidence;
pub mod quarantine;
pub mod sessions;
mod timeline;
