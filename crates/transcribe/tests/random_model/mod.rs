//! Small Whispers of every published shape, with random weights that Rust and Python make alike, and what
//! openai-whisper computes with them.
//!
//! The expected values lie in `tests/data/models/NAME.json`; `PROVENANCE.md` beside them spells out the numbers. Every
//! weight is an 8-bit integer times a power of two, so f32, f16, bf16 and int8 files of one model hold the same values
//! and share one oracle.

mod folder;
mod tokenizer;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

pub(crate) use folder::Storage;

/// Every model that has an oracle.
pub(crate) const NAMES: [&str; 4] = ["tiny", "english", "large-v3", "turbo"];

/// One model and what openai-whisper makes of it (the fields of `NAME.json`).
#[derive(Deserialize)]
pub(crate) struct RandomModel {
    pub(crate) config: Value,
    /// `[layer, head]` of the decoder.
    pub(crate) alignment_heads: Vec<[usize; 2]>,
    seed: u64,
    weights_check: BTreeMap<String, Vec<f32>>,
    weights_sum: f64,
    /// Frames of `encoder`.
    pub(crate) encoder_rows: Vec<usize>,
    /// `[encoder_rows, d_model]`.
    pub(crate) encoder: Vec<Vec<f32>>,
    /// Tokens of every row of logits here.
    pub(crate) logit_ids: Vec<usize>,
    pub(crate) sot_sequence: Vec<u32>,
    /// `[sot_sequence, logit_ids]`.
    pub(crate) sot_logits: Vec<Vec<f32>>,
    pub(crate) sot_argmax: Vec<usize>,
    /// Positions of `full_logits` within the tokens of [`RandomModel::full_tokens`].
    pub(crate) full_positions: Vec<usize>,
    /// `[full_positions, logit_ids]`.
    pub(crate) full_logits: Vec<Vec<f32>>,
    pub(crate) full_argmax: Vec<usize>,
    pub(crate) alignment: ExpectedAlignment,
    pub(crate) language: Option<ExpectedLanguage>,
    pub(crate) suppress_tokens: Vec<i64>,
    pub(crate) decode: ExpectedDecode,
    /// How far the reference's f32 is from f64, at most.
    pub(crate) f32_error: F32Error,
}

/// The alignment pass.
#[derive(Deserialize)]
pub(crate) struct ExpectedAlignment {
    pub(crate) text_tokens: Vec<u32>,
    /// Length of the pass.
    pub(crate) tokens: usize,
    /// Encoder positions of `qk`.
    pub(crate) frames: Vec<usize>,
    /// `[heads, tokens, frames]`.
    pub(crate) qk: Vec<Vec<Vec<f32>>>,
    pub(crate) token_probs: Vec<f32>,
}

/// Language detection.
#[derive(Deserialize)]
pub(crate) struct ExpectedLanguage {
    pub(crate) token: u32,
    /// The five most probable.
    pub(crate) top: Vec<(String, f32)>,
}

/// Greedy decodes of at most 24 tokens.
#[derive(Deserialize)]
pub(crate) struct ExpectedDecode {
    pub(crate) with_timestamps: Decoded,
    pub(crate) without_timestamps: Decoded,
}

/// One greedy decode.
#[derive(Deserialize)]
pub(crate) struct Decoded {
    pub(crate) tokens: Vec<u32>,
    pub(crate) avg_logprob: f64,
    pub(crate) no_speech_prob: f64,
}

/// Greatest |f32 − f64| of the reference.
#[derive(Deserialize)]
pub(crate) struct F32Error {
    pub(crate) encoder: f32,
    pub(crate) logits: f32,
    /// Alignment scores.
    pub(crate) qk: f32,
}

/// A weight: its integers, and how they become numbers.
pub(crate) struct Weight {
    pub(crate) shape: Vec<usize>,
    /// Row-major, −128..=127.
    pub(crate) integers: Vec<i8>,
    kind: Kind,
}

enum Kind {
    /// `1 + (k >> 2) / 128`.
    Norm,
    /// `k × 2^−exponent`; `int8` says that odd rows are halved, and that int8 files store the integers.
    Scaled { exponent: i32, int8: bool },
}

impl RandomModel {
    /// Reads `tests/data/models/NAME.json`.
    pub(crate) fn named(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/models/{name}.json"));
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
    }

    fn dim(&self, key: &str) -> usize {
        usize::try_from(self.config[key].as_u64().unwrap()).unwrap()
    }

    /// Length of the vocabulary.
    pub(crate) fn n_vocab(&self) -> usize {
        self.dim("vocab_size")
    }

    /// Mel bins.
    pub(crate) fn n_mels(&self) -> usize {
        self.dim("num_mel_bins")
    }

    /// The input window `[n_mels, 3000]`: multiples of 1/128 in `[−1, 1)`.
    pub(crate) fn mel(&self) -> Vec<f32> {
        random_integers(self.seed, "mel", self.n_mels() * 3000)
            .iter()
            .map(|&k| f32::from(k) / 128.0)
            .collect()
    }

    /// 448 tokens, as many as the decoder has positions.
    pub(crate) fn full_tokens(&self) -> Vec<u32> {
        let bytes = random_integers(self.seed, "tokens", 448);
        (0u32..).zip(bytes).map(|(i, k)| (i32::from(k) + 128).unsigned_abs() + 256 * (i % 200)).collect()
    }

    /// Hugging Face names and shapes of all weights.
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let (d, ctx) = (self.dim("d_model"), self.dim("max_source_positions"));
        let mut all = vec![
            ("model.encoder.conv1.weight".into(), vec![d, self.n_mels(), 3]),
            ("model.encoder.conv1.bias".into(), vec![d]),
            ("model.encoder.conv2.weight".into(), vec![d, d, 3]),
            ("model.encoder.conv2.bias".into(), vec![d]),
            ("model.encoder.embed_positions.weight".into(), vec![ctx, d]),
            ("model.decoder.embed_tokens.weight".into(), vec![self.n_vocab(), d]),
            ("model.decoder.embed_positions.weight".into(), vec![self.dim("max_target_positions"), d]),
        ];
        let norm = |all: &mut Vec<(String, Vec<usize>)>, at: &str| {
            all.extend(["weight", "bias"].map(|part| (format!("{at}layer_norm.{part}"), vec![d])));
        };
        for (half, attentions) in
            [("encoder", &["self_attn"][..]), ("decoder", &["self_attn", "encoder_attn"])]
        {
            norm(&mut all, &format!("model.{half}."));
            let ffn = self.dim(&format!("{half}_ffn_dim"));
            for layer in 0..self.dim(&format!("{half}_layers")) {
                let at = format!("model.{half}.layers.{layer}.");
                for attention in attentions {
                    for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                        all.push((format!("{at}{attention}.{projection}.weight"), vec![d, d]));
                        if projection != "k_proj" {
                            all.push((format!("{at}{attention}.{projection}.bias"), vec![d]));
                        }
                    }
                    norm(&mut all, &format!("{at}{attention}_"));
                }
                all.push((format!("{at}fc1.weight"), vec![ffn, d]));
                all.push((format!("{at}fc1.bias"), vec![ffn]));
                all.push((format!("{at}fc2.weight"), vec![d, ffn]));
                all.push((format!("{at}fc2.bias"), vec![d]));
                norm(&mut all, &format!("{at}final_"));
            }
        }
        all
    }

    /// All weights by their Hugging Face names.
    pub(crate) fn weights(&self) -> BTreeMap<String, Weight> {
        let make = |(name, shape): (String, Vec<usize>)| {
            let integers = random_integers(self.seed, &name, shape.iter().product());
            let kind = kind(&name, &shape);
            (name, Weight { shape, integers, kind })
        };
        self.shapes().into_iter().map(make).collect()
    }
}

fn kind(name: &str, shape: &[usize]) -> Kind {
    let positions = name.contains("embed_positions");
    let exponent = match () {
        () if name.contains("layer_norm") && name.ends_with("weight") => return Kind::Norm,
        () if name == "model.decoder.embed_positions.weight" => 6,
        () if name.contains("embed_") => 8,
        () if name.ends_with("bias") => 10,
        () if shape[1..].iter().product::<usize>() <= 128 => 9,
        () => 10,
    };
    Kind::Scaled { exponent, int8: shape.len() == 2 && !positions }
}

impl Weight {
    /// Whether an int8 file stores it as int8 with a scale for each row.
    pub(crate) fn is_int8(&self) -> bool {
        matches!(self.kind, Kind::Scaled { int8: true, .. })
    }

    /// Factor of each row.
    pub(crate) fn row_scales(&self) -> Vec<f32> {
        let Kind::Scaled { exponent, int8 } = self.kind else { return vec![1.0; self.shape[0]] };
        (0..self.shape[0]).map(|row| 2f32.powi(-exponent - i32::from(int8 && row % 2 == 1))).collect()
    }

    /// Row-major values.
    pub(crate) fn values(&self) -> Vec<f32> {
        if matches!(self.kind, Kind::Norm) {
            return self.integers.iter().map(|&k| 1.0 + f32::from(k >> 2) / 128.0).collect();
        }
        let width = self.integers.len() / self.shape[0];
        let rows = self.integers.chunks_exact(width).zip(self.row_scales());
        rows.flat_map(|(row, scale)| row.iter().map(move |&k| f32::from(k) * scale)).collect()
    }
}

/// FNV-1a, 64 bits.
fn fnv1a(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The top bytes, less 128, of SplitMix64's outputs from the state `fnv1a(name) ^ seed`.
fn random_integers(seed: u64, name: &str, count: usize) -> Vec<i8> {
    let mut state = fnv1a(name) ^ seed;
    let next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // Flipping the top bit of the byte subtracts 128 from it.
        (z.to_be_bytes()[0] ^ 0x80).cast_signed()
    };
    std::iter::repeat_with(next).take(count).collect()
}

#[test]
fn fnv1a_has_the_published_values() {
    // Test vectors of draft-eastlake-fnv.
    for (text, want) in
        [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
    {
        assert_eq!(fnv1a(text), want, "{text:?}");
    }
}

#[test]
fn weights_are_those_of_the_script() {
    for name in NAMES {
        let model = RandomModel::named(name);
        let weights = model.weights();
        for (key, want) in &model.weights_check {
            assert_eq!(&weights[key].values()[..want.len()], &want[..], "{name}: {key}");
        }
        // Sums of multiples of 2^-11 far below 2^42 are exact in f64 in any order.
        let sum: f64 = weights.values().flat_map(Weight::values).map(|value| f64::from(value.abs())).sum();
        assert_eq!(sum.to_bits(), model.weights_sum.to_bits(), "{name}: {sum}, want {}", model.weights_sum);
    }
}
