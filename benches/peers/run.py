"""Times our binary and openai-whisper in turn on whole files, and writes results.json and results.md.

Greedy at temperature 0 without fallback, f32, the same weights, the same number of threads. One round runs ours, then
the peer, so that both see the same state of the machine; the best of the rounds counts. The texts are compared too:
a time for another text is no comparison.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def ours(binary: Path, model: Path, audio: Path, threads: int, folder: str) -> list:
    """The one place that knows our command line."""
    return [str(binary), "--model", str(model), "--device", "cpu", "--precision", "f32", "--threads", str(threads),
            "--beam-size", "None", "--temperature", "0", "--temperature-increment-on-fallback", "None",
            "--output-format", "json", "--output-dir", folder, "--overwrite", "--quiet", str(audio)]


def spawn(command: list, threads: int):
    """Wall and CPU milliseconds, peak MiB and output of a process."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall = (time.perf_counter() - start) * 1e3
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)}\nfailed with {process.returncode}:\n{err.read().decode(errors='replace')}")
        return {"wall_ms": wall, "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1e3,
                "peak_mib": usage.ru_maxrss / 1024}, out.read().decode()


def run_ours(args, audio: Path) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        entry, _ = spawn(ours(args.binary, args.model, audio, args.threads, folder), args.threads)
        entry["text"] = json.loads((Path(folder) / f"{audio.stem}.json").read_text())["text"].strip()
    return entry


def run_peer(args, audio: Path) -> dict:
    command = [sys.executable, str(HERE / "openai_whisper.py"), "--model", str(args.model), "--audio", str(audio),
               "--mode", "file", "--threads", str(args.threads), "--runs", str(args.inside)]
    entry, output = spawn(command, args.threads)
    report = json.loads(output)
    file = report["files"][str(audio)]
    # A user's single run is the whole process without the warm passes.
    entry.update(import_ms=report["import_ms"], load_ms=report["load_ms"], cold_ms=file["cold_ms"],
                 inside_ms=file["best_ms"], versions=report["versions"], text=file["text"].strip())
    entry["process_ms"] = entry["wall_ms"] - sum(file["ms"])
    entry["peak_mib"] = report["peak_rss_mib"]
    return entry


def machine() -> dict:
    info = {}
    try:
        listing = subprocess.run(["lscpu"], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"})
        for line in listing.stdout.splitlines():
            key, _, value = line.partition(":")
            info[key.strip()] = value.strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    flags = info.get("Flags", "").split()
    wanted = re.compile(r"^(avx|fma|f16c|amx|sse4_2)")
    return {"cpu": info.get("Model name", platform.processor()), "cpus": os.cpu_count(),
            "family/model/stepping": "/".join(info.get(k, "?") for k in ("CPU family", "Model", "Stepping")),
            "flags": sorted(flag for flag in flags if wanted.match(flag)),
            "load_average": os.getloadavg(), "system": platform.platform()}


def table(result: dict) -> str:
    box = result["machine"]
    lines = [
        f"# Whole files, {result['date']}", "",
        f"{box['cpu']} ({box['family/model/stepping']}, {box['cpus']} CPUs), {result['threads']} threads, load average "
        f"{box['load_average'][0]:.1f} at the start; best of {result['rounds']} rounds; greedy, temperature 0, f32.  ",
        f"Ours: {result['ours']}. Peer: {', '.join(f'{k} {v}' for k, v in result['versions'].items())}.  ",
        f"SIMD: {' '.join(box['flags'])}.", "",
        "| file | s | ours, process ms | peer, process ms | peer, inside, warm ms | peer process / ours | "
        "peer inside / ours | ours MiB | peer MiB | same text |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in result["files"].items():
        mine, peer = entry["ours"], entry["peer"]
        if mine:
            cells = [f"{mine['wall_ms']:.0f}", f"{peer['process_ms']:.0f}", f"{peer['inside_ms']:.0f}",
                     f"{peer['process_ms'] / mine['wall_ms']:.2f}", f"{peer['inside_ms'] / mine['wall_ms']:.2f}",
                     f"{mine['peak_mib']:.0f}", f"{peer['peak_mib']:.0f}", "yes" if entry["same_text"] else "NO"]
        else:
            cells = ["—", f"{peer['process_ms']:.0f}", f"{peer['inside_ms']:.0f}", "—", "—", "—",
                     f"{peer['peak_mib']:.0f}", "—"]
        lines.append("| " + " | ".join([name, f"{entry['seconds']:.1f}", *cells]) + " |")
    if box["load_average"][0] > 0.5:
        lines += ["", "**The machine was busy when this began. PyTorch's threads wait for each other and suffer most: measure "
                  "again when it is quiet.**"]
    lines += ["", "Process: from start to exit of one file, imports and loading of the weights included (the peer's: less its "
              "warm passes).", "Inside, warm: `transcribe()` alone in a running process, after a first pass.", ""]
    return "\n".join(lines)


def seconds(audio: Path) -> float:
    import openai_whisper
    return len(openai_whisper.read_audio(str(audio))) / 16000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/transcribe")
    parser.add_argument("--model", type=Path, default=ROOT / "models/whisper-base-int8")
    parser.add_argument("--audio", type=Path, nargs="+", default=sorted((ROOT / "samples").glob("*.wav")))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="each runs ours, then the peer")
    parser.add_argument("--inside", type=int, default=1, help="warm runs inside each peer process")
    parser.add_argument("--peer-only", action="store_true", help="a baseline without our binary")
    parser.add_argument("--out", type=Path, required=True, help="folder of results.json and results.md")
    args = parser.parse_args()
    if not args.audio:
        parser.error("no audio: give --audio")
    if not args.peer_only and not args.binary.exists():
        parser.error(f"{args.binary} is missing: run `cargo build --release`, or give --binary or --peer-only")

    version = None
    if not args.peer_only:
        version = spawn([str(args.binary), "--version"], args.threads)[1].splitlines()[0]
    result = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "machine": machine(),
              "threads": args.threads, "rounds": args.rounds, "ours": version, "files": {}}
    runs = {audio: {"ours": [], "peer": []} for audio in args.audio}
    for round_number in range(args.rounds):
        for audio in args.audio:
            if not args.peer_only:
                runs[audio]["ours"].append(run_ours(args, audio))
            runs[audio]["peer"].append(run_peer(args, audio))
            print(f"round {round_number + 1}/{args.rounds} {audio.name}", file=sys.stderr, flush=True)
    for audio, entry in runs.items():
        mine = min(entry["ours"], key=lambda run: run["wall_ms"], default=None)
        peer = dict(entry["peer"][0])
        for key in ("import_ms", "load_ms", "cold_ms", "inside_ms", "process_ms"):
            peer[key] = min(run[key] for run in entry["peer"])
        result["versions"] = peer.pop("versions")
        result["files"][audio.name] = {"seconds": seconds(audio), "ours": mine, "peer": peer,
                                       "same_text": bool(mine) and mine["text"] == peer["text"], "runs": entry}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    text = table(result)
    (args.out / "results.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
