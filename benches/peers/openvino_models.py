"""Exports OpenVINO's models: f32, int8 weights, and an encoder with int8 activations too.

The first two are what `optimum-cli export openvino` makes. The third is the int8-weight export with its encoder
replaced by the f32 one after NNCF's post-training quantisation (mixed preset, SmoothQuant), calibrated on windows of
the given clips: the best that OpenVINO's tools offer for this model.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ENCODER = "openvino_encoder_model.xml"


def export(source: Path, target: Path, weights: str) -> None:
    """`weights`: fp32 or int8."""
    command = [Path(sys.executable).with_name("optimum-cli"), "export", "openvino", "--model", source, "--task",
               "automatic-speech-recognition-with-past", "--weight-format", weights, target]
    subprocess.run([str(word) for word in command], check=True, stdout=sys.stderr)


def quantise_encoder(f32: Path, int8: Path, target: Path, windows: list) -> None:
    """`windows`: mels of 30 s, [n_mels, 3000] each."""
    import nncf
    import openvino

    shutil.copytree(int8, target, dirs_exist_ok=True)
    encoder = openvino.Core().read_model(f32 / ENCODER)
    dataset = nncf.Dataset(windows, lambda mel: {"input_features": mel[None]})
    quantised = nncf.quantize(encoder, dataset, subset_size=len(windows), preset=nncf.QuantizationPreset.MIXED,
                              model_type=nncf.ModelType.TRANSFORMER)
    openvino.save_model(quantised, target / ENCODER, compress_to_fp16=False)
