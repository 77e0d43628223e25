//! Every stored format, every kind of damage, names and shards.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::fs;

use proptest::prelude::*;
use safetensors::tensor::TensorView;

use super::*;

const CONFIG: &str = r#"{"model_type": "whisper", "num_mel_bins": 80, "max_source_positions": 1500, "d_model": 128,
    "encoder_attention_heads": 2, "encoder_layers": 1, "encoder_ffn_dim": 256, "vocab_size": 51865,
    "max_target_positions": 448, "decoder_attention_heads": 2, "decoder_layers": 1, "decoder_ffn_dim": 256}"#;

type Entry<'a> = (&'a str, Dtype, Vec<usize>, Vec<u8>);

fn bytes_of<T, const N: usize>(values: &[T], write: fn(&T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(write).collect()
}

fn write(path: &Path, entries: &[Entry<'_>]) {
    let views = entries.iter().map(|(name, dtype, shape, data)| {
        ((*name).to_owned(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let views: HashMap<_, _> = views.collect();
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn folder(entries: &[Entry<'_>]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    write(&folder.path().join("model.safetensors"), entries);
    folder
}

#[test]
fn every_number_type_reads_as_the_same_values() {
    let values = [0.5_f32, -2.0, 3.0, 0.25, -1.0, 8.0];
    let half = |v: &f32| half::f16::from_f32(*v).to_le_bytes();
    let brain = |v: &f32| half::bf16::from_f32(*v).to_le_bytes();
    let quantised: Vec<u8> = [2_i8, -8, 12, 1, -4, 32].iter().map(|v| v.to_le_bytes()[0]).collect();
    let folder = folder(&[
        ("a", Dtype::F32, vec![2, 3], bytes_of(&values, |v| v.to_le_bytes())),
        ("model.b", Dtype::F16, vec![2, 3], bytes_of(&values, half)),
        ("c", Dtype::BF16, vec![2, 3], bytes_of(&values, brain)),
        ("d", Dtype::I8, vec![2, 3], quantised),
        ("d_scale", Dtype::F32, vec![2, 1], bytes_of(&[0.25_f32, 0.25], |v| v.to_le_bytes())),
    ]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    for name in ["a", "b", "c", "d"] {
        assert_eq!(checkpoint.matrix(name, 2, 3).unwrap().to_f32(), values, "{name}");
    }
    assert!(matches!(checkpoint.matrix("d", 2, 3).unwrap().values(), Values::Int8 { .. }));
}

#[test]
fn shards_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    let one = |v: f32| v.to_le_bytes().to_vec();
    write(&folder.path().join("model-1.safetensors"), &[("model.a", Dtype::F32, vec![1], one(1.0))]);
    write(&folder.path().join("model-2.safetensors"), &[("model.b", Dtype::F32, vec![1], one(2.0))]);
    let index = r#"{"weight_map": {"model.a": "model-1.safetensors", "model.b": "model-2.safetensors"}}"#;
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.vector("a", 1).unwrap(), [1.0]);
    assert_eq!(checkpoint.vector("b", 1).unwrap(), [2.0]);

    let outside = r#"{"weight_map": {"model.a": "../model-1.safetensors"}}"#;
    fs::write(folder.path().join("model.safetensors.index.json"), outside).unwrap();
    assert!(Checkpoint::open(folder.path()).err().unwrap().to_string().contains("not a file name"));
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = folder(&[
        ("a", Dtype::F32, vec![2], vec![0; 8]),
        ("q", Dtype::I8, vec![2, 2], vec![0; 4]),
        ("i", Dtype::I64, vec![1], vec![0; 8]),
    ]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    for (result, wants) in [
        (checkpoint.matrix("a", 1, 2).map(drop), "shape [2]"),
        (checkpoint.matrix("q", 2, 2).map(drop), "q_scale: it is missing"),
        (checkpoint.vector("i", 1).map(drop), "I64"),
        (checkpoint.vector("absent", 1).map(drop), "missing"),
    ] {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(wants), "{message:?} lacks {wants:?}");
    }
}

#[test]
fn scales_that_are_no_numbers_are_refused() {
    for (scale, wants) in [(f32::NAN, "its value 1 is NaN"), (f32::NEG_INFINITY, "its value 1 is -inf")] {
        let folder = folder(&[
            ("q", Dtype::I8, vec![2, 2], vec![1; 4]),
            ("q_scale", Dtype::F32, vec![2], bytes_of(&[1.0, scale], |v| v.to_le_bytes())),
        ]);
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        for result in [checkpoint.matrix("q", 2, 2).map(drop), checkpoint.lend("q", 2, 2, |_| ())] {
            let error = result.unwrap_err();
            assert!(matches!(&error, Error::Checkpoint { .. }), "{error}");
            assert!(error.to_string().contains("q_scale") && error.to_string().contains(wants), "{error}");
        }
    }
}

#[test]
fn a_tensor_that_is_there_twice_is_refused() {
    let one = |v: f32| v.to_le_bytes().to_vec();
    let twice = folder(&[("a", Dtype::F32, vec![1], one(1.0)), ("model.a", Dtype::F32, vec![1], one(2.0))]);
    let message = Checkpoint::open(twice.path()).err().unwrap().to_string();
    assert!(message.contains("tensor a: it is there twice"), "{message}");

    let shards = folder(&[("a", Dtype::F32, vec![1], one(1.0))]);
    let second = shards.path().join("second.safetensors");
    write(&second, &[("model.a", Dtype::F32, vec![1], one(2.0))]);
    let files = [shards.path().join("model.safetensors"), second];
    let result = Checkpoint::open_files(&shards.path().join("config.json"), &files);
    let message = result.err().unwrap().to_string();
    assert!(message.contains("second.safetensors") && message.contains("twice"), "{message}");
}

#[test]
fn more_layers_than_configured_are_refused() {
    let folder = folder(&[("model.encoder.layers.1.fc1.bias", Dtype::F32, vec![1], vec![0; 4])]);
    let message = Checkpoint::open(folder.path()).err().unwrap().to_string();
    assert!(message.contains("more than the 1 encoder layers"), "{message}");
}

#[test]
fn a_cut_file_is_refused() {
    let folder = folder(&[("a", Dtype::F32, vec![64], vec![0; 256])]);
    let path = folder.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for len in [0, 4, 12, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(Checkpoint::open(folder.path()).is_err(), "{len} bytes of {} were accepted", whole.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256), header in 0_u64..64) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), CONFIG).unwrap();
        let path = folder.path().join("model.safetensors");
        for content in [bytes.clone(), [&header.to_le_bytes(), &bytes[..]].concat()] {
            fs::write(&path, content).unwrap();
            let _ = Checkpoint::open(folder.path()).map(|c| c.vector("a", 1).is_ok());
        }
    }

    #[test]
    fn no_config_makes_it_panic(text in ".{0,200}", field in 0_usize..12, number in any::<i64>()) {
        let _ = Config::from_json(text.as_bytes());
        let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(CONFIG).unwrap();
        let name = fields.keys().nth(field).unwrap().clone();
        fields.insert(name, number.into());
        let changed = serde_json::to_vec(&fields).unwrap();
        if let Ok(config) = Config::from_json(&changed) {
            prop_assert!(config.d_model.is_multiple_of(config.n_audio_head));
        }
    }
}
