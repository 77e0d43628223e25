//! The driver's limits, and what is left of open and close.

use crate::bench::Bench;

#[test]
fn six_contexts_are_there_and_no_seventh() {
    let Some(bench) = Bench::probe() else { return };
    let said = bench.launch("", "copy", &["--contexts=6", "a", "b"]);
    assert!(said.is_ok() && bench.read("b") == Bench::counted(), "{said:?}");
    let said = bench.launch("", "copy", &["--contexts=7", "a", "b"]);
    assert!(said.out.contains("system_error 22: DRM_IOCTL_AMDXDNA_CREATE_HWCTX"), "{said:?}");
}

#[test]
fn an_object_longer_than_the_heap_is_refused() {
    let Some(bench) = Bench::probe() else { return };
    let said = bench.launch("", "copy", &["--oversize", "a", "b"]);
    assert!(said.out.contains("system_error 22: DRM_IOCTL_AMDXDNA_CREATE_BO"), "{said:?}");
}

#[test]
fn a_thousand_cycles_leave_nothing_open_and_no_memory() {
    let Some(bench) = Bench::probe() else { return };
    let said = bench.launch("", "bump", &["--cycles=1000", "--runlist=2", "b"]);
    assert_eq!(said.status, Some(0), "{said:?}");
    let numbers: Vec<Vec<u64>> =
        said.out.lines().map(|line| line.split(' ').filter_map(|word| word.parse().ok()).collect()).collect();
    let [early, late] = &numbers[..] else { panic!("{said:?}") };
    let (files, kib) = (early[1], early[2]);
    assert_eq!(late[1], files, "descriptors: {said:?}");
    // One page a cycle would be 3600 KiB.
    assert!(late[2] < kib + 1024, "memory: {said:?}");
}
