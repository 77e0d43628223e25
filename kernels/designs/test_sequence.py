"""Compiled launches run on a model of the array: queues, descriptors, locks and stream back-pressure, with real bytes.

The model fails on a queue that overflows, a descriptor that is written while a task still needs it, a wait that never
ends, and on any byte that a core sees in another order than the manifest's reorder of the planned stream.
"""

import unittest
from collections import defaultdict, deque
from typing import Dict, Iterator, List, Tuple

import overlay
import sequence
import taps
from overlay import A, B, C, CORE_A_DEPTH, CORE_B_DEPTH, MEMTILE, OBJECT_BYTES, SHIM
from program import B_OBJECT, BLOCK_ROWS, CORE_ROWS, ROWS, Program
from sequence import MM2S, S2MM, Await, SetLock, Start
from test_taps import label, labelled

UNIT = 4096  # all streams of inputs move in these


def walk(loops) -> Iterator[Tuple[int, int]]:
    """Byte offsets of the contiguous runs of loops in words, and the bytes of each run."""
    run = 1
    loops = list(loops)
    while loops and loops[-1][1] == run:
        run *= loops.pop()[0]
    starts = [0]
    for size, stride in loops:
        starts = [start + turn * stride for start in starts for turn in range(size)]
    return ((4 * start, 4 * run) for start in starts)


def gather(memory, offset: int, loops) -> bytes:
    return b"".join(bytes(memory[offset + start : offset + start + run]) for start, run in walk(loops))


def scatter(memory, offset: int, loops, data: bytes) -> None:
    at = 0
    for start, run in walk(loops):
        memory[offset + start : offset + start + run] = data[at : at + run]
        at += run
    assert at == len(data)


class Machine:
    """Engines are generators: they yield True when something moved, False when they wait."""

    def __init__(self, program: Program, memory: Dict[int, bytearray], c_objects: float):
        self.program, self.memory, self.cols = program, memory, program.columns
        self.l2 = [bytearray(overlay.L2_BYTES) for _ in range(self.cols)]
        self.locks = defaultdict(int)
        self.queues = defaultdict(deque)
        self.done, self.busy = set(), defaultdict(set)
        self.into_memtile = defaultdict(deque)  # (side, column)
        self.into_core = defaultdict(deque)  # (side, row, column)
        self.join = defaultdict(deque)  # (row, column)
        self.seen: Dict[Tuple[int, int], List[bytes]] = defaultdict(list)
        self.engines = [self.controller()]
        for i in range(ROWS):
            self.engines += [self.core(i, j, c_objects) for j in range(self.cols)]

    def run(self, ops) -> None:
        self.ops = ops
        feeders = {overlay.row_feeder(i, self.cols) for i in range(ROWS)}
        for column in range(self.cols):
            sides = [A, B] if column in feeders else [B]
            for side in sides:
                self.engines += [self.channel((column, SHIM), MM2S, side), self.channel((column, MEMTILE), S2MM, side)]
                self.engines.append(self.channel((column, MEMTILE), MM2S, side))
            self.engines.append(self.channel((column, SHIM), S2MM, 0))
        while any([next(engine, False) for engine in self.engines]):
            pass
        assert self.finished, "the controller waits for ever"
        assert not any(self.into_core.values()) and not any(self.join.values()), "something was sent and not taken"

    def controller(self):
        self.finished = False
        for op in self.ops:
            if isinstance(op, SetLock):
                self.locks[op.column, op.lock] = op.value
            elif isinstance(op, Start):
                task, key = op.task, (op.task.tile, op.task.direction, op.task.channel)
                assert len(self.queues[key]) < 1 + overlay.QUEUE, f"the queue of {key} overflows"
                numbers = {bd.number for bd in task.bds}
                taken = {n for other in self.busy[task.tile] - self.done for n in [bd.number for bd in other.bds]}
                if op.configured:
                    assert self.queues[key][-1].bds == task.bds, f"{key} was not configured"
                else:
                    assert not numbers & taken, f"descriptors {numbers & taken} of {key} are in use"
                self.busy[task.tile].add(task)
                self.queues[key].append(task)
            else:
                while op.task not in self.done:
                    yield False
            yield True
        self.finished = True

    def channel(self, tile, direction, number):
        queue = self.queues[tile, direction, number]
        column, kind = tile
        while True:
            while not queue:
                yield False
            task = queue[0]
            for turn in range(task.repeats):
                for bd in task.bds:
                    if bd.acquire:
                        lock, count = (column, bd.acquire[0]), bd.acquire[1]
                        while self.locks[lock] < count:
                            yield False
                        self.locks[lock] -= count
                    yield from self.move(column, kind, direction, number, bd, turn)
                    if bd.release:
                        self.locks[column, bd.release[0]] += bd.release[1]
                        assert self.locks[column, bd.release[0]] <= sequence.MOST_LOCK
            queue.popleft()
            self.done.add(task)
            yield True

    def move(self, column, kind, direction, number, bd, turn):
        if kind == SHIM and direction == MM2S:
            data = gather(self.memory[bd.argument], bd.offset + turn * 4 * bd.iteration[1], bd.loops)
            assert len(data) == bd.bytes
            yield from self.send(data, [self.into_memtile[number, column]], 2)
        elif kind == MEMTILE and direction == MM2S:
            data = gather(self.l2[column], bd.offset, bd.loops)
            rows = [i for i in range(ROWS) if number == B or overlay.row_feeder(i, self.cols) == column]
            columns = range(self.cols) if number == A else [column]
            yield from self.send(
                data, [self.into_core[number, i, j] for i in rows for j in columns], (CORE_A_DEPTH, CORE_B_DEPTH)[number]
            )
        elif kind == MEMTILE:
            data, source = b"", self.into_memtile[number, column]
            while len(data) < bd.bytes:
                while not source:
                    yield False
                data += source.popleft()
                yield True
            scatter(self.l2[column], bd.offset, bd.loops, data)
        else:
            data = b""
            for i in range(ROWS):
                while not self.join[i, column]:
                    yield False
                data += self.join[i, column].popleft()
            scatter(self.memory[bd.argument], bd.offset, bd.loops, data)
            yield True

    def send(self, data: bytes, into, depth: int):
        for at in range(0, len(data), UNIT):
            while any(len(fifo) >= depth for fifo in into):
                yield False
            for fifo in into:
                fifo.append(data[at : at + UNIT])
            yield True

    def core(self, i, j, c_objects):
        made = 0.0
        for tile in range(self.program.tiles):
            wants = [self.program.takes[0], self.program.takes[1]]
            side = B  # parameters first, then turn by turn, then what is left of one side
            while any(wants):
                if wants[side]:
                    fifo = self.into_core[side, i, j]
                    while not fifo:
                        yield False
                    self.seen[i, j].append((side, fifo.popleft()))
                    wants[side] -= 1
                    yield True
                side = A if side == B else B
            made += c_objects
            while made >= 1:
                made -= 1
                while self.join[i, j]:
                    yield False
                self.join[i, j].append(label(4, tile * 4 + i, j) * (overlay.C_OBJECT // 4))
                yield True


def reordered(side: int, stream: bytes) -> bytes:
    """A channel's stream as the cores must see it: the manifest's reorder, object by object."""
    loops, size = ((overlay.REORDER_A, overlay.REORDER_B)[side], OBJECT_BYTES[side])
    return b"".join(gather(stream[at : at + size], 0, loops) for at in range(0, len(stream), size))


class Launches(unittest.TestCase):
    def check(self, program: Program, memory: Dict[int, bytearray], c_objects: float) -> None:
        machine = Machine(program, memory, c_objects)
        machine.run(sequence.compile_program(program).ops)
        for side, letter in ((A, "A"), (B, "B")):
            for i in range(ROWS):
                for j in range(program.columns):
                    segments = program.channel(letter, i if side == A else j)
                    planned = b"".join(s.tap.gather(bytes(memory[s.tap.argument])) * s.replay for s in segments)
                    seen = b"".join(data for which, data in machine.seen[i, j] if which == side)
                    self.assertTrue(seen == reordered(side, planned), f"core ({i}, {j}), channel {letter}")

    def gemm(self, **shape) -> None:
        g = taps.Gemm(**shape)
        with self.subTest(g=g):
            rows = g.row_blocks * BLOCK_ROWS
            tiles = g.panels * g.cols
            residual_row = tiles * 128
            memory = {
                0: bytearray(labelled(1, rows, g.a_row, g.a_row, 16)),
                1: bytearray(b"".join(label(2, t, s) * (B_OBJECT // 4) for t in range(tiles) for s in range(1 + g.steps))),
                2: bytearray(rows * g.c_row),
                3: bytearray(labelled(3, rows, residual_row, residual_row, 16)),
            }
            memory[1] = bytearray(bytes(x ^ (at * 7 & 0xFF) for at, x in enumerate(memory[1])))
            program = taps.gemm(g)
            self.check(program, memory, {"bf16": 1, "i32": 2, "i8": 0.5}[g.out])
            if g.out == "bf16":
                for d in program.drains:
                    for row, at in enumerate(d.tap.offsets()):
                        want = label(4, d.tile * 4 + row // CORE_ROWS, d.column) * 32
                        self.assertEqual(memory[2][at : at + 128], want)

    def test_every_order_delivers_the_planned_streams(self):
        for order in taps.ORDERS:
            self.gemm(m=512, k=384, n=768, order=order, residual=order in ("b_resident", "streamed"))

    def test_types_of_output(self):
        self.gemm(m=512, k=256, n=512, dtype="i8", out="i32", order="b_resident")
        self.gemm(m=512, k=256, n=512, dtype="i8", out="i8", order="a_resident")
        self.gemm(m=300, k=300, n=600, dtype="i8", out="bf16", order="both")

    def test_eight_columns(self):
        self.gemm(m=300, k=200, n=1000, order="b_resident", cols=8, residual=True)
        self.gemm(m=600, k=128, n=1024, order="a_resident", cols=8)

    def test_kept_operands_that_leave_one_place(self):
        self.gemm(m=512, k=1536, n=768, order="a_resident")
        self.gemm(m=512, k=1536, n=768, order="b_resident")

    def test_attention(self):
        for frames, heads in ((300, 4), (80, 6)):
            t = taps.Attention(frames, heads)
            with self.subTest(t=t):
                rows, stride = t.query_blocks * BLOCK_ROWS, 3 * heads * 128
                memory = {
                    0: bytearray(labelled(1, rows, stride, stride, 16)),
                    1: bytearray(b"".join(label(2, o, 0) * 1024 for o in range(t.groups * t.cols))),
                    2: bytearray(rows * t.groups * t.cols * 128),
                }
                self.check(taps.attention(t), memory, 1)

    def test_what_memtiles_cannot_hold_is_refused(self):
        for order in ("a_resident", "b_resident"):
            with self.assertRaises(taps.Unplannable):
                sequence.compile_program(taps.gemm(taps.Gemm(1536, 5120, 1280, order=order)))
        sequence.compile_program(taps.gemm(taps.Gemm(1536, 5120, 1280, order="streamed")))


class Reorder(unittest.TestCase):
    def test_fill_and_send_together_are_the_reorder(self):
        for side in (A, B):
            for objects in (1, 2, 5):
                stream = b"".join(word.to_bytes(4, "little") for word in range(objects * OBJECT_BYTES[side] // 4))
                memory = bytearray(len(stream))
                scatter(memory, 0, overlay.fill_loops(side, objects), stream)
                self.assertEqual(gather(memory, 0, overlay.send_loops(side, objects)), reordered(side, stream))


if __name__ == "__main__":
    unittest.main()
