"""Medians of the reports, and the table of them."""

from statistics import median

from wer import wer

OURS = "ours auto"


def brief(report: dict) -> str:
    """One report in a few words, for whoever waits."""
    if "error" in report:
        return f"FAILED: {report['error']}"
    if "file_ms" in report:
        return (f"{report['file_ms'] / 1e3:.2f} s, {report['process']['peak_rss_mib']:.0f} MiB, "
                f"others {report['process']['elsewhere']:.0%}")
    runs = report["runs"]
    return (f"encoder {median(run['encode_ms'] for run in runs):.0f} ms, "
            f"{median(rate(run) for run in runs):.0f} tok/s, window {median(run['total_ms'] for run in runs):.0f} ms, "
            f"others {report['process']['elsewhere']:.0%}")


def rate(run: dict) -> float:
    return run["tokens"] / run["decode_ms"] * 1e3


def spread(rounds: list) -> dict:
    """Of one contender, whose rounds each have a list of runs: the median of the rounds' medians, and how far these lie
    apart, in parts of it. Of a single round, how far its runs do: one value would have no spread."""
    values = [median(runs) for runs in rounds] if len(rounds) > 1 else rounds[0]
    middle = median(values)
    return {"median": middle, "least": min(values), "most": max(values), "spread": (max(values) - min(values)) / middle if len(values) > 1 else None}


def summary(tasks: dict, text: str, repeat: int) -> dict:
    result = {}
    windows = [report for report in tasks.get("window", []) if "error" not in report]
    files = [report for report in tasks.get("file", []) if "error" not in report]
    if windows:
        for name, of in [("mel_ms", lambda run: run["mel_ms"]), ("encode_ms", lambda run: run["encode_ms"]),
                         ("tokens_per_s", rate), ("window_ms", lambda run: run["total_ms"])]:
            result[name] = spread([[of(run) for run in report["runs"]] for report in windows])
        result["load_ms"] = spread([[report["load_ms"]] for report in windows + files])
        result["tokens"] = windows[-1]["runs"][-1]["tokens"]
        result["window_wer"] = wer(text, windows[-1]["runs"][-1]["text"])
    if files:
        result["file_ms"] = spread([[report.get("file_ms", report["process"]["wall_ms"])] for report in files])
        result["peak_rss_mib"] = max(report["process"]["peak_rss_mib"] for report in files)
        if "text" in files[-1]:
            result["file_wer"] = wer(" ".join([text] * repeat), files[-1]["text"])
    if windows or files:
        result["elsewhere"] = max(report["process"]["elsewhere"] for report in windows + files)
    errors = [report["error"] for reports in tasks.values() for report in reports if "error" in report]
    if errors:
        result["error"] = errors[0]
    return result


def summaries(result: dict) -> dict:
    return {name: summary(tasks, result["clip"]["text"], result["file"]["repeat"])
            for name, tasks in result["measured"].items()}


def _cell(entry: dict, key: str, ours: dict, digits: int, scale: float = 1.0, more_is_better: bool = False) -> str:
    """Median ± half the spread if there is one, and in brackets how many times ours is as good."""
    if key not in entry:
        return "–"
    value = entry[key]["median"]
    cell = f"{value * scale:.{digits}f}"
    if entry[key]["spread"] is not None:
        cell += f" ±{50 * entry[key]['spread']:.0f} %"
    if key in ours and entry is not ours:
        times = ours[key]["median"] / value if more_is_better else value / ours[key]["median"]
        cell += f" ({times:.2f}×)"
    return cell


def _percent(entry: dict, key: str) -> str:
    return f"{100 * entry[key]:.1f} %" if key in entry else "–"


def _rounds(count: int) -> str:
    if count > 1:
        return f"Medians of {count} interleaved rounds, ± half the distance between the least and the most of their medians"
    return "Medians of one round, ± half the distance between the least and the most of its runs"


def page(result: dict) -> str:
    box, clip, file = result["machine"], result["clip"], result["file"]
    ours = result["summary"].get(OURS, {})
    versions = {}
    for tasks in result["measured"].values():
        for report in (report for reports in tasks.values() for report in reports):
            versions.update(report.get("versions", {}))
    lines = [
        f"# Peers on one machine, {result['date'][:10]}", "",
        f"{box['cpu']} ({box['family/model/stepping']}, {box['cpus']} CPUs"
        f"{', virtual' if box['virtual'] else ''}), {result['threads']} threads. Whisper base, greedy, English, timestamps. "
        f"{_rounds(result['rounds'])}; in brackets, how many times as good `{OURS}` is. Others: the most of the processors' time that something else took "
        f"during a contender's measurements.  ",
        f"Window: {clip['seconds']:.1f} s ({' '.join(clip['names'])}). File: {file['seconds']:.0f} s.  ",
        f"By `run.py {result['command']}` at {result['commit']}.  ",
        f"{', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}.  ",
        f"Instructions: {' '.join(box['flags'])}.", "",
        "| | encoder, ms | decoder, tokens/s | window, ms | file, s | load, ms | peak RSS, MiB | WER window | WER file | others |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in result["summary"].items():
        lines.append("| " + " | ".join([
            name, _cell(entry, "encode_ms", ours, 0), _cell(entry, "tokens_per_s", ours, 0, more_is_better=True),
            _cell(entry, "window_ms", ours, 0), _cell(entry, "file_ms", ours, 1, 1e-3),
            f"{entry['load_ms']['median']:.0f}" if "load_ms" in entry else "–",
            f"{entry['peak_rss_mib']:.0f}" if "peak_rss_mib" in entry else "–",
            _percent(entry, "window_wer"), _percent(entry, "file_wer"), _percent(entry, "elsewhere")]) + " |")
    failed = [f"- {name}: {entry['error']}" for name, entry in result["summary"].items() if "error" in entry]
    if failed:
        lines += ["", "Failed:", *failed]
    return "\n".join(lines) + "\n"
