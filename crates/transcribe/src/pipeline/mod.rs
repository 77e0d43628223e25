//! The whole way of one file: mel, then windows by OpenAI's sequential seek, to a [`Transcription`].
//!
//! Language ▸ for each of the `clips`: encode a window, decode it (`fallback`) after the prompt that the
//! `history` makes, cut it ([`crate::segment::split_window`]), time its words, seek on (`sequential`).

mod clips;
mod fallback;
mod hallucination;
mod history;
mod language;
mod model_windows;
mod options;
mod sequential;
#[cfg(test)]
mod tests;

use whisper_encoder::log_mel::WINDOW_FRAMES;
use whisper_encoder::{CancelToken, LogMel};

use crate::decoding::python::strip;
use crate::decoding::{Task, WindowDecoder, resolve_language};
use crate::speech_model::SpeechModel;
use crate::{Error, ErrorKind, Result, Transcription};

use model_windows::ModelWindows;
pub use options::{Event, TranscribeOptions};
use sequential::{FileFacts, transcribe_windows};

/// Transcribes one file from its padded mel (see [`crate::mel`]: 30 s of silence appended).
///
/// `options.decoding.language` may be a code or a name; without it a multilingual model detects the language from the
/// first 30 s. `options.decoding.prompt` is replaced by the text so far, as OpenAI does.
///
/// # Errors
/// [`ErrorKind::Usage`] on impossible options or an unknown language; [`ErrorKind::Cancelled`] once `cancel` is set
/// (segments told of before stand); those of the model.
pub fn transcribe<M: SpeechModel>(
    model: &M,
    mel: &LogMel,
    options: &TranscribeOptions,
    cancel: &CancelToken,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Transcription> {
    options.verify()?;
    let tokenizer = model.tokenizer();
    let config = model.config();
    let content_frames = mel.frames().checked_sub(WINDOW_FRAMES).ok_or_else(|| {
        let why = format!("the spectrogram has {} frames and must end in 3000 of silence", mel.frames());
        Error::new(ErrorKind::Usage, "cannot transcribe", why, "compute it with 30 s of padding")
    })?;
    if 2 * config.n_audio_ctx != WINDOW_FRAMES {
        let why =
            format!("it has {} encoder positions, half a window of 3000 frames are 1500", config.n_audio_ctx);
        let hint = "use a model with 1500 encoder positions";
        return Err(Error::new(ErrorKind::Model, "cannot transcribe with this model", why, hint));
    }
    if mel.n_mels() != config.n_mels {
        let why = format!("the spectrogram has {} mel bins, the model takes {}", mel.n_mels(), config.n_mels);
        return Err(Error::new(
            ErrorKind::Usage,
            "cannot transcribe",
            why,
            "compute it with the model's bins",
        ));
    }
    for warning in warnings(model, options) {
        on_event(Event::Warning(&warning));
    }
    cancel.check()?;

    let mut first_window = None;
    let (language, probability) = match &options.decoding.language {
        Some(name) => {
            let given = resolve_language(tokenizer, name)?;
            (if tokenizer.is_multilingual() { given } else { "en" }, None)
        }
        None if !tokenizer.is_multilingual() => ("en", None),
        None => {
            let clips = clips::clips(&options.clip_timestamps, content_frames)?;
            let first = clips.iter().find(|clip| clip.start < clip.end);
            let first = first.map(|clip| (clip.start, WINDOW_FRAMES.min(clip.end - clip.start)));
            let (best, encoded) = language::of_file(model, mel, first, cancel)?;
            first_window = encoded;
            (best.code, Some(best.probability))
        }
    };
    on_event(Event::Language { code: language, probability });

    // Also for an empty prompt, which makes a single space, as OpenAI.
    let initial_prompt = match &options.initial_prompt {
        Some(prompt) => tokenizer.encode(&format!(" {}", strip(prompt)))?,
        None => Vec::new(),
    };
    let mut options = options.clone();
    options.decoding.language = Some(language.to_owned());
    let decoder = WindowDecoder::new(tokenizer, config)?;
    let facts = FileFacts {
        content_frames,
        input_stride: WINDOW_FRAMES / config.n_audio_ctx,
        n_text_ctx: config.n_text_ctx,
        eot: decoder.ids().eot,
        timestamp_begin: decoder.ids().timestamp_begin,
        language,
        initial_prompt,
    };
    let mut windows = ModelWindows { model, mel, decoder, options: &options, language, cancel, first_window };
    transcribe_windows(&mut windows, facts, &options, cancel, on_event)
}

/// Options that will not do what they say.
fn warnings<M: SpeechModel>(model: &M, options: &TranscribeOptions) -> Vec<String> {
    let multilingual = model.tokenizer().is_multilingual();
    let translate = options.decoding.task == Task::Translate;
    let mut warnings = Vec::new();
    if let Some(name) = options.decoding.language.as_deref() {
        // OpenAI's command says the same; its library goes on and only labels the result with the language.
        if !multilingual && !matches!(name.to_lowercase().as_str(), "en" | "english") {
            warnings.push(format!("this model knows only English: it is used instead of `{name}`"));
        }
    }
    if translate && !multilingual {
        // OpenAI says nothing: its English-only models have no task token.
        warnings
            .push("this model knows only English: it transcribes, though a translation is asked for".into());
    } else if translate && model.config().n_text_layer < model.config().n_audio_layer {
        let why =
            "this model's decoder was cut down and trained to transcribe only (turbo, distilled models)";
        warnings.push(format!("{why}: a translation will mostly stay in the language of the speech"));
    }
    if translate && options.word_timestamps {
        warnings.push("word times of a translation may not be reliable".into());
    }
    warnings
}
