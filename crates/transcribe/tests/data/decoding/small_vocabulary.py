"""A vocabulary of 61 tokens and hashed logits, the same on both sides of the comparison.

The Rust side is crates/transcribe/src/decoding/testing.rs.
"""

import numpy as np

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
N_VOCAB = 61


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


class SmallTokenizer:
    """Text 0–18 (3 is a space), specials 19–29, timestamps from 30 on."""

    eot, sot, translate, transcribe, sot_lm, sot_prev = 19, 20, 23, 24, 25, 26
    no_speech, no_timestamps, timestamp_begin = 27, 29, 30
    non_speech_tokens = (4, 5)
    language = "en"
    language_token = 21
    all_language_tokens = (21, 22)
    all_language_codes = ("en", "zh")
    sot_sequence = (20, 21, 24)
    sot_sequence_including_notimestamps = (20, 21, 24, 29)

    def encode(self, text):
        if text == " ":
            return [3]
        return [int(word) for word in text.split()]

    def decode(self, tokens):
        return "".join(" " if t == 3 else f" w{t}" if t < 19 else f"<|{t}|>" for t in tokens if t < 30)


def hashed_state(state, token):
    return mix(state ^ ((token + 1) * GOLDEN & MASK))


def hashed_logits(state, eot_bias, n_vocab=N_VOCAB):
    """Multiples of 2⁻²⁰ in −8 … 8, exact in f32; `eot_bias` is added to the end of text."""
    bits = [mix((state + (v + 1) * GOLDEN) & MASK) >> 40 for v in range(n_vocab)]
    row = (np.array(bits, dtype=np.float32) / np.float32(1 << 24) - np.float32(0.5)) * np.float32(16)
    row[SmallTokenizer.eot] += np.float32(eot_bias)
    return row


class SplitMix:
    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state + GOLDEN) & MASK
        return (mix(self.state) >> 11) * 2.0**-53
