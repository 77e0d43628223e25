//! Wrong options and absent devices: told before anything is read or written.

use std::fs;

use super::{assert_one_error, command, errors_of, list, plain_command, sounds};

#[test]
fn wrong_values_are_2() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.wav"), sounds::good()).unwrap();
    for (arguments, phrases) in [
        (&["--language", "klingon"][..], &["klingon", "--language", "such as en"][..]),
        (&["--beam-size", "many"], &["many", "whole number, 0 or more, or None"]),
        (&["--beam-size", "-1"], &["-1", "whole number, 0 or more, or None"]),
        (&["--threads", "-1"], &["-1", "whole number, 0 or more"]),
        (&["--threads", "all"], &["all", "whole number, 0 or more"]),
        (&["--beam-size", "0"], &["--beam-size 0", "at least 1"]),
        (&["--temperature", "-1"], &["-1", "must not be below 0"]),
        (&["--temperature", "nan"], &["nan", "finite"]),
        (&["--temperature-increment-on-fallback", "0"], &["is not a step", "or None"]),
        (&["--clip-timestamps", "5,1"], &["ends at 1 s but starts at 5 s"]),
        (&["--suppress-tokens", "x"], &["`x` is no token id"]),
        (&["--word-timestamps=maybe"], &["maybe", "True or False"]),
        (&["--task", "sing"], &["sing", "transcribe, translate"]),
        (&["--precision", "f8"], &["f8", "f32"]),
        (&["-f", "doc"], &["doc", "srt"]),
        (&["--raw", "s16le:x:1"], &["s16le:x:1", "the rate `x`", "ENCODING:RATE:CHANNELS"]),
        (&["--raw", "s16le:16000:0"], &["the channels `0`", "from 1 to 64"]),
        (&["--raw", "s12le:16000:1"], &["s12le", "s16le"]),
        (&["--device", "cuda:0"], &["graphics cards", "leave --device away"]),
        (&["--device", "abacus"], &["abacus", "auto, cpu, npu and emulator"]),
        (&["--no-such-option"], &["--no-such-option", "--help"]),
        (&["--skip-existing"], &["no files are written", "-o"]),
    ] {
        // Without a model's name: that of the default is not looked for before all this.
        let output = plain_command(home.path()).arg("a.wav").args(arguments).output().unwrap();
        let stderr = errors_of(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && !stderr.contains("panicked"), "{arguments:?}: {stderr}");
        for phrase in phrases {
            assert!(stderr.contains(phrase), "{arguments:?}: no `{phrase}` in: {stderr}");
        }
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    assert_eq!(list(home.path()), ["a.wav"]);
}

/// A build without NPU code, or a machine without an NPU: never silently another device.
#[test]
fn devices_that_are_not_there_are_4() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.wav"), sounds::good()).unwrap();
    for device in ["npu", "emulator"] {
        // The last `--device` would be refused as given twice: only the model comes from the good options.
        let model = super::bundled();
        let output = plain_command(home.path())
            .args(["--device", device, "-f", "txt", "-o", "out", "a.wav", "--model"])
            .arg(model)
            .output()
            .unwrap();
        if output.status.success() {
            eprintln!("SKIPPED: this machine has the device {device}");
            continue;
        }
        assert_one_error(device, &output, 4, &["cannot use the device", device, "--device cpu"]);
        assert!(output.stdout.is_empty(), "{device}");
        assert_eq!(list(home.path()), ["a.wav"], "{device} leaves a folder");
    }
}

#[test]
fn options_that_the_model_cannot_follow_are_2() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.wav"), sounds::good()).unwrap();
    let output = command(home.path()).args(["a.wav", "--suppress-tokens", "99999999"]).output().unwrap();
    assert_one_error("token", &output, 2, &["99999999"]);
    assert!(output.stdout.is_empty());
}
