//! The command that the driver gets for one launch, as the runtime makes it, and what the device thinks of it.
//!
//! Callers of [`Device`](crate::Device) cannot get these fields wrong: the emulator fills them in, as the hardware's
//! device does. They are here because programs do go wrong in them, and because of what hardware then says: mostly
//! COMPLETED.
//! Sources: XRT (xrt_kernel.cpp:2532 and 2924, xrt_bo.cpp:440), MLIR-AIE (aiecc's mem_topology), Unicorn-Amanuensis.

use crate::device::KernelEntry;
use crate::{BufferId, Launch};

/// Where a buffer lies, as `kernel.group_id(argument)` says: the context's slot above, the memory bank below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupId(pub(super) u32);

/// Memory banks of every image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Bank {
    /// Main memory: data.
    Host = 0,
    /// Instruction streams.
    Sram = 1,
    /// Scalar arguments lie nowhere.
    Scalar = 0xFFFF,
}

impl GroupId {
    pub(super) fn new(slot: u8, bank: Bank) -> Self {
        Self(u32::from(slot) << 16 | u32::from(bank as u16))
    }

    pub(super) fn bank(self) -> u32 {
        self.0 & 0xFFFF
    }
}

/// Arguments of the runtime's own before the first buffer: opcode, stream, its length.
pub(super) const LEADING_ARGUMENTS: usize = 3;

/// `group_id(argument)` of a kernel in context slot `slot`.
pub(super) fn group_id(slot: u8, argument: usize) -> GroupId {
    let bank = match argument {
        1 => Bank::Sram,
        0 | 2 => Bank::Scalar,
        _ => Bank::Host,
    };
    GroupId::new(slot, bank)
}

/// Runs an instruction stream with buffers ("transaction").
pub(super) const OPCODE_TRANSACTION: u32 = 3;
/// The same, by its old number.
pub(super) const OPCODE_LEGACY: u32 = 2;

/// A buffer in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) buffer: BufferId,
    pub(super) group: GroupId,
    /// Bytes of it that the device can address, if fewer than all.
    pub(super) reach: Option<usize>,
}

/// The command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) opcode: u32,
    /// Length of the instruction stream, in words.
    pub(super) words: usize,
    pub(super) arguments: Vec<Option<Bound>>,
}

/// What the device does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Runs it; outputs bound to these arguments go where nobody looks.
    Run { lost: Vec<usize> },
    /// Says COMPLETED and does nothing.
    Ignore,
    /// Says ERROR.
    Refuse(String),
}

impl Packet {
    /// As a faultless runtime makes it.
    pub(super) fn new(launch: &Launch, entry: &KernelEntry, slot: u8) -> Self {
        let bound = |(index, &buffer)| {
            Some(Bound { buffer, group: group_id(slot, LEADING_ARGUMENTS + index), reach: None })
        };
        Self {
            opcode: OPCODE_TRANSACTION,
            words: entry.instructions.len(),
            arguments: launch.buffers.iter().enumerate().map(bound).collect(),
        }
    }

    /// What the device does with it, and what the runtime logs.
    pub(super) fn verdict(&self, entry: &KernelEntry, slot: u8) -> (Verdict, Option<String>) {
        let refuse = |why: String| (Verdict::Refuse(why), None);
        if ![OPCODE_TRANSACTION, OPCODE_LEGACY].contains(&self.opcode) {
            // That it ends as ERROR is assumed: no source says.
            return refuse(format!("opcode {} is not known", self.opcode));
        }
        if self.words != entry.instructions.len() {
            // Assumed too: words and bytes are both seen in working code.
            return refuse(format!(
                "the instruction stream has {} words, the command says {}",
                entry.instructions.len(),
                self.words
            ));
        }
        if self.arguments.len() != entry.arguments.len() || self.arguments.contains(&None) {
            return (Verdict::Ignore, None);
        }
        let wrong = |(index, bound): (usize, &Option<Bound>)| {
            let connected = group_id(slot, LEADING_ARGUMENTS + index).bank();
            bound.as_ref().is_some_and(|bound| bound.group.bank() != connected).then_some(index)
        };
        let lost: Vec<usize> = self.arguments.iter().enumerate().filter_map(wrong).collect();
        let warning = if !lost.is_empty() {
            Some(format!("arguments {lost:?} lie in another bank; reverting to host copy"))
        } else {
            (self.opcode == OPCODE_LEGACY).then(|| format!("opcode {OPCODE_LEGACY} is deprecated"))
        };
        (Verdict::Run { lost }, warning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::probe;
    use crate::{Arch, ContextId};

    #[test]
    fn group_ids_are_the_ones_seen_on_silicon() {
        // First context: 65537 for the stream, 65536 for data, 131071 for scalars; the second begins with 2.
        assert_eq!(
            [0, 1, 2, 3, 7].map(|argument| group_id(1, argument).0),
            [131_071, 65_537, 131_071, 65_536, 65_536]
        );
        assert_eq!(group_id(2, 1).0, 0x2_0001);
    }

    #[test]
    fn each_wrong_field_has_its_verdict() {
        let entry = &probe::image(Arch::Aie2, 64, 0).entries[probe::COPY];
        let launch =
            Launch { kernel: ContextId(1).kernel(probe::COPY), buffers: vec![BufferId(1), BufferId(2)] };
        let good = Packet::new(&launch, entry, 1);
        let verdict = |change: &dyn Fn(&mut Packet)| {
            let mut packet = good.clone();
            change(&mut packet);
            packet.verdict(entry, 1)
        };
        assert_eq!(verdict(&|_| ()), (Verdict::Run { lost: vec![] }, None));
        let (legacy, warning) = verdict(&|packet| packet.opcode = OPCODE_LEGACY);
        assert!(
            legacy == Verdict::Run { lost: vec![] }
                && warning.is_some_and(|text| text.contains("deprecated"))
        );
        assert!(matches!(verdict(&|packet| packet.opcode = 4).0, Verdict::Refuse(_)));
        assert!(matches!(verdict(&|packet| packet.words *= 4).0, Verdict::Refuse(_)));
        assert_eq!(verdict(&|packet| packet.arguments[1] = None).0, Verdict::Ignore);
        assert_eq!(verdict(&|packet| packet.arguments.truncate(1)).0, Verdict::Ignore);
        let (cloned, warning) = verdict(&|packet| {
            packet.arguments[1] = packet.arguments[1].map(|bound| Bound { group: group_id(1, 1), ..bound });
        });
        assert!(
            cloned == Verdict::Run { lost: vec![1] } && warning.is_some_and(|text| text.contains("bank"))
        );
    }
}
