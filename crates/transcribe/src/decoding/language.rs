//! Which language: names to codes, and detection from the first logits (OpenAI decoding.py, `detect_language`).

use cpu_backend::Level;

use super::{Inference, hypotheses::no_distribution, logits};
use crate::tokenizer::{LANGUAGES, Tokenizer, language_code};
use crate::{Error, ErrorKind, Result};

/// A language and how likely it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LanguageProbability {
    /// Code, e.g. `en`.
    pub code: &'static str,
    /// Softmax over the languages' logits after `[sot]`.
    pub probability: f32,
}

/// The code of a language given by code or English name in any case (OpenAI's `get_tokenizer`).
///
/// # Errors
/// [`ErrorKind::Usage`] if Whisper or this multilingual model does not know it; names that are near come along.
pub fn resolve_language(tokenizer: &Tokenizer, name: &str) -> Result<&'static str> {
    let refuse = |why: String, hint: String| {
        Err(Error::new(ErrorKind::Usage, format!("cannot use the language `{name}`"), why, hint))
    };
    let Some(code) = language_code(name) else {
        let near = near_names(name);
        let hint = if near.is_empty() {
            "give a code such as en or a name such as English, or leave it out to have it detected".to_owned()
        } else {
            format!("did you mean {}?", near.join(" or "))
        };
        return refuse("Whisper knows no language of that code or name".into(), hint);
    };
    if tokenizer.is_multilingual() && tokenizer.language_token(code).is_none() {
        let hint = "use a newer model (large-v3, turbo), or leave the language out to have it detected";
        return refuse("this model has no token for it".into(), hint.into());
    }
    Ok(code)
}

/// Up to three names within two edits (one for short names), nearest first, as `German (de)`.
fn near_names(wrong: &str) -> Vec<String> {
    let wrong = wrong.trim().to_lowercase();
    let most = if wrong.chars().count() < 5 { 1 } else { 2 };
    let mut near: Vec<(usize, String)> = LANGUAGES
        .iter()
        .filter_map(|&(code, name)| {
            let by_name = edits(&wrong, name);
            let by_code = if code.len() > 2 || wrong.len() < 4 { edits(&wrong, code) } else { usize::MAX };
            let distance = by_name.min(by_code);
            (distance <= most).then(|| (distance, format!("{name} ({code})")))
        })
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Levenshtein distance in characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The most probable language of the audio behind `inference`, and all of them in token order.
///
/// # Errors
/// [`ErrorKind::Usage`] on an English-only model; those of `inference`.
pub fn detect_language<I: Inference + ?Sized>(
    inference: &mut I,
    tokenizer: &Tokenizer,
) -> Result<(LanguageProbability, Vec<LanguageProbability>)> {
    let row = inference.prefill(&[tokenizer.sot()], &[0])?.pop().ok_or_else(no_distribution)?;
    probabilities(inference.level(), &row, tokenizer.languages())
}

/// Softmax over the languages' logits alone; the first of equals wins, as Python's `max`.
fn probabilities(
    level: Level,
    row: &[f32],
    languages: &[(&'static str, u32)],
) -> Result<(LanguageProbability, Vec<LanguageProbability>)> {
    let logits: Vec<f32> =
        languages.iter().filter_map(|&(_, token)| row.get(token as usize)).copied().collect();
    if languages.is_empty() || logits.len() < languages.len() {
        return Err(Error::new(
            ErrorKind::Usage,
            "cannot detect the language",
            "this model has no language tokens",
            "use a multilingual model",
        ));
    }
    let all: Vec<LanguageProbability> = languages
        .iter()
        .enumerate()
        .map(|(index, &(code, _))| {
            #[allow(clippy::cast_possible_truncation)]
            let probability = logits::probability(level, &logits, index) as f32;
            LanguageProbability { code, probability }
        })
        .collect();
    let best = logits::argmax(level, &logits)
        .filter(|_| !logits::is_broken(level, &logits))
        .ok_or_else(no_distribution)?;
    Ok((all[best], all))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_languages_count() {
        let row = [9.0, 9.0, 1.0, 3.0, 2.0, 9.0];
        let (best, all) = probabilities(Level::detect(), &row, &[("en", 2), ("zh", 3), ("de", 4)]).unwrap();
        assert_eq!((best.code, all.len()), ("zh", 3));
        // Softmax of (1, 3, 2).
        for (got, want) in all.iter().zip([0.090_030_57, 0.665_240_94, 0.244_728_48]) {
            assert!((got.probability - want).abs() < 1e-6, "{got:?}, want {want}");
        }
    }

    #[test]
    fn near_names_are_near() {
        assert_eq!(near_names("germn"), ["german (de)"]);
        assert_eq!(near_names("Englisch "), ["english (en)"]);
        assert!(near_names("klingon").is_empty(), "{:?}", near_names("klingon"));
        assert!(near_names("").is_empty(), "{:?}", near_names(""));
        assert_eq!((edits("kitten", "sitting"), edits("", "abc"), edits("abc", "abc")), (3, 3, 0));
    }

    #[test]
    fn no_language_tokens_is_an_error() {
        assert_eq!(probabilities(Level::detect(), &[0.0; 4], &[]).unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(
            probabilities(Level::detect(), &[0.0; 4], &[("en", 4)]).unwrap_err().kind(),
            ErrorKind::Usage
        );
        assert_eq!(
            probabilities(Level::detect(), &[f32::NAN; 4], &[("en", 3)]).unwrap_err().kind(),
            ErrorKind::Internal
        );
    }
}
