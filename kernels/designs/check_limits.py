#!/usr/bin/env python3
"""Holds the overlay and every launch of `shapes.py` against the limits of the array. Prints a table; 1 if one breaks.

Limits, from mlir-aie (include/aie/Dialect/AIE/IR/AIETargetModel.h, lib/Dialect/AIEX/IR/AIEXDialect.cpp
`verifyStridesWraps`, @1e400306), the same for AIE2 and AIE2P:

    tile      channels in+out   descriptors      locks   loops         wrap     step     memory
    core      2+2               16               16      3             8 bits   13 bits  64 KiB, 16 KiB of program
    memtile   6+6               48, half by      64      4 (3 in a     10 bits  17 bits  512 KiB
                                channel parity           sequence)
    shim      2+2               16               16      3, iteration  10 bits  20 bits  -

Iterations at most 64, repeats at most 256, four tasks in a channel's queue, locks count to 63, everything in words of
four bytes. Not checked here, because only the compiler knows: the size of a core's program (the Makefile measures it),
and that switch boxes can route the streams.
"""

import sys
from typing import Dict, List, Set, Tuple

import overlay
import shapes
from overlay import CORE, MEMTILE, POOL_BYTES, SHIM
from program import ROWS, Program
from sequence import MM2S, S2MM, Await, Bd, Sequence, SetLock, Start, Task, compile_program

DESCRIPTORS = {SHIM: 16, MEMTILE: 48, CORE: 16}
LOCKS = {SHIM: 16, MEMTILE: 64, CORE: 16}
CHANNELS = {SHIM: 2, MEMTILE: 6, CORE: 2}
WRAP = {SHIM: 1023, MEMTILE: 1023, CORE: 255}
STEP = {SHIM: 1 << 20, MEMTILE: 1 << 17, CORE: 1 << 13}
LENGTH_WORDS = {SHIM: (1 << 32) - 1, MEMTILE: (1 << 17) - 1, CORE: (1 << 14) - 1}
MOST_ITERATIONS, MOST_REPEATS, MOST_LOCK, QUEUE = 64, 256, 63, 4
MEMORY = {SHIM: 0, MEMTILE: overlay.L2_BYTES, CORE: overlay.L1_BYTES}


def check_overlay(cols: int) -> List[str]:
    """What the overlay itself takes, tile by tile."""
    wrong = []
    for (column, row), use in overlay.static_use(cols).items():
        where = f"tile ({column}, {row})"
        for what, has, most in (
            ("input channels", use.s2mm, CHANNELS[use.kind]),
            ("output channels", use.mm2s, CHANNELS[use.kind]),
            ("descriptors", use.bds, DESCRIPTORS[use.kind]),
            ("locks", use.locks, LOCKS[use.kind]),
            ("bytes", use.bytes, MEMORY[use.kind]),
        ):
            if has > most:
                wrong.append(f"{where}: {has} {what} of {most}")
    held = [n for group in (overlay.STATIC_EVEN, overlay.STATIC_ODD) for v in group.values() for n in (v if isinstance(v, list) else [v])]
    for side, numbers in overlay.FREE_BDS.items():
        if set(numbers) & set(held):
            wrong.append(f"launches and the overlay both use descriptors {sorted(set(numbers) & set(held))} of memtiles")
        if any(not parity_serves(number, side) for number in numbers):
            wrong.append(f"descriptors {numbers} of memtiles do not serve channel {side}")
    end = overlay.STACK_BYTES
    for name, at, size in sorted(overlay.L1_BUFFERS, key=lambda buffer: buffer[1]):
        if at < end or at % 64 or at + size > overlay.L1_BYTES:
            wrong.append(f"L1 buffer {name} at {at}, {size} bytes: overlaps, is not at a multiple of 64, or leaves L1")
        end = at + size
    for name, loops in (("A", overlay.REORDER_A), ("B", overlay.REORDER_B), ("C", overlay.REORDER_C)):
        wrong += [f"reorder {name}: {text}" for text in check_loops(MEMTILE, tuple(loops), 4)]
    return wrong


def parity_serves(number: int, channel: int) -> bool:
    return (number < 24) == (channel % 2 == 0)


def check_loops(kind: int, loops: Tuple[Tuple[int, int], ...], most: int) -> List[str]:
    """Loops in words, outermost first. The outermost one's size is not held in a register: the length implies it."""
    wrong = [f"{len(loops)} loops of {most}"] if len(loops) > most else []
    linear = len(loops) == 1
    for depth, (size, stride) in enumerate(reversed(loops)):
        if size < 1 or stride < 1:
            wrong.append(f"loop {depth}: {size} times {stride} words")
        if not linear and depth < most - 1 and size > WRAP[kind]:
            wrong.append(f"loop {depth}: wrap {size} of {WRAP[kind]}")
        if size > 1 and stride > STEP[kind]:
            wrong.append(f"loop {depth}: step {stride} of {STEP[kind]} words")
    return wrong


def check_bd(task: Task, bd: Bd) -> List[str]:
    kind = task.tile[1]
    wrong = check_loops(kind, bd.loops, 3)
    if bd.offset % 4 or bd.bytes % 4 or not bd.bytes:
        wrong.append(f"offset {bd.offset} or length {bd.bytes} is not of whole words")
    words = 1
    for size, _ in bd.loops:
        words *= size
    if 4 * words != bd.bytes:
        wrong.append(f"loops over {4 * words} bytes, length {bd.bytes}")
    if words > LENGTH_WORDS[kind]:
        wrong.append(f"{words} words of {LENGTH_WORDS[kind]}")
    if not 1 <= bd.iteration[0] <= MOST_ITERATIONS or (bd.iteration[0] > 1 and not 1 <= bd.iteration[1] <= STEP[kind]):
        wrong.append(f"iteration {bd.iteration}")
    if not 0 <= bd.number < DESCRIPTORS[kind] or (kind == MEMTILE and not parity_serves(bd.number, task.channel)):
        wrong.append(f"descriptor {bd.number} cannot serve channel {task.channel}")
    for what in (bd.acquire, bd.release):
        if what and not (0 <= what[0] < LOCKS[kind] and 1 <= what[1] <= MOST_LOCK):
            wrong.append(f"lock {what}")
    if kind == MEMTILE:
        reach = bd.offset + 4 * (1 + sum((size - 1) * stride for size, stride in bd.loops))
        if bd.argument is not None or reach > POOL_BYTES:
            wrong.append(f"reaches byte {reach} of {POOL_BYTES}")
    elif bd.argument is None:
        wrong.append("a shim moves arguments only")
    return wrong


def check_sequence(sequence: Sequence) -> List[str]:
    """Every task of a launch, and how many a channel holds at once."""
    wrong = []
    waiting: Dict[Tuple[Tuple[int, int], str, int], List[Task]] = {}
    checked: Set[Tuple[Bd, ...]] = set()
    for op in sequence.ops:
        if isinstance(op, SetLock):
            if not (0 <= op.lock < LOCKS[MEMTILE] and 0 <= op.value <= MOST_LOCK):
                wrong.append(f"{op}")
        elif isinstance(op, Start):
            task = op.task
            key = (task.tile, task.direction, task.channel)
            waiting.setdefault(key, []).append(task)
            if len(waiting[key]) > QUEUE:
                wrong.append(f"{key}: {len(waiting[key])} tasks of {QUEUE}")
            if not 1 <= task.repeats <= MOST_REPEATS:
                wrong.append(f"{key}: {task.repeats} repeats")
            if task.bds not in checked:
                checked.add(task.bds)
                wrong += [f"{key}, descriptor {bd.number}: {text}" for bd in task.bds for text in check_bd(task, bd)]
        else:
            forget(waiting, op)
    return wrong


def forget(waiting: Dict[Tuple[Tuple[int, int], str, int], List[Task]], op: Await) -> None:
    """A task that was waited for is over, and so is what fed it: a kept segment was filled before it was sent."""
    task = op.task
    waiting[task.tile, task.direction, task.channel].remove(task)
    if task.tile[1] == MEMTILE and task.direction == MM2S:
        for key in (((task.tile[0], SHIM), MM2S, task.channel), (task.tile, S2MM, task.channel)):
            waiting[key] = [other for other in waiting[key] if other.last_use > task.last_use]


def check_launch(program: Program) -> Tuple[Sequence, List[str]]:
    sequence = compile_program(program)
    wrong = check_sequence(sequence)
    if program.rows != ROWS:
        wrong.append(f"{program.rows} rows of cores")
    return sequence, wrong


def main() -> int:
    broken = 0
    print("launches of one layer and the stem; MB between DDR and the array; memtile use in KiB (A + B of 480)")
    for cols in (4, 8):
        for text in check_overlay(cols):
            broken += 1
            print(f"cols {cols}: the overlay breaks a limit: {text}")
        for name, launch in shapes.catalogue(cols):
            sequence, wrong = check_launch(shapes.program_of(launch))
            moved = shapes.ddr_bytes(shapes.program_of(launch)) / 1e6
            use = [sequence.l2[side].memory * overlay.OBJECT_BYTES[side] // 1024 for side in (overlay.A, overlay.B)]
            print(f"cols {cols}  {name:<34} {moved:8.1f} MB  {use[0]:4} + {use[1]:3} KiB  {len(sequence.ops):6} operations")
            for text in wrong[:5]:
                print(f"    breaks a limit: {text}")
            broken += len(wrong)
    print(f"{broken} limits broken" if broken else "no limit broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
