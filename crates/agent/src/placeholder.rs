//! What the ids of placeholder keys look like, which programs of the proxy hold (`serving::placeholders`).

/// What a placeholder's id begins with: neither AKIA nor ASIA, so that nobody takes it for a key of AWS.
pub const PREFIX: &str = "ROTAKEY";

/// As long as an id of AWS.
pub const ID_CHARS: usize = 20;

/// Whether an access key id is one of ours.
pub fn is_placeholder(id: &str) -> bool {
    id.len() == ID_CHARS && id.starts_with(PREFIX)
}
