//! Attention on the emulated NPU over the queries, keys and values that whisper-base makes of real speech, against softmax
//! in f64. A C++ compiler is needed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a table for the reader of a test log")]

use npu_backend::ops::Engine;
use npu_backend::schedule::{AttentionProblem, Int8AttentionProblem, Queries, Region, pack};
use npu_backend::{Batch, Buffer, BufferRole, Choice, Launch};
use transcribe::mel::{N_SAMPLES, log_mel, pad_or_trim};
use workspace_tests::engine::{self, Accelerator};
use workspace_tests::golden::repository;

const HEADS: usize = 8;
const FRAMES: usize = 1500;
const D: usize = 512;

fn filled(engine: &mut Engine, len: usize, role: BufferRole, fill: impl FnOnce(&mut [u8])) -> Buffer {
    let buffer = engine.buffer(len, role).unwrap();
    engine.write(buffer.id(), 0..len, fill).unwrap();
    buffer
}

fn finish(engine: &mut Engine, launch: Launch, out: &Buffer, stride: usize) -> Vec<f32> {
    engine.run(&Batch::new(vec![launch]).unwrap()).unwrap();
    let mut rows = vec![0.0; FRAMES * D];
    engine
        .read(out.id(), 0..FRAMES * stride, |bytes| pack::rows_from_bf16(bytes, stride, D, &mut rows))
        .unwrap();
    rows
}

fn bf16(engine: &mut Engine, qkv: &[Vec<f32>; 3]) -> Vec<f32> {
    let (grid, stride) = (engine.grid(), 2 * D);
    let part = FRAMES.next_multiple_of(grid.block_rows()) * stride;
    let at = |index: usize| Region { offset_bytes: index * part, row_stride_bytes: stride };
    let (heads, frames, rows, queries) = (HEADS, FRAMES, FRAMES, Queries::Plain);
    let problem = AttentionProblem { heads, frames, rows, queries, q: at(0), k: at(1), v: at(2), out: at(0) };
    let input = filled(engine, 3 * part, BufferRole::Input, |bytes| {
        for (values, bytes) in qkv.iter().zip(bytes.chunks_mut(part)) {
            pack::rows_to_bf16(values, D, bytes, stride);
        }
    });
    let words = problem.params(grid);
    let params = filled(engine, words.len(), BufferRole::Weight, |bytes| bytes.copy_from_slice(&words));
    let out = engine.buffer(part, BufferRole::Output).unwrap();
    let launch = engine.attention(&problem, input.id(), params.id(), out.id()).unwrap();
    finish(engine, launch, &out, stride)
}

fn int8(engine: &mut Engine, qkv: &[Vec<f32>; 3]) -> Vec<f32> {
    let (grid, stride) = (engine.grid(), 2 * D);
    let out = Region { offset_bytes: 0, row_stride_bytes: stride };
    let problem = Int8AttentionProblem { heads: HEADS, frames: FRAMES, out };
    let queries = filled(engine, problem.queries_len_bytes(grid), BufferRole::Input, |bytes| {
        problem.pack_queries(grid, &qkv[0], bytes).unwrap();
    });
    let keys = filled(engine, problem.keys_len_bytes(), BufferRole::Input, |bytes| {
        problem.pack_keys(grid, &qkv[1], &qkv[2], bytes).unwrap();
    });
    let out = engine.buffer(problem.padded_frames(grid) * stride, BufferRole::Output).unwrap();
    let launch = engine.attention_int8(&problem, queries.id(), keys.id(), out.id()).unwrap();
    finish(engine, launch, &out, stride)
}

/// Softmax in f64, every `STEP`-th query: `[query, D]`.
const STEP: usize = 10;

fn reference([q, k, v]: &[Vec<f32>; 3]) -> Vec<f64> {
    let mut out = Vec::new();
    for row in (0..FRAMES).step_by(STEP) {
        for head in 0..HEADS {
            let at = |frame: usize| frame * D + head * 64..frame * D + (head + 1) * 64;
            let dot = |key: usize| -> f64 {
                q[at(row)].iter().zip(&k[at(key)]).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>()
                    / 8.0
            };
            let scores: Vec<f64> = (0..FRAMES).map(dot).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (mut total, mut sums) = (0.0, [0.0; 64]);
            for (key, score) in scores.iter().enumerate() {
                let weight = (score - most).exp();
                total += weight;
                sums.iter_mut().zip(&v[at(key)]).for_each(|(sum, &v)| *sum += weight * f64::from(v));
            }
            out.extend(sums.map(|sum| sum / total));
        }
    }
    out
}

/// Pearson's coefficient.
fn correlation(got: &[f32], want: &[f64]) -> f64 {
    let rows = got.chunks_exact(D).step_by(STEP).flatten().map(|&value| f64::from(value));
    let pairs: Vec<(f64, f64)> = rows.zip(want.iter().copied()).collect();
    assert_eq!(pairs.len(), want.len());
    #[allow(clippy::cast_precision_loss, reason = "some ten thousand pairs")]
    let count = pairs.len() as f64;
    let (x, y) =
        (pairs.iter().map(|p| p.0).sum::<f64>() / count, pairs.iter().map(|p| p.1).sum::<f64>() / count);
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|&(a, b)| of(a - x, b - y)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

#[test]
fn attention_of_real_speech_correlates_with_f64() {
    let model = engine::load_model(Accelerator::Cpu).unwrap();
    let samples =
        transcribe::audio::load_file(&repository().join("samples/SS-0890.wav"), None).unwrap().samples;
    let mel = log_mel(&pad_or_trim(samples.as_slice(), N_SAMPLES), 0, 80).unwrap();
    let layers = engine::encode_with_probe(&model, &mel).unwrap();
    let mut npu = npu_backend::open_engine(Choice::Emulator).unwrap();
    for block in 0..6 {
        let of = |part: &str| {
            let name = format!("encoder.blocks.{block}.attn.{part}");
            layers.iter().find(|(found, _)| *found == name).unwrap().1.clone()
        };
        let qkv = ["query", "key", "value"].map(of);
        let want = reference(&qkv);
        let (wide, narrow) =
            (correlation(&bf16(&mut npu, &qkv), &want), correlation(&int8(&mut npu, &qkv), &want));
        println!("block {block}: bf16 {wide:.6}, int8 {narrow:.6}");
        assert!(wide >= 0.9999 && narrow >= 0.999, "block {block}: bf16 {wide:.6}, int8 {narrow:.6}");
    }
}
