"""Runs a command and prints its wall and CPU time and its largest resident memory as JSON; its own output is dropped.

  python process.py transcribe --quiet file.wav
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    begin = time.perf_counter()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    if status:
        sys.exit(f"{sys.argv[1]} ended with {os.waitstatus_to_exitcode(status)}")
    print(json.dumps({"wall_ms": wall * 1e3, "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1e3,
                      "peak_rss_mib": usage.ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
