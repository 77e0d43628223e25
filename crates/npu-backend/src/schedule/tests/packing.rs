//! Packing against its definition, element by element.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use half::bf16;

use crate::Error;
use crate::device::Arch;
use crate::schedule::geometry::{B_OBJECT_BYTES, Grid};
use crate::schedule::pack::{self, PackTag, WeightValues, Weights};
use crate::schedule::{GemmKind, GemmProblem, Int8AttentionProblem, Region};

const GRID: Grid = Grid { columns: 4, rows: 4 };

fn problem(kind: GemmKind, k: usize, n: usize) -> GemmProblem {
    GemmProblem { kind, m: 1, k, n, a: Region::default(), c: Region::default(), residual: None }
}

/// An object as a core sees it: the memtile's reorder, written again from its dims.
fn as_seen(object: &[u8]) -> Vec<u8> {
    let mut seen = Vec::with_capacity(object.len());
    for (row_group, column_group) in (0..4).flat_map(|r| (0..16).map(move |c| (r, c))) {
        for row in 0..8 {
            let at = (row_group * 8 + row) * 128 + column_group * 8;
            seen.extend_from_slice(&object[at..at + 8]);
        }
    }
    seen
}

#[test]
fn a_core_finds_each_weight_in_its_block() {
    let (k, n) = (70, 130);
    let value = |row: usize, column: usize| f32::from(i16::try_from(row * 100 + column).unwrap()) / 64.0;
    let fill = |row: usize, to: &mut [f32]| to.iter_mut().enumerate().for_each(|(c, to)| *to = value(row, c));
    let weights =
        Weights { values: WeightValues::F32(&fill), bias: Some(&[1.5; 130]), gelu: true, output_scale: 1.0 };
    let problem = problem(GemmKind::Bf16, k, n);
    let packed = pack::weights(GRID, &problem, &weights);
    let objects: Vec<Vec<u8>> = packed.chunks_exact(B_OBJECT_BYTES).map(as_seen).collect();
    let per_tile = 1 + problem.steps();
    assert_eq!((problem.steps(), objects.len()), (4, 4 * 5));
    for (row, column) in (0..256).flat_map(|row| (0..128).map(move |column| (row, column))) {
        let object = &objects[row / 64 * per_tile + 1 + column / 32];
        // [k/8][n/4][8][4] of bf16.
        let (ks, nt) = (column % 32 / 8, row % 64 / 4);
        let at = 2 * (((ks * 16 + nt) * 8 + column % 8) * 4 + row % 4);
        let want = if row < n && column < k { bf16::from_f32(value(row, column)) } else { bf16::ZERO };
        assert_eq!(object[at..at + 2], want.to_le_bytes(), "row {row}, column {column}");
    }
    let word = |object: &[u8], at: usize| u32::from_le_bytes(object[at..at + 4].try_into().unwrap());
    let last = &objects[2 * per_tile];
    assert_eq!((word(last, 4), word(last, 8), word(last, 12)), (1, 1, 4));
    assert_eq!((word(last, 256 + 4), word(last, 256 + 8)), (1.5f32.to_bits(), 0), "bias ends at column 130");
}

#[test]
fn int8_weights_keep_their_values_and_scales() {
    let value =
        |row: usize, column: usize| i8::try_from((row * 31 + column * 7) % 255).map_or(-1, |v| v - 60);
    let fill = |row: usize, to: &mut [i8]| {
        to.iter_mut().enumerate().for_each(|(c, to)| *to = value(row, c));
        0.5
    };
    let weights = Weights { values: WeightValues::Int8(&fill), bias: None, gelu: false, output_scale: 1.0 };
    let problem = problem(GemmKind::Int8Bf16, 100, 64);
    let packed = pack::weights(GRID, &problem, &weights);
    let objects: Vec<Vec<u8>> = packed.chunks_exact(B_OBJECT_BYTES).map(as_seen).collect();
    for (row, column) in (0..64).flat_map(|row| (0..100).map(move |column| (row, column))) {
        // [k/16][n/8][16][8].
        let inner = column % 64;
        let at = ((inner / 16 * 8 + row / 8) * 16 + inner % 16) * 8 + row % 8;
        assert_eq!(
            objects[1 + column / 64][at].cast_signed(),
            value(row, column),
            "row {row}, column {column}"
        );
    }
    assert_eq!(objects[0][512..516], 0.5f32.to_le_bytes());
}

#[test]
fn rows_go_out_and_back() {
    let rows: Vec<f32> = (0..6u8).map(|v| f32::from(v) * 0.37 - 1.0).collect();
    let mut bytes = vec![0; 2 * 64];
    pack::rows_to_bf16(&rows, 3, &mut bytes, 64);
    let mut back = vec![0.0; 6];
    pack::rows_from_bf16(&bytes, 64, 3, &mut back);
    for (got, want) in back.iter().zip(&rows) {
        assert_eq!(*got, bf16::from_f32(*want).to_f32());
    }
    pack::rows_to_int8(&rows, 3, 32, &mut bytes, 64);
    let scale = f32::from_le_bytes(bytes[32..36].try_into().unwrap());
    assert_eq!(scale, 1.0 / 127.0);
    assert_eq!(bytes[0].cast_signed(), -127);
    let mut nan = vec![0; 64];
    pack::rows_to_int8(&[f32::NAN, f32::INFINITY, 1.0], 3, 32, &mut nan, 64);
    assert!(
        f32::from_le_bytes(nan[32..36].try_into().unwrap()).is_nan(),
        "a row without a scale must not look well"
    );
}

#[test]
fn rows_are_rounded_to_the_nearest_step_and_ties_to_even() {
    let steps = [127.0, -127.0, 2.5, 3.5, -2.5, -0.5, 126.6, 0.0, -0.0];
    let mut got = [0; 9];
    for unit in [1.0, 0.125, 1024.0] {
        assert_eq!(pack::quantise_row(&steps.map(|step| step * unit), &mut got), unit);
        assert_eq!(got, [127, -127, 2, 4, -2, 0, 127, 0, 0]);
    }
    for nothing in [0.0, 1e-40, f32::MIN_POSITIVE / 2.0] {
        assert_eq!((pack::quantise_row(&[nothing; 9], &mut got), got), (0.0, [0; 9]));
    }
    for broken in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert!(pack::quantise_row(&[1.0, broken, 2.0], &mut got).is_nan(), "{broken}");
    }
    let mut random = 1u32;
    let row: Vec<f32> = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(i16::try_from(random >> 17).unwrap()) / 4096.0 - 4.0
    })
    .take(1000)
    .collect();
    let mut got = vec![0; 1000];
    let scale = pack::quantise_row(&row, &mut got);
    for (got, value) in got.iter().zip(&row) {
        assert!((f32::from(*got) * scale - value).abs() <= 0.5001 * scale, "{got} for {value}");
    }
}

#[test]
fn tags_of_different_layouts_differ() {
    let tag = |arch, kind| PackTag::new(arch, kind);
    assert_ne!(tag(Arch::Aie2, GemmKind::Bf16), tag(Arch::Aie2p, GemmKind::Bf16));
    assert_ne!(tag(Arch::Aie2, GemmKind::Bf16), tag(Arch::Aie2, GemmKind::Int8Bf16));
}

#[test]
fn int8_attention_finds_its_queries_keys_and_scales() {
    // Two groups of heads, two blocks of keys.
    let (heads, frames) = (6, 70);
    let problem = Int8AttentionProblem { heads, frames, out: Region::default() };
    let value =
        |frame: usize, channel: usize| f32::from(i16::try_from(frame * 7 + channel * 3).unwrap()) - 600.0;
    let rows: Vec<f32> =
        (0..frames * heads * 64).map(|at| value(at / (heads * 64), at % (heads * 64))).collect();
    let mut queries = vec![0; problem.queries_len_bytes(GRID)];
    problem.pack_queries(GRID, &rows, &mut queries).unwrap();
    let mut keys = vec![0; problem.keys_len_bytes()];
    problem.pack_keys(GRID, &rows, &rows, &mut keys).unwrap();
    let objects: Vec<&[u8]> = keys.chunks_exact(B_OBJECT_BYTES).collect();
    assert_eq!(objects.len(), 1 + heads * (1 + 3 * 2));
    let float = |bytes: &[u8]| f32::from_le_bytes(bytes[..4].try_into().unwrap());
    let near =
        |got: f32, want: f32, scale: f32| assert!((got - want).abs() <= 0.5001 * scale, "{got} for {want}");
    for (frame, channel) in (0..frames).flat_map(|frame| (0..heads * 64).map(move |channel| (frame, channel)))
    {
        let (head, d, want) = (channel / 64, channel % 64, value(frame, channel));
        let row = frame * 2 * 512 + head / 4 * 512 + head % 4 * 64;
        let scale = float(&queries[row + 256..]);
        near(f32::from(queries[row + d].cast_signed()) * scale, want, scale);
        let first = 1 + head * 7;
        let at = first + 1 + frame / 64 * 3;
        let scale = float(&as_seen(objects[at + 2])[frame % 64 * 4..]);
        near(f32::from(objects[at][frame % 64 * 64 + d].cast_signed()) * scale, want, scale);
        let scale = float(&as_seen(objects[first])[512 + 4 * d..]);
        near(f32::from(objects[at + 1][frame % 64 * 64 + d].cast_signed()) * scale, want, scale);
    }
    // An integer softmax would give them weights.
    let mut broken = rows.clone();
    broken[65 + heads * 64] = f32::NAN;
    let fault = |what| Err(Error::NotFinite { what, row: 1 });
    assert_eq!(problem.pack_queries(GRID, &broken, &mut queries), fault("queries"));
    assert_eq!(problem.pack_keys(GRID, &broken, &rows, &mut keys), fault("keys"));
    assert_eq!(problem.pack_keys(GRID, &rows, &broken, &mut keys), fault("values"));
}
