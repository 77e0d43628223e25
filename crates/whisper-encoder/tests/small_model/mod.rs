//! A random Whisper small enough for tests: 2 blocks, 128 wide, 16 positions.

use std::collections::HashMap;
use std::fs;

use safetensors::{Dtype, tensor::TensorView};

pub(crate) const N_MELS: usize = 80;
pub(crate) const POSITIONS: usize = 16;
pub(crate) const D_MODEL: usize = 128;
pub(crate) const LAYERS: usize = 2;
const FFN: usize = 256;

/// SplitMix64, as values in −1 … 1.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn values(&mut self, len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|_| self.next() * scale).collect()
    }

    #[allow(clippy::cast_precision_loss, reason = "24 bits fit an f32")]
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Writes the encoder's half of a checkpoint to a fresh folder.
pub(crate) fn write() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        r#"{{"model_type": "whisper", "num_mel_bins": {N_MELS}, "max_source_positions": {POSITIONS},
        "d_model": {D_MODEL}, "encoder_attention_heads": 2, "encoder_layers": {LAYERS}, "encoder_ffn_dim": {FFN},
        "vocab_size": 51865, "max_target_positions": 448, "decoder_attention_heads": 2, "decoder_layers": 1,
        "decoder_ffn_dim": {FFN}}}"#
    );
    fs::write(folder.path().join("config.json"), config).unwrap();
    let mut random = Random::new(1);
    let mut tensors: HashMap<String, (Vec<usize>, Vec<u8>)> = HashMap::new();
    let mut add = |name: String, shape: &[usize], scale: f32| {
        let values = random.values(shape.iter().product(), scale);
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.insert(format!("model.encoder.{name}"), (shape.to_vec(), bytes));
    };
    for (name, inputs) in [("conv1", N_MELS), ("conv2", D_MODEL)] {
        add(format!("{name}.weight"), &[D_MODEL, inputs, 3], 0.1);
        add(format!("{name}.bias"), &[D_MODEL], 0.1);
    }
    add("embed_positions.weight".into(), &[POSITIONS, D_MODEL], 0.5);
    for layer in 0..LAYERS {
        let at = |part: &str| format!("layers.{layer}.{part}");
        for norm in ["self_attn_layer_norm", "final_layer_norm"] {
            add(at(&format!("{norm}.weight")), &[D_MODEL], 1.0);
            add(at(&format!("{norm}.bias")), &[D_MODEL], 0.2);
        }
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            add(at(&format!("self_attn.{part}.weight")), &[D_MODEL, D_MODEL], 0.15);
            if part != "k_proj" {
                add(at(&format!("self_attn.{part}.bias")), &[D_MODEL], 0.1);
            }
        }
        for (part, outputs, inputs) in [("fc1", FFN, D_MODEL), ("fc2", D_MODEL, FFN)] {
            add(at(&format!("{part}.weight")), &[outputs, inputs], 0.1);
            add(at(&format!("{part}.bias")), &[outputs], 0.1);
        }
    }
    add("layer_norm.weight".into(), &[D_MODEL], 1.0);
    add("layer_norm.bias".into(), &[D_MODEL], 0.2);
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let views: HashMap<_, _> = views.collect();
    fs::write(folder.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    folder
}
