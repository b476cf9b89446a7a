//! The forms in which a secret could be hidden, for the tests that look for one.

use std::fmt::Write as _;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub fn base64(bytes: &[u8], url: bool) -> String {
    let alphabet: &[u8; 64] = if url {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    } else {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    };
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let at = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for n in 0..=three.len() {
            text.push(char::from(alphabet[(bits >> (18 - 6 * n) & 63) as usize]));
        }
    }
    text
}

pub fn percent(text: &str, all: bool, upper: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if !all && (byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)) {
            out.push(char::from(byte));
        } else if upper {
            write!(out, "%{byte:02X}").unwrap();
        } else {
            write!(out, "%{byte:02x}").unwrap();
        }
        out
    })
}

/// A text in every form, each with its name.
pub fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let decimal: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        ("raw", secret.to_owned()),
        ("reversed", secret.chars().rev().collect()),
        ("hex", hex(bytes)),
        ("HEX", hex(bytes).to_uppercase()),
        ("percent", percent(secret, false, true)),
        ("percent lower", percent(secret, false, false)),
        ("percent all", percent(secret, true, true)),
        ("percent all lower", percent(secret, true, false)),
        ("form", percent(secret, false, true).replace("%20", "+")),
        ("JSON with \\/", secret.replace('/', "\\/")),
        ("bytes", decimal.join(", ")),
        ("bytes, dense", decimal.join(",")),
    ];
    // In base64 it looks different at each of three offsets; the letters it shares with its neighbours are left out.
    for (offset, skip) in [(0, 0), (1, 2), (2, 3)] {
        let mut padded = vec![0; offset];
        padded.extend_from_slice(bytes);
        let partial = usize::from(padded.len() % 3 != 0);
        for (name, url) in [("base64", false), ("base64url", true)] {
            let text = base64(&padded, url);
            forms.push((name, text[skip..text.len() - partial].to_owned()));
        }
    }
    forms
}

/// A secret in every form in which it is looked for.
pub struct Needle(Vec<(&'static str, String)>);

impl Needle {
    pub fn new(secret: &str) -> Self {
        let mut forms = forms(secret);
        // Half of one is a leak too.
        if secret.len() >= 40 {
            let (first, second) = secret.split_at(secret.len() / 2);
            forms.extend([("half", first.to_owned()), ("half", second.to_owned())]);
        }
        Self(forms)
    }

    /// The form in which it stands in the text, if it does.
    pub fn find(&self, text: &str) -> Option<&'static str> {
        self.0.iter().find(|(_, form)| text.contains(form.as_str())).map(|(name, _)| *name)
    }
}

/// All forms are ASCII, so that bytes which are no text cannot hide one.
pub fn find_secret(bytes: &[u8], secret: &str) -> Option<&'static str> {
    Needle::new(secret).find(&String::from_utf8_lossy(bytes))
}
