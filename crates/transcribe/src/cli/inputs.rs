//! The files of a run, checked before anything slow: what is missing, and which outputs would overwrite each other.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::settings::Files;
use crate::writer::{Format, check_place, output_path};
use crate::{Error, ErrorKind, Result};

/// Where sound comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input; its files are called `stdin.srt` and so on.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// From the command line: `-` is standard input.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        if path == Path::new("-") { Self::Stdin } else { Self::File(path.to_path_buf()) }
    }

    /// What to call it in messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".into(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The path that output files are named after.
    #[must_use]
    pub fn named_after(&self) -> &Path {
        match self {
            Self::Stdin => Path::new("stdin"),
            Self::File(path) => path,
        }
    }

    /// Opens the file to see whether it can be read.
    ///
    /// # Errors
    /// [`ErrorKind::Input`]: missing, a folder, no permission.
    pub fn check(&self) -> Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let wrong = |why: String, hint: &str| {
            Error::new(ErrorKind::Input, format!("cannot read {}", path.display()), why, hint)
        };
        match fs::metadata(path) {
            Ok(data) if data.is_dir() => {
                Err(wrong("it is a folder".into(), "name the files in it, for example with a * at the end"))
            }
            // A pipe is opened once, by its reader: opening it to try would take its data.
            Ok(data) if !data.is_file() => Ok(()),
            Ok(_) => File::open(path).map(drop).map_err(|error| {
                wrong(error.to_string(), "check the permissions of the file").with_source(error)
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(wrong("there is no such file".into(), hint_for_missing(path)).with_source(error))
            }
            Err(error) => Err(wrong(error.to_string(), "check the path").with_source(error)),
        }
    }
}

fn hint_for_missing(path: &Path) -> &'static str {
    let text = path.to_string_lossy();
    if ["encode", "models", "doctor", "completions"].contains(&&*text) {
        "if you mean the subcommand of that name, put it first, before all options"
    } else if text.contains("://") {
        "addresses are not read: download the file first"
    } else if text.contains('*') {
        "no file matches the pattern"
    } else {
        "check the name; `transcribe --help` lists options and subcommands"
    }
}

/// An input and the files that it will make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The input.
    pub input: Input,
    /// Files to write, in the order of the formats.
    pub outputs: Vec<(Format, PathBuf)>,
}

/// Jobs in the order of the inputs.
///
/// OpenAI lets two inputs of one name overwrite each other's files; here that is refused before anything is done.
///
/// # Errors
/// [`ErrorKind::Usage`]: standard input twice, two inputs for one output, an output that would replace an input.
pub fn plan(paths: &[PathBuf], files: Option<&Files>) -> Result<Vec<Job>> {
    let inputs: Vec<Input> = paths.iter().map(|path| Input::new(path)).collect();
    if inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
        return Err(Error::new(
            ErrorKind::Usage,
            "cannot read standard input twice",
            "- is given more than once",
            "give it once",
        ));
    }
    let mut makers: HashMap<PathBuf, &Input> = HashMap::new();
    let mut jobs = Vec::with_capacity(inputs.len());
    for input in &inputs {
        let mut outputs = Vec::new();
        for &format in files.map_or(&[][..], |files| &files.formats) {
            let folder = files.map_or(Path::new("."), |files| &files.folder);
            let path = output_path(folder, input.named_after(), format.name());
            if let Some(other) = makers.insert(one_spelling(&path), input) {
                return Err(clash(other, input, &path));
            }
            outputs.push((format, path));
        }
        jobs.push(Job { input: input.clone(), outputs });
    }
    for input in &inputs {
        if let Some(maker) = makers.get(&one_spelling(input.named_after()))
            && matches!(input, Input::File(_))
        {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("cannot write the text of {}", maker.name()),
                format!("its file would replace the input {}", input.name()),
                "write into another folder with -o",
            ));
        }
    }
    Ok(jobs)
}

fn clash(one: &Input, other: &Input, path: &Path) -> Error {
    let why = if one == other {
        format!("{} is given twice", one.name())
    } else {
        format!("both {} and {} would be written to {}", one.name(), other.name(), path.display())
    };
    Error::new(
        ErrorKind::Usage,
        "cannot write the files of two inputs",
        why,
        "run them one after the other with different -o folders, or rename one",
    )
}

/// Makes the folder of a run's files, and those above it.
///
/// # Errors
/// [`ErrorKind::Output`] if that is not possible.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| no_folder(folder, error.to_string()).with_source(error))
}

/// Whether the folder is there or nothing stands in its way, without making it: what can be said before a model is
/// opened, or even downloaded.
///
/// # Errors
/// [`ErrorKind::Output`] if a file stands where a folder is needed.
pub fn check_folder(folder: &Path) -> Result<()> {
    let there = folder.ancestors().find_map(|path| Some((path, fs::metadata(path).ok()?)));
    match there {
        Some((path, data)) if !data.is_dir() => {
            Err(no_folder(folder, format!("{} is a file, not a folder", path.display())))
        }
        _ => Ok(()),
    }
}

fn no_folder(folder: &Path, why: String) -> Error {
    let what = format!("cannot make the folder {}", folder.display());
    Error::new(ErrorKind::Output, what, why, "choose another folder with -o")
}

/// Checks the one output of one input.
///
/// # Errors
/// [`ErrorKind::Usage`] if it would replace the input; [`ErrorKind::Output`] if its folder is not there.
pub fn check_output(input: &Input, output: &Path) -> Result<()> {
    if let Input::File(path) = input
        && one_spelling(path) == one_spelling(output)
    {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("cannot write {}", output.display()),
            format!("it would replace the input {}", path.display()),
            "give another file with -o",
        ));
    }
    check_place(output)
}

/// The path as the file system takes it: links followed, as writing follows them, without `.` parts, and in one case
/// where case does not count.
fn one_spelling(path: &Path) -> PathBuf {
    if let Ok(there) = path.canonicalize() {
        return in_one_case(there);
    }
    let folder = path.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent });
    let path = folder.and_then(|folder| folder.canonicalize().ok()).map_or_else(
        // The folder is not there yet: this run makes it, and spells it in one way.
        || path.components().filter(|part| *part != std::path::Component::CurDir).collect(),
        |folder| folder.join(path.file_name().unwrap_or_default()),
    );
    in_one_case(path)
}

fn in_one_case(path: PathBuf) -> PathBuf {
    if cfg!(any(windows, target_os = "macos")) {
        PathBuf::from(path.to_string_lossy().to_lowercase())
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn files(formats: &[Format]) -> Files {
        Files { folder: "out".into(), formats: formats.to_vec(), skip_existing: false }
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn outputs_are_named_after_inputs() {
        let jobs = plan(&paths(&["a/talk.one.wav", "-"]), Some(&files(&[Format::Txt, Format::Srt]))).unwrap();
        let got: Vec<Vec<&Path>> =
            jobs.iter().map(|job| job.outputs.iter().map(|(_, path)| path.as_path()).collect()).collect();
        let want = [["out/talk.one.txt", "out/talk.one.srt"], ["out/stdin.txt", "out/stdin.srt"]];
        assert_eq!(got, want.map(|names| names.map(Path::new).to_vec()));
        assert_eq!(plan(&paths(&["a.wav", "b/a.wav"]), None).unwrap().len(), 2);
    }

    #[test]
    fn inputs_of_one_name_are_refused() {
        let one = files(&[Format::Json]);
        for names in [["a.wav", "b/a.mp3"], ["a.wav", "a.wav"], ["a.wav", "./a.wav"], ["stdin.wav", "-"]] {
            let error = plan(&paths(&names), Some(&one)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{names:?}");
        }
        assert!(plan(&paths(&["-", "-"]), None).is_err());
    }

    #[test]
    fn an_output_may_not_replace_an_input() {
        let here = Files { folder: ".".into(), ..files(&[Format::Txt]) };
        let error = plan(&paths(&["talk.txt"]), Some(&here)).unwrap_err();
        assert!(error.why().contains("replace"), "{error}");
    }

    #[test]
    fn an_output_of_encode_may_not_replace_its_input() {
        let root = tempfile::tempdir().unwrap();
        let there = root.path().join("a.wav");
        fs::write(&there, "sound").unwrap();
        let input = Input::new(&there);
        let kind = |output: &Path| check_output(&input, output).map_err(|error| error.kind());
        assert_eq!(kind(&there), Err(ErrorKind::Usage));
        assert_eq!(kind(&root.path().join("./a.wav")), Err(ErrorKind::Usage));
        assert_eq!(kind(&root.path().join("b.wav")), Ok(()));
        assert_eq!(kind(&root.path().join("no/such/folder")), Err(ErrorKind::Output));
        assert_eq!(kind(&there.join("under-a-file")), Err(ErrorKind::Output));
        assert_eq!(kind(root.path()), Err(ErrorKind::Output));
    }

    #[test]
    #[cfg(unix)]
    fn links_are_followed_as_writing_follows_them() {
        let root = tempfile::tempdir().unwrap();
        let (sound, link) = (root.path().join("t.wav"), root.path().join("t.txt"));
        fs::write(&sound, "sound").unwrap();
        std::os::unix::fs::symlink("t.wav", &link).unwrap();
        let here = Files { folder: root.path().into(), ..files(&[Format::Txt]) };
        let error = plan(std::slice::from_ref(&sound), Some(&here)).unwrap_err();
        assert!(error.why().contains("replace"), "{error}");
        assert!(check_output(&Input::new(&sound), &link).is_err());
        assert!(check_output(&Input::new(&link), &sound).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_found_early() {
        let root = tempfile::tempdir().unwrap();
        let there = root.path().join("a.wav");
        fs::write(&there, "").unwrap();
        assert!(Input::new(&there).check().is_ok());
        assert!(Input::new(Path::new("-")).check().is_ok());
        for (path, part) in [
            (root.path().to_path_buf(), "folder"),
            (root.path().join("b.wav"), "no such file"),
            ("https://example.org/a.mp3".into(), "download"),
            ("models".into(), "put it first"),
        ] {
            let error = Input::new(&path).check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
