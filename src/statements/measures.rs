//! Sizes and ages in words.

/// Bytes in the unit that leaves one to three digits before the point.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)];
    for (unit, factor) in UNITS {
        if bytes >= factor {
            return format!("{}.{} {unit}", bytes / factor, bytes % factor * 10 / factor);
        }
    }
    format!("{bytes} B")
}

/// How long before `now` this was; both as one session of a server writes them: `2026-11-22 21:26:37`.
pub(crate) fn age(then: &str, now: &str) -> Option<String> {
    let seconds = seconds(now)?.checked_sub(seconds(then)?)?;
    Some(match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, _, _) => format!("{days} d"),
    })
}

/// Seconds since the year 0 of the proleptic Gregorian calendar.
fn seconds(text: &str) -> Option<u64> {
    let mut numbers = text.split(['-', ' ', ':', '.', 'T']).map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (year, month, day, hours, minutes, seconds) = (next()?, next()?, next()?, next()?, next()?, next()?);
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the day that a leap year has comes last.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    Some(days * 86_400 + hours * 3_600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::{age, size};

    #[test]
    fn sizes_and_ages_are_short() {
        for (bytes, words) in
            [(0, "0 B"), (999, "999 B"), (1_000, "1.0 KB"), (6_210_000, "6.2 MB"), (u64::MAX, "18446744.0 TB")]
        {
            assert_eq!(size(bytes), words, "in the largest unit that it fills");
        }
        for (then, now, words) in [
            ("2026-11-26 17:07:55", "2026-11-26 17:08:00", Some("5 s")),
            ("2026-11-26 17:07:55", "2026-11-26 17:08:55", Some("1 min")),
            ("2024-02-28 23:00:00", "2024-03-01 00:00:00", Some("1 d")),
            ("2023-02-28 23:00:00", "2023-03-01 00:00:00", Some("1 h")),
            ("2100-02-28 23:00:00", "2100-03-01 00:00:00", Some("1 h")),
            ("2025-12-31 00:00:00", "2026-12-31 00:00:00", Some("365 d")),
            ("2026-11-26 17:08:00", "2026-11-26 17:07:55", None),
            ("0000-00-00 00:00:00", "2026-11-26 17:07:55", None),
            ("", "2026-11-26 17:07:55", None),
        ] {
            assert_eq!(age(then, now).as_deref(), words, "from {then} to {now}");
        }
    }
}
