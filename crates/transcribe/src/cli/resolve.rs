//! From the command line as typed to [`Settings`]: checks that go across options, and OpenAI's rules between them.

use std::path::{Path, PathBuf};

use super::args::{ModelArgs, PlaceArgs, TranscribeArgs};
use super::decode_args::{DecodeArgs, PromptArgs, WordArgs};
use super::inputs;
use super::output_args::{Formats, OutputArgs};
use super::settings::{Files, How, Machine, Settings, Show, Text};
use super::values::Maybe;
use crate::audio::RawFormat;
use crate::decoding::DecodingOptions;
use crate::model::{Device, HubSettings, ModelRequest, Surroundings};
use crate::pipeline::TranscribeOptions;
use crate::writer::{Format, WriterOptions};
use crate::{Error, ErrorKind, Result};

/// Resolves `transcribe AUDIO…`.
///
/// # Errors
/// [`ErrorKind::Usage`], for options that contradict each other.
pub fn resolve(args: TranscribeArgs) -> Result<Settings> {
    let mut warnings = Vec::new();
    let word_timestamps = args.words.word_timestamps;
    let subtitles = subtitles(&args.words, &mut warnings)?;
    let (text, files) = destination(&args.output)?;
    if let Text::Document(format) = text
        && format != Format::Txt
        && args.audio.len() > 1
    {
        return Err(usage(
            format!("cannot write {} to standard output", format.name()),
            format!(
                "{} inputs make as many documents, and one after the other they are none",
                args.audio.len()
            ),
            "give one input at a time, a folder with -o, or -f txt",
        ));
    }
    if files.is_none() && !matches!(text, Text::Document(_)) && args.words.asks_for_subtitles() {
        warnings.push("options of subtitles have no effect without -f srt or -f vtt".into());
    }
    if args.words.hallucination_silence_threshold.is_some_and(|value| value.0.is_some()) && !word_timestamps {
        warnings.push("--hallucination-silence-threshold has no effect without --word-timestamps".into());
    }
    let show = Show { text, notes: args.output.verbose == Some(true), quiet: args.output.quiet };
    if args.model.fp16.is_some() && show.notes {
        warnings.push("--fp16 has no effect here; --precision chooses the numbers".into());
    }
    Ok(Settings {
        request: request(&args.model, show.quiet),
        machine: machine(&args.model)?,
        jobs: inputs::plan(&args.audio, files.as_ref())?,
        raw: raw(args.raw.as_deref())?,
        how: how(args.decode, args.prompt, args.words)?,
        show,
        files,
        subtitles,
        warnings,
    })
}

/// Which model.
#[must_use]
pub fn request(args: &ModelArgs, quiet: bool) -> ModelRequest {
    let (surroundings, hub) = places(&args.places);
    ModelRequest { model: args.model.clone(), surroundings, hub, quiet }
}

/// Where models are.
#[must_use]
pub fn places(args: &PlaceArgs) -> (Surroundings, HubSettings) {
    let mut hub = HubSettings::of_process();
    hub.offline |= args.offline;
    // By option or by environment variable: downloads are kept there too.
    let surroundings = Surroundings::of_process(args.model_dir.clone());
    if let Some(folder) = &surroundings.model_dir {
        hub.cache = Some(folder.clone());
    }
    (surroundings, hub)
}

/// What to open the model on.
///
/// # Errors
/// [`ErrorKind::Usage`] if an NPU is required on another device.
pub fn machine(args: &ModelArgs) -> Result<Machine> {
    let device = match (args.require_npu, args.device) {
        (false, device) | (true, device @ (Device::Npu | Device::Emulator)) => device,
        (true, Device::Auto) => Device::Npu,
        (true, device) => {
            return Err(usage(
                "cannot require an NPU",
                format!("--device {} is none", device.name()),
                "leave out --device or --require-npu",
            ));
        }
    };
    // Told before a model is looked for.
    crate::model::level(args.cpu_level)?;
    Ok(Machine {
        level: args.cpu_level,
        device,
        precision: args.precision,
        threads: Some(args.threads).filter(|threads| *threads > 0),
        require_npu: args.require_npu,
    })
}

/// The format of headerless input.
///
/// # Errors
/// [`ErrorKind::Usage`] if it cannot be one.
pub fn raw(text: Option<&str>) -> Result<Option<RawFormat>> {
    text.map(str::parse).transpose()
}

fn usage(what: impl Into<String>, why: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, what, why, hint)
}

/// Temperatures as `numpy.arange(first, 1.0 + 1e-6, step)` gives them: first + i × step, in f64.
///
/// # Errors
/// [`ErrorKind::Usage`] if the step leads nowhere.
fn temperatures(first: f64, step: Option<f64>) -> Result<Vec<f64>> {
    let Some(step) = step else { return Ok(vec![first]) };
    if step < 0.01 {
        return Err(usage(
            "cannot use --temperature-increment-on-fallback",
            format!("{step} is not a step to hotter temperatures"),
            "write a number from 0.01 to 1, or None to decode each window only once",
        ));
    }
    // arange takes the difference of its first two values for the step.
    let delta = (first + step) - first;
    let count = ((1.0 + 1e-6 - first) / step).ceil().max(1.0);
    Ok((0..count as u32).map(|i| first + f64::from(i) * delta).collect())
}

fn how(decode: DecodeArgs, prompt: PromptArgs, words: WordArgs) -> Result<How> {
    let count = |value: Maybe<usize>, name: &str, off: &str| match value.0 {
        Some(0) => Err(usage(format!("cannot use {name} 0"), "it must be at least 1", off.to_owned())),
        other => Ok(other),
    };
    let beam_size = count(decode.beam_size, "--beam-size", "None turns the beam search off")?;
    let best_of = count(decode.best_of, "--best-of", "None takes one candidate")?;
    let patience = decode.patience.and_then(|value| value.0);
    if patience.is_some_and(|value| value <= 0.0) {
        return Err(usage("cannot use --patience", "it must be above 0", "1.0 is the usual beam search"));
    }
    if patience.is_some() && beam_size.is_none() {
        return Err(usage("cannot use --patience", "it needs a beam search", "give --beam-size too"));
    }
    let length_penalty = decode.length_penalty.and_then(|value| value.0);
    if length_penalty.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
        return Err(usage(
            "cannot use --length-penalty",
            "it must be from 0 to 1",
            "leave it away to divide by the length",
        ));
    }
    let decoding = DecodingOptions {
        task: decode.task,
        language: decode.language.and_then(|language| language.0).map(String::from),
        best_of,
        beam_size,
        patience,
        length_penalty,
        suppress_tokens: decode.suppress_tokens.0,
        without_timestamps: decode.without_timestamps,
        seed: decode.seed,
        ..DecodingOptions::default()
    };
    let options = TranscribeOptions {
        temperatures: temperatures(decode.temperature, decode.temperature_increment_on_fallback.0)?,
        compression_ratio_threshold: decode.compression_ratio_threshold.0,
        logprob_threshold: decode.logprob_threshold.0,
        no_speech_threshold: decode.no_speech_threshold.0,
        condition_on_previous_text: prompt.condition_on_previous_text,
        initial_prompt: prompt.initial_prompt,
        carry_initial_prompt: prompt.carry_initial_prompt,
        word_timestamps: words.word_timestamps,
        prepend_punctuations: words.prepend_punctuations,
        append_punctuations: words.append_punctuations,
        clip_timestamps: decode.clip_timestamps.0,
        hallucination_silence_threshold: words.hallucination_silence_threshold.and_then(|value| value.0),
        decoding,
    };
    Ok(How { options, prefix: prompt.prefix })
}

impl WordArgs {
    /// OpenAI's names and whether each was asked for; 0 and None are as if not given.
    fn subtitle_options(&self) -> [(&'static str, bool); 4] {
        [
            ("--highlight-words", self.highlight_words),
            ("--max-line-count", limit(self.max_line_count).is_some()),
            ("--max-line-width", limit(self.max_line_width).is_some()),
            ("--max-words-per-line", limit(self.max_words_per_line).is_some()),
        ]
    }

    fn asks_for_subtitles(&self) -> bool {
        self.subtitle_options().iter().any(|(_, asked)| *asked)
    }
}

/// A limit; 0 is none, as in Python's `if args[option]`.
fn limit(value: Option<Maybe<usize>>) -> Option<usize> {
    value.and_then(|value| value.0).filter(|value| *value > 0)
}

fn subtitles(words: &WordArgs, warnings: &mut Vec<String>) -> Result<WriterOptions> {
    if !words.word_timestamps
        && let Some((name, _)) = words.subtitle_options().into_iter().find(|(_, asked)| *asked)
    {
        return Err(usage(
            format!("cannot use {name}"),
            "it needs the times of the words",
            "give --word-timestamps too",
        ));
    }
    let options = WriterOptions {
        highlight_words: words.highlight_words,
        max_line_width: limit(words.max_line_width),
        max_line_count: limit(words.max_line_count),
        max_words_per_line: limit(words.max_words_per_line),
    };
    if options.max_line_count.is_some() && options.max_line_width.is_none() {
        warnings.push("--max-line-count has no effect without --max-line-width".into());
    }
    if options.max_words_per_line.is_some() && options.max_line_width.is_some() {
        warnings.push("--max-words-per-line has no effect with --max-line-width".into());
    }
    Ok(options)
}

/// Where the text goes: without `-o` and `-f` to standard output, else to files as OpenAI's command writes them.
fn destination(args: &OutputArgs) -> Result<(Text, Option<Files>)> {
    let plain = if args.verbose == Some(true) { Text::Timed } else { Text::Plain };
    if args.output_dir.is_none() && args.output_format.is_empty() {
        if args.skip_existing || args.overwrite {
            return Err(usage(
                "cannot use --skip-existing or --overwrite",
                "no files are written: the text goes to standard output",
                "give a folder with -o, or a format with -f",
            ));
        }
        return Ok((plain, None));
    }
    let mut formats: Vec<Format> = Vec::new();
    for asked in &args.output_format {
        let asked = match asked {
            Formats::All => &Format::ALL[..],
            Formats::One(format) => std::slice::from_ref(format),
        };
        for format in asked {
            if !formats.contains(format) {
                formats.push(*format);
            }
        }
    }
    if args.output_dir.as_deref() == Some(Path::new("-")) {
        return match formats[..] {
            [] => Ok((plain, None)),
            [format] => Ok((Text::Document(format), None)),
            _ => Err(usage(
                "cannot write to standard output",
                "it takes one format only",
                "name one with -f, or a folder with -o",
            )),
        };
    }
    if formats.is_empty() {
        formats.extend(Format::ALL);
    }
    let text = if args.verbose == Some(true) { Text::Timed } else { Text::Nothing };
    let folder = args.output_dir.clone().unwrap_or_else(|| PathBuf::from("."));
    Ok((text, Some(Files { folder, formats, skip_existing: args.skip_existing })))
}

#[cfg(test)]
mod tests;
