//! `transcribe doctor`: what of this machine works, and what to do about what does not.
//!
//! Three stages: [`read`] looks at the system below a root folder and makes [`facts`]; [`examine`] turns facts into
//! [`finding`]s by plain rules; [`show`] prints them. Only the first touches the machine, and [`trial`], which runs a product
//! on the device that is asked for.

mod examine;
mod facts;
mod finding;
mod npu;
mod read;
mod show;
#[cfg(test)]
mod testing;
mod trial;

use std::io::Write;

use self::finding::{Check, Finding, Status};
use self::read::System;
use super::args::DoctorArgs;
use super::exit::Exit;
use super::models::forgive;
use super::resolve::places;
use crate::Result;
use crate::model::Device;

/// Runs `transcribe doctor`; what it finds goes to `out`.
///
/// The exit code is 0 if all works that the device needs which `--device` would use, else the code that a transcription
/// on it would end with: 3 for the model, 4 for the device.
///
/// # Errors
/// A standard output that cannot be written.
pub(super) fn doctor(args: &DoctorArgs, out: &mut dyn Write) -> Result<Exit> {
    let (surroundings, _) = places(&args.places);
    let facts = System::of_process(surroundings).read();
    let mut findings = examine::examine(&facts);
    // Last: it uses the device instead of looking at it.
    let device = used(args.device);
    trial::trial(device).conclude(&mut findings, device);
    let verdict = Verdict::new(args.device, findings);
    let shown = if args.json { show::json(&verdict, out) } else { show::text(&verdict, out) };
    shown.or_else(forgive)?;
    Ok(verdict.exit())
}

/// What a wish for a device means on this machine.
fn used(asked: Device) -> Device {
    match asked {
        // In this build on every machine; with a driver of hardware it depends on the findings.
        Device::Auto => Device::Cpu,
        named => named,
    }
}

/// Findings, seen from one device.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    /// As asked for.
    asked: Device,
    /// What that means on this machine.
    used: Device,
    findings: Vec<Finding>,
}

impl Verdict {
    fn new(asked: Device, findings: Vec<Finding>) -> Self {
        Self { asked, used: used(asked), findings }
    }

    /// What stands in the way of the device: problems, or, if there are none and the device was not tried with success, what was not
    /// checked: nobody knows that it works.
    fn obstacles(&self) -> impl Iterator<Item = &Finding> {
        let needed = || self.findings.iter().filter(|finding| finding.check.is_needed_by(self.used));
        let of = |status| needed().filter(move |finding| finding.status == status);
        let tried = needed().any(|finding| finding.check == Check::Trial && finding.is_ok());
        let unchecked = of(Status::Problem).next().is_none() && !tried;
        of(if unchecked { Status::Unchecked } else { Status::Problem })
    }

    fn exit(&self) -> Exit {
        // The device first: without it, it does not matter which model is there.
        let mut exits = self.obstacles().map(|finding| match finding.check {
            Check::Model => Exit::Model,
            _ => Exit::Device,
        });
        let first = exits.next();
        first.map_or(
            Exit::Done,
            |first| if exits.any(|exit| exit == Exit::Device) { Exit::Device } else { first },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{bare, finding_of, healthy};
    use super::*;

    fn verdict(device: Device, change: impl FnOnce(&mut facts::Facts)) -> Verdict {
        let mut facts = healthy();
        change(&mut facts);
        let mut findings = examine::examine(&facts);
        match device {
            // As if the emulator worked: whether it does here is the trial's own test.
            Device::Emulator => findings.push(Finding::ok(Check::Trial, "right")),
            other => trial::trial(used(other)).conclude(&mut findings, used(other)),
        }
        Verdict::new(device, findings)
    }

    #[test]
    fn the_processor_needs_nothing_of_the_npu() {
        let bare = |facts: &mut facts::Facts| {
            facts.npus.clear();
            facts.driver = None;
            facts.libraries.clear();
            facts.compiler = None;
        };
        for device in [Device::Auto, Device::Cpu] {
            assert_eq!(verdict(device, |_| ()).exit(), Exit::Done);
            assert_eq!(verdict(device, bare).exit(), Exit::Done);
            assert_eq!(verdict(device, bare).used, Device::Cpu);
        }
    }

    #[test]
    fn exit_codes_are_those_of_a_transcription() {
        let no_model = |facts: &mut facts::Facts| facts.model = Err(("gone".into(), "install it".into()));
        assert_eq!(verdict(Device::Auto, no_model).exit(), Exit::Model);
        // Not even on a machine where all is well does this build drive an NPU.
        assert_eq!(verdict(Device::Npu, |_| ()).exit(), Exit::Device);
        assert_eq!(verdict(Device::Emulator, |_| ()).exit(), Exit::Done);
        let no_compiler = |facts: &mut facts::Facts| facts.compiler = None;
        assert_eq!(verdict(Device::Emulator, no_compiler).exit(), Exit::Device);
        assert_eq!(verdict(Device::Npu, no_model).exit(), Exit::Device, "the device counts before the model");
    }

    #[test]
    fn what_was_not_checked_stands_in_the_way_only_if_nothing_else_tells() {
        let names = |findings: Vec<Finding>| -> Vec<&str> {
            let verdict = Verdict::new(Device::Npu, findings);
            verdict.obstacles().map(|finding| finding.check.name()).collect()
        };
        let unread = || Finding::unchecked(Check::LockedMemory, "cannot be read");
        assert_eq!(names(vec![unread()]), ["memlock"]);
        assert_eq!(names(vec![unread(), Finding::problem(Check::Node, "none", "see")]), ["node"]);
        assert_eq!(names(vec![unread(), Finding::ok(Check::Trial, "right")]), [""; 0]);
    }

    #[test]
    fn every_check_has_one_finding_in_the_documented_order() {
        for change in [|_: &mut facts::Facts| (), |facts: &mut facts::Facts| *facts = bare()] {
            let checks: Vec<Check> =
                verdict(Device::Auto, change).findings.iter().map(|finding| finding.check).collect();
            assert_eq!(checks, Check::ALL);
        }
        assert!(finding_of(&healthy(), Check::Npu).is_ok());
    }
}
