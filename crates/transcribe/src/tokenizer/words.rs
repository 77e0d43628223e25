//! Tokens to words (OpenAI tokenizer.py, `split_to_word_tokens`).

use super::Tokenizer;
use super::whitespace::strip;

/// Languages written without spaces: split wherever the text so far is whole characters.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

/// Python's `string.punctuation`.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Words and the tokens of each.
pub(super) type Words = (Vec<String>, Vec<Vec<u32>>);

/// Splits as the language is written.
pub(super) fn split(tokenizer: &Tokenizer, tokens: &[u32], language: &str) -> Words {
    if tokenizer.is_multilingual() && WITHOUT_SPACES.contains(&language) {
        on_characters(tokenizer, tokens)
    } else {
        on_spaces(tokenizer, tokens)
    }
}

/// Cuts after every token that completes a character.
fn on_characters(tokenizer: &Tokenizer, tokens: &[u32]) -> Words {
    let whole: Vec<char> = tokenizer.decode_with_timestamps(tokens).chars().collect();
    let (mut words, mut word_tokens) = (Vec::new(), Vec::new());
    let mut current = Vec::new();
    let mut offset = 0;
    for token in tokens {
        current.push(*token);
        let text = tokenizer.decode_with_timestamps(&current);
        // A replacement character that the whole text has at the same place will not go away with more tokens.
        // (Where that place is past the end, OpenAI's code stops with an IndexError; here the word goes on.)
        let cut = match text.chars().position(|c| c == char::REPLACEMENT_CHARACTER) {
            None => true,
            Some(at) => whole.get(offset + at) == Some(&char::REPLACEMENT_CHARACTER),
        };
        if cut {
            offset += text.chars().count();
            words.push(text);
            word_tokens.push(std::mem::take(&mut current));
        }
    }
    (words, word_tokens)
}

/// Joins what [`on_characters`] cut until the next space, punctuation or special token.
fn on_spaces(tokenizer: &Tokenizer, tokens: &[u32]) -> Words {
    let (mut words, mut word_tokens): Words = (Vec::new(), Vec::new());
    let (parts, part_tokens) = on_characters(tokenizer, tokens);
    for (part, tokens) in parts.into_iter().zip(part_tokens) {
        let special = tokens.first().is_some_and(|token| *token >= tokenizer.eot());
        let punctuation = PUNCTUATION.contains(strip(&part));
        match (words.last_mut(), word_tokens.last_mut()) {
            (Some(word), Some(joined)) if !(special || part.starts_with(' ') || punctuation) => {
                word.push_str(&part);
                joined.extend(tokens);
            }
            _ => {
                words.push(part);
                word_tokens.push(tokens);
            }
        }
    }
    (words, word_tokens)
}
