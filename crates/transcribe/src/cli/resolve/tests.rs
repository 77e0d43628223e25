//! From a typed line to settings.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::cli::parse;
use crate::decoding::Task;
use crate::model::{Device, LevelKind, Precision};

fn settings(line: &str) -> Result<Settings> {
    let argv = ["transcribe"].into_iter().chain(line.split(' ')).map(Into::into);
    resolve(parse(argv).unwrap().transcribe)
}

fn refused(line: &str) -> Error {
    let error = settings(line).map(|_| line.to_owned()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{line}");
    error
}

#[test]
fn defaults_are_openais() {
    let plain = settings("a.wav").unwrap();
    let want = TranscribeOptions {
        // numpy.arange(0, 1.0 + 1e-6, 0.2): the fourth is 3 × 0.2 in f64.
        temperatures: vec![0.0, 0.2, 0.4, 0.2 * 3.0, 0.8, 1.0],
        decoding: DecodingOptions {
            beam_size: Some(5),
            best_of: Some(5),
            suppress_tokens: vec![-1],
            ..DecodingOptions::default()
        },
        ..TranscribeOptions::default()
    };
    assert_eq!(plain.how, How { options: want, prefix: None });
    assert_eq!(plain.machine, Machine::default());
    assert_eq!((plain.show.text, plain.files, plain.raw), (Text::Plain, None, None));
    assert_eq!(plain.warnings, Vec::<String>::new());
    assert_eq!(plain.subtitles, WriterOptions::default());
}

#[test]
fn temperatures_are_numpys() {
    // Values printed by numpy 2 for arange(first, 1.0 + 1e-6, step), in full.
    for (first, step, want) in [
        (0.0, Some(0.2), vec![0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]),
        (0.0, Some(0.5), vec![0.0, 0.5, 1.0]),
        (0.5, Some(0.25), vec![0.5, 0.75, 1.0]),
        (0.0, Some(0.3), vec![0.0, 0.3, 0.6, 0.8999999999999999]),
        (1.0, Some(0.2), vec![1.0]),
        (0.0, None, vec![0.0]),
        (0.7, None, vec![0.7]),
        // numpy gives none, and OpenAI's command then fails; one attempt is what was meant.
        (1.5, Some(0.2), vec![1.5]),
    ] {
        assert_eq!(temperatures(first, step).unwrap(), want, "{first} {step:?}");
    }
    for step in [0.0, -0.2, 1e-9] {
        assert!(temperatures(0.0, Some(step)).is_err(), "{step}");
    }
}

#[test]
fn none_turns_thresholds_off() {
    let line = "--temperature_increment_on_fallback None --compression_ratio_threshold None --logprob_threshold None \
                --no_speech_threshold None --beam_size None --best_of None --patience None a.wav";
    let options = settings(line).unwrap().how.options;
    assert_eq!(options.temperatures, [0.0]);
    let thresholds =
        (options.compression_ratio_threshold, options.logprob_threshold, options.no_speech_threshold);
    assert_eq!(thresholds, (None, None, None));
    assert_eq!((options.decoding.beam_size, options.decoding.best_of), (None, None));
}

#[test]
fn options_reach_their_fields() {
    let line = "--task translate --language German --patience 2 --length_penalty 0.5 --suppress_tokens -1,50 \
                --condition_on_previous_text False --carry_initial_prompt True --initial_prompt Hi --prefix So \
                --clip_timestamps 1,2 --without-timestamps --seed 7 --logprob_threshold -0.5 --threads 3 \
                --device emulator --precision bf16 --cpu-level Portable --word_timestamps True --hallucination_silence_threshold 2 \
                --prepend_punctuations - --append_punctuations . a.wav";
    let settings = settings(line).unwrap();
    let options = &settings.how.options;
    assert_eq!(options.decoding.task, Task::Translate);
    assert_eq!(options.decoding.language.as_deref(), Some("de"));
    assert_eq!((options.decoding.patience, options.decoding.length_penalty), (Some(2.0), Some(0.5)));
    assert_eq!(options.decoding.suppress_tokens, [-1, 50]);
    assert!(!options.condition_on_previous_text && options.carry_initial_prompt);
    assert_eq!(options.initial_prompt.as_deref(), Some("Hi"));
    assert_eq!(settings.how.prefix.as_deref(), Some("So"));
    assert_eq!(options.clip_timestamps, [1.0, 2.0]);
    assert!(options.decoding.without_timestamps && options.word_timestamps);
    assert_eq!((options.decoding.seed, options.logprob_threshold), (7, Some(-0.5)));
    assert_eq!(options.hallucination_silence_threshold, Some(2.0));
    assert_eq!((options.prepend_punctuations.as_str(), options.append_punctuations.as_str()), ("-", "."));
    let want = Machine {
        device: Device::Emulator,
        precision: Precision::Bf16,
        threads: Some(3),
        level: Some(LevelKind::Portable),
        require_npu: false,
    };
    assert_eq!(settings.machine, want);
}

#[test]
fn subtitle_options_need_words() {
    for option in
        ["--highlight_words True", "--max_line_width 40", "--max_line_count 2", "--max_words_per_line 3"]
    {
        assert!(refused(&format!("{option} -f srt a.wav")).hint().contains("word-timestamps"), "{option}");
        assert!(settings(&format!("{option} --word_timestamps True -f srt a.wav")).is_ok(), "{option}");
    }
    // As Python's `if args[option]`: 0, None and False ask for nothing.
    for option in ["--highlight_words False", "--max_line_width None", "--max_line_count 0"] {
        assert!(settings(&format!("{option} -f srt a.wav")).is_ok(), "{option}");
    }
    let warned =
        |line: &str| settings(&format!("--word_timestamps True -f srt {line} a.wav")).unwrap().warnings;
    assert!(warned("--max_line_count 2")[0].contains("without --max-line-width"));
    assert!(warned("--max_words_per_line 2 --max_line_width 9")[0].contains("with --max-line-width"));
    assert_eq!(warned("--max_line_count 2 --max_line_width 9"), Vec::<String>::new());
    assert!(!settings("--word_timestamps True --max_line_width 9 a.wav").unwrap().warnings.is_empty());
}

#[test]
fn text_goes_where_it_is_sent() {
    let at = |line: &str| {
        let settings = settings(line).unwrap();
        (settings.show.text, settings.files.map(|files| (files.folder, files.formats)))
    };
    assert_eq!(at("a.wav"), (Text::Plain, None));
    assert_eq!(at("-v a.wav"), (Text::Timed, None));
    assert_eq!(at("--verbose False a.wav"), (Text::Plain, None));
    assert_eq!(at("-o out a.wav"), (Text::Nothing, Some(("out".into(), Format::ALL.to_vec()))));
    assert_eq!(at("-f srt a.wav"), (Text::Nothing, Some((".".into(), vec![Format::Srt]))));
    assert_eq!(
        at("-f srt,txt,srt -v a.wav"),
        (Text::Timed, Some((".".into(), vec![Format::Srt, Format::Txt])))
    );
    assert_eq!(at("-f txt -f all a.wav").1.unwrap().1.len(), 5);
    assert_eq!(at("-f vtt -o - a.wav"), (Text::Document(Format::Vtt), None));
    assert_eq!(at("-o - a.wav"), (Text::Plain, None));
    refused("-f all -o - a.wav");
    for format in ["json", "srt", "vtt", "tsv"] {
        refused(&format!("-f {format} -o - a.wav b.wav"));
    }
    assert_eq!(at("-f txt -o - a.wav b.wav"), (Text::Document(Format::Txt), None));
    refused("--skip-existing a.wav");
}

#[test]
fn impossible_options_are_refused() {
    for line in [
        "--beam_size 0 a.wav",
        "--best_of 0 a.wav",
        "--patience 0 a.wav",
        "--patience 1 --beam_size None a.wav",
        "--length_penalty 1.5 a.wav",
        "--temperature_increment_on_fallback 0 a.wav",
        "--raw s16le a.wav",
        "- -",
        "-f srt a.wav b/a.wav",
    ] {
        refused(line);
    }
}

#[test]
fn a_model_folder_is_searched_and_filled() {
    let settings = settings("--model turbo --model_dir m --offline a.wav").unwrap();
    assert_eq!(settings.request.model.as_deref(), Some("turbo"));
    assert_eq!(settings.request.surroundings.model_dir, Some("m".into()));
    assert_eq!(settings.request.hub.cache, Some("m".into()));
    assert!(settings.request.hub.offline);
}

#[test]
fn fp16_is_accepted_and_noted() {
    assert_eq!(settings("--fp16 False a.wav").unwrap().warnings, Vec::<String>::new());
    assert!(settings("--fp16 True -v a.wav").unwrap().warnings[0].contains("--precision"));
}
