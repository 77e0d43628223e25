//! Streams of the real array through the device: what goes wrong in a stream ends as it would on silicon.
//!
//! Arithmetic is off, so no compiler is needed: the array walks its streams all the same.

use std::time::Duration;

use npu_backend::BufferRole::{Input, Output, Weight};
use npu_backend::emulator::{Arithmetic, Emulator};
use npu_backend::kernel::{Channel, Drain, Program, Segment, Tap, image};
use npu_backend::{Arch, ArgumentSpec, Batch, CommandState, Device, Error, Launch, Result};

const COLUMNS: u32 = 4;
const ROWS: u32 = 4;
/// An object of a B stream, and one that a row's memtile takes: four of A's.
const B_OBJECT: u32 = 4096;
const A_OBJECT: u32 = 16_384;
/// Columns of a C object of four rows of cores: 256 rows of 128 bytes.
const C_OBJECT: u32 = 32_768;
/// Steps of a bf16 GEMM that use one object of each row's memtile.
const STEPS: u32 = 4;

/// One tile a core of `gemm_bf16`, with so many blocks on each B stream and so many objects for each row.
fn program(blocks: u32, a_objects: u32) -> Program {
    let feed = |channel, tap| Segment { channel, tap, replay: 1 };
    let b_bytes = (1 + blocks) * B_OBJECT;
    let mut segments: Vec<_> = (0..COLUMNS)
        .map(|column| feed(Channel::B(column), Tap::linear(1, column * b_bytes, b_bytes)))
        .collect();
    if a_objects > 0 {
        let bytes = a_objects * A_OBJECT;
        segments.extend((0..ROWS).map(|row| feed(Channel::A(row), Tap::linear(0, row * bytes, bytes))));
    }
    let drains =
        (0..COLUMNS).map(|column| Drain { column, tap: Tap::linear(2, column * C_OBJECT, C_OBJECT) });
    Program { columns: COLUMNS, rows: ROWS, segments, drains: drains.collect() }
}

/// Runs `program` with parameters that announce [`STEPS`] steps; answers modelled time and what the output holds.
fn run(program: &Program, blocks: u32, a_objects: u32) -> Result<(Duration, Vec<u8>)> {
    let lens = [ROWS * a_objects.max(1) * A_OBJECT, COLUMNS * (1 + blocks) * B_OBJECT, COLUMNS * C_OBJECT]
        .map(|bytes| bytes as usize);
    let roles = [Input, Weight, Output];
    let arguments: Vec<_> =
        roles.iter().zip(lens).map(|(&role, len_bytes)| ArgumentSpec { role, len_bytes }).collect();
    let mut device = Emulator::builder().arithmetic(Arithmetic::Off).open()?;
    let context = device.load(&image::streamed("encoder", Arch::Aie2, &[("gemm", program, &arguments)]))?;
    let buffers: Vec<_> =
        roles.iter().zip(lens).map(|(&role, len)| device.alloc(len, role).unwrap()).collect();
    let weights = device.host_mut(buffers[1].id())?;
    for column in 0..COLUMNS as usize {
        // Magic, operation, flags, steps: the memtile takes 8 bytes of each row of 128 in turn.
        let object = &mut weights[column * (1 + blocks as usize) * B_OBJECT as usize..];
        for (row, words) in [[0x584E_5057, 1], [0, STEPS]].iter().enumerate() {
            object[row * 128..][..4].copy_from_slice(&words[0].to_le_bytes());
            object[row * 128 + 4..][..4].copy_from_slice(&words[1].to_le_bytes());
        }
    }
    for (buffer, len) in buffers.iter().zip(lens) {
        device.push(buffer.id(), 0..len)?;
    }
    let launch = Launch { kernel: context.kernel(0), buffers: buffers.iter().map(|one| one.id()).collect() };
    let ticket = device.submit(&Batch::new(vec![launch]).unwrap())?;
    assert!(device.wait(ticket, None)?.is_done());
    device.pull(buffers[2].id(), 0..lens[2])?;
    let time = device.receipt().kernels[0].modelled.compute;
    Ok((time, device.host(buffers[2].id())?.to_vec()))
}

#[test]
fn a_whole_stream_completes_and_costs_cycles() {
    let (compute, output) = run(&program(STEPS, 1), STEPS, 1).unwrap();
    // 64×128×64 products a core, 128 a cycle at best and at least a third of that.
    let least = Duration::from_nanos(64 * 128 * 64 / 128);
    assert!((least..3 * least + Duration::from_micros(10)).contains(&compute), "{compute:?}");
    // Nobody computed it.
    assert!(output.iter().all(|byte| *byte == output[0]) && output[0] != 0);
}

/// The state and the words of a failure.
fn failed(blocks: u32, a_objects: u32) -> (CommandState, String) {
    match run(&program(blocks, a_objects), blocks, a_objects) {
        Err(Error::Launch { index: 0, state, why, .. }) => (state, why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_core_that_waits_for_an_object_that_never_comes_is_a_hang() {
    for (blocks, a_objects) in [(STEPS - 1, 1), (STEPS, 0)] {
        let (state, why) = failed(blocks, a_objects);
        assert_eq!(state, CommandState::Timeout, "{why}");
        assert!(why.contains("waits for object"), "{why}");
    }
}

#[test]
fn objects_that_nobody_takes_are_an_error() {
    let (state, why) = failed(STEPS, 2);
    assert_eq!(state, CommandState::Error, "{why}");
    assert!(why.contains("nobody takes"), "{why}");
}
