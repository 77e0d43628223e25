//! Launches packed by hand: what stands in DDR, and the taps over it.

use crate::kernel::{Channel, Drain, Program, Segment, Tap, image};
use crate::{Arch, ArgumentSpec, BufferRole, KernelImage};

/// Arguments of every launch here.
pub(super) const A: u32 = 0;
pub(super) const B: u32 = 1;
pub(super) const C: u32 = 2;

/// A repeatable sequence of numbers.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// Even in −1 … 1.
    pub(super) fn float(&mut self) -> f32 {
        self.bits() as f32 / 2_147_483_648.0 - 1.0
    }

    pub(super) fn bf16(&mut self) -> half::bf16 {
        half::bf16::from_f32(self.float())
    }

    pub(super) fn bf16s(&mut self, count: usize) -> Vec<half::bf16> {
        (0..count).map(|_| self.bf16()).collect()
    }

    pub(super) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    pub(super) fn int8(&mut self) -> i8 {
        self.bits() as u8 as i8
    }
}

/// The head of a parameter object and its two tables.
pub(super) struct Parameters {
    pub(super) op: u32,
    pub(super) flags: u32,
    pub(super) steps: usize,
    pub(super) n_valid: u32,
    pub(super) scale: f32,
    pub(super) slots: u32,
    pub(super) bias: Vec<f32>,
    pub(super) column_scale: Vec<f32>,
}

impl Parameters {
    pub(super) fn new(op: u32, flags: u32, steps: usize) -> Self {
        Self {
            op,
            flags,
            steps,
            n_valid: 0,
            scale: 1.0,
            slots: 4,
            bias: vec![0.0; 64],
            column_scale: vec![1.0; 64],
        }
    }

    /// As it stands in DDR.
    pub(super) fn object(&self) -> Vec<u8> {
        let mut seen = vec![0; 4096];
        let words = [
            0x584E_5057,
            self.op,
            self.flags,
            self.steps as u32,
            self.n_valid,
            self.scale.to_bits(),
            self.slots,
        ];
        for (at, word) in words.into_iter().enumerate() {
            seen[4 * at..][..4].copy_from_slice(&word.to_le_bytes());
        }
        for (at, value) in self.bias.iter().enumerate() {
            seen[256 + 4 * at..][..4].copy_from_slice(&value.to_le_bytes());
        }
        for (at, value) in self.column_scale.iter().enumerate() {
            seen[512 + 4 * at..][..4].copy_from_slice(&value.to_le_bytes());
        }
        before_reorder(&seen)
    }
}

/// The B object that a core sees as `seen`: the memtile sends 8-byte pieces of 32 rows of 128 bytes, in blocks of 8 rows,
/// column by column.
pub(super) fn before_reorder(seen: &[u8]) -> Vec<u8> {
    let mut object = vec![0; 4096];
    let mut at = 0;
    for block in 0..4 {
        for column in 0..16 {
            for row in 0..8 {
                let place = (block * 8 + row) * 128 + column * 8;
                object[place..place + 8].copy_from_slice(&seen[at..at + 8]);
                at += 8;
            }
        }
    }
    object
}

/// 64 rows of `row_bytes` each from `offset` of argument A: objects of 256 bytes a row, side by side.
pub(super) fn a_rows(offset: usize, bytes: usize, row_bytes: usize) -> Tap {
    let outer = [((bytes / 256) as u32, 256), (64, row_bytes as u32)];
    Tap::nested(A, offset as u32, 256, &outer)
}

/// A launch under construction: B objects are laid one after another as they are told.
#[derive(Clone)]
pub(super) struct Launch {
    pub(super) program: Program,
    pub(super) a: Vec<u8>,
    pub(super) b: Vec<u8>,
    pub(super) c_bytes: usize,
}

impl Launch {
    pub(super) fn new(columns: u32, a: Vec<u8>, c_bytes: usize) -> Self {
        let program = Program { columns, rows: 4, ..Program::default() };
        Self { program, a, b: Vec::new(), c_bytes }
    }

    pub(super) fn feed_a(&mut self, row: u32, tap: Tap, replay: u32) {
        self.program.segments.push(Segment { channel: Channel::A(row), tap, replay });
    }

    /// Sends `objects`, as they stand in DDR, down `column`.
    pub(super) fn feed_b(&mut self, column: u32, objects: &[u8]) {
        let tap = Tap::linear(B, self.b.len() as u32, objects.len() as u32);
        self.b.extend_from_slice(objects);
        self.program.segments.push(Segment { channel: Channel::B(column), tap, replay: 1 });
    }

    /// Puts an object of every core of `column` at `offset`, 256 rows of 128 bytes at `stride`.
    pub(super) fn drain(&mut self, column: u32, offset: usize, stride: usize) {
        let tap = Tap::nested(C, offset as u32, 128, &[(256, stride as u32)]);
        self.program.drains.push(Drain { column, tap });
    }

    pub(super) fn image(&self) -> KernelImage {
        let arch = if self.program.columns == 8 { Arch::Aie2p } else { Arch::Aie2 };
        let argument = |role, len_bytes| ArgumentSpec { role, len_bytes };
        let arguments = [
            argument(BufferRole::Input, self.a.len()),
            argument(BufferRole::Weight, self.b.len()),
            argument(BufferRole::Output, self.c_bytes),
        ];
        image::streamed("encoder", arch, &[("test", &self.program, &arguments)])
    }

    /// Runs it on `array`; the output argument, 0x11 where nothing was written.
    pub(super) fn run(&self, array: &super::Array) -> Result<(super::Work, Vec<u8>), super::ArrayFault> {
        let image = array.load(&self.image()).unwrap();
        let mut c = vec![0x11; self.c_bytes];
        let (work, outputs) = array.run(&image, 0, &[&self.a, &self.b, &c])?;
        for output in outputs {
            assert_eq!(output.tap.argument, C);
            assert!(output.tap.scatter(&output.bytes, &mut c));
        }
        Ok((work, c))
    }
}

pub(super) fn bf16_bytes(values: &[half::bf16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(super) fn bf16_values(bytes: &[u8]) -> Vec<f64> {
    let (pairs, _) = bytes.as_chunks();
    pairs.iter().map(|pair| half::bf16::from_le_bytes(*pair).to_f64()).collect()
}
