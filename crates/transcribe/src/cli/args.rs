//! The command line as typed. [`super::resolve`] turns it into [`super::settings::Settings`].
//!
//! Names, spellings and defaults are those of OpenAI's `whisper` command (transcribe.py, `cli`), with hyphens;
//! `argv` adds the underscores. What differs: the model, the device, and where the text goes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::decode_args::{DecodeArgs, PromptArgs, WordArgs};
use super::exit;
use super::output_args::OutputArgs;
use super::values::{DeviceParser, LevelParser, Shape};
use crate::model::{Device, LevelKind, Precision};

/// Speech to text with Whisper.
#[derive(Debug, Parser)]
#[command(
    name = "transcribe",
    version,
    long_version = super::version::long(),
    about = "Speech to text with Whisper, token for token as OpenAI's",
    after_long_help = exit::HELP,
    after_help = "`--help` explains more, with exit codes and environment variables.",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    max_term_width = 110
)]
pub struct Cli {
    /// A subcommand, if one is given.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Everything else.
    #[command(flatten)]
    pub transcribe: TranscribeArgs,
}

/// Subcommands; a file of the same name is given as `./encode`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write what the encoder makes of an audio file, as safetensors
    Encode(EncodeArgs),
    /// List the models on this machine and the names that can be given to --model
    Models(ModelsArgs),
    /// Check this machine: processor, NPU with its driver and libraries, model; and say what to do
    Doctor(DoctorArgs),
    /// Measure this machine and Whisper on it, or time a matrix product on one of its devices
    Bench(BenchArgs),
    /// Write a completion script for a shell to standard output
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `transcribe AUDIO…`
#[derive(Args, Debug)]
pub struct TranscribeArgs {
    /// Audio or video files; - reads standard input
    #[arg(required = true, value_name = "AUDIO")]
    pub audio: Vec<PathBuf>,
    /// Headerless PCM in this format instead of audio files, e.g. s16le:16000:1
    #[arg(long, value_name = "FORMAT", help_heading = "Input")]
    pub raw: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the words for help")]
    pub model: ModelArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the words for help")]
    pub decode: DecodeArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the words for help")]
    pub prompt: PromptArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the words for help")]
    pub words: WordArgs,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the words for help")]
    pub output: OutputArgs,
}

/// Which model, on what.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Short name, hub repository, folder or file of weights [default: the bundled whisper-base]
    ///
    /// Short names: tiny, base, small, medium, large, turbo, tiny.en … (`transcribe models` lists them). A name or a
    /// repository such as openai/whisper-small is taken from the Hugging Face cache, or downloaded into it.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the words for help")]
    pub places: PlaceArgs,
    /// What to compute on: auto, cpu, npu or emulator
    ///
    /// auto takes the best that is there, never the emulator. A device that is asked for by name and is not there is
    /// an error (exit code 4), never silently replaced.
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = DeviceParser, hide_possible_values = true)]
    pub device: Device,
    /// Fail if the NPU does not do all of the encoder's products and attention, instead of using the CPU for the rest
    #[arg(long)]
    pub require_npu: bool,
    /// Numbers to compute in: auto is the fastest this processor has (8 or 16 bits, bf16 or f32, so numbers differ by
    /// machine) that read English clips as f32 did; f32 is token for token as OpenAI's
    #[arg(long, value_name = "PRECISION", default_value = "auto", value_parser = precisions(), ignore_case = true)]
    pub precision: Precision,
    /// Threads of the processor; 0 takes one per core
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true, value_parser = super::values::count::<usize>)]
    pub threads: usize,
    /// Instructions of the processor: portable, avx2, avx512 or amx; the fastest that it has unless given
    #[arg(long, value_name = "LEVEL", value_parser = LevelParser, hide_possible_values = true)]
    pub cpu_level: Option<LevelKind>,
    /// OpenAI's switch for half precision: accepted, without effect (see --precision)
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "True",
          value_name = "BOOL", value_parser = super::values::boolean)]
    pub fp16: Option<bool>,
}

/// Where models are.
#[derive(Args, Debug)]
pub struct PlaceArgs {
    /// Folder of models: looked in first, and downloads are kept there
    #[arg(long, value_name = "DIR")]
    pub model_dir: Option<PathBuf>,
    /// Use no network: the model must be on this machine
    #[arg(long)]
    pub offline: bool,
}

/// `transcribe encode AUDIO -o FILE`
#[derive(Args, Debug)]
pub struct EncodeArgs {
    /// Audio or video file; - reads standard input
    pub audio: PathBuf,
    /// The file to write: tensor `features` [windows, frames, d_model], f32, one window per 30 s
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Headerless PCM in this format instead of an audio file, e.g. s16le:16000:1
    #[arg(long, value_name = "FORMAT")]
    pub raw: Option<String>,
    /// Only errors on standard error
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the words for help")]
    pub model: ModelArgs,
}

/// `transcribe doctor`
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// The device that the exit code speaks of: auto, cpu, npu or emulator
    ///
    /// 0 if everything that it needs works, 3 if the bundled model is missing or damaged, 4 if the device cannot be used.
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = DeviceParser, hide_possible_values = true)]
    pub device: Device,
    /// Write JSON: {device, uses, exit_code, checks: [{name, status, finding, fix, needed_by}]}
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the words for help")]
    pub places: PlaceArgs,
}

/// `transcribe bench [M,K,N]`
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Only a product: A of M rows and K columns times B of K rows and N columns
    ///
    /// Without it: what the processor can do, how long the bundled model takes on it, and what that suggests. Of an NPU
    /// and the emulator only products are timed, 512,512,512 unless given.
    #[arg(value_name = "M,K,N", value_parser = super::values::shape)]
    pub shape: Option<Shape>,
    /// What to compute on: auto, cpu, npu or emulator
    ///
    /// Times of the CPU and of an NPU are measured. Those of the emulator are modelled, and say so; what this machine
    /// spends on plans, packing and launches is measured there too.
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = DeviceParser, hide_possible_values = true)]
    pub device: Device,
    /// Also the five ways to cut the product into launches, from one launch a tile to one in all
    ///
    /// The first four make a launch of every tile of 16×16×16: 32,768 of them at the usual shape.
    #[arg(long)]
    pub all_ways: bool,
    /// Threads of the processor; 0 takes one per core
    #[arg(long, value_name = "N", default_value = "0", allow_hyphen_values = true, value_parser = super::values::count::<usize>)]
    pub threads: usize,
    /// Write JSON: {device, modelled_device, …} and of a product {shape, products, ways}, of the processor {limits,
    /// models, suggestions}; times in seconds, of a product `modelled` or `measured` by name
    #[arg(long)]
    pub json: bool,
}

/// `transcribe models …`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ModelsArgs {
    /// What to do; without it, list
    #[command(subcommand)]
    pub command: Option<ModelsCommand>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take the words for help")]
    pub places: PlaceArgs,
}

/// What `transcribe models` can do.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List models: bundled, installed, in the hub's cache; and the short names
    List {
        #[command(flatten)]
        #[allow(missing_docs, reason = "clap would take the words for help")]
        places: PlaceArgs,
    },
    /// Copy the bundled model to where an installed program finds it
    ///
    /// `cargo install` installs a program without data. Run this once where the bundled model is found (in the
    /// repository's folder): it copies the model into your data folder, where every later run looks.
    Install {
        /// Folder to copy into [default: transcribe/models in your data folder]
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        #[command(flatten)]
        #[allow(missing_docs, reason = "clap would take the words for help")]
        places: PlaceArgs,
    },
    /// Download a model into the hub's cache, for later use without network
    Download {
        /// Short name or hub repository
        name: String,
        /// Only errors on standard error
        #[arg(short, long)]
        quiet: bool,
        #[command(flatten)]
        #[allow(missing_docs, reason = "clap would take the words for help")]
        places: PlaceArgs,
    },
}

/// Parses `--precision`.
fn precisions() -> impl clap::builder::TypedValueParser<Value = Precision> {
    use clap::builder::TypedValueParser;
    const ALL: [Precision; 4] = [Precision::Auto, Precision::F32, Precision::Bf16, Precision::Int8];
    clap::builder::PossibleValuesParser::new(ALL.map(Precision::name)).map(|name| {
        ALL.into_iter().find(|precision| precision.name().eq_ignore_ascii_case(&name)).unwrap_or_default()
    })
}
