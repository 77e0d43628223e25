//! One product, run on the device and compared with plain arithmetic.

use npu_backend::schedule::GemmKind;
use npu_backend::{Choice, Error, Obstacle, open_engine};

use super::finding::{Check, Finding, Status};
use crate::cli::product::{OnDevice, Product};
use crate::cli::values::Shape;
use crate::model::Device;

/// One tile of one core, padded to the array by the plan.
const SHAPE: Shape = Shape { m: 64, k: 64, n: 64 };

/// How it went, and which check is about what stood in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    finding: Finding,
    of: Option<Check>,
}

/// What a product on `device` shows of it.
pub(super) fn trial(device: Device) -> Trial {
    let choice = match device {
        Device::Npu => Choice::Xrt,
        Device::Emulator => Choice::Emulator,
        _ => {
            let why = "runs a product on a device that is asked for: --device npu or --device emulator";
            return Trial { finding: Finding::unchecked(Check::Trial, why), of: None };
        }
    };
    match run(choice) {
        Ok((name, result)) => Trial { finding: told(&name, result), of: None },
        Err(error) => failed(error),
    }
}

/// Each kind of failure with its own advice: a machine that lacks a file needs no power cycle.
fn failed(error: Error) -> Trial {
    let said = error.to_string();
    let (of, why, fix) = match error {
        Error::Unavailable { obstacle, why, hint, .. } => (about(obstacle), why, hint),
        Error::Image { why } => (
            Some(Check::Images),
            why,
            "build the kernels from this program's sources: `make -C kernels` (see kernels/README.md)".into(),
        ),
        Error::NoContext { .. } | Error::ContextRefused { .. } => (
            None,
            said,
            "end the other programs that use the NPU; if there are none, `sudo dmesg | grep amdxdna` says why".into(),
        ),
        Error::Alloc { .. } => (None, said, "give the program more memory, or end others".into()),
        _ => (
            None,
            said,
            "see `sudo dmesg | grep amdxdna`; power the machine off and on, which restarts the NPU's firmware".into(),
        ),
    };
    Trial { finding: Finding::problem(Check::Trial, why, fix), of }
}

/// The check that is about it.
fn about(obstacle: Obstacle) -> Option<Check> {
    Some(match obstacle {
        Obstacle::Shim => Check::Shim,
        Obstacle::Runtime | Obstacle::Plugin => Check::Xrt,
        Obstacle::Driver => Check::Driver,
        Obstacle::Node => Check::Node,
        Obstacle::Permission => Check::Permission,
        Obstacle::LockedMemory => Check::LockedMemory,
        Obstacle::Generation => Check::Npu,
        _ => return None,
    })
}

impl Trial {
    /// Adds itself, so that each cause is told once, with one advice: what a check is about is told by that check. A check that
    /// found nothing wrong learns from the trial; one that had nothing to look at has its reason in a problem above.
    pub(super) fn conclude(self, findings: &mut Vec<Finding>, device: Device) {
        let is_problem = |finding: &Finding| finding.status == Status::Problem;
        let of_device = |finding: &&Finding| is_problem(finding) && finding.check.is_needed_by(device);
        let explained = findings.iter().filter(of_device).any(|finding| finding.check != Check::Model);
        let Some(known) = findings.iter_mut().find(|finding| Some(finding.check) == self.of) else {
            findings.push(self.finding);
            return;
        };
        if known.is_ok() || !explained {
            *known = Finding { check: known.check, ..self.finding };
        }
        let problems = findings.iter().filter(of_device).filter(|finding| finding.check != Check::Model);
        let names: Vec<&str> = problems.map(|finding| finding.check.name()).collect();
        let why = format!("the device does not open: see {}", names.join(", "));
        findings.push(Finding::unchecked(Check::Trial, why));
    }
}

/// The device's name, and how its numbers differ, if they do.
fn run(choice: Choice) -> npu_backend::Result<(String, Result<(), String>)> {
    let product = Product::new(SHAPE);
    let mut engine = open_engine(choice)?;
    let mut tile = OnDevice::new(&mut engine, &product, GemmKind::Bf16)?;
    tile.round(&mut engine)?;
    Ok((engine.info().name.clone(), tile.check()))
}

fn told(name: &str, result: Result<(), String>) -> Finding {
    let Shape { m, k, n } = SHAPE;
    match result {
        Ok(()) => Finding::ok(Check::Trial, format!("{m}×{k}×{n} in bf16 is right: {name}")),
        Err(why) => Finding::problem(
            Check::Trial,
            format!("{m}×{k}×{n} in bf16 is wrong: {why} ({name})"),
            "use --device cpu; build the kernels again for this device, and update its driver and firmware together",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulator_computes_it_or_says_what_it_lacks() {
        let finding = trial(Device::Emulator).finding;
        match finding.status {
            Status::Ok => assert!(finding.what.contains("emulator of XDNA 1"), "{}", finding.what),
            // It compiles the kernels' C++.
            _ => assert!(finding.what.contains("compiler") && finding.fix.is_some(), "{finding:?}"),
        }
    }

    #[test]
    fn a_device_that_does_not_open_says_why_and_what_to_do() {
        let finding = trial(Device::Npu).finding;
        // On a machine of those that this is for it is right.
        if finding.status == Status::Problem {
            assert!(!finding.what.is_empty() && finding.fix.is_some_and(|fix| !fix.is_empty()));
        } else {
            assert!(finding.what.contains("is right"), "{}", finding.what);
        }
    }

    #[test]
    fn wrong_numbers_are_a_problem_and_the_cpu_needs_no_trial() {
        let wrong = told("a device", Err("row 3, column 5".into()));
        assert_eq!(wrong.status, Status::Problem);
        assert!(wrong.what.contains("row 3") && wrong.fix.is_some(), "{wrong:?}");
        assert_eq!(trial(Device::Cpu).finding.status, Status::Unchecked);
    }

    /// What is shown after a trial that failed by `error`, of a machine with these findings.
    fn after(error: Error, mut findings: Vec<Finding>) -> Vec<(Check, Status, String)> {
        failed(error).conclude(&mut findings, Device::Npu);
        findings.into_iter().map(|finding| (finding.check, finding.status, finding.what)).collect()
    }

    fn refused(obstacle: Obstacle) -> Error {
        Error::Unavailable { device: "xrt", obstacle, why: "by XRT".into(), hint: "do it".into() }
    }

    #[test]
    fn each_cause_is_told_once() {
        let see =
            |names: &str| (Check::Trial, Status::Unchecked, format!("the device does not open: see {names}"));
        let known = Finding::problem(Check::Permission, "by doctor", "chmod");
        let told = (Check::Permission, Status::Problem, "by doctor".to_owned());
        assert_eq!(
            after(refused(Obstacle::Permission), vec![known.clone()]),
            [told.clone(), see("permission")]
        );
        // A limit that counts although it should not: the trial knows better.
        let free = Finding::ok(Check::LockedMemory, "no limit binds this process");
        assert_eq!(
            after(refused(Obstacle::LockedMemory), vec![free]),
            [(Check::LockedMemory, Status::Problem, "by XRT".into()), see("memlock")]
        );
        // Without an NPU nobody needs the shim.
        let none = vec![
            Finding::problem(Check::Npu, "none", "switch it on"),
            Finding::unchecked(Check::Shim, "there is no NPU"),
        ];
        let shown = after(refused(Obstacle::Shim), none);
        assert_eq!((shown[1].1, &shown[2]), (Status::Unchecked, &see("npu")));
        // What no check is about.
        assert_eq!(
            after(refused(Obstacle::Other), vec![known]),
            [told, (Check::Trial, Status::Problem, "by XRT".into())]
        );
    }

    #[test]
    fn kernels_that_are_missing_need_no_power_cycle() {
        let missing = vec![Finding::problem(Check::Images, "no folder", "make")];
        let image = || Error::Image { why: "there are none".into() };
        assert_eq!(after(image(), missing)[0].2, "no folder");
        let trial = failed(image());
        assert!(
            trial.finding.fix.is_some_and(|fix| fix.contains("make -C kernels") && !fix.contains("power"))
        );
        let hung = failed(Error::DeviceLost { why: "gone".into() });
        assert!(hung.of.is_none() && hung.finding.fix.is_some_and(|fix| fix.contains("power")));
    }
}
