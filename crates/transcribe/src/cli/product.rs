//! A product of small whole numbers, whose result is known exactly: what `doctor` and `bench` run on a device.

use std::time::{Duration, Instant};

use npu_backend::ops::{DeviceWeights, Engine};
use npu_backend::schedule::pack::{self, WeightValues, Weights};
use npu_backend::schedule::{GemmKind, GemmProblem};
use npu_backend::{Batch, Buffer, BufferRole, Result};
use rayon::prelude::*;

use super::values::Shape;

/// Largest magnitude of an element. bf16 holds it exactly, and f32 any sum of fewer than 2²⁴ / 8² products.
const LARGEST: i8 = 8;

/// A `[m, k]`, B `[k, n]` and their product, row-major.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) shape: Shape,
    pub(super) a: Vec<i8>,
    pub(super) b: Vec<i8>,
    /// By plain integer arithmetic.
    pub(super) c: Vec<i32>,
}

impl Product {
    pub(super) fn new(shape: Shape) -> Self {
        let Shape { m, k, n } = shape;
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let mut c = vec![0; m * n];
        c.par_chunks_mut(n).zip(a.par_chunks(k)).for_each(|(c, a)| {
            for (&a, b) in a.iter().zip(b.chunks_exact(n)) {
                c.iter_mut().zip(b).for_each(|(c, &b)| *c += i32::from(a) * i32::from(b));
            }
        });
        Self { shape, a, b, c }
    }

    /// Operations, counting a multiplication and its addition as two.
    #[allow(clippy::cast_precision_loss, reason = "a rate is printed with four digits")]
    pub(super) fn operations(&self) -> f64 {
        2.0 * self.shape.m as f64 * self.shape.k as f64 * self.shape.n as f64
    }
}

/// Whole numbers within ±[`LARGEST`], the same for the same seed.
fn numbers(count: usize, seed: u64) -> Vec<i8> {
    let mut state = seed;
    let mut next = || {
        // Knuth's constants of MMIX; the upper bits are the random ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = (state >> 33) % (2 * u64::from(LARGEST.unsigned_abs()) + 1);
        i8::try_from(value).map_or(0, |value| value - LARGEST)
    };
    (0..count).map(|_| next()).collect()
}

/// A product made ready on a device: weights resident, buffers there.
pub(super) struct OnDevice<'a> {
    product: &'a Product,
    problem: GemmProblem,
    weights: DeviceWeights,
    input: Buffer,
    output: Buffer,
    /// A as f32, which is what is packed to bf16.
    a: Vec<f32>,
    got: Got,
}

/// What came back, `[m, n]`.
enum Got {
    Int32(Vec<i32>),
    Float(Vec<f32>),
}

/// What the host spent on one round, measured.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    /// A into its buffer.
    pub(super) pack: Duration,
    /// Making a launch and submitting it, without what follows on the device.
    pub(super) launch: Duration,
    /// C out of its buffer.
    pub(super) unpack: Duration,
    /// All of it, with pushes, pulls and the wait.
    pub(super) round: Duration,
}

impl<'a> OnDevice<'a> {
    /// Packs the weights and makes them resident; `kind` is bf16 or int8 to int32.
    pub(super) fn new(engine: &mut Engine, product: &'a Product, kind: GemmKind) -> Result<Self> {
        let (grid, Shape { m, k, n }) = (engine.grid(), product.shape);
        let problem = GemmProblem::dense(grid, kind, (m, k, n));
        let column = |column: usize, to: &mut [i8]| {
            to.iter_mut().zip(product.b.chunks_exact(n)).for_each(|(to, row)| *to = row[column]);
            1.0
        };
        let values = WeightValues::Int8(&column);
        let weights = Weights { values, bias: None, gelu: false, output_scale: 1.0 };
        let weights = engine.weights(&problem, &weights)?;
        let bf16 = kind == GemmKind::Bf16;
        Ok(Self {
            product,
            problem,
            weights,
            input: engine.buffer(problem.a_len_bytes(grid), BufferRole::Input)?,
            output: engine.buffer(problem.c_len_bytes(grid), BufferRole::Output)?,
            a: if bf16 { product.a.iter().copied().map(f32::from).collect() } else { Vec::new() },
            got: if bf16 { Got::Float(vec![0.0; m * n]) } else { Got::Int32(vec![0; m * n]) },
        })
    }

    /// Gives weights and buffers back.
    pub(super) fn free(self, engine: &mut Engine) -> Result<()> {
        engine.free(self.input)?;
        engine.free(self.output)?;
        engine.free_weights(self.weights)
    }

    pub(super) fn problem(&self) -> &GemmProblem {
        &self.problem
    }

    /// A in, one launch, C out.
    pub(super) fn round(&mut self, engine: &mut Engine) -> Result<Spent> {
        let start = Instant::now();
        let pack = self.pack(engine)?;
        let begin = Instant::now();
        let launch = engine.gemm(&self.problem, self.input.id(), &self.weights, self.output.id(), None)?;
        let ticket = engine.submit(&Batch::new(vec![launch])?)?;
        let launch = begin.elapsed();
        engine.wait(ticket)?;
        let unpack = self.unpack(engine)?;
        Ok(Spent { pack, launch, unpack, round: start.elapsed() })
    }

    /// Packs and pushes; the time is that of packing.
    fn pack(&self, engine: &mut Engine) -> Result<Duration> {
        let (Shape { m, k, .. }, stride) = (self.product.shape, self.problem.a.row_stride_bytes);
        let mut spent = Duration::ZERO;
        engine.write(self.input.id(), 0..m * stride, |bytes| {
            let begin = Instant::now();
            match &self.got {
                Got::Float(_) => pack::rows_to_bf16(&self.a, k, bytes, stride),
                Got::Int32(_) => {
                    for (row, to) in self.product.a.chunks_exact(k).zip(bytes.chunks_mut(stride)) {
                        to.iter_mut().zip(row).for_each(|(to, &value)| *to = value.to_le_bytes()[0]);
                    }
                }
            }
            spent = begin.elapsed();
        })?;
        Ok(spent)
    }

    /// Pulls and unpacks; the time is that of unpacking.
    fn unpack(&mut self, engine: &mut Engine) -> Result<Duration> {
        let (Shape { m, n, .. }, stride) = (self.product.shape, self.problem.c.row_stride_bytes);
        let got = &mut self.got;
        engine.read(self.output.id(), 0..m * stride, |bytes| {
            let begin = Instant::now();
            match got {
                Got::Float(values) => pack::rows_from_bf16(bytes, stride, n, values),
                Got::Int32(values) => pack::rows_from_int32(bytes, stride, n, values),
            }
            begin.elapsed()
        })
    }

    /// Compares the last round's result.
    ///
    /// # Errors
    /// The first element that is wrong. Sums of small whole numbers are exact, in int32 and in f32; what is left is one
    /// rounding to bf16, by less than its last of 8 bits in whatever direction: 2⁻⁷ of the value.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        let n = self.product.shape.n;
        for (at, &want) in self.product.c.iter().enumerate() {
            let want = f64::from(want);
            let (got, bound) = match &self.got {
                Got::Int32(values) => (f64::from(values[at]), 0.0),
                Got::Float(values) => (f64::from(values[at]), want.abs() / 128.0),
            };
            // Written so that NaN is wrong too.
            let right = (got - want).abs() <= bound;
            if !right {
                return Err(format!("row {}, column {} is {got} instead of {want}", at / n, at % n));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use npu_backend::{Choice, open_engine};

    use super::*;

    #[test]
    fn the_plain_product_is_right_and_its_numbers_vary() {
        let shape = Shape { m: 3, k: 5, n: 4 };
        let product = Product::new(shape);
        let at = |i: usize, j: usize| -> i32 {
            (0..5).map(|l| i32::from(product.a[i * 5 + l]) * i32::from(product.b[l * 4 + j])).sum()
        };
        assert!((0..12).all(|c| product.c[c] == at(c / 4, c % 4)));
        let many = numbers(10_000, 3);
        assert_eq!((many.iter().min(), many.iter().max()), (Some(&-LARGEST), Some(&LARGEST)));
    }

    #[test]
    fn a_wrong_element_is_found() {
        let Ok(mut engine) = open_engine(Choice::Emulator) else { return };
        let product = Product::new(Shape { m: 20, k: 33, n: 50 });
        for kind in [GemmKind::Bf16, GemmKind::Int8Int32] {
            let mut tile = OnDevice::new(&mut engine, &product, kind).unwrap();
            tile.round(&mut engine).unwrap();
            assert_eq!(tile.check(), Ok(()), "{kind:?}");
            match &mut tile.got {
                Got::Int32(values) => values[57] += 1,
                Got::Float(values) => values[57] = f32::NAN,
            }
            assert!(tile.check().is_err_and(|why| why.contains("row 1, column 7")), "{kind:?}");
        }
    }
}
