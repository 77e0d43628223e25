"""Every launch that Whisper's encoders need, by model, type and number of columns.

Sizes: openai/whisper:whisper/model.py (dimensions stored in the checkpoints), head width 64 in all of them.
Run as a command it lists the launches as `name<TAB>arguments of taps.py`, or with --keys as `name<TAB>key`.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Dict, Iterator, List, Sequence, Tuple, Union

import taps
from program import Program, Unplannable, pad
from sequence import compile_program
from taps import Attention, Gemm

FRAMES = 1500
PARTS = ((0, 768), (768, 732))  # first frame and frames: the host norms one while the array multiplies the other


@dataclass(frozen=True)
class Model:
    """Width, heads and mel bins of an encoder."""

    width: int
    heads: int
    mels: int


MODELS: Dict[str, Model] = {
    "tiny": Model(384, 6, 80),
    "base": Model(512, 8, 80),
    "small": Model(768, 12, 80),
    "medium": Model(1024, 16, 80),
    "large": Model(1280, 20, 80),
    "large-v3": Model(1280, 20, 128),
}

Launch = Union[Gemm, Attention]


def launches(model: Model, cols: int, dtype: str) -> Iterator[Tuple[str, Launch]]:
    """What the stem and one layer launch. GEMMs are without an order: see `orders`.

    A product's rows are as wide as N padded to 64 * cols columns, and the next product reads them at that stride; the
    padding meets zero rows of B. The stem is a product over views that overlap: row t of conv1 begins at mel frame t,
    row t of conv2 at row 2t of conv1's output, whose first row is the zeros before the first frame.

    A layer works on `PARTS` of a window in turn. A row of the whole window holds queries, keys and values side by side:
    a shim steps 4 MiB at most, and keys and values by themselves can lie farther apart. The residual stays on the host,
    in f32. In int8, the inputs are rows that the host has quantised.
    """
    d, g = model.width, dict(dtype=dtype, out="bf16", cols=cols)
    row = 2 * pad(d, 64 * cols)
    if dtype == "bf16":
        yield "conv1", Gemm(2 * FRAMES, 3 * model.mels, d, **g, a_stride=2 * model.mels, c_offset=row)
        yield "conv2", Gemm(FRAMES, row + d, d, **g, a_stride=2 * row)
    for number, (first, frames) in enumerate(PARTS):
        begin = first * 3 * row
        yield f"qkv{number}", Gemm(frames, d, 3 * row // 2, **g, c_stride=3 * row, c_offset=begin)
        if dtype == "bf16":
            attention = Attention(FRAMES, model.heads, cols, frames, 3 * row, begin, row, 2 * row)
            yield f"attention{number}", attention
            yield f"out{number}", Gemm(frames, d, d, **g, a_stride=row)
        yield f"fc1_{number}", Gemm(frames, d, 4 * d, **g)
        strides = {"a_stride": 2 * pad(4 * d, 64 * cols)} if dtype == "bf16" else {}
        yield f"fc2_{number}", Gemm(frames, 4 * d, d, **g, **strides)


def ddr_bytes(program: Program) -> int:
    """Bytes that a launch moves between DDR and the array."""
    return sum(s.tap.bytes() for s in program.segments) + sum(d.tap.bytes() for d in program.drains)


@lru_cache(maxsize=None)
def orders(g: Gemm) -> List[Tuple[int, Gemm]]:
    """The orders that memtiles can hold, with their DDR bytes, the least first."""
    fitting = []
    for order in taps.ORDERS:
        try:
            ordered = replace(g, order=order)
            program = taps.gemm(ordered)
            compile_program(program)
            fitting.append((ddr_bytes(program), ordered))
        except Unplannable:
            continue
    return sorted(fitting, key=lambda pair: pair[0])


def program_of(launch: Launch) -> Program:
    return taps.gemm(launch) if isinstance(launch, Gemm) else taps.attention(launch)


def catalogue(cols: int, models: Sequence[str] = tuple(MODELS)) -> Iterator[Tuple[str, Launch]]:
    """All launches to build for an array of `cols` columns, each in every order that fits; names are unique.

    A launch that moves what one before it moves is left out: tiny's padded stem is base's.
    """
    seen = set()
    # What `transcribe doctor` tries first, whatever the model.
    for kind, choice in choices(Gemm(64, 64, 64, dtype="bf16", out="bf16", cols=cols), "bf16")[:1]:
        seen.add(tuple(program_of(choice).by_channel().words()))
        yield f"trial-{kind}", choice
    for name in models:
        for dtype in ("bf16", "i8"):
            for what, launch in launches(MODELS[name], cols, dtype):
                for kind, choice in choices(launch, dtype):
                    words = tuple(program_of(choice).by_channel().words())
                    if words not in seen:
                        seen.add(words)
                        yield f"{name}-{what}-{kind}", choice


def choices(launch: Launch, dtype: str) -> List[Tuple[str, Launch]]:
    """The launch in every order that it can have, with the order's name."""
    if isinstance(launch, Attention):
        return [(dtype, launch)]
    return [(f"{dtype}-{g.order}", g) for _, g in orders(launch)]


def options(launch: Launch) -> str:
    """The arguments of taps.py (and of encoder.py) that make this launch."""
    parts = ["gemm" if isinstance(launch, Gemm) else "attention"]
    for field, value in vars(launch).items():
        flag = "--" + field.replace("_", "-")
        if value is True:
            parts.append(flag)
        elif isinstance(value, tuple):
            parts += [flag, ",".join(map(str, value))]
        elif value is not None and value is not False:
            parts += [flag, str(value)]
    return " ".join(parts)


def main(argv: List[str]) -> int:
    parser = argparse.ArgumentParser(description="List the launches to build.")
    parser.add_argument("--cols", type=int, choices=(4, 8), required=True)
    parser.add_argument("--models", nargs="*", choices=tuple(MODELS), help="these only")
    parser.add_argument("--keys", action="store_true", help="what names a launch's program, instead of its arguments")
    arguments = parser.parse_args(argv)
    for name, launch in catalogue(arguments.cols, arguments.models or tuple(MODELS)):
        print(f"{name}\t{program_of(launch).key() if arguments.keys else options(launch)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
