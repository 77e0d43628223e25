"""The data of one launch: taps, segments, drains, programs; and the geometry of the `encoder` image.

The same words and meaning as `npu-backend/src/kernel/stream.rs` and `tap.rs`. Nothing here knows of a matrix product.
"""

import json
from dataclasses import dataclass, field
from typing import Iterator, List, Tuple

ROWS = 4
CORE_ROWS = 64
BLOCK_ROWS = ROWS * CORE_ROWS
TILE_COLUMNS = 64
A_OBJECT_ROW = 256  # bytes of one row in an A object of a memtile
A_OBJECT = CORE_ROWS * A_OBJECT_ROW
B_OBJECT = 4096
STEP = 64  # bytes of K that one step of a core takes
C_ROW = 128  # bytes of one row of a C object
HEAD = 64
HEAD_BYTES = 2 * HEAD
KEY_BLOCK = 32
INT8_KEY_BLOCK = 64
MAX_DIMS = 4

MAGIC, VERSION = 0x4E505553, 1
B_CHANNELS, DRAINS = 0x100, 0x200


class Unplannable(ValueError):
    """The shape or the order cannot be expressed; the message says why."""


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def pad(a: int, b: int) -> int:
    return ceil_div(a, b) * b


@dataclass(frozen=True)
class Tap:
    """Contiguous runs under loops (size, stride in bytes), outermost first. Loops of one turn are left out."""

    argument: int
    offset: int
    run: int
    loops: Tuple[Tuple[int, int], ...] = ()

    @staticmethod
    def of(argument: int, offset: int, run: int, *loops: Tuple[int, int]) -> "Tap":
        kept = tuple((size, stride) for size, stride in loops if size != 1)
        if len(kept) > MAX_DIMS:
            raise Unplannable(f"a tap has {MAX_DIMS} loops, not {len(kept)}")
        tap = Tap(argument, offset, run, kept)
        if min([offset, run] + [stride for _, stride in kept]) < 0 or run == 0 or any(size < 1 for size, _ in kept):
            raise Unplannable(f"an empty or backward walk: {tap}")
        if tap.end() > 1 << 32:
            raise Unplannable(f"a walk past 4 GiB: {tap}")
        return tap

    def dims(self) -> List[Tuple[int, int]]:
        """Always four; the unused ones are (1, 0) and come first."""
        return [(1, 0)] * (MAX_DIMS - len(self.loops)) + list(self.loops)

    def offsets(self) -> Iterator[int]:
        """Where each run begins, in the order of the walk."""
        starts = [self.offset]
        for size, stride in self.loops:
            starts = [start + turn * stride for start in starts for turn in range(size)]
        return iter(starts)

    def bytes(self) -> int:
        runs = 1
        for size, _ in self.loops:
            runs *= size
        return runs * self.run

    def end(self) -> int:
        """One past the last byte touched."""
        return self.offset + sum((size - 1) * stride for size, stride in self.loops) + self.run

    def gather(self, memory: bytes) -> bytes:
        if self.end() > len(memory):
            raise IndexError(f"{self} leaves a buffer of {len(memory)} bytes")
        return b"".join(memory[start : start + self.run] for start in self.offsets())


@dataclass(frozen=True)
class Segment:
    """A fill: DDR is read once, the memtile sends it `replay` times. `first_use` and `last_use` number output tiles."""

    side: str  # "A" or "B"
    number: int
    tap: Tap
    replay: int
    first_use: int
    last_use: int


@dataclass(frozen=True)
class Drain:
    """A joined C object of a column, to DDR, after output tile `tile` (of that column's cores)."""

    column: int
    tap: Tap
    tile: int


@dataclass
class Program:
    """One launch. Segments of one channel are sent in their order; drains of one column likewise."""

    columns: int
    rows: int = ROWS
    segments: List[Segment] = field(default_factory=list)
    drains: List[Drain] = field(default_factory=list)
    tiles: int = 0  # output tiles that each core makes
    takes: Tuple[int, int] = (0, 0)  # 64-byte-wide A objects and B objects that a core takes for one output tile

    def channel(self, side: str, number: int) -> List[Segment]:
        return [s for s in self.segments if (s.side, s.number) == (side, number)]

    def words(self) -> List[int]:
        """As `Program::encode` of stream.rs has it."""
        words = [MAGIC, VERSION, self.columns, self.rows, len(self.segments), len(self.drains)]
        for s in self.segments:
            words += entry((0 if s.side == "A" else B_CHANNELS) + s.number, s.tap, s.replay)
        for d in self.drains:
            words += entry(DRAINS + d.column, d.tap, 1)
        return words

    def by_channel(self) -> "Program":
        """The same launch with its entries in the order of their channels; the order between channels is free."""
        segments = sorted(self.segments, key=lambda s: (s.side, s.number))
        drains = sorted(self.drains, key=lambda d: d.column)
        return Program(self.columns, self.rows, segments, drains, self.tiles, self.takes)

    def key(self) -> str:
        """Names what a launch does: a hash of the words, little-endian, of the program by channel."""
        return fingerprint(b"".join(word.to_bytes(4, "little") for word in self.by_channel().words()))

    def json_lines(self) -> Iterator[str]:
        yield json.dumps({"columns": self.columns, "rows": self.rows})
        for s in self.segments:
            yield json.dumps({"segment": f"{s.side}{s.number}", **described(s.tap), "replay": s.replay})
        for d in self.drains:
            yield json.dumps({"drain": d.column, **described(d.tap)})


def fingerprint(data: bytes) -> str:
    """FNV-1a of 128 bits, as `npu-backend/src/kernel/fingerprint.rs` has it: 32 hexadecimal digits."""
    value = 0x6C62272E07BB014262B821756295C58D
    for byte in data:
        value = (value ^ byte) * 0x0000000001000000000000000000013B & (1 << 128) - 1
    return f"{value:032x}"


def entry(channel: int, tap: Tap, replay: int) -> List[int]:
    dims = [word for dim in tap.dims() for word in dim]
    return [channel, tap.argument, tap.offset, tap.run, *dims, replay]


def described(tap: Tap) -> dict:
    return {"argument": tap.argument, "offset": tap.offset, "run": tap.run, "dims": tap.dims()}
