//! OpenAI's `BeamSearchDecoder`, with its dictionaries' and stable sorts' ways of breaking ties.

use std::cmp::Ordering;

use cpu_backend::Level;

use super::hypotheses::{Candidate, Hypotheses, Search, no_distribution};
use super::logits::{LogSoftmax, top_k};
use crate::Result;

/// A row extended by one token.
#[derive(Clone, Copy, Debug)]
struct Extension {
    /// First row with the same tokens: with `token` it is the key of OpenAI's dictionary.
    key: usize,
    /// Row that it continues.
    source: usize,
    token: u32,
    score: f32,
}

/// Beam search over one window.
#[derive(Clone, Debug)]
pub struct BeamSearch {
    beam_size: usize,
    /// Search until this many sequences have ended: `round(beam_size × patience)`.
    max_candidates: usize,
    eot: u32,
    level: Level,
    /// Ended sequences with their end of text, in the order in which they were found.
    finished: Vec<(Vec<u32>, f32)>,
    sources: Vec<usize>,
    // Buffers reused from step to step.
    best: Vec<(usize, f32)>,
    extensions: Vec<Extension>,
    spare: Vec<Vec<u32>>,
}

impl BeamSearch {
    /// A search that keeps `beam_size` rows and ends with `max_candidates` finished sequences.
    #[must_use]
    pub fn new(beam_size: usize, max_candidates: usize, eot: u32, level: Level) -> Self {
        Self {
            beam_size,
            max_candidates,
            eot,
            level,
            finished: Vec::new(),
            sources: Vec::new(),
            best: Vec::new(),
            extensions: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// The best `beam_size + 1` extensions of each row, in the order of OpenAI's dictionary: rows with equal tokens
    /// share their keys, the first keeps its place and the last its score.
    fn extend(&mut self, hypotheses: &Hypotheses, logits: &[f32]) -> Result<()> {
        let n_vocab = logits.len() / hypotheses.rows().max(1);
        self.extensions.clear();
        for (source, row) in logits.chunks_exact(n_vocab).enumerate() {
            let tokens = &hypotheses.tokens[source];
            let key = hypotheses.tokens[..source].iter().position(|other| other == tokens).unwrap_or(source);
            let log_softmax = LogSoftmax::of(self.level, row).ok_or_else(no_distribution)?;
            top_k(self.level, row, self.beam_size + 1, &mut self.best);
            for &(token, logit) in &self.best {
                let score = hypotheses.sums[source] + log_softmax.of_logit(logit);
                let token = u32::try_from(token).map_err(|_| no_distribution())?;
                let new = Extension { key, source, token, score };
                let same = |old: &&mut Extension| old.key == key && old.token == token;
                let twin = if key == source { None } else { self.extensions.iter_mut().find(same) };
                match twin {
                    Some(twin) => *twin = new,
                    None => self.extensions.push(new),
                }
            }
        }
        // Stable, as Python's sorted(…, reverse=True): equals keep the dictionary's order. No score is NaN.
        self.extensions.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
        Ok(())
    }
}

impl Search for BeamSearch {
    /// One: OpenAI starts with `beam_size` equal rows, whose extensions coincide.
    fn initial_rows(&self) -> usize {
        1
    }

    fn update(&mut self, hypotheses: &mut Hypotheses, logits: &[f32]) -> Result<bool> {
        self.extend(hypotheses, logits)?;
        self.sources.clear();
        let mut next = std::mem::take(&mut self.spare);
        next.resize_with(self.beam_size, Vec::new);
        let sums = &mut hypotheses.sums; // the extensions hold what was in it
        sums.clear();
        for extension in &self.extensions {
            let prefix = &hypotheses.tokens[extension.source];
            if extension.token == self.eot {
                // Those ranked below the last kept row are not looked at, and the pool takes no more than it holds.
                if self.finished.len() < self.max_candidates {
                    let ended = prefix.iter().copied().chain([self.eot]).collect();
                    self.finished.push((ended, extension.score));
                }
                continue;
            }
            let tokens = &mut next[sums.len()];
            tokens.clear();
            tokens.extend_from_slice(prefix);
            tokens.push(extension.token);
            sums.push(extension.score);
            self.sources.push(extension.source);
            if sums.len() == self.beam_size {
                break;
            }
        }
        next.truncate(sums.len());
        self.spare = std::mem::replace(&mut hypotheses.tokens, next);
        Ok(self.finished.len() >= self.max_candidates)
    }

    fn sources(&self) -> Option<&[usize]> {
        Some(&self.sources)
    }

    fn finalize(&mut self, hypotheses: Hypotheses) -> Vec<Candidate> {
        let mut finished = std::mem::take(&mut self.finished);
        // Too few have ended: the best unended ones join. OpenAI reverses an ascending argsort, so of equals the
        // later row comes first.
        let mut order: Vec<usize> = (0..hypotheses.rows()).collect();
        order
            .sort_by(|&a, &b| hypotheses.sums[a].partial_cmp(&hypotheses.sums[b]).unwrap_or(Ordering::Equal));
        for row in order.into_iter().rev() {
            if finished.len() >= self.beam_size {
                break;
            }
            finished.push((hypotheses.tokens[row].clone(), hypotheses.sums[row]));
        }
        finished.into_iter().map(|(t, sum)| Candidate::cut(t, self.eot, f64::from(sum))).collect()
    }
}
