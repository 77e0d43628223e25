"""Every launch that Whisper's encoders need, by model, type and number of columns.

Sizes: openai/whisper:whisper/model.py (dimensions stored in the checkpoints), head width 64 in all of them.
Run as a command it lists the launches as `name<TAB>arguments of taps.py`.
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
    """What one layer and the stem launch. GEMMs are without an order: see `orders`.

    A product's rows are as wide as N padded to 64 * cols columns, and the next product reads them at that stride; the
    padding meets zero rows of B. The stem is a product over views that overlap: row t of conv1 begins at mel frame t,
    row t of conv2 at row 2t of conv1's output, with the padding inside its K.
    """
    d, granule = model.width, 64 * cols
    wide = pad(d, granule)
    attention_row = pad(model.heads, cols) * 128
    qkv_row = pad(3 * d, granule) * 2
    g = dict(dtype=dtype, out="bf16", cols=cols)

    def after(row: int) -> dict:
        """A's stride: rows that a launch before wrote, or, for int8, rows that the host quantised."""
        return {"a_stride": row} if dtype == "bf16" else {}

    if dtype == "bf16":
        yield "conv1", Gemm(2 * FRAMES, 3 * model.mels, d, **g, a_stride=2 * model.mels)
        yield "conv2", Gemm(FRAMES, 3 * wide, d, **g, a_stride=2 * 2 * wide)
    yield "qkv", Gemm(FRAMES, d, 3 * d, **g, **after(2 * wide))
    if dtype == "bf16":
        yield "attention", Attention(FRAMES, model.heads, cols, stride=qkv_row, k_offset=2 * d, v_offset=4 * d)
    yield "out", Gemm(FRAMES, d, d, **g, residual=dtype == "bf16", **after(attention_row))
    yield "fc1", Gemm(FRAMES, d, 4 * d, **g, **after(2 * wide))
    yield "fc2", Gemm(FRAMES, 4 * d, d, **g, residual=dtype == "bf16", **after(2 * pad(4 * d, granule)))


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
    arguments = parser.parse_args(argv)
    for name, launch in catalogue(arguments.cols, arguments.models or tuple(MODELS)):
        print(f"{name}\t{options(launch)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
