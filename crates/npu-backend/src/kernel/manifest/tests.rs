//! Manifests, good and bad.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

const GOOD: &str = r#"
version = 1
[limits]
m_granule = 256
k_granule = { bf16 = 128, i8 = 256 }
n_granule_per_column = 64
max_k_i8 = 131071
head_dim = 64
[reorder]
a = [[16, 4], [16, 256], [4, 64], [4, 1]]
b = [[4, 256], [16, 2], [8, 32], [2, 1]]
c = [[16, 128], [4, 2], [16, 8], [2, 1]]
[[image]]
name = "whole"
kind = "streamed"
arches = ["aie2", "aie2p"]
design = "designs/whole.py"
stack_bytes = 3328
l1 = [{ name = "A", bytes = 4096, count = 2 }, { name = "acc", bytes = 16384 }]
[[image]]
name = "one"
kind = "direct"
arches = ["aie2"]
design = "designs/one.py"
stack_bytes = 1024
l1 = []
[[kernel]]
name = "gemm"
image = "whole"
op = 1
a = "bf16"
b = "bf16"
accumulate = "f32"
c = "bf16"
m = 64
k = 32
n = 64
mmul = { aie2 = [4, 8, 4], aie2p = [8, 8, 4] }
peak_macs = { aie2 = 128, aie2p = 256 }
efficiency = 0.5
gelu_cycles_per_element = { aie2 = 2.5, aie2p = 1 }
[[kernel]]
name = "seed"
image = "one"
call = "seed"
arguments = [{ role = "input", bytes = 512 }, { role = "accumulate", bytes = 1024 }]
mmul = { aie2 = [4, 16, 8] }
peak_macs = { aie2 = 256 }
efficiency = 0.1
"#;

#[test]
fn a_manifest_is_read() {
    let manifest = Manifest::parse(GOOD).unwrap();
    assert_eq!(manifest.reorder.as_ref().unwrap().b[1], [16, 2]);
    let whole = manifest.image("whole").unwrap();
    assert_eq!((whole.kind, whole.l1[0].count, whole.l1[1].count), (ImageKind::Streamed, 2, 1));
    let gemm = manifest.kernels_of("whole").next().unwrap();
    assert_eq!((gemm.peak_macs.of(Arch::Aie2p), gemm.efficiency.of(Arch::Aie2)), (Some(256.0), Some(0.5)));
    assert_eq!(gemm.softmax_cycles_per_element.of(Arch::Aie2), Some(0.0));
    let seed = manifest.kernels_of("one").next().unwrap();
    assert_eq!(seed.peak_macs.of(Arch::Aie2p), None);
    assert_eq!(seed.arguments[1], DirectArgument { role: DirectRole::Accumulate, bytes: 1024 });
    assert!(manifest.image("none").is_none());
}

#[test]
fn what_is_wrong_is_told_by_name() {
    for (from, to, reason) in [
        ("version = 1", "version = 2", "version 2"),
        ("version = 1", "version = one", "TOML"),
        ("[16, 256], [4, 64]", "[16, 256], [4, 32]", "reorder a: its step"),
        ("[[4, 256], [16, 2]", "[[4, 256], [15, 2]", "reorder b: it walks 960 words"),
        ("[16, 128], [4, 2]", "[16, 200000], [4, 2]", "reorder c: [16, 200000]"),
        ("[[16, 128]", "[[1, 0], [16, 128]", "reorder c: 5 dimensions"),
        ("bytes = 16384", "bytes = 65536", "image whole: 73728 bytes of buffers"),
        ("bytes = 16384", "bytes = 16383", "acc has 16383 bytes"),
        ("stack_bytes = 3328", "stack_bytes = 512", "image whole: a stack of 512"),
        ("[\"aie2\", \"aie2p\"]", "[]", "no generation"),
        ("[\"aie2\", \"aie2p\"]", "[\"aie3\"]", "aie3"),
        ("name = \"one\"", "name = \"whole\"", "two images whole"),
        ("name = \"seed\"", "name = \"gemm\"", "two kernels gemm"),
        ("image = \"one\"", "image = \"two\"", "there is no image two"),
        ("image = \"one\"", "image = \"two\"", "image one: it has no kernel"),
        ("k = 32\n", "", "kernel gemm: a kernel of a streamed image has op, a, b, accumulate, c, m, k and n"),
        ("a = \"bf16\"\n", "", "kernel gemm: a kernel of a streamed image has op, a, b"),
        ("a = \"bf16\"", "a = \"f64\"", "f64"),
        ("max_k_i8 = 131071", "max_k_i8 = 131072", "limits"),
        ("i8 = 256", "i8 = 0", "limits"),
        ("aie2 = [4, 8, 4]", "aie2 = [5, 8, 4]", "kernel gemm: its tile is not made of mmuls of [5, 8, 4]"),
        (
            "mmul = { aie2 = [4, 16, 8] }",
            "mmul = { aie2p = [4, 16, 8] }",
            "kernel seed: an mmul shape of None",
        ),
        ("op = 1", "opp = 1", "opp"),
        ("call = \"seed\"\n", "", "kernel seed: a kernel of a direct image has call"),
        ("bytes = 512", "bytes = 65536", "do not fit a core"),
        ("efficiency = 0.5", "efficiency = 1.5", "kernel gemm: a peak"),
        ("aie2 = 128, aie2p = 256", "aie2 = 128", "on Aie2p"),
        ("aie2 = 2.5", "aie2 = -1", "Some(-1.0) cycles"),
        ("name = \"A\"", "nam = \"A\"", "name"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let error = Manifest::parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(reason), "{from} → {to}: `{error}` lacks `{reason}`");
    }
}

#[test]
fn two_kernels_of_one_image_are_not_the_same_operation() {
    let start = GOOD.find("[[kernel]]").unwrap();
    let gemm = GOOD[start..].split("[[kernel]]").nth(1).unwrap();
    let second = format!("[[kernel]]{}", gemm.replace("\"gemm\"", "\"twin\""));
    let error = Manifest::parse(&format!("{GOOD}{second}")).unwrap_err().to_string();
    assert!(error.contains("two kernels are operation 1"), "{error}");
}

#[test]
fn streams_need_reorders() {
    let without = GOOD
        .lines()
        .filter(|line| !line.starts_with("[reorder]") && !line.contains(" = [["))
        .collect::<Vec<_>>();
    let error = Manifest::parse(&without.join("\n")).unwrap_err().to_string();
    assert!(error.contains("no reorder"), "{error}");
}

#[test]
fn the_embedded_manifest_is_sound() {
    Manifest::embedded().unwrap();
}
