"""whisper.cpp through pywhispercpp."""

from importlib.metadata import version

import _pywhispercpp as bindings
import numpy as np
from pywhispercpp.model import Model

from adapters import Window
from adapters.stopwatch import Stopwatch

_WINDOW = 480_000


class Peer:
    def __init__(self, models, threads: int, kind: str):
        self.threads = threads
        self.model = Model(str(models / f"ggml-{kind}.bin"), n_threads=threads, print_progress=False,
                           redirect_whispercpp_logs_to=None, language="en")

    def versions(self) -> dict:
        return {"pywhispercpp": version("pywhispercpp")}

    def _full(self, samples, single_segment: bool):
        return self.model.transcribe(samples, single_segment=single_segment, no_context=single_segment)

    def window(self, samples) -> Window:
        watch = Stopwatch()
        segments = self._full(samples, single_segment=True)
        total_ms = watch.total()
        context = self.model._ctx
        tokens = sum(bindings.whisper_full_n_tokens(context, i) for i in range(len(segments)))
        # The whole call does not say where its time went: its two first parts once more, by themselves.
        padded = np.pad(samples, (0, max(0, _WINDOW - len(samples))))
        watch.lap()
        bindings.whisper_pcm_to_mel(context, padded, len(padded), self.threads)
        mel_ms = watch.lap()
        bindings.whisper_encode(context, 0, self.threads)
        encode_ms = watch.lap()
        return Window(total_ms, mel_ms, encode_ms, tokens + 1, " ".join(segment.text for segment in segments))

    def file(self, samples) -> str:
        return " ".join(segment.text for segment in self._full(samples, single_segment=False))
