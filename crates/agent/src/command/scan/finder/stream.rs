//! Where ids stand in a file of any length: window after window, each with the end of the one before.

use std::io::{self, Read};

use zeroize::Zeroizing;

use super::{BYTES_BESIDE, CHUNK, Finder, Places, from_utf16, is_utf16};

/// What is kept of the text on either side of a window's border: an id, and whatever may hold its secret.
const MARGIN: usize = 2 * BYTES_BESIDE;

impl Finder {
    /// Where the ids stand in a file, and how many more there are than are told. Its length costs time, not memory.
    pub(in super::super) fn places_in(&self, mut file: impl Read) -> io::Result<Places> {
        let mut chunk = Zeroizing::new(vec![0; CHUNK]);
        // Text in UTF-16 becomes half as long again at most. A vector that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(2 * CHUNK));
        let mut places = Places::default();
        let (mut from, mut utf16, mut is_first) = (0, None, true);
        loop {
            let read = fill(&mut file, &mut chunk)?;
            let mut bytes = &chunk[..read];
            if is_first && is_utf16(bytes) {
                utf16 = Some(bytes[0] == 0xff);
                bytes = &bytes[2..];
            }
            is_first = false;
            match utf16 {
                Some(little) => text.extend_from_slice(from_utf16(bytes, little).as_bytes()),
                None => text.extend_from_slice(bytes),
            }
            let is_last = read < CHUNK;
            let to = if is_last { text.len() } else { text.len().saturating_sub(MARGIN).max(from) };
            self.places_between(&text, from..to, &mut places);
            if is_last {
                return Ok(places);
            }
            let gone = to.saturating_sub(MARGIN);
            text.drain(..gone);
            from = to - gone;
        }
    }
}

/// Reads until the buffer is full or the file ends: in between, no letter of UTF-16 is torn.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut total = 0;
    while total < buffer.len() {
        match file.read(&mut buffer[total..]) {
            Ok(0) => break,
            Ok(read) => total += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}
