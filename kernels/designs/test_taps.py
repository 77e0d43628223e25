"""Taps against naive tiling: buffers of labels are walked, and every label must arrive where a naive loop wants it."""

import struct
import unittest
from typing import Dict, List, Tuple

import taps
from program import A_OBJECT_ROW, B_OBJECT, BLOCK_ROWS, C_ROW, CORE_ROWS, HEAD_BYTES, KEY_BLOCK, ROWS, STEP, Program, Tap

SHAPES = [(256, 64, 256), (300, 200, 512), (700, 128, 1100), (512, 256, 1024)]
TYPES = [("bf16", "bf16"), ("i8", "i32"), ("i8", "bf16"), ("i8", "i8")]


def label(*numbers: int) -> bytes:
    """Four bytes that say where they come from."""
    kind, row, column = numbers
    return struct.pack("<BHB", kind, row, column)


def labelled(kind: int, rows: int, row_bytes: int, stride: int, piece: int) -> bytes:
    """A row-major matrix each `piece` bytes of which are its label; what lies between the rows is 0xEE."""
    memory = bytearray(b"\xee" * (rows * stride))
    for row in range(rows):
        for column in range(row_bytes // piece):
            at = row * stride + column * piece
            memory[at : at + piece] = label(kind, row, column) * (piece // 4)
    return bytes(memory)


def stream(program: Program, side: str, number: int, memory: Dict[int, bytes]) -> bytes:
    """All bytes of a channel, replays included, as the memtile sends its objects before the reorder."""
    return b"".join(s.tap.gather(memory[s.tap.argument]) * s.replay for s in program.channel(side, number))


def visits(g: taps.Gemm) -> List[Tuple[int, int]]:
    blocks, panels = range(g.row_blocks), range(g.panels)
    if g.order == "a_resident":
        return [(block, panel) for block in blocks for panel in panels]
    return [(block, panel) for panel in panels for block in blocks]


class GemmTaps(unittest.TestCase):
    def cases(self):
        for m, k, n in SHAPES:
            for dtype, out in TYPES:
                for order in taps.ORDERS:
                    for cols in (4, 8):
                        residual = out == "bf16" and order in ("b_resident", "streamed")
                        g = taps.Gemm(m, k, n, dtype, out, order, cols, residual=residual)
                        g = taps.Gemm(**{**vars(g), "a_stride": g.a_row + 64, "c_stride": g.c_row + 128, "c_offset": 64})
                        try:
                            program = taps.gemm(g)
                        except taps.Unplannable:
                            inner = g.panels if order == "a_resident" else g.row_blocks
                            self.assertTrue(out == "i8" and inner % 2, f"{g} was refused")
                            continue
                        with self.subTest(g=g):
                            yield g, program

    def test_a_core_meets_its_rows_and_its_columns_step_by_step(self):
        for g, program in self.cases():
            rows = g.row_blocks * BLOCK_ROWS
            residual_row = g.panels * g.cols * C_ROW
            tiles = g.panels * g.cols
            memory = {
                0: labelled(1, rows, g.a_row, g.a_stride, STEP),
                1: b"".join(label(2, t, s) * (B_OBJECT // 4) for t in range(tiles) for s in range(1 + g.steps)),
                3: labelled(3, rows, residual_row, residual_row, STEP),
            }
            for i in range(ROWS):
                want = b"".join(
                    naive_a(1, block * BLOCK_ROWS + i * CORE_ROWS, 0, g.a_row // A_OBJECT_ROW)
                    + (
                        naive_a(3, block * BLOCK_ROWS + i * CORE_ROWS, panel * g.cols * 2, g.cols // 2)
                        if g.residual
                        else b""
                    )
                    for block, panel in visits(g)
                )
                got = stream(program, "A", i, memory)
                self.assertEqual(got, want, f"row {i}")
                self.assertEqual(len(got), program.tiles * program.takes[0] * B_OBJECT)
            for j in range(g.cols):
                want = b"".join(
                    label(2, panel * g.cols + j, s) * (B_OBJECT // 4) for _, panel in visits(g) for s in range(1 + g.steps)
                )
                got = stream(program, "B", j, memory)
                self.assertEqual(got, want, f"column {j}")
                self.assertEqual(len(got), program.tiles * program.takes[1] * B_OBJECT)

    def test_what_columns_make_lands_row_major_and_nothing_else_is_touched(self):
        for g, program in self.cases():
            rows = g.row_blocks * BLOCK_ROWS
            piece = 64
            memory = bytearray(b"\xee" * (g.c_offset + rows * g.c_stride))
            pieces = g.tile_row // piece
            for j in range(g.cols):
                sent = iter(naive_c(g, j, pieces))
                for drain in (d for d in program.drains if d.column == j):
                    for at in drain.tap.offsets():
                        for start in range(at, at + drain.tap.run, piece):
                            self.assertEqual(memory[start], 0xEE, "written twice")
                            memory[start : start + piece] = next(sent)
                self.assertIsNone(next(sent, None), "not all was drained")
            want = b"\xee" * g.c_offset + labelled(4, rows, g.c_row, g.c_stride, piece)
            self.assertEqual(bytes(memory), want)

    def test_uses_are_in_order_on_each_channel(self):
        for g, program in self.cases():
            for side, count in (("A", ROWS), ("B", g.cols)):
                for number in range(count):
                    uses = [(s.first_use, s.last_use) for s in program.channel(side, number)]
                    self.assertEqual(uses, sorted(uses))
                    self.assertEqual((uses[0][0], uses[-1][1]), (0, program.tiles - 1))

    def test_what_no_kernel_or_channel_can_do_is_refused(self):
        for wrong in (
            dict(m=0, k=1, n=1),
            dict(m=1, k=1, n=1, cols=5),
            dict(m=1, k=1, n=1, out="i32"),
            dict(m=1, k=1, n=1, order="a_resident", residual=True),
            dict(m=1, k=1, n=512, c_stride=512),
            dict(m=1, k=1, n=1, dtype="i8", out="i8", order="b_resident"),
            dict(m=1 << 20, k=4096, n=64),
        ):
            with self.subTest(wrong=wrong), self.assertRaises(taps.Unplannable):
                taps.gemm(taps.Gemm(**wrong))


def naive_a(kind: int, row0: int, piece0: int, objects: int) -> bytes:
    """64 rows by 256 bytes, object after object."""
    return b"".join(
        label(kind, row0 + row, piece0 + 4 * o + piece) * (STEP // 4)
        for o in range(objects)
        for row in range(CORE_ROWS)
        for piece in range(4)
    )


def naive_c(g: taps.Gemm, j: int, pieces: int) -> List[bytes]:
    """What memtile j sends: 256 rows x 128 bytes an object, in pieces of 64 bytes."""

    def at(tile: Tuple[int, int], row: int, piece: int) -> bytes:
        block, panel = tile
        return label(4, block * BLOCK_ROWS + row, (panel * g.cols + j) * pieces + piece) * 16

    order, sent = visits(g), []
    if g.out == "i8":
        for first, second in zip(order[::2], order[1::2]):
            sent += [at(tile, row, 0) for row in range(BLOCK_ROWS) for tile in (first, second)]
        return sent
    for tile in order:
        for half in range(0, pieces, 2):
            sent += [at(tile, row, half + piece) for row in range(BLOCK_ROWS) for piece in range(2)]
    return sent


class AttentionTaps(unittest.TestCase):
    def test_heads_meet_their_queries_keys_and_values(self):
        for frames, heads, cols in ((300, 8, 4), (100, 6, 4), (300, 8, 8), (256, 12, 8)):
            with self.subTest(frames=frames, heads=heads, cols=cols):
                t = taps.Attention(frames, heads, cols)
                program = taps.attention(t)
                rows = t.query_blocks * BLOCK_ROWS
                stride = 3 * heads * HEAD_BYTES
                memory = {
                    0: labelled(1, rows, stride, stride, STEP),
                    1: b"".join(label(2, idle, 0) * (B_OBJECT // 4) for idle in range(2)),
                }
                for i in range(ROWS):
                    want = b"".join(
                        naive_a(1, block * BLOCK_ROWS + i * CORE_ROWS, group * cols * 2, cols // 2)
                        for group in range(t.groups)
                        for block in range(t.query_blocks)
                    )
                    self.assertEqual(stream(program, "A", i, memory), want)
                for j in range(cols):
                    want = b"".join(
                        self.naive_b(t, group * cols + j) for group in range(t.groups) for _ in range(t.query_blocks)
                    )
                    self.assertEqual(stream(program, "B", j, memory), want)

    def naive_b(self, t: taps.Attention, column: int) -> bytes:
        head = min(column, t.heads - 1)
        parts = [label(2, column >= t.heads, 0) * (B_OBJECT // 4)]
        for block in range(t.key_blocks):
            for part in (1, 2):
                for row in range(block * KEY_BLOCK, (block + 1) * KEY_BLOCK):
                    parts += [label(1, row, (part * t.heads + head) * 2 + piece) * (STEP // 4) for piece in range(2)]
        return b"".join(parts)

    def test_each_head_writes_its_own_columns(self):
        t = taps.Attention(300, 6, 4)
        written = set()
        for drain in taps.attention(t).drains:
            cells = {(at // 1024, at % 1024 // C_ROW) for at in drain.tap.offsets()}
            self.assertEqual(len({column for _, column in cells}), 1)
            self.assertFalse(written & cells)
            written |= cells
        self.assertEqual(written, {(row, head) for row in range(512) for head in range(8)})

    def test_rows_too_short_for_idle_columns_are_refused(self):
        with self.assertRaises(taps.Unplannable):
            taps.attention(taps.Attention(300, 6, 4, out_stride=768))
        with self.assertRaises(taps.Unplannable):
            taps.attention(taps.Attention(300, 1, 8, stride=3 * 128))


class Int8AttentionTaps(unittest.TestCase):
    def test_heads_meet_their_queries_and_their_packed_keys(self):
        for frames, heads, cols in ((300, 8, 4), (100, 6, 4), (65, 9, 8)):
            with self.subTest(frames=frames, heads=heads, cols=cols):
                t = taps.Int8Attention(frames, heads, cols)
                program = taps.int8_attention(t)
                blocks = -(-frames // BLOCK_ROWS)
                per_head = 1 + 3 * -(-frames // 64)
                objects = [label(2, o, 0) * (B_OBJECT // 4) for o in range(1 + heads * per_head)]
                memory = {0: labelled(1, blocks * BLOCK_ROWS, t.query_row, t.query_row, STEP), 1: b"".join(objects)}
                tiles = [(group, block) for group in range(t.groups) for block in range(blocks)]
                for i in range(ROWS):
                    # Of a group: 64 bytes for each head, then 64 for each head's scale.
                    want = [naive_a(1, b * BLOCK_ROWS + i * CORE_ROWS, g * 2 * cols, cols // 2) for g, b in tiles]
                    self.assertEqual(stream(program, "A", i, memory), b"".join(want))
                for j in range(cols):
                    want = []
                    for group, _ in tiles:
                        head = group * cols + j
                        first = 1 + min(head, heads - 1) * per_head
                        want += [objects[first if head < heads else 0], *objects[first + 1 : first + per_head]]
                    self.assertEqual(stream(program, "B", j, memory), b"".join(want))


class Words(unittest.TestCase):
    def test_a_program_in_words(self):
        program = Program(4)
        program.segments.append(taps.Segment("B", 2, Tap.of(1, 8, 4, (1, 99), (3, 16)), 5, 0, 0))
        program.drains.append(taps.Drain(3, Tap.of(2, 0, 128), 0))
        loops = [1, 0, 1, 0, 1, 0]
        want = [0x4E505553, 1, 4, 4, 1, 1, 0x102, 1, 8, 4, *loops, 3, 16, 5, 0x203, 2, 0, 128, *loops, 1, 0, 1]
        self.assertEqual(program.words(), want)


if __name__ == "__main__":
    unittest.main()
