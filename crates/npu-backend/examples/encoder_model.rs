//! What the virtual clock says of one window of whisper-base on an NPU, operation by operation: modelled, not measured.
//!
//! `cargo run --release -p npu-backend --example encoder_model`
//!
//! Each operation stands as the encoder launches it: products and attention of a window in two parts, the stem in one.
//! What is not in the table: the start of the first chain (150 µs), pushes and pulls, and layer norm on the host, all of
//! which overlap but at the beginning and the end of a window; `transcribe --device emulator --verbose True` counts them.

#![allow(clippy::print_stdout, reason = "a table is what it is for")]

use std::time::Duration;

use npu_backend::emulator::{Arithmetic, Emulator};
use npu_backend::ops::{Engine, ModelledImages};
use npu_backend::schedule::pack::{WeightValues, Weights};
use npu_backend::schedule::{AttentionProblem, GemmKind, GemmProblem, Queries, Region};
use npu_backend::{Batch, BufferRole, Launch, Modelled, Result};

const FRAMES: usize = 1500;
const D: usize = 512;
const FFN: usize = 2048;
const HEADS: usize = 8;
const MELS: usize = 80;
const LAYERS: u32 = 6;
/// Frames of the two parts of a window.
const PARTS: [usize; 2] = [768, 732];

fn main() -> Result<()> {
    for (name, kind) in
        [("bf16", GemmKind::Bf16), ("int8 after layer norms, bf16 elsewhere", GemmKind::Int8Bf16)]
    {
        println!("whisper-base, one window, {name}: modelled milliseconds");
        println!(
            "{:16} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "launches", "cores", "streams", "DDR", "launch", "sum"
        );
        let (mut total, mut launches) = (Duration::ZERO, 0);
        for (operation, count, modelled) in rows(kind)? {
            let sum = modelled.run + modelled.ends + modelled.launch;
            println!(
                "{operation:16} {count:8} {:8.2} {:8.2} {:8.2} {:8.2} {:8.2}",
                ms(modelled.compute),
                ms(modelled.stream),
                ms(modelled.memory),
                ms(modelled.launch),
                ms(sum)
            );
            total += sum;
            launches += count;
        }
        println!("{:16} {launches:8} {:>44.2}\n", "all", ms(total));
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

/// Operation, launches of a window, and what they take.
pub(crate) fn rows(kind: GemmKind) -> Result<Vec<(&'static str, u32, Modelled)>> {
    let device = Emulator::builder().arithmetic(Arithmetic::Off).open()?;
    let mut engine = Engine::new(Box::new(device), Box::new(ModelledImages))?;
    let mut rows = vec![
        ("conv1", 1, gemm(&mut engine, GemmKind::Bf16, (2 * FRAMES, 3 * MELS, D), true)?),
        ("conv2", 1, gemm(&mut engine, GemmKind::Bf16, (FRAMES, 3 * D, D), true)?),
    ];
    let shapes = [
        ("query, key, value", kind, (D, 3 * D), false),
        ("out", GemmKind::Bf16, (D, D), false),
        ("fc1, GELU", kind, (D, FFN), true),
        ("fc2", GemmKind::Bf16, (FFN, D), false),
    ];
    for (name, kind, (k, n), gelu) in shapes {
        let mut sum = Modelled::default();
        for frames in PARTS {
            sum = sum.plus(&gemm(&mut engine, kind, (frames, k, n), gelu)?);
        }
        rows.push((name, 2 * LAYERS, times(sum, LAYERS)));
    }
    let mut sum = Modelled::default();
    for frames in PARTS {
        sum = sum.plus(&attention(&mut engine, frames)?);
    }
    rows.insert(3, ("attention", 2 * LAYERS, times(sum, LAYERS)));
    Ok(rows)
}

fn times(one: Modelled, count: u32) -> Modelled {
    (1..count).fold(one, |sum, _| sum.plus(&one))
}

fn gemm(
    engine: &mut Engine,
    kind: GemmKind,
    (m, k, n): (usize, usize, usize),
    gelu: bool,
) -> Result<Modelled> {
    let grid = engine.grid();
    let problem = GemmProblem::dense(grid, kind, (m, k, n));
    let zeros = |_: usize, row: &mut [f32]| row.fill(0.0);
    let weights = Weights { values: WeightValues::F32(&zeros), bias: None, gelu, output_scale: 1.0 };
    let weights = engine.weights(&problem, &weights)?;
    let a = engine.buffer(problem.a_len_bytes(grid), BufferRole::Input)?;
    let c = engine.buffer(problem.c_len_bytes(grid), BufferRole::Output)?;
    let launch = engine.gemm(&problem, a.id(), &weights, c.id(), None)?;
    let spent = chained(engine, launch)?;
    engine.free(a)?;
    engine.free(c)?;
    engine.free_weights(weights)?;
    Ok(spent)
}

fn attention(engine: &mut Engine, rows: usize) -> Result<Modelled> {
    let grid = engine.grid();
    let stride = 2 * D;
    let at = |index: usize| Region { offset_bytes: index * stride, row_stride_bytes: 3 * stride };
    let out = Region { offset_bytes: 0, row_stride_bytes: stride };
    let (heads, frames, queries) = (HEADS, FRAMES, Queries::Log2);
    let problem = AttentionProblem { heads, frames, rows, queries, q: at(0), k: at(1), v: at(2), out };
    let words = problem.params(grid);
    let padded = FRAMES.next_multiple_of(grid.block_rows());
    let qkv = engine.buffer(padded * 3 * stride, BufferRole::Input)?;
    let params = engine.buffer(words.len(), BufferRole::Weight)?;
    engine.write(params.id(), 0..words.len(), |bytes| bytes.copy_from_slice(&words))?;
    let mixed = engine.buffer(padded * stride, BufferRole::Output)?;
    let launch = engine.attention(&problem, qkv.id(), params.id(), mixed.id())?;
    let spent = chained(engine, launch)?;
    engine.free(qkv)?;
    engine.free(params)?;
    engine.free(mixed)?;
    Ok(spent)
}

/// What a launch takes in the middle of a chain: what two take less what one takes.
fn chained(engine: &mut Engine, launch: Launch) -> Result<Modelled> {
    let mut spent = [Modelled::default(); 2];
    for (count, spent) in (1..).zip(&mut spent) {
        let before = engine.device().counters().modelled.unwrap_or_default();
        engine.run(&Batch::new(vec![launch.clone(); count])?)?;
        *spent = engine.device().counters().modelled.unwrap_or_default().since(&before);
    }
    Ok(spent[1].since(&spent[0]))
}
