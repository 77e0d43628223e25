//! A matrix of weights in the number type of its checkpoint.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::{Error, Result};

/// Values of a weight, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// IEEE half precision.
    F16(Vec<f16>),
    /// Brain floats.
    Bf16(Vec<bf16>),
    /// Symmetric int8 with one scale for each row: w = data × scale (compressed-tensors `int-quantized`, by channel).
    Int8 {
        /// Quantised values, `[rows, cols]`.
        data: Vec<i8>,
        /// Scales, `[rows]`.
        scale: Vec<f32>,
    },
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
            Self::Int8 { data, .. } => data.len(),
        }
    }

    /// As f32; int8 rows (there are `rows`) are multiplied by their scales.
    pub(super) fn to_f32(&self, rows: usize) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::F16(values) => values.to_f32_vec(),
            Self::Bf16(values) => values.to_f32_vec(),
            Self::Int8 { data, scale } => {
                let cols = data.len() / rows.max(1);
                let mut floats = Vec::with_capacity(data.len());
                for (row, scale) in data.chunks(cols.max(1)).zip(scale) {
                    floats.extend(row.iter().map(|&q| f32::from(q) * scale));
                }
                floats
            }
        }
    }
}

/// A matrix `[rows, cols]`; of a linear layer `[out, in]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    rows: usize,
    cols: usize,
    values: Values,
}

impl Weight {
    /// # Errors
    /// [`Error::Shape`] if the values are not `rows × cols`, or the scales not `rows`.
    pub fn new(rows: usize, cols: usize, values: Values) -> Result<Self> {
        let scales_fit = !matches!(&values, Values::Int8 { scale, .. } if scale.len() != rows);
        if values.len() != rows * cols || !scales_fit {
            return Err(Error::Shape(format!(
                "{} values do not make a [{rows}, {cols}] weight",
                values.len()
            )));
        }
        Ok(Self { rows, cols, values })
    }

    /// Rows: outputs of a linear layer.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: inputs of a linear layer.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The values in their own type.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The values as the CPU backend takes them.
    #[must_use]
    pub fn as_cpu(&self) -> cpu_backend::Weights<'_> {
        match &self.values {
            Values::F32(values) => cpu_backend::Weights::F32(values),
            Values::F16(values) => cpu_backend::Weights::F16(values),
            Values::Bf16(values) => cpu_backend::Weights::Bf16(values),
            Values::Int8 { data, scale } => cpu_backend::Weights::Int8 { data, scale },
        }
    }

    /// Gives the values away.
    #[must_use]
    pub fn into_values(self) -> Values {
        self.values
    }

    /// The values as f32, `[rows, cols]`.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.values.to_f32(self.rows)
    }
}
