//! Five ways to multiply give the same numbers, and what the model says that each takes.

use std::time::Duration;

use npu_backend::emulator::{Arithmetic, Emulator};
use npu_backend::kernel::image;
use npu_backend::ops::ModelledImages;
use npu_backend::ops::strategies::{self, Product, SEED_WRAPPER, Strategy};
use npu_backend::{Arch, Counters};

use super::random::Random;

fn naive(a: &[i8], b: &[i8], (m, k, n): (usize, usize, usize)) -> Vec<i32> {
    let mut c = vec![0; m * n];
    for (row, c) in a.chunks_exact(k).zip(c.chunks_exact_mut(n)) {
        for (&a, b) in row.iter().zip(b.chunks_exact(n)) {
            c.iter_mut().zip(b).for_each(|(c, &b)| *c += i32::from(a) * i32::from(b));
        }
    }
    c
}

/// What each strategy took, after comparing all of them with plain loops.
fn counters(shape: (usize, usize, usize)) -> [Counters; 5] {
    let (m, k, n) = shape;
    let mut random = Random(9);
    let a: Vec<i8> = (0..m * k).map(|_| random.int8()).collect();
    let b: Vec<i8> = (0..k * n).map(|_| random.int8()).collect();
    let want = naive(&a, &b, shape);
    let product = Product { a: &a, b: &b, m, k, n };
    let seed = image::direct("seed_matmul", Arch::Aie2).unwrap();
    Strategy::ALL.map(|strategy| {
        let device = Emulator::builder().arithmetic(Arithmetic::Fast).open().unwrap();
        let images = Box::new(ModelledImages);
        let (got, counters) =
            strategies::multiply(strategy, Box::new(device), &seed, images, &product).unwrap();
        assert!(got == want, "{} of {shape:?} is not the product", strategy.name());
        counters
    })
}

/// Modelled, without making the context and putting the image on the array, which both sides do once.
fn modelled(counters: &Counters) -> Duration {
    let modelled = counters.modelled.unwrap();
    modelled.elapsed - modelled.create - modelled.switch
}

#[test]
fn every_strategy_gives_the_same_int32() {
    for shape in [(64, 64, 64), (20, 33, 50)] {
        let counters = counters(shape);
        assert!(modelled(&counters[4]) * 10 < modelled(&counters[0]), "{shape:?}: {counters:?}");
    }
}

#[test]
fn a_product_of_512_cubed_takes_the_seed_seconds_and_the_whole_array_less_than_a_millisecond() {
    let all = counters((512, 512, 512));
    let launches = 32 * 32 * 32;
    assert_eq!(all.map(|counters| counters.launches), [launches, launches, launches, launches, 1]);
    let pushes = [launches, launches, launches, launches + 32 * 32, 2];
    assert_eq!(all.map(|counters| counters.pushes), pushes);
    assert_eq!(all.map(|counters| counters.pulls), [launches, launches, launches, 32 * 32, 1]);
    let [sequential, batched, preallocated, accumulating, whole] = all.map(|counters| modelled(&counters));
    let seeds = sequential + SEED_WRAPPER * u32::try_from(launches).unwrap();
    assert!((Duration::from_secs(16)..Duration::from_secs(20)).contains(&seeds), "{seeds:?}");
    assert!(whole <= Duration::from_millis(1), "{whole:?}");
    assert!(preallocated <= batched && batched < sequential, "{preallocated:?} {batched:?} {sequential:?}");
    assert!(accumulating < sequential, "{accumulating:?} {sequential:?}");
}
