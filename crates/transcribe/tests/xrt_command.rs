//! `transcribe --device npu` through our shim, AMD's own runtime and driver plugin, and the double of the kernel driver: the same
//! tokens as `--device emulator`. Skipped, loudly, where Debian's suite with XRT is out of reach.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../npu-backend/tests/xrt/stage.rs"]
#[expect(dead_code, reason = "shared with the tests of npu-backend, which use all of it")]
mod stage;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stage::{Stage, repository, told};

/// The images of whisper-base: instructions as the emulator has them, an xclbin that names the overlay, and the index.
const MAKE_IMAGES: &str = "
import struct, sys
from pathlib import Path
import shapes, write_index
folder, kernels = Path(sys.argv[1]), Path(sys.argv[2])
for name, launch in shapes.catalogue(4, ['base']):
    words = shapes.program_of(launch).words()
    (folder / f'{name}.insts').write_bytes(struct.pack(f'<{len(words)}I', *words))
(folder / 'encoder.plain').write_text('modelled image\\nencoder\\naie2\\n' + write_index.sources_hash(kernels))
";

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    output
}

fn images(root: &Path) -> PathBuf {
    let (folder, kernels) = (root.join("aie2"), repository().join("kernels"));
    fs::create_dir_all(&folder).unwrap();
    let python = || {
        let mut command = Command::new("python3");
        command.current_dir(kernels.join("designs")).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    succeed(python().args(["-c", MAKE_IMAGES]).arg(&folder).arg(&kernels));
    let xclbin = folder.join("encoder.xclbin");
    succeed(
        Command::new(repository().join("tests/xrt-sandbox/xclbin"))
            .arg(folder.join("encoder.plain"))
            .arg(xclbin),
    );
    let index = ["write_index.py", "--arch", "aie2", "--models", "base", "--kernels"];
    succeed(python().args(index).arg(&kernels).arg("--folder").arg(&folder));
    root.into()
}

/// Tokens of every segment.
fn tokens(folder: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.join("SS-0880.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    let segments = result["segments"].as_array().unwrap();
    segments.iter().map(|segment| segment["tokens"].clone()).collect()
}

#[test]
fn an_npu_over_the_double_has_the_emulator_s_tokens() {
    let Some(stage) = Stage::set() else { return };
    let work = tempfile::tempdir().unwrap();
    let images = images(&work.path().join("images"));
    let program = Path::new(env!("CARGO_BIN_EXE_transcribe"));
    let sample = repository().join("samples/SS-0880.wav");
    let [npu, emulator] = ["npu", "emulator"].map(|device| {
        let out = work.path().join(device);
        let mut command = match device {
            "npu" => stage.command(program, true, ""),
            _ => Command::new(program),
        };
        command.env("NPU_KERNEL_IMAGES", &images).arg(&sample).args([
            "--device",
            device,
            "--require-npu",
            "-f",
            "json",
            "-o",
        ]);
        succeed(command.arg(&out));
        tokens(&out)
    });
    assert!(!npu.is_empty() && npu == emulator, "{npu:?}\n{emulator:?}");
}

/// Head of the README's table of what doctor says.
const TABLE: &str = "| missing | `doctor --device npu` says |\n|---|---|\n";

/// Rows of it. A machine that cannot take one thing away compares the others.
const ROWS: usize = 9;

/// What doctor finds wrong, as a row of that table; what differs between machines is replaced by `names`.
fn row(missing: &str, command: &mut Command, names: &[(String, &str)]) -> String {
    let output = command.args(["doctor", "--device", "npu", "--json"]).output().unwrap();
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
    let checks = report["checks"].as_array().unwrap().iter();
    let text = |check: &serde_json::Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    let of_status = |wanted: &str| {
        let of_npu =
            |check: &&serde_json::Value| check["needed_by"].as_array().unwrap().contains(&"npu".into());
        checks.clone().filter(of_npu).filter(|check| check["status"] == wanted).collect::<Vec<_>>()
    };
    let problems = of_status("problem");
    let mut shown: Vec<String> = problems
        .iter()
        .map(|check| {
            format!("`{}  {}` – {}", text(check, "name"), text(check, "finding"), text(check, "fix"))
        })
        .collect();
    if problems.is_empty() {
        let right = of_status("ok").into_iter().filter(|check| check["name"] == "trial");
        shown = right.map(|check| format!("`trial  {}`", text(check, "finding"))).collect();
    }
    // One cause, one problem: a second one would be advice against the first.
    assert_eq!(shown.len(), 1, "{missing}: {shown:?}\n{}", told(&output));
    assert_eq!(output.status.code(), Some(if problems.is_empty() { 0 } else { 4 }), "{missing}");
    let mut shown = shown.remove(0).replace('|', "\\|");
    for (machine, name) in names {
        shown = shown.replace(machine, name);
    }
    format!("| {missing} | {shown} |")
}

/// The group of the double's node is that of whoever runs the test.
fn group_named(row: &str) -> String {
    let Some((head, (_, tail))) =
        row.split_once("its group ").and_then(|(head, tail)| Some((head, tail.split_once(',')?)))
    else {
        return row.to_owned();
    };
    format!("{head}its group GROUP,{tail}")
}

/// Whether this process may lock what it likes (CAP_IPC_LOCK).
fn locks_freely() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(capabilities.trim(), 16).unwrap() >> 14 & 1 == 1
}

/// Whether doctor finds no fault with the locked memory of this process; said, if it does.
fn locks_enough() -> bool {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory")).unwrap();
    let few = line.split_whitespace().next().unwrap().parse().is_ok_and(|bytes: u64| bytes <= 64 << 20);
    let enough = locks_freely() || !few;
    if !enough {
        std::io::stderr()
            .write_all(b"SKIPPED: doctor is not compared: run it with `ulimit -l unlimited`\n")
            .unwrap();
    }
    enough
}

/// The same command with 8 MiB of locked memory and without the privilege to lock more; `None` where that cannot be had.
fn with_little_locked_memory(command: &Command) -> Option<Command> {
    let drop = if locks_freely() { "setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock" } else { "" };
    let possible =
        Command::new("sh").args(["-c", &format!("ulimit -l 8192 && {drop} true")]).output().unwrap();
    if !possible.status.success() {
        let mut err = std::io::stderr();
        writeln!(err, "SKIPPED: locked memory cannot be limited: {}", told(&possible)).unwrap();
        return None;
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -l 8192 && exec {drop} \"$@\""), "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().unwrap());
    Some(shell)
}

/// The README's table is what doctor says when one thing is taken away; `BLESS=1` writes it anew.
#[test]
fn the_readme_has_what_doctor_says() {
    let Some(stage) = Stage::set().filter(|_| locks_enough()) else { return };
    let work = tempfile::tempdir().unwrap();
    let images = images(&work.path().join("made"));
    let program = Path::new(env!("CARGO_BIN_EXE_transcribe"));
    let on = |stage: &Stage, faults: &str| {
        let mut command = stage.command(program, true, faults);
        command
            .current_dir(work.path())
            .env("NPU_KERNEL_IMAGES", &images)
            .env("TRANSCRIBE_MODEL_DIR", repository().join("models"))
            .env("XDG_DATA_HOME", work.path());
        command
    };
    let apart = stage.apart();
    let take = |name: &str| {
        let files = fs::read_dir(apart.libraries()).unwrap().map(|entry| entry.unwrap().path());
        let of_name = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(name));
        of_name.for_each(|path| fs::remove_file(path).unwrap());
    };
    let shown = |path: &Path| path.display().to_string();
    let folder = |path: &Path| shown(path.parent().unwrap());
    let user = Command::new("id").arg("-un").output().unwrap();
    let user = String::from_utf8(user.stdout).unwrap();
    let names = [
        (shown(&apart.libraries()), "/usr/lib/x86_64-linux-gnu"),
        (folder(&apart.shim), "target/release"),
        // The program is the sandbox's linker, beside which there is no shim.
        (shown(&stage.libraries()), "target/release"),
        (folder(&stage.libraries()), "target"),
        (format!("`{} ", user.trim()), "`USER "),
    ];
    let row = |missing: &str, command: &mut Command| row(missing, command, &names);
    let mut rows = vec![
        row("nothing", &mut on(&stage, "")),
        row("the node", &mut on(&stage, "no-node")),
        group_named(&row("permission", &mut on(&stage, "deny-open"))),
    ];
    let limited = with_little_locked_memory(&on(&stage, "memlock=rlimit"));
    rows.extend(limited.map(|mut command| row("locked memory", &mut command)));
    rows.push(row("a free context", &mut on(&stage, "contexts-elsewhere=6")));
    take("libxrt_driver_xdna.so");
    rows.push(row("XRT's plugin", &mut on(&apart, "")));
    take("libxrt_coreutil.so");
    rows.push(row("XRT", &mut on(&apart, "")));
    rows.push(row("the bridge", on(&stage, "").env_remove("NPU_XRT_SHIM")));
    // Somebody's own kernels would be found.
    if !repository().join("kernels/images").exists() {
        rows.push(row("kernels", on(&stage, "").env_remove("NPU_KERNEL_IMAGES")));
    }

    let path = repository().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (head, rest) = readme.split_once(TABLE).expect("the README has the table");
    let (table, tail) = rest.split_once("\n\n").unwrap();
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, format!("{head}{TABLE}{}\n\n{tail}", rows.join("\n"))).unwrap();
        return;
    }
    let told: Vec<&str> = table.lines().collect();
    if rows.len() == ROWS {
        assert_eq!(told, rows, "BLESS=1 writes the README's table anew");
    }
    for row in rows {
        assert!(
            told.contains(&row.as_str()),
            "README.md lacks (BLESS=1 writes the table anew):\n{row}\nIt has:\n{table}"
        );
    }
}

/// The list on the screen, where all is well and where nothing opens.
#[test]
fn doctor_ends_with_what_stands_in_the_way() {
    let Some(stage) = Stage::set().filter(|_| locks_enough()) else { return };
    let work = tempfile::tempdir().unwrap();
    let images = images(&work.path().join("made"));
    let program = Path::new(env!("CARGO_BIN_EXE_transcribe"));
    for (faults, line, end) in [
        ("", "ok           trial       64×64×64 in bf16 is right: RyzenAI-npu1", "all that it needs works"),
        (
            "no-node",
            "not checked  trial       the device does not open: see node",
            "cannot be used; see node\n",
        ),
        (
            "deny-open",
            "problem      permission  /dev/accel/accel0 may not be opened",
            "cannot be used; see permission\n",
        ),
        // Whether or not the user may lock freely.
        ("memlock=1048576", "problem      memlock", "cannot be used; see memlock\n"),
        ("bo-fails=0", "problem      trial       the driver has no memory", "cannot be used; see trial\n"),
    ] {
        let mut doctor = stage.command(program, true, faults);
        let doctor =
            doctor.env("NPU_KERNEL_IMAGES", &images).args(["doctor", "--device", "npu"]).output().unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout);
        assert!(
            said.contains("ok           shim") && said.contains(line),
            "{faults}: no `{line}` in {}",
            told(&doctor)
        );
        assert!(said.contains(end), "{faults}: no `{end}` in {said}");
    }
}
