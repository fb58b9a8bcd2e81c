//! Days of the calendar as prices need them: `2026-09-01`, which sorts as text does. In UTC.

/// The day of a time in seconds since 1970.
pub fn day_of(at_s: u64) -> String {
    // Days since 0000-03-01, so that the leap day is the last of a year; eras of 400 years (146,097 days) are alike.
    let days = at_s / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!("{:04}-{month:02}-{day:02}", year + 400 * era)
}

/// Whether a text is a day in this spelling.
pub(super) fn is_day(text: &str) -> bool {
    let is_shape = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
    let within = |part: &str, max: u8| part.parse::<u8>().is_ok_and(|number| (1..=max).contains(&number));
    is_shape && within(&text[5..7], 12) && within(&text[8..], 31)
}

/// The name without the date at its end: `-20251001`, `-2025-10-01` or `@20251001`. `None` where there is none.
pub(super) fn without_date(name: &str) -> Option<&str> {
    let bytes = name.as_bytes();
    let tail = |len: usize| bytes.len().checked_sub(len).filter(|&at| at > 0 && name.is_char_boundary(at));
    if let Some(at) = tail(11)
        && bytes[at] == b'-'
        && is_day(&name[at + 1..])
    {
        return Some(&name[..at]);
    }
    let at = tail(9)?;
    let digits = &name[at + 1..];
    let is_date = matches!(bytes[at], b'-' | b'@')
        && digits.bytes().all(|b| b.is_ascii_digit())
        && is_day(&format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..]));
    is_date.then(|| &name[..at])
}

/// A name for whatever is newest.
pub(super) fn is_moving(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("latest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_its_day() {
        for (at_s, want) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_788_220_799, "2026-08-31"),
            (1_788_220_800, "2026-09-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(day_of(at_s), want, "{at_s}");
        }
    }

    #[test]
    fn a_date_at_the_end_of_a_name_is_found_and_nothing_else_is_one() {
        for (name, want) in [
            ("claude-haiku-4-5-20251001", Some("claude-haiku-4-5")),
            ("gpt-5-2025-08-07", Some("gpt-5")),
            ("claude-opus-4@20250514", Some("claude-opus-4")),
            ("mistral-large-2411", None),
            ("a-20251301", None),
            ("a-2025-08-0x", None),
            ("a-12345678", None),
            ("-20251001", None),
            ("é20251001", None),
            ("20251001", None),
            ("", None),
        ] {
            assert_eq!(without_date(name), want, "{name}");
        }
    }

    #[test]
    fn a_name_that_moves_is_told() {
        assert!(is_moving("mistral-large-latest") && is_moving("llama3:latest") && is_moving("grok-LATEST"));
        assert!(!is_moving("latest-model-2"));
    }
}
