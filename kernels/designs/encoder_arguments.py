"""The arguments of an `encoder` launch: how long they are and what the launch does with them."""

from typing import List, Tuple

from program import Program
from shapes import Launch
from taps import Gemm


def extents(program: Program) -> List[int]:
    """Bytes of each argument that the launch reaches; 4, the least a buffer is, for a number that it does not use."""
    items = [*program.segments, *program.drains]
    ends = [4] * (1 + max(item.tap.argument for item in items))
    for item in items:
        ends[item.tap.argument] = max(ends[item.tap.argument], item.tap.end())
    return ends


def roles(launch: Launch, program: Program) -> List[Tuple[str, int]]:
    """Role and bytes of each argument, by its number."""
    named = ("input", "weight", "output", "input") if isinstance(launch, Gemm) else ("input", "weight", "output")
    role = dict(zip(launch.arguments, named))
    return [(role.get(number, "scratch"), size) for number, size in enumerate(extents(program))]
