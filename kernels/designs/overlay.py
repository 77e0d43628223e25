"""What is fixed in the `encoder` overlay: tiles, channels, descriptors, locks, memory. Data only; no mlir-aie.

`encoder.py` builds the array from it, `sequence.py` programs what is left to each launch, `check_limits.py` checks both.

    tile (column, row)   channels
    shim (j, 0)          MM2S 0: A, to the memtile that feeds a row · MM2S 1: B · S2MM 0: C
    memtile (j, 1)       S2MM 0: A · S2MM 1: B · S2MM 2..6: C of core rows 0..4 · MM2S 0: A · MM2S 1: B · MM2S 2: C
    core (j, 2 + i)      S2MM 0: A of row i · S2MM 1: B of column j · MM2S 0: C

A descriptor of a memtile serves either even channels (0..24) or odd ones (24..48): A and B never compete for one.
"""

from dataclasses import dataclass
from typing import Dict, List, Tuple

from program import A_OBJECT, B_OBJECT, ROWS

SHIM, MEMTILE, CORE = 0, 1, 2  # kinds; also the row of shims, of memtiles, and the first of cores
A, B, C = 0, 1, 2  # channels of shims and memtiles

L2_BYTES = 512 * 1024
L1_BYTES = 64 * 1024
C_OBJECT = 8192
C_AT = L2_BYTES - ROWS * C_OBJECT  # the join: one object of each core row, single-buffered
POOL_BYTES = C_AT  # below it lies what each launch divides between A and B

STACK_BYTES = 3328
# L1 of a core: name, address, bytes. A, B and the accumulator lie in banks (of 16 KiB) of their own, as two loads from one
# bank in one cycle cost a cycle more. `turns`: which object of A and of B is next, and the half of an int8 object.
L1_BUFFERS: List[Tuple[str, int, int]] = [
    ("ml", 3328, 512),
    ("params", 3840, 1024),
    ("turns", 4864, 64),
    ("c", 4928, C_OBJECT),
    ("b", 16384, 4 * 4096),
    ("acc", 32768, 16384),
    ("a", 49152, 4 * 4096),
]
CORE_LOCKS = {"a_free": 0, "a_full": 1, "b_free": 2, "b_full": 3, "c_free": 4, "c_full": 5}
CORE_A_DEPTH, CORE_B_DEPTH = 4, 4
# Attention's scores: the last two slots of A's ring, which the core does not give back until it is done. All that comes on A
# comes by four objects, so that every operation begins at slot 0.
SCORES_AT, SCORES_BYTES = 2 * 4096, 8192

# Locks of a memtile. A side has eight pairs (free, full): one for each part of its memory.
PAIRS = 8
LOCKS_OF = {A: 0, B: 2 * PAIRS}
C_LOCKS = 4 * PAIRS  # pair i: core row i

# Descriptors that the overlay itself holds; the rest is for launches.
STATIC_EVEN = {"s2mm2": 18, "s2mm4": 19, "mm2s2": [20, 21, 22, 23]}
STATIC_ODD = {"s2mm3": 46, "s2mm5": 47}
FREE_BDS = {A: range(0, 18), B: range(24, 46)}
SHIM_BDS = {A: range(0, 4), B: range(4, 8), C: range(8, 12)}
QUEUE = 4  # tasks that a channel holds

# Loops (size, stride in 4-byte words, outermost first), the [reorder] of manifest.toml.
REORDER_A = [(16, 4), (16, 256), (4, 64), (4, 1)]
REORDER_B = [(4, 256), (16, 2), (8, 32), (2, 1)]
REORDER_C = [(16, 128), (4, 2), (16, 8), (2, 1)]


def row_feeder(row: int, cols: int) -> int:
    """The column whose shim and memtile feed core row `row`."""
    return row if cols == 4 else 2 * row


def free_lock(side: int, part: int) -> int:
    return LOCKS_OF[side] + 2 * part


def full_lock(side: int, part: int) -> int:
    return free_lock(side, part) + 1


# A reorder has four loops, and a part of memory holds several objects: five. A descriptor written by a runtime sequence
# has three (its fourth is the iteration). So the fill scatters and the send gathers, and both together are the reorder:
# the fill puts column blocks outermost, over all rows of all objects of the part.
def fill_loops(side: int, objects: int) -> List[Tuple[int, int]]:
    """How `objects` arrive (row-major) and where each word goes: (size, stride in words), outermost first."""
    if side == A:
        return [(64 * objects, 4), (16, 256 * objects), (4, 1)]
    return [(32 * objects, 2), (16, 64 * objects), (2, 1)]


def send_loops(side: int, objects: int) -> List[Tuple[int, int]]:
    """How the part leaves for the cores: object after object, each in its REORDER."""
    if side == A:
        return [(objects, 256), (16, 256 * objects), (256, 1)]
    return [(4 * objects, 16), (16, 64 * objects), (16, 1)]


OBJECT_BYTES = {A: A_OBJECT, B: B_OBJECT}


@dataclass(frozen=True)
class TileUse:
    """What the overlay itself takes of one tile."""

    kind: int
    s2mm: int
    mm2s: int
    bds: int
    locks: int
    bytes: int


def static_use(cols: int) -> Dict[Tuple[int, int], TileUse]:
    """Every tile of the overlay, (column, row)."""
    use = {}
    feeders = [row_feeder(row, cols) for row in range(ROWS)]
    for column in range(cols):
        feeds = int(column in feeders)
        use[column, SHIM] = TileUse(SHIM, 1, 1 + feeds, 0, 0, 0)
        static = 4 + ROWS
        use[column, MEMTILE] = TileUse(
            MEMTILE, 1 + feeds + ROWS, 2 + feeds, static, C_LOCKS + 2 * ROWS, ROWS * C_OBJECT
        )
        for row in range(ROWS):
            l1 = STACK_BYTES + sum(size for _, _, size in L1_BUFFERS)
            use[column, CORE + row] = TileUse(CORE, 2, 1, CORE_A_DEPTH + CORE_B_DEPTH + 1, len(CORE_LOCKS), l1)
    return use
