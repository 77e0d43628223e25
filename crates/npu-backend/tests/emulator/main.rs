//! What the emulator alone can show: poison, evictions, modelled time, faults by name, and a long random walk.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod caches;
mod clock;
mod faults;
mod limits;
mod random_walk;
mod streams;
mod walker;

use npu_backend::emulator::{Builder, Emulator, probe};
use npu_backend::{Arch, Batch, Buffer, BufferRole, ContextId, Device, Launch, Result, Ticket};

/// Length of most probe buffers: sixteen lines.
const LEN: usize = 1024;

/// An emulator with the probe image in one context.
struct Bench {
    device: Emulator,
    context: ContextId,
}

fn bench(builder: Builder) -> Bench {
    bench_of(builder, LEN, 0)
}

/// For buffers of `len` bytes and launches that compute for `cycles`.
fn bench_of(builder: Builder, len: usize, cycles: u32) -> Bench {
    let mut device = builder.probe().open().unwrap();
    let context = device.load(&probe::image(Arch::Aie2, u32::try_from(len).unwrap(), cycles)).unwrap();
    Bench { device, context }
}

impl Bench {
    fn launch(&self, entry: usize, buffers: &[&Buffer]) -> Launch {
        Launch {
            kernel: self.context.kernel(entry),
            buffers: buffers.iter().map(|buffer| buffer.id()).collect(),
        }
    }

    fn submit(&mut self, launches: Vec<Launch>) -> Ticket {
        self.device.submit(&Batch::new(launches).unwrap()).unwrap()
    }

    /// Submits, and waits without limit.
    fn run(&mut self, launches: Vec<Launch>) -> Result<()> {
        let ticket = self.submit(launches);
        self.device.wait(ticket, None).map(|progress| assert!(progress.is_done()))
    }

    /// A buffer whose bytes, on both sides, are `byte`.
    fn filled(&mut self, role: BufferRole, len: usize, byte: u8) -> Buffer {
        let buffer = self.device.alloc(len, role).unwrap();
        self.device.host_mut(buffer.id()).unwrap().fill(byte);
        self.device.push(buffer.id(), 0..len).unwrap();
        buffer
    }

    /// All of a buffer, after a pull.
    fn read(&mut self, buffer: &Buffer) -> Vec<u8> {
        self.device.pull(buffer.id(), 0..buffer.len_bytes()).unwrap();
        self.device.host(buffer.id()).unwrap().to_vec()
    }
}
