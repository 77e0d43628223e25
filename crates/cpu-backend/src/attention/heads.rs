//! Queries, keys and values of many positions, packed per head as the products of attention read them.
//!
//! | what | layout, g numbers in 4 bytes |
//! |---|---|
//! | queries | rows of `head_dim`, in the numbers of the product, whole tiles of rows |
//! | keys | panels of 32 positions, `[head_dim / g][32][g]`: the scores' right operand |
//! | values | panels of 32 dimensions, `[positions / g][32][g]`: the right operand of the weights |
//!
//! In whole numbers, each row of a head has its own scale; bytes of values lie in the order of [`byte_group_place`].

use crate::kernels::{
    BLOCK_KEYS, Disjoint, KeyTerms, Number, PANEL, WholeRow, byte_group_place, i16_limit_of_both, row_stride,
};
use crate::level::Level;

/// Most dimensions of a head.
pub(crate) const MAX_HEAD_DIM: usize = 256;

/// Values of smaller numbers are zeros: those have a scale, too, and its logarithm and inverse.
const LEAST_VALUE: f32 = 1e-16;

/// Numbers kept for each key in whole numbers, see [`KeyTerms`].
const TERMS: usize = 4;

/// What is packed, and in which numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) level: Level,
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

    /// Positions whose values are kept: whole groups, in whole numbers whole blocks of them.
    fn kept_keys(self) -> usize {
        self.keys.next_multiple_of(self.run_of_keys())
    }

    /// The largest whole number of values, such that a block's products sum up to 32 bits.
    fn largest_value(self) -> f32 {
        match self.number {
            Number::U8 => 127.0,
            _ => i16_limit_of_both(BLOCK_KEYS) as f32,
        }
    }

    /// Keys that are weighed together.
    fn run_of_keys(self) -> usize {
        if self.number.is_whole() { BLOCK_KEYS } else { 4 }
    }

    pub(super) fn key_panel(self) -> usize {
        self.depth() * PANEL * self.number.size()
    }

    pub(super) fn value_panel(self) -> usize {
        self.kept_keys() * PANEL * self.number.size()
    }

    /// The parts of a row that belong to each head.
    fn split(self, x: &[f32]) -> impl Iterator<Item = &[f32]> {
        assert_eq!(x.len(), self.heads * self.head_dim);
        x.chunks_exact(self.head_dim)
    }

    fn kept_queries(self) -> usize {
        self.queries.next_multiple_of(self.level.tile_rows())
    }

    /// Bytes of one head's queries, keys and values.
    fn parts(self) -> [usize; 3] {
        [
            self.kept_queries() * self.query_stride(),
            self.kept_keys().div_ceil(PANEL) * self.key_panel(),
            self.head_dim.div_ceil(PANEL) * self.value_panel(),
        ]
    }

    /// Bytes of all.
    pub(crate) fn bytes(self) -> usize {
        self.heads * self.parts().iter().sum::<usize>()
    }

    /// Scales of one head's queries, and terms of its keys.
    fn scale_parts(self) -> [usize; 2] {
        match self.number {
            number if number.is_whole() => [self.kept_queries(), TERMS * self.kept_keys()],
            _ => [0, 0],
        }
    }

    /// Scales of all.
    pub(crate) fn scales(self) -> usize {
        self.heads * self.scale_parts().iter().sum::<usize>()
    }
}

/// Packed heads that several threads write, each its own rows.
pub(crate) struct Packing<'a> {
    shape: Shape,
    queries: Disjoint<'a, u8>,
    keys: Disjoint<'a, u8>,
    values: Disjoint<'a, u8>,
    query_scales: Disjoint<'a>,
    key_terms: Disjoint<'a>,
}

/// Packed heads.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) shape: Shape,
    queries: &'a [u8],
    keys: &'a [u8],
    values: &'a [u8],
    query_scales: &'a [f32],
    key_terms: &'a [f32],
}

impl<'a> Heads<'a> {
    /// What [`Packing`] wrote into `bytes` and `scales`.
    pub(crate) fn of(shape: Shape, bytes: &'a [u8], scales: &'a [f32]) -> Self {
        let [queries, keys, values] = shape.parts().map(|part| part * shape.heads);
        let [of_queries, of_keys] = shape.scale_parts().map(|part| part * shape.heads);
        let (queries, rest) = bytes.split_at(queries);
        let (keys, rest) = rest.split_at(keys);
        let (query_scales, terms) = scales.split_at(of_queries);
        Self { shape, queries, keys, values: &rest[..values], query_scales, key_terms: &terms[..of_keys] }
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

    /// What the numbers of one head's queries count, from `row` on.
    pub(super) fn query_scales(&self, head: usize, row: usize) -> &[f32] {
        let part = self.shape.scale_parts()[0];
        &self.query_scales[head * part..(head + 1) * part][row..]
    }

    /// What the sums of the block of [`BLOCK_KEYS`] keys from `from` on stand for.
    pub(super) fn key_terms(&self, head: usize, from: usize) -> KeyTerms<'_> {
        let (part, kept) = (self.shape.scale_parts()[1], self.shape.kept_keys());
        let terms = &self.key_terms[head * part..][..part];
        let [scale, bias, value_log, value_inverse] =
            [0, 1, 2, 3].map(|term| &terms[term * kept + from..][..BLOCK_KEYS]);
        KeyTerms { scale, bias, value_log, value_inverse }
    }
}

impl<'a> Packing<'a> {
    /// Into `bytes` of [`Shape::bytes`] and `scales` of [`Shape::scales`]. Queries, keys and values that only fill up the last
    /// tile, panel or group are set to zero: what memory held before must not steer the way a tile goes.
    pub(crate) fn new(shape: Shape, bytes: &'a mut [u8], scales: &'a mut [f32]) -> Self {
        let [queries, keys, values] = shape.parts().map(|part| part * shape.heads);
        let (queries, rest) = bytes.split_at_mut(queries);
        let (keys, rest) = rest.split_at_mut(keys);
        let values = &mut rest[..values];
        let (head, used) = (shape.parts()[0], shape.queries * shape.query_stride());
        queries.chunks_exact_mut(head.max(1)).for_each(|head| head[used..].fill(0));
        if !shape.keys.is_multiple_of(PANEL) {
            let used = shape.keys / PANEL * shape.key_panel();
            keys.chunks_exact_mut(shape.parts()[1]).for_each(|head| head[used..].fill(0));
        }
        if shape.keys < shape.kept_keys() {
            // Whole runs, in whose order the last positions may lie anywhere.
            let run = shape.run_of_keys();
            let used = shape.keys / run * run * PANEL * shape.number.size();
            values.chunks_exact_mut(shape.value_panel()).for_each(|panel| panel[used..].fill(0));
        }
        let [of_queries, of_keys] = shape.scale_parts().map(|part| part * shape.heads);
        let (query_scales, terms) = scales.split_at_mut(of_queries);
        Self {
            shape,
            queries: Disjoint::new(queries),
            keys: Disjoint::new(keys),
            values: Disjoint::new(values),
            query_scales: Disjoint::new(query_scales),
            key_terms: Disjoint::new(&mut terms[..of_keys]),
        }
    }

    /// What is packed.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Query `row` of all heads `[heads · head_dim]`, times `factor`.
    ///
    /// # Safety
    /// No other thread writes this row.
    pub(crate) unsafe fn put_query(&self, row: usize, x: &[f32], factor: f32) {
        let Shape { number, head_dim, .. } = self.shape;
        let mut buffer = Buffer::new(self.shape);
        let mut scaled = [0.0; MAX_HEAD_DIM];
        let scaled = &mut scaled[..head_dim];
        for (head, x) in self.shape.split(x).enumerate() {
            let at = head * self.shape.parts()[0] + row * self.shape.query_stride();
            let bytes = if number.is_whole() {
                let rounded = buffer.round(x, Role::Query);
                // SAFETY: the caller's.
                let scale = unsafe { self.query_scales.part(head * self.shape.scale_parts()[0] + row, 1) };
                scale[0] = rounded.scale * factor;
                buffer.bytes()
            } else {
                scaled.iter_mut().zip(x).for_each(|(to, x)| *to = x * factor);
                buffer.convert(scaled)
            };
            // SAFETY: the caller's.
            unsafe { self.queries.part(at, bytes.len()) }.copy_from_slice(bytes);
        }
    }

    /// The keys of all heads at position `key` `[heads · head_dim]`.
    ///
    /// # Safety
    /// No other thread writes this position.
    pub(crate) unsafe fn put_key(&self, key: usize, x: &[f32]) {
        let number = self.shape.number;
        let mut buffer = Buffer::new(self.shape);
        for (head, x) in self.shape.split(x).enumerate() {
            let bytes = if number.is_whole() {
                let WholeRow { scale, sum } = buffer.round(x, Role::Key);
                // Queries in bytes have their zero at 128.
                // SAFETY: the caller's.
                unsafe { self.put_terms(head, key, 0, [scale, -128.0 * scale * sum]) };
                buffer.bytes()
            } else {
                buffer.convert(x)
            };
            let from = head * self.shape.parts()[1] + key / PANEL * self.shape.key_panel() + key % PANEL * 4;
            // SAFETY: the caller's; other positions lie between these groups of 4 bytes.
            unsafe { self.keys.scatter::<4>(from, 4 * PANEL, bytes) }
        }
    }

    /// The values of all heads at position `key` `[heads · head_dim]`.
    ///
    /// # Safety
    /// No other thread writes this position.
    pub(crate) unsafe fn put_value(&self, key: usize, x: &[f32]) {
        let number = self.shape.number;
        let (size, group) = (number.size(), key / number.group());
        let mut buffer = Buffer::new(self.shape);
        for (head, x) in self.shape.split(x).enumerate() {
            let (bytes, group) = if number.is_whole() {
                let mut scale = buffer.round(x, Role::Value).scale;
                let least = LEAST_VALUE / self.shape.largest_value();
                // NaN passes.
                if scale < least {
                    buffer.bytes().fill(0);
                    scale = least;
                }
                // SAFETY: the caller's.
                unsafe { self.put_terms(head, key, 2, [scale.log2(), 1.0 / scale]) };
                (buffer.bytes(), if number == Number::U8 { byte_group_place(group) } else { group })
            } else {
                (buffer.convert(x), group)
            };
            let from = head * self.shape.parts()[2] + group * PANEL * 4 + key % number.group() * size;
            for (panel, bytes) in bytes.chunks(PANEL * size).enumerate() {
                let from = from + panel * self.shape.value_panel();
                // SAFETY: the caller's; other positions lie between these numbers.
                unsafe {
                    match size {
                        1 => self.values.scatter::<1>(from, 4, bytes),
                        2 => self.values.scatter::<2>(from, 4, bytes),
                        _ => self.values.part(from, bytes.len()).copy_from_slice(bytes),
                    }
                }
            }
        }
    }

    /// Two of a key's [`KeyTerms`], from the one at place `first` on.
    ///
    /// # Safety
    /// No other thread writes this position.
    unsafe fn put_terms(&self, head: usize, key: usize, first: usize, terms: [f32; 2]) {
        let kept = self.shape.kept_keys();
        let at = head * self.shape.scale_parts()[1] + key;
        for (i, term) in terms.into_iter().enumerate() {
            // SAFETY: the caller's.
            let place = unsafe { self.key_terms.part(at + (first + i) * kept, 1) };
            place[0] = term;
        }
    }
}

/// What a head's row is to be multiplied with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Query,
    Key,
    Value,
}

/// A head's row as it is packed, filled up with zeros to whole groups.
struct Buffer {
    shape: Shape,
    bytes: [u8; 4 * MAX_HEAD_DIM],
}

impl Buffer {
    fn new(shape: Shape) -> Self {
        Self { shape, bytes: [0; 4 * MAX_HEAD_DIM] }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.shape.depth() * self.shape.number.size()]
    }

    /// To whole numbers whose products are sure to sum up to 32 bits. In bytes the sum of the row's is known, too.
    fn round(&mut self, x: &[f32], role: Role) -> WholeRow {
        let Shape { level, number, .. } = self.shape;
        let bytes = self.bytes();
        if number == Number::U8 {
            return level.round_i8(x, role == Role::Query, bytes);
        }
        let products = if role == Role::Value { BLOCK_KEYS } else { x.len() };
        WholeRow { scale: level.round_i16(x, i16_limit_of_both(products), bytes), sum: 0.0 }
    }

    fn convert(&mut self, x: &[f32]) -> &mut [u8] {
        let Shape { level, number, .. } = self.shape;
        let bytes = self.bytes();
        level.convert(number, x, bytes);
        bytes
    }
}
