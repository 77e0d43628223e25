"""Writes whisper.cpp's model file (ggml, f16 or q8_0) from a Hugging Face folder.

The layout is the one that whisper.cpp:src/whisper.cpp (whisper_model_load) reads: a head of 32-bit integers, the mel
filters, the vocabulary, then tensors, each with its dimensions innermost first. q8_0 (ggml:src/ggml-quants.c) keeps
blocks of 32 values of a row as an f16 scale and 32 signed bytes.
"""

import base64
import struct
from pathlib import Path

import numpy as np
import whisper

import checkpoint

_MAGIC = 0x67676D6C
_F32, _F16, _Q8_0 = 0, 1, 8
# GGML_FTYPE_MOSTLY_Q8_0, with the version of the quantisation (2) in thousands.
_FTYPE = {"f16": 1, "q8_0": 2 * 1000 + 7}
_BLOCK = 32
# whisper.cpp adds these to activations in f32.
_KEPT_F32 = ("encoder.positional_embedding", "decoder.positional_embedding")
# Its convolutions take f16 only.
_KEPT_F16 = ("encoder.conv1.weight", "encoder.conv2.weight")


def q8_0(values: np.ndarray) -> bytes:
    """[rows, columns], columns a multiple of 32."""
    blocks = values.reshape(-1, _BLOCK).astype(np.float32)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / 127.0
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=scales != 0)
    packed = np.empty(len(blocks), dtype=[("scale", "<f2"), ("quants", "i1", _BLOCK)])
    packed["scale"] = scales[:, 0]
    packed["quants"] = np.rint(blocks * inverse)
    return packed.tobytes()


def _tensor(name: str, values: np.ndarray, kind: str):
    """ggml's number of the type, and the bytes."""
    if values.ndim < 2 or name in _KEPT_F32 or name.endswith(".bias"):
        return _F32, values.astype("<f4").tobytes()
    if kind == "q8_0" and name not in _KEPT_F16:
        return _Q8_0, q8_0(values)
    return _F16, values.astype("<f2").tobytes()


def write(source: Path, target: Path, kind: str) -> None:
    """The weights of `source` as `kind` (f16 or q8_0) to the file `target`."""
    dims = checkpoint.dimensions(source)
    assets = Path(whisper.__file__).parent / "assets"
    filters = np.load(assets / "mel_filters.npz")[f"mel_{dims.n_mels}"].astype("<f4")
    multilingual = dims.n_vocab >= 51865
    ranks = (assets / ("multilingual.tiktoken" if multilingual else "gpt2.tiktoken")).read_text().split()
    words = [base64.b64decode(word) for word in ranks[::2]]

    with target.open("wb") as out:
        out.write(struct.pack("<12i", _MAGIC, dims.n_vocab, dims.n_audio_ctx, dims.n_audio_state, dims.n_audio_head,
                              dims.n_audio_layer, dims.n_text_ctx, dims.n_text_state, dims.n_text_head,
                              dims.n_text_layer, dims.n_mels, _FTYPE[kind]))
        out.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        out.write(struct.pack("<i", len(words)))
        for word in words:
            out.write(struct.pack("<i", len(word)) + word)
        for name, value in checkpoint.tensors(source).items():
            name, values = checkpoint.openai_name(name), value.numpy()
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                values = values.reshape(-1, 1)
            type_number, data = _tensor(name, values, kind)
            encoded = name.encode()
            out.write(struct.pack(f"<{3 + values.ndim}i", values.ndim, len(encoded), type_number,
                                  *reversed(values.shape)))
            out.write(encoded + data)
