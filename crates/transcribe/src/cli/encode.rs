//! `transcribe encode`: the encoder's output as a safetensors file.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use whisper_encoder::{AudioFeatures, CancelToken};

use super::engine::{FeatureEngine, Happening};
use super::inputs::Input;
use super::screen::Screen;
use crate::audio::RawFormat;
use crate::writer::write_atomically;
use crate::{Error, ErrorKind, Result};

/// Name of the tensor in the file.
const TENSOR: &str = "features";

/// Encodes one input into a file with the tensor `features`, f32 `[windows, frames, d_model]`: one window for every
/// 30 s begun, 1500 frames of 20 ms each. The file's metadata names the model.
///
/// # Errors
/// Those of the engine, and [`ErrorKind::Output`] if the file cannot be written.
pub fn encode(
    engine: &impl FeatureEngine,
    model: &str,
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
    let features = engine.features(input, raw, cancel, &mut listener);
    screen.end();
    let bytes = to_bytes(model, &features?)?;
    write_atomically(output, |out| out.write_all(&bytes))
}

/// The whole file.
fn to_bytes(model: &str, windows: &[AudioFeatures]) -> Result<Vec<u8>> {
    let internal = |why: String| Error::new(ErrorKind::Internal, "cannot pack the features", why, "");
    let (frames, d_model) = windows.first().map_or((0, 0), |first| (first.frames(), first.d_model()));
    if windows.iter().any(|window| (window.frames(), window.d_model()) != (frames, d_model)) {
        return Err(internal("the windows have different shapes".into()));
    }
    let mut data = Vec::with_capacity(windows.len() * frames * d_model * 4);
    for window in windows {
        for value in window.data() {
            data.extend_from_slice(&value.to_le_bytes());
        }
    }
    let tensor = TensorView::new(Dtype::F32, vec![windows.len(), frames, d_model], &data)
        .map_err(|error| internal(error.to_string()))?;
    let metadata = HashMap::from([
        ("model".to_owned(), model.to_owned()),
        ("seconds_per_window".to_owned(), "30".to_owned()),
    ]);
    safetensors::serialize([(TENSOR, tensor)], Some(metadata)).map_err(|error| internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::engine::Listener;
    use crate::cli::settings::Show;

    struct Scripted(Vec<AudioFeatures>);

    impl FeatureEngine for Scripted {
        fn features(
            &self,
            _: &Input,
            _: Option<&RawFormat>,
            cancel: &CancelToken,
            listener: &mut Listener<'_>,
        ) -> Result<Vec<AudioFeatures>> {
            cancel.check()?;
            listener(Happening::Warning("the end is missing"));
            Ok(self.0.clone())
        }
    }

    fn go(features: Vec<AudioFeatures>, output: &Path, cancel: &CancelToken) -> (Result<()>, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err, Show::default(), false);
        let result = encode(&Scripted(features), "m", &Input::Stdin, None, output, cancel, &mut screen);
        assert!(out.is_empty());
        (result, String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_file_holds_all_windows_in_order() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("f.safetensors");
        let window = |from: u8| AudioFeatures::new(2, (from..from + 6).map(f32::from).collect()).unwrap();
        let (result, err) = go(vec![window(0), window(6)], &path, &CancelToken::new());
        result.unwrap();
        assert_eq!(err, "warning: standard input: the end is missing\n");
        let bytes = std::fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensor = file.tensor(TENSOR).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, &[2, 3, 2][..]));
        let values: Vec<f32> =
            tensor.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!(values, (0u8..12).map(f32::from).collect::<Vec<_>>());
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["model"], "m");
    }

    #[test]
    fn nothing_is_written_when_it_fails() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("f.safetensors");
        let cancel = CancelToken::new();
        cancel.cancel();
        assert_eq!(go(Vec::new(), &path, &cancel).0.unwrap_err().kind(), ErrorKind::Cancelled);
        let uneven = [2, 3].map(|d| AudioFeatures::new(d, vec![0.0; 6]).unwrap()).to_vec();
        assert_eq!(go(uneven, &path, &CancelToken::new()).0.unwrap_err().kind(), ErrorKind::Internal);
        assert!(!path.exists());
        let lost = root.path().join("no/such/folder");
        assert_eq!(go(Vec::new(), &lost, &CancelToken::new()).0.unwrap_err().kind(), ErrorKind::Output);
    }
}
