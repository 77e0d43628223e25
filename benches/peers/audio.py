"""Reads clips as 16 kHz mono f32, and joins them with their texts."""

import wave
from pathlib import Path

import numpy as np

RATE = 16000


def read_wav(path):
    """What ffmpeg would give of a plain s16 wav; None for any other file."""
    try:
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2):
                return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768.0
    except (wave.Error, EOFError):
        pass
    return None


def write_wav(path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.rint(samples * 32768.0).clip(-32768, 32767).astype("<i2").tobytes())


def join(clips: list):
    """The samples of wav files one after another, and their texts (`NAME.txt` beside each)."""
    samples, texts = [], []
    for clip in map(Path, clips):
        read = read_wav(clip)
        if read is None:
            raise SystemExit(f"{clip}: only 16 kHz mono s16 wav files are joined; convert it with ffmpeg")
        samples.append(read)
        texts.append(clip.with_suffix(".txt").read_text().strip())
    return np.concatenate(samples), " ".join(texts)
