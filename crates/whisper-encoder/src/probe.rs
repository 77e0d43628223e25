//! Watching every sub-layer's output by name, for accuracy tests and for users who want inner features.

use candle_core::Tensor;

use crate::Result;

/// Called with a layer's name (`encoder.blocks.3.attn`) and its output `[frames, channels]`.
pub type Visit<'a> = dyn FnMut(&str, &Tensor) -> Result<()> + 'a;

/// An optional visitor and the path of the layer that runs.
///
/// While someone watches, layers run unfused so that outputs before a residual or a GELU exist to be seen.
pub(crate) struct Probe<'a, 'v> {
    visit: Option<&'a mut Visit<'v>>,
}

impl<'a, 'v> Probe<'a, 'v> {
    pub(crate) fn new(visit: Option<&'a mut Visit<'v>>) -> Self {
        Self { visit }
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.visit.is_some()
    }

    /// Shows `output` under the name that `name` makes; free when nobody watches.
    pub(crate) fn show(&mut self, name: impl FnOnce() -> String, output: &Tensor) -> Result<()> {
        match &mut self.visit {
            Some(visit) => visit(&name(), output),
            None => Ok(()),
        }
    }
}
