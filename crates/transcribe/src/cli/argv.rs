//! The command line before clap sees it: OpenAI's spellings.
//!
//! Two things that Python's argparse takes and clap does not by itself: underscores in names (`--beam_size`), added as
//! hidden aliases, and switches with a separate value (`--word_timestamps True`), which are joined to one argument.
//! A switch takes the next argument only if that is True or False, so `--word-timestamps talk.wav` works as well.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

use super::values::boolean;

/// Adds to every option with hyphens its spelling with underscores.
pub(super) fn with_underscores(command: Command) -> Command {
    let alias = |arg: Arg| match arg.get_long() {
        Some(long) if long.contains('-') => {
            let alias = long.replace('-', "_");
            arg.alias(alias)
        }
        _ => arg,
    };
    command.mut_args(alias).mut_subcommands(with_underscores)
}

/// Joins switches with a True or False that follows them.
pub(super) fn join_switches(command: &Command, argv: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let switches: Vec<String> = command
        .get_arguments()
        .filter(|arg| arg.is_require_equals_set())
        .flat_map(|arg| {
            let aliases =
                arg.get_all_aliases().unwrap_or_default().into_iter().map(|name| format!("--{name}"));
            let short = arg.get_short().map(|letter| format!("-{letter}"));
            arg.get_long().map(|name| format!("--{name}")).into_iter().chain(aliases).chain(short)
        })
        .collect();
    let is_switch = |arg: &OsStr| arg.to_str().is_some_and(|arg| switches.iter().any(|switch| switch == arg));
    let is_boolean = |arg: &OsString| arg.to_str().is_some_and(|arg| boolean(arg).is_ok());
    let mut joined = Vec::new();
    let mut argv = argv.into_iter().peekable();
    let mut only_files = false;
    while let Some(mut arg) = argv.next() {
        only_files |= arg == "--";
        if !only_files
            && is_switch(&arg)
            && let Some(value) = argv.next_if(is_boolean)
        {
            arg.push("=");
            arg.push(value);
        }
        joined.push(arg);
    }
    joined
}
