//! `transcribe bench`, as built.
#![allow(clippy::unwrap_used)]

use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

fn run(args: &[&str]) -> Output {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
    let mut command = Command::cargo_bin("transcribe").unwrap();
    command.env("TRANSCRIBE_MODEL_DIR", models).arg("bench").args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Whether the emulator lacks what it needs on this machine, which is an error with its reason.
fn has_no_compiler(output: &Output) -> bool {
    let err = String::from_utf8_lossy(&output.stderr);
    output.status.code() == Some(4) && err.contains("compiler")
}

fn positive(value: &Value) {
    assert!(value.as_f64().is_some_and(|value| value > 0.0), "{value}");
}

#[test]
fn the_processor_is_measured() {
    let report = json(&run(&["64,64,64", "--json", "--threads", "1"]));
    assert_eq!((&report["device"], &report["threads"]), (&"cpu".into(), &1.into()));
    let products = report["products"].as_array().unwrap();
    assert_eq!(products.iter().map(|product| &product["name"]).collect::<Vec<_>>(), ["f32", "bf16"]);
    for product in products {
        positive(&product["measured"]["median_gflop_per_second"]);
        assert!(product.get("modelled").is_none());
    }
    let text = run(&["64x64x64", "--device", "cpu"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("64×64×64 on the processor") && text.contains("measured"), "{text}");
}

#[test]
fn without_a_product_the_machine_and_the_model_are_measured() {
    let report = json(&run(&["--json", "--threads", "1"]));
    let limits = &report["limits"];
    assert_eq!(limits["products"].as_array().map(Vec::len), Some(3));
    limits["products"].as_array().unwrap().iter().for_each(|product| positive(&product["gop_per_second"]));
    positive(&limits["read_gb_per_second"]);
    let models = report["models"].as_array().unwrap();
    assert_eq!(models.iter().map(|model| &model["precision"]).collect::<Vec<_>>(), ["auto", "f32", "bf16"]);
    for model in models {
        for name in ["load_seconds", "window_seconds", "token_seconds", "token_of_five_seconds"] {
            positive(&model[name]);
        }
        let parts = model["operation_by_operation"].as_array().unwrap();
        assert!(parts.iter().any(|part| part["name"] == "perceptrons"), "{parts:?}");
    }
}

#[test]
fn the_emulator_tells_what_is_modelled_and_what_is_measured() {
    let output = run(&["64,64,64", "--device", "emulator", "--all-ways", "--json"]);
    if has_no_compiler(&output) {
        return;
    }
    let report = json(&output);
    assert_eq!(report["modelled_device"], true);
    assert_eq!(report["shape"], serde_json::json!({ "m": 64, "k": 64, "n": 64 }));
    let products = report["products"].as_array().unwrap();
    assert_eq!(
        products.iter().map(|product| &product["name"]).collect::<Vec<_>>(),
        ["int8 to int32", "bf16"]
    );
    for product in products {
        let counts = ["launches", "batches", "pushes", "pulls"].map(|name| product[name].as_u64());
        assert_eq!(counts, [Some(1); 4], "{product}");
        positive(&product["modelled"]["seconds"]);
        for name in ["plan", "pack", "unpack", "launch", "weights"] {
            positive(&product["measured"][format!("{name}_seconds")]);
        }
        assert!(product["measured"]["round_seconds"].is_null(), "an emulator's own time was shown");
    }
    let ways = report["ways"].as_array().unwrap();
    let launches: Vec<Option<u64>> = ways.iter().map(|way| way["launches"].as_u64()).collect();
    assert_eq!(launches, [Some(64), Some(64), Some(64), Some(64), Some(1)]);
    let seconds: Vec<f64> = ways.iter().map(|way| way["modelled"]["seconds"].as_f64().unwrap()).collect();
    assert!(seconds[4] * 10.0 < seconds[0], "{seconds:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("sequential"), "no note of progress");
}

#[test]
fn people_read_that_modelled_is_not_measured() {
    let output = run(&["64,64,64", "--device", "emulator"]);
    if has_no_compiler(&output) {
        return;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("64×64×64 on emulator of XDNA 1"), "{text}");
    for part in ["int8 to int32", "bf16", "launches 1, pushes 1", "measured on this machine: plan"] {
        assert!(text.contains(part), "no `{part}` in {text}");
    }
    assert_eq!(text.matches("modelled, not measured: ").count(), 2, "{text}");
}

#[test]
fn exit_codes_are_those_of_the_other_commands() {
    for (args, code, part) in [
        (&["64,64"][..], 2, "three sizes"),
        (&["0,64,64"], 2, "three sizes"),
        (&["64,64,64", "--all-ways"], 2, "--device emulator"),
        (&["64,64,64", "--device", "npu"], 4, "XRT"),
    ] {
        let output = run(args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
        assert!(err.contains(part), "{args:?}: {err}");
    }
}
