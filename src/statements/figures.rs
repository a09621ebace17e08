//! Figures for a person.

/// A number of rows for a person: exact up to 1,000, then two digits of it. The repeated call counts again and must come to the same
/// text, also where the table grows meanwhile.
pub(crate) fn rounded(rows: u64) -> String {
    const EXACT_MAX: u64 = 1_000;
    const UNITS: [(u128, &str); 2] = [(1_000_000_000, " billion"), (1_000_000, " million")];
    let rows = u128::from(rows);
    if rows <= EXACT_MAX.into() {
        return grouped(rows);
    }
    let last = 10_u128.pow(rows.ilog10() - 1);
    let about = (rows + last / 2) / last * last;
    match UNITS.iter().find(|(unit, _)| about >= *unit) {
        Some((unit, word)) => {
            let tenth = match about / (unit / 10) % 10 {
                0 => String::new(),
                tenth => format!(".{tenth}"),
            };
            format!("about {}{tenth}{word}", grouped(about / unit))
        }
        None => format!("about {}", grouped(about)),
    }
}

/// With commas between thousands.
pub(crate) fn grouped(number: u128) -> String {
    match number / 1_000 {
        0 => number.to_string(),
        thousands => format!("{},{:03}", grouped(thousands), number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn rows_are_told_so_that_a_person_reads_them_and_a_live_table_stays_the_same() {
        for (rows, told) in [
            (0, "0"),
            (1, "1"),
            (999, "999"),
            (1_000, "1,000"),
            (1_001, "about 1,000"),
            (1_250, "about 1,300"),
            (12_345, "about 12,000"),
            (99_500, "about 100,000"),
            (999_999, "about 1 million"),
            (1_234_567, "about 1.2 million"),
            (1_234_999, "about 1.2 million"),
            (12_500_001, "about 13 million"),
            (123_456_789, "about 120 million"),
            (1_950_000_000, "about 2 billion"),
            (u64::MAX, "about 18,000,000,000 billion"),
        ] {
            assert_eq!(rounded(rows), told, "{rows}");
        }
    }
}
