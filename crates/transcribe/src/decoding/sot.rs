//! The tokens that a window starts from (OpenAI decoding.py, `_get_initial_tokens`).

use super::python::tail;
use super::{DecodingOptions, TokenIds};
use crate::{Error, ErrorKind, Result};

/// Tokens given to the decoder before the first one is sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialTokens {
    /// `[sot_prev, prompt…]? [sot, language, task] [no_timestamps]? [prefix…]`.
    pub tokens: Vec<u32>,
    /// Where the first `sot` stands: the logits there give the no-speech probability.
    pub sot_index: usize,
}

impl InitialTokens {
    /// Puts them together for a decoder of `n_text_ctx` positions; `sot_sequence` is `[sot]` or `[sot, language, task]`.
    ///
    /// The prompt keeps its last `n_text_ctx / 2 − 1` tokens (223), the prefix its last `n_text_ctx / 2 − sample_len`.
    /// With the default `sample_len` that is `[-0:]`, which in Python is the *whole* prefix; we do the same.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] if they leave no position to sample at (OpenAI fails inside the decoder then).
    pub fn new(
        options: &DecodingOptions,
        ids: &TokenIds,
        sot_sequence: &[u32],
        n_text_ctx: usize,
    ) -> Result<Self> {
        let half = n_text_ctx / 2;
        let mut tokens = Vec::with_capacity(n_text_ctx);
        if !options.prompt.is_empty() {
            tokens.push(ids.sot_prev);
            tokens.extend(tail(&options.prompt, half.cast_signed() - 1));
        }
        tokens.extend(sot_sequence);
        if options.without_timestamps {
            tokens.push(ids.no_timestamps);
        }
        tokens
            .extend(tail(&options.prefix, half.cast_signed() - options.sample_len(n_text_ctx).cast_signed()));
        if tokens.len() > n_text_ctx {
            return Err(Error::new(
                ErrorKind::Usage,
                "cannot decode with this prompt and prefix",
                format!("they make {} tokens and the model has {n_text_ctx} positions", tokens.len()),
                "shorten the prefix or the prompt",
            ));
        }
        let sot_index = tokens.iter().position(|&token| token == ids.sot).ok_or_else(|| {
            let why = "the start sequence has no start-of-transcript token";
            Error::new(ErrorKind::Internal, "cannot start decoding", why, "")
        })?;
        Ok(Self { tokens, sot_index })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::ids;
    use super::*;

    fn initial(options: &DecodingOptions) -> Result<InitialTokens> {
        InitialTokens::new(options, &ids(), &[20, 21, 24], 16)
    }

    fn tokens(options: DecodingOptions) -> Vec<u32> {
        initial(&options).unwrap().tokens
    }

    #[test]
    fn prompt_keeps_its_last_half_less_one() {
        let plain = DecodingOptions::default();
        assert_eq!(tokens(plain.clone()), [20, 21, 24]);
        assert_eq!(tokens(DecodingOptions { without_timestamps: true, ..plain.clone() }), [20, 21, 24, 29]);
        let prompted = DecodingOptions { prompt: (0..10).collect(), ..plain };
        let got = initial(&prompted).unwrap();
        assert_eq!(got.tokens, [26, 3, 4, 5, 6, 7, 8, 9, 20, 21, 24]);
        assert_eq!(got.sot_index, 8);
    }

    #[test]
    fn prefix_is_cut_as_python_cuts_it() {
        let prefixed =
            |sample_len| DecodingOptions { prefix: (0..10).collect(), sample_len, ..Default::default() };
        // 16 / 2 − 8 = 0: everything.
        assert_eq!(tokens(prefixed(None)), [20, 21, 24, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(tokens(prefixed(Some(6))), [20, 21, 24, 8, 9]);
        // 16 / 2 − 11 = −3: all but the first three.
        assert_eq!(tokens(prefixed(Some(11))), [20, 21, 24, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn too_many_tokens_are_an_error() {
        let options = DecodingOptions { prefix: (0..14).collect(), ..Default::default() };
        assert_eq!(initial(&options).unwrap_err().kind(), ErrorKind::Usage);
    }
}
