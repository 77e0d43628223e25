//! Five ways to multiply int8 matrices on the same device, for the record: from one launch a tile, as this project's
//! first log did it, to the whole matrix in one. All give the same int32 numbers.
//!
//! | strategy | launches of 512³ | pushes and pulls |
//! |---|---|---|
//! | sequential | 32,768 | two a launch |
//! | batched DMA | 32,768, in batches | two a launch, without a wait between them |
//! | pre-allocated | the same | the same, in buffers made once, packing while the device works |
//! | accumulating on the device | the same | one pull for each tile of C |
//! | whole array | 1 | one push, one pull |

use std::time::Duration;

use super::engine::Engine;
use super::images::Images;
use crate::device::{
    Batch, Buffer, BufferId, BufferRole, Counters, Device, KernelId, KernelImage, Launch, Ticket,
};
use crate::schedule::pack::{self, WeightValues, Weights};
use crate::schedule::{GemmKind, GemmProblem};
use crate::{Error, Result};

/// Side of the seed's tile.
const SIDE: usize = 16;
/// Tiles of A and B of one product, one after the other.
const INPUT_BYTES: usize = 2 * SIDE * SIDE;
const OUTPUT_BYTES: usize = 4 * SIDE * SIDE;
/// Launches of one batch where a strategy makes batches: what a driver chains at once.
const GROUP: usize = 24;

/// What the seed's Python wrapper took beside each launch, by the log of 2025-11-02: 512 tiles in 234.7 ms, less what a
/// launch takes by itself (repository Unicorn-Commander/Unicorn-Amanuensis).
pub const SEED_WRAPPER: Duration = Duration::from_micros(345);

/// How to cut a product into launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// For each tile: make buffers, push, launch, wait, pull.
    Sequential,
    /// Push many tiles, launch them as one batch, wait once, pull.
    BatchedDma,
    /// The same in buffers made once, two sets of them: the host packs one while the device works on the other.
    Preallocated,
    /// The device adds over K, so that only finished tiles come back.
    DeviceAccumulation,
    /// All cores, the whole matrix, one launch.
    WholeArray,
}

impl Strategy {
    /// In the order of history.
    pub const ALL: [Self; 5] =
        [Self::Sequential, Self::BatchedDma, Self::Preallocated, Self::DeviceAccumulation, Self::WholeArray];

    /// For tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::BatchedDma => "batched DMA",
            Self::Preallocated => "pre-allocated",
            Self::DeviceAccumulation => "accumulating on the device",
            Self::WholeArray => "whole array",
        }
    }
}

/// A product of int8 matrices: C `[m, n]` = A `[m, k]` · B `[k, n]`, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Product<'a> {
    /// A.
    pub a: &'a [i8],
    /// B.
    pub b: &'a [i8],
    /// Rows of A.
    pub m: usize,
    /// Columns of A.
    pub k: usize,
    /// Columns of B.
    pub n: usize,
}

impl Product<'_> {
    fn check(&self) -> Result<()> {
        if self.a.len() == self.m * self.k && self.b.len() == self.k * self.n {
            return Ok(());
        }
        Err(Error::Shape {
            why: format!(
                "{} and {} values are not A and B of {}×{}×{}",
                self.a.len(),
                self.b.len(),
                self.m,
                self.k,
                self.n
            ),
        })
    }

    /// Tiles of m, k and n.
    fn tiles(&self) -> (usize, usize, usize) {
        (self.m.div_ceil(SIDE), self.k.div_ceil(SIDE), self.n.div_ceil(SIDE))
    }

    /// Tile (i, l) of A and (l, j) of B, with zeros over the edge.
    fn pack(&self, (i, l, j): (usize, usize, usize), bytes: &mut [u8]) {
        bytes.fill(0);
        let (a, b) = bytes.split_at_mut(SIDE * SIDE);
        let copy = |from: &[i8],
                    (rows, columns): (usize, usize),
                    (top, left): (usize, usize),
                    to: &mut [u8]| {
            for row in 0..SIDE.min(rows.saturating_sub(top)) {
                let start = (top + row) * columns + left;
                let values = &from[start..start + SIDE.min(columns - left)];
                to[row * SIDE..].iter_mut().zip(values).for_each(|(to, &value)| *to = value.to_le_bytes()[0]);
            }
        };
        copy(self.a, (self.m, self.k), (i * SIDE, l * SIDE), a);
        copy(self.b, (self.k, self.n), (l * SIDE, j * SIDE), b);
    }

    /// Adds a tile of C.
    fn add(&self, (i, j): (usize, usize), bytes: &[u8], c: &mut [i32]) {
        for row in 0..SIDE.min(self.m - i * SIDE) {
            let start = (i * SIDE + row) * self.n + j * SIDE;
            let values = bytes[4 * row * SIDE..].chunks_exact(4);
            let columns = SIDE.min(self.n - j * SIDE);
            for (c, value) in c[start..start + columns].iter_mut().zip(values) {
                *c = c.wrapping_add(i32::from_le_bytes([value[0], value[1], value[2], value[3]]));
            }
        }
    }
}

/// Multiplies by `strategy` on `device`, and counts what that took from the opening of the device on. `seed` is the image
/// of the seed's kernels, `images` is for the whole array.
///
/// # Errors
/// [`Error::Shape`], and what the device and the images give.
pub fn multiply(
    strategy: Strategy,
    mut device: Box<dyn Device>,
    seed: &KernelImage,
    images: Box<dyn Images>,
    product: &Product<'_>,
) -> Result<(Vec<i32>, Counters)> {
    if strategy == Strategy::WholeArray {
        let mut engine = Engine::new(device, images)?;
        let values = whole_array(&mut engine, product)?;
        return Ok((values, engine.device().counters()));
    }
    let values = Seed::load(&mut *device, seed)?.multiply(strategy, product)?;
    Ok((values, device.counters()))
}

/// The seed's kernels on a device.
pub struct Seed<'a> {
    device: &'a mut dyn Device,
    /// Multiplies two tiles.
    multiply: KernelId,
    /// Adds the product to its output.
    accumulate: KernelId,
}

impl<'a> Seed<'a> {
    /// Loads the seed's image.
    ///
    /// # Errors
    /// [`Error::Image`] if the image lacks the kernels, and what [`Device::load`] gives.
    pub fn load(device: &'a mut dyn Device, image: &KernelImage) -> Result<Self> {
        let entry = |name: &str| {
            let found = image.entries.iter().position(|entry| entry.name == name);
            found.ok_or_else(|| Error::Image { why: format!("it has no kernel {name}") })
        };
        let (multiply, accumulate) = (entry("matmul_16x16_i32")?, entry("matmul_16x16_acc_i32")?);
        let context = device.load(image)?;
        Ok(Self { device, multiply: context.kernel(multiply), accumulate: context.kernel(accumulate) })
    }

    /// Multiplies by one of the strategies that launch tiles.
    ///
    /// # Errors
    /// [`Error::Shape`], and what the device gives.
    pub fn multiply(&mut self, strategy: Strategy, product: &Product<'_>) -> Result<Vec<i32>> {
        product.check()?;
        let mut c = vec![0; product.m * product.n];
        match strategy {
            Strategy::Sequential => self.sequential(product, &mut c)?,
            Strategy::BatchedDma => self.batched(product, 1, &mut c)?,
            Strategy::Preallocated => self.batched(product, 2, &mut c)?,
            Strategy::DeviceAccumulation => self.accumulating(product, &mut c)?,
            Strategy::WholeArray => {
                return Err(Error::Shape { why: "the seed's kernel has one core: use `whole_array`".into() });
            }
        }
        Ok(c)
    }

    fn sequential(&mut self, product: &Product<'_>, c: &mut [i32]) -> Result<()> {
        for tile in every_tile(product) {
            let input = self.device.alloc(INPUT_BYTES, BufferRole::Input)?;
            let output = self.device.alloc(OUTPUT_BYTES, BufferRole::Output)?;
            product.pack(tile, self.device.host_mut(input.id())?);
            self.device.push(input.id(), 0..INPUT_BYTES)?;
            let launch = launch(self.multiply, &input, output.id());
            let ticket = self.device.submit(&Batch::new(vec![launch])?)?;
            let _done = self.device.wait(ticket, None)?;
            self.device.pull(output.id(), 0..OUTPUT_BYTES)?;
            product.add((tile.0, tile.2), self.device.host(output.id())?, c);
            self.device.free(input)?;
            self.device.free(output)?;
        }
        Ok(())
    }

    /// Groups of tiles in `sets` sets of buffers: with two, packing one group overlaps the other's launches.
    fn batched(&mut self, product: &Product<'_>, sets: usize, c: &mut [i32]) -> Result<()> {
        let tiles: Vec<_> = every_tile(product).collect();
        let mut sets = (0..sets).map(|_| Set::new(self.device, GROUP, GROUP)).collect::<Result<Vec<_>>>()?;
        let mut running: Vec<Option<(Ticket, &[Tile])>> = vec![None; sets.len()];
        for (index, group) in tiles.chunks(GROUP).enumerate() {
            let turn = index % sets.len();
            if let Some((ticket, done)) = running[turn].take() {
                self.collect(&sets[turn], ticket, done, product, c)?;
            }
            let set = &mut sets[turn];
            for (&tile, input) in group.iter().zip(&set.inputs) {
                product.pack(tile, self.device.host_mut(input.id())?);
                self.device.push(input.id(), 0..INPUT_BYTES)?;
            }
            let launches =
                (0..group.len()).map(|at| launch(self.multiply, &set.inputs[at], set.outputs[at].id()));
            running[turn] = Some((self.device.submit(&Batch::new(launches.collect())?)?, group));
        }
        for (set, running) in sets.iter().zip(running) {
            if let Some((ticket, done)) = running {
                self.collect(set, ticket, done, product, c)?;
            }
        }
        sets.into_iter().try_for_each(|set| set.free(self.device))
    }

    fn collect(
        &mut self,
        set: &Set,
        ticket: Ticket,
        tiles: &[Tile],
        product: &Product<'_>,
        c: &mut [i32],
    ) -> Result<()> {
        let _done = self.device.wait(ticket, None)?;
        for (&(i, _, j), output) in tiles.iter().zip(&set.outputs) {
            self.device.pull(output.id(), 0..OUTPUT_BYTES)?;
            product.add((i, j), self.device.host(output.id())?, c);
        }
        Ok(())
    }

    fn accumulating(&mut self, product: &Product<'_>, c: &mut [i32]) -> Result<()> {
        let (rows, steps, columns) = product.tiles();
        let set = Set::new(self.device, steps, 0)?;
        let sum = self.device.alloc(OUTPUT_BYTES, BufferRole::Scratch)?;
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            self.device.host_mut(sum.id())?.fill(0);
            self.device.push(sum.id(), 0..OUTPUT_BYTES)?;
            for (l, input) in set.inputs.iter().enumerate() {
                product.pack((i, l, j), self.device.host_mut(input.id())?);
                self.device.push(input.id(), 0..INPUT_BYTES)?;
            }
            let launches = set.inputs.iter().map(|input| launch(self.accumulate, input, sum.id()));
            let ticket = self.device.submit(&Batch::new(launches.collect())?)?;
            let _done = self.device.wait(ticket, None)?;
            self.device.pull(sum.id(), 0..OUTPUT_BYTES)?;
            product.add((i, j), self.device.host(sum.id())?, c);
        }
        self.device.free(sum)?;
        set.free(self.device)
    }
}

fn launch(kernel: KernelId, input: &Buffer, output: BufferId) -> Launch {
    Launch { kernel, buffers: vec![input.id(), output] }
}

/// Tile of m, k and n.
type Tile = (usize, usize, usize);

fn every_tile(product: &Product<'_>) -> impl Iterator<Item = Tile> + use<> {
    let (rows, steps, columns) = product.tiles();
    (0..rows * columns * steps).map(move |at| (at / steps / columns, at % steps, at / steps % columns))
}

/// Buffers of a group.
struct Set {
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
}

impl Set {
    fn new(device: &mut dyn Device, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            inputs: (0..inputs)
                .map(|_| device.alloc(INPUT_BYTES, BufferRole::Input))
                .collect::<Result<_>>()?,
            outputs: (0..outputs)
                .map(|_| device.alloc(OUTPUT_BYTES, BufferRole::Output))
                .collect::<Result<_>>()?,
        })
    }

    fn free(self, device: &mut dyn Device) -> Result<()> {
        self.inputs.into_iter().chain(self.outputs).try_for_each(|buffer| device.free(buffer))
    }
}

/// Multiplies on all cores in one launch.
///
/// # Errors
/// [`Error::Shape`], and what the device gives.
pub fn whole_array(engine: &mut Engine, product: &Product<'_>) -> Result<Vec<i32>> {
    product.check()?;
    let grid = engine.grid();
    let Product { m, k, n, .. } = *product;
    let problem = GemmProblem::dense(grid, GemmKind::Int8Int32, (m, k, n));
    let column = |column: usize, to: &mut [i8]| {
        to.iter_mut().enumerate().for_each(|(row, to)| *to = product.b[row * n + column]);
        1.0
    };
    let values = WeightValues::Int8(&column);
    let weights =
        engine.weights(&problem, &Weights { values, bias: None, gelu: false, output_scale: 1.0 })?;
    let input = engine.buffer(problem.a_len_bytes(grid), BufferRole::Input)?;
    let output = engine.buffer(problem.c_len_bytes(grid), BufferRole::Output)?;
    let stride = problem.a.row_stride_bytes;
    engine.write(input.id(), 0..m * stride, |bytes| pack::rows_of_int8(product.a, k, bytes, stride))?;
    let launch = engine.gemm(&problem, input.id(), &weights, output.id(), None)?;
    engine.run(&Batch::new(vec![launch])?)?;
    let (stride, mut values) = (problem.c.row_stride_bytes, vec![0; m * n]);
    engine.read(output.id(), 0..m * stride, |bytes| pack::rows_from_int32(bytes, stride, n, &mut values))?;
    engine.free(input)?;
    engine.free(output)?;
    engine.free_weights(weights)?;
    Ok(values)
}
