//! A profile for a person.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rotakey_core::journal::{Key, Open, Step};
use rotakey_core::time::later;
use rotakey_endpoint::table::Source;
use serde_json::json;

use super::headline::Headline;
use super::style::{Style, near};
use super::view::View;
use super::when;
use crate::app::no_key_hint;
use crate::cis::{self, AGE_DAYS};
use crate::command::incident::replace_by_hand;
use crate::config::duration;
use crate::serving::holders::Holder;
use crate::telling;

/// No more holders of a key are named.
const HOLDERS_SHOWN: usize = 5;

impl View {
    pub(super) fn text(&self, style: &Style) -> Vec<String> {
        let is_withdrawn = self.status.withdrawn.is_some();
        let open = self.status.rotation.as_ref();
        let has_leaked = is_withdrawn || open.is_some_and(|open| open.compromised.is_some());
        let mut lines = vec![style.headline(&self.name, Headline::of(self))];
        let whose = self.status.enrolment.as_ref().map_or("no key yet", |e| e.arn.as_str());
        lines.extend(style.row("user", whose));
        if self.status.current.is_none() && self.status.rotation.is_none() {
            lines.extend(style.row("hint", &no_key_hint(&self.name)));
        }
        match &self.status.current {
            Some(key) if is_withdrawn => {
                lines
                    .extend(style.row("serves", &format!("nothing: {} is out of service", key.id)));
                lines.extend(style.row("hint", &replace_by_hand(&self.name)));
            }
            Some(key) => lines.extend(style.row("serves", &self.key(key, style, ""))),
            None => {}
        }
        match &self.status.rotation {
            Some(open) => lines.extend(self.rotation(open, style)),
            None if is_withdrawn => {}
            None => lines.extend(self.next(style)),
        }
        if let Some((what, until, detail)) = self.held_up() {
            let mut text = what.to_owned();
            if let Some(until) = until {
                text.push_str(&format!(", until {}", self.at(until)));
            }
            if let Some(detail) = detail {
                text.push_str(&format!(": {detail}"));
            }
            lines.extend(style.row("held up", &text));
        }
        lines.extend(self.sources_text(style));
        lines.extend(self.through_the_proxy(style));
        for warning in self.warnings() {
            lines.extend(style.row("warning", &warning));
        }
        // What came of an earlier rotation is no concern of whoever has a leaked key on his hands.
        if let Some((why, hint)) = self.last_error().filter(|_| !has_leaked) {
            lines.extend(style.row("last time", &why));
            lines.extend(style.row("hint", &hint));
        }
        if let Some(news) = &self.news {
            let when = near(news.time, self.now.wall);
            lines.extend(
                style.row("news", &format!("{when} {}: {}", news.kind.name(), news.message)),
            );
            let is_stuck = self.status.rotation.as_ref().is_some_and(|open| open.stuck.is_some());
            let of_stuck = is_stuck.then(|| telling::choices(&self.name));
            let said = [of_stuck, self.last_error().map(|(_, hint)| hint)];
            let is_news = news.hint.is_some() && !said.contains(&news.hint);
            if let Some(hint) = news.hint.as_ref().filter(|_| news.kind.is_urgent() && is_news) {
                lines.extend(style.row("hint", hint));
            }
        }
        lines
    }

    /// `AKIA…  31 days old  [######--------------] of 90 (CIS)`
    fn key(&self, key: &Key, style: &Style, more: &str) -> String {
        let Some(created) = key.created else {
            return format!("{}, of unknown age{more}", key.id);
        };
        let days = cis::days_old(created, self.now.wall);
        let limit = if self.is_too_old(key) {
            format!("past {AGE_DAYS} (CIS)")
        } else {
            format!("of {AGE_DAYS} (CIS)")
        };
        let unit = if days == 1 { "day" } else { "days" };
        format!("{} {} {days} {unit} old, {limit}{more}", key.id, style.bar(days, AGE_DAYS))
    }

    fn rotation(&self, open: &Open, style: &Style) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(previous) = self.previous(open) {
            let fate = match open.deactivated {
                Some(at) => {
                    let after = later(at, self.settings.policy.soak);
                    format!(" Inactive, deleted after {}", self.at(after))
                }
                None if open.step > Step::Drain => " Active, to be deactivated".to_owned(),
                None => " Active, to be drained".to_owned(),
            };
            lines.extend(style.row("previous", &format!("{}{fate}", previous.id)));
            lines.extend(self.held_by(previous, style));
        }
        let since = near(open.since, self.now.wall);
        lines.extend(style.row("step", &format!("{} since {since}", open.step)));
        let wait = self.wait(open);
        let mut text = wait.what.clone();
        if let Some(until) = wait.until {
            text.push_str(&format!(", until {}", self.at(until)));
        }
        lines.extend(style.row("waits for", &text));
        if let Some(when) = &wait.when {
            lines.extend(style.row("", &format!("when {when}")));
        }
        if open.stuck.is_none() && self.is_left_alone() {
            let how = format!("with `rotakey resume {}`: no agent runs", self.name);
            lines.extend(style.row("goes on", &how));
        }
        if let Some(why) = &open.stuck {
            lines.extend(style.row("stuck", why));
            lines.extend(style.row("hint", &telling::choices(&self.name)));
        }
        lines
    }

    fn next(&self, style: &Style) -> Vec<String> {
        let Some(next) = self.next_rotation() else { return Vec::new() };
        let max_age = duration::format(self.settings.max_age);
        let when = match next > self.now.wall {
            true => self.at(next),
            false => format!("due since {}", near(next, self.now.wall)),
        };
        let by = if self.is_left_alone() { "; no agent runs that would do it" } else { "" };
        style.row("rotates", &format!("{when}, {max_age} old{by}"))
    }

    fn sources_text(&self, style: &Style) -> Vec<String> {
        let sources = self.sources();
        let named = sources.as_object().into_iter().flatten();
        let on = named.filter(|(_, state)| **state != json!(false));
        let on: Vec<String> = on
            .map(|(name, state)| match state.as_str() {
                Some(why) => format!("{name} ({why})"),
                None => name.clone(),
            })
            .collect();
        style.row("sources", &on.join(", "))
    }

    /// Which programs went through the proxy of late, and with which placeholder.
    fn through_the_proxy(&self, style: &Style) -> Vec<String> {
        let programs = self.holders.iter().filter(|holder| holder.source == Source::Proxy.name());
        let shown = programs.take(HOLDERS_SHOWN).flat_map(|holder| {
            style.row("proxy", &format!("{} with {}", who(holder), holder.access_key_id))
        });
        shown.collect()
    }

    /// Who holds a key, the longest first.
    fn held_by(&self, key: &Key, style: &Style) -> Vec<String> {
        let holders = self.holders_of(key);
        let more = holders.len().saturating_sub(HOLDERS_SHOWN);
        let shown = holders.into_iter().take(HOLDERS_SHOWN).map(holder_text);
        let mut lines: Vec<_> =
            shown.flat_map(|who| style.row("", &format!("old key held by {who}"))).collect();
        if more > 0 {
            lines.extend(style.row("", &format!("and {more} more")));
        }
        lines
    }

    /// `14:32 (in 40 min)`
    pub(super) fn at(&self, at: Timestamp) -> String {
        when(at, self.now.wall)
    }
}

/// "pid 4121 (python3) until 14:32 (container)", in local time.
fn holder_text(holder: &Holder) -> String {
    let until = holder.until.to_zoned(TimeZone::system());
    format!("{} until {} ({})", who(holder), until.strftime("%H:%M"), holder.source)
}

fn who(holder: &Holder) -> String {
    let exe = holder.exe.as_deref().and_then(|exe| exe.rsplit('/').next());
    match (holder.pid, exe) {
        (Some(pid), Some(exe)) => format!("pid {pid} ({exe})"),
        (Some(pid), None) => format!("pid {pid}"),
        (None, _) if holder.source == crate::presigning::SOURCE => "a presigned URL".to_owned(),
        (None, _) => format!("a process of uid {}", holder.uid),
    }
}
