#!/usr/bin/env python3
"""What one launch of the `encoder` image moves: segments (DDR to the cores) and drains (cores to DDR), as data.

Pure Python, no package needed. The planner (`npu-backend/src/schedule`) makes the same from the same shape; a test
compares the two. Words and meaning are those of `npu-backend/src/kernel/stream.rs`. `designs/encoder.py` turns a
program into the runtime sequence of the array, `check_limits.py` holds it against the limits of the hardware.

Geometry. Four rows of cores, `cols` columns; core (i, j) makes rows 64 i .. 64 i + 64 of a block of 256 rows and the
64 columns of column tile `panel * cols + j`. Channel `A{i}` is broadcast along row i, `B{j}` down column j.

    object            bytes    in DDR
    A, in a memtile   16384    64 rows x 256 bytes of a row-major matrix: four objects of a core, 64 bytes of K each
    B, parameters      4096    contiguous, one after another
    C, of one core     8192    64 rows x 128 bytes; a memtile joins four of them: 256 rows x 128 bytes

A column tile of B is one parameter object and then `steps` tiles; `steps` = K in bytes, padded to 256, over 64.
M is padded to 256 rows, N to 64 * cols columns, by the owner of the buffers.

Run as a command it prints one JSON object a line, or with --words the words of the stream, one line:
    python3 taps.py gemm --m 1536 --k 512 --n 2048 --dtype bf16 --order a_resident --cols 4
    python3 taps.py attention --frames 1500 --heads 8 --cols 4 --words
Alone it reads such launches, one a line, and prints the words of each: one line a launch.
"""

import argparse
import sys
from dataclasses import dataclass
from typing import List, Optional, Tuple

from attention_taps import Attention, Int8Attention, attention, int8_attention
from program import A_OBJECT_ROW, B_OBJECT, BLOCK_ROWS, C_ROW, CORE_ROWS, ROWS, STEP
from program import TILE_COLUMNS, Drain, Program, Segment, Tap, Unplannable, ceil_div, pad

ELEMENT = {"bf16": 2, "i8": 1}
ORDERS = ("a_resident", "b_resident", "both", "streamed")


@dataclass(frozen=True)
class Gemm:
    """C[M, N] = A[M, K] B[K, N], with the epilogue that the parameter objects ask for.

    Orders: `a_resident` makes all panels of a row block, A kept in the memtiles, B fetched again for each row block;
    `b_resident` makes all row blocks of a panel, B kept, A fetched again for each panel; `both` is `b_resident` with
    all of A kept as one segment; `streamed` is `b_resident` with nothing kept, for K too long for a memtile.
    """

    m: int
    k: int
    n: int
    dtype: str = "bf16"
    out: str = "bf16"  # bf16, i32 or i8
    order: str = "b_resident"
    cols: int = 4
    residual: bool = False
    a_stride: Optional[int] = None
    a_offset: int = 0
    c_stride: Optional[int] = None
    c_offset: int = 0
    residual_stride: Optional[int] = None
    residual_offset: int = 0
    arguments: Tuple[int, int, int, int] = (0, 1, 2, 3)  # A, B, C, residual

    @property
    def row_blocks(self) -> int:
        return ceil_div(self.m, BLOCK_ROWS)

    @property
    def panels(self) -> int:
        return ceil_div(self.n, TILE_COLUMNS * self.cols)

    @property
    def k_bytes(self) -> int:
        return pad(self.k * ELEMENT[self.dtype], A_OBJECT_ROW)

    @property
    def steps(self) -> int:
        return self.k_bytes // STEP

    @property
    def scales(self) -> bool:
        """Rows of A end in 256 bytes more, whose first four are the row's scale."""
        return self.dtype == "i8" and self.out == "bf16"

    @property
    def a_row(self) -> int:
        return self.k_bytes + (A_OBJECT_ROW if self.scales else 0)

    @property
    def column_tile(self) -> int:
        return (1 + self.steps) * B_OBJECT

    @property
    def tile_row(self) -> int:
        """Bytes of one row of an output tile."""
        return TILE_COLUMNS * {"bf16": 2, "i32": 4, "i8": 1}[self.out]

    @property
    def c_row(self) -> int:
        return self.panels * self.cols * self.tile_row


def gemm(g: Gemm) -> Program:
    """The program of one GEMM."""
    check_gemm(g)
    arg_a, arg_b, arg_c, arg_r = g.arguments
    a_stride = g.a_row if g.a_stride is None else g.a_stride
    c_stride = g.c_row if g.c_stride is None else g.c_stride
    r_row = g.panels * g.cols * TILE_COLUMNS * 2
    r_stride = r_row if g.residual_stride is None else g.residual_stride
    if c_stride < g.c_row or (g.residual and r_stride < r_row):
        raise Unplannable(f"rows of C and of the residual hold {g.panels * g.cols} column tiles; a stride is shorter")
    objects = (g.a_row // A_OBJECT_ROW, A_OBJECT_ROW)
    rows = (CORE_ROWS, a_stride)
    p = Program(g.cols, tiles=g.row_blocks * g.panels)
    residual_takes = 2 * g.cols if g.residual else 0
    p.takes = (g.a_row // STEP + residual_takes, 1 + g.steps)

    def a(block: int, replay: int, first: int, last: int, blocks: int = 1) -> None:
        for i in range(ROWS):
            offset = g.a_offset + (block * BLOCK_ROWS + i * CORE_ROWS) * a_stride
            tap = Tap.of(arg_a, offset, A_OBJECT_ROW, (blocks, BLOCK_ROWS * a_stride), objects, rows)
            p.segments.append(Segment("A", i, tap, replay, first, last))

    def residual(panel: int, block: int, tile: int) -> None:
        width = g.cols * TILE_COLUMNS * 2
        for i in range(ROWS):
            offset = g.residual_offset + (block * BLOCK_ROWS + i * CORE_ROWS) * r_stride + panel * width
            tap = Tap.of(arg_r, offset, A_OBJECT_ROW, (width // A_OBJECT_ROW, A_OBJECT_ROW), (CORE_ROWS, r_stride))
            p.segments.append(Segment("A", i, tap, 1, tile, tile))

    def b(panel: int, replay: int, first: int, last: int) -> None:
        for j in range(g.cols):
            tap = Tap.of(arg_b, (panel * g.cols + j) * g.column_tile, g.column_tile)
            p.segments.append(Segment("B", j, tap, replay, first, last))

    order: List[Tuple[int, int]] = []  # (row block, panel) of each output tile
    if g.order == "a_resident":
        for block in range(g.row_blocks):
            a(block, g.panels, len(order), len(order) + g.panels - 1)
            for panel in range(g.panels):
                b(panel, 1, len(order), len(order))
                order.append((block, panel))
    else:
        if g.order == "both":
            a(0, g.panels, 0, p.tiles - 1, blocks=g.row_blocks)
        for panel in range(g.panels):
            if g.order != "streamed":
                b(panel, g.row_blocks, len(order), len(order) + g.row_blocks - 1)
            for block in range(g.row_blocks):
                if g.order == "streamed":
                    b(panel, 1, len(order), len(order))
                if g.order != "both":
                    a(block, 1, len(order), len(order))
                if g.residual:
                    residual(panel, block, len(order))
                order.append((block, panel))
    drain_gemm(p, g, order, arg_c, c_stride)
    return p


def drain_gemm(p: Program, g: Gemm, order: List[Tuple[int, int]], argument: int, stride: int) -> None:
    """bf16: an object a tile. i32: two, left and right half. i8: one for two tiles that follow each other."""

    def corner(tile: int, j: int) -> int:
        block, panel = order[tile]
        return g.c_offset + block * BLOCK_ROWS * stride + (panel * g.cols + j) * g.tile_row

    rows = (BLOCK_ROWS, stride)
    for tile in range(p.tiles):
        for j in range(g.cols):
            if g.out == "bf16":
                p.drains.append(Drain(j, Tap.of(argument, corner(tile, j), C_ROW, rows), tile))
            elif g.out == "i32":
                for half in (0, C_ROW):
                    p.drains.append(Drain(j, Tap.of(argument, corner(tile, j) + half, C_ROW, rows), tile))
            elif tile % 2 == 1:
                first, second = corner(tile - 1, j), corner(tile, j)
                if second < first or p.tiles % 2:
                    raise Unplannable(
                        "two int8 tiles that follow each other share an object, so the inner loop of the order "
                        f"({g.order}: {g.row_blocks} row blocks, {g.panels} panels) must have an even count"
                    )
                pair = (2, second - first)
                p.drains.append(Drain(j, Tap.of(argument, first, g.tile_row, rows, pair), tile))
    if g.out == "i8" and p.tiles % 2:
        raise Unplannable(f"int8 tiles leave in pairs, and there are {p.tiles}")


def check_gemm(g: Gemm) -> None:
    if min(g.m, g.k, g.n) < 1:
        raise Unplannable(f"an empty product: {g.m} x {g.k} x {g.n}")
    if g.cols not in (4, 8) or g.order not in ORDERS or g.dtype not in ELEMENT:
        raise Unplannable(f"cols {g.cols} (4 or 8), order {g.order} {ORDERS}, dtype {g.dtype} {tuple(ELEMENT)}")
    if (g.dtype, g.out) not in {("bf16", "bf16"), ("i8", "i32"), ("i8", "bf16"), ("i8", "i8")}:
        raise Unplannable(f"no kernel makes {g.out} of {g.dtype}")
    if g.residual and (g.order not in ("b_resident", "streamed") or g.out != "bf16"):
        raise Unplannable("a residual follows its row block on channel A: order b_resident or streamed, bf16 output")
    inner = g.panels if g.order == "a_resident" else g.row_blocks
    if g.out == "i8" and inner % 2:
        raise Unplannable(f"int8 tiles leave in pairs, and the inner loop of {g.order} has {inner}")


KINDS = {"gemm": (Gemm, gemm), "attention": (Attention, attention), "int8-attention": (Int8Attention, int8_attention)}


def from_arguments(arguments: argparse.Namespace) -> Program:
    fields = {k: v for k, v in vars(arguments).items() if k not in ("what", "words") and v is not None}
    if "arguments" in fields:
        fields["arguments"] = tuple(int(number) for number in fields["arguments"].split(","))
    launch, plan = KINDS[arguments.what]
    return plan(launch(**fields))


def parser(description: str = "Print the fills and drains of one launch.") -> argparse.ArgumentParser:
    """The options that describe a launch, those of `encoder.py` too."""
    parser = argparse.ArgumentParser(description=description)
    kinds = parser.add_subparsers(dest="what", required=True)
    g = kinds.add_parser("gemm", help="C[M, N] = A[M, K] B[K, N]")
    for name in ("m", "k", "n"):
        g.add_argument(f"--{name}", type=int, required=True)
    g.add_argument("--dtype", choices=tuple(ELEMENT))
    g.add_argument("--out", choices=("bf16", "i32", "i8"))
    g.add_argument("--order", choices=ORDERS)
    g.add_argument("--residual", action="store_true", default=None)
    t = kinds.add_parser("attention", help="softmax(Q Kt / 8) V")
    i8 = kinds.add_parser("int8-attention", help="the same in int8")
    for kind in (t, i8):
        for name in ("frames", "heads"):
            kind.add_argument(f"--{name}", type=int, required=True)
    names = {
        g: ("a-stride", "a-offset", "c-stride", "c-offset", "residual-stride", "residual-offset"),
        t: ("rows", "stride", "q-offset", "k-offset", "v-offset", "out-stride", "out-offset"),
        i8: ("out-stride", "out-offset"),
    }
    for kind, numbers in names.items():
        for name in numbers:
            kind.add_argument(f"--{name}", type=int, help="queries" if name == "rows" else "bytes")
        kind.add_argument("--cols", type=int, choices=(4, 8))
        kind.add_argument("--arguments", help="numbers of the launch's arguments, by commas: A,B,C,residual or qkv,params,out")
        kind.add_argument("--words", action="store_true", help="the words of the stream instead of JSON lines")
    return parser


def main(argv: List[str]) -> int:
    try:
        if not argv:
            reads = parser()
            for line in sys.stdin:
                print(*from_arguments(reads.parse_args(line.split())).words())
            return 0
        arguments = parser().parse_args(argv)
        program = from_arguments(arguments)
    except Unplannable as error:
        print(f"taps.py: {error}", file=sys.stderr)
        return 2
    if arguments.words:
        print(*program.words())
    else:
        for line in program.json_lines():
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
