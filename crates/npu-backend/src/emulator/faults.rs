//! Faults that are seen in the field, to be injected at a launch: who uses the device must come to the right outcome
//! for each.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::device::KernelEntry;
use crate::emulator::array::Output;
use crate::emulator::packet::{OPCODE_LEGACY, Packet, group_id};
use crate::emulator::random::Random;

/// What goes wrong with one launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Says COMPLETED; what it should have written is zeros.
    CompletedWithZeros,
    /// Says COMPLETED; what it should have written is not a number, as bf16 and as f32.
    CompletedWithNan,
    /// Ends as ERROR; the launches after it in the batch as ABORT.
    Error,
    /// The firmware is reset: it and everything that is queued, in every context, end as ABORT. Then all is well again.
    FirmwareReset,
    /// Hangs until the driver's limit: ends as TIMEOUT, everything queued as ABORT. Then all is well again.
    Hang,
    /// Hangs, and so does every launch after it, until the device is opened again.
    Wedge,
    /// The device goes away; every verb answers [`DeviceLost`](crate::Error::DeviceLost).
    Vanish,
    /// Takes as long as the slowest that was seen in the field, and then completes.
    Slow,
    /// Output buffers are bound to another memory bank: the device writes clones of them. Says COMPLETED.
    WrongBank,
    /// The arguments are bound one place off, so that one is missing: nothing runs. Says COMPLETED.
    ShiftedArguments,
    /// The device can reach only half of each buffer: a DMA faults. Ends as ERROR.
    ShortBuffer,
    /// The length of the instruction stream is given in bytes, not words. Ends as ERROR.
    StreamLength,
    /// The opcode is one that the firmware does not know. Ends as ERROR.
    Opcode,
    /// The opcode is the deprecated one. Runs as usual; the runtime warns.
    LegacyOpcode,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::CompletedWithZeros,
        Self::CompletedWithNan,
        Self::Error,
        Self::FirmwareReset,
        Self::Hang,
        Self::Wedge,
        Self::Vanish,
        Self::Slow,
        Self::WrongBank,
        Self::ShiftedArguments,
        Self::ShortBuffer,
        Self::StreamLength,
        Self::Opcode,
        Self::LegacyOpcode,
    ];

    /// Whether the device says COMPLETED all the same, though the outputs are wrong. No caller can tell from states.
    #[must_use]
    pub fn is_silent(self) -> bool {
        matches!(
            self,
            Self::CompletedWithZeros | Self::CompletedWithNan | Self::WrongBank | Self::ShiftedArguments
        )
    }

    /// Whether the launch computes what it should.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::Slow | Self::LegacyOpcode)
    }

    /// What it does to the command.
    pub(super) fn bend(self, packet: &mut Packet, entry: &KernelEntry, slot: u8, lens: &[usize]) {
        match self {
            Self::WrongBank => {
                for (bound, spec) in packet.arguments.iter_mut().zip(&entry.arguments) {
                    if let Some(bound) = bound.as_mut().filter(|_| spec.role.device_writes()) {
                        bound.group = group_id(slot, 1);
                    }
                }
            }
            Self::ShiftedArguments => {
                packet.arguments.push(None);
                packet.arguments.remove(0);
            }
            Self::ShortBuffer => {
                for (bound, len) in packet.arguments.iter_mut().flatten().zip(lens) {
                    bound.reach = Some(len / 2);
                }
            }
            Self::StreamLength => packet.words = packet.words.saturating_mul(4).max(1),
            Self::Opcode => packet.opcode = 99,
            Self::LegacyOpcode => packet.opcode = OPCODE_LEGACY,
            _ => {}
        }
    }

    /// What it does to what the launch writes.
    pub(super) fn spoil(self, outputs: &mut [Output]) {
        let pattern: [u8; 2] = match self {
            Self::CompletedWithZeros => [0, 0],
            // bf16 0x7FC0; f32 0x7FC0_7FC0: quiet not-a-numbers.
            Self::CompletedWithNan => [0xC0, 0x7F],
            _ => return,
        };
        for output in outputs {
            output.bytes.iter_mut().zip(pattern.iter().cycle()).for_each(|(byte, &value)| *byte = value);
        }
    }

    /// What it adds to the launch.
    pub(super) fn delay(self) -> Duration {
        // The longest of IRON's Phoenix CI for a tiny operation.
        if self == Self::Slow { Duration::from_micros(1900) } else { Duration::ZERO }
    }
}

/// Why a device does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenFault {
    /// There is no device node: no driver, or no such hardware.
    NoNode,
    /// The node belongs to a group that the user is not in (EACCES).
    Permission,
}

/// Which launches go wrong. Launches are numbered from 0, in the order in which the device begins them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultPlan {
    at: BTreeMap<u64, Fault>,
    rates: Vec<(Fault, f64)>,
    seed: u64,
    open: Option<OpenFault>,
}

impl FaultPlan {
    /// No fault.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// `fault` at launch number `launch`, and what was planned already.
    #[must_use]
    pub fn at(mut self, launch: u64, fault: Fault) -> Self {
        self.at.insert(launch, fault);
        self
    }

    /// Each launch also meets one of these faults with its probability, chosen from `seed`.
    #[must_use]
    pub fn random(mut self, seed: u64, rates: &[(Fault, f64)]) -> Self {
        self.seed = seed;
        self.rates = rates.to_vec();
        self
    }

    /// The device does not open.
    #[must_use]
    pub fn refuse_open(mut self, fault: OpenFault) -> Self {
        self.open = Some(fault);
        self
    }

    pub(super) fn open_fault(&self) -> Option<OpenFault> {
        self.open
    }
}

/// A plan being carried out.
#[derive(Debug)]
pub(super) struct Faults {
    plan: FaultPlan,
    random: Random,
    launches: u64,
}

impl Faults {
    pub(super) fn new(plan: FaultPlan) -> Self {
        let random = Random::new(plan.seed);
        Self { plan, random, launches: 0 }
    }

    /// The fault of the next launch, if it has one.
    pub(super) fn next(&mut self) -> Option<Fault> {
        let number = self.launches;
        self.launches += 1;
        let planned = self.plan.at.get(&number).copied();
        let Self { plan, random, .. } = self;
        // Chances are drawn even where a fault is planned, so that a plan does not shift the random ones.
        let drawn: Vec<bool> = plan.rates.iter().map(|(_, rate)| random.chance(*rate)).collect();
        planned.or_else(|| plan.rates.iter().zip(drawn).find(|(_, hit)| *hit).map(|((fault, _), _)| *fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planned_faults_come_at_their_launch_and_random_ones_repeat_with_their_seed() {
        let planned = FaultPlan::none().at(2, Fault::Hang).at(0, Fault::Error);
        let mut faults = Faults::new(planned.clone());
        let first: Vec<_> = (0..4).map(|_| faults.next()).collect();
        assert_eq!(first, [Some(Fault::Error), None, Some(Fault::Hang), None]);

        let rates = [(Fault::Error, 0.1), (Fault::Slow, 0.2)];
        let run = |plan: FaultPlan| {
            let mut faults = Faults::new(plan);
            (0..1000).map(|_| faults.next()).collect::<Vec<_>>()
        };
        let random = run(FaultPlan::none().random(5, &rates));
        assert_eq!(random, run(FaultPlan::none().random(5, &rates)));
        assert_ne!(random, run(FaultPlan::none().random(6, &rates)));
        assert_eq!(random[3..], run(planned.random(5, &rates))[3..]);
        let errors = random.iter().filter(|fault| **fault == Some(Fault::Error)).count();
        assert!((60..140).contains(&errors), "{errors} of 1000 at 1/10");
    }
}
