//! The hardware's device on AMD's own XRT, over the double of the kernel driver: what opens, what does not and why, every kernel's
//! bytes, and what a thousand lives of a device leave behind.
//!
//! The contract of `Device` is played on the same stage by `tests/contract`. Where Debian's suite with XRT is out of reach, all of
//! it is skipped, loudly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod headers;
mod inside;
mod stage;

use stage::{Stage, told};

/// What opening the device says, with these faults of the driver and this limit of locked memory.
fn opening(stage: &Stage, faults: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let mut command = stage.command(&program, false, faults);
    told(&command.args(["--ignored", "--nocapture", "--exact", "inside::opening"]).output().unwrap())
}

/// The table of what may be missing: the driver's part through the double, ours through paths.
#[test]
fn what_is_missing_is_told_apart() {
    let Some(stage) = Stage::set() else { return };
    for (faults, why, hint) in [
        ("", "opened RyzenAI-npu1", ""),
        (
            "no-node",
            "the driver amdxdna is loaded, but there is no node /dev/accel/accel0",
            "dmesg | grep amdxdna",
        ),
        ("deny-open", "no permission to open /dev/accel/accel0", "usermod -aG render"),
        ("memlock=1048576", "cannot be locked in memory", "ulimit -l unlimited"),
        ("bo-fails=0", "does not open /dev/accel/accel0", "xrt-smi examine"),
    ] {
        let said = opening(&stage, faults);
        assert!(said.contains(why) && said.contains(hint), "{faults}: {said}");
    }
    // The limit itself, as `ulimit -l` sets it.
    let said = opening(&stage, "memlock=rlimit");
    assert!(said.contains("opened") || said.contains("memlock limit is"), "{said}");
}

#[test]
fn every_kernel_gives_the_emulator_s_bytes() {
    if let Some(stage) = Stage::set() {
        stage.play("inside::bytes", true);
    }
}

#[test]
fn what_the_driver_refuses_or_loses_has_its_error() {
    if let Some(stage) = Stage::set() {
        stage.play("inside::trouble", true);
    }
}

#[test]
fn a_thousand_lives_leave_nothing_behind() {
    if let Some(stage) = Stage::set() {
        stage.play("inside::lives", false);
    }
}
