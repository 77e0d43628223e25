//! Short names of published models and the hub repositories that hold them.

use crate::{Error, ErrorKind, Result};

/// `(short name, hub repository)`, smallest first. The names of OpenAI's `_MODELS` (whisper/__init__.py), then the
/// distilled ones of distil-whisper. On the hub `openai/whisper-large` is the first large, while OpenAI's own name
/// `large` means the newest.
pub const SHORT_NAMES: &[(&str, &str)] = &[
    ("tiny.en", "openai/whisper-tiny.en"),
    ("tiny", "openai/whisper-tiny"),
    ("base.en", "openai/whisper-base.en"),
    ("base", "openai/whisper-base"),
    ("small.en", "openai/whisper-small.en"),
    ("small", "openai/whisper-small"),
    ("medium.en", "openai/whisper-medium.en"),
    ("medium", "openai/whisper-medium"),
    ("large-v1", "openai/whisper-large"),
    ("large-v2", "openai/whisper-large-v2"),
    ("large-v3", "openai/whisper-large-v3"),
    ("large", "openai/whisper-large-v3"),
    ("large-v3-turbo", "openai/whisper-large-v3-turbo"),
    ("turbo", "openai/whisper-large-v3-turbo"),
    ("distil-small.en", "distil-whisper/distil-small.en"),
    ("distil-medium.en", "distil-whisper/distil-medium.en"),
    ("distil-large-v2", "distil-whisper/distil-large-v2"),
    ("distil-large-v3", "distil-whisper/distil-large-v3"),
    ("distil-large-v3.5", "distil-whisper/distil-large-v3.5"),
];

/// The hub repository of a short name.
#[must_use]
pub fn hub_id(name: &str) -> Option<&'static str> {
    SHORT_NAMES.iter().find(|(short, _)| short.eq_ignore_ascii_case(name)).map(|(_, id)| *id)
}

/// Whether `text` has the form of a hub repository, `organisation/name`.
#[must_use]
pub fn is_hub_id(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && !part.starts_with(['.', '-'])
            && !part.contains("..")
            && !part.contains("--")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    text.split_once('/').is_some_and(|(organisation, name)| part(organisation) && part(name))
}

/// Short names that look like `name`, nearest first, at most three.
#[must_use]
pub fn near(name: &str) -> Vec<&'static str> {
    let name = name.to_ascii_lowercase();
    let bare = name.strip_prefix("whisper-").unwrap_or(&name);
    let mut scored: Vec<(usize, &'static str)> = SHORT_NAMES
        .iter()
        .map(|&(short, _)| (distance(bare, short), short))
        .filter(|&(distance, short)| distance <= 2.max(short.len() / 3))
        .collect();
    scored.sort_by_key(|&(distance, short)| (distance, short.len()));
    scored.into_iter().take(3).map(|(_, short)| short).collect()
}

/// The error for a name that is neither a file, a hub repository nor a short name.
#[must_use]
pub fn unknown(name: &str) -> Error {
    let near = near(name);
    let hint = if near.is_empty() {
        format!("the names are: {}", all())
    } else {
        format!("did you mean {}? `transcribe models` lists all names", near.join(", "))
    };
    Error::new(
        ErrorKind::Model,
        format!("unknown model `{name}`"),
        "it is no file or folder here, no hub repository (organisation/name) and no known short name",
        hint,
    )
}

/// # Errors
/// A sentence if the value can only be a model in a format that this program does not read.
pub fn check_format(name: &str) -> Result<()> {
    let lower = name.to_ascii_lowercase();
    let format = match lower.rsplit_once('.').map(|(_, extension)| extension) {
        Some("pt" | "pth") => "a PyTorch checkpoint",
        Some("bin") => "a ggml or PyTorch file",
        Some("gguf" | "ggml") => "a ggml file",
        Some("onnx") => "an ONNX file",
        _ => return Ok(()),
    };
    Err(Error::new(
        ErrorKind::Model,
        format!("cannot use the model `{name}`"),
        format!("it is {format}; only the hub's safetensors layout is read"),
        "give a folder with config.json, tokenizer.json and model.safetensors, or a name such as base or turbo",
    ))
}

/// All short names, for messages.
#[must_use]
pub fn all() -> String {
    SHORT_NAMES.iter().map(|(short, _)| *short).collect::<Vec<_>>().join(", ")
}

/// Levenshtein distance in bytes (names are ASCII).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn short_names_lead_to_repositories() {
        for (name, want) in [
            ("tiny", "openai/whisper-tiny"),
            ("tiny.en", "openai/whisper-tiny.en"),
            ("large", "openai/whisper-large-v3"),
            ("large-v1", "openai/whisper-large"),
            ("turbo", "openai/whisper-large-v3-turbo"),
            ("TURBO", "openai/whisper-large-v3-turbo"),
            ("distil-large-v3.5", "distil-whisper/distil-large-v3.5"),
        ] {
            assert_eq!(hub_id(name), Some(want), "{name}");
        }
        assert_eq!(hub_id("huge"), None);
        assert!(SHORT_NAMES.iter().all(|(_, id)| is_hub_id(id)));
    }

    #[test]
    fn hub_ids_are_two_plain_parts() {
        for good in ["openai/whisper-tiny", "a/b", "me_2/My.Model-1"] {
            assert!(is_hub_id(good), "{good}");
        }
        for bad in
            ["tiny", "a/b/c", "/a", "a/", "../a", "a/..", "./a", "a b/c", "a/b?x", "a--b/c", "~/models"]
        {
            assert!(!is_hub_id(bad), "{bad}");
        }
    }

    #[test]
    fn unknown_names_get_near_ones() {
        assert_eq!(near("trubo"), ["turbo"]);
        assert_eq!(near("whisper-small")[0], "small");
        assert_eq!(near("large-v4")[..3], ["large-v1", "large-v2", "large-v3"]);
        assert!(near("qwertyuiop").is_empty());
        let error = unknown("bsae");
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.hint().contains("base"), "{error}");
        assert!(unknown("qwertyuiop").hint().contains("large-v3-turbo"));
    }

    #[test]
    fn distances_are_levenshtein() {
        for (a, b, want) in [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("base", "bsae", 2)] {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }

    #[test]
    fn other_formats_are_named() {
        for bad in ["ggml-base.bin", "tiny.pt", "x/y.gguf", "encoder.onnx"] {
            assert_eq!(check_format(bad).unwrap_err().kind(), ErrorKind::Model, "{bad}");
        }
        for good in ["model.safetensors", "tiny.en", "folder", "openai/whisper-base"] {
            assert!(check_format(good).is_ok(), "{good}");
        }
    }
}
