//! The seed's kernels, bit for bit by its own integer arithmetic.

use super::launch::Random;
use super::*;
use crate::kernel::image;

/// Runs kernel `name` of `image` on two buffers; the second one afterwards.
fn run(image: &str, name: &str, input: &[u8], before: &[u8], arithmetic: Arithmetic) -> (Work, Vec<u8>) {
    let array = array(Arch::Aie2, arithmetic);
    let image = image::direct(image, Arch::Aie2).unwrap();
    let entry = image.entries.iter().position(|entry| entry.name == name).unwrap();
    let arguments: Vec<usize> = image.entries[entry].arguments.iter().map(|spec| spec.len_bytes).collect();
    assert_eq!(arguments, [input.len(), before.len()], "{name}");
    let image = array.load(&image).unwrap();
    let (work, outputs) = array.run(&image, entry, &[input, before]).unwrap();
    let [output] = outputs.as_slice() else { panic!("{} outputs", outputs.len()) };
    assert_eq!(output.argument, 1);
    let mut after = before.to_vec();
    assert!(output.tap.scatter(&output.bytes, &mut after));
    (work, after)
}

fn int8s(count: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    (0..count).map(|_| random.int8() as u8).collect()
}

fn words(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn the_seeds_products_are_exact() {
    let input = int8s(512, 30);
    let number = |at: usize| i32::from(input[at] as i8);
    let sums: Vec<i32> = (0..256)
        .map(|at| (0..16).map(|k| number(at / 16 * 16 + k) * number(256 + k * 16 + at % 16)).sum())
        .collect();
    let zeros = vec![0; 1024];
    for arithmetic in [Arithmetic::Exact, Arithmetic::Fast] {
        let (work, c) = run("seed_matmul", "matmul_16x16_i32", &input, &zeros, arithmetic);
        assert_eq!(c, words(&sums));
        assert_eq!((work.macs, work.ddr_read_bytes, work.ddr_written_bytes), (4096, 512, 1024));
        assert!(work.compute_cycles > 0 && work.stream_cycles == 256);

        let (work, twice) = run("seed_matmul", "matmul_16x16_acc_i32", &input, &c, arithmetic);
        assert_eq!(twice, words(&sums.iter().map(|sum| 2 * sum).collect::<Vec<_>>()));
        assert_eq!((work.ddr_read_bytes, work.stream_cycles), (512 + 1024, 384));

        let (_, narrow) = run("seed_matmul", "matmul_16x16_i8", &input, &zeros[..256], arithmetic);
        let want: Vec<u8> = sums.iter().map(|sum| (sum >> 7).clamp(-128, 127) as u8).collect();
        assert_eq!(narrow, want);
    }
    let (_, poison) = run("seed_matmul", "matmul_16x16_i32", &input, &zeros, Arithmetic::Off);
    assert!(poison.iter().all(|&byte| byte == POISON));
}

#[test]
fn the_seeds_attention_is_exact() {
    let input = int8s(3 * 4096, 31);
    let number =
        |part: usize, row: usize, column: usize| i64::from(input[4096 * part + 64 * row + column] as i8);
    let manifest = Manifest::embedded().unwrap();
    let shift = manifest.kernels_of("seed_attention").next().unwrap().shift.unwrap();
    let mut want = Vec::new();
    for row in 0..64 {
        let score = |key| (0..64).map(|d| number(0, row, d) * number(1, key, d)).sum::<i64>() >> shift;
        let most = (0..64).map(score).max().unwrap();
        // 2^20·e^−i, at least one, where i counts 256 steps of the score, rounded up.
        let exponential = |key| {
            let down = -((score(key) - most).div_euclid(256));
            (2_f64.powi(20) * (-(down as f64)).exp()).floor().max(1.0) as i64
        };
        let sum: i64 = (0..64).map(exponential).sum();
        let weight = |key| ((exponential(key) >> 10) * 127 / (sum >> 10).max(1)).min(127);
        let weights: Vec<i64> = (0..64).map(weight).collect();
        for column in 0..64 {
            let sum: i64 = (0..64).map(|key| weights[key] * number(2, key, column)).sum();
            let rounded = (sum + if sum >= 0 { 64 } else { -64 }) >> 7;
            want.push(rounded.clamp(-128, 127) as u8);
        }
    }
    let (work, got) = run("seed_attention", "attention_64x64_i8", &input, &[0; 4096], Arithmetic::Exact);
    assert_eq!(got, want);
    assert_eq!(work.macs, 2 * 64 * 64 * 64);
}

#[test]
fn short_buffers_and_foreign_instructions_are_told() {
    let array = array(Arch::Aie2, Arithmetic::Off);
    let good = image::direct("seed_matmul", Arch::Aie2).unwrap();
    let loaded = array.load(&good).unwrap();
    let fault = |arguments: &[&[u8]]| array.run(&loaded, 0, arguments).unwrap_err();
    let wide = [0; 1024];
    assert!(matches!(
        fault(&[&wide[..511], &wide]),
        ArrayFault::OutOfRange { argument: 0, len_bytes: 511, .. }
    ));
    assert!(matches!(fault(&[&wide]), ArrayFault::OutOfRange { argument: 1, len_bytes: 0, .. }));
    assert!(matches!(array.run(&loaded, 9, &[]), Err(ArrayFault::NoEntry { entry: 9, .. })));

    for change in [
        |image: &mut KernelImage| image.entries[0].instructions[0] ^= 1,
        |image: &mut KernelImage| image.entries[0].instructions[2] = 99,
        |image: &mut KernelImage| image.entries[0].arguments[0].len_bytes += 4,
    ] {
        let mut broken = good.clone();
        change(&mut broken);
        assert!(matches!(array.load(&broken), Err(Error::Image { .. })));
    }
    assert!(image::direct("encoder", Arch::Aie2).is_err());
}
