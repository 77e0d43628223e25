"""Measures our engine and its peers in turn on one machine, and writes a table and its JSON.

Each measurement is a process of its own (so that memory is its own and no thread of another spins beside it). A round
measures every contender once, one after another; medians over the rounds count, and their spread is given, too. Two tasks:
`window`, a clip of up to 30 s (mel, encoder and decoder apart), and `file`, the clip many times in a row by the
contender's own sequential algorithm. All decode greedily in English with timestamps, and fall back as each does.
"""

import argparse
import datetime
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import audio
import table
from adapters import PEERS
from machine import machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OURS = {
    "ours auto": ["--precision", "auto"],
    "ours f32": ["--precision", "f32"],
    "ours bf16": ["--precision", "bf16"],
    "ours auto, AVX2": ["--precision", "auto", "--level", "avx2"],
}
# Share of the processors' time that others may take before a measurement is made again.
QUIET = 0.03
# 25.5 s of the samples.
CLIP = [ROOT / "samples" / f"SS-{number}.wav" for number in ("0870", "0880", "0890", "0870", "0880")]


def command(name: str, task: str, wav: Path, args) -> list:
    shared = ["--task", task, "--audio", wav, "--runs", args.runs, "--threads", args.threads]
    if name in OURS:
        own = [args.bin / "peer_ours", "--model", args.model, *OURS[name]]
    else:
        own = [sys.executable, HERE / "worker.py", "--peer", name, "--models", args.models]
    return watched([*own, *shared], args)


def process_command(wav: Path, folder: str, args) -> list:
    """A user's whole process on the file: from its start to its exit, nothing warm."""
    own = [args.bin / "transcribe", "--model", args.model, "--device", "cpu", "--threads", args.threads, "--language",
           "en", "--beam-size", "None", "--best-of", "1", "--output-format", "json", "--output-dir", folder,
           "--overwrite", "--quiet", wav]
    return watched(own, args)


def watched(words: list, args) -> list:
    return [str(word) for word in [*shlex.split(args.wrap), sys.executable, HERE / "process.py", *words]]


def measure(words: list, args) -> dict:
    """The report of a process; of several if others disturbed it, that of the least disturbed."""
    best = None
    for _ in range(1 + args.again):
        time.sleep(args.pause)
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            # The last line says that the process ended; the one before, why.
            return {"error": " / ".join(lines[-2:])}
        report = json.loads(done.stdout.splitlines()[-1])
        if best is None or report["process"]["elsewhere"] < best["process"]["elsewhere"]:
            best = report
        if best["process"]["elsewhere"] <= QUIET:
            break
    return best


def rounds(wavs: dict, args):
    """Contender ▸ task ▸ one report for each round; handed out after every round, with how many are done.

    Who fails once is left out of the rounds that follow.
    """
    names = [name for name in [*OURS, *PEERS] if not args.only or any(part in name for part in args.only)]
    result = {name: {task: [] for task in args.tasks} for name in names}
    for number in range(args.rounds):
        for task in args.tasks:
            for name in names:
                if any("error" in report for report in result[name][task]):
                    continue
                report = measure(command(name, task, wavs[task], args), args)
                result[name][task].append(report)
                print(f"{number + 1}/{args.rounds} {task} {name}: {table.brief(report)}", file=sys.stderr, flush=True)
            if task == "file" and any(name in OURS for name in names):
                with tempfile.TemporaryDirectory() as folder:
                    report = measure(process_command(wavs[task], folder, args), args)
                result.setdefault("transcribe, process", {"file": []})["file"].append(report)
        yield number + 1, result


def commit() -> str:
    """What was measured, as git names it; `-dirty` if the checkout held more."""
    told = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True)
    return told.stdout.strip() or "no commit"


def arguments() -> list:
    """As given, but for the folders, which are this machine's own."""
    words, own = [], False
    for word in sys.argv[1:]:
        own = word.startswith("--") and word.split("=")[0] in ("--models", "--bin", "--out", "--model") or own and not word.startswith("--")
        if not own:
            words.append(word)
    return words


def save(args, done: int, measured: dict, seconds: float, repeat: int, text: str) -> str:
    """Writes the JSON, and the table beside it, which it returns."""
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "commit": commit(),
        "command": shlex.join(arguments()),
        "threads": args.threads,
        "rounds": done,
        "clip": {"names": [clip.stem for clip in args.clip], "seconds": seconds, "text": text},
        "file": {"repeat": repeat, "seconds": seconds * repeat},
        "measured": measured,
    }
    result["summary"] = table.summaries(result)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    page = table.page(result)
    args.out.with_suffix(".md").write_text(page)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="what convert.py made")
    parser.add_argument("--out", type=Path, default=ROOT / "benches/results/peers.json",
                        help="the table goes beside it as .md")
    parser.add_argument("--bin", type=Path, default=ROOT / "target/release", help="folder of peer_ours and transcribe")
    parser.add_argument("--model", type=Path, default=ROOT / "models/whisper-base-int8", help="our own")
    parser.add_argument("--clip", type=Path, nargs="+", default=CLIP, help="wav files with texts, joined; 30 s at most")
    parser.add_argument("--repeat", type=int, help="the clip this many times is the file [default: about 416 s]")
    parser.add_argument("--only", nargs="+", help="contenders whose names hold one of these")
    parser.add_argument("--tasks", nargs="+", choices=["window", "file"], default=["window", "file"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5, help="warm windows in a process")
    parser.add_argument("--again", type=int, default=2, help="times that a disturbed measurement is made again, at most")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds of rest before each process")
    parser.add_argument("--wrap", default="", help="command before every process, such as `taskset -c 0,1`")
    args = parser.parse_args()

    samples, text = audio.join(args.clip)
    seconds = len(samples) / audio.RATE
    if seconds > 30:
        parser.error(f"the clip has {seconds:.1f} s: a window holds 30 s")
    repeat = args.repeat or round(416 / seconds)
    with tempfile.TemporaryDirectory() as folder:
        wavs = {"window": Path(folder) / "clip.wav", "file": Path(folder) / "file.wav"}
        audio.write_wav(wavs["window"], samples)
        audio.write_wav(wavs["file"], np.tile(samples, repeat))
        # A long run that is broken off keeps its whole rounds.
        for done, measured in rounds(wavs, args):
            page = save(args, done, measured, seconds, repeat, text)
    print(page)


if __name__ == "__main__":
    main()
