//! A linear layer with packed, resident weights.

mod few;
mod many;
mod pack;
mod words;

use crate::context::Context;
use crate::error::Error;
use crate::kernels::{Ending, Matrix, PANEL};
use half::{bf16, f16};
pub(crate) use many::{InPlace, Operand, blocks};
use pack::Packed;
use std::ops::Range;

/// Rows up to which the weights are streamed once with f32 arithmetic instead of multiplied in tiles.
const FEW_ROWS: usize = 8;

/// A weight matrix to build a [`Linear`] from, `[out, in]` row-major.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 16-bit IEEE floats.
    F16(&'a [f16]),
    /// 16-bit brain floats.
    Bf16(&'a [bf16]),
    /// Whole numbers times one scale per output row: `w[o][i] = data[o][i] · scale[o]`.
    Int8 {
        /// The whole numbers, `[out, in]`.
        data: &'a [i8],
        /// One scale per output row, `[out]`.
        scale: &'a [f32],
    },
}

/// How a [`Linear`] keeps its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// 4 bytes a weight, exact.
    F32,
    /// 2 bytes a weight; rounded to nearest, ties to even (relative error ≤ 2⁻⁸).
    Bf16,
    /// 1 byte a weight and one scale per output row; rounded to nearest, ties to even, of max|row| / 127.
    Int8,
}

/// What happens to the sums besides adding the bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// `y = x·Wᵀ + b`.
    None,
    /// `y = gelu(x·Wᵀ + b)`, with the exact error function.
    Gelu,
    /// `y += x·Wᵀ + b`.
    Residual,
}

/// Panels of a layer to multiply by: the first so many, or some.
#[derive(Clone, Copy)]
enum Panels<'a> {
    First(usize),
    These(&'a [usize]),
}

impl Panels<'_> {
    fn count(self) -> usize {
        match self {
            Self::First(count) => count,
            Self::These(panels) => panels.len(),
        }
    }

    /// Those at `places`.
    fn of(self, places: Range<usize>) -> impl Iterator<Item = usize> {
        places.map(move |place| match self {
            Self::First(_) => place,
            Self::These(panels) => panels[place],
        })
    }
}

impl Epilogue {
    fn ending(self) -> Ending {
        match self {
            Self::None => Ending::Store,
            Self::Gelu => Ending::Gelu,
            Self::Residual => Ending::Add,
        }
    }
}

/// A linear layer `[rows, in] → [rows, out]`: packed once, then read by every level.
#[derive(Clone, Debug)]
pub struct Linear {
    packed: Packed,
    /// Zeros where there is none; padded to whole panels.
    bias: Vec<f32>,
    outputs: usize,
    inputs: usize,
}

impl Linear {
    /// Packs `weights` `[out, in]` and `bias` `[out]`.
    ///
    /// Int8 weights stay as they are in [`Storage::Int8`]; every other combination converts through f32.
    ///
    /// # Errors
    /// When a length disagrees with `outputs` and `inputs`, or when a row to be quantised is not finite.
    pub fn new(
        weights: Weights,
        bias: Option<&[f32]>,
        outputs: usize,
        inputs: usize,
        storage: Storage,
    ) -> Result<Self, Error> {
        let packed = Packed::new(weights, outputs, inputs, storage)?;
        let mut padded = vec![0.0; outputs.div_ceil(PANEL) * PANEL];
        if let Some(bias) = bias {
            if bias.len() != outputs {
                let why = format!("the bias holds {} numbers, the layer has {outputs} outputs", bias.len());
                return Err(Error::new("packing a linear layer", why, "pass one bias per output row"));
            }
            padded[..outputs].copy_from_slice(bias);
        }
        Ok(Self { packed, bias: padded, outputs, inputs })
    }

    /// Columns of the result.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Columns of the input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How the weights are kept.
    #[must_use]
    pub fn storage(&self) -> Storage {
        self.packed.storage()
    }

    /// Bytes of packed weights: what one step of decoding reads.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.packed.bytes()
    }

    /// Row `index` of the weights as f32, without the bias: the token embedding when this is a tied projection.
    ///
    /// # Panics
    /// When `index` is not below [`Linear::outputs`] or `into` does not hold [`Linear::inputs`] numbers.
    pub fn row(&self, index: usize, into: &mut [f32]) {
        assert!(index < self.outputs, "row {index} of {}", self.outputs);
        assert_eq!(into.len(), self.inputs, "a row holds {} numbers", self.inputs);
        for (k, v) in into.iter_mut().enumerate() {
            *v = self.packed.get(index, k);
        }
    }

    /// `y = epilogue(x·Wᵀ + b)` for `x` `[rows, in]` and `y` `[rows, out]`, both row-major.
    ///
    /// Up to 8 rows stream the weights once, at the speed of memory; more go through tiles. Both use f32
    /// activations and f32 sums, so they differ from exact arithmetic on the stored weights by rounding only. Two
    /// exceptions: more than 8 rows times weights kept as bf16, on a level with bf16 products, round the activations
    /// to bf16 unless [`Context::with_f32_activations`] forbids it; and [`Context::with_int8_activations`] and
    /// [`Context::with_int16_activations`] are wishes for the like in 8 and 16 bits (granted up to 65,792 inputs, where
    /// sums of 32 bits end; more than 8 rows at AVX2 up to 8192, where they would leave the activations fewer than 12).
    ///
    /// # Panics
    /// When `x` or `y` does not hold what `rows` says.
    pub fn forward(&self, ctx: &Context, x: &[f32], rows: usize, y: &mut [f32], epilogue: Epilogue) {
        assert_eq!(x.len(), rows * self.inputs, "x is [{rows}, {}]", self.inputs);
        assert_eq!(y.len(), rows * self.outputs, "y is [{rows}, {}]", self.outputs);
        if rows == 0 || self.outputs == 0 {
            return;
        }
        let all = Panels::First(self.panels().len());
        if words::fits(self, ctx, rows) {
            words::forward(self, ctx, x, rows, y, epilogue, all);
        } else if rows <= FEW_ROWS {
            few::forward(self, ctx, x, rows, y, epilogue, all);
        } else {
            many::forward(self, ctx, x, rows, y, epilogue);
        }
    }

    /// As [`Self::forward`] of one row without an epilogue, to the last bit, but only the outputs of `panels`, each named once:
    /// 32 outputs each, counted from 0. The others stay as they are in `y`.
    pub(crate) fn forward_panels(&self, ctx: &Context, x: &[f32], panels: &[usize], y: &mut [f32]) {
        assert!(x.len() == self.inputs && y.len() == self.outputs);
        let these = Panels::These(panels);
        if words::fits(self, ctx, 1) {
            words::forward(self, ctx, x, 1, y, Epilogue::None, these);
        } else {
            few::forward(self, ctx, x, 1, y, Epilogue::None, these);
        }
    }

    /// Weights of a panel that is kept as int8, `[depth / 4][32][4]`.
    pub(crate) fn panel_quads(&self, panel: usize) -> Option<&[i8]> {
        match self.packed.panel(panel, 0, self.packed.depth()) {
            Matrix::I8Quads(quads) => Some(quads),
            _ => None,
        }
    }

    /// The scales of a panel's outputs: ones where there are none.
    pub(crate) fn panel_scale(&self, panel: usize) -> &[f32; PANEL] {
        self.packed.scale(panel).unwrap_or(&many::ONES)
    }

    /// The bias of panel `panel`.
    pub(crate) fn panel_bias(&self, panel: usize) -> &[f32; PANEL] {
        // The bias is padded to whole panels.
        self.bias[panel * PANEL..].first_chunk().unwrap_or(&[0.0; PANEL])
    }
}
