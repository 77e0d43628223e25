//! A tied token embedding: the rows of tokens, and the logits of hidden states.

mod sketch;

use crate::context::Context;
use crate::kernels::PANEL;
use crate::level::Level;
use crate::linear::{Epilogue, Linear, Storage};
use crate::scratch;
use sketch::{Heard, Sketch};
use std::sync::OnceLock;

/// Numbers of which one look tells whether any is the one sought.
const BLOCK: usize = 256;

/// The token embedding `[n_vocab, d_model]`, tied to the projection to logits.
#[derive(Debug)]
pub struct Embedding {
    layer: Linear,
    /// How loud each input is, if estimates are allowed.
    loudness: Option<Vec<f32>>,
    /// Made when it is first wanted; `None` where there can be none.
    sketch: OnceLock<Option<Sketch>>,
}

impl Embedding {
    /// Of a `layer` with `n_vocab` outputs.
    #[must_use]
    pub fn new(layer: Linear) -> Self {
        Self { layer, loudness: None, sketch: OnceLock::new() }
    }

    /// Lets [`Self::likely_logits`] estimate where the weights are kept as int8 and the level has AVX2: its first call
    /// makes what that takes, half the layer's bytes again. `loudness` `[d_model]` says how large each number of a hidden
    /// state is beside the others (of the output of a layer norm, γ² + β² is the mean square): the 16 loudest are multiplied
    /// by all bits of their weights.
    ///
    /// # Panics
    /// When `loudness` does not hold `d_model` numbers.
    #[must_use]
    pub fn with_estimates(mut self, loudness: Vec<f32>) -> Self {
        assert_eq!(loudness.len(), self.layer.inputs(), "one number per input");
        self.loudness = Some(loudness);
        self
    }

    /// Bytes that [`Self::likely_logits`] reads at least.
    #[must_use]
    pub fn likely_bytes(&self, ctx: &Context) -> usize {
        if self.estimates(ctx) { Sketch::bytes_of(&self.layer) } else { self.layer.bytes() }
    }

    fn estimates(&self, ctx: &Context) -> bool {
        self.loudness.is_some() && self.layer.storage() == Storage::Int8 && ctx.level().multiplies_halves()
    }

    fn sketch(&self, ctx: &Context) -> Option<&Sketch> {
        let loudness = self.loudness.as_ref().filter(|_| self.estimates(ctx))?;
        // By this thread alone: one that waits for others may be given work that waits for this.
        self.sketch.get_or_init(|| Sketch::of(&self.layer, ctx.level(), loudness)).as_ref()
    }

    /// The embedding of `token`, `[d_model]`.
    ///
    /// # Panics
    /// As [`Linear::row`].
    pub fn row(&self, token: usize, into: &mut [f32]) {
        self.layer.row(token, into);
    }

    /// Logits `[rows, n_vocab]` of `hidden` `[rows, d_model]`.
    ///
    /// # Panics
    /// When a length disagrees.
    pub fn logits(&self, ctx: &Context, hidden: &[f32], logits: &mut [f32]) {
        let rows = hidden.len() / self.layer.inputs().max(1);
        self.layer.forward(ctx, hidden, rows, logits, Epilogue::None);
    }

    /// Logits `[n_vocab]` of one hidden state `[d_model]` for a caller who wants the largest. Those from `text` on are what
    /// [`Self::logits`] gives, and so are, of those before, all that may be the largest: that one is missed in one of some 3
    /// million calls. The others are estimates, made so that their exponentials are right on average: the logarithm of a
    /// row's sum of exponentials is 0.003 off in the mean and 0.1 at most (314 states of whisper-base on speech). Those of
    /// `never` are −∞.
    ///
    /// Where nothing is estimated, and of a state that is not finite, all are those of [`Self::logits`].
    ///
    /// # Panics
    /// When a length disagrees, or `text` or one of `never` exceeds the vocabulary.
    pub fn likely_logits(
        &self,
        ctx: &Context,
        hidden: &[f32],
        text: usize,
        never: &[u32],
        logits: &mut [f32],
    ) {
        assert!(text <= logits.len(), "text ends at {text} of {}", logits.len());
        let sketched = self.sketch(ctx).and_then(|sketch| {
            sketch.hear(hidden, |heard| self.estimate(ctx, hidden, (sketch, heard), text, never, logits))
        });
        if sketched.is_none() {
            self.logits(ctx, hidden, logits);
            silence(logits, never);
        }
    }

    /// What [`Self::likely_logits`] does with a sketch, once the hidden state is rounded.
    fn estimate(
        &self,
        ctx: &Context,
        hidden: &[f32],
        (sketch, heard): (&Sketch, &Heard),
        text: usize,
        never: &[u32],
        logits: &mut [f32],
    ) {
        let (level, panels) = (ctx.level(), self.layer.panels());
        // The panel that text ends in has others, too.
        let (estimated, end) = (text / PANEL, text / PANEL * PANEL);
        scratch::with_places(panels.len(), |places| {
            sketch.estimate(ctx, &self.layer, heard, &mut logits[..end]);
            silence(logits, never);
            let best = first_largest(level, &logits[..end]) / PANEL;
            let exact = (estimated..panels.end).chain((best < estimated).then_some(best));
            let count = places.iter_mut().zip(exact).map(|(to, panel)| *to = panel).count();
            self.layer.forward_panels(ctx, hidden, &places[..count], logits);
            silence(logits, never);

            let best_panel = if best < estimated { best * PANEL..(best + 1) * PANEL } else { 0..0 };
            let floor = level.largest(&logits[best_panel]).max(level.largest(&logits[end..text]));
            let count = sketch.settle(level, heard, floor, best, &mut logits[..end], places);
            self.layer.forward_panels(ctx, hidden, &places[..count], logits);
            silence(logits, never);
        });
    }
}

/// What is never taken is not likely.
fn silence(logits: &mut [f32], never: &[u32]) {
    never.iter().for_each(|&id| logits[id as usize] = f32::NEG_INFINITY);
}

/// Where the largest is; 0 of an empty row or one of nothing but −∞.
fn first_largest(level: Level, row: &[f32]) -> usize {
    let most = level.largest(row);
    let holds = |block: &[f32]| block.iter().fold(false, |found, &v| found | (v == most));
    let start = row.chunks(BLOCK).position(holds).unwrap_or(0) * BLOCK;
    start + row[start.min(row.len())..].iter().position(|&v| v == most).unwrap_or(0)
}
