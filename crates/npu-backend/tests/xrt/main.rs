//! The hardware's device on AMD's own XRT, over the double of the kernel driver: what opens, what does not and why, every kernel's
//! bytes, and what a thousand lives of a device leave behind.
//!
//! The contract of `Device` is played on the same stage by `tests/contract`. Where Debian's suite with XRT is out of reach, all of
//! it is skipped, loudly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod headers;
mod inside;
mod stage;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use stage::{Stage, told};

/// What opening the device says, with these faults of the driver.
fn opening(stage: &Stage, faults: &str) -> String {
    said(&mut opener(stage, faults))
}

fn opener(stage: &Stage, faults: &str) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = stage.command(&program, false, faults);
    command.args(["--ignored", "--nocapture", "--exact", "inside::opening"]);
    command
}

fn said(command: &mut Command) -> String {
    told(&command.output().unwrap())
}

/// What may be missing of the driver's part, through the double.
#[test]
fn what_is_missing_is_told_apart() {
    let Some(stage) = Stage::set() else { return };
    for (faults, why, hint) in [
        ("", "opened RyzenAI-npu1", ""),
        (
            "no-node",
            "the driver amdxdna has made /dev/accel/accel0, but it is not there",
            "--device /dev/accel/accel0",
        ),
        ("deny-open", "no permission to open /dev/accel/accel0", "usermod -aG render"),
        ("memlock=1048576", "cannot be locked in memory", "ulimit -l unlimited"),
        ("bo-fails=0", "the driver has no memory for the device's heap", "end programs"),
    ] {
        let said = opening(&stage, faults);
        assert!(said.contains(why) && said.contains(hint), "{faults}: {said}");
    }
    // The limit itself, as `ulimit -l` sets it; the double binds the superuser by it, too.
    let limited = opener(&stage, "memlock=rlimit");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -l 8192 && exec \"$@\"", "sh"])
        .arg(limited.get_program())
        .args(limited.get_args());
    shell.envs(limited.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = said(&mut shell);
    assert!(
        said.contains("the memlock limit is 8388608 bytes") && said.contains("ulimit -l unlimited"),
        "{said}"
    );
}

/// What may be missing of XRT and of ours.
#[test]
fn parts_that_are_missing_or_broken_are_told_apart() {
    let Some(stage) = Stage::set() else { return };
    let apart = stage.apart();
    let libraries = |name: &str| {
        let files = fs::read_dir(apart.libraries()).unwrap().map(|entry| entry.unwrap().path());
        let of_name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(name);
        files.filter(of_name).collect::<Vec<_>>()
    };
    let expect = |said: String, parts: &[&str]| {
        let missing: Vec<_> = parts.iter().filter(|part| !said.contains(**part)).collect();
        assert!(missing.is_empty(), "no {missing:?} in: {said}");
    };
    expect(opening(&apart, ""), &["opened RyzenAI-npu1"]);
    // A plugin that is there and is none.
    let plugins = libraries("libxrt_driver_xdna.so");
    assert!(!plugins.is_empty());
    for plugin in plugins {
        fs::remove_file(&plugin).unwrap();
        fs::write(&plugin, "no library").unwrap();
    }
    expect(opening(&apart, ""), &["plugin for NPUs does not load", "file too short", "one version"]);
    libraries("libxrt_driver_xdna.so").into_iter().for_each(|plugin| fs::remove_file(plugin).unwrap());
    expect(opening(&apart, ""), &["there is no libxrt_driver_xdna.so.2 in", "libxrt-npu2"]);
    libraries("libxrt_coreutil.so").into_iter().for_each(|library| fs::remove_file(library).unwrap());
    expect(opening(&apart, ""), &["but XRT itself is not: libxrt_coreutil.so.2", "install AMD's XRT"]);
    let mut without = opener(&apart, "");
    expect(
        said(without.env("NPU_XRT_SHIM", "/nowhere/libnpu_xrt_shim.so")),
        &["the XRT shim is not there: /nowhere/libnpu_xrt_shim.so", "build it"],
    );
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
        stage.play("inside::lives::a_thousand", false);
        stage.play("inside::lives::busy_ones", false);
        stage.play("inside::lives::lost_ones", false);
    }
}

#[test]
fn a_launch_that_outlasts_its_device_does_not_end_the_program() {
    if let Some(stage) = Stage::set() {
        stage.play("inside::lives::outlasting", false);
    }
}
