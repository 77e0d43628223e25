//! OpenAI's `MaximumLikelihoodRanker`: which candidate wins.

use super::hypotheses::Candidate;

/// Index of the candidate with the highest log-probability over its length, or over ((5 + length) / 6)^α of the
/// Google NMT paper; the first of equals. `None` if there are no candidates.
///
/// An empty candidate without α divides by zero, where OpenAI raises an exception; here it ranks last.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn most_likely(candidates: &[Candidate], length_penalty: Option<f64>) -> Option<usize> {
    let score = |candidate: &Candidate| {
        let length = candidate.tokens.len() as f64;
        match length_penalty {
            None if length == 0.0 => f64::NEG_INFINITY,
            None => candidate.sum_logprob / length,
            Some(alpha) => candidate.sum_logprob / ((5.0 + length) / 6.0).powf(alpha),
        }
    };
    let mut best: Option<(usize, f64)> = None;
    for (index, candidate) in candidates.iter().enumerate() {
        let new = score(candidate);
        if best.is_none_or(|(_, old)| new > old) {
            best = Some((index, new));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(length: u32, sum_logprob: f64) -> Candidate {
        Candidate { tokens: (0..length).collect(), sum_logprob }
    }

    #[test]
    fn length_decides() {
        let two = [candidate(2, -2.0), candidate(8, -4.0)];
        assert_eq!(most_likely(&two, None), Some(1), "-1.0 against -0.5");
        assert_eq!(most_likely(&two, Some(0.0)), Some(0), "no penalty: -2 against -4");
        // (7/6)^1 and (13/6)^1: −1.714 against −1.846.
        assert_eq!(most_likely(&two, Some(1.0)), Some(0));
    }

    #[test]
    fn first_of_equals_and_the_empty_last() {
        assert_eq!(most_likely(&[candidate(2, -2.0), candidate(4, -4.0)], None), Some(0));
        assert_eq!(most_likely(&[candidate(0, -0.1), candidate(4, -40.0)], None), Some(1));
        assert_eq!(most_likely(&[candidate(0, 0.0)], None), Some(0));
        assert_eq!(most_likely(&[], None), None);
    }
}
