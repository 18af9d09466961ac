//! The limit against a modelled server whose latency grows with load, in virtual time; and its laws.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;
use crate::delivery::sim::dice::Dice;

/// A server that answers `knee` requests at once in `base_ms`; more than that wait for each other.
#[derive(Debug, Clone, Copy)]
struct Server {
    base_ms: u64,
    knee: u64,
    noise: Noise,
}

#[derive(Debug, Clone, Copy)]
enum Noise {
    None,
    /// Evenly between half and one and a half.
    Half,
    /// Like waiting for a bus: mostly short, sometimes very long.
    Exponential,
}

/// A closed loop of attempts over virtual time.
struct Loop {
    concurrency: Concurrency,
    dice: Dice,
    now_ms: u64,
    flying: BinaryHeap<Reverse<(u64, u64)>>,
}

/// What a stretch of time was like.
#[derive(Debug)]
struct Stretch {
    answers: u64,
    latency_sum_ms: u64,
    limit_sum: u64,
    limits: (usize, usize),
}

impl Stretch {
    fn limit(&self) -> u64 {
        self.limit_sum / self.answers.max(1)
    }

    fn latency_ms(&self) -> u64 {
        self.latency_sum_ms / self.answers.max(1)
    }
}

impl Loop {
    fn new(concurrency: Concurrency, seed: u64) -> Loop {
        Loop { concurrency, dice: Dice(seed), now_ms: 0, flying: BinaryHeap::new() }
    }

    fn launch(&mut self, server: Server) {
        while self.flying.len() < self.concurrency.limit() {
            let busy = self.flying.len() as u64 + 1;
            let mean_ms = server.base_ms * busy.max(server.knee) / server.knee;
            let latency_ms = match server.noise {
                Noise::None => mean_ms,
                Noise::Half => mean_ms / 2 + self.dice.below(mean_ms + 1),
                Noise::Exponential => {
                    // The number of throws until one in sixteen, a sixteenth of the mean each.
                    let throws =
                        std::iter::repeat_with(|| self.dice.chance(62)).take_while(|hit| !hit).count();
                    mean_ms * throws as u64 / 16 + 1
                }
            };
            self.flying.push(Reverse((self.now_ms + latency_ms, self.now_ms)));
            self.concurrency.on_launch(self.flying.len());
        }
    }

    fn run(&mut self, server: Server, for_ms: u64) -> Stretch {
        let until_ms = self.now_ms + for_ms;
        let mut stretch = Stretch { answers: 0, latency_sum_ms: 0, limit_sum: 0, limits: (usize::MAX, 0) };
        loop {
            self.launch(server);
            let Some(Reverse((at_ms, sent_ms))) = self.flying.pop() else {
                unreachable!("the limit is at least 1")
            };
            self.now_ms = self.now_ms.max(at_ms);
            self.concurrency.on_answer(sent_ms, self.now_ms);
            let limit = self.concurrency.limit();
            stretch.answers += 1;
            stretch.latency_sum_ms += at_ms - sent_ms;
            stretch.limit_sum += limit as u64;
            stretch.limits = (stretch.limits.0.min(limit), stretch.limits.1.max(limit));
            if self.now_ms >= until_ms {
                return stretch;
            }
        }
    }
}

/// So many answers of a lone request, or two minutes, to settle, two minutes to be measured: near the knee, little
/// waiting, little left unused.
fn assert_settles(server: Server, start: Option<usize>, seed: u64) {
    let mut world = Loop::new(Concurrency::adaptive(256, start), seed);
    world.run(server, 120_000.max(server.base_ms * 6_000));
    let for_ms = 120_000;
    let stretch = world.run(server, for_ms);
    let about = format!("{server:?} from {start:?}, seed {seed}: {stretch:?}");
    let possible = for_ms * server.knee / server.base_ms;
    assert!(stretch.answers * 100 >= possible * 75, "{about}: of {possible}");
    assert!(stretch.limit() <= server.knee * 17 / 10 + 1, "{about}: limit {}", stretch.limit());
    assert!(stretch.latency_ms() <= server.base_ms * 2, "{about}: latency {}", stretch.latency_ms());
}

#[test]
fn it_settles_near_the_knee_whatever_it_starts_from() {
    for knee in [1, 2, 4, 10, 40, 100] {
        for base_ms in [20, 100, 400] {
            for start in [None, Some(1), Some(64), Some(200)] {
                assert_settles(Server { base_ms, knee, noise: Noise::None }, start, 1);
            }
        }
    }
}

#[test]
fn noise_does_not_mislead_it() {
    for noise in [Noise::Half, Noise::Exponential] {
        for knee in [2, 10, 40, 100] {
            for seed in 0..4 {
                assert_settles(
                    Server { base_ms: 100, knee, noise },
                    [None, Some(100)][usize::from(seed % 2 == 0)],
                    seed,
                );
            }
        }
    }
}

#[test]
fn a_server_without_a_knee_is_used_up_to_the_maximum() {
    let server = Server { base_ms: 50, knee: 10_000, noise: Noise::Half };
    let mut world = Loop::new(Concurrency::adaptive(64, None), 3);
    let first = world.run(server, 5_000);
    assert_eq!(first.limits.1, 64, "within seconds");
    assert!(world.run(server, 60_000).limit() >= 60);
    assert!(world.concurrency.settled() >= Some(60));
}

#[test]
fn it_gives_way_to_a_slowdown_and_recovers() {
    let well = Server { base_ms: 50, knee: 40, noise: Noise::Half };
    let mut world = Loop::new(Concurrency::adaptive(256, None), 5);
    world.run(well, 60_000);
    // A quarter of the capacity: the requests in excess must go within seconds.
    let ill = Server { knee: 10, ..well };
    world.run(ill, 10_000);
    let during = world.run(ill, 50_000);
    assert!(during.limit() <= 18, "{during:?}");
    world.run(well, 20_000);
    let after = world.run(well, 40_000);
    assert!(after.limit() >= 25, "{after:?}");
}

#[test]
fn near_the_bottom_a_window_is_a_dozen_round_trips() {
    let mut concurrency = Concurrency::adaptive(64, Some(1));
    let mut now_ms = 0;
    let mut answers = 0;
    while concurrency.limit() < 4 {
        concurrency.on_launch(concurrency.limit());
        concurrency.on_answer(now_ms, now_ms + 60);
        now_ms += 60;
        answers += 1;
        assert!(answers < 150, "still at {} after {answers} answers", concurrency.limit());
    }
}

#[test]
fn latency_that_is_not_of_our_making_is_accepted() {
    let near = Server { base_ms: 30, knee: 10_000, noise: Noise::Half };
    let mut world = Loop::new(Concurrency::adaptive(64, None), 8);
    world.run(near, 30_000);
    let far = Server { base_ms: 150, ..near };
    world.run(far, 60_000);
    let stretch = world.run(far, 60_000);
    assert!(stretch.limit() >= 50, "five times the way, and no queue: {stretch:?}");
}

#[test]
fn pushback_counts_once_per_round_trip() {
    let mut concurrency = Concurrency::adaptive(100, Some(100));
    for now_ms in 50..150 {
        concurrency.on_pushback(49, now_ms);
    }
    assert_eq!(concurrency.limit(), 70, "one volley");
    concurrency.on_pushback(51, 160);
    assert_eq!(concurrency.limit(), 49);
    for round in 0..100 {
        concurrency.on_pushback(1_000 + round * 10, 1_005 + round * 10);
    }
    assert_eq!(concurrency.limit(), 1);
}

#[test]
fn phases_of_pushback_pass_and_the_limit_comes_back() {
    let server = Server { base_ms: 50, knee: 40, noise: Noise::Half };
    let mut world = Loop::new(Concurrency::adaptive(256, None), 9);
    world.run(server, 60_000);
    for _ in 0..6 {
        for _ in 0..5 {
            world.now_ms += 1_000;
            let now_ms = world.now_ms;
            world.concurrency.on_pushback(now_ms - 10, now_ms);
        }
        assert!(world.concurrency.limit() <= 12);
        world.run(server, 40_000);
        let stretch = world.run(server, 10_000);
        assert!(stretch.limit() >= 25, "{stretch:?}");
    }
}

#[test]
fn what_does_not_use_the_limit_up_does_not_move_it() {
    let mut concurrency = Concurrency::adaptive(64, Some(20));
    for step in 0..10_000_u64 {
        concurrency.on_launch(5);
        concurrency.on_answer(step * 10, step * 10 + 30 + step % 500);
    }
    assert_eq!((concurrency.limit(), concurrency.settled()), (20, None));
}

#[test]
fn what_bounds_it_is_told_as_far_as_it_has_shown() {
    // A server that takes as long whatever it is asked at once is never said to get slower.
    let constant = Server { base_ms: 100, knee: 10_000, noise: Noise::None };
    let mut world = Loop::new(Concurrency::adaptive(64, Some(8)), 1);
    for _ in 0..2_000 {
        world.run(constant, 100);
        let bound = world.concurrency.bound();
        assert_ne!(bound, Some(Bound::Api), "at {}", world.concurrency.limit());
    }
    assert_eq!(world.concurrency.bound(), Some(Bound::Own));
    let mut world = Loop::new(Concurrency::adaptive(64, None), 1);
    assert_eq!(world.concurrency.bound(), Some(Bound::Open));
    // One that answers a dozen at once is.
    let mut is_told = false;
    for _ in 0..400 {
        world.run(Server { base_ms: 100, knee: 12, noise: Noise::None }, 100);
        is_told |= world.concurrency.bound() == Some(Bound::Api);
    }
    assert!(is_told);
    // What pushed back once, and takes as many again, no more.
    let mut world = Loop::new(Concurrency::adaptive(64, Some(8)), 1);
    world.run(constant, 200);
    world.concurrency.on_pushback(world.now_ms, world.now_ms + 1);
    world.now_ms += 2;
    world.run(constant, 100);
    assert_eq!(world.concurrency.bound(), Some(Bound::Api));
    world.run(constant, 60_000);
    assert_ne!(world.concurrency.bound(), Some(Bound::Api));
    // Where the limit is not what bounds the traffic, nothing does.
    let mut idle = Concurrency::adaptive(64, Some(20));
    (0..40).for_each(|_| idle.on_launch(5));
    assert_eq!(idle.bound(), None);
}

#[test]
fn a_fixed_limit_is_left_alone() {
    let mut concurrency = Concurrency::fixed(12);
    for step in 0..1_000 {
        concurrency.on_launch(12);
        concurrency.on_answer(step * 10, step * 40);
        concurrency.on_pushback(step * 10, step * 40);
    }
    assert_eq!((concurrency.limit(), concurrency.settled()), (12, None));
    concurrency.set_max(3);
    assert_eq!(concurrency.limit(), 3);
}

#[derive(Debug, Clone)]
enum Step {
    Answers { count: u64, latency_ms: u64, full: bool },
    Pushback { age_ms: u64 },
    Max(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u64..400, 0_u64..5_000, any::<bool>()).prop_map(|(count, latency_ms, full)| Step::Answers {
            count,
            latency_ms,
            full
        }),
        (0_u64..5_000).prop_map(|age_ms| Step::Pushback { age_ms }),
        (0_usize..300).prop_map(Step::Max),
    ]
}

fn answer(concurrency: &mut Concurrency, now_ms: &mut u64, latency_ms: u64, full: bool) {
    concurrency.on_launch(if full { concurrency.limit() } else { 0 });
    *now_ms += latency_ms;
    concurrency.on_answer(*now_ms - latency_ms, *now_ms);
}

proptest! {
    #[test]
    fn it_stays_in_its_bounds_and_is_never_stuck(
        max in 1_usize..300,
        start in proptest::option::of(0_usize..1_000),
        steps in proptest::collection::vec(any_step(), 0..60),
    ) {
        let mut concurrency = Concurrency::adaptive(max, start);
        let (mut max, mut now_ms) = (max, 0);
        for step in steps {
            match step {
                Step::Answers { count, latency_ms, full } => {
                    for _ in 0..count {
                        answer(&mut concurrency, &mut now_ms, latency_ms, full);
                        prop_assert!((1..=max).contains(&concurrency.limit()));
                    }
                }
                Step::Pushback { age_ms } => {
                    now_ms += 1;
                    let before = concurrency.limit();
                    concurrency.on_pushback(now_ms.saturating_sub(age_ms), now_ms);
                    prop_assert!(concurrency.limit() <= before && concurrency.limit() * 10 + 10 >= before * 7);
                }
                Step::Max(new) => {
                    max = new.max(1);
                    concurrency.set_max(new);
                }
            }
            prop_assert!((1..=max).contains(&concurrency.limit()));
            prop_assert!(concurrency.settled().is_none_or(|settled| (1..=max).contains(&settled)));
        }
        // A server that does not mind at all is used up in the end, whatever happened before.
        let mut reached = concurrency.limit() == max;
        for _ in 0..200_000 {
            answer(&mut concurrency, &mut now_ms, 100, true);
            reached |= concurrency.limit() == max;
        }
        prop_assert!(reached, "stuck at {}", concurrency.limit());
    }
}
