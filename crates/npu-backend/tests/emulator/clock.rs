//! Modelled time: what the published costs say that each thing takes.

use std::time::Duration;

use npu_backend::BufferRole::{Input, Output, Scratch};
use npu_backend::emulator::probe::{self, BUMP, COPY};
use npu_backend::emulator::{CostModel, Emulator, Fault, FaultPlan};
use npu_backend::{Arch, Device, Progress};

use crate::{LEN, bench, bench_of};

const LAUNCH: Duration = Duration::from_micros(150);
const CHAINED: Duration = Duration::from_micros(30);
const SWITCH: Duration = Duration::from_micros(1400);
const CREATE: Duration = Duration::from_micros(2500);
/// A cycle is a nanosecond.
const RUN: Duration = Duration::from_micros(100);

/// Runs that are longer than their traffic takes, so that times are round.
fn round() -> crate::Bench {
    bench_of(Emulator::builder(), LEN, 100_000)
}

#[test]
fn a_launch_pays_for_the_context_once_and_for_itself_each_time() {
    let mut bench = round();
    assert_eq!(bench.device.elapsed(), CREATE);
    let scratch = bench.device.alloc(LEN, Scratch).unwrap();
    bench.run(vec![bench.launch(BUMP, &[&scratch])]).unwrap();
    assert_eq!(bench.device.elapsed(), CREATE + SWITCH + LAUNCH + RUN);
    bench.run(vec![bench.launch(BUMP, &[&scratch])]).unwrap();
    assert_eq!(bench.device.elapsed(), CREATE + SWITCH + 2 * (LAUNCH + RUN));
}

#[test]
fn chained_launches_are_cheap_and_so_is_a_chain_that_was_queued_while_another_ran() {
    for (launches, starts) in [(1, LAUNCH), (24, LAUNCH + 23 * CHAINED), (25, LAUNCH + 24 * CHAINED)] {
        let mut bench = round();
        let scratch = bench.device.alloc(LEN, Scratch).unwrap();
        bench.run(vec![bench.launch(BUMP, &[&scratch]); launches]).unwrap();
        let runs = RUN * u32::try_from(launches).unwrap();
        assert_eq!(bench.device.elapsed(), CREATE + SWITCH + starts + runs, "{launches} launches");
    }
}

#[test]
fn the_fifth_submission_waits_for_the_first_to_end() {
    let mut bench = round();
    let scratch = bench.device.alloc(LEN, Scratch).unwrap();
    let bump = vec![bench.launch(BUMP, &[&scratch])];
    for _ in 0..4 {
        bench.submit(bump.clone());
    }
    assert_eq!(bench.device.elapsed(), CREATE);
    bench.submit(bump.clone());
    assert_eq!(bench.device.elapsed(), CREATE + SWITCH + LAUNCH + RUN);
    bench.submit(bump.clone());
    assert_eq!(bench.device.elapsed(), CREATE + SWITCH + LAUNCH + CHAINED + 2 * RUN, "it was queued");
    // Another context has a queue of its own.
    bench.context = bench.device.load(&probe::image(Arch::Aie2, 64, 0)).unwrap();
    let before = bench.device.elapsed();
    let other = bench.device.alloc(64, Scratch).unwrap();
    bench.submit(vec![bench.launch(BUMP, &[&other])]);
    assert_eq!(bench.device.elapsed(), before);
}

#[test]
fn an_expired_wait_takes_its_time_and_the_rest_is_waited_for_later() {
    let mut bench = round();
    let scratch = bench.device.alloc(LEN, Scratch).unwrap();
    let ticket = bench.submit(vec![bench.launch(BUMP, &[&scratch])]);
    let short = Duration::from_micros(700);
    for waits in 1..=2 {
        assert_eq!(bench.device.wait(ticket, Some(short)).unwrap(), Progress::Running);
        assert_eq!(bench.device.elapsed(), CREATE + waits * short);
    }
    assert_eq!(bench.device.wait(ticket, Some(short)).unwrap(), Progress::Done);
    assert_eq!(bench.device.elapsed(), CREATE + SWITCH + LAUNCH + RUN);
}

#[test]
fn a_hang_is_found_after_the_drivers_limit() {
    let mut bench = bench_of(Emulator::builder().faults(FaultPlan::none().at(1, Fault::Hang)), LEN, 100_000);
    let scratch = bench.device.alloc(LEN, Scratch).unwrap();
    let bump = vec![bench.launch(BUMP, &[&scratch]); 2];
    bench.run(bump.clone()).unwrap_err();
    let hung = CREATE + SWITCH + LAUNCH + RUN + CHAINED + Duration::from_millis(2000);
    assert_eq!(bench.device.elapsed(), hung);
    // The array was reset, so its configuration is to be loaded again.
    bench.run(bump).unwrap();
    assert_eq!(bench.device.elapsed(), hung + SWITCH + LAUNCH + CHAINED + 2 * RUN);
    assert_eq!(bench.device.receipt().counters.modelled.unwrap().recovery, Duration::from_millis(2000));
}

#[test]
fn a_launch_longer_than_the_drivers_limit_is_a_hang() {
    let mut bench = bench_of(Emulator::builder(), LEN, 2_100_000_000);
    let scratch = bench.device.alloc(LEN, Scratch).unwrap();
    let error = bench.run(vec![bench.launch(BUMP, &[&scratch])]).unwrap_err().to_string();
    assert!(error.contains("Timeout") && error.contains("longer than the driver waits"), "{error}");
    assert_eq!(bench.device.elapsed(), CREATE + SWITCH + LAUNCH + Duration::from_millis(2000));
}

#[test]
fn each_change_of_context_costs_a_switch() {
    let mut bench = round();
    let scratch = bench.device.alloc(LEN, Scratch).unwrap();
    let one = bench.context;
    let two = bench.device.load(&probe::image(Arch::Aie2, u32::try_from(LEN).unwrap(), 100_000)).unwrap();
    for context in [one, two, one, one] {
        bench.context = context;
        bench.run(vec![bench.launch(BUMP, &[&scratch])]).unwrap();
    }
    assert_eq!(bench.device.elapsed(), 2 * CREATE + 3 * SWITCH + 4 * (LAUNCH + RUN));
    assert_eq!(bench.device.receipt().counters.context_switches, 3);
}

#[test]
fn host_work_hides_behind_device_work() {
    let mut bench = round();
    let scratch = bench.device.alloc(LEN, Scratch).unwrap();
    let ticket = bench.submit(vec![bench.launch(BUMP, &[&scratch])]);
    bench.device.host_spends(Duration::from_micros(1000));
    assert!(bench.device.wait(ticket, None).unwrap().is_done());
    assert_eq!(bench.device.elapsed(), CREATE + SWITCH + LAUNCH + RUN);
}

#[test]
fn the_receipt_adds_up() {
    let mut bench = round();
    let (input, output) = (bench.filled(Input, LEN, 1), bench.filled(Output, LEN, 0));
    let scratch = bench.device.alloc(LEN, Scratch).unwrap();
    bench.run(vec![bench.launch(COPY, &[&input, &output]), bench.launch(BUMP, &[&scratch])]).unwrap();
    bench.run(vec![bench.launch(BUMP, &[&scratch])]).unwrap();
    bench.read(&output);
    let receipt = bench.device.receipt();
    assert_eq!(receipt.counters, bench.device.counters());
    let all = receipt.counters.modelled.unwrap();
    assert_eq!(all.device, all.launch + all.switch + all.run + all.ends + all.recovery);
    assert_eq!((all.launch, all.switch, all.run), (2 * LAUNCH + CHAINED, SWITCH, 3 * RUN));
    // Three flushes of a kilobyte.
    assert_eq!(all.host, 3 * CostModel::of(Arch::Aie2).flush(LEN));
    // Nothing overlapped here.
    assert_eq!(all.elapsed, all.create + all.device + all.host);
    let kernels: Vec<_> =
        receipt.kernels.iter().map(|one| (one.kernel.as_str(), one.launches, one.modelled.run)).collect();
    assert_eq!(kernels, [("bump", 2, 2 * RUN), ("copy", 1, RUN)]);
}

/// Unicorn-Amanuensis launches one 16×16 tile at a time through a Python wrapper of ≈0.345 ms, and its log of
/// 2025-11-02 has 1, 64 and 512 tiles in 1.97, 34.3 and 234.7 ms. The first launch finds another context on the array.
/// 10 %.
#[test]
fn the_seeds_tiles_take_what_its_log_says() {
    let wrapper = Duration::from_micros(345);
    for (tiles, published_ms) in [(1, 1.97), (64, 34.3), (512, 234.7)] {
        let mut bench = bench_of(Emulator::builder(), 1024, 16);
        let (input, output) = (bench.filled(Input, 1024, 1), bench.filled(Output, 1024, 0));
        let before = bench.device.elapsed();
        for _ in 0..tiles {
            bench.device.push(input.id(), 0..512).unwrap();
            bench.device.host_spends(wrapper);
            bench.run(vec![bench.launch(COPY, &[&input, &output])]).unwrap();
            bench.device.pull(output.id(), 0..1024).unwrap();
        }
        let modelled_ms = (bench.device.elapsed() - before).as_secs_f64() * 1e3;
        let off = (modelled_ms / published_ms - 1.0) * 100.0;
        assert!(
            off.abs() <= 10.0,
            "{tiles} tiles: modelled {modelled_ms:.2} ms, published {published_ms}: {off:+.1} %"
        );
    }
}

#[test]
fn another_machine_has_its_own_costs() {
    let costs = CostModel { first_launch: Duration::from_micros(90), ..CostModel::of(Arch::Aie2) };
    let mut bench = bench(Emulator::builder().costs(costs));
    let scratch = bench.device.alloc(LEN, Scratch).unwrap();
    bench.run(vec![bench.launch(BUMP, &[&scratch])]).unwrap();
    assert_eq!(bench.device.receipt().kernels[0].modelled.launch, Duration::from_micros(90));
}
