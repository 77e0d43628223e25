//! Every published shape and every stored format is read as it was written.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use whisper_encoder::Config;
use workspace_tests::golden::repository;
use workspace_tests::random_checkpoint::{Format, SIZES, Size, write};

const HEAD_DIM: usize = 2;

fn by_name(name: &str) -> &'static Size {
    SIZES.iter().find(|size| size.name == name).unwrap()
}

#[test]
fn every_size_has_the_counts_of_its_config() {
    for size in &SIZES {
        let folder = tempfile::tempdir().unwrap();
        let weights = write(folder.path(), size, HEAD_DIM, Format::F16, 1).unwrap();
        // Not by `Config::open`, which rightly refuses heads of such a width.
        let text = std::fs::read(folder.path().join("config.json")).unwrap();
        let config: Config = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            (config.n_audio_layer, config.n_text_layer),
            (size.n_audio_layer, size.n_text_layer),
            "{}",
            size.name
        );
        assert_eq!(config.is_multilingual(), !size.name.ends_with(".en"), "{}", size.name);
        assert_eq!(config.num_languages(), if size.n_mels == 128 { 100 } else { 99 }, "{}", size.name);
        // Stem 4, embeddings 3, final norms 4; an encoder block has 15 tensors, a decoder block 24.
        let want = 11 + 15 * size.n_audio_layer + 24 * size.n_text_layer;
        assert_eq!(weights.len(), want, "{}", size.name);
    }
}

#[test]
fn base_has_the_parameters_that_the_published_model_has() {
    let shapes = by_name("base").shapes(64);
    let parameters: usize = shapes.values().map(|shape| shape.iter().product::<usize>()).sum();
    // Counted over the published file's header; 1500 × 512 of them are the fixed positions.
    assert_eq!(parameters, 72_593_920);
}

#[test]
#[allow(clippy::cast_precision_loss, reason = "printed with three or four digits")]
fn the_table_of_models_is_counted() {
    let table = std::fs::read_to_string(repository().join("models/README.md")).unwrap();
    for size in &SIZES {
        let parameters: usize = size.shapes(64).values().map(|shape| shape.iter().product::<usize>()).sum();
        let row = format!(
            "| `{}` | {} | {} + {} | {} | {} | {} | {:.1} M | {:.2} GB |",
            size.name,
            size.d_model(64),
            size.n_audio_layer,
            size.n_text_layer,
            size.heads,
            size.n_mels,
            size.n_vocab,
            parameters as f64 / 1e6,
            4.0 * parameters as f64 / 1e9,
        );
        assert!(table.lines().any(|line| line == row), "models/README.md lacks the row\n{row}");
    }
}

/// Reads a folder back with nothing but the formats' definitions.
fn read(folder: &Path) -> BTreeMap<String, Vec<f32>> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    let mut values = BTreeMap::new();
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
            let data = view.data();
            let data: Vec<f32> = match view.dtype() {
                Dtype::I8 => data.iter().map(|&byte| f32::from(byte.cast_signed())).collect(),
                Dtype::F16 => data.chunks(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
                Dtype::BF16 => data.chunks(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
                _ => data.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            };
            values.insert(name, data);
        }
    }
    let scales: Vec<String> = values.keys().filter(|name| name.ends_with("_scale")).cloned().collect();
    for name in scales {
        let scale = values.remove(&name).unwrap();
        let weight = values.get_mut(name.trim_end_matches("_scale")).unwrap();
        let width = weight.len() / scale.len();
        weight.chunks_mut(width).zip(scale).for_each(|(row, s)| row.iter_mut().for_each(|value| *value *= s));
    }
    values
}

#[test]
fn every_format_holds_the_values_that_were_promised() {
    for format in Format::ALL {
        let folder = tempfile::tempdir().unwrap();
        let wanted = write(folder.path(), by_name("tiny"), HEAD_DIM, format, 7).unwrap();
        let stored = read(folder.path());
        assert_eq!(stored.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{format:?}");
        for (name, want) in &wanted {
            assert!(stored[name] == want.data, "{format:?} {name}");
        }
        let shards = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(shards, if format == Format::Sharded { 4 } else { 2 }, "{format:?}");
    }
}

#[test]
fn a_seed_decides_every_value() {
    let first = |seed| {
        let folder = tempfile::tempdir().unwrap();
        let weights = write(folder.path(), by_name("tiny"), HEAD_DIM, Format::F32, seed).unwrap();
        weights["model.encoder.conv1.weight"].data.clone()
    };
    assert!(first(3) == first(3) && first(3) != first(4));
}
