//! Checkpoints of every published shape with random weights, so that loaders are tested without downloads.
//!
//! Layer, head, mel and vocabulary counts are those of the published `config.json`; only the head width is small, so
//! that large-v3 takes some megabytes. Names and layouts are the hub's.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;

use crate::golden::Tensor;

/// A published Whisper by its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in Config")]
pub struct Size {
    pub name: &'static str,
    pub n_mels: usize,
    pub n_vocab: usize,
    pub heads: usize,
    pub n_audio_layer: usize,
    pub n_text_layer: usize,
}

const fn size(
    name: &'static str,
    [n_mels, n_vocab]: [usize; 2],
    heads: usize,
    [n_audio_layer, n_text_layer]: [usize; 2],
) -> Size {
    Size { name, n_mels, n_vocab, heads, n_audio_layer, n_text_layer }
}

const ENGLISH: [usize; 2] = [80, 51864];
const MULTILINGUAL: [usize; 2] = [80, 51865];
const V3: [usize; 2] = [128, 51866];

/// Every published size, from the `config.json` of each on the hub.
pub const SIZES: [Size; 14] = [
    size("tiny.en", ENGLISH, 6, [4, 4]),
    size("tiny", MULTILINGUAL, 6, [4, 4]),
    size("base.en", ENGLISH, 8, [6, 6]),
    size("base", MULTILINGUAL, 8, [6, 6]),
    size("small.en", ENGLISH, 12, [12, 12]),
    size("small", MULTILINGUAL, 12, [12, 12]),
    size("medium.en", ENGLISH, 16, [24, 24]),
    size("medium", MULTILINGUAL, 16, [24, 24]),
    size("large-v2", MULTILINGUAL, 20, [32, 32]),
    size("large-v3", V3, 20, [32, 32]),
    size("large-v3-turbo", V3, 20, [32, 4]),
    size("distil-small.en", ENGLISH, 12, [12, 4]),
    size("distil-large-v2", MULTILINGUAL, 20, [32, 2]),
    size("distil-large-v3", V3, 20, [32, 2]),
];

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One file, f32.
    F32,
    /// One file, f16.
    F16,
    /// One file, bf16.
    Bf16,
    /// Two files and `model.safetensors.index.json`, f32.
    Sharded,
    /// compressed-tensors "int-quantized" by channel: 2-D weights i8 with `_scale` `[out, 1]`; convolutions and
    /// positions f16, the rest f32.
    Int8,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::F32, Self::F16, Self::Bf16, Self::Sharded, Self::Int8];
}

/// Positions of encoder and decoder, in every size.
const POSITIONS: [usize; 2] = [1500, 448];

impl Size {
    /// Width of the model with heads of `head_dim`.
    #[must_use]
    pub fn d_model(&self, head_dim: usize) -> usize {
        self.heads * head_dim
    }

    /// Names and shapes of all weights, in the hub's layout; `proj_out` is tied and not stored.
    #[must_use]
    pub fn shapes(&self, head_dim: usize) -> BTreeMap<String, Vec<usize>> {
        let d = self.d_model(head_dim);
        let mut shapes = BTreeMap::new();
        let mut add = |name: String, shape: &[usize]| drop(shapes.insert(name, shape.to_vec()));
        add("model.encoder.conv1.weight".into(), &[d, self.n_mels, 3]);
        add("model.encoder.conv2.weight".into(), &[d, d, 3]);
        add("model.encoder.conv1.bias".into(), &[d]);
        add("model.encoder.conv2.bias".into(), &[d]);
        add("model.decoder.embed_tokens.weight".into(), &[self.n_vocab, d]);
        let halves = [
            ("encoder", self.n_audio_layer, &["self_attn"][..]),
            ("decoder", self.n_text_layer, &["self_attn", "encoder_attn"]),
        ];
        for ((half, layers, attentions), positions) in halves.into_iter().zip(POSITIONS) {
            add(format!("model.{half}.embed_positions.weight"), &[positions, d]);
            let mut norms = vec![format!("model.{half}.layer_norm")];
            for layer in (0..layers).map(|index| format!("model.{half}.layers.{index}")) {
                for attention in attentions {
                    norms.push(format!("{layer}.{attention}_layer_norm"));
                    for linear in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                        add(format!("{layer}.{attention}.{linear}.weight"), &[d, d]);
                        // Whisper's key projection alone has no bias.
                        if linear != "k_proj" {
                            add(format!("{layer}.{attention}.{linear}.bias"), &[d]);
                        }
                    }
                }
                norms.push(format!("{layer}.final_layer_norm"));
                add(format!("{layer}.fc1.weight"), &[4 * d, d]);
                add(format!("{layer}.fc1.bias"), &[4 * d]);
                add(format!("{layer}.fc2.weight"), &[d, 4 * d]);
                add(format!("{layer}.fc2.bias"), &[d]);
            }
            for norm in norms {
                add(format!("{norm}.weight"), &[d]);
                add(format!("{norm}.bias"), &[d]);
            }
        }
        shapes
    }

    fn config(&self, head_dim: usize, format: Format) -> serde_json::Value {
        let d = self.d_model(head_dim);
        let mut config = json!({
            "model_type": "whisper", "activation_function": "gelu", "scale_embedding": false,
            "num_mel_bins": self.n_mels, "vocab_size": self.n_vocab, "d_model": d,
            "max_source_positions": POSITIONS[0], "max_target_positions": POSITIONS[1],
            "encoder_attention_heads": self.heads, "decoder_attention_heads": self.heads,
            "encoder_layers": self.n_audio_layer, "decoder_layers": self.n_text_layer,
            "encoder_ffn_dim": 4 * d, "decoder_ffn_dim": 4 * d,
            "tie_word_embeddings": true,
        });
        if format == Format::Int8 {
            config["quantization_config"] = json!({
                "quant_method": "compressed-tensors", "format": "int-quantized",
                "quantization_status": "compressed",
                "config_groups": { "group_0": { "targets": ["Linear", "Embedding"], "weights": {
                    "num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "dynamic": false,
                } } },
            });
        }
        config
    }
}

/// A stored tensor: type, shape, little-endian bytes.
type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// Writes `config.json` and the weights into `folder`; returns each weight as a loader must give it in f32.
///
/// # Errors
/// If a file cannot be written.
pub fn write(
    folder: &Path,
    size: &Size,
    head_dim: usize,
    format: Format,
    seed: u64,
) -> io::Result<BTreeMap<String, Tensor>> {
    let mut random = SplitMix(seed);
    let mut stored: BTreeMap<String, Stored> = BTreeMap::new();
    let mut wanted = BTreeMap::new();
    for (name, shape) in size.shapes(head_dim) {
        let fan_in = shape[1..].iter().product::<usize>().max(1) as f32;
        let centre = f32::from(u8::from(name.ends_with("norm.weight")));
        let count = shape.iter().product::<usize>();
        let data: Vec<f32> = (0..count).map(|_| centre + random.uniform() / fan_in.sqrt()).collect();
        let data = encode(&mut stored, &name, &shape, data, format);
        wanted.insert(name, Tensor { shape, data });
    }
    std::fs::write(folder.join("config.json"), size.config(head_dim, format).to_string())?;
    if format == Format::Sharded {
        write_shards(folder, stored)?;
    } else {
        save(&folder.join("model.safetensors"), &stored)?;
    }
    Ok(wanted)
}

/// Stores one weight in `format`; returns what is left of its values.
fn encode(
    stored: &mut BTreeMap<String, Stored>,
    name: &str,
    shape: &[usize],
    data: Vec<f32>,
    format: Format,
) -> Vec<f32> {
    // As the bundled model: matrices i8, convolutions and positions f16, the rest f32.
    let position_or_conv = shape.len() == 3 || name.contains("embed_positions");
    let (dtype, bytes, left) = match format {
        Format::Int8 if position_or_conv => as_f16(&data),
        Format::Int8 if shape.len() == 2 => {
            let (bytes, scales, left) = as_i8(&data, shape[1]);
            stored.insert(format!("{name}_scale"), (Dtype::F32, vec![shape[0], 1], scales));
            (Dtype::I8, bytes, left)
        }
        Format::F16 => as_f16(&data),
        Format::Bf16 => {
            let short: Vec<bf16> = data.iter().map(|&value| bf16::from_f32(value)).collect();
            let bytes = short.iter().flat_map(|value| value.to_le_bytes()).collect();
            (Dtype::BF16, bytes, short.into_iter().map(bf16::to_f32).collect())
        }
        Format::F32 | Format::Sharded | Format::Int8 => {
            (Dtype::F32, data.iter().flat_map(|value| value.to_le_bytes()).collect(), data)
        }
    };
    stored.insert(name.into(), (dtype, shape.into(), bytes));
    left
}

fn as_f16(data: &[f32]) -> (Dtype, Vec<u8>, Vec<f32>) {
    let short: Vec<f16> = data.iter().map(|&value| f16::from_f32(value)).collect();
    let bytes = short.iter().flat_map(|value| value.to_le_bytes()).collect();
    (Dtype::F16, bytes, short.into_iter().map(f16::to_f32).collect())
}

/// Rows of `width` as i8 with one scale each: bytes, scales, values left.
fn as_i8(data: &[f32], width: usize) -> (Vec<u8>, Vec<u8>, Vec<f32>) {
    let (mut bytes, mut scales, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for row in data.chunks_exact(width) {
        let scale = row.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs())) / 127.0;
        scales.extend(scale.to_le_bytes());
        for value in row {
            #[allow(clippy::cast_possible_truncation, reason = "within ±127 by the choice of scale")]
            let level = (value / scale).round_ties_even() as i8;
            bytes.extend(level.to_le_bytes());
            left.push(f32::from(level) * scale);
        }
    }
    (bytes, scales, left)
}

/// Every other tensor in the second file, so that layers are torn across both.
fn write_shards(folder: &Path, stored: BTreeMap<String, Stored>) -> io::Result<()> {
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let mut shards = [BTreeMap::new(), BTreeMap::new()];
    let mut weight_map = serde_json::Map::new();
    for (index, (name, tensor)) in stored.into_iter().enumerate() {
        weight_map.insert(name.clone(), names[index % 2].into());
        shards[index % 2].insert(name, tensor);
    }
    for (name, shard) in names.iter().zip(&shards) {
        save(&folder.join(name), shard)?;
    }
    let index = json!({ "metadata": {}, "weight_map": weight_map });
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string())
}

fn save(path: &Path, stored: &BTreeMap<String, Stored>) -> io::Result<()> {
    let views: BTreeMap<&String, TensorView<'_>> = stored
        .iter()
        .map(|(name, (dtype, shape, bytes))| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(io::Error::other)?;
    safetensors::serialize_to_file(views, None, path).map_err(io::Error::other)
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every machine, from one line of state.
struct SplitMix(u64);

impl SplitMix {
    /// The next number in −1 … 1.
    #[allow(clippy::cast_precision_loss, reason = "24 bits are exact in f32")]
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}
