//! Models that are damaged or do not fit together: exit code 3, the file named, and nothing written.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{assert_one_error, bundled, plain_command, sounds};

/// What is done to a copy of the bundled model.
enum Damage {
    /// Fields of config.json changed.
    Config(Value),
    /// A file's bytes replaced.
    Bytes(&'static str, Vec<u8>),
    /// A file left out.
    Without(&'static str),
    /// tokenizer.json edited.
    Tokenizer(fn(&mut Value)),
}

/// The first mebibyte of the weights, the header in it, after `edit`.
fn weights(edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(bundled().join("model.safetensors"))
        .unwrap()
        .take(1 << 20)
        .read_to_end(&mut bytes)
        .unwrap();
    edit(&mut bytes);
    bytes
}

fn config(changes: Value) -> Damage {
    Damage::Config(changes)
}

fn table() -> Vec<(&'static str, Damage, &'static [&'static str])> {
    use Damage::{Bytes, Tokenizer, Without};
    const WEIGHTS: &str = "model.safetensors";
    const AGAIN: &str = "download the model again";
    const ANOTHER: &str = "take the config.json that came with the weights";
    vec![
        ("cut weights", Bytes(WEIGHTS, weights(|_| ())), &[WEIGHTS, "not a whole safetensors file", AGAIN]),
        (
            "cut header",
            Bytes(WEIGHTS, weights(|bytes| bytes.truncate(1000))),
            &["invalid header length", AGAIN],
        ),
        ("no weights", Bytes(WEIGHTS, Vec::new()), &["header too small", AGAIN]),
        (
            "flipped header",
            Bytes(WEIGHTS, weights(|bytes| bytes[8] ^= 0x40)),
            &["invalid JSON in header", AGAIN],
        ),
        ("endless header", Bytes(WEIGHTS, weights(|bytes| bytes[7] = 0x7f)), &["header too large", AGAIN]),
        ("text for weights", Bytes(WEIGHTS, b"version https://git-lfs".to_vec()), &[WEIGHTS, AGAIN]),
        (
            "another inner width",
            config(json!({"encoder_ffn_dim": 1024})),
            &["[2048, 512]", "[1024, 512]", AGAIN],
        ),
        (
            "half the heads",
            config(json!({"encoder_attention_heads": 4})),
            &["do not make heads of 64", ANOTHER],
        ),
        ("another mel", config(json!({"num_mel_bins": 128})), &["conv1", "[512, 80, 3]", "[512, 128, 3]"]),
        ("another vocabulary", config(json!({"vocab_size": 51866})), &["vocab", "51866"]),
        ("more layers", config(json!({"encoder_layers": 7, "decoder_layers": 7})), &["layers.6", "missing"]),
        ("fewer layers", config(json!({"encoder_layers": 5})), &["more than the 5 encoder layers"]),
        ("fewer decoder layers", config(json!({"decoder_layers": 5})), &["more than the 5 decoder layers"]),
        (
            "no heads",
            config(json!({"encoder_attention_heads": 0})),
            &["encoder_attention_heads is 0", ANOTHER],
        ),
        (
            "heads of no width",
            config(json!({"decoder_attention_heads": 7})),
            &["512 and 7 decoder heads do not make heads of 64"],
        ),
        ("absurd width", config(json!({"d_model": 1u64 << 40})), &["1099511627776, which no Whisper has"]),
        ("absurd depth", config(json!({"encoder_layers": 1_000_000_000})), &["encoder_layers is 1000000000"]),
        ("absurd length", config(json!({"max_target_positions": 1u64 << 50})), &["max_target_positions"]),
        ("negative depth", config(json!({"encoder_layers": -1})), &["config.json", "-1"]),
        ("no Whisper", config(json!({"model_type": "bert"})), &["`bert`, not `whisper`", ANOTHER]),
        (
            "no json",
            Bytes("config.json", b"not json".to_vec()),
            &["config.json", "not a usable Whisper", ANOTHER],
        ),
        ("no fields", Bytes("config.json", b"{}".to_vec()), &["config.json", "missing field", ANOTHER]),
        ("no config", Without("config.json"), &["no config.json"]),
        ("no tokenizer", Without("tokenizer.json"), &["no tokenizer.json", "copy tokenizer.json"]),
        ("no weights at all", Without(WEIGHTS), &["no model.safetensors", "give a folder with"]),
        ("garbage tokenizer", Bytes("tokenizer.json", b"garbage".to_vec()), &["tokenizer.json", AGAIN]),
        ("a tokenizer without special tokens", Tokenizer(drop_special), &["no token <|endoftext|>", AGAIN]),
        ("a tokenizer without German", Tokenizer(drop_german), &["no language token <|de|>", AGAIN]),
        (
            "another tokenizer",
            Bytes("tokenizer.json", english()),
            &["has 2120 tokens", "vocab_size 51865", AGAIN],
        ),
        (
            "heads beyond the layers",
            Bytes("generation_config.json", br#"{"alignment_heads": [[99, 0]]}"#.to_vec()),
            &["generation_config.json", "layer 99", "6 layers of 8 heads", "remove it"],
        ),
        ("garbage beside", Bytes("generation_config.json", b"garbage".to_vec()), &["generation_config.json"]),
    ]
}

fn drop_special(tokenizer: &mut Value) {
    let added = tokenizer["added_tokens"].as_array_mut().unwrap();
    added.retain(|token| !token["content"].as_str().unwrap().starts_with("<|"));
}

fn drop_german(tokenizer: &mut Value) {
    tokenizer["added_tokens"].as_array_mut().unwrap().retain(|token| token["content"] != "<|de|>");
}

/// That of another model: English only, with a cut vocabulary.
fn english() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizer/small-english.json")).unwrap()
}

/// The bundled model in `folder`, with the damage: links where nothing changes.
fn lay(folder: &Path, damage: &Damage) {
    fs::create_dir(folder).unwrap();
    for name in ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"] {
        let (from, to) = (bundled().join(name), folder.join(name));
        let edited = |edit: &dyn Fn(&mut Value)| {
            let mut json: Value = serde_json::from_slice(&fs::read(&from).unwrap()).unwrap();
            edit(&mut json);
            fs::write(&to, serde_json::to_vec(&json).unwrap()).unwrap();
        };
        match damage {
            Damage::Without(file) if *file == name => {}
            Damage::Bytes(file, bytes) if *file == name => fs::write(&to, bytes).unwrap(),
            Damage::Tokenizer(edit) if name == "tokenizer.json" => edited(edit),
            Damage::Config(changes) if name == "config.json" => edited(&|config| {
                for (key, value) in changes.as_object().unwrap() {
                    config[key] = value.clone();
                }
            }),
            _ => {
                #[cfg(unix)]
                std::os::unix::fs::symlink(&from, &to).unwrap();
                #[cfg(not(unix))]
                fs::copy(&from, &to).map(drop).unwrap();
            }
        }
    }
}

#[test]
fn damaged_models_are_3() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.wav"), sounds::good()).unwrap();
    for (name, damage, phrases) in table() {
        lay(&home.path().join(name), &damage);
        let model = format!("./{name}");
        let output = plain_command(home.path())
            .args(["--device", "cpu", "-f", "txt", "-o", "out", "a.wav", "--model", &model])
            .output()
            .unwrap();
        assert_one_error(name, &output, 3, phrases);
        assert_one_error(name, &output, 3, &[name]);
        assert!(output.stdout.is_empty(), "{name}");
        assert!(!home.path().join("out").exists(), "{name} leaves a folder");
        fs::remove_dir_all(home.path().join(name)).unwrap();
    }
}
