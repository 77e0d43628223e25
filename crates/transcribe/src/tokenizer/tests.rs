//! What the file may look like, and what must be refused.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{Layout, from_json, small};
use super::*;

fn value(layout: Layout) -> Value {
    serde_json::from_slice(layout.json()).unwrap()
}

/// The reason for which a changed small multilingual file is refused.
fn refusal(change: impl FnOnce(&mut Value)) -> String {
    let mut file = value(Layout::Multilingual);
    change(&mut file);
    let error = from_json(file.to_string().as_bytes(), Layout::Multilingual.n_vocab(), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(!error.hint().is_empty());
    error.why().to_owned()
}

#[test]
fn timestamps_in_the_file_change_nothing() {
    let mut file = value(Layout::Multilingual);
    let begin = small(Layout::Multilingual).unwrap().timestamp_begin();
    for (id, steps) in (begin..).zip(0..1501) {
        let content = format!("<|{:.2}|>", f64::from(steps) * 0.02);
        file["added_tokens"].as_array_mut().unwrap().push(json!({"id": id, "content": content}));
    }
    let with = from_json(file.to_string().as_bytes(), Layout::Multilingual.n_vocab(), true).unwrap();
    assert_eq!(with.timestamp_begin(), begin);
    assert_eq!(with.decode_with_timestamps(&[begin, begin + 54, begin + 1500]), "<|0.00|><|1.08|><|30.00|>");
}

#[test]
fn end_of_text_may_stand_in_the_vocabulary_only() {
    let mut file = value(Layout::English);
    file["added_tokens"].as_array_mut().unwrap().retain(|token| token["content"] != "<|endoftext|>");
    file["model"]["vocab"]["<|endoftext|>"] = json!(512);
    let tokenizer = from_json(file.to_string().as_bytes(), Layout::English.n_vocab(), false).unwrap();
    assert_eq!(tokenizer.eot(), 512);
    assert_eq!(tokenizer.decode(&[512]), "<|endoftext|>");
    assert!(tokenizer.encode("<|endoftext|>").is_err());
}

#[test]
fn a_missing_language_is_named() {
    let without = |layout: Layout, code: &str| {
        let mut file = value(layout);
        let name = format!("<|{code}|>");
        file["added_tokens"].as_array_mut().unwrap().retain(|token| token["content"] != name.as_str());
        from_json(file.to_string().as_bytes(), layout.n_vocab(), layout != Layout::English)
    };
    for (layout, code) in [
        (Layout::Multilingual, "en"),
        (Layout::Multilingual, "de"),
        (Layout::Multilingual, "su"),
        (Layout::MultilingualYue, "fr"),
        (Layout::MultilingualYue, "yue"),
    ] {
        let error = without(layout, code).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model, "{layout:?} {code}");
        assert!(error.why().contains(&format!("no language token <|{code}|>")), "{layout:?}: {error}");
    }
    // English-only models have no use for theirs.
    assert!(without(Layout::English, "de").is_ok());
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    assert!(refusal(|f| f["added_tokens"] = json!([])).contains("<|endoftext|>"));
    let drop = |f: &mut Value, name: &str| {
        f["added_tokens"].as_array_mut().unwrap().retain(|token| token["content"] != name);
    };
    for name in ["<|startoftranscript|>", "<|endoftext|>", "<|startofprev|>", "<|translate|>"] {
        assert!(refusal(|f| drop(f, name)).contains(name), "{name}");
    }
    assert!(refusal(|f| f["model"]["vocab"]["A"] = json!(1)).contains("two tokens"));
    assert!(refusal(|f| f["model"]["vocab"]["A"] = json!(4_000_000_000_u32)).contains("beyond"));
    assert!(refusal(|f| f["model"]["vocab"]["日"] = json!(3000)).contains("not written in bytes"));
    assert!(refusal(|f| f["model"]["vocab"] = json!([["a", 0.5]])).contains("map"));
    assert!(refusal(|f| drop(f, "<|endoftext|>")).contains("<|endoftext|>"));
    assert!(refusal(|f| f["added_tokens"][1]["id"] = json!(5)).contains("not between"));
    assert!(
        refusal(|f| {
            f["model"]["vocab"].as_object_mut().unwrap().remove("!");
        })
        .contains("no token 0")
    );
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let error = from_json(Layout::Multilingual.json(), Layout::MultilingualYue.n_vocab(), true).unwrap_err();
    assert!(error.why().contains("2121") && error.why().contains("2122"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::from_json(
        &std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tokenizer/config.json")).unwrap(),
    )
    .unwrap();
    let error = Tokenizer::open(folder.path(), &config).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.what().contains("tokenizer.json"), "{error}");
    std::fs::write(folder.path().join("tokenizer.json"), b"{\"model\": {\"vocab\": ").unwrap();
    let error = Tokenizer::open(folder.path(), &config).unwrap_err();
    assert!(error.what().contains("tokenizer.json") && error.why().contains("EOF"), "{error}");
}

#[test]
fn unknown_languages_are_refused_and_names_are_taken() {
    let old = small(Layout::Multilingual).unwrap();
    let new = small(Layout::MultilingualYue).unwrap();
    let english = small(Layout::English).unwrap();
    assert_eq!(old.sot_sequence("yue", Task::Transcribe).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(old.sot_sequence("xx", Task::Transcribe).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(new.sot_sequence("Cantonese", Task::Translate).unwrap(), [514, 614, new.translate()]);
    assert_eq!(english.sot_sequence("xx", Task::Translate).unwrap(), [513]);
    assert_eq!((english.languages(), english.language_token("en")), (&[][..], None));
}

#[test]
fn unknown_ids_are_left_out() {
    let tokenizer = small(Layout::Multilingual).unwrap();
    assert_eq!(tokenizer.decode_with_timestamps(&[32, u32::MAX, 33, 2121]), "AB");
}

#[test]
fn very_long_runs_end() {
    let tokenizer = small(Layout::Multilingual).unwrap();
    for text in [" ".repeat(20_000), "a".repeat(5_000), "\n".repeat(5_000) + "x"] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(&text).unwrap()), text);
    }
}

proptest! {
    #[test]
    fn damaged_files_never_panic(cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), len in any::<prop::sample::Index>(), cut in any::<bool>()) {
        let mut json = Layout::English.json().to_vec();
        for (at, byte) in cuts {
            let at = at.index(json.len());
            json[at] = byte;
        }
        if cut {
            json.truncate(len.index(json.len()));
        }
        if let Ok(tokenizer) = from_json(&json, Layout::English.n_vocab(), true) {
            let _ = tokenizer.encode("Hello <|x|> world");
            let _ = (tokenizer.decode(&[1, 600, 3000]), tokenizer.non_speech_tokens());
        }
    }

    #[test]
    fn encoded_text_decodes_to_itself(text in "\\PC{0,40}|[ -~\\s]{0,60}|.{0,30}") {
        let tokenizer = small(Layout::MultilingualYue).unwrap();
        if let Ok(tokens) = tokenizer.encode(&text) {
            prop_assert_eq!(tokenizer.decode(&tokens), text);
        }
    }

    #[test]
    fn words_hold_all_tokens_unless_the_last_is_broken(tokens in proptest::collection::vec(0_u32..2121, 0..40), language in prop::sample::select(vec!["en", "ja"])) {
        let tokenizer = small(Layout::Multilingual).unwrap();
        let (words, word_tokens) = tokenizer.split_to_word_tokens(&tokens, language);
        prop_assert_eq!(words.len(), word_tokens.len());
        let joined: Vec<u32> = word_tokens.concat();
        prop_assert!(tokens.starts_with(&joined), "got {:?}, want a start of {:?}", joined, tokens);
    }
}
