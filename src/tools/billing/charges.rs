//! Charges as tools answer with them: short, and summed exactly.

use crate::{
    base::decimal::Decimal,
    catalogue::{ToolError, advised, code},
    picture::{Figure, Picture, Series, Shape},
    tidbcloud::{ApiError, BilledDay, BilledMonth, Charge},
};

/// What TiDB Cloud says in the description of the bills.
const ROLE: &str = "Ask the person for an API key with the role Organization Owner or Organization Billing Admin: no other reads bills.";

/// The error of a bill or a cost that TiDB Cloud does not show.
pub(super) fn refused(error: ApiError) -> ToolError {
    advised(error, |error| matches!(error, ApiError::Forbidden(_)), ROLE)
}

/// The charge of the whole, which is the first of each list.
pub(super) fn total(whole: Charge) -> Charge {
    Charge { name: Some("Total".to_owned()), parts: Vec::new(), ..whole }
}

/// Leaves out what says nothing: no discounts, no credits, and what was used where it is what is paid.
pub(super) fn short(mut charge: Charge) -> Charge {
    for amount in [&mut charge.discounts, &mut charge.credits] {
        if Decimal::parse(amount).is_some_and(|amount| amount.digits == 0) {
            amount.clear();
        }
    }
    if charge.running_total == charge.total_cost {
        charge.running_total.clear();
    }
    if charge.detail_key == charge.name {
        charge.detail_key = None;
    }
    charge
}

/// The most expensive first.
pub(super) fn sort(charges: &mut [Charge]) {
    charges.sort_by_cached_key(|charge| std::cmp::Reverse(Figure::parse(&charge.total_cost)));
}

/// One charge for all with the same key, in the order in which keys come. An amount that none of them has is left out.
pub(super) fn grouped(rows: Vec<Charge>, of: fn(&Charge) -> Charge) -> Result<Vec<Charge>, ToolError> {
    let mut groups: Vec<(Charge, [Option<Decimal>; 4])> = Vec::new();
    for row in rows {
        let key = of(&row);
        let at = position(&mut groups, |(known, _)| *known == key, || (key.clone(), [None; 4]));
        let amounts = [&row.total_cost, &row.running_total, &row.discounts, &row.credits];
        let Some((_, sums)) = groups.get_mut(at) else { continue };
        for (sum, amount) in sums.iter_mut().zip(amounts).filter(|(_, amount)| !amount.is_empty()) {
            let amount = Decimal::parse(amount).and_then(|amount| sum.unwrap_or_default().plus(amount));
            *sum = Some(amount.ok_or_else(not_a_number)?);
        }
    }
    let with = |(key, sums): (Charge, [Option<Decimal>; 4])| {
        let [total_cost, running_total, discounts, credits] =
            sums.map(|sum| sum.map(|sum| sum.to_string()).unwrap_or_default());
        Charge { total_cost, running_total, discounts, credits, ..key }
    };
    Ok(groups.into_iter().map(with).collect())
}

fn not_a_number() -> ToolError {
    let message = "An amount of TiDB Cloud's bill is no decimal number, so that it cannot be summed.";
    ToolError::new(code::UPSTREAM_INVALID_RESPONSE, message)
        .hint("Ask by service or project: these are not summed here.")
}

/// Charges as a picture, without the first, which is their total: over time, or a bar for each name. What several names have in one
/// place stands on each other; days of several names are lines.
pub(super) fn picture(title: String, charges: &[Charge], in_time: bool) -> Option<String> {
    let charges = charges.get(1..)?;
    let names = labels(charges);
    let mut places = Vec::new();
    if in_time {
        places.extend(charges.iter().filter_map(|charge| charge.billed_date.clone()));
        places = all_between(places);
    }
    let mut series: Vec<Series> = Vec::new();
    for (charge, name) in charges.iter().zip(names) {
        let (name, place) =
            if in_time { (name, charge.billed_date.clone().unwrap_or_default()) } else { (String::new(), name) };
        let column = position(&mut places, |known| *known == place, || place.clone());
        let row =
            position(&mut series, |known| known.name == name, || Series { name: name.clone(), values: Vec::new() });
        let Some(Series { values, .. }) = series.get_mut(row) else { continue };
        values.resize(values.len().max(column + 1), None);
        if let Some(value) = values.get_mut(column) {
            *value = Figure::sum(*value, Figure::parse(&charge.total_cost));
        }
    }
    // What does not fit is put together from the end.
    series.sort_by_cached_key(|series| std::cmp::Reverse(series.values.iter().copied().fold(None, Figure::sum)));
    let is_by_day = places.iter().any(|place| place.len() > MONTH);
    let shape = match in_time {
        false => Shape::Bars,
        true if series.len() > 1 && is_by_day && places.len() > 2 => Shape::Lines,
        true => Shape::Columns,
    };
    Picture { title, unit: "as TiDB Cloud's bill has it".to_owned(), shape, places, series }.draw()
}

/// Where the one is that is meant, which is added if there is none.
fn position<T>(all: &mut Vec<T>, is: impl Fn(&T) -> bool, one: impl FnOnce() -> T) -> usize {
    all.iter().position(is).unwrap_or_else(|| {
        all.push(one());
        all.len() - 1
    })
}

/// What each charge is called in a picture: its name, and beside it its project or key where another charge has the same name and
/// another one of these.
fn labels(charges: &[Charge]) -> Vec<String> {
    let of = |charge: &Charge| {
        let beside = charge.project.as_deref().or(charge.detail_key.as_deref()).unwrap_or_default();
        (charge.name.clone().unwrap_or_default(), beside.to_owned())
    };
    let mut known: Vec<(String, String)> = charges.iter().map(of).collect();
    known.sort_unstable();
    known.dedup();
    let label = |charge: &Charge| match of(charge) {
        (name, beside) if name.is_empty() && beside.is_empty() => "no name".to_owned(),
        (name, beside) if name.is_empty() => beside,
        (name, beside) if beside.is_empty() || known.iter().filter(|(other, _)| *other == name).count() == 1 => name,
        (name, beside) => format!("{name} ({beside})"),
    };
    charges.iter().map(label).collect()
}

/// Characters of `YYYY-MM`.
const MONTH: usize = 7;
/// Days of an axis at the most: two years. Dates further apart stand beside each other as they are.
const DAYS_MAX: usize = 731;

/// Every day, or every month, from the first to the last of these. What is no such date stays as it is.
fn all_between(mut dates: Vec<String>) -> Vec<String> {
    dates.sort_unstable();
    dates.dedup();
    let (Some(first), Some(last)) = (dates.first(), dates.last()) else { return dates };
    let mut all = vec![last.clone()];
    while let Some(date) = all.last().filter(|date| *date > first) {
        match before(date) {
            Some(before) if all.len() < DAYS_MAX => all.push(before),
            _ => return dates,
        }
    }
    all.reverse();
    if dates.iter().all(|date| all.contains(date)) { all } else { dates }
}

/// The day before a day, or the month before a month.
fn before(date: &str) -> Option<String> {
    match BilledMonth::try_from(date.to_owned()) {
        Ok(month) => Some(month.before().into()),
        Err(_) => BilledDay::try_from(date.to_owned()).ok().map(|day| day.before().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(name: &str, beside: &str, date: &str, cost: &str) -> Charge {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Charge {
            name: text(name),
            detail_key: text(beside),
            billed_date: text(date),
            total_cost: cost.to_owned(),
            ..Charge::default()
        }
    }

    fn drawn(in_time: bool, charges: &[Charge]) -> String {
        let all: Vec<_> = [charge("Total", "", "", "0")].iter().chain(charges).cloned().collect();
        picture("Costs".to_owned(), &all, in_time).unwrap()
    }

    #[test]
    fn what_has_the_same_name_is_told_apart_or_added() {
        let same = [
            charge("reports", "1", "", "7"),
            charge("reports", "2", "", "5"),
            charge("shop", "3", "", "2"),
            charge("", "", "", "0.75"),
            charge("", "", "", "0.25"),
        ];
        let bars = drawn(false, &same);
        for text in [">reports (1)<", ">7<", ">reports (2)<", ">5<", ">shop<", ">2<", ">no name<", ">1<"] {
            assert!(bars.contains(text), "{text}: {bars}");
        }
        let one_day = same.map(|charge| Charge { billed_date: Some("2026-11-01".to_owned()), ..charge });
        let columns = drawn(true, &one_day);
        assert!(columns.contains(">reports (1)<") && columns.contains(">reports (2)<"), "{columns}");
    }

    #[test]
    fn days_and_months_without_a_charge_are_gaps_in_their_place() {
        let between = |dates: &[&str]| all_between(dates.iter().map(|date| (*date).to_owned()).collect());
        assert_eq!(between(&["2026-03-02", "2026-02-27"]), ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]);
        assert_eq!(between(&["2026-02", "2025-12"]), ["2025-12", "2026-01", "2026-02"]);
        for odd in [&["2026-01", "2026-02-27"][..], &["soon", "2026-01-01"], &["2000-01-01", "2026-01-01"], &[]] {
            assert_eq!(between(odd).len(), odd.len(), "{odd:?}");
        }
        let days = [charge("", "", "2026-11-04", "4"), charge("", "", "2026-11-01", "1")];
        let columns = drawn(true, &days);
        assert!(columns.contains("2 without a figure"), "{columns}");
        assert!(columns.find(">2026-11-01<") < columns.find(">2026-11-04<"), "{columns}");
    }

    #[test]
    fn the_most_expensive_is_always_named() {
        let days = (1..=9).flat_map(|day| {
            let date = format!("2026-11-{day:02}");
            (0..9).map(move |name| charge(&format!("s{name}"), "", &date, &format!("{name}.00")))
        });
        let lines = drawn(true, &days.collect::<Vec<_>>());
        assert!(lines.contains(">s8<") && !lines.contains(">s0<"), "{lines}");
        assert!(lines.contains(r#"class="l s0""#), "days of several names are lines: {lines}");
    }

    #[test]
    fn an_amount_that_is_missing_is_no_zero() {
        let rows = vec![charge("one", "", "", "1.5"), charge("one", "", "", ""), charge("two", "", "", "")];
        let sums = grouped(rows, |row| Charge { name: row.name.clone(), ..Charge::default() }).unwrap();
        let [one, two] = sums.as_slice() else { panic!("{sums:?}") };
        assert_eq!((one.total_cost.as_str(), one.credits.as_str(), two.total_cost.as_str()), ("1.5", "", ""));
    }
}
