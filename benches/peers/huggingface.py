"""Writes the bundled model as a plain Hugging Face folder in f32, which every converter reads.

int8 rows are multiplied out with their scales, so that all peers start from exactly the weights that our engine reads.
"""

import json
import shutil
from pathlib import Path

from safetensors.torch import save_file

import checkpoint

_COPIED = ["generation_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
           "added_tokens.json"]


def write(source: Path, target: Path) -> None:
    """`source` in any type that `checkpoint.tensors` reads, to `target` in f32."""
    target.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "config.json").read_text())
    # What says that the weights are int8, which they are no longer.
    config.pop("quantization_config", None)
    config.pop("_name_or_path", None)
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for name in _COPIED:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors(source).items()}
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
