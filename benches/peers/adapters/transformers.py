"""Hugging Face's transformers: PyTorch in f32 or bf16 (oneDNN's kernels where the CPU has bf16 instructions)."""

import torch
import transformers
from transformers import AutoProcessor, WhisperForConditionalGeneration

from adapters import Window
from adapters.stopwatch import Stopwatch


class Peer:
    def __init__(self, models, threads: int, dtype: str):
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        transformers.logging.set_verbosity_error()
        self.dtype = getattr(torch, dtype)
        self.processor = AutoProcessor.from_pretrained(models / "huggingface")
        self.model = WhisperForConditionalGeneration.from_pretrained(models / "huggingface", dtype=self.dtype).eval()

    def versions(self) -> dict:
        return {"transformers": transformers.__version__, "torch": torch.__version__}

    def window(self, samples) -> Window:
        watch = Stopwatch()
        mel = self.processor(samples, sampling_rate=16000, return_tensors="pt").input_features.to(self.dtype)
        mel_ms = watch.lap()
        encoded = self.model.model.encoder(mel)
        encode_ms = watch.lap()
        tokens = self.model.generate(encoder_outputs=encoded, language="en", task="transcribe",
                                     return_timestamps=True, num_beams=1, do_sample=False)[0]
        text = self.processor.decode(tokens, skip_special_tokens=True)
        total_ms = watch.total()
        # What was given: start of transcript, language, task.
        return Window(total_ms, mel_ms, encode_ms, max(len(tokens) - 3, 1), text)

    def file(self, samples) -> str:
        mel = self.processor(samples, sampling_rate=16000, return_tensors="pt", truncation=False, padding="longest",
                             return_attention_mask=True)
        tokens = self.model.generate(
            mel.input_features.to(self.dtype), attention_mask=mel.attention_mask, language="en", task="transcribe",
            return_timestamps=True, num_beams=1, condition_on_prev_tokens=True,
            temperature=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), compression_ratio_threshold=1.35, logprob_threshold=-1.0,
            no_speech_threshold=0.6)[0]
        return self.processor.decode(tokens, skip_special_tokens=True)
