"""What the times are of: processor, its instructions, memory, system."""

import os
import platform
import re
import subprocess

_FLAGS = re.compile(r"^(sse4_2|avx|fma|f16c|amx)")


def machine() -> dict:
    info = {}
    try:
        listing = subprocess.run(["lscpu"], capture_output=True, text=True, check=True,
                                 env={**os.environ, "LC_ALL": "C"})
        for line in listing.stdout.splitlines():
            key, _, value = line.partition(":")
            info[key.strip()] = value.strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    return {
        "cpu": info.get("Model name", platform.processor()),
        "family/model/stepping": "/".join(info.get(key, "?") for key in ("CPU family", "Model", "Stepping")),
        "cpus": os.cpu_count(),
        "caches": {level: info[level] for level in ("L1d cache", "L2 cache", "L3 cache") if level in info},
        "virtual": info.get("Hypervisor vendor"),
        "flags": sorted(flag for flag in info.get("Flags", "").split() if _FLAGS.match(flag)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }
