//! Tokenizers of the other vocabularies, made from the bundled model's by moving the special tokens.
//!
//! large-v3 (51866) has `<|yue|>` as one more language. English-only models (51864) have their own BPE, whose text this
//! does not imitate: it has one token less before `<|endoftext|>`, and the layout of the special tokens is all that the
//! tests need.

use std::path::Path;

use serde_json::{Value, json};

/// Where the multilingual BPE ends and `<|endoftext|>` stands.
const END_OF_TEXT: u64 = 50257;
/// First token after the 99 languages.
const AFTER_LANGUAGES: u64 = 50358;

/// A tokenizer.json for a vocabulary of 51864, 51865 or 51866 tokens.
pub(crate) fn tokenizer_json(n_vocab: usize) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/whisper-base-int8/tokenizer.json");
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut tokenizer: Value = serde_json::from_slice(&text).unwrap();
    match n_vocab {
        51864 => {
            let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
            vocab.retain(|_, id| id.as_u64() != Some(END_OF_TEXT - 1));
            shift(&mut tokenizer, END_OF_TEXT, -1);
        }
        51865 => {}
        51866 => {
            shift(&mut tokenizer, AFTER_LANGUAGES, 1);
            let added = tokenizer["added_tokens"].as_array_mut().unwrap();
            let at = added.iter().position(|token| token["id"] == json!(AFTER_LANGUAGES + 1)).unwrap();
            let mut cantonese = added[at - 1].clone();
            cantonese["id"] = AFTER_LANGUAGES.into();
            cantonese["content"] = "<|yue|>".into();
            added.insert(at, cantonese);
        }
        other => panic!("no Whisper has {other} tokens"),
    }
    tokenizer
}

/// Adds `by` to the ids from `first` on, of the special tokens and where the post-processor names them.
fn shift(tokenizer: &mut Value, first: u64, by: i64) {
    let moved = |id: &mut Value| {
        if let Some(old) = id.as_u64().filter(|&old| old >= first) {
            *id = old.checked_add_signed(by).unwrap().into();
        }
    };
    for token in tokenizer["added_tokens"].as_array_mut().unwrap() {
        moved(&mut token["id"]);
    }
    if let Some(special) = tokenizer["post_processor"]["special_tokens"].as_object_mut() {
        for token in special.values_mut() {
            token["ids"].as_array_mut().unwrap().iter_mut().for_each(moved);
        }
    }
}

#[test]
fn special_tokens_stand_where_openai_has_them() {
    // tokenizer.py: specials follow the BPE in this order; 1501 timestamps end the vocabulary.
    for (n_vocab, end, language, after) in [
        (51864, 50256, ("<|su|>", 50356), 50357),
        (51865, 50257, ("<|su|>", 50357), 50358),
        (51866, 50257, ("<|yue|>", 50358), 50359),
    ] {
        let tokenizer = tokenizer_json(n_vocab);
        let added = tokenizer["added_tokens"].as_array().unwrap();
        let id = |content: &str| {
            added.iter().find(|token| token["content"] == content).map(|token| token["id"].clone())
        };
        for (content, want) in [
            ("<|endoftext|>", end),
            ("<|startoftranscript|>", end + 1),
            ("<|en|>", end + 2),
            language,
            ("<|translate|>", after),
            ("<|transcribe|>", after + 1),
            ("<|startoflm|>", after + 2),
            ("<|startofprev|>", after + 3),
            ("<|nospeech|>", after + 4),
            ("<|notimestamps|>", after + 5),
            ("<|0.00|>", after + 6),
            ("<|30.00|>", n_vocab - 1),
        ] {
            assert_eq!(id(content), Some(json!(want)), "{n_vocab}: {content}");
        }
        assert_eq!(tokenizer["model"]["vocab"].as_object().unwrap().len(), end, "{n_vocab}");
    }
}
