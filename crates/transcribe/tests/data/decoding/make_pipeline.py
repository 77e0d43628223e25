"""Writes pipeline.json: what openai-whisper 20250625 `transcribe()` makes of scripted decoding results and words.

Run in an environment with `pip install openai-whisper==20250625`:
    python make_pipeline.py

The loop is OpenAI's own (whisper.transcribe); the mel holds the number of its frame, so that the script can see which
window is asked for. Cases in which OpenAI does not end within 40 decodings, or cuts a window of no length, are left out.
"""

import importlib
import json
import random
import sys
from types import SimpleNamespace

import torch
from small_vocabulary import SmallTokenizer
from whisper.decoding import DecodingResult

module = importlib.import_module("whisper.transcribe")  # the package hides it behind its function
TS = SmallTokenizer.timestamp_begin


class Endless(Exception):
    pass


def random_tokens(rng):
    kind = rng.random()
    if kind < 0.04:
        return []
    if kind < 0.14:  # no grammar at all
        return [rng.choice([rng.randrange(0, 19), TS + rng.randrange(0, 1501)]) for _ in range(rng.randrange(1, 8))]
    tokens, time = [], rng.choice([0, 0, 0, rng.randrange(0, 50)])
    for _ in range(rng.randrange(1, 5)):
        length = rng.choice([10, 50, 200, 400])
        words = [3] if rng.random() < 0.1 else [rng.randrange(0, 19) for _ in range(rng.randrange(1, 5))]
        end = time if rng.random() < 0.05 else min(1500, time + rng.randrange(1, length + 1))
        tokens += [TS + time] + words + [TS + end]
        time = end if rng.random() < 0.6 else min(1500, end + rng.randrange(0, 100))
    ending = rng.random()
    if ending < 0.3:
        tokens.append(TS + time)  # a pair at the end
    elif ending < 0.5:
        tokens += [TS + time] + [rng.randrange(0, 19)]  # an unfinished segment
    elif ending < 0.6:
        tokens = tokens[:1] + [t for t in tokens if t < TS] + tokens[-1:]  # no pair
    return tokens


def random_result(rng, options):
    return DecodingResult(
        audio_features=None,
        language="en",
        tokens=random_tokens(rng),
        avg_logprob=rng.choice([-0.3, -0.5, -0.9, -1.0, -1.1, -1.6]) if rng.random() < 0.6 else -0.2,
        no_speech_prob=rng.choice([0.0, 0.01, 0.5, 0.6, 0.61, 0.9]) if rng.random() < 0.4 else 0.02,
        compression_ratio=rng.choice([0.7, 1.5, 2.4, 2.5, 9.0]) if rng.random() < 0.4 else 1.2,
        temperature=options.temperature,
    )


def random_words(rng, segments):
    made = []
    time = segments[0]["start"] if segments else 0
    for segment in segments:
        words = []
        time = max(time, segment["start"])
        odd = rng.random() < 0.4
        for _ in range(0 if rng.random() < 0.1 else rng.randrange(1, 5)):
            time = time + (rng.choice([0.0, 0.0, 0.1, 1.2, 4.0]) if rng.random() < 0.4 else 0)
            duration = rng.choice([0.02, 0.06, 2.6]) if odd else rng.choice([0.1, 0.2, 0.34, 0.5])
            probability = rng.choice([0.01, 0.1, 0.3]) if odd else rng.choice([0.16, 0.6, 0.97])
            word = rng.choice([" a", " word", ".", " no", "?!", '"'])
            words.append([word, round(time, 2), round(time + duration, 2), probability])
            time = round(time + duration, 2)
        start, end = segment["start"], segment["end"]
        if words and rng.random() < 0.8:
            start, end = words[0][1], words[-1][2]
        made.append([start, end, words])
    return made


def random_case(rng):
    options = {}

    def maybe(probability, name, values):
        if rng.random() < probability:
            options[name] = rng.choice(values)

    maybe(0.3, "temperature", [0.0, (0.0,), (0.2, 0.7), (0.0, 0.4, 0.6)])
    maybe(0.2, "compression_ratio_threshold", [None, 1.1])
    maybe(0.2, "logprob_threshold", [None, -0.4])
    maybe(0.2, "no_speech_threshold", [None, 0.1])
    maybe(0.2, "condition_on_previous_text", [False])
    maybe(0.4, "initial_prompt", ["1 2 3", "7", " 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 9 "])
    maybe(0.4, "carry_initial_prompt", [True])
    maybe(0.3, "clip_timestamps", [[], [1.0], [0.5, 20.0], [0.0, 12.345, 30.0, 47.5], [40.0, 50.0, 3.0], "2,8,8,16"])
    maybe(0.6, "word_timestamps", [True])
    if options.get("word_timestamps"):
        maybe(0.7, "hallucination_silence_threshold", [0.5013, 2.0013])
    maybe(0.3, "beam_size", [5])
    maybe(0.3, "best_of", [5])
    if "beam_size" in options:
        maybe(0.3, "patience", [2.0])
    return options, rng.choice([0, 90, 1500, 2999, 3000, 3001, 6800, 9000])


def run(rng):
    options, frames = random_case(rng)
    calls, words = [], []
    tokenizer = SmallTokenizer()

    def decode(segment, decoding):
        size = int((segment[0] > 0).sum())
        if len(calls) >= 40 or size == 0:
            raise Endless
        result = random_result(rng, decoding)
        prompt = [len(decoding.prompt), sum(i * t for i, t in enumerate(decoding.prompt, 1))]
        search = [decoding.temperature, decoding.beam_size, decoding.patience, decoding.best_of]
        numbers = [result.avg_logprob, result.no_speech_prob, result.compression_ratio]
        calls.append([int(segment[0, 0]) - 1, size, search, prompt, result.tokens, numbers])
        return result

    def add_words(*, segments, num_frames, last_speech_timestamp, **_):
        made = random_words(rng, segments)
        words.append([num_frames, last_speech_timestamp, made])
        for segment, (start, end, spoken) in zip(segments, made):
            segment["start"], segment["end"] = start, end
            names = ("word", "start", "end", "probability")
            segment["words"] = [dict(zip(names, word)) for word in spoken]

    mel = torch.cat([torch.arange(1, frames + 1, dtype=torch.float32), torch.zeros(3000)])[None]
    module.log_mel_spectrogram = lambda *_, **__: mel
    module.get_tokenizer = lambda *_, **__: tokenizer
    module.add_word_timestamps = add_words
    model = SimpleNamespace(
        device=torch.device("cpu"),
        dims=SimpleNamespace(n_mels=1, n_audio_ctx=1500, n_text_ctx=48),
        is_multilingual=True,
        num_languages=2,
        decode=decode,
    )
    result = module.transcribe(model, None, language="en", fp16=False, **options)
    segments = [
        [s["seek"], s["start"], s["end"], s["text"], s["tokens"], s["temperature"], len(s["words"]) if "words" in s else None]
        for s in result["segments"]
    ]
    assert [s["id"] for s in result["segments"]] == list(range(len(segments)))
    if isinstance(options.get("clip_timestamps"), str):
        options["clip_timestamps"] = [float(t) for t in options["clip_timestamps"].split(",")]
    if isinstance(options.get("temperature"), float):
        options["temperature"] = [options["temperature"]]
    return {
        "options": options,
        "frames": frames,
        "initial_prompt": tokenizer.encode(options.get("initial_prompt", "")),
        "calls": calls,
        "words": words,
        "segments": segments,
        "text": result["text"],
    }


if __name__ == "__main__":
    rng = random.Random(20250625)
    cases, endless = [], 0
    while len(cases) < 100:
        try:
            cases.append(run(rng))
        except Endless:
            endless += 1
    about = f"results of whisper.transcribe.transcribe; {endless} cases that did not end are left out"
    meta = {"about": about, "openai-whisper": "20250625", "torch": torch.__version__, "python": sys.version.split()[0]}
    with open("pipeline.json", "w") as file:
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
        file.write(f'{{"meta":{json.dumps(meta)},\n"cases":[\n{lines}\n]}}\n')
