//! Circuits open for whom they should, let one read through, and close.

use proptest::prelude::*;

use super::*;

const START: u64 = 1_795_428_000_000;

/// A circuit, its clock, and random numbers in the middle of their range: nothing is jittered.
#[derive(Clone)]
struct Scene {
    circuit: Circuit,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        Self { circuit: Circuit::default(), now: START }
    }

    fn tell(&mut self, caller: &str, event: Event) -> Verdict {
        let report = Report { caller: caller.to_owned(), event, random: 127 };
        self.circuit.step(UnixMillis(self.now), &report)
    }

    fn fails(&mut self, caller: &str, trouble: Trouble, attempts: u32) -> Verdict {
        self.tell(caller, Event::Failed { trouble, attempts, probed: false })
    }

    /// The state for a caller, whole seconds where it is open.
    fn seconds_left(&mut self, caller: &str) -> Option<u64> {
        match self.tell(caller, Event::Released) {
            Verdict::Open { millis, .. } => Some(millis.div_ceil(1_000)),
            _ => None,
        }
    }

    /// Open for everybody.
    fn opened() -> Self {
        let mut scene = Self::new();
        for caller in ["a", "b", "c"] {
            scene.fails(caller, Trouble::Connection, 2);
        }
        scene
    }
}

#[test]
fn five_failures_of_one_kind_open_a_circuit_for_their_caller_alone() {
    let mut scene = Scene::new();
    assert_eq!(scene.fails("a", Trouble::Status, 4), Verdict::Closed, "four are not five");
    assert_eq!(scene.fails("a", Trouble::Timeout, 4), Verdict::Closed, "kinds are counted apart");
    assert!(matches!(scene.fails("a", Trouble::Status, 1), Verdict::Open { .. }));
    assert_eq!(scene.tell("b", Event::Asked), Verdict::Closed, "the trouble of one caller is nobody else's");
}

#[test]
fn who_only_looks_sees_an_open_circuit_and_changes_nothing() {
    let mut scene = Scene::new();
    assert_eq!(scene.tell("", Event::Watched), Verdict::Closed);
    scene.fails("a", Trouble::Status, 5);
    assert!(matches!(scene.tell("", Event::Watched), Verdict::Open { all: false, .. }), "it is open for one caller");
    let mut scene = Scene::opened();
    assert!(matches!(scene.tell("", Event::Watched), Verdict::Open { all: true, .. }));
    scene.now += OPEN_MILLIS.0;
    assert!(matches!(scene.tell("", Event::Watched), Verdict::Open { .. }), "nobody knows yet that it could be closed");
    let mut idle = scene.clone();
    idle.now += CALM_MILLIS;
    assert_eq!(idle.tell("", Event::Watched), Verdict::Closed, "nobody has tried for a minute");
    assert_eq!(scene.tell("a", Event::Asked), Verdict::Probe, "the read that finds out is left to callers");
}

#[test]
fn a_success_ends_what_was_counted_for_its_caller() {
    let mut scene = Scene::new();
    scene.fails("a", Trouble::Status, 4);
    scene.tell("a", Event::Worked { probed: false });
    assert_eq!(scene.fails("a", Trouble::Status, 4), Verdict::Closed);
}

#[test]
fn failures_of_three_callers_open_it_for_everybody() {
    let mut scene = Scene::new();
    scene.fails("a", Trouble::Connection, 2);
    scene.fails("b", Trouble::Connection, 2);
    assert_eq!(scene.tell("d", Event::Asked), Verdict::Closed, "two callers are not three");
    scene.fails("c", Trouble::Status, 2);
    assert_eq!(scene.tell("d", Event::Asked), Verdict::Closed, "another kind of failure");
    scene.fails("c", Trouble::Connection, 2);
    assert!(matches!(scene.tell("d", Event::Asked), Verdict::Open { .. }));
}

#[test]
fn failures_are_forgotten_after_half_a_minute_without_one() {
    let mut scene = Scene::new();
    scene.fails("a", Trouble::Status, 4);
    scene.now += WINDOW_MILLIS;
    assert_eq!(scene.fails("a", Trouble::Status, 1), Verdict::Closed);
}

#[test]
fn one_read_is_let_through_whose_success_closes_it_for_all() {
    let mut scene = Scene::opened();
    assert_eq!(scene.seconds_left("d"), Some(10));
    scene.now += 10_000;
    assert_eq!(scene.tell("d", Event::Asked), Verdict::Probe);
    for caller in (0..50).map(|number| number.to_string()).chain(["a", "d"].map(str::to_owned)) {
        assert!(matches!(scene.tell(&caller, Event::Asked), Verdict::Open { .. }), "{caller} waits for that read");
    }
    assert_eq!(scene.tell("d", Event::Worked { probed: true }), Verdict::Closed);
    for caller in ["a", "b", "c", "e"] {
        assert_eq!(scene.tell(caller, Event::Asked), Verdict::Closed, "{caller} does not have to find out again");
    }
}

#[test]
fn a_read_that_fails_opens_it_for_longer_up_to_half_a_minute() {
    let mut scene = Scene::opened();
    for (seconds, caller) in [(10, "d"), (20, "e"), (30, "d"), (30, "e")] {
        assert_eq!(scene.seconds_left("d"), Some(seconds));
        scene.now += seconds * 1_000;
        assert_eq!(scene.tell(caller, Event::Asked), Verdict::Probe);
        scene.tell(caller, Event::Failed { trouble: Trouble::Connection, attempts: 1, probed: true });
    }
}

#[test]
fn who_found_nothing_out_leaves_the_next_read_to_others() {
    let mut scene = Scene::opened();
    scene.now += 10_000;
    for end in [Event::Released, Event::Failed { trouble: Trouble::Status, attempts: 1, probed: true }] {
        assert_eq!(scene.tell("d", Event::Asked), Verdict::Probe);
        scene.tell("d", end);
        scene.now += scene.seconds_left("d").unwrap_or_default() * 1_000;
        assert!(matches!(scene.tell("d", Event::Asked), Verdict::Open { .. }), "{end:?}: it had its turn");
        assert_eq!(scene.clone().tell("e", Event::Asked), Verdict::Probe, "{end:?}: somebody else may");
        scene.now += PROBE_MILLIS;
    }
    assert_eq!(scene.tell("d", Event::Asked), Verdict::Probe, "nobody else asked");
}

#[test]
fn what_one_caller_meets_keeps_a_circuit_open_for_nobody_else() {
    let mut scene = Scene::opened();
    scene.now += 10_000;
    scene.fails("a", Trouble::Connection, 9);
    assert_eq!(scene.tell("e", Event::Asked), Verdict::Probe, "only the read that was let through opens it again");
}

#[test]
fn a_read_that_is_never_heard_of_is_followed_by_another() {
    let mut scene = Scene::opened();
    scene.now += 10_000;
    assert_eq!(scene.tell("d", Event::Asked), Verdict::Probe);
    scene.now += PROBE_MILLIS - 1;
    assert!(matches!(scene.tell("e", Event::Asked), Verdict::Open { .. }));
    scene.now += 1;
    assert_eq!(scene.tell("e", Event::Asked), Verdict::Probe);
}

fn events() -> impl Strategy<Value = (u64, usize, Event, u8)> {
    let trouble = prop_oneof![
        Just(Trouble::Connection),
        Just(Trouble::Timeout),
        Just(Trouble::Status),
        Just(Trouble::Unreadable)
    ];
    let event = prop_oneof![
        4 => (trouble, 1..4_u32, any::<bool>())
            .prop_map(|(trouble, attempts, probed)| Event::Failed { trouble, attempts, probed }),
        1 => Just(Event::Released),
        1 => any::<bool>().prop_map(|probed| Event::Worked { probed }),
        2 => Just(Event::Asked),
    ];
    (prop_oneof![Just(0), 0..2_000_u64, 0..60_000_u64], 0..100_usize, event, any::<u8>())
}

proptest! {
    #[test]
    fn fewer_than_three_callers_open_nothing_for_others(events in prop::collection::vec(events(), 0..200)) {
        let mut scene = Scene::new();
        for (pause, caller, event, random) in events {
            scene.now += pause;
            let caller = ["a", "b"][caller % 2].to_owned();
            scene.circuit.step(UnixMillis(scene.now), &Report { caller, event, random });
            prop_assert_eq!(scene.tell("c", Event::Asked), Verdict::Closed);
        }
    }

    #[test]
    fn reads_let_through_are_as_far_apart_as_one_may_take(events in prop::collection::vec(events(), 0..300)) {
        let mut scene = Scene::opened();
        let mut last = None;
        for (pause, _, event, random) in events {
            scene.now += pause;
            // Nobody hears of success: it stays open for everybody.
            let event = if matches!(event, Event::Worked { .. }) { Event::Asked } else { event };
            let verdict = scene.circuit.step(UnixMillis(scene.now), &Report { caller: "a".to_owned(), event, random });
            if verdict == Verdict::Probe {
                prop_assert!(last.is_none_or(|last| scene.now - last >= OPEN_MILLIS.0 * 4 / 5));
                last = Some(scene.now);
            }
        }
    }

    /// 56 s after the last failure, whoever asks goes on.
    #[test]
    fn an_open_circuit_never_stays_open(events in prop::collection::vec(events(), 0..300), asker in 0..100_usize) {
        let mut scene = Scene::new();
        for (pause, caller, event, random) in events {
            scene.now += pause;
            scene.circuit.step(UnixMillis(scene.now), &Report { caller: caller.to_string(), event, random });
        }
        prop_assert!(scene.circuit.callers.len() <= CALLERS_MAX, "no more callers are kept");
        scene.now += OPEN_MILLIS.1 * 6 / 5 + 2 * PROBE_MILLIS;
        let verdict = scene.tell(&asker.to_string(), Event::Asked);
        prop_assert!(!matches!(verdict, Verdict::Open { .. }), "{:?}", verdict);
    }
}
