//! Alerts: what an isolate counts and reports, and the look every five minutes that tells somebody. [`crate::watch`] decides.

use std::{cell::Cell, time::Duration};

use serde_json::{Value, json};
use url::Url;

use super::{
    App, Isolate, NAME, VERSION,
    health::{self, examination::examine},
};
use crate::{
    base::{
        clock::UnixMillis,
        http::{Head, Headers, Method},
    },
    catalogue::code,
    circuit::Verdict,
    config::{AlertFormat, Alerts, Config},
    oauth,
    port::{Answers, FetchError, Flow, Outbound, Port, RequestLog, Sink, StorageFailure, allowance::Allowance},
    tidbcloud::{self, Timestamp},
    watch::{Counts, Event, Judged, Kind, Notice, Seen, Tally, Trouble},
};

/// What was counted is reported after this time,
const REPORT_AFTER: Duration = Duration::from_secs(10);
/// or after so many requests.
const REPORT_REQUESTS: u32 = 50;
/// A report that is not made this long after its time never will be: the request that carried it is gone.
const REPORT_LATE: Duration = Duration::from_secs(5);
/// Every look is logged.
const LOG_ALL: u8 = 100;
/// How long the receiver of an alert has to take it.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// What one isolate counted and has not reported.
#[derive(Default)]
pub(super) struct Memory {
    counts: Cell<Counts>,
    /// Requests that counted.
    requests: Cell<u32>,
    /// Until when a request is waited for that reports it.
    carried_until: Cell<UnixMillis>,
}

impl Memory {
    fn add(&self, counts: Counts) {
        if !counts.is_empty() {
            self.counts.set(self.counts.get().plus(counts));
            self.requests.set(self.requests.get().saturating_add(1));
        }
    }

    /// How long from now on the current request waits before it reports; `None` if it does not, because there is nothing to
    /// report, another does, or its allowance is used up.
    fn carry(&self, now: UnixMillis, allowance: &Allowance) -> Option<Duration> {
        let at_once = self.requests.get() >= REPORT_REQUESTS;
        let left = now.until(self.carried_until.get());
        // What would be longer was noted before the clock stepped back.
        let is_carried = !left.is_zero() && left <= REPORT_AFTER + REPORT_LATE;
        if self.requests.get() == 0 || is_carried && !at_once || !allowance.take_object() {
            return None;
        }
        if at_once {
            self.requests.set(0);
            return Some(Duration::ZERO);
        }
        self.carried_until.set(now.after(REPORT_AFTER + REPORT_LATE));
        Some(REPORT_AFTER)
    }
}

impl App<'_> {
    /// Counts a request that was answered. It failed by a fault of this server if it got a 5xx, or if its tool met with one. A
    /// 5xx after a request to another host is not counted: that host may have been the reason, and a caller may have chosen it;
    /// TiDB Cloud's own failures are counted where they are seen. Neither is the 503 of a health route, which says how things are.
    /// It was served if it got a result for which TiDB Cloud answered with a success: whoever makes up keys gets none, so nobody can
    /// hide an outage behind requests that cost nothing.
    ///
    /// Statements count on an owner's deployment only. Elsewhere anybody could ring, with a cluster that fails.
    pub(super) fn count(&self, head: &Head, status: u16, error: Option<&'static str>) {
        if self.config.alerts.is_none() {
            return;
        }
        let (path, noted) = (head.url.path(), &self.log.noted);
        // Storage may also not have been asked, because a batch had used up its allowance.
        let is_silent = !self.metered.silent().is_empty();
        let is_fault = |code: &str| code == code::INTERNAL.0 || code == code::STORAGE_UNAVAILABLE.0 && is_silent;
        let has_asked = self.metered.allowance.requests_sent() > 0;
        let failed = if status < 500 {
            noted.calls.borrow().iter().filter_map(|call| call.code).chain(error).any(is_fault)
        } else {
            !has_asked && health::route(path).is_none()
        };
        let tally = |answers: &Answers| Tally { answered: answers.answered.get(), failed: answers.failed.get() };
        let (upstream, sql) = (tally(&noted.upstream), tally(&noted.sql));
        let was_answered = upstream.answered > 0 || sql.answered > 0;
        let served = status < 400 && error.is_none() && was_answered && oauth::is_endpoint(path);
        self.isolate.watch.add(Counts {
            requests: Tally { answered: u32::from(served && !failed), failed: u32::from(failed) },
            upstream: if self.config.owner.is_some() { upstream.plus(sql) } else { upstream },
        });
    }

    /// The look of the schedule, with checks that are made now.
    pub async fn look(&self) {
        look(self.config, async || !examine(self).await.have_failed(), self.port()).await;
    }

    /// Whether this request, which is answered now, has to report what its isolate counted, and after how long: see [`report`].
    pub fn carries_report(&self) -> Option<Duration> {
        self.config.alerts.as_ref()?;
        self.isolate.watch.carry(self.port().io.now(), &self.metered.allowance)
    }
}

/// Reports what an isolate counted, after `wait`. What does not arrive is reported with what comes later.
pub async fn report(isolate: &Isolate, wait: Duration, port: Port<'_>) {
    let memory = &isolate.watch;
    if !wait.is_zero() {
        port.io.sleep(wait).await;
        memory.carried_until.take();
    }
    memory.requests.take();
    let counts = memory.counts.take();
    if !counts.is_empty() && port.store.watch(&Event::Report(counts)).await.is_err() {
        memory.add(counts);
    }
}

/// Looks whether something is wrong, and tells whoever is to be told. `checks` says whether what readiness depends on works.
pub async fn look(config: &Config, checks: impl AsyncFnOnce() -> bool, port: Port<'_>) {
    if let Some(alerts) = &config.alerts {
        let circuits_open = has_open_circuit(config, port).await;
        let seen = Seen { percent: alerts.percent, circuits_open, checks_fail: !checks().await, wrong_settings: 0 };
        tell(alerts, seen, port).await;
    }
}

/// The look of a deployment that serves nothing, because this many settings are wrong.
pub async fn look_at_wrong_settings(alerts: &Alerts, wrong_settings: usize, port: Port<'_>) {
    let seen = Seen { percent: alerts.percent, circuits_open: false, checks_fail: false, wrong_settings };
    tell(alerts, seen, port).await;
}

/// Whether the circuit of an API is open for everybody, or for the owner where all callers use the owner's keys.
async fn has_open_circuit(config: &Config, port: Port<'_>) -> bool {
    let counts = |seen| matches!(seen, Some(Verdict::Open { all, .. }) if all || config.owner.is_some());
    tidbcloud::circuits(port.io).await.into_iter().any(counts)
}

/// Posts what is to be told, and notes that it arrived. One line of the log says what came of it.
async fn tell(alerts: &Alerts, seen: Seen, port: Port<'_>) {
    let decided = port.store.watch(&Event::Look(seen)).await;
    let notice = match &decided {
        Ok(notice) => notice.clone(),
        Err(StorageFailure) => Notice::without_memory(port.io.now(), seen),
    };
    let (outcome, alert, status) = match (decided, notice) {
        (Ok(_), None) => ("nothing_to_send", None, None),
        (Err(StorageFailure), None) => ("storage_failed", None, None),
        (decided, Some(notice)) => {
            let posted = post(alerts, &notice, port).await;
            let event = if posted.is_ok() { Event::Sent(notice.kind) } else { Event::Tried(notice.kind) };
            // What is not noted is sent again, five minutes later.
            let is_noted = port.store.watch(&event).await.is_ok() && decided.is_ok();
            match posted {
                Ok(()) if is_noted => ("sent", Some(notice.kind), None),
                Ok(()) => ("sent_and_not_noted", Some(notice.kind), None),
                Err(Undelivered { status }) => ("not_delivered", Some(notice.kind), status),
            }
        }
    };
    let mut line = json!({
        "circuits_open": seen.circuits_open,
        "checks_fail": seen.checks_fail,
        "wrong_settings": (seen.wrong_settings > 0).then_some(seen.wrong_settings),
        "outcome": outcome,
        "alert": alert,
        "status": status,
    });
    if let Some(fields) = line.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    let log = RequestLog::new(port.log, port.io, LOG_ALL);
    log.hides(alerts.webhook.expose());
    if matches!(outcome, "nothing_to_send" | "sent") {
        log.event("look", line);
    } else {
        log.warn("look", line);
    }
}

/// An alert did not arrive.
struct Undelivered {
    /// The receiver's answer, if there was one.
    status: Option<u16>,
}

/// Takes the status of an answer and nothing else.
#[derive(Default)]
struct Status(Option<u16>);

impl Sink for Status {
    fn begin(&mut self, status: u16) {
        self.0 = Some(status);
    }

    fn take(&mut self, _: &[u8]) -> Result<Flow, FetchError> {
        Ok(Flow::Enough)
    }
}

/// Whoever answers with a 2xx has the alert, whatever becomes of the rest of the answer.
async fn post(alerts: &Alerts, notice: &Notice, port: Port<'_>) -> Result<(), Undelivered> {
    let Ok(url) = Url::parse(alerts.webhook.expose()) else {
        return Err(Undelivered { status: None });
    };
    let body = match alerts.format {
        AlertFormat::Slack => json!({ "text": text(notice) }),
        AlertFormat::Json => fields(notice),
    };
    let agent = format!("{NAME}/{VERSION}");
    let headers = Headers::from_iter([("content-type", "application/json"), ("user-agent", agent.as_str())]);
    let body = Some(body.to_string().into_bytes());
    let mut status = Status::default();
    let request = Outbound { method: Method::Post, url, headers, body, timeout: POST_TIMEOUT };
    // Only the status matters: an answer that breaks off after it has arrived.
    drop(port.io.exchange(request, &mut status).await);
    match status.0 {
        Some(200..=299) => Ok(()),
        status => Err(Undelivered { status }),
    }
}

/// The fields of an alert for programs. Those of wrong settings say nothing about circuits and checks, which need the settings.
fn fields(notice: &Notice) -> Value {
    let Notice { kind, wrong, requests, upstream, seen, since, at } = notice;
    let tally = |judged: &Judged| {
        let Tally { answered, failed } = judged.tally;
        json!({ "answered": answered, "failed": failed, "minutes": minutes(judged.since, *at) })
    };
    let state = |is_bad, bad, good| match (seen.wrong_settings, is_bad) {
        (1.., _) => "unknown",
        (0, true) => bad,
        (0, false) => good,
    };
    json!({
        "event": kind,
        "service": NAME,
        "at": Timestamp::at(UnixMillis(*at)).as_str(),
        "since": Timestamp::at(UnixMillis(*since)).as_str(),
        "wrong": wrong,
        "percent": seen.percent,
        "requests": tally(requests),
        "upstream": tally(upstream),
        "circuits": state(seen.circuits_open, "open", "closed"),
        "checks": state(seen.checks_fail, "failing", "passing"),
        "wrongSettings": seen.wrong_settings,
    })
}

/// An alert for people.
fn text(notice: &Notice) -> String {
    let Notice { kind, wrong, since, at, .. } = notice;
    let since_when = Timestamp::at(UnixMillis(*since));
    let (date, time) = since_when.as_str().split_once('T').unwrap_or_default();
    let began = format!("{date} {} UTC", time.get(..5).unwrap_or_default());
    let lasted = minutes(*since, *at);
    let mut lines = match kind {
        Kind::Alert => vec![format!("{NAME} is in trouble since {began} ({lasted} minutes).")],
        Kind::AllClear => vec![
            format!("{NAME}: all clear. The trouble since {began} is over, after {lasted} minutes."),
            match notice.requests.tally.total() + notice.upstream.tally.total() {
                0 => "No request that counts came since; circuits and checks are well.".to_owned(),
                _ => format!(
                    "In the last {} minutes {} of {} requests failed, and {} of {} to TiDB Cloud.",
                    minutes(notice.requests.since, *at),
                    notice.requests.tally.failed,
                    notice.requests.tally.total(),
                    notice.upstream.tally.failed,
                    notice.upstream.tally.total(),
                ),
            },
        ],
    };
    lines.extend(wrong.iter().map(|trouble| format!("- {}", words(*trouble, notice))));
    if *kind == Kind::Alert {
        lines.push(
            "What to do: \"When an alert comes\" in docs/operations.md. Until the all-clear this comes again, every half hour at most."
                .to_owned(),
        );
    }
    lines.join("\n")
}

/// What is wrong, how much, and where to look next.
fn words(trouble: Trouble, notice: &Notice) -> String {
    let ratio = |judged: Judged| {
        let (minutes, Tally { failed, .. }) = (minutes(judged.since, notice.at), judged.tally);
        let (total, percent) = (judged.tally.total(), judged.tally.percent());
        format!("{failed} of {total} in the last {minutes} minutes ({percent} %; set is {} %)", notice.seen.percent)
    };
    match trouble {
        Trouble::Settings => {
            let (count, are) = match notice.seen.wrong_settings {
                1 => ("1 setting".to_owned(), "is"),
                count => (format!("{count} settings"), "are"),
            };
            format!("{count} {are} wrong, so nothing is served. Look at /readyz, which names them.")
        }
        Trouble::Requests => format!(
            "Requests fail by a fault of this server: {}. Look at /readyz, then at log lines with a status of 500 or more.",
            ratio(notice.requests)
        ),
        Trouble::Upstream => format!(
            "Requests to TiDB Cloud fail: {}. Look at TiDB Cloud's status page, then at log lines of requests to it.",
            ratio(notice.upstream)
        ),
        Trouble::Circuits => {
            "A circuit of TiDB Cloud's API stays open: it failed several times in a row, and calls are refused without being sent. Look at TiDB Cloud's status page.".to_owned()
        }
        Trouble::Checks => "A check of readiness keeps failing. Look at /readyz, which says which.".to_owned(),
    }
}

/// Whole minutes from one moment to another, rounded, and at least one.
fn minutes(since: u64, at: u64) -> u64 {
    (at.saturating_sub(since).saturating_add(30_000) / 60_000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_428_000_000);

    fn counted(requests: u32) -> Memory {
        let memory = Memory::default();
        for _ in 0..requests {
            memory.add(Counts { requests: Tally { answered: 1, failed: 0 }, ..Counts::default() });
        }
        memory
    }

    #[test]
    fn a_request_without_a_subrequest_left_leaves_the_report_to_another() {
        let memory = counted(REPORT_REQUESTS);
        let used_up = Allowance::new(NOW);
        while used_up.take_object() {}
        assert_eq!(memory.carry(NOW, &used_up), None, "it would be one subrequest too many");
        let fresh = Allowance::new(NOW);
        assert_eq!(memory.carry(NOW, &fresh), Some(Duration::ZERO), "the next one reports");
        assert_eq!(counted(0).carry(NOW, &fresh), None, "there is nothing to report");
    }

    #[test]
    fn a_clock_that_steps_back_holds_no_report_up() {
        let (memory, allowance) = (counted(1), Allowance::new(NOW));
        assert_eq!(memory.carry(NOW, &allowance), Some(REPORT_AFTER));
        assert_eq!(memory.carry(NOW, &allowance), None, "one is under way");
        let back = NOW.before(Duration::from_secs(3_600));
        assert_eq!(memory.carry(back, &allowance), Some(REPORT_AFTER), "its turn does not last an hour");
    }
}
