"""OpenVINO GenAI's WhisperPipeline. It has no fallback to higher temperatures."""

import openvino
import openvino_genai

from adapters import Window
from adapters.stopwatch import Stopwatch


class Peer:
    def __init__(self, models, threads: int, weights: str, precision: str = ""):
        properties = {"INFERENCE_NUM_THREADS": threads}
        if precision:
            properties["INFERENCE_PRECISION_HINT"] = precision
        self.pipeline = openvino_genai.WhisperPipeline(str(models / f"openvino-{weights}"), "CPU", **properties)

    def versions(self) -> dict:
        return {"openvino-genai": openvino_genai.__version__, "openvino": openvino.__version__}

    def prepare(self, samples) -> list:
        """Its binding takes floats of Python's; an array would be made into them on its account."""
        return samples.tolist()

    def _generate(self, samples: list):
        return self.pipeline.generate(samples, language="<|en|>", task="transcribe", return_timestamps=True)

    def window(self, samples) -> Window:
        watch = Stopwatch()
        result = self._generate(samples)
        total_ms = watch.total()
        metrics = result.perf_metrics
        encode_ms = sum(metrics.whisper_raw_metrics.encode_inference_durations) / 1e3
        # Its count leaves out timestamps, two to a chunk, and the end of text.
        tokens = metrics.get_num_generated_tokens() + 2 * len(result.chunks) + 1
        return Window(total_ms, metrics.get_features_extraction_duration().mean, encode_ms, tokens, result.texts[0])

    def file(self, samples) -> str:
        return self._generate(samples).texts[0]
