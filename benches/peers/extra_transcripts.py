"""Whole-file oracles: openai-whisper's transcribe() on files joined from short clips, under many options.

  python extra_transcripts.py --model models/whisper-base-int8 --clips samples --out extra_transcripts.json
  python extra_transcripts.py ... --clips FOLDER-WITH-LJ-AND-SS --long --out long.json --wavs FOLDER

Each audio is a recipe, a list of clip names and seconds of digital silence, so that a test rebuilds it sample for
sample: round(seconds x 16000) zeros. Every case is greedy at temperature 0 unless its options say otherwise.
"""

import argparse
import json
import time
import wave
from pathlib import Path

import numpy as np
import torch
import whisper

import checkpoint
import margins
from audio import read_wav

SS3 = ["SS-0870", 0.5, "SS-0880", 0.5, "SS-0890", 0.5]
SHORT_AUDIO = {
    "ss3": SS3,
    "ss12": SS3 * 4,
    "ss24": SS3 * 8,
    "pause": ["SS-0880", 40.0, "SS-0890"],
    "gaps": [3.0, "SS-0870", 8.0, "SS-0890", 15.0, "SS-0880", 6.0],
}
PROMPT = "Sense and Sensibility, by Jane Austen."
SHORT_CASES = [
    ("conditioned", "ss12", {}),
    ("prompt_overflows", "ss24", {}),
    ("default_ladder", "ss12", {"temperature": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]}),
    ("unconditioned", "ss12", {"condition_on_previous_text": False, "language": "en"}),
    ("words", "ss12", {"word_timestamps": True}),
    ("initial_prompt", "ss12", {"initial_prompt": PROMPT}),
    ("carry_initial_prompt", "ss12", {"initial_prompt": PROMPT, "carry_initial_prompt": True}),
    ("carry_unconditioned", "ss12",
     {"initial_prompt": PROMPT, "carry_initial_prompt": True, "condition_on_previous_text": False}),
    ("clips", "ss12", {"clip_timestamps": [1.0, 7.5, 20.0, 35.2]}),
    ("clip_open_end", "ss12", {"clip_timestamps": [41.3], "word_timestamps": True}),
    ("prefix", "ss3", {"prefix": "And Mr. John", "language": "en"}),
    ("suppress_nothing", "ss3", {"suppress_tokens": ""}),
    ("suppress_some", "ss3", {"suppress_tokens": "11,13,-1"}),
    ("without_timestamps", "ss12", {"without_timestamps": True}),
    ("sample_len", "ss3", {"sample_len": 12}),
    ("no_initial_limit", "gaps", {"max_initial_timestamp": None}),
    ("silences", "gaps", {}),
    ("silences_words", "gaps", {"word_timestamps": True}),
    ("hallucination_silence", "gaps", {"word_timestamps": True, "hallucination_silence_threshold": 2.0}),
    ("hallucination_silence_de", "gaps",
     {"language": "de", "word_timestamps": True, "hallucination_silence_threshold": 1.0}),
    ("pause", "pause", {}),
    ("pause_no_speech", "pause", {"logprob_threshold": None, "no_speech_threshold": 0.1}),
    ("language_de", "ss3", {"language": "de"}),
    ("translate", "ss3", {"task": "translate", "language": "fr"}),
    ("beam5", "ss12", {"beam_size": 5}),
    ("beam3_patience", "ss3", {"beam_size": 3, "patience": 2.0, "length_penalty": 0.6}),
]
LJ = [f"LJ001-{n:04}" for n in range(1, 13)]
SS = ["SS-0870", "SS-0880", "SS-0890", "SS-0920", "SS-0930"]
ALL = [part for clip in LJ + SS for part in (clip, 0.5)]
LONG_AUDIO = {
    "all": ALL,
    "all4": ALL * 4,
    "pauses": ["jfk", 4.0, "SS-0890", 12.0, "LJ001-0002", 25.0, "LJ001-0008", 40.0, "SS-0920"],
    "joined": LJ + SS,
}
LONG_CASES = [
    ("conditioned", "all", {}),
    ("conditioned_416s", "all4", {}),
    ("unconditioned_416s", "all4", {"condition_on_previous_text": False, "language": "en"}),
    ("words", "all", {"word_timestamps": True}),
    ("no_gaps", "joined", {"word_timestamps": True}),
    ("initial_prompt", "all", {"initial_prompt": "LibriVox; typography, and a novel."}),
    ("carry_initial_prompt", "all4", {"initial_prompt": "LibriVox; typography.", "carry_initial_prompt": True}),
    ("clips", "all", {"clip_timestamps": [3.0, 20.0, 44.4, 90.0, 100.0]}),
    ("pauses", "pauses", {}),
    ("pauses_words", "pauses", {"word_timestamps": True}),
    ("hallucination_silence", "pauses", {"word_timestamps": True, "hallucination_silence_threshold": 2.0}),
    ("hallucination_silence_all", "all", {"word_timestamps": True, "hallucination_silence_threshold": 2.0}),
    ("prefix", "joined", {"prefix": "Well,"}),
    ("suppress_nothing", "all", {"suppress_tokens": ""}),
    ("default_ladder", "all", {"temperature": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]}),
    ("beam5", "all", {"beam_size": 5}),
]


def build(recipe, clips: Path) -> np.ndarray:
    parts = [np.zeros(round(part * 16000), np.float32) if isinstance(part, float) else
             read_wav(str(clips / f"{part}.wav")) for part in recipe]
    return np.concatenate(parts)


def write_wav(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((samples * 32768).astype(np.int16).tobytes())


def short(value: float) -> float:
    """An f32 by its shortest decimal, times by what they print as."""
    return float(str(np.float32(value)))


def segment(entry: dict) -> dict:
    result = {key: entry[key] for key in ("id", "seek", "text", "tokens", "temperature")}
    result.update(start=float(entry["start"]), end=float(entry["end"]))
    result.update({key: short(entry[key]) for key in ("avg_logprob", "compression_ratio", "no_speech_prob")})
    if "words" in entry:
        result["words"] = [[word["word"], float(word["start"]), float(word["end"]), short(word["probability"])]
                           for word in entry["words"]]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--clips", required=True, type=Path, help="folder of the clips' wav files")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--wavs", type=Path, help="also write the joined audio here")
    parser.add_argument("--long", action="store_true", help="the long set instead of the committed one")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="these cases only")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = checkpoint.load(args.model)
    timestamp_begin = model.dims.n_vocab - 1501
    recipes, cases = (LONG_AUDIO, LONG_CASES) if args.long else (SHORT_AUDIO, SHORT_CASES)
    audio = {name: build(recipe, args.clips) for name, recipe in recipes.items()}
    if args.wavs:
        for name, samples in audio.items():
            write_wav(args.wavs / f"{name}.wav", samples)
    out = {"source": f"openai-whisper {whisper.__version__}, torch {torch.__version__} CPU f32",
           "words": "[word, start, end, probability]", "audio": recipes, "cases": {}}
    for name, which, options in cases:
        if args.only and name not in args.only:
            continue
        call = {"temperature": 0.0, **options}
        if isinstance(call["temperature"], list):
            call["temperature"] = tuple(call["temperature"])
        torch.manual_seed(0)
        start = time.perf_counter()
        with torch.inference_mode(), margins.record(timestamp_begin) as seen:
            result = whisper.transcribe(model, audio[which], fp16=False, **call)
        if options.get("without_timestamps"):
            seen.timestamp_rule = float("inf")
        hottest = max((s["temperature"] for s in result["segments"]), default=0.0)
        print(f"{name:26} {time.perf_counter() - start:6.1f} s  {len(result['segments']):3} segments  "
              f"T <= {hottest}  {seen.as_dict()}  {result['text'][:60]!r}", flush=True)
        out["cases"][name] = {"audio": which, "options": options, "margins": seen.as_dict(),
                              "language": result["language"], "text": result["text"],
                              "segments": [segment(entry) for entry in result["segments"]]}
        args.out.write_text(pretty(out))


def pretty(out: dict) -> str:
    """One line a case or segment: readable differences without the bulk of indented token lists."""
    def dump(value):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    cases = []
    for name, case in out["cases"].items():
        head = dump({k: v for k, v in case.items() if k != "segments"})[:-1]
        body = ",\n".join(dump(entry) for entry in case["segments"])
        cases.append(f'{dump(name)}:{head},"segments":[\n{body}]}}')
    head = ",\n".join(f"{dump(k)}:{dump(v)}" for k, v in out.items() if k != "cases")
    return "{" + head + ',\n"cases":{\n' + ",\n".join(cases) + "}}\n"


if __name__ == "__main__":
    main()
