//! `/v1beta1/bills`, `/billsDetails`, `/billsCostExplorer` (Billing of the published API).
//!
//! Published: the operations, their fields, amounts as decimal text, `totalCost` = `runningTotal` - `discounts` - `credits`, services of
//! three levels, months as `YYYY-MM` and at most 6 back, and that bills take the role Organization Owner or Organization Billing Admin.
//! Guessed: the status and text of every refusal, the names of services of Starter and Essential, the form of days, that free instances have
//! no rows, and that bills name instances which were deleted. The amounts are made up, and no prices.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::{Date, Duration, Month, OffsetDateTime};

use super::{Call, Route};
use crate::control::{
    answers::{Failure, Outcome},
    regions::{Region, SHOP_REGION},
    services::BILLING,
    state::{Cluster, KEYS, KeyRole, PROJECTS, Settings, World},
};

/// The operations.
pub(super) static ROUTES: &[Route] = &[
    Route::reads(&BILLING, "GET", "/bills/{billedMonth}", bill),
    Route::reads(&BILLING, "GET", "/billsDetails/{billedMonth}", details),
    Route::reads(&BILLING, "POST", "/billsCostExplorer", explore),
    Route::reads(&BILLING, "GET", "/billsCostExplorer/args", terms),
];

/// Months before the present one that have bills (published).
const MONTHS_BACK: i32 = 6;
/// An Essential instance that was deleted before the sandbox began: bills still name it.
const REPORTS_CLUSTER_ID: &str = "1379661944646413007";

/// Three levels of a service.
type Service = [&'static str; 3];

const STARTER: [Service; 2] =
    [["TiDB Cloud Starter", "Compute", "Request Units"], ["TiDB Cloud Starter", "Storage", "Row-based"]];
const ESSENTIAL: [Service; 4] = [
    ["TiDB Cloud Essential", "Compute", "Request Capacity Units"],
    ["TiDB Cloud Essential", "Storage", "Row-based"],
    ["TiDB Cloud Essential", "Backup", "Snapshots"],
    ["TiDB Cloud Essential", "Data Transfer", "Public Egress"],
];

/// What an instance is billed for.
struct Billed<'w> {
    id: &'w str,
    name: &'w str,
    project: &'w str,
    region: &'static Region,
    /// A hundred times the amount that is about a day's.
    daily: i64,
    /// What that was on the days before these.
    before: Vec<(Date, i64)>,
    services: &'static [Service],
    first: Date,
    /// The last day; `None` while it runs.
    last: Option<Date>,
}

/// A day of a service of an instance. Amounts are in hundredths.
struct Row<'w> {
    day: Date,
    of: &'w Billed<'w>,
    service: Service,
    amounts: Amounts,
}

/// Amounts in hundredths. There are no credits.
#[derive(Clone, Copy, Default)]
struct Amounts {
    running: i64,
    discounts: i64,
}

impl Amounts {
    fn add(&mut self, other: Self) {
        self.running += other.running;
        self.discounts += other.discounts;
    }

    fn sum<'r>(rows: impl IntoIterator<Item = &'r Row<'r>>) -> Self {
        let mut sum = Self::default();
        rows.into_iter().for_each(|row| sum.add(row.amounts));
        sum
    }

    /// The four amounts as the API writes them, with these fields beside.
    fn show(self, fields: &[(&str, &str)]) -> Value {
        let text = |amount: i64| format!("{}.{:02}", amount / 100, amount % 100);
        let mut shown = json!({
            "credits": text(0),
            "discounts": text(self.discounts),
            "runningTotal": text(self.running),
            "totalCost": text(self.running - self.discounts),
        });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        }
        shown
    }
}

fn date(millis: u64) -> Date {
    let seconds = i64::try_from(millis / 1_000).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MIN, OffsetDateTime::date)
}

fn day(year: i32, month: Month, day: u8) -> Date {
    Date::from_calendar_date(year, month, day).unwrap_or(Date::MIN)
}

/// `YYYY-MM-DD`
fn show_day(day: Date) -> String {
    format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
}

fn read_day(text: Option<&Value>) -> Option<Date> {
    let text = text?.as_str()?;
    let mut parts = text.splitn(3, '-').map(str::parse::<u16>);
    let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day))) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()
}

/// Only some roles read bills (published); how the others are refused is a guess.
fn must_read_bills(call: &Call) -> Result<(), Failure> {
    match call.key.role {
        KeyRole::Owner => Ok(()),
        KeyRole::Viewer => Err(Failure::new(403, "the API key has no permission to read bills")),
    }
}

/// A hundred times the amount that is about a day's.
fn daily(settings: &Settings) -> i64 {
    match settings.auto_scaling {
        Some((least, _)) => least * 3 / 10,
        // Of 31 such days none is above the limit.
        None => settings.spending_limit / 62,
    }
}

fn of_cluster<'w>(world: &'w World, cluster: &'w Cluster, deleted: Option<u64>) -> Billed<'w> {
    let settings = &cluster.settings;
    let before = world.billed_before.iter().filter(|(id, ..)| *id == cluster.id);
    Billed {
        id: &cluster.id,
        name: &settings.display_name,
        project: &cluster.project,
        region: cluster.region,
        daily: daily(settings),
        before: before.map(|(_, at, settings)| (date(*at), daily(settings))).collect(),
        services: if settings.auto_scaling.is_some() { &ESSENTIAL } else { &STARTER },
        first: date(cluster.created),
        last: deleted.map(date),
    }
}

/// All that the organization is billed for, also what was deleted.
fn billed<'w>(world: &'w World, call: &Call) -> Vec<Billed<'w>> {
    let [owner, ..] = &KEYS;
    let reports = Billed {
        id: REPORTS_CLUSTER_ID,
        name: "reports",
        project: PROJECTS.get(1).map_or("", |project| project.id),
        region: SHOP_REGION,
        daily: 600,
        before: Vec::new(),
        services: &ESSENTIAL,
        first: day(2026, Month::June, 10),
        last: Some(day(2026, Month::November, 20)),
    };
    let deleted = world.deleted.iter().map(|(cluster, at)| (cluster, Some(*at)));
    let own = world.clusters.iter().map(|cluster| (cluster, None)).chain(deleted);
    let own = own.filter(|(cluster, _)| cluster.organization == call.key.organization);
    let own = own.map(|(cluster, deleted)| of_cluster(world, cluster, deleted));
    let is_used = !world.clusters.is_empty() || !world.deleted.is_empty();
    let has_history = call.key.organization == owner.organization && is_used;
    own.chain(has_history.then_some(reports)).collect()
}

/// What one day of one service costs. It follows from what it is for.
fn amounts(of: &Billed<'_>, service: usize, day: Date) -> Amounts {
    let seed = of.id.bytes().fold(i64::from(day.to_julian_day()), |sum, byte| (sum * 31 + i64::from(byte)) % 9_973);
    // The first service is most of it, and a day has 60 to 100 % of what the busiest has.
    let daily = of.before.iter().find(|(until, _)| day < *until).map_or(of.daily, |(_, daily)| *daily);
    let share = daily * [70, 20, 7, 3].get(service).copied().unwrap_or_default() / 100;
    let running = share * (60 + (seed * 7 + i64::try_from(service).unwrap_or_default() * 13) % 41) / 100;
    let discounts = if of.services.len() == ESSENTIAL.len() { running / 10 } else { 0 };
    Amounts { running, discounts }
}

/// The rows from one day to another, both included, and never of days to come.
fn rows<'w>(all: &'w [Billed<'w>], first: Date, last: Date, now: u64) -> Vec<Row<'w>> {
    let mut rows = Vec::new();
    let (mut day, last) = (first, last.min(date(now)));
    while day <= last {
        for of in all.iter().filter(|of| of.first <= day && of.last.is_none_or(|last| day <= last)) {
            let services = of.services.iter().enumerate();
            let services = services.map(|(at, service)| (*service, amounts(of, at, day)));
            let charged = services.filter(|(_, amounts)| amounts.running > 0);
            rows.extend(charged.map(|(service, amounts)| Row { day, of, service, amounts }));
        }
        day += Duration::days(1);
    }
    rows
}

/// First and last day of the month that the path names.
fn month(call: &Call) -> Result<(Date, Date), Failure> {
    must_read_bills(call)?;
    let text = call.parameter("billedMonth").unwrap_or_default();
    let first = read_day(Some(&json!(format!("{text}-01")))).filter(|_| text.len() == 7);
    let first = first.ok_or_else(|| Failure::new(400, "invalid billedMonth: it is not YYYY-MM"))?;
    let number = |day: Date| day.year() * 12 + i32::from(u8::from(day.month()));
    let ago = number(date(call.now)) - number(first);
    if ago < 0 {
        return Err(Failure::new(400, "invalid billedMonth: the month has not begun"));
    }
    if ago > MONTHS_BACK {
        return Err(Failure::new(400, "invalid billedMonth: more than 6 months before the current month"));
    }
    let last = first.replace_day(first.month().length(first.year())).unwrap_or(first);
    Ok((first, last))
}

fn project_name(id: &str) -> &'static str {
    PROJECTS.iter().find(|project| project.id == id).map_or("", |project| project.name)
}

/// Rows by a text of theirs, in its order.
fn by<'r, 'w, K: Ord>(
    rows: impl IntoIterator<Item = &'r Row<'w>>,
    key: impl Fn(&Row<'w>) -> K,
) -> BTreeMap<K, Vec<&'r Row<'w>>>
where
    'w: 'r,
{
    let mut groups: BTreeMap<K, Vec<&Row<'w>>> = BTreeMap::new();
    for row in rows {
        groups.entry(key(row)).or_default().push(row);
    }
    groups
}

fn total(rows: &[&Row<'_>]) -> Amounts {
    let mut sum = Amounts::default();
    rows.iter().for_each(|row| sum.add(row.amounts));
    sum
}

/// A level of services with those below it.
fn services(rows: &[&Row<'_>], level: usize) -> Vec<Value> {
    let groups = by(rows.iter().copied(), |row| row.service.get(level).copied().unwrap_or_default());
    let show = |(name, rows): (&str, Vec<&Row<'_>>)| {
        let mut shown = total(&rows).show(&[("serviceName", name)]);
        let below = if level < 2 { services(&rows, level + 1) } else { Vec::new() };
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("serviceCosts".to_owned(), below.into());
        }
        shown
    };
    groups.into_iter().map(show).collect()
}

/// `GET /v1beta1/bills/{billedMonth}`
fn bill(world: &World, call: &Call) -> Outcome {
    let (first, last) = month(call)?;
    let all = billed(world, call);
    let rows = rows(&all, first, last, call.now);
    let month = call.parameter("billedMonth").unwrap_or_default();
    let projects = by(&rows, |row| row.of.project);
    let show = |(id, rows): (&str, Vec<&Row<'_>>)| total(&rows).show(&[("projectName", project_name(id))]);
    let projects: Vec<Value> = projects.into_iter().map(show).collect();
    Ok(json!({
        "overview": Amounts::sum(&rows).show(&[("billedMonth", month)]),
        "summaryByProject": { "projects": projects, "otherCharges": [Amounts::default().show(&[("chargeName", "Support")])] },
        "summaryByService": services(&rows.iter().collect::<Vec<_>>(), 0),
    }))
}

/// `GET /v1beta1/billsDetails/{billedMonth}`
fn details(world: &World, call: &Call) -> Outcome {
    let (first, last) = month(call)?;
    let all = billed(world, call);
    let show = |row: &Row<'_>| {
        row.amounts.show(&[
            ("billedDate", &show_day(row.day)),
            ("projectName", project_name(row.of.project)),
            ("clusterName", row.of.name),
            ("servicePathName", &row.service.join(" - ")),
        ])
    };
    let details: Vec<Value> = rows(&all, first, last, call.now).iter().map(show).collect();
    Ok(json!({ "details": details }))
}

/// `GET /v1beta1/billsCostExplorer/args`
fn terms(world: &World, call: &Call) -> Outcome {
    must_read_bills(call)?;
    let all = billed(world, call);
    let show = |of: &Billed<'_>| {
        let status = if of.last.is_some() { "DELETED" } else { "ACTIVE" };
        json!({ "id": of.id, "name": of.name, "ProjectID": of.project, "regionName": of.region.id, "status": status })
    };
    let services = STARTER.iter().chain(&ESSENTIAL).map(|service| {
        let [product, category, component] = service;
        json!({ "service": service.join(" - "), "product": product, "category": category, "component": component })
    });
    let projects = PROJECTS.iter().filter(|project| project.organization == call.key.organization);
    let projects = projects.map(|project| json!({ "id": project.id, "name": project.name, "status": "ACTIVE" }));
    let mut providers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for of in &all {
        let regions = providers.entry(of.region.provider).or_default();
        if !regions.contains(&of.region.id) {
            regions.push(of.region.id);
        }
    }
    let providers = providers.into_iter().map(|(name, regions)| json!({ "name": name, "regions": regions }));
    Ok(json!({
        "services": services.collect::<Vec<_>>(),
        "projects": projects.collect::<Vec<_>>(),
        "clusters": all.iter().map(show).collect::<Vec<_>>(),
        "providers": providers.collect::<Vec<_>>(),
    }))
}

/// Whether a row is what the filter asks for; an empty list asks for all.
fn admits(filter: &Map<String, Value>, row: &Row<'_>) -> bool {
    let list = |name: &str| filter.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
    let has =
        |name: &str, text: &str| list(name).is_none_or(|list| list.iter().any(|item| item.as_str() == Some(text)));
    let [product, category, component] = row.service;
    let is_service = |asked: &Value| {
        let levels = [("service", row.service.join(" - ")), ("product", product.into()), ("category", category.into())];
        let component = [("component", component.to_owned())];
        levels
            .iter()
            .chain(&component)
            .all(|(name, is)| asked.get(name).and_then(Value::as_str).is_none_or(|text| text == is))
    };
    let is_provider = |asked: &Value| {
        let regions = asked.get("regions").and_then(Value::as_array).filter(|regions| !regions.is_empty());
        asked.get("name").and_then(Value::as_str) == Some(row.of.region.provider)
            && regions.is_none_or(|regions| regions.iter().any(|region| region.as_str() == Some(row.of.region.id)))
    };
    has("clusters", row.of.id)
        && has("projects", row.of.project)
        && list("services").is_none_or(|list| list.iter().any(is_service))
        && list("providers").is_none_or(|list| list.iter().any(is_provider))
}

/// Key and name of a row's group.
fn group(by: &str, row: &Row<'_>) -> (String, String) {
    let (key, name) = match by {
        "product" => (row.service[0].to_owned(), row.service[0].to_owned()),
        "project" => (row.of.project.to_owned(), project_name(row.of.project).to_owned()),
        "cluster" => (row.of.id.to_owned(), row.of.name.to_owned()),
        "provider" => (row.of.region.provider.to_owned(), row.of.region.provider.to_owned()),
        "region" => (row.of.region.id.to_owned(), row.of.region.id.to_owned()),
        _ => (row.service.join(" - "), row.service.join(" - ")),
    };
    (key, name)
}

/// `POST /v1beta1/billsCostExplorer`: a question, without effect.
fn explore(world: &World, call: &Call) -> Outcome {
    must_read_bills(call)?;
    let none = Map::new();
    let member = |name: &str| call.body.get(name).and_then(Value::as_object).unwrap_or(&none);
    let (filter, groups) = (member("filter"), member("groups"));
    let range = |name: &str| read_day(filter.get("timeRange").and_then(|range| range.get(name)));
    let (Some(first), Some(last)) = (range("startDate"), range("endDate")) else {
        return Err(Failure::new(400, "invalid filter.timeRange: startDate and endDate must be YYYY-MM-DD"));
    };
    if last < first {
        return Err(Failure::new(400, "invalid filter.timeRange: endDate is before startDate"));
    }
    let granularity = groups.get("timeGranularity").and_then(Value::as_str).unwrap_or("total");
    let keys = groups.get("groupBy").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let keys: Vec<&str> = keys.collect();
    let all = billed(world, call);
    let mut rows = rows(&all, first, last, call.now);
    rows.retain(|row| admits(filter, row));
    let when = |row: &Row<'_>| match granularity {
        "day" => show_day(row.day),
        "month" => show_day(row.day).get(..7).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let elements = by(&rows, when).into_iter().map(|(date, rows)| {
        let of_groups = by(rows.iter().copied(), |row| {
            let (ids, names): (Vec<_>, Vec<_>) = keys.iter().map(|key| group(key, row)).unzip();
            (ids.join(" / "), names.join(" / "))
        });
        let breakdown = of_groups.into_iter().filter(|_| !keys.is_empty()).map(|((key, name), rows)| {
            total(&rows).show(&[("detailKey", &key), ("detailName", &name), ("billedDate", &date)])
        });
        let mut shown = total(&rows).show(&[("billedDate", &date)]);
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("breakdown".to_owned(), breakdown.collect::<Vec<_>>().into());
        }
        shown
    });
    let elements: Vec<Value> = elements.collect();
    let mut shown = Amounts::sum(&rows).show(&[]);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("elements".to_owned(), elements.into());
    }
    Ok(shown)
}
