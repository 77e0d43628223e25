"""Times openai-whisper (PyTorch, f32, CPU) on a Hugging Face folder of weights and prints JSON.

  python openai_whisper.py --model models/whisper-base-int8 --audio a.wav b.wav --mode file --threads 2 --runs 3

Modes, each per audio file, greedy at temperature 0 without fallback:
  encoder  ms of one 30 s window through the encoder
  decode   tokens a second of the decoder on an encoded window (language given, timestamps on)
  clip     ms from the file on disk to the text of its first 30 s (silence-padded; no language detection)
  file     ms of the whole of `transcribe()`, reading the file included
Times are wall clock inside the process (`cold_ms` of the first pass, `ms` of the others): neither Python's start nor imports nor loading weights (reported apart).
"""

import argparse
import json
import platform
import resource
import sys
import time
import wave
from pathlib import Path

START = time.perf_counter()

import numpy as np
import torch
import whisper
from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim
from whisper.decoding import DecodingOptions, decode

import checkpoint


def read_audio(path: str) -> np.ndarray:
    """16 kHz mono f32. Plain s16 wav is read here (what ffmpeg would give); other files through ffmpeg."""
    try:
        with wave.open(path) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2):
                return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768.0
    except (wave.Error, EOFError):
        pass
    return whisper.load_audio(path)


def first_window(model, path: str) -> torch.Tensor:
    mel = log_mel_spectrogram(read_audio(path), model.dims.n_mels, padding=N_SAMPLES)
    return pad_or_trim(mel, N_FRAMES)


def timed(runs: int, work):
    """Runs `work` once cold, then `runs` times; the milliseconds, and the last result."""
    start = time.perf_counter()
    result = work()
    cold = (time.perf_counter() - start) * 1e3
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        times.append((time.perf_counter() - start) * 1e3)
    return {"cold_ms": cold, "ms": times, "best_ms": min(times, default=None)}, result


def measure(model, path: str, args) -> dict:
    options = DecodingOptions(task=args.task, language=args.language or "en", temperature=0.0, fp16=False,
                              without_timestamps=args.without_timestamps)
    if args.mode == "encoder":
        window = first_window(model, path).unsqueeze(0)
        times, _ = timed(args.runs, lambda: model.encoder(window))
        return times
    if args.mode == "decode":
        features = model.encoder(first_window(model, path).unsqueeze(0))
        times, result = timed(args.runs, lambda: decode(model, features, options)[0])
        steps = len(result.tokens) + 1
        return {**times, "steps": steps, "tokens_per_s": [steps / (ms / 1e3) for ms in times["ms"]],
                "tokens": result.tokens, "text": result.text}
    if args.mode == "clip":
        times, result = timed(args.runs, lambda: decode(model, first_window(model, path), options))
        return {**times, "tokens": result.tokens, "text": result.text}
    times, result = timed(args.runs, lambda: whisper.transcribe(
        model, read_audio(path), verbose=None, temperature=0.0, fp16=False, task=args.task, language=args.language,
        word_timestamps=args.word_timestamps, without_timestamps=args.without_timestamps))
    return {**times, "language": result["language"], "text": result["text"],
            "tokens": [token for segment in result["segments"] for token in segment["tokens"]]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path, help="folder with config.json and safetensors")
    parser.add_argument("--audio", required=True, nargs="+")
    parser.add_argument("--mode", choices=["encoder", "decode", "clip", "file"], default="file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each file after a cold one")
    parser.add_argument("--language", help="default: detect (mode file), en (other modes)")
    parser.add_argument("--task", default="transcribe", choices=["transcribe", "translate"])
    parser.add_argument("--word-timestamps", action="store_true")
    parser.add_argument("--without-timestamps", action="store_true")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    imported = time.perf_counter()
    model = checkpoint.load(args.model)
    loaded = time.perf_counter()
    with torch.inference_mode():
        files = {path: measure(model, path, args) for path in args.audio}
    json.dump({
        "peer": "openai-whisper",
        "versions": {"openai-whisper": whisper.__version__, "torch": torch.__version__,
                     "python": platform.python_version()},
        "mode": args.mode, "threads": torch.get_num_threads(), "runs": args.runs,
        "import_ms": (imported - START) * 1e3, "load_ms": (loaded - imported) * 1e3,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "files": files,
    }, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
