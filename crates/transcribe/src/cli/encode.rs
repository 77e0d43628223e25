//! `transcribe encode`: the encoder's output as a safetensors file, written window by window.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;
use whisper_encoder::{AudioFeatures, CancelToken, LogMel};

use super::engine::{FeatureEngine, Happening, windows};
use super::inputs::Input;
use super::screen::Screen;
use crate::audio::RawFormat;
use crate::model::ModelFiles;
use crate::writer::{Unfinished, make_atomically};
use crate::{Error, ErrorKind, Result};

/// Name of the tensor in the file.
const TENSOR: &str = "features";

/// What the file says of where its features come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The model's name, by whatever name it was asked for: the hub's repository, or the model's folder.
    pub model: String,
    /// Its folder; one of the hub's cache ends in the revision.
    pub folder: String,
}

impl Origin {
    /// The model of these files.
    #[must_use]
    pub fn of(files: &ModelFiles) -> Self {
        let folder = files.folder.canonicalize().unwrap_or_else(|_| files.folder.clone());
        Self { model: files.full_name(), folder: folder.display().to_string() }
    }
}

/// Encodes one input into a file with the tensor `features`, f32 `[windows, frames, d_model]`: one window for every
/// 30 s begun, 1500 frames of 20 ms each. The file's metadata names the model.
///
/// In memory are the mel of the whole file (its floor depends on the loudest value of all; 115 MB an hour at 80 bins)
/// and the features of one window.
///
/// # Errors
/// Those of the engine, and [`ErrorKind::Output`] if the file cannot be written.
pub fn encode(
    engine: &impl FeatureEngine,
    origin: &Origin,
    input: &Input,
    raw: Option<&RawFormat>,
    output: &Path,
    cancel: &CancelToken,
    screen: &mut Screen<'_>,
) -> Result<()> {
    let name = input.name();
    screen.begin(&name);
    let mut listener = |happening: Happening<'_>| {
        if let Happening::Warning(text) = happening {
            screen.warn(&format!("{name}: {text}"));
        }
    };
    let heard = engine.hear(input, raw, cancel, &mut listener);
    let done = heard.and_then(|mel| {
        let mut progress = |done, total| screen.progress(done, total);
        make_atomically(output, |out| write_features(engine, origin, &mel, cancel, out, &mut progress))
    });
    screen.end();
    done
}

/// Encodes a padded mel window by window, and writes each before the next is made. `progress` is told the mel frames done,
/// of all.
fn write_features(
    engine: &impl FeatureEngine,
    origin: &Origin,
    mel: &LogMel,
    cancel: &CancelToken,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(usize, usize),
) -> std::result::Result<(), Unfinished> {
    let [frames, d_model] = engine.shape();
    let total: usize = windows(mel.frames()).map(|(_, len)| len).sum();
    out.write_all(&header(origin, [windows(mel.frames()).count(), frames, d_model]))?;
    progress(0, total);
    for (start, len) in windows(mel.frames()) {
        cancel.check().map_err(Error::from)?;
        let features = engine.features(&mel.window(start, len), cancel)?;
        if (features.frames(), features.d_model()) != (frames, d_model) {
            let why = format!(
                "a window has the shape [{}, {}] instead of [{frames}, {d_model}]",
                features.frames(),
                features.d_model()
            );
            return Err(Error::new(ErrorKind::Internal, "cannot write the features", why, "").into());
        }
        write_values(&features, out)?;
        progress(start + len, total);
    }
    Ok(())
}

fn write_values(features: &AudioFeatures, out: &mut dyn Write) -> io::Result<()> {
    features.data().iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

/// What stands in a safetensors file before the data: the length of a JSON text (u64, little endian) and the text, filled
/// up with spaces so that the data begin at a multiple of 8.
///
/// Written by hand because the crate `safetensors` wants all data at once, and because it writes the metadata in an order
/// that changes from run to run: the same input makes the same file here.
fn header(origin: &Origin, shape: [usize; 3]) -> Vec<u8> {
    let bytes = 4 * shape.iter().product::<usize>();
    let text = json!({
        "__metadata__": {
            "model": origin.model,
            "model_folder": origin.folder,
            "seconds_per_window": "30",
        },
        TENSOR: { "dtype": "F32", "shape": shape, "data_offsets": [0, bytes] },
    });
    let mut text = text.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text].concat()
}

#[cfg(test)]
mod tests;
