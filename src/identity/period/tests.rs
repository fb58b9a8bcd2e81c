//! Windows over changes of clocks, ends of years and short months.

use super::*;

fn calendar(zone: &str) -> Calendar {
    Calendar { zone: Calendar::zone(zone).expect("a zone"), ..Calendar::default() }
}

fn ms(text: &str) -> u64 {
    text.parse::<Timestamp>().expect("a moment").as_millisecond() as u64
}

fn check(period: Period, calendar: &Calendar, now: &str, start: &str, end: &str) {
    let window = period.window(ms(now), calendar);
    let text = |s: u32| Timestamp::from_second(i64::from(s)).unwrap().to_string();
    assert_eq!(
        (text(window.start_s), text(window.end_s)),
        (start.to_owned(), end.to_owned()),
        "{period} {now}"
    );
}

#[test]
fn windows_follow_the_calendar() {
    let utc = Calendar::default();
    check(
        Period::Seconds(60),
        &utc,
        "2026-11-26T10:00:59.9Z",
        "2026-11-26T10:00:00Z",
        "2026-11-26T10:01:00Z",
    );
    check(Period::Hour, &utc, "2026-11-26T10:59:59Z", "2026-11-26T10:00:00Z", "2026-11-26T11:00:00Z");
    check(Period::Day, &utc, "2026-12-31T23:59:59Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z");
    check(Period::Week, &utc, "2027-01-01T12:00:00Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z");
    check(Period::Month, &utc, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
    let late = Calendar { hour: 6, minute: 30, weekday: Weekday::Sunday, day: 31, ..Calendar::default() };
    check(Period::Day, &late, "2026-03-01T06:29:59Z", "2026-02-28T06:30:00Z", "2026-03-01T06:30:00Z");
    check(Period::Week, &late, "2026-11-26T00:00:00Z", "2026-11-22T06:30:00Z", "2026-11-29T06:30:00Z");
    check(Period::Week, &late, "2026-11-22T06:00:00Z", "2026-11-15T06:30:00Z", "2026-11-22T06:30:00Z");
    check(Period::Month, &late, "2026-02-28T06:29:00Z", "2026-01-31T06:30:00Z", "2026-02-28T06:30:00Z");
    check(Period::Month, &late, "2026-02-28T06:30:00Z", "2026-02-28T06:30:00Z", "2026-03-31T06:30:00Z");
    check(Period::Month, &late, "2026-04-30T10:00:00Z", "2026-04-30T06:30:00Z", "2026-05-31T06:30:00Z");
}

#[test]
fn a_day_on_which_clocks_change_is_shorter_or_longer() {
    let warsaw = calendar("Europe/Warsaw");
    check(Period::Day, &warsaw, "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    check(Period::Day, &warsaw, "2026-10-25T10:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    // The beginning falls into the gap: the day begins behind it, and what is before still is yesterday's.
    let gap = Calendar { hour: 2, minute: 30, ..calendar("Europe/Warsaw") };
    check(Period::Day, &gap, "2026-03-29T01:20:00Z", "2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z");
    check(Period::Day, &gap, "2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z");
    // The beginning comes twice: the first counts, also when clocks show the hour before it again.
    check(Period::Day, &gap, "2026-10-25T01:10:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z");
    check(
        Period::Hour,
        &calendar("Asia/Kolkata"),
        "2026-01-01T00:29:00Z",
        "2025-12-31T23:30:00Z",
        "2026-01-01T00:30:00Z",
    );
    check(
        Period::Day,
        &calendar("Pacific/Apia"),
        "2011-12-30T12:00:00Z",
        "2011-12-30T10:00:00Z",
        "2011-12-31T10:00:00Z",
    );
}

/// Every window holds its moment, and the next one begins where it ends.
#[test]
fn windows_touch_and_never_overlap() {
    for zone in [
        "UTC",
        "Europe/Warsaw",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Africa/Cairo",
        "Pacific/Apia",
        "Asia/Beirut",
    ] {
        for (hour, minute, day) in [(0, 0, 1), (2, 30, 31), (23, 59, 15)] {
            let calendar = Calendar { hour, minute, day, ..calendar(zone) };
            for period in [Period::Hour, Period::Day, Period::Week, Period::Month, Period::Seconds(7_777)] {
                walk(period, &calendar);
            }
        }
    }
}

fn walk(period: Period, calendar: &Calendar) {
    let mut now_ms = ms("2010-01-01T00:00:00Z");
    let end_ms =
        if period == Period::Month { ms("2030-01-01T00:00:00Z") } else { ms("2012-06-01T00:00:00Z") };
    let mut window = period.window(now_ms, calendar);
    while now_ms < end_ms {
        assert!(window.holds(now_ms), "{period} {calendar:?} {window:?} {now_ms}");
        let last_ms = u64::from(window.end_s) * 1000 - 1;
        assert_eq!(period.window(last_ms, calendar), window, "{period} {calendar:?}: the last millisecond");
        now_ms = last_ms + 1;
        let next = period.window(now_ms, calendar);
        assert_eq!(next.start_s, window.end_s, "{period} {calendar:?}: the next window");
        window = next;
    }
}

#[test]
fn names_of_periods_are_read_and_written() {
    for period in [Period::Hour, Period::Day, Period::Week, Period::Month, Period::Seconds(90)] {
        assert_eq!(Period::from_name(&period.to_string()), Some(period));
    }
    assert_eq!(Period::from_name("Monthly "), Some(Period::Month));
    for text in ["", "s", "0s", "-1s", "year", "60"] {
        assert_eq!(Period::from_name(text), None, "{text}");
    }
}
