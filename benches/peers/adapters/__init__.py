"""One file per peer, each with the same small class.

An adapter is made with (folder of converted models, threads) and then has
  versions()       names and versions of what computes
  window(samples)  one window of 30 s, greedy, English, timestamps on: a `Window`
  file(samples)    the text of a whole file by the peer's own sequential algorithm, with its own fallback
and, if it takes samples in another form than a NumPy array of f32,
  prepare(samples) that form, made before any stopwatch runs
"""

from dataclasses import dataclass
from importlib import import_module


@dataclass
class Window:
    """Milliseconds of one window from samples to text. `decode_ms` is all that is neither mel nor encoder; `tokens`
    counts the decoder's choices, timestamps and the end of text among them."""

    total_ms: float
    mel_ms: float
    encode_ms: float
    tokens: int
    text: str

    @property
    def decode_ms(self) -> float:
        """All that is neither mel nor encoder.

        Raises ValueError if these do not fit into the total, as they may where they were timed by themselves.
        """
        rest = self.total_ms - self.mel_ms - self.encode_ms
        if rest <= 0:
            raise ValueError(f"mel {self.mel_ms:.0f} ms and encoder {self.encode_ms:.0f} ms do not fit into "
                             f"{self.total_ms:.0f} ms: something disturbed them; measure again")
        return rest


# Name in the table: module, and what its class is made with besides folder and threads.
PEERS = {
    "openai-whisper f32": ("openai_whisper", {}),
    "transformers f32": ("transformers", {"dtype": "float32"}),
    "transformers bf16": ("transformers", {"dtype": "bfloat16"}),
    "faster-whisper f32": ("faster_whisper", {"compute": "float32"}),
    "faster-whisper int8": ("faster_whisper", {"compute": "int8"}),
    "whisper.cpp f16": ("whisper_cpp", {"kind": "f16"}),
    "whisper.cpp q8_0": ("whisper_cpp", {"kind": "q8_0"}),
    "OpenVINO f32": ("openvino_genai", {"weights": "f32", "precision": "f32"}),
    "OpenVINO bf16": ("openvino_genai", {"weights": "f32", "precision": "bf16"}),
    "OpenVINO int8 weights": ("openvino_genai", {"weights": "int8"}),
    "OpenVINO int8 activations": ("openvino_genai", {"weights": "int8-activations"}),
}


def make(name: str, models, threads: int):
    module, options = PEERS[name]
    return import_module(f"adapters.{module}").Peer(models, threads, **options)
