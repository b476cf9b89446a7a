//! Answers of STS that hold credentials: XML, or JSON if the program asked for that. Three texts in them are replaced; all
//! other bytes stay.

use std::ops::Range;

use jiff::Timestamp;
use rotakey_core::credential::{Credentials, SecretAccessKey, SessionToken};
use roxmltree::{Document, Node};
use serde_json::Value;
use zeroize::Zeroizing;

use super::local;

/// The names of what is replaced, in the order in which it is kept here.
const FIELDS: [&str; 3] = ["AccessKeyId", "SecretAccessKey", "SessionToken"];

/// An answer that is not as STS makes them. What is in it cannot be told, so it goes to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer's credentials cannot be told from the rest of it")]
pub(crate) struct NotReadable;

/// The credentials of an answer.
#[derive(Debug)]
pub(crate) struct Temporary {
    /// What AWS gave.
    pub(crate) real: Credentials,
    /// What the program gets instead.
    pub(crate) local: Credentials,
    /// When it ends.
    pub(crate) expires: Timestamp,
    /// Where the three stand in the answer.
    places: [Range<usize>; 3],
}

impl Temporary {
    /// Reads an answer, and makes what takes the place of its credentials.
    pub(crate) fn read(body: &[u8]) -> Result<Self, NotReadable> {
        let text = std::str::from_utf8(body).map_err(|_| NotReadable)?;
        let found = match text.trim_start().starts_with('{') {
            true => json(text),
            false => xml(text),
        };
        let (values, expires, places) = found.ok_or(NotReadable)?;
        let [id, secret, token] = values;
        if secret.is_empty() || token.is_empty() {
            return Err(NotReadable);
        }
        let real = Credentials {
            access_key_id: id.parse().map_err(|_| NotReadable)?,
            secret_access_key: SecretAccessKey::new(secret.to_string()),
            session_token: Some(SessionToken::new(token.to_string())),
        };
        let local = local::make().ok_or(NotReadable)?;
        Ok(Self { real, local, expires, places })
    }

    /// The answer with the local triple in the place of the real one. Fails if a part of that stands elsewhere, too.
    pub(crate) fn rewritten(&self, body: &[u8]) -> Result<Vec<u8>, NotReadable> {
        let local = texts(&self.local).ok_or(NotReadable)?;
        let mut order: Vec<_> = self.places.iter().zip(local).collect();
        order.sort_by_key(|(place, _)| place.start);
        let (mut rewritten, mut done) = (Vec::with_capacity(body.len() + 256), 0);
        for (place, text) in order {
            rewritten.extend_from_slice(body.get(done..place.start).ok_or(NotReadable)?);
            rewritten.extend_from_slice(text.as_bytes());
            done = place.end;
        }
        rewritten.extend_from_slice(body.get(done..).ok_or(NotReadable)?);
        let real = texts(&self.real).ok_or(NotReadable)?;
        let leaks = |text: &str| contains(&rewritten, text.as_bytes());
        if real.into_iter().any(leaks) { Err(NotReadable) } else { Ok(rewritten) }
    }
}

fn texts(credentials: &Credentials) -> Option<[&str; 3]> {
    let Credentials { access_key_id, secret_access_key, session_token } = credentials;
    Some([access_key_id.as_str(), secret_access_key.expose(), session_token.as_ref()?.expose()])
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

type Found = ([Zeroizing<String>; 3], Timestamp, [Range<usize>; 3]);

/// `<Credentials>`, once, with each of its parts, once.
fn xml(text: &str) -> Option<Found> {
    let document = Document::parse(text).ok()?;
    let is_named = |name: &'static str| move |node: &Node<'_, '_>| node.tag_name().name() == name;
    let credentials = only(document.descendants().filter(is_named("Credentials")))?;
    let child = |name| {
        let element = only(credentials.children().filter(is_named(name)))?;
        // One text, and nothing that has to be put together of pieces.
        let inner = only(element.children())?;
        let (value, place) = (inner.text()?, inner.range());
        (inner.is_text() && text.get(place.clone()) == Some(value)).then_some((value, place))
    };
    let expires = child("Expiration")?.0.trim().parse().ok()?;
    let [id, secret, token] = FIELDS.map(child);
    let ((id, a), (secret, b), (token, c)) = (id?, secret?, token?);
    Some(([id, secret, token].map(|text| Zeroizing::new(text.to_owned())), expires, [a, b, c]))
}

/// `"Credentials": {...}`, once, with texts that stand in the answer once.
fn json(text: &str) -> Option<Found> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut found = Vec::new();
    collect(&value, &mut found);
    let credentials = only(found.into_iter())?;
    let child = |name: &str| {
        let value = credentials.get(name)?.as_str()?;
        // Written as it is, or with the one escape that Base64 has a use for.
        let plain = once(text, &format!("\"{value}\""));
        let place = plain.or_else(|| once(text, &format!("\"{}\"", value.replace('/', "\\/"))))?;
        Some((value, place.start + 1..place.end - 1))
    };
    let expires = match credentials.get("Expiration")? {
        Value::String(text) => text.parse().ok()?,
        number => Timestamp::from_second(whole_seconds(number)?).ok()?,
    };
    let [id, secret, token] = FIELDS.map(child);
    let ((id, a), (secret, b), (token, c)) = (id?, secret?, token?);
    Some(([id, secret, token].map(|text| Zeroizing::new(text.to_owned())), expires, [a, b, c]))
}

/// STS counts `Expiration` in seconds there, with or without a fraction (`1.4327e9`).
#[expect(clippy::cast_possible_truncation, reason = "rounded down, as an end is")]
fn whole_seconds(number: &Value) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
}

fn collect<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "Credentials" {
                    found.push(member);
                }
                collect(member, found);
            }
        }
        Value::Array(members) => members.iter().for_each(|member| collect(member, found)),
        _ => {}
    }
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

fn once(text: &str, part: &str) -> Option<Range<usize>> {
    let (at, _) = only(text.match_indices(part))?;
    Some(at..at + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = "<?xml version=\"1.0\"?>\n<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
        <AssumeRoleResult>\r\n <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn></AssumedRoleUser>\
        <Credentials><SessionToken>to/ken+==</SessionToken><AccessKeyId>ASIAREAL</AccessKeyId>\
        <Expiration>2026-11-25T13:00:00Z</Expiration><SecretAccessKey>se/cret+</SecretAccessKey></Credentials>\
        </AssumeRoleResult></AssumeRoleResponse>\n";

    const JSON: &str = r#"{"AssumeRoleResponse":{"AssumeRoleResult":{"Credentials":{"AccessKeyId":"ASIAREAL",
        "SecretAccessKey":"se\/cret+","SessionToken":"to/ken+==","Expiration":1.795611600E9},"Packed":null}}}"#;

    fn rewritten(text: &str) -> (Temporary, String) {
        let read = Temporary::read(text.as_bytes()).expect("readable");
        let new = String::from_utf8(read.rewritten(text.as_bytes()).expect("clean"));
        (read, new.expect("text"))
    }

    #[test]
    fn three_texts_are_replaced_and_nothing_else() {
        for (text, forms) in [
            (XML, ["ASIAREAL", "se/cret+", "to/ken+=="]),
            (JSON, ["ASIAREAL", "se\\/cret+", "to/ken+=="]),
        ] {
            let (read, new) = rewritten(text);
            assert_eq!(read.real.secret_access_key.expose(), "se/cret+");
            assert_eq!(read.expires.as_second(), 1_795_611_600);
            let mut expected = text.to_owned();
            for (form, local) in forms.into_iter().zip(texts(&read.local).expect("a triple")) {
                expected = expected.replace(form, local);
            }
            assert_eq!(new, expected);
        }
    }

    #[test]
    fn an_answer_of_which_not_all_is_understood_goes_to_nobody() {
        let swap = |from, to| XML.replacen(from, to, 1);
        for odd in [
            String::new(),
            "<x/>".to_owned(),
            swap("ASIAREAL", "ASIA<!-- x -->REAL"),
            swap("ASIAREAL", "&#65;SIAREAL"),
            swap("se/cret+", ""),
            swap("se/cret+", "<![CDATA[se/cret+]]>"),
            swap("2026-11-25T13:00:00Z", "soon"),
            swap("<Credentials>", "<Credentials/><Credentials>"),
            swap("<SessionToken>to/ken+==</SessionToken>", ""),
            swap("<AccessKeyId>", "<AccessKeyId>ASIAREAL</AccessKeyId><AccessKeyId>"),
            JSON.replace("\"Packed\":null", "\"Credentials\":{}"),
            JSON.replace("\"Packed\":null", "\"Packed\":\"se\\/cret+\""),
            JSON.replace("ASIAREAL", "\\u0041SIAREAL"),
        ] {
            assert_eq!(Temporary::read(odd.as_bytes()).map(drop), Err(NotReadable), "{odd}");
        }
        // The same text in another place: it would go out with the rest.
        let twice = swap("</Arn>", "to/ken+==</Arn>");
        let read = Temporary::read(twice.as_bytes()).expect("readable");
        assert_eq!(read.rewritten(twice.as_bytes()), Err(NotReadable));
    }
}
