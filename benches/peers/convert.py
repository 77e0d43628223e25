"""Converts the bundled weights to what every peer reads, into one folder; what is there already is kept.

  python convert.py --model ../../models/whisper-base-int8 --out FOLDER --clips A.wav B.wav
"""

import argparse
import shutil
import sys
from pathlib import Path

import audio
import ggml
import huggingface
import openvino_models


def windows(clips: list, folder: Path) -> list:
    """Every clip's first 30 s as a mel, to calibrate with: [n_mels, 3000] each."""
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    return [extractor(audio.join([clip])[0], sampling_rate=audio.RATE, return_tensors="np").input_features[0]
            for clip in clips]


def ctranslate2(source: Path, target: Path, compute: str) -> None:
    from ctranslate2.converters import TransformersConverter

    converter = TransformersConverter(str(source), copy_files=["tokenizer.json", "preprocessor_config.json"])
    converter.convert(str(target), quantization=compute, force=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--clips", required=True, nargs="+", help="16 kHz mono wav files that calibrate int8 activations")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    plain = args.out / "huggingface"
    f32, int8 = args.out / "openvino-f32", args.out / "openvino-int8"

    def once(name: str, make) -> None:
        """Makes `name` beside its place first, so that a broken run leaves nothing half made."""
        if (args.out / name).exists():
            return
        print(f"converting: {name}", file=sys.stderr, flush=True)
        partial = args.out / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        make(partial)
        partial.rename(args.out / name)

    once("huggingface", lambda target: huggingface.write(args.model, target))
    for kind in ("f16", "q8_0"):
        once(f"ggml-{kind}.bin", lambda target: ggml.write(plain, target, kind))
    for compute in ("float32", "int8"):
        once(f"ctranslate2-{compute}", lambda target: ctranslate2(plain, target, compute))
    once("openvino-f32", lambda target: openvino_models.export(plain, target, "fp32"))
    once("openvino-int8", lambda target: openvino_models.export(plain, target, "int8"))
    once("openvino-int8-activations",
         lambda target: openvino_models.quantise_encoder(f32, int8, target, windows(args.clips, plain)))


if __name__ == "__main__":
    main()
