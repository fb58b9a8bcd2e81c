//! Windows of time: which one a moment lies in, when it began and when it ends. Hours, days, weeks and months follow a
//! calendar with a time zone; any other number of seconds counts from 1970. The moment is passed in.

use std::fmt;

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// How long a window is, and what it is aligned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// Whole hours of the zone's clock.
    Hour,
    Day,
    Week,
    Month,
    /// So many seconds, at least one, counted from 1970-01-01 00:00 UTC.
    Seconds(u32),
}

/// One window, in seconds since 1970. The second at which it begins is its number: later windows have greater ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub start_s: u32,
    /// The first second that is no longer in it.
    pub end_s: u32,
}

/// When days, weeks and months begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    pub zone: TimeZone,
    /// The time of day at which days, weeks and months begin.
    pub hour: i8,
    pub minute: i8,
    /// The day on which weeks begin.
    pub weekday: Weekday,
    /// The day on which months begin, 1 to 31; in shorter months the last.
    pub day: i8,
}

impl Default for Calendar {
    /// UTC; days begin at midnight, weeks on Monday, months on their first day.
    fn default() -> Self {
        Calendar { zone: TimeZone::UTC, hour: 0, minute: 0, weekday: Weekday::Monday, day: 1 }
    }
}

impl Period {
    /// The window that holds this moment.
    pub fn window(self, now_ms: u64, calendar: &Calendar) -> Window {
        let now_s = u32::try_from(now_ms / 1000).unwrap_or(u32::MAX);
        match self {
            Period::Seconds(length) => fixed(now_s, length.max(1), 0),
            Period::Hour => fixed(now_s, 3600, calendar.offset_s(now_s).rem_euclid(3600) as u32),
            Period::Day | Period::Week | Period::Month => calendar.window(self, now_s),
        }
    }

    /// The word for it in settings and ids: `hourly`, `daily`, `weekly`, `monthly`, or seconds such as `60s`.
    pub fn from_name(text: &str) -> Option<Period> {
        match text.trim().to_ascii_lowercase().as_str() {
            "hour" | "hourly" | "hours" => Some(Period::Hour),
            "day" | "daily" | "days" => Some(Period::Day),
            "week" | "weekly" | "weeks" => Some(Period::Week),
            "month" | "monthly" | "months" => Some(Period::Month),
            other => {
                let seconds = other.strip_suffix('s')?.parse().ok()?;
                (seconds > 0).then_some(Period::Seconds(seconds))
            }
        }
    }
}

impl Window {
    pub fn holds(self, now_ms: u64) -> bool {
        let now_s = now_ms / 1000;
        u64::from(self.start_s) <= now_s && now_s < u64::from(self.end_s)
    }

    /// Milliseconds until it ends.
    pub fn rest_ms(self, now_ms: u64) -> u64 {
        (u64::from(self.end_s) * 1000).saturating_sub(now_ms)
    }
}

impl Calendar {
    /// A zone by its IANA name, such as `Europe/Warsaw`.
    pub fn zone(name: &str) -> Option<TimeZone> {
        TimeZone::get(name).ok()
    }

    fn offset_s(&self, now_s: u32) -> i32 {
        let now = Timestamp::from_second(i64::from(now_s)).unwrap_or_default();
        self.zone.to_offset(now).seconds()
    }

    /// Beginnings are compared as moments, not as readings of a clock: where clocks are put forward over the beginning
    /// it lies behind the gap, and where they are put back it is the first of the two.
    fn window(&self, period: Period, now_s: u32) -> Window {
        let now = Timestamp::from_second(i64::from(now_s)).unwrap_or_default();
        let today = self.zone.to_datetime(now).date();
        let mut step = 1;
        let mut end_s = self.start_s(period, today, step);
        loop {
            step -= 1;
            let start_s = self.start_s(period, today, step);
            if start_s <= i64::from(now_s) || step < STEPS_MIN {
                let clamp = |s: i64| u32::try_from(s.max(0)).unwrap_or(u32::MAX);
                return Window { start_s: clamp(start_s), end_s: clamp(end_s) };
            }
            end_s = start_s;
        }
    }

    /// When the window begins that is `step` windows after the one of this date.
    fn start_s(&self, period: Period, today: Date, step: i64) -> i64 {
        let date = match period {
            Period::Month => self.month_start(today, step),
            Period::Week => {
                let since = i64::from(today.weekday().since(self.weekday));
                shifted(today, 7 * step - since)
            }
            _ => shifted(today, step),
        };
        let start: DateTime = date.at(self.hour, self.minute, 0, 0);
        let moment = self.zone.to_ambiguous_timestamp(start).compatible();
        moment.map_or(i64::from(u32::MAX), Timestamp::as_second)
    }

    fn month_start(&self, today: Date, step: i64) -> Date {
        let first = today.first_of_month();
        let month = first.checked_add(step.months()).unwrap_or(first);
        let day = self.day.clamp(1, month.days_in_month());
        month.with().day(day).build().unwrap_or(month)
    }
}

fn shifted(date: Date, days: i64) -> Date {
    date.checked_add(days.days()).unwrap_or(date)
}

/// Windows of one length, `phase_s` seconds before those that are counted from 1970.
fn fixed(now_s: u32, length_s: u32, phase_s: u32) -> Window {
    let (now, length, phase) = (i64::from(now_s), i64::from(length_s), i64::from(phase_s));
    let start = (now + phase).div_euclid(length) * length - phase;
    let clamp = |s: i64| u32::try_from(s.max(0)).unwrap_or(u32::MAX);
    Window { start_s: clamp(start), end_s: clamp(start + length) }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Hour => f.write_str("hourly"),
            Period::Day => f.write_str("daily"),
            Period::Week => f.write_str("weekly"),
            Period::Month => f.write_str("monthly"),
            Period::Seconds(seconds) => write!(f, "{seconds}s"),
        }
    }
}

/// Windows looked at before the one of the date: yesterday's is enough, but where a zone left out a day.
const STEPS_MIN: i64 = -2;

#[cfg(test)]
mod tests;
