//! The command line before clap sees it: OpenAI's spellings.
//!
//! Three things that Python's argparse takes and clap does not by itself: underscores in names (`--beam_size`), added as
//! hidden aliases; names cut short (`--lang`); and switches with a separate value (`--word_timestamps True`), which are joined to one argument.
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

/// Writes out options that are shortened to a prefix that only one of them has, as argparse takes them
/// (`--lang en`); hyphens and underscores count as one. What has no or several meanings is left to clap.
pub(super) fn expand_prefixes(command: &Command, argv: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut command = command;
    let (mut only_files, mut value_follows) = (false, false);
    let mut expanded = Vec::new();
    for (index, arg) in argv.into_iter().enumerate() {
        only_files |= arg == "--";
        if only_files || std::mem::take(&mut value_follows) {
            expanded.push(arg);
            continue;
        }
        let Some(text) = arg.to_str() else {
            expanded.push(arg);
            continue;
        };
        let Some(option) = text.strip_prefix("--") else {
            // A subcommand comes first, before all options.
            if index > 0
                && expanded.len() == index
                && let Some(inner) =
                    command.find_subcommand(text).filter(|_| expanded[1..].iter().all(is_word))
            {
                command = inner;
            }
            expanded.push(arg);
            continue;
        };
        let (name, value) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        match meant(command, name) {
            Some(known) => {
                value_follows =
                    value.is_none() && known.get_action().takes_values() && !known.is_require_equals_set();
                let long = known.get_long().unwrap_or(name);
                expanded.push(
                    value.map_or_else(|| format!("--{long}"), |value| format!("--{long}={value}")).into(),
                );
            }
            None => expanded.push(arg),
        }
    }
    expanded
}

fn is_word(arg: &OsString) -> bool {
    arg.to_str().is_some_and(|text| !text.starts_with('-'))
}

/// The option of that name, else the only one whose name begins so.
fn meant<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let spelled = name.replace('_', "-");
    // Those that clap adds by itself are not abbreviated.
    if spelled.is_empty() || ["help", "version"].contains(&spelled.as_str()) {
        return None;
    }
    let long = |arg: &&Arg| arg.get_long().is_some();
    let options = || command.get_arguments().filter(long);
    let exact = options().find(|arg| arg.get_long() == Some(&spelled));
    exact.or_else(|| {
        let mut begun = options().filter(|arg| arg.get_long().is_some_and(|long| long.starts_with(&spelled)));
        begun.next().filter(|_| begun.next().is_none())
    })
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
