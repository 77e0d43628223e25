//! The array alone, for what stands in for the hardware beneath XRT (`tests/amdxdna-double`).
//!
//! There a launch is what the driver gets: an array configuration that was loaded once, the words of an instruction
//! stream somewhere in memory, and addresses. What [`KernelEntry`] declares beside the words is not told, so it is read
//! from them: the arguments that the stream walks, how far, and which of them it writes.

use std::sync::OnceLock;

use crate::emulator::array::Arithmetic;
use crate::emulator::executor::{Executor, Loaded};
use crate::emulator::probe;
use crate::kernel::{Program, Tap, image};
use crate::{Arch, ArgumentSpec, BufferRole, Error, KernelEntry, KernelImage, Result};

/// The cores of one device. Real kernels are compiled when the first one is loaded.
pub struct BareArray {
    arch: Arch,
    arithmetic: Arithmetic,
    cores: OnceLock<Executor>,
}

/// An instruction stream, decoded and checked.
pub struct BareProgram {
    loaded: Loaded,
    arguments: Vec<ArgumentSpec>,
}

/// Bytes that a launch writes to one of its arguments.
pub struct BareWrite {
    /// Where; it names the argument.
    pub tap: Tap,
    /// What, in the order of the walk.
    pub bytes: Vec<u8>,
}

/// Why a launch did not run to its end; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BareFault {
    /// It would wait for ever.
    #[error("{0}")]
    Hang(String),
    /// It would break something.
    #[error("{0}")]
    Broken(String),
}

impl BareArray {
    /// An array of a generation.
    #[must_use]
    pub fn new(arch: Arch, arithmetic: Arithmetic) -> Self {
        Self { arch, arithmetic, cores: OnceLock::new() }
    }

    /// Whether `configuration` is one that this array can take on.
    ///
    /// # Errors
    /// [`Error::Image`], [`Error::WrongArch`].
    pub fn check(&self, configuration: &[u8]) -> Result<()> {
        self.load(configuration, Vec::new()).map(drop)
    }

    /// Decodes the words of one launch under a configuration.
    ///
    /// # Errors
    /// [`Error::Image`] if the configuration or the words are not for this array, [`Error::Unavailable`] without a C++
    /// compiler.
    pub fn program(&self, configuration: &[u8], instructions: &[u32]) -> Result<BareProgram> {
        let arguments = if probe::is_configuration(configuration) {
            probe::arguments(instructions)
        } else if let Some(number) = image::direct_number(instructions) {
            direct_arguments(&self.image(configuration, Vec::new()), number)
        } else {
            Program::decode(instructions).ok().as_ref().map(streamed_arguments)
        };
        let arguments = arguments.ok_or_else(|| Error::Image {
            why: format!("{} words of instructions are no program for this array", instructions.len()),
        })?;
        let entry = KernelEntry {
            name: "stream".into(),
            instructions: instructions.to_vec(),
            arguments: arguments.clone(),
        };
        let loaded = self.load(configuration, vec![entry])?;
        Ok(BareProgram { loaded, arguments })
    }

    /// Runs a program on what the device sees of its arguments.
    ///
    /// # Errors
    /// What would hang or break on silicon.
    pub fn run(
        &self,
        program: &BareProgram,
        arguments: &[&[u8]],
    ) -> std::result::Result<Vec<BareWrite>, BareFault> {
        let executor = match &program.loaded {
            Loaded::Probe(_) => &Executor::Probe,
            Loaded::Array(_) => {
                self.cores.get().ok_or_else(|| BareFault::Broken("the array has no cores yet".into()))?
            }
        };
        match executor.run(&program.loaded, 0, arguments) {
            Ok((_, outputs)) => Ok(outputs
                .into_iter()
                .map(|output| BareWrite { tap: output.tap, bytes: output.bytes })
                .collect()),
            Err(stopped) if stopped.hangs => Err(BareFault::Hang(stopped.why)),
            Err(stopped) => Err(BareFault::Broken(stopped.why)),
        }
    }

    fn image(&self, configuration: &[u8], entries: Vec<KernelEntry>) -> KernelImage {
        KernelImage { arch: self.arch, configuration: configuration.to_vec(), entries }
    }

    fn load(&self, configuration: &[u8], entries: Vec<KernelEntry>) -> Result<Loaded> {
        let image = self.image(configuration, entries);
        if probe::is_configuration(configuration) {
            return Executor::Probe.load(&image);
        }
        image::modelled_name(&image)?;
        if self.cores.get().is_none() {
            // A second thread that gets here compiles the same: its cores are dropped.
            self.cores.set(Executor::array(self.arch, self.arithmetic)?).ok();
        }
        match self.cores.get() {
            Some(cores) => cores.load(&image),
            None => Err(Error::Image { why: "the array has no cores".into() }),
        }
    }
}

impl BareProgram {
    /// What the words say of the arguments, in order. One that the stream does not touch has no length.
    #[must_use]
    pub fn arguments(&self) -> &[ArgumentSpec] {
        &self.arguments
    }
}

/// How far a stream walks each argument, and which ones it writes; reading and writing makes a scratch buffer.
fn streamed_arguments(program: &Program) -> Vec<ArgumentSpec> {
    let reads = program.segments.iter().map(|segment| (segment.tap, false));
    let writes = program.drains.iter().map(|drain| (drain.tap, true));
    let mut arguments: Vec<(usize, bool, bool)> = Vec::new();
    for (tap, written) in reads.chain(writes) {
        let number = tap.argument as usize;
        // A damaged stream may name any number: what no launch can have is refused when the stream is loaded.
        if number >= MOST_ARGUMENTS {
            continue;
        }
        if arguments.len() <= number {
            arguments.resize(number + 1, (0, false, false));
        }
        let (len_bytes, read, write) = &mut arguments[number];
        *len_bytes = (*len_bytes).max(tap.end_bytes().unwrap_or(usize::MAX));
        *(if written { write } else { read }) = true;
    }
    let specs = arguments.into_iter().map(|(len_bytes, read, written)| ArgumentSpec {
        role: match (read, written) {
            (_, false) => BufferRole::Input,
            (false, true) => BufferRole::Output,
            (true, true) => BufferRole::Scratch,
        },
        len_bytes,
    });
    specs.collect()
}

/// Far more than any launch has.
const MOST_ARGUMENTS: usize = 64;

fn direct_arguments(image: &KernelImage, number: usize) -> Option<Vec<ArgumentSpec>> {
    let name = image::modelled_name(image).ok()?;
    let mut entries = image::direct(name, image.arch).ok()?.entries;
    (number < entries.len()).then(|| entries.swap_remove(number).arguments)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_probe_runs_by_its_words_alone() {
        let array = BareArray::new(Arch::Aie2, Arithmetic::Fast);
        let image = probe::image(Arch::Aie2, 4, 0);
        array.check(&image.configuration).unwrap();
        for entry in &image.entries {
            let program = array.program(&image.configuration, &entry.instructions).unwrap();
            assert_eq!(program.arguments(), entry.arguments, "{}", entry.name);
        }
        let add = array.program(&image.configuration, &image.entries[probe::ADD].instructions).unwrap();
        let written = array.run(&add, &[&[1, 2, 3, 4], &[9; 4], &[0; 4]]).unwrap();
        assert_eq!((written[0].tap.argument, written[0].bytes.as_slice()), (2, &[10, 11, 12, 13][..]));
        assert!(array.run(&add, &[&[1, 2, 3, 4], &[9; 4], &[0; 3]]).is_err());
    }

    #[test]
    fn what_is_not_for_the_array_is_refused() {
        let array = BareArray::new(Arch::Aie2, Arithmetic::Off);
        assert!(array.check(b"xclbin2").is_err());
        assert!(array.check(&image::streamed("encoder", Arch::Aie2p, &[]).configuration).is_err());
        let overlay = image::streamed("encoder", Arch::Aie2, &[]).configuration;
        array.check(&overlay).unwrap();
        for words in [&[][..], &[1, 2, 3]] {
            assert!(array.program(&overlay, words).is_err());
        }
    }

    #[test]
    fn arguments_of_a_stream_are_those_that_it_walks() {
        use crate::kernel::{Channel, Drain, Segment};
        let fill = |argument, offset| Segment {
            channel: Channel::A(0),
            tap: Tap::linear(argument, offset, 64),
            replay: 1,
        };
        let program = Program {
            columns: 4,
            rows: 4,
            segments: vec![fill(0, 0), fill(0, 128), fill(2, 0)],
            drains: vec![
                Drain { column: 0, tap: Tap::linear(1, 0, 32) },
                Drain { column: 0, tap: Tap::linear(2, 64, 32) },
            ],
        };
        let specs: Vec<_> =
            streamed_arguments(&program).iter().map(|spec| (spec.role, spec.len_bytes)).collect();
        use BufferRole::{Input, Output, Scratch};
        assert_eq!(specs, [(Input, 192), (Output, 32), (Scratch, 96)]);
    }
}
