//! The tokens so far and the prompt that they make for the next window.

use crate::decoding::python::tail;

/// All tokens of the file, the initial prompt first.
#[derive(Clone, Debug)]
pub(crate) struct History {
    tokens: Vec<u32>,
    initial: usize,
    carry_initial: bool,
    /// Tokens before this are not given as a prompt any more.
    reset_since: usize,
    /// Tokens of a carried prompt that the initial prompt leaves; may be 0 or negative.
    remaining: isize,
}

impl History {
    /// A history that begins with the tokens of the initial prompt, for a decoder of `n_text_ctx` positions.
    pub(crate) fn new(initial_prompt: Vec<u32>, carry_initial: bool, n_text_ctx: usize) -> Self {
        let initial = initial_prompt.len();
        let remaining = (n_text_ctx / 2).cast_signed() - 1 - initial.cast_signed();
        Self { tokens: initial_prompt, initial, carry_initial, reset_since: 0, remaining }
    }

    /// The prompt of the next window; the decoder takes its last 223 tokens.
    ///
    /// A carried initial prompt of 223 tokens or more makes OpenAI's slice `[-0:]` or `[n:]`, which do not shorten
    /// what follows it but keep all or most of it; we do the same.
    pub(crate) fn prompt(&self) -> Vec<u32> {
        if !self.carry_initial {
            return self.tokens[self.reset_since..].to_vec();
        }
        let ignored = self.initial.max(self.reset_since);
        [&self.tokens[..self.initial], tail(&self.tokens[ignored..], self.remaining)].concat()
    }

    /// Adds the tokens of a segment.
    pub(crate) fn extend(&mut self, tokens: &[u32]) {
        self.tokens.extend_from_slice(tokens);
    }

    /// Gives nothing of what was said so far to the windows to come (but the initial prompt, if it is carried).
    pub(crate) fn reset(&mut self) {
        self.reset_since = self.tokens.len();
    }

    /// What was said: all tokens but the initial prompt's.
    pub(crate) fn spoken(&self) -> &[u32] {
        &self.tokens[self.initial..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_prompt_goes_first_and_only_once() {
        let mut history = History::new(vec![1, 2], false, 16);
        assert_eq!(history.prompt(), [1, 2]);
        history.extend(&[3, 4]);
        assert_eq!(history.prompt(), [1, 2, 3, 4]);
        history.reset();
        history.extend(&[5]);
        assert_eq!(history.prompt(), [5]);
        assert_eq!(history.spoken(), [3, 4, 5]);
    }

    #[test]
    fn a_carried_prompt_stays() {
        let mut history = History::new(vec![1, 2], true, 16);
        history.extend(&[3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(history.prompt(), [1, 2, 5, 6, 7, 8, 9], "16 / 2 − 1 − 2 = 5 tokens remain");
        history.reset();
        history.extend(&[10]);
        assert_eq!(history.prompt(), [1, 2, 10]);
    }

    #[test]
    fn a_long_carried_prompt_falls_into_pythons_slices() {
        let mut full = History::new((0..7).collect(), true, 16);
        full.extend(&[20, 21, 22]);
        assert_eq!(full.prompt(), [0, 1, 2, 3, 4, 5, 6, 20, 21, 22], "[-0:] is everything");
        let mut over = History::new((0..9).collect(), true, 16);
        over.extend(&[20, 21, 22]);
        assert_eq!(over.prompt(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 22], "[2:]");
    }
}
