"""openai-whisper: PyTorch in f32."""

import torch
import whisper
from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions, decode

import checkpoint
from adapters import Window
from adapters.stopwatch import Stopwatch


class Peer:
    def __init__(self, models, threads: int):
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.model = checkpoint.load(models / "huggingface")

    def versions(self) -> dict:
        return {"openai-whisper": whisper.__version__, "torch": torch.__version__}

    def window(self, samples) -> Window:
        watch = Stopwatch()
        mel = pad_or_trim(log_mel_spectrogram(samples, self.model.dims.n_mels, padding=N_SAMPLES), N_FRAMES)
        mel_ms = watch.lap()
        features = self.model.encoder(mel[None])
        encode_ms = watch.lap()
        result = decode(self.model, features, DecodingOptions(language="en", temperature=0.0, fp16=False))[0]
        return Window(watch.total(), mel_ms, encode_ms, len(result.tokens) + 1, result.text)

    def file(self, samples) -> str:
        return whisper.transcribe(self.model, samples, verbose=None, fp16=False, language="en")["text"]
