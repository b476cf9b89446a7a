//! The tokens that callers of the container endpoint show, one a profile, in `state/<profile>/token`.
//!
//! They outlive restarts, since programs were started with them, and change only when a person revokes them.

use std::path::{Path, PathBuf};

use rotakey_endpoint::table::CallerToken;
use zeroize::Zeroizing;

use crate::failure::{Exit, Failed};
use crate::store::disk;

/// Where a profile's token is. SDKs read it from there themselves (`AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`).
pub fn path(state: &Path, profile: &str) -> PathBuf {
    state.join(profile).join("token")
}

/// The profile's token; made if there is none.
pub fn load_or_make(state: &Path, profile: &str) -> Result<CallerToken, Failed> {
    match load(state, profile)? {
        Some(token) => Ok(token),
        None => make(state, profile),
    }
}

/// The profile's token, if there is one. Nothing is written.
pub fn load(state: &Path, profile: &str) -> Result<Option<CallerToken>, Failed> {
    let path = path(state, profile);
    disk::check_private(&path).map_err(|error| unusable(&path, &error))?;
    if let Some(bytes) = disk::read(&path).map_err(|error| unusable(&path, &error))? {
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).ok().filter(|text| is_token(text));
        return text.map(|text| Some(CallerToken::new(text.to_owned()))).ok_or_else(|| {
            let damaged = std::io::Error::other("it is not 64 hexadecimal digits");
            unusable(&path, &damaged)
        });
    }
    Ok(None)
}

/// A new token in the place of the old one, which is worth nothing from then on.
pub fn make(state: &Path, profile: &str) -> Result<CallerToken, Failed> {
    let path = path(state, profile);
    let mut random = Zeroizing::new([0u8; 32]);
    getrandom::fill(random.as_mut())
        .map_err(|error| Failed::new(Exit::Failed, format!("no randomness: {error}")))?;
    let text = Zeroizing::new(hex::encode(random.as_ref()));
    let written = disk::create_private_dir(&state.join(profile))
        .and_then(|()| disk::replace_unlocked(&path, text.as_bytes()));
    written.map_err(|error| unusable(&path, &error))?;
    Ok(CallerToken::new(text.as_str().to_owned()))
}

/// The key of the tokens that IMDS gives out: kept, so that a program's token outlives a restart of ours.
pub fn imds_key(state: &Path) -> Result<Zeroizing<[u8; 32]>, Failed> {
    let path = state.join("imds-key");
    disk::check_private(&path).map_err(|error| unusable(&path, &error))?;
    let kept = disk::read(&path).map_err(|error| unusable(&path, &error))?.map(Zeroizing::new);
    if let Some(key) = kept.and_then(|kept| <[u8; 32]>::try_from(kept.as_slice()).ok()) {
        return Ok(Zeroizing::new(key));
    }
    let mut key = Zeroizing::new([0u8; 32]);
    getrandom::fill(key.as_mut())
        .map_err(|error| Failed::new(Exit::Failed, format!("no randomness: {error}")))?;
    let written =
        disk::create_private_dir(state).and_then(|()| disk::replace_unlocked(&path, key.as_ref()));
    written.map_err(|error| unusable(&path, &error))?;
    Ok(key)
}

/// SDKs put it into a header as it is: no blank, no line end.
fn is_token(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn unusable(path: &Path, error: &std::io::Error) -> Failed {
    Failed::new(Exit::Failed, format!("cannot use the token {}: {error}", path.display())).hint(
        "make the folder yours alone (chmod 700, files 600); `rotakey revoke` makes a new token",
    )
}
