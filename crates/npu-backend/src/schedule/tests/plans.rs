//! Every plan writes each byte of its output once, reads what the traffic figure says, and feeds each core in step.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::kernel::manifest::Manifest;
use crate::kernel::{Channel, Program};
use crate::schedule::geometry::{A_ROW_BYTES, B_OBJECT_BYTES, Grid, MAX_INT8_K, MAX_STEP_BYTES, TILE_ROWS};
use crate::schedule::{
    AttentionProblem, GemmKind, GemmProblem, LoopOrder, Queries, Region, attention, gemm, order,
};

const NPU1: Grid = Grid { columns: 4, rows: 4 };
const NPU2: Grid = Grid { columns: 8, rows: 4 };

fn problem(grid: Grid, kind: GemmKind, (m, k, n): (usize, usize, usize)) -> GemmProblem {
    GemmProblem::dense(grid, kind, (m, k, n))
}

/// Asserts that the drains cover `len_bytes` exactly once.
fn assert_covered(program: &Program, len_bytes: usize) {
    let mut written = vec![0u8; len_bytes];
    for drain in &program.drains {
        drain.tap.ranges().for_each(|range| written[range].iter_mut().for_each(|count| *count += 1));
    }
    assert!(written.iter().all(|&count| count == 1), "a byte of the output is not written exactly once");
}

/// Bytes that a channel sends to its cores.
fn sent(program: &Program, channel: Channel) -> usize {
    let segments = program.segments.iter().filter(|segment| segment.channel == channel);
    segments.map(|segment| segment.tap.len_bytes() * segment.replay as usize).sum()
}

#[test]
fn gemm_plans_cover_their_output_and_move_what_they_say() {
    let shapes = [
        (1536, 512, 512),
        (1500, 512, 2048),
        (1, 64, 1),
        (300, 240, 700),
        (1536, 2048, 512),
        (300, 4096, 300),
    ];
    let kinds = [GemmKind::Bf16, GemmKind::Int8Int32, GemmKind::Int8Bf16, GemmKind::Int8Int8];
    let mut planned = 0;
    for grid in [NPU1, NPU2] {
        for (shape, kind) in shapes.into_iter().flat_map(|shape| kinds.map(|kind| (shape, kind))) {
            let problem = problem(grid, kind, shape);
            for order in LoopOrder::ALL {
                let Ok(program) = gemm::plan_in(grid, &problem, order) else { continue };
                planned += 1;
                assert_covered(&program, problem.c_len_bytes(grid));
                let read: usize = program.segments.iter().map(|segment| segment.tap.len_bytes()).sum();
                assert_eq!(read, order::traffic(grid, &problem, order).read_bytes, "{problem:?} {order:?}");
                // Each core takes `steps` objects of A (and its row scales) and of B (and the parameters) a tile.
                let tiles = problem.padded_rows(grid) / grid.block_rows() * problem.padded_columns(grid)
                    / grid.panel_columns();
                let a = tiles * problem.a_row_bytes() / A_ROW_BYTES * A_ROW_BYTES * TILE_ROWS;
                for row in 0..u32::try_from(grid.rows).unwrap() {
                    assert_eq!(sent(&program, Channel::A(row)), a, "{problem:?} {order:?} row {row}");
                }
                let b = tiles * (problem.steps() + 1) * B_OBJECT_BYTES;
                for column in 0..u32::try_from(grid.columns).unwrap() {
                    assert_eq!(
                        sent(&program, Channel::B(column)),
                        b,
                        "{problem:?} {order:?} column {column}"
                    );
                }
                assert_eq!(Program::decode(&program.encode()).unwrap(), program);
            }
        }
    }
    assert!(planned > 150, "only {planned} plans fitted");
}

#[test]
fn the_order_of_least_traffic_is_chosen() {
    let best = |shape| order::choose(NPU1, &problem(NPU1, GemmKind::Bf16, shape));
    // All of A fits the memtiles at d = 512; at K = 2048 only one panel of weights does.
    assert_eq!(best((1536, 512, 2048)), LoopOrder::BothResident);
    assert_eq!(best((1536, 2048, 512)), LoopOrder::BResident);
    // From K = 4096 on, a panel of weights is 64 rows of 8 KiB and fills a memtile alone.
    assert_eq!(best((1536, 4096, 1024)), LoopOrder::Streamed);
    assert_eq!(best((1536, 5120, 1280)), LoopOrder::Streamed);
    let with_residual = GemmProblem {
        residual: Some(Region { offset_bytes: 0, row_stride_bytes: 4096 }),
        ..problem(NPU1, GemmKind::Bf16, (1536, 512, 2048))
    };
    assert_eq!(order::choose(NPU1, &with_residual), LoopOrder::BResident);
    let long =
        GemmProblem { residual: with_residual.residual, ..problem(NPU1, GemmKind::Bf16, (256, 4096, 256)) };
    assert_eq!(order::choose(NPU1, &long), LoopOrder::Streamed);
}

#[test]
fn a_residual_follows_its_block_of_a() {
    let shape = (512, 4096, 512);
    let residual = Some(Region { offset_bytes: 0, row_stride_bytes: 1024 });
    let problem = GemmProblem { residual, ..problem(NPU1, GemmKind::Bf16, shape) };
    for order in LoopOrder::ALL {
        let program = gemm::plan_in(NPU1, &problem, order);
        assert_eq!(program.is_ok(), order == LoopOrder::Streamed, "{order:?}");
    }
    let program = gemm::plan(NPU1, &problem).unwrap();
    let row: Vec<_> = program.segments.iter().filter(|segment| segment.channel == Channel::A(2)).collect();
    // Two blocks of two panels: rows of A, then of the residual.
    assert_eq!(row.len(), 2 * 4);
    for pair in row.chunks_exact(2) {
        let [a, residual] = [pair[0].tap, pair[1].tap];
        assert_eq!((a.argument, residual.argument), (gemm::argument::A, gemm::argument::RESIDUAL));
        assert_eq!((a.len_bytes(), residual.len_bytes()), (64 * 8192, 64 * 512));
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_reason() {
    assert_eq!(MAX_INT8_K, Manifest::embedded().unwrap().limits.unwrap().max_k_i8 as usize);
    for (k, fits) in [(MAX_INT8_K, true), (MAX_INT8_K + 1, false)] {
        let program = gemm::plan(NPU1, &problem(NPU1, GemmKind::Int8Int32, (1, k, 1)));
        assert_eq!(program.is_ok(), fits, "K = {k}");
    }
    let bf16 = problem(NPU1, GemmKind::Bf16, (1, 1 << 17, 1));
    assert!(gemm::plan(NPU1, &bf16).is_ok());
    let kept = gemm::plan_in(NPU1, &bf16, LoopOrder::AResident).unwrap_err().to_string();
    assert!(kept.contains("AResident needs"), "{kept}");
    for shape in [(0, 1, 1), (1, 0, 1), (1, 1, 0)] {
        assert!(gemm::plan(NPU1, &problem(NPU1, GemmKind::Bf16, shape)).is_err(), "{shape:?}");
    }
    let mut odd = problem(NPU1, GemmKind::Bf16, (256, 64, 256));
    odd.a.row_stride_bytes += 2;
    assert!(gemm::plan(NPU1, &odd).unwrap_err().to_string().contains("4-byte words"));
}

#[test]
fn attention_plans_cover_their_output_for_any_number_of_heads() {
    for (grid, heads, frames) in [(NPU1, 8, 1500usize), (NPU1, 6, 300), (NPU2, 8, 1), (NPU2, 20, 257)] {
        let columns = heads * 64usize;
        let stride = columns.next_multiple_of(grid.panel_columns()) * 2;
        let rows = frames.next_multiple_of(grid.block_rows());
        let part = |index: usize| Region { offset_bytes: index * rows * stride, row_stride_bytes: stride };
        let (rows_of, queries) = (frames, Queries::Plain);
        let (q, k, v, out) = (part(0), part(1), part(2), part(0));
        let problem = AttentionProblem { heads, frames, rows: rows_of, queries, q, k, v, out };
        let program = attention::plan(grid, &problem).unwrap();
        assert_covered(&program, rows * stride);
        assert!(program.segments.iter().all(|segment| segment.tap.argument != attention::argument::QKV
            || segment.tap.end_bytes().unwrap() <= 3 * rows * stride));
        assert_eq!(problem.params(grid).len(), 2 * B_OBJECT_BYTES);
    }
}

#[test]
fn values_farther_from_keys_than_a_dma_steps_are_refused() {
    let at = |offset_bytes: usize| Region { offset_bytes, row_stride_bytes: 3072 };
    for (apart, fits) in [(MAX_STEP_BYTES, true), (MAX_STEP_BYTES + 64, false)] {
        let (q, k, v, out) = (at(0), at(64), at(64 + apart), at(0));
        let problem =
            AttentionProblem { heads: 20, frames: 1500, rows: 1500, queries: Queries::Plain, q, k, v, out };
        let planned = attention::plan(NPU2, &problem);
        assert_eq!(planned.is_ok(), fits, "{apart} bytes apart: {planned:?}");
    }
}
