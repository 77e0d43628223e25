//! Queries, keys and values of many positions, packed per head as the products of attention read them.
//!
//! | what | layout, g numbers in 4 bytes |
//! |---|---|
//! | queries | rows of `head_dim`, in the numbers of the product, whole tiles of rows |
//! | keys | panels of 32 positions, `[head_dim / g][32][g]`: the scores' right operand |
//! | values | panels of 32 dimensions, `[positions / g][32][g]`: the right operand of the weights |

use crate::kernels::{Disjoint, Number, PANEL, row_stride};
use crate::level::Level;

/// Most dimensions of a head.
pub(crate) const MAX_HEAD_DIM: usize = 256;

/// What is packed, and in which numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) level: Level,
    /// f32 or bf16.
    pub(crate) number: Number,
    pub(crate) heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
}

impl Shape {
    /// Dimensions that are multiplied: whole groups.
    pub(super) fn depth(self) -> usize {
        self.head_dim.next_multiple_of(4)
    }

    /// Bytes between queries.
    pub(super) fn query_stride(self) -> usize {
        row_stride(self.depth() * self.number.size())
    }

    /// Positions whose values are kept: whole groups.
    fn kept_keys(self) -> usize {
        self.keys.next_multiple_of(4)
    }

    pub(super) fn key_panel(self) -> usize {
        self.depth() * PANEL * self.number.size()
    }

    pub(super) fn value_panel(self) -> usize {
        self.kept_keys() * PANEL * self.number.size()
    }

    /// Bytes of one head's queries, keys and values.
    fn parts(self) -> [usize; 3] {
        [
            self.queries.next_multiple_of(self.level.tile_rows()) * self.query_stride(),
            self.keys.div_ceil(PANEL) * self.key_panel(),
            self.head_dim.div_ceil(PANEL) * self.value_panel(),
        ]
    }

    /// Bytes of all.
    pub(crate) fn bytes(self) -> usize {
        self.heads * self.parts().iter().sum::<usize>()
    }
}

/// Packed heads that several threads write, each its own rows.
pub(crate) struct Packing<'a> {
    shape: Shape,
    queries: Disjoint<'a, u8>,
    keys: Disjoint<'a, u8>,
    values: Disjoint<'a, u8>,
}

/// Packed heads.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) shape: Shape,
    queries: &'a [u8],
    keys: &'a [u8],
    values: &'a [u8],
}

impl<'a> Heads<'a> {
    /// What [`Packing`] wrote into `bytes`.
    pub(crate) fn of(shape: Shape, bytes: &'a [u8]) -> Self {
        let [queries, keys, values] = shape.parts().map(|part| part * shape.heads);
        let (queries, rest) = bytes.split_at(queries);
        let (keys, rest) = rest.split_at(keys);
        Self { shape, queries, keys, values: &rest[..values] }
    }

    /// Queries of one head from `row` on.
    pub(super) fn queries(&self, head: usize, row: usize) -> &[u8] {
        let part = self.shape.parts()[0];
        &self.queries[head * part..(head + 1) * part][row * self.shape.query_stride()..]
    }

    /// One panel of keys.
    pub(super) fn keys(&self, head: usize, panel: usize) -> &[u8] {
        let (part, size) = (self.shape.parts()[1], self.shape.key_panel());
        &self.keys[head * part + panel * size..][..size]
    }

    /// One panel of values, from position `from` (whole groups) on.
    pub(super) fn values(&self, head: usize, panel: usize, from: usize) -> &[u8] {
        let (part, size) = (self.shape.parts()[2], self.shape.value_panel());
        &self.values[head * part + panel * size..][from * PANEL * self.shape.number.size()..size]
    }
}

impl<'a> Packing<'a> {
    /// Into `bytes` of [`Shape::bytes`]. Queries, keys and values that only fill up the last tile, panel or group are set
    /// to zero: what memory held before must not steer the way a tile goes.
    pub(crate) fn new(shape: Shape, bytes: &'a mut [u8]) -> Self {
        let [queries, keys, values] = shape.parts().map(|part| part * shape.heads);
        let (queries, rest) = bytes.split_at_mut(queries);
        let (keys, rest) = rest.split_at_mut(keys);
        let values = &mut rest[..values];
        let (head, used) = (shape.parts()[0], shape.queries * shape.query_stride());
        queries.chunks_exact_mut(head.max(1)).for_each(|head| head[used..].fill(0));
        if !shape.keys.is_multiple_of(PANEL) {
            let head = shape.parts()[1];
            let last = head - shape.key_panel();
            keys.chunks_exact_mut(head).for_each(|head| head[last..].fill(0));
        }
        if shape.keys < shape.kept_keys() {
            let tail = 4 * PANEL * shape.number.size();
            for panel in values.chunks_exact_mut(shape.value_panel()) {
                panel[shape.value_panel() - tail..].fill(0);
            }
        }
        Self {
            shape,
            queries: Disjoint::new(queries),
            keys: Disjoint::new(keys),
            values: Disjoint::new(values),
        }
    }

    /// What is packed.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Converts `x`, from dimension `dim` (whole groups) on; the last ones are filled up with zeros.
    fn convert<'b>(&self, dim: usize, x: &[f32], buffer: &'b mut [u8; 4 * MAX_HEAD_DIM]) -> &'b [u8] {
        let Shape { level, number, head_dim, .. } = self.shape;
        assert!(dim.is_multiple_of(4) && dim + x.len() <= head_dim, "{} at {dim} of {head_dim}", x.len());
        let whole = &mut buffer[..x.len().next_multiple_of(4) * number.size()];
        level.convert(number, x, whole);
        whole
    }

    /// Query `row`, already scaled: `x` from dimension `dim` on.
    ///
    /// # Safety
    /// No other thread writes this row of this head.
    pub(crate) unsafe fn put_query(&self, head: usize, row: usize, dim: usize, x: &[f32]) {
        let mut buffer = [0; 4 * MAX_HEAD_DIM];
        let bytes = self.convert(dim, x, &mut buffer);
        let from =
            head * self.shape.parts()[0] + row * self.shape.query_stride() + dim * self.shape.number.size();
        // SAFETY: the caller's.
        unsafe { self.queries.part(from, bytes.len()) }.copy_from_slice(bytes);
    }

    /// The key at position `key`: `x` from dimension `dim` on.
    ///
    /// # Safety
    /// No other thread writes this position of this head.
    pub(crate) unsafe fn put_key(&self, head: usize, key: usize, dim: usize, x: &[f32]) {
        let mut buffer = [0; 4 * MAX_HEAD_DIM];
        let bytes = self.convert(dim, x, &mut buffer);
        let panel = head * self.shape.parts()[1] + key / PANEL * self.shape.key_panel();
        let from = panel + dim * PANEL * self.shape.number.size() + key % PANEL * 4;
        // SAFETY: the caller's; other positions lie between these groups of 4 bytes.
        unsafe { self.keys.scatter::<4>(from, 4 * PANEL, bytes) }
    }

    /// The value at position `key`: `x` from dimension `dim` (a multiple of 32) on.
    ///
    /// # Safety
    /// No other thread writes this position of this head.
    pub(crate) unsafe fn put_value(&self, head: usize, key: usize, dim: usize, x: &[f32]) {
        let mut buffer = [0; 4 * MAX_HEAD_DIM];
        let bytes = self.convert(dim, x, &mut buffer);
        let (size, group) = (self.shape.number.size(), self.shape.number.group());
        let head = head * self.shape.parts()[2];
        let row = key / group * PANEL * 4 + key % group * size;
        for (i, bytes) in bytes.chunks(PANEL * size).enumerate() {
            let from = head + (dim / PANEL + i) * self.shape.value_panel() + row;
            // SAFETY: the caller's; other positions lie between these numbers.
            unsafe {
                match size {
                    2 => self.values.scatter::<2>(from, 4, bytes),
                    _ => self.values.part(from, bytes.len()).copy_from_slice(bytes),
                }
            }
        }
    }
}
