#!/usr/bin/env python3
"""Writes the index of the images of one generation, `index.toml`, as `npu-backend/src/kernel/image/folder.rs` reads it.

    python3 write_index.py --arch aie2 --kernels .. --folder ../images/aie2

Entries of `encoder` are called `<launch of shapes.py>.<key of the program>`: the planner finds a launch by the key
(`Program.key` of program.py). An entry whose instructions were not built is left out, with a note on stderr.
"""

import argparse
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

import shapes
from encoder_arguments import roles
from program import fingerprint
from seed_calls import IMAGES

COLS = {"aie2": 4, "aie2p": 8}
Entry = Tuple[str, str, List[Tuple[str, int]]]  # name, file without extension, (role, bytes) of each argument


def sources_hash(kernels: Path) -> str:
    """Of the manifest and the tile code; `npu-backend/src/kernel/fingerprint.rs:of_kernels`."""
    files = sorted(path for path in (kernels / "src").iterdir() if path.suffix in (".cc", ".h"))
    texts = [(kernels / "manifest.toml").read_bytes()]
    for path in files:
        texts += [path.name.encode(), path.read_bytes()]
    return fingerprint(b"".join(text + b"\0" for text in texts))


def entries(arch: str, models: Sequence[str]) -> Iterator[Tuple[str, Entry]]:
    """Every entry that a full build has, with its image."""
    for name, launch in shapes.catalogue(COLS[arch], models):
        program = shapes.program_of(launch)
        yield "encoder", (f"{name}.{program.key()}", name, roles(launch, program))
    for image, calls in IMAGES.items():
        for name, call in calls.items():
            yield image, (name, name, call.arguments())


def index(arch: str, hash_: str, folder: Path, models: Sequence[str] = tuple(shapes.MODELS)) -> Tuple[str, List[str]]:
    """The index's text, and what is missing from it."""
    images: Dict[str, List[str]] = {}
    missing = []
    for image, (name, stem, arguments) in entries(arch, models):
        lines = images.setdefault(image, [])
        if not (folder / f"{stem}.insts").is_file():
            missing.append(stem)
            continue
        listed = ", ".join(f'{{ role = "{role}", bytes = {size} }}' for role, size in arguments)
        lines += ["", "[[image.entry]]", f'name = "{name}"', f'instructions = "{stem}.insts"', f"arguments = [{listed}]"]
    text = ["version = 1", f'sources = "{hash_}"']
    for image, lines in images.items():
        if (folder / f"{image}.xclbin").is_file():
            text += ["", "[[image]]", f'name = "{image}"', f'configuration = "{image}.xclbin"', *lines]
        else:
            missing.append(image)
    return "\n".join(text) + "\n", missing


def main(argv: List[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=tuple(COLS), required=True)
    parser.add_argument("--kernels", type=Path, required=True, help="the folder of manifest.toml and src")
    parser.add_argument("--folder", type=Path, required=True, help="the folder of the built files")
    parser.add_argument("--models", nargs="*", choices=tuple(shapes.MODELS), help="launches of these only")
    arguments = parser.parse_args(argv)
    models = arguments.models or tuple(shapes.MODELS)
    text, missing = index(arguments.arch, sources_hash(arguments.kernels), arguments.folder, models)
    (arguments.folder / "index.toml").write_text(text)
    if missing:
        print(f"write_index.py: not built, left out: {', '.join(missing)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
