//! OpenAI's `GreedyDecoder`: the most likely token, or a drawn one, in independent rows.

use cpu_backend::Level;

use super::hypotheses::{Candidate, Hypotheses, Search, no_distribution};
use super::logits::{LogSoftmax, argmax};
use super::sampler::Sampler;
use crate::Result;

/// Takes the best token at temperature 0 (the first of equals, as `torch.argmax`), else draws from softmax(logits / T).
#[derive(Clone, Debug)]
pub struct Greedy {
    temperature: f64,
    rows: usize,
    eot: u32,
    level: Level,
    sampler: Sampler,
}

impl Greedy {
    /// A search of `rows` independent samples (`best_of`; 1 at temperature 0).
    #[must_use]
    pub fn new(temperature: f64, rows: usize, eot: u32, seed: u64, level: Level) -> Self {
        Self { temperature, rows, eot, level, sampler: Sampler::new(seed) }
    }
}

impl Search for Greedy {
    fn initial_rows(&self) -> usize {
        self.rows
    }

    fn update(&mut self, hypotheses: &mut Hypotheses, logits: &[f32]) -> Result<bool> {
        let n_vocab = logits.len() / hypotheses.rows().max(1);
        let mut completed = true;
        for ((tokens, sum), row) in
            hypotheses.tokens.iter_mut().zip(&mut hypotheses.sums).zip(logits.chunks_exact(n_vocab))
        {
            if tokens.last() == Some(&self.eot) {
                tokens.push(self.eot);
                continue;
            }
            let log_softmax = LogSoftmax::of(self.level, row).ok_or_else(no_distribution)?;
            let token = if self.temperature == 0.0 {
                argmax(self.level, row).ok_or_else(no_distribution)?
            } else {
                self.sampler.draw(self.level, row, self.temperature)
            };
            // From the un-tempered distribution, and the end of text counts once.
            *sum += log_softmax.of_logit(row[token]);
            let token = u32::try_from(token).map_err(|_| no_distribution())?;
            tokens.push(token);
            completed &= token == self.eot;
        }
        Ok(completed)
    }

    fn sources(&self) -> Option<&[usize]> {
        None
    }

    fn finalize(&mut self, hypotheses: Hypotheses) -> Vec<Candidate> {
        let Hypotheses { tokens, sums } = hypotheses;
        tokens.into_iter().zip(sums).map(|(t, sum)| Candidate::cut(t, self.eot, f64::from(sum))).collect()
    }
}
