//! `transcribe bench`: what this machine can do and how long Whisper takes on it, or how long a matrix product takes.
//! Times of the emulator are modelled and say so; the rest is measured on this machine.

mod advice;
mod cpu;
mod device;
mod limits;
mod machine;
mod show;
mod ways;
mod whisper;

use std::io::Write;

use npu_backend::Choice;

use super::args::BenchArgs;
use super::models::forgive;
use super::product::Product;
use super::values::Shape;
use crate::model::Device;
use crate::{Error, ErrorKind, Result};

/// The product of a device, unless one is given.
const USUAL: Shape = Shape { m: 512, k: 512, n: 512 };

/// Runs `transcribe bench`; figures go to `out`, notes to `err`.
///
/// # Errors
/// Of the kind device, if it cannot be opened or computes wrong numbers; usage, for a product that it does not take; a
/// standard output that cannot be written.
pub(super) fn bench(args: &BenchArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<()> {
    let choice = match args.device {
        Device::Npu => Some(Choice::Xrt),
        Device::Emulator => Some(Choice::Emulator),
        // No build drives hardware yet; with one that does, auto is the NPU where it is.
        _ => None,
    };
    let shown = match choice {
        None if args.all_ways => {
            return Err(Error::new(
                ErrorKind::Usage,
                "cannot compare ways to launch",
                "the processor has no launches",
                "give --device emulator with --all-ways",
            ));
        }
        None => match args.shape {
            Some(shape) => {
                let report = cpu::measure(&Product::new(shape), args.threads)?;
                if args.json { show::cpu_json(&report, out) } else { show::cpu_text(&report, out) }
            }
            None => {
                let report = machine::measure(args.threads)?;
                if args.json { machine::json(&report, out) } else { machine::text(&report, out) }
            }
        },
        Some(choice) => {
            let product = Product::new(args.shape.unwrap_or(USUAL));
            let mut report = device::measure(choice, &product).map_err(|error| failed(&error, choice))?;
            if args.all_ways {
                report.ways = ways::all(choice, &product, err)?;
            }
            if args.json { show::device_json(&report, out) } else { show::device_text(&report, out) }
        }
    };
    shown.or_else(forgive)
}

/// A device's error, for people.
fn failed(error: &npu_backend::Error, choice: Choice) -> Error {
    use npu_backend::Error as E;
    match error {
        E::Unavailable { why, hint, .. } => Error::new(
            ErrorKind::Device,
            format!("cannot use the device {}", typed(choice).name()),
            why,
            hint,
        ),
        E::Shape { why } => {
            Error::new(ErrorKind::Usage, "cannot time this product", why, "give another M,K,N")
        }
        // Silicon runs the launches that were built, and their names are told; the emulator makes each as it comes.
        E::Image { why } => Error::new(
            ErrorKind::Device,
            "cannot time this product",
            why,
            "give the M,K,N of a launch that was built, or --device emulator, which takes any",
        ),
        other => Error::new(
            ErrorKind::Device,
            "the device failed",
            other.to_string(),
            "see `transcribe doctor --device` for what of it works",
        ),
    }
}

/// The device as it is typed.
fn typed(choice: Choice) -> Device {
    match choice {
        Choice::Auto => Device::Auto,
        Choice::Xrt => Device::Npu,
        Choice::Emulator => Device::Emulator,
    }
}

/// Numbers that differ from plain arithmetic.
fn wrong(what: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::Device,
        format!("{what} gives wrong numbers"),
        why,
        "its times mean nothing; see `transcribe doctor --device`",
    )
}
