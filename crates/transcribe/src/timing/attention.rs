//! Cross-attention scores to one matrix of tokens over time (OpenAI timing.py, `find_alignment`, `median_filter`).

use rayon::prelude::*;

use crate::speech_model::Alignment;

/// Width of the median filter over time, in positions of 20 ms.
const FILTER_WIDTH: usize = 7;

/// How strongly each token attends to each position: mean over heads, row-major `[rows, frames]`.
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) frames: usize,
    pub(super) data: Vec<f32>,
}

/// The rows `first_row .. tokens − 1` of the alignment, over its first `frames` positions.
///
/// Per head: softmax over time, standardised over the tokens, smoothed by a median over time; then the mean. A position
/// to which all tokens attend alike is not a number, as in OpenAI's.
pub(super) fn matrix(alignment: &Alignment, first_row: usize, frames: usize) -> Matrix {
    let frames = frames.min(alignment.frames);
    let rows = alignment.tokens.saturating_sub(first_row + 1);
    let head_size = (alignment.tokens * alignment.frames).max(1);
    let heads: Vec<Vec<f32>> = alignment
        .qk
        .par_chunks(head_size)
        .map(|scores| {
            let mut weights: Vec<f32> = Vec::with_capacity(alignment.tokens * frames);
            for row in scores.chunks(alignment.frames.max(1)) {
                softmax_into(&row[..frames], &mut weights);
            }
            standardise(&mut weights, alignment.tokens, frames);
            let kept = weights.get(first_row * frames..(first_row + rows) * frames).unwrap_or_default();
            kept.chunks(frames.max(1)).flat_map(median_filter).collect()
        })
        .collect();
    let mut data = vec![0.0_f32; rows * frames];
    for head in &heads {
        data.iter_mut().zip(head).for_each(|(sum, value)| *sum += value);
    }
    #[allow(clippy::cast_precision_loss)]
    data.iter_mut().for_each(|sum| *sum /= heads.len() as f32);
    Matrix { rows, frames, data }
}

/// Appends the softmax of `scores`.
#[allow(clippy::cast_possible_truncation)]
fn softmax_into(scores: &[f32], out: &mut Vec<f32>) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let start = out.len();
    out.extend(scores.iter().map(|score| (score - most).exp()));
    let sum: f64 = out[start..].iter().copied().map(f64::from).sum();
    out[start..].iter_mut().for_each(|weight| *weight /= sum as f32);
}

/// `(w − mean) / std` of every column of `[tokens, frames]`, with the deviation of the whole population.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn standardise(weights: &mut [f32], tokens: usize, frames: usize) {
    // torch adds up in f64 too.
    let n = tokens as f64;
    let mut mean = vec![0.0_f64; frames];
    for row in weights.chunks(frames.max(1)) {
        mean.iter_mut().zip(row).for_each(|(sum, w)| *sum += f64::from(*w));
    }
    mean.iter_mut().for_each(|sum| *sum /= n);
    let mut square = vec![0.0_f64; frames];
    for row in weights.chunks(frames.max(1)) {
        for ((sum, w), mean) in square.iter_mut().zip(row).zip(&mean) {
            *sum += (f64::from(*w) - mean).powi(2);
        }
    }
    let scale: Vec<(f32, f32)> =
        mean.iter().zip(&square).map(|(mean, square)| (*mean as f32, (square / n).sqrt() as f32)).collect();
    for row in weights.chunks_mut(frames.max(1)) {
        row.iter_mut().zip(&scale).for_each(|(w, (mean, std))| *w = (*w - mean) / std);
    }
}

/// Running median with the ends mirrored; a row no longer than half the filter stays as it is.
pub(super) fn median_filter(row: &[f32]) -> Vec<f32> {
    let half = FILTER_WIDTH / 2;
    if row.len() <= half {
        return row.to_vec();
    }
    let start = row[1..=half].iter().rev();
    let end = row[row.len() - 1 - half..row.len() - 1].iter().rev();
    let padded: Vec<f32> = start.chain(row).chain(end).copied().collect();
    padded.windows(FILTER_WIDTH).map(median).collect()
}

/// The middle one of [`FILTER_WIDTH`] values; what is not a number counts as the greatest.
fn median(window: &[f32]) -> f32 {
    let mut sorted = [0.0_f32; FILTER_WIDTH];
    for (filled, value) in window.iter().copied().enumerate().take(FILTER_WIDTH) {
        let mut at = filled;
        while at > 0 && (value < sorted[at - 1] || (sorted[at - 1].is_nan() && !value.is_nan())) {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = value;
    }
    sorted[FILTER_WIDTH / 2]
}
