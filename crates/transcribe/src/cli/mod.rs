//! The command line: options, resolution, progress, exit codes.
//!
//! Two stages: [`args`] is the command line as typed, [`resolve`] turns it into [`settings`]; [`run`] works by those
//! alone, with any [`engine::Engine`].
//!
//! What differs from OpenAI's `whisper` command, on purpose: text goes to standard output, and files are written only
//! with `-o` or `-f`; notes go to standard error; two inputs that would write one file are refused; a failing input
//! makes the exit code 1 ([`exit::Exit`]); there is a bundled model.

pub mod args;
mod argv;
mod bench;
pub mod decode_args;
mod doctor;
pub mod encode;
pub mod engine;
pub mod exit;
pub mod inputs;
mod models;
pub mod output_args;
mod product;
pub mod receipt;
pub mod resolve;
pub mod run;
pub mod screen;
pub mod settings;
mod signal;
pub mod values;
pub mod version;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use whisper_encoder::CancelToken;
use whisper_encoder::accelerator::NpuOptions;

use self::args::{Cli, Command, EncodeArgs};
use self::encode::Origin;
use self::engine::WhisperEngine;
use self::exit::Exit;
use self::inputs::Input;
use self::screen::Screen;
use self::settings::{Machine, Show, Text};
use self::signal::Graceful;
use crate::Result;
use crate::model::{self, ModelFiles, ModelRequest, OpenOptions, WhisperModel};

/// Runs the command with `std::env::args`; returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    signal::survive_file_limits();
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and versions to standard output, the rest to standard error; if nobody listens, so be it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    dispatch(cli).into()
}

/// The command line as typed, with OpenAI's spellings.
///
/// # Errors
/// clap's: wrong options (exit code 2), and the texts of `--help` and `--version` (exit code 0).
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> std::result::Result<Cli, clap::Error> {
    let mut command = argv::with_underscores(Cli::command());
    let argv = argv::expand_prefixes(&command, argv);
    let argv = argv::join_switches(&command, argv);
    let matches = command.try_get_matches_from_mut(argv)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn dispatch(cli: Cli) -> Exit {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let terminal = err.is_terminal();
    let fail = |error: crate::Error| {
        Screen::new(&mut io::sink(), &mut io::stderr(), Show::default(), false).error(&error);
        Exit::from(error.kind())
    };
    match cli.command {
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "transcribe", &mut script);
            out.write_all(&script).or_else(models::forgive).map_or_else(fail, |()| Exit::Done)
        }
        Some(Command::Bench(args)) => {
            bench::bench(&args, &mut out, &mut err).map_or_else(fail, |()| Exit::Done)
        }
        Some(Command::Doctor(args)) => doctor::doctor(&args, &mut out).unwrap_or_else(fail),
        Some(Command::Models(args)) => models::models(&args, &mut out).map_or_else(fail, |()| Exit::Done),
        Some(Command::Encode(args)) => {
            let show = Show { text: Text::Nothing, notes: false, quiet: args.quiet };
            let mut screen = Screen::new(&mut out, &mut err, show, terminal);
            encode_one(&args, &mut screen).map_or_else(fail, |()| Exit::Done)
        }
        None => {
            let settings = match resolve::resolve(cli.transcribe) {
                Ok(settings) => settings,
                Err(error) => return fail(error),
            };
            let cancel = CancelToken::new();
            let graceful = signal::watch(&cancel);
            let mut screen = Screen::new(&mut out, &mut err, settings.show, terminal);
            let open = |screen: &mut Screen<'_>| {
                let (_, engine) = open(&settings.request, settings.machine, graceful.clone(), screen)?;
                Ok(engine)
            };
            run::run(&settings, open, &cancel, &mut screen)
        }
    }
}

/// Finds, if need be downloads, and opens the model.
fn open(
    request: &ModelRequest,
    machine: Machine,
    graceful: Graceful,
    screen: &mut Screen<'_>,
) -> Result<(ModelFiles, WhisperEngine<WhisperModel>)> {
    if let Some(threads) = machine.threads {
        // Mel, loading and word times run in rayon's own pool, which is this program's to size. It fails only if it runs
        // already, and then as many threads as before are no reason to stop.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
    let files = model::find(request)?;
    screen.note(&format!("model: {} ({}, {})", files.name, files.source.name(), files.folder.display()));
    if let Some(why) = cpu_backend::Level::passed_over().filter(|_| machine.level.is_none()) {
        screen.note(&why);
    }
    let options = OpenOptions {
        device: machine.device,
        precision: machine.precision,
        threads: machine.threads,
        level: machine.level,
        npu: NpuOptions { require: machine.require_npu, ..NpuOptions::default() },
    };
    let model = model::open(&files, &options)?;
    Ok((files, WhisperEngine { model, graceful }))
}

fn encode_one(args: &EncodeArgs, screen: &mut Screen<'_>) -> Result<()> {
    let input = Input::new(&args.audio);
    let raw = resolve::raw(args.raw.as_deref())?;
    input.check()?;
    inputs::check_output(&input, &args.output)?;
    let cancel = CancelToken::new();
    let graceful = signal::watch(&cancel);
    let request = resolve::request(&args.model, args.quiet);
    let (files, engine) = open(&request, resolve::machine(&args.model)?, graceful, screen)?;
    encode::encode(&engine, &Origin::of(&files), &input, raw.as_ref(), &args.output, &cancel, screen)
}

#[cfg(test)]
mod tests;
