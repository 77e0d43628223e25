//! `transcribe models`: what is here, and getting more.

use std::io::{self, Write};

use indicatif::HumanBytes;

use super::args::{ModelsArgs, ModelsCommand, PlaceArgs};
use super::resolve::places;
use crate::model::install::{Installed, install};
use crate::model::list::{Listed, list};
use crate::model::{ModelRequest, ModelSource, download, names};
use crate::{Error, ErrorKind, Result};

/// Runs `transcribe models …`; what it lists goes to `out`.
///
/// # Errors
/// Those of [`install`] and [`download`], and a standard output that cannot be written.
pub(super) fn models(args: &ModelsArgs, out: &mut dyn Write) -> Result<()> {
    match &args.command {
        None => show(&args.places, out),
        Some(ModelsCommand::List { places }) => show(places, out),
        Some(ModelsCommand::Install { to, places: place_args }) => {
            let (surroundings, _) = places(place_args);
            let text = match install(&surroundings, to.as_deref())? {
                Installed::Copied(folder) => format!("installed in {}", folder.display()),
                Installed::Already(folder) => format!("already installed in {}", folder.display()),
            };
            line(out, &text)
        }
        Some(ModelsCommand::Download { name, quiet, places: place_args }) => {
            let (surroundings, hub) = places(place_args);
            let request = ModelRequest { model: Some(name.clone()), surroundings, hub, quiet: *quiet };
            let files = download(&request)?;
            let verb = if files.source == ModelSource::Downloaded { "downloaded to" } else { "already in" };
            line(out, &format!("{} {verb} {}", files.name, files.folder.display()))
        }
    }
}

fn show(args: &PlaceArgs, out: &mut dyn Write) -> Result<()> {
    let (surroundings, hub) = places(args);
    write_list(&list(&surroundings, &hub), out).or_else(forgive)
}

/// A table of the models, then the short names.
fn write_list(models: &[Listed], out: &mut dyn Write) -> io::Result<()> {
    if models.is_empty() {
        writeln!(out, "no models on this machine")?;
    }
    let width = models.iter().map(|model| model.name.chars().count()).max().unwrap_or(0);
    for model in models {
        let note = if model.complete { "" } else { "  (incomplete)" };
        writeln!(
            out,
            "{:width$}  {:>10}  {:8}  {}{note}",
            model.name,
            HumanBytes(model.bytes).to_string(),
            model.source.name(),
            model.path.display()
        )?;
    }
    writeln!(out, "\nshort names, downloaded when first used:")?;
    let width = names::SHORT_NAMES.iter().map(|(short, _)| short.len()).max().unwrap_or(0);
    for (short, id) in names::SHORT_NAMES {
        writeln!(out, "  {short:width$}  {id}")?;
    }
    Ok(())
}

fn line(out: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(out, "{text}").or_else(forgive)
}

/// A reader that has gone has what it wanted.
pub(super) fn forgive(error: io::Error) -> Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Output,
        "cannot write to standard output",
        error.to_string(),
        "make room there",
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_list_says_name_size_kind_and_path() {
        let model = |name: &str, complete| Listed {
            name: name.into(),
            path: "/m/x".into(),
            bytes: 75 << 20,
            source: ModelSource::Cache,
            complete,
        };
        let mut out = Vec::new();
        write_list(&[model("tiny", true), model("me/mine", false)], &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "tiny      75.00 MiB  cache     /m/x");
        assert_eq!(lines[1], "me/mine   75.00 MiB  cache     /m/x  (incomplete)");
        assert!(text.contains("turbo              openai/whisper-large-v3-turbo"), "{text}");
        let mut out = Vec::new();
        write_list(&[], &mut out).unwrap();
        assert!(out.starts_with(b"no models"));
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        assert!(forgive(io::ErrorKind::BrokenPipe.into()).is_ok());
        assert_eq!(forgive(io::ErrorKind::StorageFull.into()).unwrap_err().kind(), ErrorKind::Output);
    }
}
