//! The language of a file, and the window that its transcription begins with.

use std::thread;

use whisper_encoder::log_mel::WINDOW_FRAMES;
use whisper_encoder::{CancelToken, LogMel};

use super::model_windows::FirstWindow;
use crate::Result;
use crate::decoding::{LanguageProbability, detect_language};
use crate::speech_model::SpeechModel;

/// Detects the language from the first 30 s. `first` is the window to be decoded first, (start, frames); it comes back
/// encoded if that cost no time.
///
/// Detection hears the silence behind a short file, decoding zeros: only a full first window is the same, and of a short
/// file both are encoded. A device beside the CPU encodes the second while the decoder listens to the first.
pub(super) fn of_file<M: SpeechModel>(
    model: &M,
    mel: &LogMel,
    first: Option<(usize, usize)>,
    cancel: &CancelToken,
) -> Result<(LanguageProbability, Option<FirstWindow<M::Audio>>)> {
    // First of all: the device must not be busy with the other window while the decoder waits for this one.
    let audio = model.encode(&mel.window(0, WINDOW_FRAMES), cancel)?;
    let detect = || -> Result<_> {
        let (best, _) = detect_language(&mut *model.inference(&audio, cancel)?, model.tokenizer())?;
        Ok(best)
    };
    match first {
        Some((start, frames)) if (start, frames) != (0, WINDOW_FRAMES) && model.encodes_beside_cpu() => {
            let (detected, ahead) = thread::scope(|scope| {
                let ahead = scope.spawn(|| model.encode(&mel.window(start, frames), cancel));
                (detect(), ahead.join())
            });
            let ahead = ahead.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((detected?, Some(FirstWindow { start, frames, audio: ahead? })))
        }
        _ => {
            let best = detect()?;
            Ok((best, Some(FirstWindow { start: 0, frames: WINDOW_FRAMES, audio })))
        }
    }
}
