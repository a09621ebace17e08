//! Many isolates and one object, in virtual time.

use proptest::prelude::*;

use super::*;
use crate::limits::ledger::Ledger;

const START_MILLIS: u64 = 1_767_225_600_000;

const ADDRESS: Policy = Policy::per_minute(100, 100);
const CREDENTIAL: Policy = Policy::per_minute(120, 30);
const UPSTREAM: Policy = Policy::in_any_minute(80);

/// One limit, its object, and the isolates that take from it.
struct Scene {
    limit: Limit,
    isolates: Vec<Permits>,
    object: Ledger,
    stored: Option<String>,
    now: u64,
    /// When each admitted request was let through.
    passed: Vec<u64>,
    refused: usize,
    hops: usize,
    writes: usize,
    /// Asks whose answer is on its way: when it arrives, where, what was asked and when.
    under_way: Vec<(u64, usize, Ask, u64, Admission)>,
}

impl Scene {
    fn new(policy: Policy, isolates: usize) -> Self {
        Self {
            limit: Limit { name: "test", key: LimitKey("test".to_owned()), policy },
            isolates: (0..isolates).map(|_| Permits::default()).collect(),
            object: Ledger::default(),
            stored: None,
            now: START_MILLIS,
            passed: Vec::new(),
            refused: 0,
            hops: 0,
            writes: 0,
            under_way: Vec::new(),
        }
    }

    fn clock(&self) -> UnixMillis {
        UnixMillis(self.now)
    }

    fn wait(&mut self, millis: u64) {
        let until = self.now + millis;
        loop {
            self.under_way.sort_by_key(|under_way| under_way.0);
            let Some((at, isolate, ask, asked, admission)) =
                self.under_way.first().copied().filter(|next| next.0 <= until)
            else {
                break;
            };
            self.under_way.remove(0);
            self.now = self.now.max(at);
            self.arrive(isolate, &ask, asked, admission);
        }
        self.now = until;
    }

    /// What a request costs is taken by the object, or from a lease; its reply arrives after `delay`, or never.
    fn request(&mut self, isolate: usize, cost: u32, delay: Option<u64>) {
        let ask = match self.limit.begin(&self.isolates[isolate], self.clock(), cost, (cost == 1).then_some(0)) {
            Begun::Ask(ask) => ask,
            Begun::Taken(taken) => return self.count(taken.allowed(), cost),
        };
        self.hops += 1;
        let (admission, stores) = self.object.admit(&ask, self.clock());
        if stores {
            self.writes += 1;
            self.stored = Some(self.object.to_stored());
        }
        match delay {
            Some(0) => self.arrive(isolate, &ask, self.now, admission),
            Some(delay) => self.under_way.push((self.now + delay, isolate, ask, self.now, admission)),
            None => {}
        }
    }

    fn arrive(&mut self, isolate: usize, ask: &Ask, asked: u64, admission: Admission) {
        let (now, permits) = (self.clock(), &self.isolates[isolate]);
        let taken = self.limit.end(permits, UnixMillis(asked), now, ask, Ok(admission));
        // A permit of a bucket is used where the object takes it; one of a window where its request is sent.
        let by_object = admission.allowed && !self.limit.policy.sliding;
        let at = if by_object { asked } else { self.now };
        self.passed.extend((0..ask.cost).filter(|_| taken.allowed()).map(|_| at));
        self.refused += usize::from(!taken.allowed());
    }

    fn count(&mut self, allowed: bool, cost: u32) {
        self.passed.extend((0..cost).filter(|_| allowed).map(|_| self.now));
        self.refused += usize::from(!allowed);
    }

    fn restart(&mut self) {
        self.object = Ledger::of_stored(self.stored.as_deref());
    }

    /// Requests of one caller, each to an isolate at random; `gap` gives the time to the next.
    fn run(&mut self, requests: usize, random: &mut Random, gap: impl Fn(&mut Random) -> u64) {
        for _ in 0..requests {
            let isolate = random.below(self.isolates.len());
            self.request(isolate, 1, Some(0));
            self.wait(gap(random));
        }
    }

    /// Whether no interval had more than the policy allows.
    fn keeps_the_policy(&mut self) -> Result<(), TestCaseError> {
        self.passed.sort_unstable();
        let Policy { permits, seconds, burst, sliding } = self.limit.policy;
        for (first, from) in self.passed.iter().enumerate() {
            for (later, until) in self.passed.iter().enumerate().skip(first) {
                let (count, millis) = ((later - first + 1) as u64, until - from);
                if sliding {
                    let within = millis < u64::from(seconds) * 1_000;
                    prop_assert!(!within || count <= u64::from(permits), "{count} within {millis} ms");
                } else {
                    let price = u64::from(seconds) * 1_000_000 / u64::from(permits);
                    prop_assert!(
                        count * price <= u64::from(burst) * price + millis * 1_000,
                        "{count} within {millis} ms"
                    );
                }
            }
        }
        Ok(())
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut state = self.0;
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// The gap between arrivals that do not know of each other, in milliseconds.
    fn gap(&mut self, mean: f64) -> u64 {
        let uniform = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (-(1.0 - uniform).ln() * mean) as u64
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Request {
        isolate: usize,
        cost: u32,
        delay: Option<u64>,
    },
    /// Of the object: an eviction, a deployment, a crash.
    Restart,
    /// An isolate ends, with what it had on lease.
    End(usize),
}

const ISOLATES: usize = 6;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let delay = prop_oneof![6 => Just(Some(0)), 3 => (1..300_u64).prop_map(Some), 1 => Just(None)];
    let request = (0..ISOLATES, prop_oneof![9 => Just(1), 1 => 1..8_u32], delay);
    let step = prop_oneof![
        8 => request.prop_map(|(isolate, cost, delay)| Step::Request { isolate, cost, delay }),
        3 => prop_oneof![3 => 0..1_000_u64, 1 => 0..20_000_u64, 1 => Just(61_000)].prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => (0..ISOLATES).prop_map(Step::End),
    ];
    prop::collection::vec(step, 1..400)
}

fn policies() -> impl Strategy<Value = Policy> {
    let of_any_size = (1..=600_u32, 1..=120_u32).prop_map(|(permits, burst)| Policy::per_minute(permits, burst));
    let windows = (1..=100_u32).prop_map(Policy::in_any_minute);
    prop_oneof![Just(ADDRESS), Just(CREDENTIAL), Just(UPSTREAM), of_any_size, windows]
}

proptest! {
    #[test]
    fn no_interval_has_more_than_the_policy_admits_whatever_isolates_and_objects_do(policy in policies(), steps in steps()) {
        let mut scene = Scene::new(policy, ISOLATES);
        for step in steps {
            match step {
                Step::Wait(millis) => scene.wait(millis),
                Step::Request { isolate, cost, delay } => scene.request(isolate, cost, delay),
                Step::Restart => scene.restart(),
                Step::End(isolate) => scene.isolates[isolate] = Permits::default(),
            }
        }
        scene.wait(1_000);
        scene.keeps_the_policy()?;
    }
}

/// The time between two requests of a caller at half of a limit.
fn half(policy: Policy) -> f64 {
    f64::from(policy.seconds) * 1_000.0 / f64::from(policy.permits) * 2.0
}

/// Evenly, and as callers come that do not know of each other.
#[test]
fn a_caller_at_half_its_limit_is_never_refused_wherever_its_requests_go() {
    for policy in [ADDRESS, CREDENTIAL, UPSTREAM] {
        for (isolates, seed) in
            [1, 2, 10, 50].into_iter().flat_map(|isolates| (0..20).map(move |seed| (isolates, seed)))
        {
            let (mut random, mut scene) = (Random(seed), Scene::new(policy, isolates));
            let mean = half(policy);
            scene.run(400, &mut random, |random| if seed == 0 { mean as u64 } else { random.gap(mean) });
            assert_eq!(scene.refused, 0, "{policy:?} over {isolates} isolates, seed {seed}");
        }
    }
}

#[test]
fn fifty_isolates_that_share_a_key_admit_what_one_would() {
    for seed in 0..5 {
        let (mut random, mut scene) = (Random(seed), Scene::new(ADDRESS, 50));
        let start = scene.now;
        for _ in 0..1_000 {
            let isolate = random.below(50);
            let delay = random.below(30) as u64;
            scene.request(isolate, 1, Some(delay));
            scene.wait(random.below(20) as u64);
        }
        scene.wait(1_000);
        let most = 100 + (scene.now - start) * 100 / 60_000;
        let admitted = scene.passed.len() as u64;
        assert!(admitted <= most, "{admitted} of {most}");
        // All that nobody gets is on leases of isolates that were not asked again.
        assert!(admitted >= most / 2, "{admitted} of {most}");
    }
}

/// Hops for each request, as the table in docs/reliability.md has them: both limits of a request to `/mcp`.
#[test]
#[expect(clippy::print_stdout, reason = "a table for the documentation")]
fn what_a_request_costs() {
    let hops = |isolates: usize, requests: usize, gap: u64| -> f64 {
        let of_policy = |policy| {
            let (mut random, mut scene) = (Random(1), Scene::new(policy, isolates));
            scene.run(requests, &mut random, |_| gap);
            assert_eq!(scene.refused, 0, "{policy:?}");
            scene.hops
        };
        [ADDRESS, CREDENTIAL].map(of_policy).iter().sum::<usize>() as f64 / requests as f64
    };
    let at_half = half(ADDRESS) as u64;
    let rows = [
        ("at half its limit, one isolate", hops(1, 1_000, at_half), 0.15),
        ("at half its limit, ten isolates", hops(10, 1_000, at_half), 1.0),
        ("six a minute, one isolate", hops(1, 200, 10_000), 1.0),
        ("one a minute", hops(1, 100, 60_000), 2.0),
        ("thirty at once", hops(1, 30, 0), 0.5),
    ];
    for (caller, hops, most) in rows {
        println!("{caller:<32} {hops:.2}");
        assert!(hops <= most, "{caller}: {hops:.2} hops for each request, {most} at most");
    }
}
