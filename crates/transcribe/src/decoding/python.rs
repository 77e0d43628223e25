//! Python's semantics where they decide a result: negative slices and `str.strip`.

pub(crate) use crate::tokenizer::whitespace::strip;

/// `tokens[-keep:]` as Python evaluates it, accidents included.
///
/// `-0` is `0`, so a `keep` of 0 takes *everything*, and a negative `keep` drops that many tokens from the front.
/// OpenAI's `decoding.py` (prefix) and `transcribe.py` (carried prompt) reach both cases, so we do as they do.
pub(crate) fn tail(tokens: &[u32], keep: isize) -> &[u32] {
    let length = tokens.len();
    let start = match keep {
        0 => 0,
        1.. => length.saturating_sub(keep.unsigned_abs()),
        _ => keep.unsigned_abs().min(length),
    };
    &tokens[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_is_pythons_slice() {
        let tokens = [1, 2, 3];
        // (keep, what CPython 3.11 gives for [1, 2, 3][-keep:])
        let cases: [(isize, &[u32]); 7] = [
            (1, &[3]),
            (3, &[1, 2, 3]),
            (9, &[1, 2, 3]),
            (0, &[1, 2, 3]),
            (-1, &[2, 3]),
            (-3, &[]),
            (-9, &[]),
        ];
        for (keep, want) in cases {
            assert_eq!(tail(&tokens, keep), want, "keep {keep}");
        }
    }

    #[test]
    fn strip_takes_pythons_white_space() {
        assert_eq!(strip("\u{1c}\u{3000} a b\u{85}\u{1f}\n"), "a b");
        assert_eq!(strip("\u{200b}a"), "\u{200b}a", "a zero-width space is no white space in Python");
    }
}
