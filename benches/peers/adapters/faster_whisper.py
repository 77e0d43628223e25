"""faster-whisper: CTranslate2 in f32 or int8."""

import ctranslate2
import faster_whisper
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer

from adapters import Window
from adapters.stopwatch import Stopwatch


class Peer:
    def __init__(self, models, threads: int, compute: str):
        self.model = faster_whisper.WhisperModel(str(models / f"ctranslate2-{compute}"), device="cpu",
                                                 compute_type=compute, cpu_threads=threads)
        self.tokenizer = Tokenizer(self.model.hf_tokenizer, True, task="transcribe", language="en")

    def versions(self) -> dict:
        return {"faster-whisper": faster_whisper.__version__, "ctranslate2": ctranslate2.__version__}

    def window(self, samples) -> Window:
        watch = Stopwatch()
        # Silence in the samples, as the others have it in a window: its own transcribe() fills up the mel.
        mel = pad_or_trim(self.model.feature_extractor(pad_or_trim(samples, 30 * 16000)))
        mel_ms = watch.lap()
        features = self.model.encode(mel)
        encode_ms = watch.lap()
        prompt = self.model.get_prompt(self.tokenizer, [])
        result = self.model.model.generate(features, [prompt], beam_size=1, sampling_temperature=0,
                                           suppress_blank=True, suppress_tokens=[-1], max_initial_timestamp_index=50)
        tokens = result[0].sequences_ids[0]
        text = self.tokenizer.decode(tokens)
        return Window(watch.total(), mel_ms, encode_ms, len(tokens) + 1, text)

    def file(self, samples) -> str:
        segments, _ = self.model.transcribe(samples, language="en", beam_size=1, best_of=1)
        return "".join(segment.text for segment in segments)
