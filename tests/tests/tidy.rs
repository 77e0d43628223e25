//! Rules of the repository, checked as a test. Each rule says its reason; each exception stands in a list with its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use workspace_tests::golden::repository;

/// Lines that a file may have.
const MOST_LINES: usize = 400;

/// Longer files, and why each is not cut. An entry that is no longer needed fails.
const LONG_FILES: &[(&str, &str)] = &[];

/// Rooms in which `unsafe` may stand; each block there has its own reason (a lint checks that).
const UNSAFE_ROOMS: &[&str] = &[
    // The XRT shim's function table and handles.
    "crates/npu-backend/src/xrt/",
    // A library that replaces functions of libc and reads what programs' pointers point to.
    "tests/amdxdna-double/src/interpose.rs",
    "tests/amdxdna-double/src/next.rs",
    "tests/amdxdna-double/src/user.rs",
    // The memory that it shares with those programs, and a function that libc calls at the end.
    "tests/amdxdna-double/src/region.rs",
    "tests/amdxdna-double/src/driver/addresses.rs",
    // Calls into the kernels' own C++, compiled for the emulator.
    "crates/npu-backend/src/emulator/array/native.rs",
    // SIMD kernels.
    "crates/cpu-backend/src/kernels/",
    // Callers of kernels that write disjoint parts of one output from several threads.
    "crates/cpu-backend/src/attention/cached.rs",
    "crates/cpu-backend/src/attention/flash.rs",
    "crates/cpu-backend/src/attention/heads.rs",
    "crates/cpu-backend/src/attention/quantised.rs",
    "crates/cpu-backend/src/embedding/sketch.rs",
    "crates/cpu-backend/src/encoder/chain.rs",
    "crates/cpu-backend/src/encoder/stem.rs",
    "crates/cpu-backend/src/linear/few.rs",
    "crates/cpu-backend/src/linear/many.rs",
    "crates/cpu-backend/src/linear/words.rs",
    "crates/cpu-backend/src/row_ops.rs",
    // Memory aligned to a vector.
    "crates/cpu-backend/src/aligned.rs",
    // Pieces of maps, for weights.
    "crates/cpu-backend/src/resident.rs",
    // A thread pool that lends its workers a closure for as long as one call lasts.
    "crates/cpu-backend/src/pool.rs",
    // Its rival in the bench, whose interface is unsafe.
    "crates/cpu-backend/benches/",
    // One memory map of a checkpoint.
    "crates/whisper-encoder/src/checkpoint/mmap.rs",
];

/// Crates of the workspace that each crate may use. What is not listed is forbidden.
const LAYERS: &[(&str, &[&str])] = &[
    ("npu-kernels", &[]),
    ("npu-backend", &["npu-kernels"]),
    ("cpu-backend", &[]),
    ("whisper-encoder", &["npu-backend", "cpu-backend"]),
    // Its verbs `doctor` and `bench` try the devices themselves.
    ("transcribe", &["whisper-encoder", "cpu-backend", "npu-backend"]),
    ("amdxdna-double", &["npu-backend"]),
    ("workspace-tests", &["transcribe", "whisper-encoder", "cpu-backend", "npu-backend"]),
    (
        "workspace-benches",
        &["workspace-tests", "transcribe", "whisper-encoder", "cpu-backend", "npu-backend"],
    ),
];

/// A file as git would keep it: path from the root with `/`, and text.
struct File {
    path: String,
    text: String,
}

/// Text files of the repository, without build outputs, hidden folders (but `.ci`), models and binary data.
fn files(extensions: &[&str]) -> Vec<File> {
    let root = repository();
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                let built = name.starts_with("target") && path.parent() == Some(&root);
                if !built && (!name.starts_with('.') || name == ".ci" || name == ".cargo") {
                    folders.push(path);
                }
            } else if kind.is_file() && extensions.iter().any(|extension| name.ends_with(extension)) {
                let relative = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                if let Ok(text) = fs::read_to_string(&path) {
                    files.push(File { path: relative, text });
                }
            }
        }
    }
    assert!(!files.is_empty(), "no file found below {}", root.display());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn sources() -> Vec<File> {
    files(&[".rs"])
}

/// Fails with every broken place at once.
fn verdict(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// Code of a line: without string literals and without a comment at its end. Enough for the words looked for here.
fn code(line: &str) -> String {
    let mut code = String::new();
    let (mut quoted, mut escaped, mut before) = (false, false, ' ');
    for character in line.chars() {
        if character == '/' && before == '/' && !quoted {
            code.pop();
            break;
        }
        if character == '"' && !escaped && before != '\'' {
            quoted = !quoted;
        }
        escaped = character == '\\' && !escaped;
        if !quoted {
            code.push(character);
        }
        before = character;
    }
    code
}

/// Whether `word` stands in `code` by itself, not as a part of another name.
fn has_word(code: &str, word: &str) -> bool {
    let part = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .any(|(at, _)| !part(code[..at].chars().next_back()) && !part(code[at + word.len()..].chars().next()))
}

#[test]
fn files_are_short() {
    let mut broken = Vec::new();
    for file in sources() {
        let lines = file.text.lines().count();
        let listed = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        if lines > MOST_LINES && !listed {
            broken.push(format!("{}: {lines} lines; cut it, or list it with a reason", file.path));
        }
        if lines <= MOST_LINES && listed {
            broken.push(format!("{}: short by now; take it out of the list", file.path));
        }
    }
    for (path, reason) in LONG_FILES {
        if !repository().join(path).is_file() || reason.is_empty() {
            broken.push(format!("{path}: listed, but not there or without a reason"));
        }
    }
    verdict(&format!("a file has at most {MOST_LINES} lines"), &broken);
}

#[test]
fn every_file_says_what_it_is_for() {
    let lacks = |file: &File| !file.text.trim_start_matches("#!/usr/bin/env -S cargo\n").starts_with("//! ");
    let broken: Vec<_> = sources().into_iter().filter(lacks).map(|file| file.path).collect();
    verdict("a source file begins with a module comment `//! …`", &broken);
}

#[test]
fn names_say_what_is_inside() {
    let vague = ["base", "core", "common", "utils", "util", "helper", "helpers", "misc"];
    let broken: Vec<_> = sources()
        .into_iter()
        .map(|file| file.path)
        .filter(|path| path.split('/').any(|part| vague.contains(&part.trim_end_matches(".rs"))))
        .collect();
    verdict("no file or folder is named by a word that fits everything", &broken);
}

#[test]
fn unsafe_stands_only_in_its_rooms() {
    let mut broken = Vec::new();
    for file in sources() {
        if UNSAFE_ROOMS.iter().any(|room| file.path.starts_with(room)) {
            continue;
        }
        for (number, line) in (1..).zip(file.text.lines()) {
            if has_word(&code(line), "unsafe") {
                broken.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    verdict("`unsafe` stands only in the rooms listed in this test", &broken);
}

/// An `allow` hides something from the reader: it says why. Two kinds need no words: casts, whose lint is the reason,
/// and `unwrap_used` in tests, which fail by panicking.
#[test]
fn every_allow_has_a_reason() {
    let broken: Vec<_> = sources().iter().flat_map(allows_without_reason).collect();
    verdict("`allow` has `reason = \"…\"`, or a comment on its line or the one above", &broken);
}

fn allows_without_reason(file: &File) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let start = code(line).trim_start().to_owned();
        if !start.starts_with("#[") && !start.starts_with("#![") {
            continue;
        }
        // The attribute may go on over some lines.
        let end =
            (index..lines.len()).find(|&end| code(lines[end]).trim_end().ends_with(']')).unwrap_or(index);
        let attribute = lines[index..=end].join(" ");
        let Some(at) =
            ["allow(", "expect("].iter().find_map(|word| attribute.find(word).map(|at| at + word.len()))
        else {
            continue;
        };
        let lints = attribute[at..].split(')').next().unwrap_or("").split(',').map(str::trim);
        let plain = lints.filter(|lint| !lint.is_empty()).all(|lint| {
            lint.starts_with("clippy::cast_") || (lint == "clippy::unwrap_used" && in_tests(file, index))
        });
        let commented = line.contains("//") || index > 0 && lines[index - 1].trim_start().starts_with("// ");
        if !plain && !commented && !attribute.contains("reason = \"") {
            found.push(format!("{}:{}: {}", file.path, index + 1, attribute.trim()));
        }
    }
    found
}

#[test]
fn an_allow_without_a_reason_is_seen() {
    let missed =
        |path: &str, text: &str| allows_without_reason(&File { path: path.into(), text: text.into() }).len();
    let library = "crates/x/src/y.rs";
    for (count, text) in [
        (1, "#[allow(dead_code)]"),
        (1, "#![allow(\n    dead_code,\n    clippy::cast_lossless\n)]"),
        (1, "#[cfg_attr(test, allow(dead_code))]"),
        (1, "#[allow(clippy::unwrap_used)]"),
        (1, "/// Documentation is no reason.\n#[allow(dead_code)]"),
        (0, "#[allow(dead_code, reason = \"read by the other half\")]"),
        (0, "// Read by the other half.\n#[allow(dead_code)]"),
        (0, "#[allow(dead_code)] // read by the other half"),
        (0, "#[allow(clippy::cast_precision_loss)]"),
        (0, "#[cfg(test)]\nmod tests {\n    #![allow(clippy::unwrap_used)]"),
        (0, "let text = \"#[allow(dead_code)]\";"),
    ] {
        assert_eq!(missed(library, text), count, "{text}");
    }
    assert_eq!(missed("crates/x/tests/y.rs", "#![allow(clippy::unwrap_used)]"), 0);
}

/// Whether a line belongs to tests: a test file, or below the file's `#[cfg(test)]`.
fn in_tests(file: &File, index: usize) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or("");
    file.path.contains("/tests/")
        || name.starts_with("test")
        || file.text.lines().take(index + 1).any(|line| line.contains("cfg(test)"))
}

/// A value of a manifest by the words that begin its line; enough for the few manifests here.
fn manifest_section<'a>(text: &'a str, header: &str) -> Vec<&'a str> {
    let lines = text.lines().map(str::trim);
    let section = lines.skip_while(|line| *line != header).skip(1);
    section
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

fn manifests() -> Vec<(String, File)> {
    let all = files(&["Cargo.toml"]).into_iter().filter(|file| file.text.contains("[package]"));
    all.map(|file| {
        let package = manifest_section(&file.text, "[package]");
        let name = package.iter().find_map(|line| line.strip_prefix("name = ")).unwrap();
        (name.trim_matches('"').to_owned(), file)
    })
    .collect()
}

/// Names of what a manifest depends on, for building and for tests.
fn dependencies(manifest: &str, sections: &[&str]) -> Vec<String> {
    let lines = sections.iter().flat_map(|section| manifest_section(manifest, section));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::to_owned).collect()
}

#[test]
fn crates_use_only_the_layers_below() {
    let mut broken = Vec::new();
    let manifests = manifests();
    for (name, file) in &manifests {
        let Some((_, below)) = LAYERS.iter().find(|(layer, _)| layer == name) else {
            broken.push(format!("{name}: not in the list of layers"));
            continue;
        };
        let sections = ["[dependencies]", "[dev-dependencies]", "[build-dependencies]"];
        for dependency in dependencies(&file.text, &sections) {
            let ours = LAYERS.iter().any(|(layer, _)| *layer == dependency);
            if ours && !below.contains(&dependency.as_str()) {
                broken.push(format!("{name} must not use {dependency}"));
            }
            if dependency.starts_with("candle") && ["npu-backend", "cpu-backend"].contains(&name.as_str()) {
                broken.push(format!("{name} must not use {dependency}: backends know no tensors"));
            }
        }
    }
    for (layer, _) in LAYERS {
        if !manifests.iter().any(|(name, _)| name == layer) {
            broken.push(format!("{layer}: listed, but not in the workspace"));
        }
    }
    verdict("crates use only the layers below them", &broken);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let mut broken = Vec::new();
    for (name, file) in manifests() {
        if manifest_section(&file.text, "[lints]") != ["workspace = true"] {
            broken.push(format!("{name}: `[lints] workspace = true` is missing"));
        }
        let published = !manifest_section(&file.text, "[package]").contains(&"publish = false");
        // The kernels' crate is published with the one that embeds it.
        if published && !file.path.starts_with("crates/") && !file.path.starts_with("kernels/") {
            broken.push(format!("{name}: tests and benches are not published"));
        }
    }
    verdict("every crate takes the workspace's lints; tests and benches are not published", &broken);
}

/// Words that tie the repository to one machine. They are put together here, so that this file does not hold them.
#[test]
fn nothing_ties_the_repository_to_one_machine() {
    let native = ["target-cpu", "=native"].concat();
    let words = [
        native.as_str(),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("art", "ifactory"),
        concat!(".int", "ernal/"),
    ];
    let kinds = [".rs", ".toml", ".md", ".yml", ".yaml", ".sh", ".py", ".cpp", ".h", ".lock", "run", ".txt"];
    let mut broken = Vec::new();
    for file in files(&kinds) {
        for (number, line) in (1..).zip(file.text.lines()) {
            for word in words {
                if line.contains(word) {
                    broken.push(format!("{}:{number}: {word}", file.path));
                }
            }
            // Cargo.lock names where each crate comes from: crates.io only.
            if file.path == "Cargo.lock"
                && line.starts_with("source = ")
                && !line.contains("registry+https://github.com/rust-lang/crates.io-index")
            {
                broken.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    verdict("no path, host or CPU of one machine", &broken);
}

#[test]
fn the_rules_see_what_they_look_for() {
    assert!(has_word(&code("    unsafe { x() }"), "unsafe"));
    assert!(has_word(&code("pub unsafe fn f() {} // fast"), "unsafe"));
    assert!(!has_word(&code("let x = 1; // unsafe is not used"), "unsafe"));
    assert!(!has_word(&code("println!(\"unsafe\")"), "unsafe"));
    assert!(!has_word(&code("#![forbid(unsafe_code)]"), "unsafe"));
    let manifest = "[package]\nname = \"a\"\n\n[dependencies]\n# one\nserde.workspace = true\nb = \"1\"\n[lints]\nworkspace = true\n";
    assert_eq!(dependencies(manifest, &["[dependencies]"]), ["serde", "b"]);
    assert_eq!(manifest_section(manifest, "[lints]"), ["workspace = true"]);
    let file = |text: &str| File { path: "crates/x/src/y.rs".into(), text: text.into() };
    assert!(in_tests(&file("#[cfg(test)]\nmod t {\n#![allow(x)]"), 2) && !in_tests(&file("fn f() {}"), 0));
    assert!(Path::new(&repository()).join("Cargo.toml").is_file());
}
