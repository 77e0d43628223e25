//! Stored results of another implementation: `decodings.json` and one safetensors file for some clips.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

/// A golden folder.
#[derive(Clone, Debug)]
pub struct Goldens {
    folder: PathBuf,
    /// What `decodings.json` says.
    pub decodings: Decodings,
}

/// `decodings.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Decodings {
    /// What made it.
    pub source: String,
    /// Encoder frames kept, of the sub-layer's own frames.
    pub rows_of_1500: Vec<usize>,
    /// Mel frames kept; absent if all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mel_frames: Option<Vec<usize>>,
    /// Results per clip, by the stem of its file name.
    pub clips: BTreeMap<String, Clip>,
}

/// All results for one clip, at temperature 0.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Clip {
    /// Length, seconds.
    pub audio_seconds: f64,
    /// The five most likely languages with their probabilities, likeliest first.
    pub language_top5: Vec<(String, f64)>,
    /// The likeliest.
    pub language: String,
    /// Window, greedy, text only.
    pub greedy_without_timestamps: Window,
    /// Window, greedy.
    pub greedy_with_timestamps: Window,
    /// Window, five beams.
    pub beam5: Window,
    /// Window, greedy, translated to English.
    pub greedy_translate: Window,
    /// File, greedy.
    pub transcribe_greedy_t0: File,
    /// File, greedy, with word times.
    pub transcribe_greedy_t0_words: File,
    /// File, five beams.
    pub transcribe_beam5_t0: File,
}

/// Result for the first 30 s, silence appended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as OpenAI's DecodingResult")]
pub struct Window {
    pub tokens: Vec<u32>,
    pub text: String,
    pub avg_logprob: f64,
    pub no_speech_prob: f64,
    pub compression_ratio: f64,
}

/// Result for a whole file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as OpenAI's result dictionary")]
pub struct File {
    pub text: String,
    pub segments: Vec<Segment>,
}

/// A segment of a [`File`]; times in seconds, `seek` in mel frames.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as OpenAI's result dictionary")]
pub struct Segment {
    pub id: usize,
    pub seek: usize,
    pub start: f64,
    pub end: f64,
    pub text: String,
    pub tokens: Vec<u32>,
    pub avg_logprob: f64,
    pub compression_ratio: f64,
    pub no_speech_prob: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<Word>>,
}

/// A word of a [`Segment`]; times in seconds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[allow(missing_docs, reason = "named as OpenAI's result dictionary")]
pub struct Word {
    pub word: String,
    pub start: f64,
    pub end: f64,
    pub probability: f64,
}

/// A stored tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub data: Vec<f32>,
}

/// The tensors of one clip.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors {
    /// f32 tensors by name.
    pub floats: BTreeMap<String, Tensor>,
    /// Vocabulary ids whose logits were kept; `None` if all were.
    pub logits_ids: Option<Vec<usize>>,
}

/// Name of the tensor behind [`Tensors::logits_ids`].
pub const LOGITS_IDS: &str = "decoder.logits_ids";

impl Goldens {
    /// Reads `decodings.json` of `folder`.
    ///
    /// # Errors
    /// A sentence: which file, and what is wrong with it.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let path = folder.join("decodings.json");
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let decodings =
            serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { folder: folder.into(), decodings })
    }

    /// The set kept in this repository: three clips, some rows.
    ///
    /// # Panics
    /// If it cannot be read: the checkout is damaged.
    #[must_use]
    pub fn of_repository() -> Self {
        Self::open(&repository().join("tests/data/goldens")).unwrap()
    }

    /// Clips that have tensors, in the order of their names.
    #[must_use]
    pub fn with_tensors(&self) -> Vec<&str> {
        let has = |clip: &&str| self.folder.join(format!("{clip}.safetensors")).is_file();
        self.decodings.clips.keys().map(String::as_str).filter(has).collect()
    }

    /// The tensors of `clip`.
    ///
    /// # Errors
    /// A sentence: which file, and what is wrong with it.
    pub fn tensors(&self, clip: &str) -> Result<Tensors, String> {
        let path = self.folder.join(format!("{clip}.safetensors"));
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let bytes = fs::read(&path).map_err(|error| wrong(&error))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| wrong(&error))?;
        let mut tensors = Tensors::default();
        for (name, view) in file.tensors() {
            let words = view.data().chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]);
            match view.dtype() {
                Dtype::I32 if name == LOGITS_IDS => {
                    tensors.logits_ids = Some(words.map(|b| u32::from_le_bytes(b) as usize).collect());
                }
                Dtype::F32 => {
                    let tensor =
                        Tensor { shape: view.shape().into(), data: words.map(f32::from_le_bytes).collect() };
                    tensors.floats.insert(name, tensor);
                }
                other => return Err(wrong(&format!("{name} is {other:?}, not f32"))),
            }
        }
        Ok(tensors)
    }

    /// Whether fewer rows or values are stored than were made.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.decodings.mel_frames.is_some()
    }
}

/// Root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_decodings_is_named() {
        let message = Goldens::open(Path::new("no/such/folder")).unwrap_err();
        assert!(message.contains("no/such/folder"), "{message}");
    }

    #[test]
    fn the_set_of_the_repository_is_whole() {
        let goldens = Goldens::of_repository();
        let clips: Vec<_> = goldens.decodings.clips.keys().map(String::as_str).collect();
        assert_eq!(clips, ["SS-0890", "short-150-samples", "starts-loud"]);
        assert_eq!(goldens.with_tensors(), clips);
        let rows = goldens.decodings.rows_of_1500.len();
        for clip in clips {
            let tensors = goldens.tensors(clip).unwrap();
            for (name, tensor) in &tensors.floats {
                assert_eq!(tensor.shape.iter().product::<usize>(), tensor.data.len(), "{clip} {name}");
                assert!(tensor.data.iter().all(|value| value.is_finite()), "{clip} {name}");
                if name.starts_with("encoder.") {
                    assert_eq!(tensor.shape, [rows, 512], "{clip} {name}");
                }
            }
            let ids = tensors.logits_ids.unwrap();
            assert_eq!(tensors.floats["decoder.logits_after_sot_sequence"].shape, [3, ids.len()], "{clip}");
        }
    }
}
