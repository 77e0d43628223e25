"""Runs a command and prints one JSON: what the command printed as JSON, and `process`: its wall and CPU time, its
largest resident memory, and how much of the machine's processors others took meanwhile.

  python process.py transcribe --quiet file.wav
"""

import json
import os
import subprocess
import sys
import time


def busy_seconds() -> float:
    """Of all processors together since the machine started, hypervisor's share included; 0 where the system is silent."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return 0.0
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    busy, begin = busy_seconds(), time.perf_counter()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    if status:
        sys.exit(f"{sys.argv[1]} ended with {os.waitstatus_to_exitcode(status)}")
    own = usage.ru_utime + usage.ru_stime
    report = json.loads(output.splitlines()[-1]) if output.strip() else {}
    report["process"] = {"wall_ms": wall * 1e3, "cpu_ms": own * 1e3, "peak_rss_mib": usage.ru_maxrss / 1024,
                         "elsewhere": max(busy_seconds() - busy - own, 0.0) / (wall * os.cpu_count())}
    print(json.dumps(report, ensure_ascii=False))


if __name__ == "__main__":
    main()
