//! One product, run on the device and compared with plain arithmetic.

use npu_backend::schedule::GemmKind;
use npu_backend::{Choice, Error, open_engine};

use super::finding::{Check, Finding};
use crate::cli::product::{OnDevice, Product};
use crate::cli::values::Shape;
use crate::model::Device;

/// One tile of one core, padded to the array by the plan.
const SHAPE: Shape = Shape { m: 64, k: 64, n: 64 };

/// What a product on `device` shows of it.
pub(super) fn trial(device: Device) -> Finding {
    let choice = match device {
        Device::Npu => Choice::Xrt,
        Device::Emulator => Choice::Emulator,
        _ => {
            return Finding::unchecked(
                Check::Trial,
                "runs a product on a device that is asked for: --device npu or --device emulator",
            );
        }
    };
    match run(choice) {
        Ok((name, result)) => told(&name, result),
        Err(Error::Unavailable { why, hint, .. }) => Finding::problem(Check::Trial, why, hint),
        Err(error) => Finding::problem(
            Check::Trial,
            error.to_string(),
            "see the problems above; if there are none, power the machine off and on, which restarts the NPU's firmware",
        ),
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
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn the_emulator_computes_it_or_says_what_it_lacks() {
        let finding = trial(Device::Emulator);
        match finding.status {
            Status::Ok => assert!(finding.what.contains("emulator of XDNA 1"), "{}", finding.what),
            // It compiles the kernels' C++.
            _ => assert!(finding.what.contains("compiler") && finding.fix.is_some(), "{finding:?}"),
        }
    }

    #[test]
    fn a_device_that_does_not_open_says_why_and_what_to_do() {
        let finding = trial(Device::Npu);
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
        assert_eq!(trial(Device::Cpu).status, Status::Unchecked);
    }
}
