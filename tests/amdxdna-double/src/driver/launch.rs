//! One launch on the array: its registers as the kernel's signature in the xclbin lays them out, and what comes of them.
//!
//! | byte | register |
//! |---|---|
//! | 0x00 | opcode, 64 bits: 3 for an instruction stream |
//! | 0x08 | address of the stream |
//! | 0x10 | its length in words |
//! | 0x14 | addresses of the buffers, 8 bytes each |

use std::collections::HashMap;
use std::sync::Arc;

use npu_backend::emulator::Arithmetic;
use npu_backend::emulator::bare::{BareArray, BareFault, BareProgram};
use npu_backend::{Arch, ArgumentSpec};

use super::client::Client;
use crate::region::Memory;
use crate::settings::Fault;

/// How a launch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    /// The firmware reports an error.
    Failed(String),
    /// It makes no progress.
    Hung(String),
}

/// A place in memory.
type Place = (Arc<Memory>, usize);

/// A launch whose addresses were looked up.
pub(super) struct Launch {
    opcode: u64,
    stream: Option<Place>,
    words: usize,
    /// Address of each buffer, and what lies there.
    buffers: Vec<(u64, Option<Place>)>,
}

const STREAM_OPCODES: [u64; 2] = [3, 2];
/// Registers before the first buffer's.
const LEADING: usize = 5;

impl Launch {
    /// Looks up where its registers point.
    pub(super) fn new(registers: &[u32], client: &Client) -> Self {
        let low = |index: usize| registers.get(index).copied().map_or(0, u64::from);
        let wide = |index| low(index) | low(index + 1) << 32;
        let count = registers.len().saturating_sub(LEADING) / 2;
        let buffers = (0..count).map(|buffer| {
            let address = wide(LEADING + 2 * buffer);
            (address, client.reach(address))
        });
        Self {
            opcode: wide(0),
            stream: client.reach(wide(2)),
            words: usize::try_from(low(4)).unwrap_or(usize::MAX),
            buffers: buffers.collect(),
        }
    }

    fn words(&self) -> Result<Vec<u32>, String> {
        let (memory, offset) = self.stream.as_ref().ok_or("its instructions lie nowhere")?;
        let len = self.words.saturating_mul(4);
        let end = offset.saturating_add(len);
        let bytes = memory.device().get(*offset..end).ok_or("its instructions leave their memory")?;
        Ok(bytes
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect())
    }
}

/// An array configuration, and the words of a stream.
type ProgramKey = (Arc<[u8]>, Vec<u32>);

/// The array with the streams that it has decoded.
pub(super) struct Engine {
    array: BareArray,
    programs: HashMap<ProgramKey, Arc<BareProgram>>,
}

/// Streams kept decoded; a model has some dozens.
const MOST_PROGRAMS: usize = 1024;

impl Engine {
    pub(super) fn new(exact: bool) -> Self {
        let arithmetic = if exact { Arithmetic::Exact } else { Arithmetic::Fast };
        Self { array: BareArray::new(Arch::Aie2, arithmetic), programs: HashMap::new() }
    }

    /// Whether the array can take a configuration on.
    pub(super) fn check(&self, configuration: &[u8]) -> Result<(), String> {
        self.array.check(configuration).map_err(|error| error.to_string())
    }

    fn program(&mut self, configuration: &Arc<[u8]>, words: Vec<u32>) -> Result<Arc<BareProgram>, String> {
        let key = (Arc::clone(configuration), words);
        if let Some(program) = self.programs.get(&key) {
            return Ok(Arc::clone(program));
        }
        let program = self.array.program(configuration, &key.1).map_err(|error| error.to_string())?;
        if self.programs.len() >= MOST_PROGRAMS {
            self.programs.clear();
        }
        let program = Arc::new(program);
        self.programs.insert(key, Arc::clone(&program));
        Ok(program)
    }

    /// Runs a launch under a configuration, with a fault in what it writes.
    pub(super) fn run(&mut self, launch: &Launch, configuration: &Arc<[u8]>, fault: Option<Fault>) -> End {
        match self.try_run(launch, configuration, fault) {
            Ok(()) => End::Completed,
            Err(BareFault::Hang(why)) => End::Hung(why),
            Err(BareFault::Broken(why)) => End::Failed(why),
        }
    }

    fn try_run(
        &mut self,
        launch: &Launch,
        configuration: &Arc<[u8]>,
        fault: Option<Fault>,
    ) -> Result<(), BareFault> {
        if !STREAM_OPCODES.contains(&launch.opcode) {
            // That this is an error is assumed, as in the emulator: no source says.
            return Err(BareFault::Broken(format!("opcode {} is not known", launch.opcode)));
        }
        let program =
            launch.words().and_then(|words| self.program(configuration, words)).map_err(BareFault::Broken)?;
        let Some(arguments) = arguments(launch, program.arguments())? else {
            // A buffer that was never set: seen on silicon to end as COMPLETED, with nothing written.
            return Ok(());
        };
        if fault == Some(Fault::Nothing) {
            return Ok(());
        }
        let bytes: Vec<&[u8]> = arguments
            .iter()
            .map(|place| place.as_ref().map_or(&[][..], |(memory, at)| &memory.device()[*at..]))
            .collect();
        for mut write in self.array.run(&program, &bytes)? {
            if fault == Some(Fault::Zeros) {
                write.bytes.fill(0);
            }
            let place = arguments.get(write.tap.argument as usize).and_then(Option::as_ref);
            let written = place
                .is_some_and(|(memory, at)| write.tap.scatter(&write.bytes, &mut memory.device_mut()[*at..]));
            if !written {
                return Err(BareFault::Broken(format!("a DMA leaves argument {}", write.tap.argument)));
            }
        }
        Ok(())
    }
}

/// The buffers that a stream walks, each from its address to the end of its memory; `None` if one was never set.
fn arguments(launch: &Launch, specs: &[ArgumentSpec]) -> Result<Option<Vec<Option<Place>>>, BareFault> {
    let mut places = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let (address, place) = launch.buffers.get(index).cloned().unwrap_or((0, None));
        match place {
            _ if spec.len_bytes == 0 => places.push(None),
            None if address == 0 => return Ok(None),
            None => {
                return Err(BareFault::Broken(format!("argument {index}: nothing lies at {address:#x}")));
            }
            Some(place) => places.push(Some(place)),
        }
    }
    Ok(Some(places))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use npu_backend::emulator::probe;

    use super::super::objects::Heap;
    use super::*;

    /// A heap with the stream of a probe at its start and buffers after it, and the registers of a launch.
    fn bench(entry: usize, buffers: usize) -> (Client, Vec<u32>, Arc<[u8]>) {
        let image = probe::image(Arch::Aie2, 16, 0);
        let memory = Arc::new(Memory::new(64 << 20, false).unwrap());
        let words = &image.entries[entry].instructions;
        for (place, word) in memory.host_mut().chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let mut client = Client::default();
        client.heap = Some(Heap::new(memory));
        let base = 0x400_0000;
        let mut registers = vec![3, 0, base, 0, u32::try_from(words.len()).unwrap()];
        (1..=u32::try_from(buffers).unwrap()).for_each(|buffer| registers.extend([base + 4096 * buffer, 0]));
        (client, registers, image.configuration.into())
    }

    fn heap_byte(client: &Client, at: u64) -> u8 {
        let (memory, at) = client.reach(0x400_0000 + at).unwrap();
        memory.device()[at]
    }

    #[test]
    fn a_launch_reads_and_writes_by_its_registers() {
        let (client, registers, configuration) = bench(probe::COPY, 2);
        client.reach(0x400_1000).unwrap().0.host_mut()[4096..4112].fill(8);
        let mut engine = Engine::new(false);
        assert_eq!(engine.run(&Launch::new(&registers, &client), &configuration, None), End::Completed);
        assert_eq!([8191, 8192, 8207, 8208].map(|at| heap_byte(&client, at)), [0, 8, 8, 0]);
        let zeros = engine.run(&Launch::new(&registers, &client), &configuration, Some(Fault::Zeros));
        assert_eq!((zeros, heap_byte(&client, 8192)), (End::Completed, 0));
        let nothing = engine.run(&Launch::new(&registers, &client), &configuration, Some(Fault::Nothing));
        assert_eq!((nothing, heap_byte(&client, 8192)), (End::Completed, 0));
    }

    #[test]
    fn wrong_registers_end_as_hardware_ends_them() {
        let mut engine = Engine::new(false);
        let mut end = |change: &dyn Fn(&mut Vec<u32>)| {
            let (client, mut registers, configuration) = bench(probe::COPY, 2);
            change(&mut registers);
            engine.run(&Launch::new(&registers, &client), &configuration, None)
        };
        assert_eq!(end(&|registers| registers[0] = 2), End::Completed);
        assert!(matches!(end(&|registers| registers[0] = 4), End::Failed(_)), "opcode");
        assert!(matches!(end(&|registers| registers[4] *= 4), End::Failed(_)), "length in bytes");
        assert!(matches!(end(&|registers| registers[2] = 16), End::Failed(_)), "no stream there");
        assert!(matches!(end(&|registers| registers[5] = 16), End::Failed(_)), "no buffer there");
        assert_eq!(end(&|registers| registers[7] = 0), End::Completed, "a buffer that was never set");
        assert_eq!(end(&|registers| registers.truncate(6)), End::Completed, "no register for it");
    }
}
