//! Which cross-attention heads follow the audio: per checkpoint, for word times.

use std::path::Path;

use serde::Deserialize;
use whisper_encoder::Config;

use crate::{Error, ErrorKind, Result};

/// `(layer, head)` of the decoder's cross-attention.
pub type Head = (usize, usize);

/// Heads from `generation_config.json` (`alignment_heads`), else all heads of the upper half of the layers, which is
/// OpenAI's default (`model.py`, `Whisper.__init__`).
///
/// # Errors
/// If the file is there but damaged, or names heads that the model does not have.
pub fn alignment_heads(folder: &Path, config: &Config) -> Result<Vec<Head>> {
    let path = folder.join("generation_config.json");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(upper_half(config)),
        Err(error) => return Err(refused(&path, error.to_string())),
    };
    parse(&text, config).map_err(|reason| refused(&path, reason))
}

fn refused(path: &Path, reason: String) -> Error {
    Error::new(
        ErrorKind::Model,
        format!("cannot use {}", path.display()),
        reason,
        "take the file that belongs to this checkpoint, or remove it to do without alignment heads",
    )
}

fn parse(text: &[u8], config: &Config) -> std::result::Result<Vec<Head>, String> {
    #[derive(Deserialize)]
    struct Generation {
        alignment_heads: Option<Vec<Head>>,
    }
    let parsed: Generation = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let Some(heads) = parsed.alignment_heads.filter(|heads| !heads.is_empty()) else {
        return Ok(upper_half(config));
    };
    match heads.iter().find(|(layer, head)| *layer >= config.n_text_layer || *head >= config.n_text_head) {
        Some((layer, head)) => Err(format!(
            "it names head {head} of layer {layer}, but the decoder has {} layers of {} heads",
            config.n_text_layer, config.n_text_head
        )),
        None => Ok(heads),
    }
}

fn upper_half(config: &Config) -> Vec<Head> {
    let layers = config.n_text_layer / 2..config.n_text_layer;
    layers.flat_map(|layer| (0..config.n_text_head).map(move |head| (layer, head))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn config() -> Config {
        Config {
            n_mels: 80,
            n_audio_ctx: 1500,
            d_model: 128,
            n_audio_head: 2,
            n_audio_layer: 2,
            audio_ffn: 512,
            n_vocab: 51865,
            n_text_ctx: 448,
            n_text_head: 2,
            n_text_layer: 3,
            text_ffn: 512,
        }
    }

    #[test]
    fn heads_come_from_the_file_else_from_the_upper_half() {
        assert_eq!(parse(br#"{"alignment_heads": [[2, 1], [0, 0]]}"#, &config()), Ok(vec![(2, 1), (0, 0)]));
        for without in [&br#"{}"#[..], br#"{"alignment_heads": []}"#, br#"{"alignment_heads": null}"#] {
            assert_eq!(parse(without, &config()).unwrap(), [(1, 0), (1, 1), (2, 0), (2, 1)]);
        }
    }

    #[test]
    fn heads_that_the_decoder_lacks_are_refused() {
        for beyond in [&br#"{"alignment_heads": [[3, 0]]}"#[..], br#"{"alignment_heads": [[0, 2]]}"#] {
            assert!(parse(beyond, &config()).unwrap_err().contains("3 layers of 2 heads"));
        }
        assert!(parse(b"[", &config()).is_err());
    }
}
