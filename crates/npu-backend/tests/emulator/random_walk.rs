//! Ten thousand random launches by a correct caller, with random evictions and random faults: what it sees is what a
//! simple model says, and nothing hangs.

use npu_backend::emulator::{Eviction, Fault};

use crate::walker::{Alive, Dice, Walker};

/// Faults of a plan of so many launches: one launch in forty, of every kind but the one that never ends.
fn plan(dice: &mut Dice, launches: usize) -> Vec<Option<Fault>> {
    let kinds: Vec<Fault> =
        Fault::ALL.into_iter().filter(|kind| !matches!(kind, Fault::Wedge | Fault::Vanish)).collect();
    let mut plan: Vec<_> =
        (0..launches).map(|_| (dice.below(40) == 0).then(|| kinds[dice.below(kinds.len())])).collect();
    // Half of the devices go away in the end.
    if dice.below(2) == 0 {
        plan[launches - 1] = Some(Fault::Vanish);
    }
    plan
}

/// Walks with new devices until `launches` have completed; answers how many, and how many batches failed.
fn walk(seed: u64, launches: usize, eviction: fn(u64) -> Eviction, faults: bool) -> (usize, usize) {
    let mut dice = Dice(seed);
    let (mut completed, mut failures) = (0, 0);
    while completed < launches {
        let plan = if faults { plan(&mut dice, 1000) } else { Vec::new() };
        let mut walker = Walker::new(eviction(dice.0), plan);
        let mut alive = true;
        while alive && walker.completed < 1000 {
            alive = matches!(walker.act(&mut dice), Alive::Yes);
        }
        if alive {
            walker.settle(&mut dice);
        }
        completed += walker.completed;
        failures += walker.failures;
    }
    (completed, failures)
}

#[test]
fn ten_thousand_launches_with_random_evictions_and_faults_do_not_diverge() {
    let (completed, failures) = walk(1, 10_000, |seed| Eviction::Fuzzed { seed }, true);
    assert!(completed >= 10_000 && failures > 100, "{completed} completed, {failures} batches failed");
}

#[test]
fn ten_thousand_launches_with_poisoned_lines_and_faults_do_not_diverge() {
    let (completed, failures) = walk(2, 10_000, |_| Eviction::Strict, true);
    assert!(completed >= 10_000 && failures > 100, "{completed} completed, {failures} batches failed");
}

#[test]
fn without_faults_nothing_fails() {
    for (seed, eviction) in
        [(3, (|_| Eviction::Strict) as fn(u64) -> Eviction), (4, |seed| Eviction::Fuzzed { seed })]
    {
        assert_eq!(walk(seed, 3_000, eviction, false).1, 0);
    }
}
