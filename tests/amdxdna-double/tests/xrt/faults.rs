//! Each fault as XRT tells it.

use crate::bench::Bench;

/// Words for the double, stream, options, and what XRT's exception says.
type Case = (&'static str, &'static str, &'static [&'static str], &'static str);

const OUTPUT_LEFT: [u8; 4] = [0; 4];

#[test]
fn faults_show_as_xrts_errors() {
    const CASES: &[Case] = &[
        // Opening.
        ("deny-open", "copy", &["a", "b"], "system_error 13: Open /dev/accel/accel0 failed"),
        ("no-node", "copy", &["a", "b"], "No such device with index '0'"),
        ("memlock=1000000", "copy", &["a", "b"], "system_error 11: mmap("),
        // Making things.
        ("context-fails=0", "copy", &["a", "b"], "system_error 12: DRM_IOCTL_AMDXDNA_CREATE_HWCTX"),
        ("bo-fails=2", "copy", &["a", "b"], "system_error 12: DRM_IOCTL_AMDXDNA_CREATE_BO"),
        // Launching wrongly.
        ("", "copy", &["--opcode=5", "a", "b"], "run::command_error 5"),
        ("", "copy", &["--bytes", "a", "b"], "run::command_error 5"),
        ("", "copy", &["--shift", "a", "b"], "system_error 22: No host side buffer in destination buffer"),
        ("", "copy", &["--bank=1", "a", "b"], "system_error 22: No host side buffer in destination buffer"),
        // The device failing.
        ("error-at=0", "copy", &["a", "b"], "run::command_error 5"),
        ("reset-at=0", "copy", &["a", "b"], "run::command_error 6"),
        ("hang-at=0 tdr-ms=100", "copy", &["a", "b"], "run::command_error 8"),
        // XRT 2.25 does not look at the answer of its wait (XDNA:src/shim/platform.cpp, wait_syncobj): a wait that expires
        // is told so, while the run goes on.
        ("hang-at=0 tdr-ms=1000", "copy", &["--timeout=100", "a", "b"], "unexpected command state"),
        ("vanish-at=0", "copy", &["a", "b"], "run::command_error 6"),
        // The same in a runlist: first chain, second chain.
        ("error-at=3", "bump", &["--runlist=30", "b"], "runlist::command_error 5"),
        ("error-at=27", "bump", &["--runlist=30", "b"], "runlist::command_error 5"),
        ("hang-at=1 tdr-ms=100", "bump", &["--runlist=3", "b"], "runlist::command_error 8"),
    ];
    let Some(bench) = Bench::probe() else { return };
    for (words, stream, arguments, want) in CASES {
        bench.fill();
        let said = bench.launch(words, stream, arguments);
        assert!(said.out.contains(want) && said.status == Some(1), "`{words}` {arguments:?}: {said:?}");
        assert_eq!(bench.read("b")[..4], OUTPUT_LEFT, "`{words}` {arguments:?}");
    }
}

#[test]
fn a_launch_may_complete_with_zeros_or_with_nothing() {
    let Some(bench) = Bench::probe() else { return };
    bench.write("b", &[9; 1000]);
    let said = bench.launch("nothing-at=0", "copy", &["a", "b"]);
    assert!(said.is_ok() && bench.read("b") == [9; 1000], "{said:?}");
    let said = bench.launch("zeros-at=0", "copy", &["a", "b"]);
    assert!(said.is_ok() && bench.read("b") == [0; 1000], "{said:?}");
    // The second launch is as it should be.
    let said = bench.launch("zeros-at=0", "copy", &["--rounds=2", "a", "b"]);
    assert!(said.is_ok() && bench.read("b") == Bench::counted(), "{said:?}");
}

#[test]
fn a_word_that_is_none_is_named() {
    let Some(bench) = Bench::probe() else { return };
    let said = bench.launch("eror-at=0", "copy", &["a", "b"]);
    assert!(said.status == Some(1) && said.log.contains("`eror-at=0` is no word"), "{said:?}");
}
