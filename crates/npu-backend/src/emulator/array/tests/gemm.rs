//! GEMM launches against plain arithmetic.

use half::bf16;

use super::launch::{Launch, Parameters, Random, a_rows, before_reorder, bf16_bytes, bf16_values};
use super::reference::{close, gelu, gelu_bound, half_unit, sum_bound};
use super::*;

const GELU: u32 = 1;
const RESIDUAL: u32 = 2;
const IDLE: u32 = 4;

/// What is multiplied, row-major, with the tables of the epilogue.
struct Product {
    columns: u32,
    op: u32,
    flags: u32,
    /// M, K, N in elements.
    shape: [usize; 3],
    a: Vec<u8>,
    b: Vec<u8>,
    /// Bytes of one element of A and B.
    size: usize,
    bias: Vec<f32>,
    column_scale: Vec<f32>,
    row_scale: Vec<f32>,
    scale: f32,
    residual: Vec<bf16>,
}

impl Product {
    fn bf16(columns: u32, flags: u32, shape: [usize; 3], random: &mut Random) -> Self {
        let [m, k, n] = shape;
        Self {
            columns,
            op: 1,
            flags,
            shape,
            a: bf16_bytes(&random.bf16s(m * k)),
            b: bf16_bytes(&random.bf16s(k * n)),
            size: 2,
            bias: random.floats(n),
            column_scale: vec![1.0; n],
            row_scale: Vec::new(),
            scale: 1.0,
            residual: if flags & RESIDUAL == 0 { Vec::new() } else { random.bf16s(m * n) },
        }
    }

    fn int8(op: u32, flags: u32, shape: [usize; 3], random: &mut Random) -> Self {
        let [m, k, n] = shape;
        let mut int8s = |count| (0..count).map(|_| random.int8() as u8).collect::<Vec<u8>>();
        let (a, b) = (int8s(m * k), int8s(k * n));
        // Sums of K products are some 74²·√K wide: bring them near 1, so that GELU bends.
        let unit = 1.0 / (74.0 * 74.0 * (k as f32).sqrt());
        let mut scales = |count: usize, unit: f32| -> Vec<f32> {
            random.floats(count).into_iter().map(|x| unit * (1.0 + 0.5 * x)).collect()
        };
        let row_scale = if op == 3 { scales(m, unit) } else { Vec::new() };
        let column_scale = scales(n, if op == 3 { 1.0 } else { unit });
        let bias = random.floats(n);
        Self {
            columns: 4,
            op,
            flags,
            shape,
            a,
            b,
            size: 1,
            bias,
            column_scale,
            row_scale,
            // Requantised so that some results saturate.
            scale: 60.0,
            residual: Vec::new(),
        }
    }

    /// Element of A or B as a number.
    fn number(&self, bytes: &[u8], at: usize) -> f64 {
        match self.size {
            1 => f64::from(bytes[at] as i8),
            _ => bf16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]).to_f64(),
        }
    }

    /// Sum and sum of magnitudes of the products of one element.
    fn sums(&self, row: usize, column: usize) -> (f64, f64) {
        let [_, k, n] = self.shape;
        let products =
            (0..k).map(|i| self.number(&self.a, row * k + i) * self.number(&self.b, i * n + column));
        products.fold((0.0, 0.0), |(sum, mass), product| (sum + product, mass + product.abs()))
    }

    /// The objects of 64 columns from `left`, parameters first.
    fn column_tile(&self, left: usize, flags: u32) -> Vec<u8> {
        let [_, k, n] = self.shape;
        let depth = 64 / self.size;
        let mut parameters = Parameters::new(self.op, flags, k / depth);
        parameters.slots = self.columns;
        parameters.scale = self.scale;
        parameters.bias.copy_from_slice(&self.bias[left..][..64]);
        parameters.column_scale.copy_from_slice(&self.column_scale[left..][..64]);
        let mut objects = parameters.object();
        for first in (0..k).step_by(depth) {
            let element = |depth: usize, column: usize| {
                let at = ((first + depth) * n + left + column) * self.size;
                self.b[at..at + self.size].to_vec()
            };
            let blocks = if self.size == 2 { [8, 4] } else { [16, 8] };
            let mut seen = Vec::new();
            for deep in (0..depth).step_by(blocks[0]) {
                for wide in (0..64).step_by(blocks[1]) {
                    for row in 0..blocks[0] {
                        for column in 0..blocks[1] {
                            seen.extend(element(deep + row, wide + column));
                        }
                    }
                }
            }
            objects.extend(before_reorder(&seen));
        }
        objects
    }

    /// Argument A: the rows, each with its scale in 256 bytes more if there is one; then the residual.
    fn argument_a(&self) -> (Vec<u8>, usize) {
        let row_bytes = self.shape[1] * self.size;
        let mut bytes = Vec::new();
        for (row, values) in self.a.chunks_exact(row_bytes).enumerate() {
            bytes.extend_from_slice(values);
            if let Some(scale) = self.row_scale.get(row) {
                bytes.extend(scale.to_le_bytes());
                bytes.resize(bytes.len() + 252, 0xEE);
            }
        }
        let stride = bytes.len() / self.shape[0];
        bytes.extend(bf16_bytes(&self.residual));
        (bytes, stride)
    }

    /// Bytes of an element of C.
    fn out_size(&self) -> usize {
        [2, 4, 2, 1][self.op as usize - 1]
    }

    /// All panels of a block of 256 rows, then the next block; column `idle` has nothing to do in the last panel.
    fn launch(&self, idle: Option<u32>) -> Launch {
        let [m, _, n] = self.shape;
        let (a, stride) = self.argument_a();
        let residual = m * stride;
        let mut launch = Launch::new(self.columns, a, m * n * self.out_size());
        let width = 64 * self.columns as usize;
        // Two tiles of int8 lie side by side in one object.
        let pair = if self.op == 4 { 2 } else { 1 };
        for rows in (0..m).step_by(256) {
            for row in 0..4 {
                let offset = |panel: usize| residual + ((rows + 64 * row) * n + panel) * 2;
                let tap = a_rows((rows + 64 * row) * stride, stride, stride);
                if self.residual.is_empty() {
                    launch.feed_a(row as u32, tap, (n / width) as u32);
                    continue;
                }
                for panel in (0..n).step_by(width) {
                    launch.feed_a(row as u32, tap, 1);
                    launch.feed_a(row as u32, a_rows(offset(panel), 2 * width, 2 * n), 1);
                }
            }
            for panel in (0..n).step_by(pair * width) {
                for column in 0..self.columns {
                    let left = panel + 64 * pair * column as usize;
                    let nothing = idle == Some(column) && panel + pair * width == n;
                    let flags = self.flags | if nothing { IDLE } else { 0 };
                    for tile in 0..pair {
                        launch.feed_b(column, &self.column_tile(left + 64 * tile, flags));
                    }
                    for object in 0..(64 * pair * self.out_size()).div_ceil(128) {
                        let offset = (rows * n + left) * self.out_size() + 128 * object;
                        launch.drain(column, offset, n * self.out_size());
                    }
                }
            }
        }
        launch
    }

    /// The epilogue of bf16 outputs: value and bound of an element before rounding.
    fn bf16_element(&self, row: usize, column: usize) -> (f64, f64) {
        let (sum, mass) = self.sums(row, column);
        let bias = f64::from(self.bias[column]);
        let (mut value, mut bound) = if self.op == 1 {
            (sum + bias, sum_bound(self.shape[1] + 1, mass + bias.abs()))
        } else {
            let value = sum * f64::from(self.row_scale[row]) * f64::from(self.column_scale[column]);
            // The int32 sum is exact until it becomes f32; each product of pairs loses 3·2^-18 (pair.h).
            (
                value + bias,
                7.0 * value.abs() / f64::from(1 << 18) + (value.abs() + bias.abs()) / f64::from(1 << 22),
            )
        };
        if self.flags & GELU != 0 {
            (value, bound) = (gelu(value), gelu_bound(value, bound));
        }
        if let Some(residual) = self.residual.get(row * self.shape[2] + column) {
            value += residual.to_f64();
        }
        (value, bound + half_unit(value.abs() + bound))
    }

    #[track_caller]
    fn check_bf16(&self, arch: Arch, arithmetic: Arithmetic) {
        let [m, k, n] = self.shape;
        let (work, c) = self.launch(None).run(&array(arch, arithmetic)).unwrap();
        assert_eq!(work.macs, (m * k * n) as u64);
        let elements = bf16_values(&c).into_iter().enumerate().map(|(at, got)| {
            let (want, bound) = self.bf16_element(at / n, at % n);
            (got, want, bound)
        });
        close(&format!("operation {}, {arithmetic:?}", self.op), elements);
    }
}

#[test]
fn bf16_is_the_product() {
    let product = Product::bf16(4, 0, [512, 256, 512], &mut Random(1));
    product.check_bf16(Arch::Aie2, Arithmetic::Fast);
    product.check_bf16(Arch::Aie2, Arithmetic::Exact);
}

#[test]
fn bf16_takes_gelu_and_a_residual() {
    for flags in [GELU, RESIDUAL, GELU | RESIDUAL] {
        Product::bf16(4, flags, [256, 128, 512], &mut Random(2)).check_bf16(Arch::Aie2, Arithmetic::Fast);
    }
    Product::bf16(4, RESIDUAL, [256, 128, 256], &mut Random(3)).check_bf16(Arch::Aie2, Arithmetic::Exact);
}

#[test]
fn eight_columns_share_the_same_rows() {
    Product::bf16(8, RESIDUAL, [256, 128, 512], &mut Random(4)).check_bf16(Arch::Aie2p, Arithmetic::Fast);
}

#[test]
fn int8_sums_are_exact() {
    let product = Product::int8(2, 0, [256, 512, 512], &mut Random(5));
    for arithmetic in [Arithmetic::Exact, Arithmetic::Fast] {
        let (_, c) = product.launch(None).run(&array(Arch::Aie2, arithmetic)).unwrap();
        for (at, got) in c.as_chunks().0.iter().enumerate() {
            let want = product.sums(at / 512, at % 512).0;
            assert_eq!(f64::from(i32::from_le_bytes(*got)), want, "element {at}");
        }
    }
}

#[test]
fn int8_scales_rows_and_columns() {
    for flags in [0, GELU] {
        let product = Product::int8(3, flags, [256, 256, 512], &mut Random(6));
        product.check_bf16(Arch::Aie2, Arithmetic::Fast);
    }
}

#[test]
fn int8_is_requantised_two_tiles_to_an_object() {
    let product = Product::int8(4, GELU, [256, 256, 1024], &mut Random(7));
    let (_, c) = product.launch(None).run(&array(Arch::Aie2, Arithmetic::Exact)).unwrap();
    let mut saturated = 0;
    let elements = c.iter().enumerate().map(|(at, &got)| {
        let (sum, _) = product.sums(at / 1024, at % 1024);
        let x = sum * f64::from(product.column_scale[at % 1024]);
        let bias = f64::from(product.bias[at % 1024]);
        let error = 7.0 * x.abs() / f64::from(1 << 18) + (x.abs() + bias.abs()) / f64::from(1 << 22);
        let want = gelu(x + bias) * f64::from(product.scale);
        let bound = f64::from(product.scale) * gelu_bound(x + bias, error) + want.abs() / f64::from(1 << 16);
        saturated += u32::from(got as i8 == 127);
        // Rounding to the nearest moves by a half.
        (f64::from(got as i8), want.clamp(-128.0, 127.0), 0.5 + bound)
    });
    close("requantised", elements);
    assert!(saturated > 100, "{saturated} saturated");
}

#[test]
fn idle_columns_take_their_share_and_write_zeros() {
    for (op, flags) in [(1, GELU | RESIDUAL), (2, 0), (3, 0), (4, 0)] {
        let shape = [256, 256, 1024];
        let product = match op {
            1 => Product::bf16(4, flags, shape, &mut Random(8)),
            _ => Product::int8(op, flags, shape, &mut Random(8)),
        };
        let array = array(Arch::Aie2, Arithmetic::Fast);
        let (busy, all) = product.launch(None).run(&array).unwrap();
        let (work, c) = product.launch(Some(2)).run(&array).unwrap();
        let size = product.out_size();
        let panel = 64 * 4 * if op == 4 { 2 } else { 1 };
        let idle = 1024 - panel / 2..1024 - panel / 4;
        for (at, (got, all)) in c.chunks_exact(size).zip(all.chunks_exact(size)).enumerate() {
            let want = if idle.contains(&(at % 1024)) { &[0; 4][..size] } else { all };
            assert_eq!(got, want, "operation {op}, element {at}");
        }
        assert_eq!(busy.macs - work.macs, (256 * 256 * idle.len()) as u64);
        assert_eq!(busy.compute_cycles, work.compute_cycles);
    }
}

#[test]
fn a_replayed_stream_is_what_was_sent_twice() {
    let product = Product::bf16(4, 0, [512, 128, 256], &mut Random(9));
    let array = array(Arch::Aie2, Arithmetic::Fast);
    let twice = product.launch(None);
    let mut once = twice.clone();
    // Both blocks of rows meet the same objects of B: the first sending of each column, two times.
    once.program.segments.retain(|segment| {
        matches!(segment.channel, Channel::A(_)) || (segment.tap.offset_bytes as usize) < twice.b.len() / 2
    });
    for segment in &mut once.program.segments {
        segment.replay = if matches!(segment.channel, Channel::B(_)) { 2 } else { 1 };
    }
    let ((much, all), (less, c)) = (twice.run(&array).unwrap(), once.run(&array).unwrap());
    assert_eq!(c, all);
    assert_eq!(much.stream_cycles, less.stream_cycles);
    assert_eq!(much.ddr_read_bytes - less.ddr_read_bytes, (twice.b.len() / 2) as u64);
}

#[test]
fn without_arithmetic_the_work_is_the_same_and_outputs_are_poison() {
    let launch = Product::bf16(4, RESIDUAL, [256, 128, 256], &mut Random(10)).launch(None);
    let (work, _) = launch.run(&array(Arch::Aie2, Arithmetic::Fast)).unwrap();
    let (same, c) = launch.run(&array(Arch::Aie2, Arithmetic::Off)).unwrap();
    assert_eq!(work, same);
    assert!(c.iter().all(|&byte| byte == POISON));
}

#[test]
fn work_is_counted_from_the_taps() {
    let [m, k, n] = [512, 256, 512];
    let product = Product::bf16(4, 0, [m, k, n], &mut Random(11));
    let (work, _) = product.launch(None).run(&array(Arch::Aie2, Arithmetic::Off)).unwrap();
    // Eight tiles a core: two blocks of rows, two panels, each K / 32 steps behind one parameter object.
    let (blocks, panels, steps) = (2, 2, k / 32);
    let b_objects = blocks * panels * (1 + steps);
    let read = m * k * 2 + 4 * b_objects * 4096;
    assert_eq!((work.ddr_read_bytes, work.ddr_written_bytes), (read as u64, (m * n * 2) as u64));
    // Rows of 256 and 128 bytes are no short runs.
    assert_eq!(work.ddr_weighted_bytes, work.ddr_read_bytes + work.ddr_written_bytes);
    assert_eq!(work.stream_cycles, (b_objects * 4096 / 4) as u64);
    assert_eq!(work.prologue_bytes, 4 * 16384 + 4 * 8192);
    assert_eq!(work.drain_bytes, 4 * 32768);
    assert_eq!(work.macs, (m * k * n) as u64);
    assert!(work.compute_cycles > 0);
}
