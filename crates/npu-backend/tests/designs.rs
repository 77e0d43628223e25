//! The planner and the designs' Python say the same launch in the same words.
//!
//! On silicon, what runs is compiled from `kernels/designs/taps.py`, while the host packs and pads for what the planner
//! says. So every launch of Whisper's encoders, and some beside them, is planned by both and compared channel by channel.
//! Needs `python3` (3.9 or newer, no package). Where it is missing this fails; `NPU_NO_PYTHON=1` passes it over.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use npu_backend::kernel::Program;
use npu_backend::ops::Operation;
use npu_backend::schedule::{
    AttentionProblem, GemmKind, GemmProblem, Grid, Int8AttentionProblem, LoopOrder, Queries, Region, gemm,
    order,
};

const FRAMES: usize = 1500;
/// Width, heads and mel bins of tiny, base, small, medium, large and large-v3.
const MODELS: [(usize, usize, usize); 6] =
    [(384, 6, 80), (512, 8, 80), (768, 12, 80), (1024, 16, 80), (1280, 20, 80), (1280, 20, 128)];
const GRIDS: [Grid; 2] = [Grid { columns: 4, rows: 4 }, Grid { columns: 8, rows: 4 }];

/// What a `python3` script of the designs prints for `input`; `None` if it is to be done without.
fn python(arguments: &[&str], input: &str) -> Option<String> {
    if std::env::var_os("NPU_NO_PYTHON").is_some_and(|value| !value.is_empty()) {
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/designs");
    let mut command = Command::new("python3");
    command.args(arguments).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            panic!("python3: {error}; install it, or set NPU_NO_PYTHON=1 to leave the designs uncompared")
        }
    };
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // Beside the reader, as both pipes may fill.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "python3 {arguments:?} failed; its reason stands on stderr");
    writer.join().unwrap().unwrap();
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A launch as the planner knows it and in the words of `taps.py`.
struct Launch {
    options: String,
    program: Program,
}

impl Launch {
    fn gemm(grid: Grid, problem: &GemmProblem, order: LoopOrder) -> Self {
        let GemmProblem { kind, m, k, n, a, c, residual } = *problem;
        let (dtype, out) = match kind {
            GemmKind::Bf16 => ("bf16", "bf16"),
            GemmKind::Int8Int32 => ("i8", "i32"),
            GemmKind::Int8Bf16 => ("i8", "bf16"),
            GemmKind::Int8Int8 => ("i8", "i8"),
        };
        let name = match order {
            LoopOrder::AResident => "a_resident",
            LoopOrder::BResident => "b_resident",
            LoopOrder::BothResident => "both",
            LoopOrder::Streamed => "streamed",
        };
        let residual = residual.map_or(String::new(), |at| {
            format!(
                " --residual --residual-stride {} --residual-offset {}",
                at.row_stride_bytes, at.offset_bytes
            )
        });
        let options = format!(
            "gemm --m {m} --k {k} --n {n} --dtype {dtype} --out {out} --order {name} --cols {} --a-stride {} \
             --a-offset {} --c-stride {} --c-offset {}{residual}",
            grid.columns, a.row_stride_bytes, a.offset_bytes, c.row_stride_bytes, c.offset_bytes
        );
        Self { options, program: gemm::plan_in(grid, problem, order).unwrap() }
    }

    fn attention(grid: Grid, problem: &AttentionProblem) -> Self {
        let AttentionProblem { heads, frames, rows, q, k, v, out, .. } = *problem;
        let options = format!(
            "attention --frames {frames} --heads {heads} --rows {rows} --cols {} --stride {} --q-offset {} \
             --k-offset {} --v-offset {} --out-stride {} --out-offset {}",
            grid.columns,
            q.row_stride_bytes,
            q.offset_bytes,
            k.offset_bytes,
            v.offset_bytes,
            out.row_stride_bytes,
            out.offset_bytes
        );
        Self { options, program: Operation::Attention(*problem).plan(grid).unwrap() }
    }
}

/// Attention in int8 of whole and ragged groups of heads.
fn int8_attention(grid: Grid) -> Vec<Launch> {
    let of = |(heads, frames): (usize, usize)| {
        let row_stride_bytes = (heads * 64).next_multiple_of(grid.panel_columns()) * 2;
        let problem =
            Int8AttentionProblem { heads, frames, out: Region { offset_bytes: 128, row_stride_bytes } };
        let options = format!(
            "int8-attention --frames {frames} --heads {heads} --cols {} --out-stride {row_stride_bytes} --out-offset 128",
            grid.columns
        );
        Launch { options, program: Operation::Int8Attention(problem).plan(grid).unwrap() }
    };
    [(8, FRAMES), (6, 300), (20, FRAMES), (1, 1)].map(of).into()
}

/// A product between rows without gaps.
fn product(grid: Grid, kind: GemmKind, (m, k, n): (usize, usize, usize)) -> GemmProblem {
    GemmProblem::dense(grid, kind, (m, k, n))
}

/// What the encoder launches, in bf16 and in int8, each in the order that the planner takes: the stem, then a layer in
/// two parts of a window.
fn encoder(grid: Grid, (d, heads, mels): (usize, usize, usize)) -> Vec<Launch> {
    let mut launches = Vec::new();
    let row = product(grid, GemmKind::Bf16, (1, d, d)).c.row_stride_bytes;
    let mut first = product(grid, GemmKind::Bf16, (2 * FRAMES, 3 * mels, d));
    (first.a.row_stride_bytes, first.c.offset_bytes) = (2 * mels, row);
    let mut second = product(grid, GemmKind::Bf16, (FRAMES, row + d, d));
    second.a.row_stride_bytes = 2 * row;
    let gemm = |launches: &mut Vec<Launch>, problem: &GemmProblem| {
        launches.push(Launch::gemm(grid, problem, order::choose(grid, problem)));
    };
    gemm(&mut launches, &first);
    gemm(&mut launches, &second);
    for (first, frames) in [(0, 768), (768, 732)] {
        let at = |index: usize, row_number: usize| Region {
            offset_bytes: (3 * row_number + index) * row,
            row_stride_bytes: 3 * row,
        };
        for kind in [GemmKind::Bf16, GemmKind::Int8Bf16] {
            let from_norm = product(grid, kind, (frames, d, d));
            gemm(&mut launches, &GemmProblem { n: 3 * row / 2, c: at(0, first), ..from_norm });
            gemm(&mut launches, &product(grid, kind, (frames, d, 4 * d)));
        }
        let out = Region { offset_bytes: 0, row_stride_bytes: row };
        let (q, k, v) = (at(0, first), at(1, 0), at(2, 0));
        let attention =
            AttentionProblem { heads, frames: FRAMES, rows: frames, queries: Queries::Log2, q, k, v, out };
        launches.push(Launch::attention(grid, &attention));
        let bf16 = GemmKind::Bf16;
        gemm(&mut launches, &GemmProblem { a: out, ..product(grid, bf16, (frames, d, d)) });
        let hidden = product(grid, bf16, (frames, d, 4 * d)).c;
        gemm(&mut launches, &GemmProblem { a: hidden, ..product(grid, bf16, (frames, 4 * d, d)) });
    }
    launches
}

/// Every order that fits, every kind but the one whose tiles leave in pairs, with residuals, offsets and gaps.
fn others(grid: Grid) -> Vec<Launch> {
    let mut launches = Vec::new();
    let shapes = [(1, 1, 1), (512, 512, 512), (300, 200, 700), (1000, 2048, 512)];
    for kind in [GemmKind::Bf16, GemmKind::Int8Int32, GemmKind::Int8Bf16] {
        for shape in shapes {
            let mut problem = product(grid, kind, shape);
            problem.a = Region { offset_bytes: 64, row_stride_bytes: problem.a.row_stride_bytes + 128 };
            problem.c = Region { offset_bytes: 128, row_stride_bytes: problem.c.row_stride_bytes + 64 };
            for residual in [None, Some(Region { offset_bytes: 256, ..problem.c })] {
                let problem = GemmProblem { residual, ..problem };
                let fits = |order: &LoopOrder| gemm::plan_in(grid, &problem, *order).is_ok();
                let orders = LoopOrder::ALL.into_iter().filter(fits);
                launches.extend(orders.map(|order| Launch::gemm(grid, &problem, order)));
            }
        }
    }
    launches
}

#[test]
fn planner_and_taps_say_the_same_words() {
    let mut launches: Vec<Launch> = GRIDS.into_iter().flat_map(others).collect();
    let orders_beside = launches.len();
    assert!(orders_beside > 50, "only {orders_beside} launches");
    launches
        .extend(GRIDS.into_iter().flat_map(|grid| MODELS.into_iter().flat_map(move |m| encoder(grid, m))));
    launches.extend(GRIDS.into_iter().flat_map(int8_attention));
    let input: String = launches.iter().map(|launch| launch.options.clone() + "\n").collect();
    let Some(printed) = python(&["taps.py"], &input) else { return };
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), launches.len());
    for (launch, line) in launches.iter().zip(lines) {
        let words: Vec<u32> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let (got, want) = (launch.program.by_channel(), Program::decode(&words).unwrap().by_channel());
        let counts = |program: &Program| (program.segments.len(), program.drains.len());
        assert_eq!(counts(&got), counts(&want), "fills and drains of: taps.py {}", launch.options);
        for (at, (got, want)) in got.segments.iter().zip(&want.segments).enumerate() {
            assert_eq!(got, want, "planner ≠ taps.py at fill {at} of: taps.py {}", launch.options);
        }
        for (at, (got, want)) in got.drains.iter().zip(&want.drains).enumerate() {
            assert_eq!(got, want, "planner ≠ taps.py at drain {at} of: taps.py {}", launch.options);
        }
        assert_eq!(got, want, "{}", launch.options);
    }
}

/// Built instructions are found by the key of the program: what is planned must be among what is built, and so have
/// been compiled to tasks and held against the limits of the hardware.
#[test]
fn every_launch_of_the_encoder_is_among_those_that_are_built() {
    for grid in GRIDS {
        let columns = grid.columns.to_string();
        let Some(printed) = python(&["shapes.py", "--keys", "--cols", &columns], "") else { return };
        let built: HashSet<&str> = printed.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
        for launch in MODELS.into_iter().flat_map(|model| encoder(grid, model)) {
            assert!(
                built.contains(launch.program.key().as_str()),
                "not in shapes.py: taps.py {}",
                launch.options
            );
        }
    }
}
