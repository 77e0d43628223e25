//! Writes a random model as a folder of the hub's layout.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use super::{RandomModel, Weight, tokenizer};

/// How the weights lie in the file; the values are the same in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// Everything f32.
    F32,
    /// Everything f16.
    F16,
    /// Everything bf16.
    Bf16,
    /// As the bundled model: matrices and token embedding int8 with f32 row scales, convolutions and positions f16,
    /// biases and norms f32.
    Int8,
    /// f32 in two files with an index, and `proj_out.weight`, the tied copy that some fine-tunes keep.
    Sharded,
}

/// A tensor as the file holds it.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

type Tensors = BTreeMap<String, Stored>;

impl RandomModel {
    /// Writes config.json, generation_config.json, preprocessor_config.json, tokenizer.json and the weights.
    pub(crate) fn write(&self, storage: Storage, folder: &Path) {
        let generation = json!({
            "alignment_heads": self.alignment_heads, "is_multilingual": self.n_vocab() >= 51865,
            "bos_token_id": self.config["bos_token_id"], "eos_token_id": self.config["eos_token_id"],
            "decoder_start_token_id": self.config["decoder_start_token_id"], "max_length": 448,
        });
        let preprocessor = json!({
            "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": self.n_mels(), "hop_length": 160,
            "n_fft": 400, "n_samples": 480_000, "nb_max_frames": 3000, "sampling_rate": 16_000, "chunk_length": 30,
        });
        let mut config = self.config.clone();
        config["torch_dtype"] = match storage {
            Storage::F16 => "float16".into(),
            Storage::Bf16 => "bfloat16".into(),
            Storage::F32 | Storage::Int8 | Storage::Sharded => "float32".into(),
        };
        if storage == Storage::Int8 {
            config["quantization_config"] = quantization_config();
        }
        write_json(&folder.join("config.json"), &config);
        write_json(&folder.join("generation_config.json"), &generation);
        write_json(&folder.join("preprocessor_config.json"), &preprocessor);
        write_json(&folder.join("tokenizer.json"), &tokenizer::tokenizer_json(self.n_vocab()));
        self.write_weights(storage, folder);
    }

    fn write_weights(&self, storage: Storage, folder: &Path) {
        let mut tensors = Tensors::new();
        for (name, weight) in self.weights() {
            if storage == Storage::Int8 && weight.is_int8() {
                let bytes = weight.integers.iter().map(|k| k.cast_unsigned()).collect();
                let scales = weight.row_scales().iter().flat_map(|scale| scale.to_le_bytes()).collect();
                let scale_shape = vec![weight.shape[0], 1];
                tensors.insert(
                    format!("{name}_scale"),
                    Stored { dtype: Dtype::F32, shape: scale_shape, bytes: scales },
                );
                tensors.insert(name, Stored { dtype: Dtype::I8, shape: weight.shape, bytes });
            } else {
                let stored = store(&weight, dtype_of(storage, &weight));
                tensors.insert(name, stored);
            }
        }
        if storage != Storage::Sharded {
            return save(&tensors, &folder.join("model.safetensors"));
        }
        let tied = &tensors["model.decoder.embed_tokens.weight"];
        let tied = Stored { dtype: tied.dtype, shape: tied.shape.clone(), bytes: tied.bytes.clone() };
        tensors.insert("proj_out.weight".into(), tied);
        let (mut first, mut second) = (Tensors::new(), Tensors::new());
        let mut weight_map = serde_json::Map::new();
        for (i, (name, tensor)) in tensors.into_iter().enumerate() {
            // Alternating files put the halves of one layer into different shards.
            let shard = if i % 2 == 0 { &mut first } else { &mut second };
            weight_map.insert(name.clone(), shard_name(i % 2).into());
            shard.insert(name, tensor);
        }
        let bytes: usize = first.values().chain(second.values()).map(|tensor| tensor.bytes.len()).sum();
        let index = json!({ "metadata": { "total_size": bytes }, "weight_map": weight_map });
        write_json(&folder.join("model.safetensors.index.json"), &index);
        save(&first, &folder.join(shard_name(0)));
        save(&second, &folder.join(shard_name(1)));
    }
}

fn shard_name(i: usize) -> String {
    format!("model-{:05}-of-00002.safetensors", i + 1)
}

fn dtype_of(storage: Storage, weight: &Weight) -> Dtype {
    match storage {
        Storage::F32 | Storage::Sharded => Dtype::F32,
        Storage::F16 => Dtype::F16,
        Storage::Bf16 => Dtype::BF16,
        Storage::Int8 if weight.shape.len() > 1 => Dtype::F16,
        Storage::Int8 => Dtype::F32,
    }
}

fn store(weight: &Weight, dtype: Dtype) -> Stored {
    let values = weight.values();
    let bytes = match dtype {
        Dtype::F16 => values.into_iter().flat_map(|value| f16_bits(value).to_le_bytes()).collect(),
        Dtype::BF16 => values.into_iter().flat_map(|value| bf16_bits(value).to_le_bytes()).collect(),
        _ => values.into_iter().flat_map(f32::to_le_bytes).collect(),
    };
    Stored { dtype, shape: weight.shape.clone(), bytes }
}

/// The f16 of a value that f16 holds exactly as a normal number, or zero.
fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    if value == 0.0 {
        return 0;
    }
    let exponent = (bits >> 23 & 0xff) + 15 - 127;
    assert!((1..31).contains(&exponent) && bits & 0x1fff == 0, "{value} is not exact in f16");
    u16::try_from(bits >> 16 & 0x8000 | exponent << 10 | bits >> 13 & 0x3ff).unwrap()
}

/// The bf16 of a value that bf16 holds exactly.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    assert!(bits & 0xffff == 0, "{value} is not exact in bf16");
    u16::try_from(bits >> 16).unwrap()
}

fn save(tensors: &Tensors, path: &Path) {
    let views = tensors.iter().map(|(name, tensor)| {
        (name.as_str(), TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap())
    });
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path).unwrap();
}

fn write_json(path: &Path, value: &Value) {
    std::fs::write(path, serde_json::to_vec(value).unwrap()).unwrap();
}

/// That of the bundled model.
fn quantization_config() -> Value {
    json!({
        "quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
        "config_groups": { "group_0": {
            "targets": ["Linear", "Embedding"], "input_activations": null,
            "weights": { "num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "dynamic": false },
        } },
        "ignore": [],
    })
}

#[test]
fn half_floats_are_exact() {
    for (value, f16, bf16) in
        [(1.0, 0x3c00, 0x3f80), (-0.5, 0xb800, 0xbf00), (0.0, 0, 0), (1.242_187_5, 0x3cf8, 0x3f9f)]
    {
        assert_eq!((f16_bits(value), bf16_bits(value)), (f16, bf16), "{value}");
    }
}
