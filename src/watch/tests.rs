//! A deployment over hours, whose clock may step back, and whose posts may get lost.

use proptest::prelude::*;

use super::*;

/// 2026-11-23T10:00:00Z.
const START: u64 = 1_795_428_000_000;

const CALM: Seen = Seen { percent: 5, circuits_open: false, checks_fail: false, wrong_settings: 0 };

fn requests(answered: u32, failed: u32) -> Counts {
    Counts { requests: Tally { answered, failed }, ..Counts::default() }
}

fn upstream(answered: u32, failed: u32) -> Counts {
    Counts { upstream: Tally { answered, failed }, ..Counts::default() }
}

/// A deployment that is watched.
struct Watched {
    watch: Watch,
    /// What the object's clock says.
    clock: u64,
    /// How many milliseconds have passed in truth.
    passed: u64,
    /// What arrived, and when in truth.
    arrived: Vec<(u64, Kind)>,
}

impl Watched {
    fn new() -> Self {
        Self { watch: Watch::default(), clock: START, passed: 0, arrived: Vec::new() }
    }

    fn pass(&mut self, millis: u64) {
        self.clock += millis;
        self.passed += millis;
    }

    fn step(&mut self, event: Event) -> Option<Notice> {
        // What a restart must know is stored after every step.
        self.watch = Watch::of_stored(Some(&self.watch.to_stored()));
        self.watch.step(UnixMillis(self.clock), &event)
    }

    fn report(&mut self, counts: Counts) {
        assert_eq!(self.step(Event::Report(counts)), None, "a report alone sends nothing");
    }

    fn look(&mut self, seen: Seen, arrives: bool) -> Option<Notice> {
        let notice = self.step(Event::Look(seen))?;
        if arrives {
            self.arrived.push((self.passed, notice.kind));
            self.step(Event::Sent(notice.kind));
        }
        Some(notice)
    }

    /// Five minutes in which this was counted, and the look at their end.
    fn five_minutes(&mut self, counts: Counts, seen: Seen) -> Option<Notice> {
        self.report(counts);
        self.pass(LOOK_MILLIS);
        self.look(seen, true)
    }

    fn alert(&mut self, counts: Counts, seen: Seen) -> Notice {
        let notice = self.five_minutes(counts, seen).expect("an alert");
        assert_eq!(notice.kind, Kind::Alert);
        notice
    }
}

#[test]
fn from_healthy_to_an_alert_to_the_next_to_the_all_clear() {
    let mut watched = Watched::new();
    for _ in 0..20 {
        assert_eq!(watched.five_minutes(requests(500, 0), CALM), None, "nothing is wrong");
    }
    let began = watched.clock;
    let alert = watched.alert(requests(60, 40), CALM);
    assert_eq!((alert.wrong, alert.since), (vec![Trouble::Requests], began), "what fails, and since when");
    assert_eq!((alert.requests.tally.percent(), alert.requests.since), (40, began), "the last five minutes are judged");
    for _ in 1..6 {
        assert_eq!(watched.five_minutes(requests(60, 40), CALM), None, "the same is said once in 30 minutes");
    }
    assert_eq!(watched.alert(requests(60, 40), CALM).since, began, "it still lasts");
    let clear = watched.five_minutes(requests(3, 0), CALM).expect("the all-clear");
    assert_eq!((clear.kind, clear.since, clear.wrong), (Kind::AllClear, began, vec![]), "it needs no cool-down");
    assert_eq!(watched.five_minutes(requests(0, 40), CALM), None, "the cool-down is that of the last alert");
}

#[test]
fn a_quiet_deployment_is_heard_within_the_hour() {
    let mut watched = Watched::new();
    for _ in 0..9 {
        assert_eq!(watched.five_minutes(upstream(2, 0), CALM), None, "nothing failed");
    }
    let began = watched.clock;
    assert_eq!(watched.five_minutes(upstream(1, 1), CALM), None, "one failure alone is an accident");
    let alert = watched.alert(upstream(0, 1), CALM);
    assert_eq!((alert.wrong, alert.upstream.tally), (vec![Trouble::Upstream], Tally { answered: 19, failed: 2 }));
    assert_eq!(alert.since, began, "it began where the first of them failed, not where the first of them was sent");

    let mut alone = Watched::new();
    for _ in 0..30 {
        assert_eq!(alone.five_minutes(requests(0, 1), CALM), None, "12 an hour are not enough to judge");
    }
}

#[test]
fn failures_that_are_over_ring_no_more() {
    let mut watched = Watched::new();
    watched.report(requests(0, 19));
    watched.pass(LOOK_MILLIS);
    assert_eq!(watched.look(CALM, true), None, "19 are not enough to judge");
    assert_eq!(watched.five_minutes(requests(5, 0), CALM), None, "the newest have no failure");
    watched.alert(requests(5, 1), CALM);
}

#[test]
fn the_two_ratios_are_judged_apart() {
    let mut watched = Watched::new();
    let counts = Counts { requests: Tally { answered: 1_000, failed: 0 }, ..upstream(10, 10) };
    assert_eq!(watched.alert(counts, CALM).wrong, [Trouble::Upstream], "what is served hides no failure of TiDB Cloud");
    let clear = Counts { upstream: Tally { answered: 1_000, failed: 49 }, ..requests(20, 0) };
    assert_eq!(watched.five_minutes(clear, CALM).map(|notice| notice.kind), Some(Kind::AllClear), "below 5 %");
}

#[test]
fn what_stays_open_or_keeps_failing_is_trouble_and_what_is_seen_once_is_not() {
    let circuit = Seen { circuits_open: true, ..CALM };
    let check = Seen { checks_fail: true, ..CALM };
    for (seen, trouble) in [(circuit, Trouble::Circuits), (check, Trouble::Checks)] {
        let mut watched = Watched::new();
        for _ in 0..5 {
            assert_eq!(watched.five_minutes(requests(9, 0), seen), None, "seen once");
            assert_eq!(watched.look(seen, true), None, "a schedule that fires twice has seen it once");
            assert_eq!(watched.five_minutes(requests(9, 0), CALM), None, "gone again");
        }
        assert_eq!(watched.five_minutes(Counts::default(), seen), None, "seen once");
        assert_eq!(watched.alert(Counts::default(), seen).wrong, [trouble], "seen for five minutes");
        assert_eq!(watched.five_minutes(requests(9, 0), seen), None, "it lasts");
        let clear = watched.five_minutes(requests(9, 0), CALM).expect("the all-clear");
        assert_eq!(clear.kind, Kind::AllClear, "{trouble:?} is over");
    }
}

#[test]
fn wrong_settings_are_trouble_at_once() {
    let mut watched = Watched::new();
    let wrong = Seen { wrong_settings: 3, ..CALM };
    assert_eq!(watched.alert(Counts::default(), wrong).wrong, [Trouble::Settings]);
    assert_eq!(watched.five_minutes(Counts::default(), wrong), None, "said once in 30 minutes");
    let clear = watched.five_minutes(Counts::default(), CALM).expect("the all-clear");
    assert_eq!(clear.kind, Kind::AllClear, "they were corrected");
}

#[test]
fn a_second_look_right_after_the_alert_proves_nothing() {
    let mut watched = Watched::new();
    watched.alert(requests(0, 40), CALM);
    watched.pass(1_000);
    assert_eq!(watched.look(CALM, true), None, "nobody asked for anything in this second");
    watched.report(requests(1, 0));
    let clear = watched.look(CALM, true).expect("the all-clear");
    assert_eq!(clear.kind, Kind::AllClear, "one request was served, and none failed");
}

#[test]
fn what_did_not_arrive_is_decided_again() {
    let mut watched = Watched::new();
    for _ in 0..3 {
        watched.report(requests(0, 40));
        watched.pass(LOOK_MILLIS);
        assert_eq!(watched.look(CALM, false).map(|notice| notice.kind), Some(Kind::Alert), "lost each time");
    }
    watched.alert(requests(0, 40), CALM);
    for _ in 0..3 {
        watched.report(requests(40, 0));
        watched.pass(LOOK_MILLIS);
        assert_eq!(watched.look(CALM, false).map(|notice| notice.kind), Some(Kind::AllClear), "lost each time");
    }
    assert_eq!(watched.five_minutes(requests(40, 0), CALM).map(|notice| notice.kind), Some(Kind::AllClear));
    assert_eq!(watched.five_minutes(requests(40, 0), CALM), None, "it has arrived");
}

#[test]
fn what_nobody_confirms_is_sent_three_times_and_then_counts_as_an_alert() {
    let mut watched = Watched::new();
    // How many notices so many looks at an outage send, none of which is confirmed.
    let tries = |watched: &mut Watched, looks: usize| {
        let mut tries = 0;
        for _ in 0..looks {
            watched.report(requests(0, 40));
            watched.pass(LOOK_MILLIS);
            if let Some(notice) = watched.step(Event::Look(CALM)) {
                tries += 1;
                watched.step(Event::Tried(notice.kind));
            }
        }
        tries
    };
    assert_eq!(tries(&mut watched, 2), 2);
    assert_eq!(watched.five_minutes(requests(500, 0), CALM), None, "it is over, and nobody may have heard of it");
    assert_eq!(tries(&mut watched, 6), u32::from(TRIES_MAX), "a receiver may have it and not say so");
    watched.pass(COOL_DOWN_MILLIS);
    let clear = watched.five_minutes(requests(40, 0), CALM).expect("the all-clear of what may have arrived");
    assert_eq!(clear.kind, Kind::AllClear);
}

#[test]
fn what_was_seen_before_a_pause_in_which_nobody_looked_is_forgotten() {
    let failing = Seen { checks_fail: true, ..CALM };
    let mut watched = Watched::new();
    assert_eq!(watched.five_minutes(requests(0, 15), failing), None, "one look at failing checks, and few requests");
    watched.pass(PAUSE_MILLIS);
    assert_eq!(watched.look(failing, true), None, "it did not last for as long as nobody looked");
    assert_eq!(watched.five_minutes(requests(0, 15), CALM), None, "what was counted before is not judged");
}

#[test]
fn without_memory_what_a_look_sees_is_told_once_in_half_an_hour() {
    let failing = Seen { checks_fail: true, ..CALM };
    let told =
        |seen| (0..12).filter_map(|look| Notice::without_memory(UnixMillis(START + look * LOOK_MILLIS), seen)).count();
    assert_eq!((told(failing), told(Seen { wrong_settings: 2, ..CALM }), told(CALM)), (2, 2, 0), "in an hour");
}

#[test]
fn what_cannot_be_read_begins_anew() {
    for text in [None, Some(""), Some("{}"), Some("{\"open\": 1}"), Some("[]")] {
        assert_eq!(Watch::of_stored(text), Watch::default(), "{text:?}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Report(Counts),
    Pass(u64),
    SetBack(u64),
    Look { seen: Seen, arrives: bool },
}

fn tallies() -> impl Strategy<Value = Tally> {
    let count = || prop_oneof![4 => 0..40_u32, 1 => Just(u32::MAX)];
    (count(), count()).prop_map(|(answered, failed)| Tally { answered, failed })
}

fn looks() -> impl Strategy<Value = Seen> {
    (1..=100_u8, prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop_oneof![9 => Just(0_usize), 1 => 1..4_usize])
        .prop_map(|(percent, circuits_open, checks_fail, wrong_settings)| Seen {
            percent,
            circuits_open,
            checks_fail,
            wrong_settings,
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (tallies(), tallies()).prop_map(|(requests, upstream)| Step::Report(Counts { requests, upstream })),
        3 => (0..2 * LOOK_MILLIS).prop_map(Step::Pass),
        1 => (0..4 * COOL_DOWN_MILLIS).prop_map(Step::SetBack),
        3 => (looks(), prop::bool::weighted(0.8)).prop_map(|(seen, arrives)| Step::Look { seen, arrives }),
    ];
    prop::collection::vec(step, 0..60)
}

fn take(watched: &mut Watched, step: &Step) {
    match *step {
        Step::Report(counts) => watched.report(counts),
        Step::Pass(millis) => watched.pass(millis),
        Step::SetBack(millis) => watched.clock = watched.clock.saturating_sub(millis),
        Step::Look { seen, arrives } => drop(watched.look(seen, arrives)),
    }
}

proptest! {
    #[test]
    fn alerts_keep_their_distance_and_an_all_clear_follows_an_alert(steps in steps()) {
        let mut watched = Watched::new();
        steps.iter().for_each(|step| take(&mut watched, step));
        let alerts: Vec<_> = watched.arrived.iter().filter(|(_, kind)| *kind == Kind::Alert).collect();
        for pair in alerts.windows(2) {
            prop_assert!(pair[1].0 - pair[0].0 >= COOL_DOWN_MILLIS, "two alerts within 30 minutes: {:?}", pair);
        }
        for (at, (_, kind)) in watched.arrived.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| watched.arrived[before].1);
            prop_assert!(*kind == Kind::Alert || before == Some(Kind::Alert), "an all-clear of nothing");
        }
        prop_assert!(watched.watch.buckets.len() <= BUCKETS_MAX, "an hour is kept");
    }

    /// Refusals count as nothing. So whatever else is answered, they ring nobody.
    #[test]
    fn without_a_failure_nothing_rings(steps in steps()) {
        let mut watched = Watched::new();
        for step in steps {
            take(&mut watched, &match step {
                Step::Report(mut counts) => {
                    (counts.requests.failed, counts.upstream.failed) = (0, 0);
                    Step::Report(counts)
                }
                Step::Look { seen: Seen { percent, .. }, arrives } => Step::Look { seen: Seen { percent, ..CALM }, arrives },
                other => other,
            });
        }
        prop_assert_eq!(watched.arrived, []);
    }

    /// Whatever happened before, also to the clock.
    #[test]
    fn an_outage_is_told_within_35_minutes_and_its_end_at_the_next_look(steps in steps(), back in 0..4 * COOL_DOWN_MILLIS) {
        let mut watched = Watched::new();
        steps.iter().for_each(|step| take(&mut watched, step));
        watched.five_minutes(requests(0, 40), CALM);
        watched.clock -= back.min(watched.clock);
        let looks = COOL_DOWN_MILLIS / LOOK_MILLIS + 1;
        let told = (0..looks).filter_map(|_| watched.five_minutes(requests(0, 40), CALM)).count();
        let has_just_been_told = watched.watch.is_alarmed;
        prop_assert!(told > 0 || has_just_been_told, "an outage of 40 minutes was told to nobody");
        prop_assert_eq!(watched.arrived.last().map(|(_, kind)| *kind), Some(Kind::Alert));
        let clear = watched.five_minutes(requests(1, 0), CALM).map(|notice| notice.kind);
        prop_assert_eq!(clear, Some(Kind::AllClear), "the first look after it sees that it is over");
        prop_assert_eq!(watched.five_minutes(requests(1, 0), CALM), None, "and then there is nothing to say");
    }

    #[test]
    fn how_counts_are_split_into_reports_makes_no_difference(all in prop::collection::vec((tallies(), tallies()), 1..20)) {
        let all: Vec<_> = all.into_iter().map(|(requests, upstream)| Counts { requests, upstream }).collect();
        let (mut one, mut many) = (Watched::new(), Watched::new());
        one.report(all.iter().fold(Counts::default(), |sum, counts| sum.plus(*counts)));
        all.iter().for_each(|counts| many.report(*counts));
        prop_assert_eq!(one.watch, many.watch);
    }
}
