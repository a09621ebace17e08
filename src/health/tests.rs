//! One asker at a time finds out, everybody else is told, and nothing stops for good.

use proptest::prelude::*;

use super::*;

const START: u64 = 1_795_428_000_000;

fn checks(tidb_cloud: State) -> Checks {
    Checks { limiter: State::Ok, grants: State::Ok, circuits: State::Ok, tidb_cloud, ..Checks::unknown(State::Ok) }
}

/// The examinations of all isolates, and their clock.
struct Scene {
    all: Examinations,
    now: u64,
}

impl Scene {
    fn new() -> Self {
        Self { all: Examinations::default(), now: START }
    }

    fn ask(&mut self) -> Reply {
        self.all.step(UnixMillis(self.now), &Command::Ask)
    }

    fn turn(&mut self) -> u64 {
        match self.ask() {
            Reply::Examine { turn } => turn,
            reply => panic!("it is nobody's turn: {reply:?}"),
        }
    }

    fn report(&mut self, turn: u64, tidb_cloud: State) {
        let reply = self.all.step(UnixMillis(self.now), &Command::Report { turn, checks: checks(tidb_cloud) });
        assert_eq!(reply, Reply::Noted);
    }
}

#[test]
fn one_finds_out_and_the_others_wait_and_are_told() {
    let mut scene = Scene::new();
    let turn = scene.turn();
    assert_eq!(scene.ask(), Reply::Wait, "somebody is finding out");
    scene.now += 3_000;
    assert_eq!(scene.ask(), Reply::Wait);
    scene.report(turn, State::Ok);
    assert_eq!(scene.ask(), Reply::Known(checks(State::Ok)));
    scene.now = START + BELIEVED_MILLIS - 1;
    assert_eq!(scene.ask(), Reply::Known(checks(State::Ok)), "a verdict is as old as its turn");
    scene.now += 1;
    let turn = scene.turn();
    assert_eq!(scene.ask(), Reply::Known(checks(State::Ok)), "nobody waits while the verdict is renewed");
    scene.report(turn, State::Failing);
    assert_eq!(scene.ask(), Reply::Known(checks(State::Failing)), "the new verdict is everybody's");
}

#[test]
fn who_leaves_in_the_middle_costs_one_turn() {
    let mut scene = Scene::new();
    let left = scene.turn();
    scene.now += TURN_MILLIS - 1;
    assert_eq!(scene.ask(), Reply::Wait);
    scene.now += 1;
    let turn = scene.turn();
    scene.report(left, State::Failing);
    assert_eq!(scene.ask(), Reply::Wait, "what an earlier turn found comes too late");
    scene.report(turn, State::Ok);
    assert_eq!(scene.ask(), Reply::Known(checks(State::Ok)));
}

#[test]
fn a_turn_that_is_given_back_goes_to_the_next() {
    let mut scene = Scene::new();
    let turn = scene.turn();
    scene.all.step(UnixMillis(scene.now), &Command::Release { turn });
    assert_eq!(scene.turn(), turn, "in the same millisecond it is the same turn");
}

#[test]
fn an_isolate_believes_a_verdict_for_a_third_of_the_time() {
    let mut scene = Scene { all: Examinations::of_isolate(), ..Scene::new() };
    let turn = scene.turn();
    scene.report(turn, State::Ok);
    scene.now += BELIEVED_HERE_MILLIS - 1;
    assert_eq!(scene.ask(), Reply::Known(checks(State::Ok)));
    scene.now += 1;
    scene.turn();
}

#[test]
fn a_clock_that_steps_back_freezes_nothing() {
    let mut scene = Scene::new();
    let turn = scene.turn();
    scene.now -= 3_600_000;
    assert!(matches!(scene.ask(), Reply::Examine { .. }), "a turn of the future is nobody's");
    scene.report(turn, State::Ok);
    scene.now += TURN_MILLIS;
    let turn = scene.turn();
    scene.report(turn, State::Ok);
    scene.now -= 3_600_000;
    assert!(matches!(scene.ask(), Reply::Examine { .. }), "nor is a verdict of the future believed for an hour");
}

#[test]
fn everything_works_only_if_each_check_says_so() {
    assert!(checks(State::Ok).are_ok());
    assert!(!checks(State::Failing).are_ok());
    assert!(!checks(State::Unknown).are_ok(), "what nobody knows may not work");
    let names: Vec<_> = checks(State::Ok).each().iter().map(|(name, _)| *name).collect();
    let serialized = serde_json::to_value(checks(State::Ok)).unwrap();
    assert_eq!(serialized.as_object().unwrap().len(), names.len());
    for name in names {
        assert_eq!(serialized[name], State::Ok.name(), "{name} is written as it is called");
    }
}

/// What somebody does, and for how long nothing happens after it.
#[derive(Clone, Debug)]
enum Step {
    Ask,
    /// The asker whose turn it is reports after that time, or leaves if there is none.
    Pass(u64),
    Back(u64),
}

fn steps(back: bool) -> impl Strategy<Value = Vec<(Step, Option<u64>)>> {
    let step = prop_oneof![
        8 => Just(Step::Ask),
        4 => (0..20_000_u64).prop_map(Step::Pass),
        u32::from(back) => (0..40_000_u64).prop_map(Step::Back),
    ];
    prop::collection::vec((step, prop::option::of(0..14_000_u64)), 0..200)
}

/// Plays askers of whom some leave. Returns the turns that were given, and says every verdict with its age.
fn play(scene: &mut Scene, steps: Vec<(Step, Option<u64>)>, mut told: impl FnMut(u64)) -> Vec<u64> {
    let mut turns = Vec::new();
    let mut to_come: Vec<(u64, u64)> = Vec::new();
    for (step, reports_after) in steps {
        match step {
            Step::Ask => match scene.ask() {
                Reply::Examine { turn } => {
                    turns.push(turn);
                    to_come.extend(reports_after.map(|after| (scene.now + after, turn)));
                }
                Reply::Known(_) => told(scene.all.last.map_or(0, |(since, _)| scene.now - since.0)),
                Reply::Wait => {}
                Reply::Noted => panic!("nothing was reported"),
            },
            Step::Pass(millis) => scene.now += millis,
            Step::Back(millis) => scene.now -= millis,
        }
        let (due, later): (Vec<_>, _) = to_come.into_iter().partition(|(at, _)| *at <= scene.now);
        to_come = later;
        due.into_iter().for_each(|(_, turn)| scene.report(turn, State::Ok));
    }
    turns
}

proptest! {
    /// However many ask and whoever leaves, two examinations begin 15 s apart, and no verdict is older than 30 s.
    #[test]
    fn examinations_are_rare_and_verdicts_are_young(steps in steps(false)) {
        let mut scene = Scene::new();
        let mut oldest = 0;
        let turns = play(&mut scene, steps, |age| oldest = oldest.max(age));
        for pair in turns.windows(2) {
            prop_assert!(pair[1] - pair[0] >= BELIEVED_MILLIS, "{pair:?}");
        }
        prop_assert!(oldest < RENEWED_MILLIS, "{oldest}");
    }

    /// Whatever happened before, also to the clock: within the time of a turn somebody knows, or finds out.
    #[test]
    fn nothing_stops_for_good(steps in steps(true)) {
        let mut scene = Scene::new();
        play(&mut scene, steps, |_| {});
        if scene.ask() == Reply::Wait {
            scene.now += TURN_MILLIS;
            let reply = scene.ask();
            prop_assert!(matches!(reply, Reply::Examine { .. }), "{reply:?}");
        }
    }
}
