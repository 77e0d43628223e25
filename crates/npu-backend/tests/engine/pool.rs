//! Buffers that are given back serve again: as good as new, and never in the way of others.

use npu_backend::emulator::{Arithmetic, Emulator};
use npu_backend::ops::{Engine, ModelledImages};
use npu_backend::schedule::pack::{self, WeightValues, Weights};
use npu_backend::schedule::{GemmKind, GemmProblem};
use npu_backend::{Arch, Batch, BufferRole, Error};

use super::{engine, filled, run};

#[test]
fn a_buffer_given_back_comes_again_with_zeros_on_both_sides() {
    let mut engine = engine(Arch::Aie2, Arithmetic::Fast);
    let grid = engine.grid();
    let problem = GemmProblem::dense(grid, GemmKind::Bf16, (16, 64, 64));
    let ones = |_: usize, to: &mut [f32]| to.fill(1.0);
    let weights = Weights { values: WeightValues::F32(&ones), bias: None, gelu: false, output_scale: 1.0 };
    let packed = engine.weights(&problem, &weights).unwrap();
    let (stride, x) = (problem.a.row_stride_bytes, vec![1.0; 16 * 64]);
    let (a_len, c_len) = (problem.a_len_bytes(grid), problem.c_len_bytes(grid));
    let a = filled(&mut engine, a_len, BufferRole::Input, |bytes| pack::rows_to_bf16(&x, 64, bytes, stride));
    let c = engine.buffer(c_len, BufferRole::Output).unwrap();
    let (a_id, c_id) = (a.id(), c.id());
    let launch = engine.gemm(&problem, a_id, &packed, c_id, None).unwrap();
    let batch = Batch::new(vec![launch.clone()]).unwrap();
    // Given back while its launch is under way, a buffer is no use to the next.
    let ticket = engine.submit(&batch).unwrap();
    engine.free(c).unwrap();
    let other = engine.buffer(c_len, BufferRole::Output).unwrap();
    assert_ne!(other.id(), c_id);
    engine.wait(ticket).unwrap();

    let launch = engine.gemm(&problem, a_id, &packed, other.id(), None).unwrap();
    run(&mut engine, launch);
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    assert!(engine.read(other.id(), 0..c_len, sum).unwrap() > 0);
    let other_id = other.id();
    engine.free(other).unwrap();
    engine.free(a).unwrap();
    let again = engine.buffer(c_len, BufferRole::Output).unwrap();
    assert_eq!(again.id(), other_id);
    assert_eq!(sum(engine.device().host(other_id).unwrap()), 0, "the host's copy");
    assert_eq!(engine.read(other_id, 0..c_len, sum).unwrap(), 0, "the device's copy");
    // The device's copy of an input is seen by a launch.
    let a = engine.buffer(a_len, BufferRole::Input).unwrap();
    assert_eq!(a.id(), a_id);
    let launch = engine.gemm(&problem, a_id, &packed, other_id, None).unwrap();
    run(&mut engine, launch);
    assert_eq!(engine.read(other_id, 0..c_len, sum).unwrap(), 0, "zeros times anything");
}

#[test]
fn what_lies_idle_makes_room_for_what_is_needed() {
    let limit = 24 << 20;
    let device = Emulator::builder().memlock_bytes(limit).open().unwrap();
    let mut engine = Engine::new(Box::new(device), Box::new(ModelledImages)).unwrap();
    for _ in 0..3 {
        let buffer = engine.buffer(limit / 2, BufferRole::Input).unwrap();
        engine.free(buffer).unwrap();
    }
    // Twice half the limit beside the overlay's streams is too much, unless the idle half goes.
    let large = engine.buffer(limit * 3 / 4, BufferRole::Output).unwrap();
    let Err(Error::Alloc { .. }) = engine.buffer(limit / 2, BufferRole::Input) else {
        panic!("nothing is idle now")
    };
    engine.free(large).unwrap();
}
