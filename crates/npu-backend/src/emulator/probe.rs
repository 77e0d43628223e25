//! Probe programs: three tiny things that a launch can do with no kernel and no compiler.
//!
//! They test what surrounds a launch (copies, order, limits, faults, clock), which is the same whatever is launched. An
//! emulator opened with [`Builder::probe`](crate::emulator::Builder::probe) runs them and nothing else; whoever stands
//! in for the hardware below XRT can run the same words.

use crate::emulator::array::{Output, Work};
use crate::kernel::Tap;
use crate::{Arch, ArgumentSpec, BufferRole, Error, KernelEntry, KernelImage, Result};

/// `output = input`. Arguments: input, output.
pub const COPY: usize = 0;
/// `output = left + right`, byte by byte, wrapping. Arguments: input, weight, output.
pub const ADD: usize = 1;
/// Adds 1 to every byte, wrapping. Argument: scratch.
pub const BUMP: usize = 2;

const CONFIGURATION: &[u8] = b"modelled image\nprobe\n";
const MAGIC: u32 = 0x4542_5250;

/// The probe image for buffers of `len_bytes`. Each launch computes for `cycles` cycles of the modelled clock.
#[must_use]
pub fn image(arch: Arch, len_bytes: u32, cycles: u32) -> KernelImage {
    use BufferRole::{Input, Output, Scratch, Weight};
    let entry = |name: &str, program: usize, roles: &[BufferRole]| KernelEntry {
        name: name.into(),
        instructions: vec![MAGIC, u32::try_from(program).unwrap_or(u32::MAX), len_bytes, cycles],
        arguments: roles
            .iter()
            .map(|&role| ArgumentSpec { role, len_bytes: usize::try_from(len_bytes).unwrap_or(usize::MAX) })
            .collect(),
    };
    KernelImage {
        arch,
        configuration: CONFIGURATION.to_vec(),
        entries: vec![
            entry("copy", COPY, &[Input, Output]),
            entry("add", ADD, &[Input, Weight, Output]),
            entry("bump", BUMP, &[Scratch]),
        ],
    }
}

/// Whether a configuration is that of the probe image.
pub(crate) fn is_configuration(configuration: &[u8]) -> bool {
    configuration == CONFIGURATION
}

/// The arguments of a probe program; `None` if the words are none.
pub(crate) fn arguments(instructions: &[u32]) -> Option<Vec<ArgumentSpec>> {
    let &[MAGIC, kind, len_bytes, cycles] = instructions else { return None };
    let kind = usize::try_from(kind).ok()?;
    image(Arch::Aie2, len_bytes, cycles).entries.into_iter().nth(kind).map(|entry| entry.arguments)
}

/// One entry, checked.
#[derive(Clone, Copy, Debug)]
struct Program {
    kind: usize,
    len_bytes: u32,
    cycles: u32,
}

/// A loaded probe image.
#[derive(Debug)]
pub(crate) struct LoadedProbe(Vec<Program>);

pub(crate) fn load(image: &KernelImage) -> Result<LoadedProbe> {
    let refuse = |why: &str| Error::Image { why: why.into() };
    if image.configuration != CONFIGURATION {
        return Err(refuse("an emulator opened with `Builder::probe` runs the probe image only"));
    }
    let program = |entry: &KernelEntry| match *entry.instructions.as_slice() {
        [MAGIC, kind, len_bytes, cycles] if len_bytes > 0 => {
            let kind = usize::try_from(kind).unwrap_or(usize::MAX);
            let takes = match kind {
                COPY => 2,
                ADD => 3,
                BUMP => 1,
                _ => return Err(refuse("an entry is no probe program")),
            };
            if entry.arguments.len() != takes {
                return Err(refuse("a probe entry has another number of arguments than its program"));
            }
            Ok(Program { kind, len_bytes, cycles })
        }
        _ => Err(refuse("an entry is no probe program")),
    };
    image.entries.iter().map(program).collect::<Result<_>>().map(LoadedProbe)
}

pub(crate) fn run(
    image: &LoadedProbe,
    entry: usize,
    arguments: &[&[u8]],
) -> std::result::Result<(Work, Vec<Output>), String> {
    let Some(&program) = image.0.get(entry) else {
        return Err(format!("the probe image has no entry {entry}"));
    };
    let len = usize::try_from(program.len_bytes).unwrap_or(usize::MAX);
    let source = |index: usize| {
        let all = arguments.get(index).copied().unwrap_or_default();
        all.get(..len)
            .ok_or_else(|| format!("a DMA of {len} bytes leaves argument {index} of {} bytes", all.len()))
    };
    let (argument, bytes): (usize, Vec<u8>) = match program.kind {
        COPY => (1, source(0)?.to_vec()),
        ADD => {
            (2, source(0)?.iter().zip(source(1)?).map(|(left, right)| left.wrapping_add(*right)).collect())
        }
        _ => (0, source(0)?.iter().map(|byte| byte.wrapping_add(1)).collect()),
    };
    source(argument)?;
    let read = (argument.max(1) * len) as u64;
    let work = Work {
        compute_cycles: u64::from(program.cycles),
        ddr_read_bytes: read,
        ddr_written_bytes: len as u64,
        ddr_weighted_bytes: read + len as u64,
        ..Work::default()
    };
    Ok((work, vec![Output { argument, tap: Tap::linear(as_u32(argument), 0, program.len_bytes), bytes }]))
}

fn as_u32(argument: usize) -> u32 {
    u32::try_from(argument).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn programs_compute_what_they_say() {
        let loaded = load(&image(Arch::Aie2, 2, 10)).unwrap();
        let bytes = |entry, arguments: &[&[u8]]| run(&loaded, entry, arguments).unwrap().1.remove(0);
        assert_eq!(bytes(COPY, &[&[1, 2, 9], &[0, 0]]).bytes, [1, 2]);
        assert_eq!(bytes(ADD, &[&[1, 200], &[2, 100], &[0, 0]]).bytes, [3, 44]);
        assert_eq!(bytes(BUMP, &[&[255, 7]]).bytes, [0, 8]);
    }

    #[test]
    fn a_short_argument_is_a_fault_and_another_image_is_refused() {
        let loaded = load(&image(Arch::Aie2, 8, 0)).unwrap();
        let fault = run(&loaded, COPY, &[&[0; 8], &[0; 7]]).unwrap_err();
        assert!(fault.contains("argument 1 of 7 bytes"), "{fault}");
        assert!(run(&loaded, COPY, &[]).is_err() && run(&loaded, 3, &[]).is_err());
        let good = image(Arch::Aie2, 8, 0);
        let mut broken = vec![good.clone(); 4];
        broken[0].configuration.push(0);
        broken[1].entries[0].instructions.pop();
        broken[2].entries[0].instructions[1] = 9;
        broken[3].entries[1].arguments.pop();
        assert!(load(&good).is_ok());
        for (index, image) in broken.iter().enumerate() {
            assert!(matches!(load(image), Err(Error::Image { .. })), "{index}");
        }
    }
}
