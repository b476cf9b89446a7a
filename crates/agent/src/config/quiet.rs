//! Hours in which nothing is begun, deactivated or deleted: `"08:00-18:00"`, by this machine's local time.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use super::ConfigError;
use super::reader::Reader;

/// What is left of a day must be as long: a rotation has to begin, and to end, some time.
const LEFT_MINUTES: usize = 60;

const DAY_MINUTES: usize = 24 * 60;

/// Times of the day, local; empty if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuietHours(Vec<(Time, Time)>);

impl QuietHours {
    /// Reads `"22:00-06:00"`, or several of them.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let hours = texts.into_iter().map(range).collect::<Result<Vec<_>, _>>().map(Self)?;
        let quiet = (0..DAY_MINUTES).filter(|minute| hours.covers(at_minute(*minute))).count();
        if quiet + LEFT_MINUTES > DAY_MINUTES {
            return Err("they leave less than an hour of the day".to_owned());
        }
        Ok(hours)
    }

    /// When they end, if it is quiet at `now`.
    pub fn until(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut end = self.end_of_one(now, zone)?;
        // Where one ends, another one may begin.
        for _ in &self.0 {
            match self.end_of_one(end, zone) {
                Some(next) => end = next,
                None => break,
            }
        }
        Some(end)
    }

    fn end_of_one(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(now);
        let (start, end) = self.0.iter().find(|range| holds(range, local.time()))?;
        let is_tomorrow = end <= start && local.time() >= *start;
        let day = if is_tomorrow { local.date().tomorrow().ok()? } else { local.date() };
        // Where clocks are set back, the end comes twice: the later one counts.
        zone.to_ambiguous_timestamp(day.to_datetime(*end)).later().ok()
    }

    fn covers(&self, time: Time) -> bool {
        self.0.iter().any(|range| holds(range, time))
    }
}

fn holds((start, end): &(Time, Time), time: Time) -> bool {
    match start < end {
        true => (*start..*end).contains(&time),
        false => time >= *start || time < *end,
    }
}

fn at_minute(minute: usize) -> Time {
    let part = |n: usize| i8::try_from(n).unwrap_or(0);
    Time::constant(part(minute / 60), part(minute % 60), 0, 0)
}

fn range(text: &str) -> Result<(Time, Time), String> {
    let wrong = || format!("{text:?} is not a range like \"08:00-18:00\"");
    let (start, end) = text.split_once('-').ok_or_else(wrong)?;
    let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| wrong());
    let (start, end) = (time(start)?, time(end)?);
    if start == end { Err(wrong()) } else { Ok((start, end)) }
}

/// The key `quiet_hours`: one text or a list of texts.
pub(super) fn read(read: &Reader<'_>) -> Result<QuietHours, ConfigError> {
    let texts =
        read.get("quiet_hours", "\"08:00-18:00\", or a list of such", |value| match value {
            toml::Value::String(text) => Some(vec![text.as_str()]),
            toml::Value::Array(list) => list.iter().map(toml::Value::as_str).collect(),
            _ => None,
        })?;
    QuietHours::parse(texts.unwrap_or_default()).map_err(|why| {
        ConfigError::new(
            format!("{}: quiet_hours: {why}", read.at),
            "write quiet_hours = \"08:00-18:00\", in local time; \"22:00-06:00\" goes over midnight",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn until(hours: &[&str], now: &str, zone: &TimeZone) -> Option<String> {
        let hours = QuietHours::parse(hours.iter().copied()).expect("hours");
        hours.until(at(now), zone).map(|end| end.to_string())
    }

    #[test]
    fn a_range_ends_the_same_day_or_the_next() {
        let utc = TimeZone::UTC;
        let day = |now| until(&["08:00-18:00"], now, &utc);
        assert_eq!(day("2026-03-01T07:59:59Z"), None);
        assert_eq!(day("2026-03-01T08:00:00Z").as_deref(), Some("2026-03-01T18:00:00Z"));
        assert_eq!(day("2026-03-01T18:00:00Z"), None);
        let night = |now| until(&["22:00-06:00"], now, &utc);
        assert_eq!(night("2026-03-01T23:00:00Z").as_deref(), Some("2026-03-02T06:00:00Z"));
        assert_eq!(night("2026-03-02T05:59:59Z").as_deref(), Some("2026-03-02T06:00:00Z"));
        assert_eq!(night("2026-03-02T12:00:00Z"), None);
        assert_eq!(until(&[], "2026-03-02T12:00:00Z", &utc), None);
    }

    #[test]
    fn ranges_that_meet_are_one() {
        let list = ["08:00-12:00", "12:00-13:30", "13:00-18:00"];
        let end = until(&list, "2026-03-01T09:00:00Z", &TimeZone::UTC);
        assert_eq!(end.as_deref(), Some("2026-03-01T18:00:00Z"));
    }

    #[test]
    fn the_times_are_local_and_an_end_that_comes_twice_is_the_later_one() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let end = |now| until(&["01:00-02:30"], now, &zone);
        assert_eq!(end("2026-06-01T00:00:00Z").as_deref(), Some("2026-06-01T00:30:00Z"));
        // 2026-10-25: from 03:00 back to 02:00 at 01:00Z; 02:10 and 02:30 come twice.
        for now in ["2026-10-25T00:10:00Z", "2026-10-25T01:10:00Z"] {
            assert_eq!(end(now).as_deref(), Some("2026-10-25T01:30:00Z"));
        }
    }

    #[test]
    fn what_is_no_range_or_leaves_no_hour_is_refused() {
        for text in ["", "8", "08:00", "08:00-08:00", "08:00-25:00", "a-b", "08:00-18:00-20:00"] {
            assert!(QuietHours::parse([text]).is_err(), "{text}");
        }
        assert!(QuietHours::parse(["00:00-12:00", "12:00-23:01"]).is_err());
        assert!(QuietHours::parse(["00:00-12:00", "12:00-23:00"]).is_ok());
    }
}
