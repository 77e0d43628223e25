//! Plans, packing, array and kernels together: whole operations on the emulator against naive arithmetic in f64.
//!
//! The emulator moves bytes by the manifest's layouts and computes by the kernels' own C++; nothing of it knows how the
//! scheduler packs. A C++ compiler is needed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attention;
mod attention_int8;
mod gemm;
mod pool;
mod random;
mod requantise;
mod strategies;

use npu_backend::emulator::{Arithmetic, Emulator};
use npu_backend::ops::{Engine, ModelledImages};
use npu_backend::{Arch, Batch, BufferRole, Launch};

/// An engine on a fresh emulator.
fn engine(arch: Arch, arithmetic: Arithmetic) -> Engine {
    let device = Emulator::builder().arch(arch).arithmetic(arithmetic).open().unwrap();
    Engine::new(Box::new(device), Box::new(ModelledImages)).unwrap()
}

/// Runs one launch.
fn run(engine: &mut Engine, launch: Launch) {
    engine.run(&Batch::new(vec![launch]).unwrap()).unwrap();
}

/// A buffer with these bytes on both sides.
fn filled(
    engine: &mut Engine,
    len_bytes: usize,
    role: BufferRole,
    fill: impl FnOnce(&mut [u8]),
) -> npu_backend::Buffer {
    let buffer = engine.buffer(len_bytes, role).unwrap();
    engine.write(buffer.id(), 0..len_bytes, fill).unwrap();
    buffer
}
