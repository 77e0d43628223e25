//! Five ways to multiply give the same numbers.

use npu_backend::emulator::{Arithmetic, Emulator};
use npu_backend::kernel::image;
use npu_backend::ops::strategies::{Product, Seed, Strategy, whole_array};
use npu_backend::{Arch, Device};

use super::engine;
use super::random::Random;

fn naive(a: &[i8], b: &[i8], (m, k, n): (usize, usize, usize)) -> Vec<i32> {
    let mut c = vec![0; m * n];
    for (i, l, j) in (0..m).flat_map(|i| (0..k).flat_map(move |l| (0..n).map(move |j| (i, l, j)))) {
        c[i * n + j] += i32::from(a[i * k + l]) * i32::from(b[l * n + j]);
    }
    c
}

#[test]
fn every_strategy_gives_the_same_int32() {
    for shape @ (m, k, n) in [(64, 64, 64), (20, 33, 50)] {
        let mut random = Random(9);
        let a: Vec<i8> = (0..m * k).map(|_| random.int8()).collect();
        let b: Vec<i8> = (0..k * n).map(|_| random.int8()).collect();
        let want = naive(&a, &b, shape);
        let product = Product { a: &a, b: &b, m, k, n };
        let mut times = Vec::new();
        for strategy in Strategy::ALL {
            let (got, counters) = if strategy == Strategy::WholeArray {
                let mut engine = engine(Arch::Aie2, Arithmetic::Fast);
                let got = whole_array(&mut engine, &product).unwrap();
                (got, engine.device().counters())
            } else {
                let mut device = Emulator::builder().open().unwrap();
                let image = image::direct("seed_matmul", Arch::Aie2).unwrap();
                let got = Seed::load(&mut device, &image).unwrap().multiply(strategy, &product).unwrap();
                (got, device.counters())
            };
            assert_eq!(got, want, "{} of {shape:?}", strategy.name());
            // Without putting the image on the array, which both do once.
            let modelled = counters.modelled.unwrap();
            times.push(modelled.device - modelled.switch);
        }
        assert!(times[4] * 10 < times[0], "the whole array is not modelled faster: {times:?}");
    }
}
