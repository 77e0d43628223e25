//! A linear layer as the NPU keeps it: the checkpoint's numbers, packed for the device when first used there, and for
//! the CPU when first needed there.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::OnceLock;

use npu_backend::ops::{DeviceWeights, Engine};
use npu_backend::schedule::pack::{WeightValues, Weights};
use npu_backend::schedule::{GemmKind, GemmProblem, Region};

use super::super::{Accelerator, CpuAccelerator, Prepared};
use crate::Result;
use crate::checkpoint::{Values, Weight};

/// The payload of a [`Prepared`].
pub(super) struct NpuLinear {
    /// Unlike any other layer's.
    pub(super) id: u64,
    pub(super) weight: Weight,
    pub(super) bias: Option<Vec<f32>>,
    cpu: OnceLock<Prepared>,
}

impl NpuLinear {
    pub(super) fn new(id: u64, weight: Weight, bias: Option<Vec<f32>>) -> Self {
        Self { id, weight, bias, cpu: OnceLock::new() }
    }

    /// Packed for the CPU, for a fallback.
    pub(super) fn on_cpu(&self, cpu: &CpuAccelerator) -> Result<&Prepared> {
        if let Some(prepared) = self.cpu.get() {
            return Ok(prepared);
        }
        let prepared = cpu.prepare(&self.weight, self.bias.as_deref())?;
        Ok(self.cpu.get_or_init(|| prepared))
    }

    /// Row `n` times `factor`, as f32.
    pub(super) fn row(&self, n: usize, factor: f32, to: &mut [f32]) {
        let cols = self.weight.cols();
        let span = n * cols..(n + 1) * cols;
        match self.weight.values() {
            Values::F32(values) => to.iter_mut().zip(&values[span]).for_each(|(to, v)| *to = v * factor),
            Values::F16(values) => {
                to.iter_mut().zip(&values[span]).for_each(|(to, v)| *to = v.to_f32() * factor)
            }
            Values::Bf16(values) => {
                to.iter_mut().zip(&values[span]).for_each(|(to, v)| *to = v.to_f32() * factor)
            }
            Values::Int8 { data, scale } => {
                // One product of the scales first, as packing int8 values does.
                let scale = scale[n] * factor;
                to.iter_mut().zip(&data[span]).for_each(|(to, &v)| *to = f32::from(v) * scale);
            }
        }
    }
}

/// How a layer is packed: types, GELU, and inputs spread to where a padded convolution output has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Packing {
    pub(super) kind: GemmKind,
    pub(super) gelu: bool,
    /// `(taps, channels, stride)`: channel c of tap t is input `t · stride + c`.
    pub(super) spread: Option<(usize, usize, usize)>,
    /// Weights and bias of queries are multiplied by log₂(e) / √64, so that scores come out as exponents of two: the
    /// device then has no product to make for each score.
    pub(super) queries: bool,
}

impl Packing {
    pub(super) fn plain(kind: GemmKind, gelu: bool) -> Self {
        Self { kind, gelu, spread: None, queries: false }
    }

    /// What weights and bias are multiplied by.
    pub(super) fn factor(&self) -> f32 {
        if self.queries { std::f32::consts::LOG2_E / 8.0 } else { 1.0 }
    }

    /// Where input `input` of a checkpoint's row stands.
    pub(super) fn place(&self, input: usize) -> usize {
        self.spread.map_or(input, |(_, channels, stride)| input / channels * stride + input % channels)
    }

    /// Inputs of `layer` with the holes of the spread.
    pub(super) fn inputs(&self, layer: &NpuLinear) -> usize {
        self.spread.map_or(layer.weight.cols(), |(taps, channels, stride)| (taps - 1) * stride + channels)
    }
}

/// Packed layers on the device.
#[derive(Default)]
pub(super) struct Residents {
    single: HashMap<(u64, Packing), DeviceWeights>,
    /// Query, key and value as one layer, by the query's id.
    joined: HashMap<u64, DeviceWeights>,
}

impl Residents {
    /// Query, key and value as one product: output `i · width + c` is output c of layer i, outputs between are zero.
    pub(super) fn joined(
        &mut self,
        engine: &mut Engine,
        layers: [&NpuLinear; 3],
        packings: [Packing; 3],
        width: usize,
    ) -> npu_backend::Result<&DeviceWeights> {
        Ok(match self.joined.entry(layers[0].id) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => free.insert(pack_joined(engine, layers, packings, width)?),
        })
    }

    /// The weights of `layer` on the device, packed now if they are not there.
    pub(super) fn get(
        &mut self,
        engine: &mut Engine,
        layer: &NpuLinear,
        packing: Packing,
    ) -> npu_backend::Result<&DeviceWeights> {
        Ok(match self.single.entry((layer.id, packing)) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => free.insert(pack(engine, layer, packing)?),
        })
    }
}

fn pack(engine: &mut Engine, layer: &NpuLinear, packing: Packing) -> npu_backend::Result<DeviceWeights> {
    let (a, c) = (Region::default(), Region::default());
    let (n, k) = (layer.weight.rows(), packing.inputs(layer));
    let problem = GemmProblem { kind: packing.kind, m: 1, k, n, a, c, residual: None };
    let (cols, factor) = (layer.weight.cols(), packing.factor());
    let fill_f32 = |n: usize, to: &mut [f32]| {
        if packing.spread.is_none() {
            return layer.row(n, factor, to);
        }
        let mut row = vec![0.0; cols];
        layer.row(n, factor, &mut row);
        to.fill(0.0);
        row.iter().enumerate().for_each(|(input, &value)| to[packing.place(input)] = value);
    };
    let fill_int8 = |n: usize, to: &mut [i8]| match layer.weight.values() {
        Values::Int8 { data, scale } => {
            to.fill(0);
            let row = &data[n * cols..(n + 1) * cols];
            row.iter().enumerate().for_each(|(input, &value)| to[packing.place(input)] = value);
            scale[n] * factor
        }
        // Not reached: other values are filled as f32.
        _ => 0.0,
    };
    let values = match layer.weight.values() {
        Values::Int8 { .. } => WeightValues::Int8(&fill_int8),
        _ => WeightValues::F32(&fill_f32),
    };
    let bias = layer.bias.as_ref().map(|bias| bias.iter().map(|value| value * factor).collect::<Vec<_>>());
    let bias = bias.as_deref();
    engine.weights(&problem, &Weights { values, bias, gelu: packing.gelu, output_scale: 1.0 })
}

fn pack_joined(
    engine: &mut Engine,
    layers: [&NpuLinear; 3],
    packings: [Packing; 3],
    width: usize,
) -> npu_backend::Result<DeviceWeights> {
    let (a, c) = (Region::default(), Region::default());
    let k = layers[0].weight.cols();
    let problem = GemmProblem { kind: packings[0].kind, m: 1, k, n: 3 * width, a, c, residual: None };
    let source = |n: usize| {
        let (part, row) = (n / width, n % width);
        (row < layers[part].weight.rows()).then(|| (layers[part], packings[part].factor(), row))
    };
    let fill_f32 = |n: usize, to: &mut [f32]| match source(n) {
        Some((layer, factor, row)) => layer.row(row, factor, to),
        None => to.fill(0.0),
    };
    let fill_int8 = |n: usize, to: &mut [i8]| match source(n)
        .map(|(layer, factor, row)| (layer.weight.values(), factor, row))
    {
        Some((Values::Int8 { data, scale }, factor, row)) => {
            to.copy_from_slice(&data[row * k..(row + 1) * k]);
            scale[row] * factor
        }
        _ => {
            to.fill(0);
            0.0
        }
    };
    let all_int8 = layers.iter().all(|layer| matches!(layer.weight.values(), Values::Int8 { .. }));
    let values = if all_int8 { WeightValues::Int8(&fill_int8) } else { WeightValues::F32(&fill_f32) };
    let bias_of = |n: usize| {
        let bias = source(n).and_then(|(layer, factor, row)| Some(layer.bias.as_ref()?[row] * factor));
        bias.unwrap_or(0.0)
    };
    let bias: Vec<f32> = (0..3 * width).map(bias_of).collect();
    engine.weights(&problem, &Weights { values, bias: Some(&bias), gelu: false, output_scale: 1.0 })
}
