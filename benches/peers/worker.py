"""Loads one peer in a process of its own, measures one task, and prints JSON.

  python worker.py --peer "OpenVINO f32" --models FOLDER --task window --audio clip.wav --runs 5

Tasks: `window` (first 30 s; once cold, then `--runs` warm) and `file` (the whole file once, after one window has warmed
the model up). Times are wall clock.
"""

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path

START = time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--models", required=True, type=Path)
    parser.add_argument("--task", choices=["window", "file"], required=True)
    parser.add_argument("--audio", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    # Libraries print to standard output, which is for the JSON alone.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    import adapters
    import audio

    samples = audio.read_wav(args.audio)
    peer = adapters.make(args.peer, args.models, args.threads)
    report = {"peer": args.peer, "task": args.task, "threads": args.threads, "versions": peer.versions(),
              "load_ms": (time.perf_counter() - START) * 1e3}
    prepare = getattr(peer, "prepare", lambda samples: samples)
    window = prepare(samples[:30 * audio.RATE])

    def measured() -> dict:
        result = peer.window(window)
        return {**dataclasses.asdict(result), "decode_ms": result.decode_ms}

    report["cold"] = measured()
    if args.task == "window":
        report["runs"] = [measured() for _ in range(args.runs)]
    else:
        prepared = prepare(samples)
        begin = time.perf_counter()
        report["text"] = peer.file(prepared)
        report["file_ms"] = (time.perf_counter() - begin) * 1e3
    json.dump(report, out, ensure_ascii=False)
    out.write("\n")
    out.flush()
    # Some libraries' destructors wait for threads or print; the report is complete.
    os._exit(0)


if __name__ == "__main__":
    main()
