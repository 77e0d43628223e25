//! The convolutions before the blocks, as products: GELU(conv2(GELU(conv1(mel)))).
//!
//! Both have three taps and padding 1, strides 1 and 2. A row of the product is three frames side by side, which they are
//! in memory anyway: rows are read in place and overlap.

use super::workspace::{Workspace, enlarge};
use crate::context::Context;
use crate::kernels::{Disjoint, Ending, Number, PANEL};
use crate::linear::{InPlace, Linear, blocks};

/// Taps of a convolution.
const TAPS: usize = 3;

/// A convolution over frames: a linear layer over the frames t − 1, t, t + 1 side by side, with zeros outside.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// `[channels out, 3 · channels in]`, tap by tap.
    pub layer: &'a Linear,
    /// Frames from one output to the next.
    pub stride: usize,
}

impl Convolution<'_> {
    fn channels(&self) -> usize {
        self.layer.inputs() / TAPS
    }

    /// Whether its rows can be read in place: whole groups of channels, without a scale of their own.
    fn fits(&self, ctx: &Context, channels: usize) -> bool {
        self.layer.inputs() == TAPS * channels
            && channels.is_multiple_of(4)
            && self.stride > 0
            && matches!(self.layer.operand(ctx), Number::F32 | Number::Bf16)
    }
}

/// `y[t] = GELU(conv2(GELU(conv1(mel))))[t] + positions[t]` for `mel` `[channels, frames]` and `positions` and `y`
/// `[frames / strides, d_model]`. Returns whether it did: not when
/// channels are no multiples of 4, or the layers want activations in 8 or 16 bits.
///
/// # Panics
/// When a length disagrees with the others.
pub fn encode_stem(
    ctx: &Context,
    convolutions: [Convolution; 2],
    mel: &[f32],
    positions: &[f32],
    y: &mut [f32],
    workspace: &mut Workspace,
) -> bool {
    let [first, second] = convolutions;
    let (mels, hidden, d_model) = (first.channels(), first.layer.outputs(), second.layer.outputs());
    if !first.fits(ctx, mels) || !second.fits(ctx, hidden) {
        return false;
    }
    let frames = mel.len() / mels;
    let middle = frames.div_ceil(first.stride);
    let rows = middle.div_ceil(second.stride);
    assert!(mel.len() == mels * frames && y.len() == rows * d_model && positions.len() == y.len());
    let [mel_frames, hidden_frames] = &mut workspace.frames;
    let size = |layer: &Linear| layer.operand(ctx).size();

    // Frames of the mel, converted; a frame of zeros before and after.
    let of_first = Frames { channels: mels, size: size(first.layer), frames };
    enlarge(mel_frames, of_first.bytes(ctx, first.stride));
    let to = of_first.edges(mel_frames);
    ctx.split(frames, 64, |share| {
        for t in share {
            for from in (0..mels).step_by(PANEL) {
                let mut row = [0.0; PANEL];
                let row = &mut row[..PANEL.min(mels - from)];
                row.iter_mut().enumerate().for_each(|(i, v)| *v = mel[(from + i) * frames + t]);
                // SAFETY: this frame belongs to this share alone.
                let to = unsafe { to.part(of_first.at(t, from), row.len() * of_first.size) };
                ctx.level().convert(first.layer.operand(ctx), row, to);
            }
        }
    });

    let of_second = Frames { channels: hidden, size: size(second.layer), frames: middle };
    enlarge(hidden_frames, of_second.bytes(ctx, second.stride));
    let to = of_second.edges(hidden_frames);
    convolve(ctx, first, of_first, mel_frames, middle, |values, row, column| {
        let values = &values[..PANEL.min(hidden - column)];
        // SAFETY: these channels of this frame belong to one task alone.
        let to = unsafe { to.part(of_second.at(row, column), values.len() * of_second.size) };
        ctx.level().convert(second.layer.operand(ctx), values, to);
    });

    let y = Disjoint::new(y);
    convolve(ctx, second, of_second, hidden_frames, rows, |values, row, column| {
        let len = PANEL.min(d_model - column);
        // SAFETY: these columns of this row belong to one task alone.
        let to = unsafe { y.part(row * d_model + column, len) };
        let positions = &positions[row * d_model + column..][..len];
        to.iter_mut().zip(values).zip(positions).for_each(|((y, v), p)| *y = v + p);
    });
    true
}

/// Frames in memory one after the other, one of zeros before and at least one after.
#[derive(Clone, Copy)]
struct Frames {
    channels: usize,
    /// Bytes of a number.
    size: usize,
    frames: usize,
}

impl Frames {
    /// Where channel `channel` of frame `t` is.
    fn at(self, t: usize, channel: usize) -> usize {
        ((t + 1) * self.channels + channel) * self.size
    }

    /// With room for the last tile of rows, `stride` frames apart, to be whole.
    fn bytes(self, ctx: &Context, stride: usize) -> usize {
        self.at(self.frames + TAPS + stride * ctx.level().tile_rows(), 0)
    }

    /// Sets the frames around to zero and gives all to be written.
    fn edges(self, bytes: &mut [u8]) -> Disjoint<'_, u8> {
        let end = self.at(self.frames, 0);
        bytes[..self.at(0, 0)].fill(0);
        bytes[end..end + self.at(0, 0)].fill(0);
        Disjoint::new(bytes)
    }
}

/// GELU of a convolution: `sink` gets 32 outputs of a row at a time.
fn convolve(
    ctx: &Context,
    convolution: Convolution,
    from: Frames,
    bytes: &[u8],
    rows: usize,
    sink: impl Fn(&[f32; PANEL], usize, usize) + Send + Sync,
) {
    let cut = blocks(ctx, rows);
    let stride = convolution.stride * from.channels * from.size;
    ctx.run(cut.count(), |task| {
        let range = cut.rows(task);
        let left = InPlace {
            level: ctx.level(),
            number: convolution.layer.operand(ctx),
            bytes: &bytes[range.start * stride..],
            stride,
            rows: range.len(),
        };
        let layer = convolution.layer;
        layer.product(&left, layer.panels(), |sums| {
            sums.each(Ending::Gelu, |values, row, column| sink(values, range.start + row, column));
        });
    });
}
