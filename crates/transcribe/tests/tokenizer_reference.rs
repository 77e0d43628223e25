//! The tokenizer against OpenAI's tokenizer.py (`tests/data/tokenizer/generate.py`): three small vocabularies, and the
//! whole multilingual one of the bundled model.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde::Deserialize;
use transcribe::decoding::Task;
use transcribe::tokenizer::testing::{Layout, from_json, small};
use transcribe::tokenizer::{LANGUAGES, Tokenizer, language_code, language_name};
use whisper_encoder::Config;

#[derive(Deserialize)]
struct Ids {
    eot: u32,
    sot: u32,
    sot_lm: u32,
    sot_prev: u32,
    translate: u32,
    transcribe: u32,
    no_speech: u32,
    no_timestamps: u32,
    timestamp_begin: u32,
}

#[derive(Deserialize)]
#[allow(clippy::type_complexity, reason = "as the JSON is")]
struct Expected {
    n_vocab: usize,
    ids: Ids,
    languages: Vec<(String, u32)>,
    sot_sequences: Vec<(String, String, Vec<u32>)>,
    non_speech_tokens: Vec<u32>,
    refused: Vec<String>,
    encode: Vec<(String, Vec<u32>)>,
    decode: Vec<(Vec<u32>, String, String)>,
    split: Vec<(String, Vec<u32>, Vec<String>, Vec<Vec<u32>>)>,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizer").join(name)
}

fn expected(path: &Path) -> Expected {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn compare(tokenizer: &Tokenizer, want: &Expected) {
    let ids = &want.ids;
    let got = [
        tokenizer.eot(),
        tokenizer.sot(),
        tokenizer.sot_lm(),
        tokenizer.sot_prev(),
        tokenizer.translate(),
        tokenizer.transcribe(),
        tokenizer.no_speech().unwrap(),
        tokenizer.no_timestamps(),
        tokenizer.timestamp_begin(),
    ];
    let wanted = [
        ids.eot,
        ids.sot,
        ids.sot_lm,
        ids.sot_prev,
        ids.translate,
        ids.transcribe,
        ids.no_speech,
        ids.no_timestamps,
        ids.timestamp_begin,
    ];
    assert_eq!(got, wanted);
    let languages: Vec<_> =
        tokenizer.languages().iter().map(|(code, id)| ((*code).to_owned(), *id)).collect();
    assert_eq!(languages, want.languages);
    for (language, task, sequence) in &want.sot_sequences {
        let task = if task == "translate" { Task::Translate } else { Task::Transcribe };
        assert_eq!(tokenizer.sot_sequence(language, task).unwrap(), *sequence);
    }
    assert_eq!(tokenizer.non_speech_tokens(), want.non_speech_tokens);
    for text in &want.refused {
        assert!(tokenizer.encode(text).is_err(), "{text}");
    }
    for (text, tokens) in &want.encode {
        assert_eq!(tokenizer.encode(text).unwrap(), *tokens, "encode {text:?}");
    }
    for (tokens, text, with_timestamps) in &want.decode {
        assert_eq!(tokenizer.decode(tokens), *text, "decode {tokens:?}");
        assert_eq!(tokenizer.decode_with_timestamps(tokens), *with_timestamps, "{tokens:?}");
    }
    for (language, tokens, words, word_tokens) in &want.split {
        let got = tokenizer.split_to_word_tokens(tokens, language);
        assert_eq!(got, (words.clone(), word_tokens.clone()), "split {language} {tokens:?}");
    }
}

#[test]
fn small_vocabularies_equal_openai() {
    for (layout, name) in [
        (Layout::English, "expected-english.json"),
        (Layout::Multilingual, "expected-multilingual.json"),
        (Layout::MultilingualYue, "expected-multilingual-yue.json"),
    ] {
        let want = expected(&data(name));
        assert_eq!(layout.n_vocab(), want.n_vocab);
        compare(&small(layout).unwrap(), &want);
    }
}

#[test]
fn bundled_vocabulary_equals_openai() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/whisper-base-int8");
    let config = Config::open(&data("config.json")).unwrap();
    compare(&Tokenizer::open(&folder, &config).unwrap(), &expected(&data("expected-base.json")));
}

/// Whole vocabularies that are not bundled: generate.py writes them into the folder that TOKENIZER_FOLDER names.
#[test]
#[ignore = "needs files made by generate.py"]
fn whole_vocabularies_equal_openai() {
    let folder = PathBuf::from(std::env::var("TOKENIZER_FOLDER").unwrap());
    for name in ["english", "yue"] {
        let want = expected(&folder.join(format!("whole-expected-{name}.json")));
        let json = std::fs::read(folder.join(format!("whole-{name}.json"))).unwrap();
        compare(&from_json(&json, want.n_vocab, name == "yue").unwrap(), &want);
    }
}

#[test]
fn languages_equal_openai() {
    #[derive(Deserialize)]
    struct Table {
        languages: Vec<(String, String)>,
        codes: std::collections::BTreeMap<String, String>,
    }
    let want: Table = serde_json::from_slice(&std::fs::read(data("languages.json")).unwrap()).unwrap();
    let got: Vec<_> = LANGUAGES.iter().map(|(code, name)| ((*code).to_owned(), (*name).to_owned())).collect();
    assert_eq!(got, want.languages);
    for (name, code) in &want.codes {
        assert_eq!(language_code(name), Some(code.as_str()), "{name}");
        assert_eq!(language_code(&name.to_uppercase()), Some(code.as_str()), "{name}");
    }
    assert_eq!((language_code("DE"), language_code("klingon")), (Some("de"), None));
    assert_eq!((language_name("jw"), language_name("English")), (Some("javanese"), None));
}
