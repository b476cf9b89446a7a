//! The dates of requests: `20130524T000000Z`, and those of the `Date` header.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;

/// A date of the basic form of ISO 8601, to the second and in UTC, as `X-Amz-Date` has it. `None` for any other form.
pub fn parse_basic(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let is_digit = |(at, byte): (usize, &u8)| match at {
        8 => *byte == b'T',
        15 => *byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    if bytes.len() != 16 || !bytes.iter().enumerate().all(is_digit) {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i8>().ok();
    let year: i16 = text.get(..4)?.parse().ok()?;
    let time = DateTime::new(
        year,
        part(4, 6)?,
        part(6, 8)?,
        part(9, 11)?,
        part(11, 13)?,
        part(13, 15)?,
        0,
    );
    Some(time.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The `Date` header: `Fri, 24 May 2013 00:00:00 GMT`, or the basic form.
pub fn parse_http(text: &str) -> Option<Timestamp> {
    parse_basic(text).or_else(|| DateTimeParser::new().parse_timestamp(text).ok())
}

/// `20130524T000000Z`. Parts of a second are cut off.
pub fn format_basic(at: Timestamp) -> String {
    Basic::of(at).as_str().to_owned()
}

/// A date of that form. Every request is dated twice: it takes no memory of its own.
pub(super) struct Basic([u8; 16]);

impl Basic {
    pub(super) fn of(at: Timestamp) -> Self {
        let at = TimeZone::UTC.to_datetime(at);
        let mut text = *b"00000000T000000Z";
        write(&mut text[..4], at.year());
        let parts = [at.month(), at.day(), at.hour(), at.minute(), at.second()];
        for (part, from) in parts.into_iter().zip([4, 6, 9, 11, 13]) {
            write(&mut text[from..from + 2], part.into());
        }
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The last digits of a number. Formatting takes longer than the hash of a request.
fn write(place: &mut [u8], mut value: i16) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_nothing_else() {
        let at = parse_basic("20130524T000102Z").expect("a date");
        assert_eq!(at.to_string(), "2013-05-24T00:01:02Z");
        assert_eq!(parse_http("Fri, 24 May 2013 00:01:02 GMT"), Some(at));
        assert_eq!(parse_http("20130524T000102Z"), Some(at));
        assert_eq!(format_basic(at), "20130524T000102Z");
        for bad in [
            "",
            "20130524T000102",
            "20130524 000102Z",
            "2013-05-24T00:01:02Z",
            "20131324T000102Z",
            "20130524T250102Z",
            "+0130524T000102Z",
            "2013052\u{e4}T00102Z",
        ] {
            assert_eq!(parse_basic(bad), None, "{bad}");
        }
        assert_eq!(parse_http("yesterday"), None);
    }
}
