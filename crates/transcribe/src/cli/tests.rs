//! The command line as typed: OpenAI's spellings next to ours.
#![allow(clippy::unwrap_used)]

use clap::error::ErrorKind as Kind;

use super::*;

fn typed(line: &str) -> std::result::Result<Cli, clap::Error> {
    parse(["transcribe"].into_iter().chain(line.split(' ')).map(Into::into))
}

/// Every option of OpenAI's command (transcribe.py, `cli`) with a value that it takes there.
const OPENAI: &[(&str, &str)] = &[
    ("--model", "turbo"),
    ("--model_dir", "d"),
    ("--device", "cpu"),
    ("--output_dir", "o"),
    ("--output_format", "srt"),
    ("--verbose", "False"),
    ("--task", "translate"),
    ("--language", "Japanese"),
    ("--temperature", "0.2"),
    ("--best_of", "None"),
    ("--beam_size", "3"),
    ("--patience", "1.5"),
    ("--length_penalty", "0.5"),
    ("--suppress_tokens", "-1,50"),
    ("--initial_prompt", "Hello"),
    ("--carry_initial_prompt", "True"),
    ("--condition_on_previous_text", "False"),
    ("--fp16", "False"),
    ("--temperature_increment_on_fallback", "None"),
    ("--compression_ratio_threshold", "None"),
    ("--logprob_threshold", "-2.0"),
    ("--no_speech_threshold", "0.5"),
    ("--word_timestamps", "True"),
    ("--prepend_punctuations", "("),
    ("--append_punctuations", ")"),
    ("--highlight_words", "True"),
    ("--max_line_width", "40"),
    ("--max_line_count", "2"),
    ("--max_words_per_line", "7"),
    ("--threads", "2"),
    ("--clip_timestamps", "0,10"),
    ("--hallucination_silence_threshold", "2"),
];

#[test]
fn the_command_is_well_formed() {
    argv::with_underscores(Cli::command()).debug_assert();
}

#[test]
fn every_option_of_openai_in_both_spellings() {
    for (name, value) in OPENAI {
        let ours = format!("--{}", name.trim_start_matches("--").replace('_', "-"));
        let read = |line: String| {
            let cli = typed(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(cli.transcribe.audio, [std::path::PathBuf::from("a.wav")], "{line}");
            format!("{:?}", cli.transcribe)
        };
        let want = read(format!("a.wav {name} {value}"));
        assert_ne!(want, read("a.wav".into()), "{name} {value} changes nothing");
        for line in [
            format!("a.wav {ours} {value}"),
            format!("{name} {value} a.wav"),
            format!("{ours} {value} a.wav"),
            format!("{name}={value} a.wav"),
            format!("a.wav {ours}={value}"),
        ] {
            assert_eq!(read(line.clone()), want, "{line}");
        }
    }
}

#[test]
fn switches_stand_alone_or_before_a_boolean() {
    for (line, want) in [
        ("--word_timestamps True a.wav", true),
        ("--word-timestamps true a.wav", true),
        ("--word-timestamps a.wav", true),
        ("a.wav --word-timestamps", true),
        ("--word-timestamps=False a.wav", false),
        ("--word_timestamps False a.wav", false),
        ("a.wav", false),
    ] {
        let args = typed(line).unwrap().transcribe;
        assert_eq!((args.words.word_timestamps, args.audio.len()), (want, 1), "{line}");
    }
    let verbose = |line: &str| typed(line).unwrap().transcribe.output.verbose;
    assert_eq!(verbose("a.wav"), None);
    assert_eq!((verbose("-v a.wav"), verbose("--verbose a.wav")), (Some(true), Some(true)));
    assert_eq!((verbose("-v False a.wav"), verbose("--verbose False a.wav")), (Some(false), Some(false)));
    assert!(typed("--word-timestamps=perhaps a.wav").is_err());
    // After `--` all are files.
    assert_eq!(typed("-- --word-timestamps True").unwrap().transcribe.audio.len(), 2);
}

#[test]
fn names_are_taken_in_any_case() {
    let lower = "-f srt --task translate --precision f32 --device cpu a.wav";
    let upper = "-f SRT --task Translate --precision F32 --device CPU a.wav";
    let read = |line: &str| format!("{:?}", typed(line).unwrap().transcribe);
    assert_eq!(read(upper), read(lower));
}

#[test]
fn prefixes_of_options_are_expanded_as_argparse_does() {
    let read = |line: &str| format!("{:?}", typed(line).unwrap().transcribe);
    for (short, long) in [
        ("--lang en", "--language en"),
        ("--initial_p Hi", "--initial_prompt Hi"),
        ("--word_t True", "--word-timestamps True"),
        ("--no-sp=0.5", "--no_speech_threshold=0.5"),
        ("--condition False", "--condition_on_previous_text False"),
    ] {
        assert_eq!(read(&format!("{short} a.wav")), read(&format!("{long} a.wav")), "{short}");
    }
    // Not unique, not an option, and not to be touched.
    assert!(typed("--max_line 3 a.wav").is_err());
    assert_eq!(typed("-- --lang").unwrap().transcribe.audio, [std::path::PathBuf::from("--lang")]);
    assert_eq!(typed("--prefix --lang a.wav").unwrap().transcribe.prompt.prefix.as_deref(), Some("--lang"));
    assert!(matches!(typed("encode a.wav --out f").unwrap().command, Some(Command::Encode(_))));
    assert!(matches!(typed("models list --off").unwrap().command, Some(Command::Models(_))));
}

#[test]
fn prompts_may_begin_with_a_hyphen() {
    let line = ["transcribe", "--initial_prompt", "- Hello", "--prefix", "-- well", "a.wav"];
    let args = parse(line.map(Into::into)).unwrap().transcribe;
    assert_eq!(args.prompt.initial_prompt.as_deref(), Some("- Hello"));
    assert_eq!(args.prompt.prefix.as_deref(), Some("-- well"));
    assert_eq!(args.audio, [std::path::PathBuf::from("a.wav")]);
}

#[test]
fn subcommands_and_files_of_their_names() {
    assert!(matches!(typed("models").unwrap().command, Some(Command::Models(_))));
    assert!(matches!(typed("models list --offline").unwrap().command, Some(Command::Models(_))));
    assert!(matches!(typed("models install --to d").unwrap().command, Some(Command::Models(_))));
    assert!(matches!(typed("encode a.wav -o f").unwrap().command, Some(Command::Encode(_))));
    assert!(matches!(typed("encode a.wav -o f --model_dir d").unwrap().command, Some(Command::Encode(_))));
    assert!(matches!(typed("completions bash").unwrap().command, Some(Command::Completions { .. })));
    let file = typed("./encode").unwrap();
    assert!(file.command.is_none());
    assert_eq!(file.transcribe.audio, [std::path::PathBuf::from("./encode")]);
    let second = typed("a.wav models").unwrap();
    assert!(second.command.is_none());
    assert_eq!(second.transcribe.audio.len(), 2);
}

#[test]
fn wrong_lines_are_usage_errors() {
    for (line, part) in [
        ("", "required"),
        ("--language klingon a.wav", "no such language"),
        ("--device cuda a.wav", "graphics"),
        ("--output_format doc a.wav", "srt"),
        ("--beam_size five a.wav", "whole number"),
        ("--temperature -1 a.wav", "below 0"),
        ("--no-such-option a.wav", "unexpected"),
        ("-q -v a.wav", "cannot be used"),
        ("--overwrite --skip-existing -f txt a.wav", "cannot be used"),
        ("encode a.wav", "--output"),
        ("models frobnicate", "unrecognized"),
    ] {
        let argv = ["transcribe"].into_iter().chain(line.split(' ').filter(|part| !part.is_empty()));
        let error = parse(argv.map(Into::into)).map(|_| line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(part), "{line}: {error}");
    }
}

#[test]
fn help_and_version_are_complete() {
    let text = |line: &str, kind: Kind| {
        let error = typed(line).map(|_| line.to_owned()).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, 0), "{line}");
        error.to_string()
    };
    let help = text("--help", Kind::DisplayHelp);
    for (name, _) in OPENAI.iter().filter(|(name, _)| *name != "--fp16") {
        let ours = name.trim_start_matches("--").replace('_', "-");
        assert!(help.contains(&format!("--{ours}")), "{ours}");
        assert!(!name[2..].contains('_') || !help.contains(&format!("  {name}")), "{name} is not hidden");
    }
    for part in [
        "Speech to text",
        "Model:",
        "Decoding:",
        "Prompts:",
        "Words and subtitles:",
        "Output:",
        "Exit codes:",
        "./encode",
    ] {
        assert!(help.contains(part), "{part}:\n{help}");
    }
    let version = text("--version", Kind::DisplayVersion);
    for part in [env!("CARGO_PKG_VERSION"), "cpu: ", &cpu_backend::Level::detect().to_string()] {
        assert!(version.contains(part), "{version}");
    }
    assert_eq!(text("-V", Kind::DisplayVersion).lines().count(), 1);
}
