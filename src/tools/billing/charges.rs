//! Charges as tools answer with them: short, and summed exactly.

use super::decimal::{Sum, is_zero};
use crate::{
    catalogue::{ToolError, advised, code},
    picture::{Figure, Picture, Series, Shape},
    tidbcloud::{ApiError, Charge},
};

/// What is said of amounts. The Billing API describes each as "expressed in cents (100ths of one US Dollar)", with the example `0.00`.
pub(super) const UNIT: &str = "As TiDB Cloud's bill has them. Its API says US cents and writes them as 0.00, which may as well be dollars: \
    compare one with the console.";

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
        if is_zero(amount) {
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

/// One charge for all with the same key, in the order in which keys come.
pub(super) fn grouped(rows: Vec<Charge>, of: fn(&Charge) -> Charge) -> Result<Vec<Charge>, ToolError> {
    let mut groups: Vec<(Charge, [Sum; 4])> = Vec::new();
    for row in rows {
        let key = of(&row);
        let at = groups.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            groups.push((key, <[Sum; 4]>::default()));
            groups.len() - 1
        });
        let amounts = [&row.total_cost, &row.running_total, &row.discounts, &row.credits];
        let Some((_, sums)) = groups.get_mut(at) else { continue };
        for (sum, amount) in sums.iter_mut().zip(amounts) {
            *sum = sum.plus(amount).ok_or_else(not_a_number)?;
        }
    }
    let with = |(key, sums): (Charge, [Sum; 4])| {
        let [total_cost, running_total, discounts, credits] = sums.map(|sum| sum.to_string());
        Charge { total_cost, running_total, discounts, credits, ..key }
    };
    Ok(groups.into_iter().map(with).collect())
}

fn not_a_number() -> ToolError {
    let message = "An amount of TiDB Cloud's bill is no decimal number, so that it cannot be summed.";
    ToolError::new(code::UPSTREAM_INVALID_RESPONSE, message)
        .hint("Ask by service or project: these are not summed here.")
}

/// Charges as a picture, without the first, which is their total: a column for each date, or a bar for each name. Names of one date
/// stand on each other.
pub(super) fn picture(title: String, charges: &[Charge], in_time: bool) -> Option<String> {
    let charges = charges.get(1..)?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let place = |charge: &Charge| if in_time { text(&charge.billed_date) } else { text(&charge.name) };
    let name = |charge: &Charge| if in_time { text(&charge.name) } else { String::new() };
    let (mut places, mut names): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for charge in charges {
        for (all, one) in [(&mut places, place(charge)), (&mut names, name(charge))] {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    let mut series: Vec<Series> =
        names.iter().map(|name| Series { name: name.clone(), values: vec![None; places.len()] }).collect();
    for charge in charges {
        let at = |all: &[String], one: String| all.iter().position(|other| *other == one);
        let (column, row) = (at(&places, place(charge)), at(&names, name(charge)));
        let value =
            row.and_then(|row| series.get_mut(row)).zip(column).and_then(|(row, column)| row.values.get_mut(column));
        if let Some(value) = value {
            *value = Figure::parse(&charge.total_cost);
        }
    }
    let shape = if in_time { Shape::Columns } else { Shape::Bars };
    Picture { title, unit: "as TiDB Cloud's bill has it".to_owned(), shape, places, series }.draw()
}
