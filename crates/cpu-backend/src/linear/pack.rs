//! Packed weights: panels of 32 output rows, so that the lanes of a vector are outputs and no sum is horizontal.
//!
//! Weight (o, k) lies in panel `o / 32` at `(k / g · 32 + o % 32) · g + k % g`, with g = 1 for f32, 2 for bf16
//! and 4 for int8 (the operand orders of `vdpbf16ps` and `vpdpbusd`). Inputs are padded with zeros to a multiple
//! of 4, outputs to a multiple of 32.

use super::{Storage, Weights};
use crate::error::Error;
use crate::kernels::{Matrix, PANEL};
use crate::resident::{Plain, Resident};
use half::bf16;
use half::slice::HalfFloatSliceExt;

/// Packed weights of one layer.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    data: Data,
    /// Inputs, padded.
    depth: usize,
}

#[derive(Clone, Debug)]
enum Data {
    F32(Resident<f32>),
    /// Scales, where the weights came as whole numbers: those are kept, being exact in bf16.
    Bf16(Resident<bf16>, Option<Vec<f32>>),
    /// Scales, and sums of each output's whole numbers.
    Int8(Resident<i8>, Vec<f32>, Vec<f32>),
}

/// Where weight (output, k) is kept.
fn offset(output: usize, k: usize, depth: usize, group: usize) -> usize {
    output / PANEL * depth * PANEL + (k / group * PANEL + output % PANEL) * group + k % group
}

impl Weights<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(w) => w.len(),
            Self::F16(w) => w.len(),
            Self::Bf16(w) => w.len(),
            Self::Int8 { data, .. } => data.len(),
        }
    }

    fn read_row(&self, output: usize, into: &mut [f32]) {
        let range = output * into.len()..(output + 1) * into.len();
        match self {
            Self::F32(w) => into.copy_from_slice(&w[range]),
            Self::F16(w) => w[range].convert_to_f32_slice(into),
            Self::Bf16(w) => w[range].convert_to_f32_slice(into),
            Self::Int8 { data, scale } => {
                into.iter_mut().zip(&data[range]).for_each(|(v, &q)| *v = f32::from(q) * scale[output]);
            }
        }
    }
}

impl Packed {
    pub(super) fn new(
        weights: Weights,
        outputs: usize,
        inputs: usize,
        storage: Storage,
    ) -> Result<Self, Error> {
        check_lengths(&weights, outputs, inputs)?;
        let depth = inputs.next_multiple_of(4);
        let padded = outputs.div_ceil(PANEL) * PANEL;
        let shape = (outputs, inputs, depth);
        let mut row = vec![0.0_f32; inputs];
        let data = match storage {
            Storage::F32 => {
                let data = panels::<f32, 1>(shape, |o, to| {
                    weights.read_row(o, to);
                    Ok(())
                })?;
                Data::F32(data)
            }
            Storage::Bf16 => {
                let scales = match weights {
                    Weights::Int8 { scale, .. } => {
                        let mut padding = scale.to_vec();
                        padding.resize(padded, 0.0);
                        Some(padding)
                    }
                    _ => None,
                };
                let data = panels::<bf16, 2>(shape, |o, to| {
                    if let Weights::Int8 { data, .. } = weights {
                        let whole = &data[o * inputs..(o + 1) * inputs];
                        row.iter_mut().zip(whole).for_each(|(v, &q)| *v = f32::from(q));
                    } else {
                        weights.read_row(o, &mut row);
                    }
                    // To nearest, ties to even.
                    to.convert_from_f32_slice(&row);
                    Ok(())
                })?;
                Data::Bf16(data, scales)
            }
            Storage::Int8 => {
                let (mut scales, mut sums) = (vec![0.0; padded], vec![0.0; padded]);
                let data = if let Weights::Int8 { data: whole, scale } = weights {
                    scales[..outputs].copy_from_slice(scale);
                    panels_of_whole(whole, shape, &mut sums)
                } else {
                    panels::<i8, 4>(shape, |o, to| {
                        weights.read_row(o, &mut row);
                        scales[o] = quantise(&row, to).ok_or_else(|| {
                            let why = format!("output row {o} holds a number that is not finite");
                            let hint = "check the checkpoint or use f32 storage";
                            Error::new("quantising a linear layer", why, hint)
                        })?;
                        sums[o] = sum(to);
                        Ok(())
                    })?
                };
                Data::Int8(data, scales, sums)
            }
        };
        Ok(Self { data, depth })
    }

    pub(super) fn storage(&self) -> Storage {
        match self.data {
            Data::F32(_) => Storage::F32,
            Data::Bf16(..) => Storage::Bf16,
            Data::Int8(..) => Storage::Int8,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.data {
            Data::F32(w) => size_of_val(&w[..]),
            Data::Bf16(w, scales) => size_of_val(&w[..]) + scales.as_ref().map_or(0, |s| size_of_val(&s[..])),
            Data::Int8(w, scales, _) => size_of_val(&w[..]) + size_of_val(&scales[..]),
        }
    }

    /// Inputs, padded to a multiple of 4 with zero weights.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// One weight, as f32.
    pub(super) fn get(&self, output: usize, k: usize) -> f32 {
        match &self.data {
            Data::F32(w) => w[offset(output, k, self.depth, 1)],
            Data::Bf16(w, scales) => {
                let w = w[offset(output, k, self.depth, 2)].to_f32();
                scales.as_ref().map_or(w, |scales| w * scales[output])
            }
            Data::Int8(w, scales, _) => f32::from(w[offset(output, k, self.depth, 4)]) * scales[output],
        }
    }

    /// Depths `from..to` (multiples of 4) of one panel, `[to − from][32]`.
    pub(super) fn panel(&self, panel: usize, from: usize, to: usize) -> Matrix<'_> {
        let range = (panel * self.depth + from) * PANEL..(panel * self.depth + to) * PANEL;
        match &self.data {
            Data::F32(w) => Matrix::F32(&w[range]),
            Data::Bf16(w, _) => Matrix::Bf16Pairs(&w[range]),
            Data::Int8(w, ..) => Matrix::I8Quads(&w[range]),
        }
    }

    /// The scales of a panel's outputs, where the stored numbers need one.
    pub(super) fn scale(&self, panel: usize) -> Option<&[f32; PANEL]> {
        match &self.data {
            Data::Bf16(_, Some(scales)) | Data::Int8(_, scales, _) => scales[panel * PANEL..].first_chunk(),
            _ => None,
        }
    }

    /// The sums of a panel's whole numbers, per output; only int8 storage keeps them.
    pub(super) fn column_sums(&self, panel: usize) -> Option<&[f32; PANEL]> {
        match &self.data {
            Data::Int8(_, _, sums) => sums[panel * PANEL..].first_chunk(),
            _ => None,
        }
    }
}

/// Packs the rows that `read` writes, one after the other, in groups of `G`: panel by panel, so that each page of the result is
/// met once and only one panel's rows need a place in the cache.
fn panels<T: Plain, const G: usize>(
    (outputs, inputs, depth): (usize, usize, usize),
    mut read: impl FnMut(usize, &mut [T]) -> Result<(), Error>,
) -> Result<Resident<T>, Error> {
    let mut data = Resident::zeroed(outputs.div_ceil(PANEL) * PANEL * depth);
    if inputs == 0 {
        return Ok(data);
    }
    let mut rows = vec![T::default(); PANEL * inputs];
    for (panel, to) in data.chunks_exact_mut(PANEL * depth).enumerate() {
        let shown = panel * PANEL..outputs.min((panel + 1) * PANEL);
        let rows = &mut rows[..shown.len() * inputs];
        for (o, row) in shown.zip(rows.chunks_exact_mut(inputs)) {
            read(o, row)?;
        }
        interleave::<T, G>(rows, inputs, to);
    }
    Ok(data)
}

/// As [`panels`], of whole numbers where they lie, `[outputs, inputs]`, and their sums.
fn panels_of_whole(
    whole: &[i8],
    (outputs, inputs, depth): (usize, usize, usize),
    sums: &mut [f32],
) -> Resident<i8> {
    let mut data = Resident::zeroed(outputs.div_ceil(PANEL) * PANEL * depth);
    if inputs > 0 {
        let panels = data.chunks_exact_mut(PANEL * depth).zip(sums.chunks_exact_mut(PANEL));
        for (rows, (to, sums)) in whole.chunks(PANEL * inputs).zip(panels) {
            sums.iter_mut().zip(rows.chunks_exact(inputs)).for_each(|(to, row)| *to = sum(row));
            interleave::<i8, 4>(rows, inputs, to);
        }
    }
    data
}

/// Groups of a row that are moved at a time: a cache line of int8.
const TOGETHER: usize = 16;

/// Writes at most 32 rows `[inputs]` into a panel, which holds zeros.
fn interleave<T: Copy, const G: usize>(rows: &[T], inputs: usize, panel: &mut [T]) {
    let groups = inputs / G;
    // A whole panel goes line by line of its rows, which may share few of the cache's sets, and four rows at a time.
    let by_lines = if rows.len() == PANEL * inputs { groups / TOGETHER } else { 0 };
    let row = |r: usize| rows[r * inputs..(r + 1) * inputs].as_chunks::<G>();
    let (panel, _) = panel.as_chunks_mut::<G>();
    let (whole, rest) = panel.split_at_mut(by_lines * TOGETHER * PANEL);
    for (line, to) in whole.as_chunks_mut::<{ TOGETHER * PANEL }>().0.iter_mut().enumerate() {
        for r in (0..PANEL).step_by(4) {
            let four = [r, r + 1, r + 2, r + 3].map(|r| &row(r).0.as_chunks::<TOGETHER>().0[line]);
            for g in 0..TOGETHER {
                to[g * PANEL + r..][..4].copy_from_slice(&four.map(|from| from[g]));
            }
        }
    }
    for r in 0..rows.len() / inputs {
        let (from, last) = row(r);
        let mut to = rest.iter_mut().skip(r).step_by(PANEL);
        for (from, to) in from[by_lines * TOGETHER..].iter().zip(to.by_ref()) {
            *to = *from;
        }
        if let Some(to) = to.next().filter(|_| !last.is_empty()) {
            to[..last.len()].copy_from_slice(last);
        }
    }
}

/// The sum of whole numbers, in lanes of 16 bits as long as those hold it. Exact: below 2²⁴ up to a depth of 132,000.
fn sum(row: &[i8]) -> f32 {
    let (lines, rest) = row.as_chunks::<16>();
    let mut all: i32 = rest.iter().map(|&q| i32::from(q)).sum();
    for lines in lines.chunks(255) {
        let mut lanes = [0_i16; 16];
        for line in lines {
            lanes.iter_mut().zip(line).for_each(|(lane, &q)| *lane += i16::from(q));
        }
        all += lanes.iter().map(|&lane| i32::from(lane)).sum::<i32>();
    }
    all as f32
}

fn check_lengths(weights: &Weights, outputs: usize, inputs: usize) -> Result<(), Error> {
    let wrong = |what: &str, got: usize, want: usize| {
        let why = format!("{what} holds {got} numbers, a [{outputs}, {inputs}] layer needs {want}");
        Error::new("packing a linear layer", why, "pass row-major [out, in] weights")
    };
    if Some(weights.len()) != outputs.checked_mul(inputs) {
        return Err(wrong("the weight", weights.len(), outputs.saturating_mul(inputs)));
    }
    match weights {
        Weights::Int8 { scale, .. } if scale.len() != outputs => {
            Err(wrong("the scale", scale.len(), outputs))
        }
        _ => Ok(()),
    }
}

/// Rounds a row to i8 (nearest, ties to even) and returns its scale, max / 127; `None` if it is not finite.
fn quantise(row: &[f32], into: &mut [i8]) -> Option<f32> {
    if !row.iter().all(|w| w.is_finite()) {
        return None;
    }
    let most = row.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
    let scale = most / 127.0;
    if scale == 0.0 {
        into.fill(0);
        return Some(0.0);
    }
    for (q, w) in into.iter_mut().zip(row) {
        *q = (w / scale).round_ties_even().clamp(-127.0, 127.0) as i8;
    }
    Some(scale)
}
