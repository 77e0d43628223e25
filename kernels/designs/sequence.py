"""The runtime sequence of one launch: what the array's controller is told, in order, for one program of taps.

Shim tasks walk DDR. Memtile tasks keep what arrives and send it `replay` times. A channel of a launch is one of two:

  ring      every segment is sent once: the memtile is a ring of parts, and two looping tasks serve the whole launch
            whatever the segments are.
  resident  segments are kept: each has a place of its own (two places in turn where both fit), cut into up to four
            parts, so that the first is sent while the next arrive. Its send is one task, repeated `replay` times.

Hand-over of a part: the fill takes what the sends before it gave back to `free` (one for each time they went), and
gives `replay` to `full`; each send takes one of `full` and gives one to `free`. Locks are set at the start of a launch.

Order: by the output tile that first needs a task. A channel holds few tasks, so the oldest is waited for; that cannot
block for ever if all it needs was started before, which `compile_program` checks.
"""

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple, Union

import overlay
from overlay import A, B, C, MEMTILE, OBJECT_BYTES, SHIM, fill_loops, free_lock, full_lock, send_loops
from program import Program, Segment, Tap, Unplannable, ceil_div

Loops = List[Tuple[int, int]]
S2MM, MM2S = "S2MM", "MM2S"
IN_FLIGHT = 2  # resident segments whose tasks are started at once
PARTS = 4
RING = 4
MOST_REPEATS = 256
MOST_LOCK = 63


@dataclass(frozen=True)
class Bd:
    """One buffer descriptor. `loops` in words, outermost first, at most three; `iteration` is the fourth."""

    number: int
    offset: int  # bytes, in the argument (shim) or in the memtile
    bytes: int  # of one run of the descriptor
    loops: Tuple[Tuple[int, int], ...]
    argument: Optional[int] = None  # None: the memtile
    iteration: Tuple[int, int] = (1, 0)
    acquire: Optional[Tuple[int, int]] = None  # (lock, count)
    release: Optional[Tuple[int, int]] = None


@dataclass(frozen=True, eq=False)
class Task:
    """A chain of descriptors on a channel, run `repeats` times. Two tasks are never the same one."""

    tile: Tuple[int, int]  # column, row
    direction: str
    channel: int
    bds: Tuple[Bd, ...]
    repeats: int = 1
    first_use: int = 0
    last_use: int = 0


@dataclass(frozen=True)
class SetLock:
    """Sets a lock of a memtile."""

    column: int
    lock: int
    value: int


@dataclass(frozen=True)
class Start:
    """Configures and starts a task; its end gives a token if an `Await` of it follows.

    With `configured`, its descriptors are those of the task before it on the channel: it is only started.
    """

    task: Task
    configured: bool = False


@dataclass(frozen=True)
class Await:
    """Waits for the token of a task; its descriptors are free then."""

    task: Task


Op = Union[SetLock, Start, Await]


@dataclass
class Side:
    """How one channel of a launch uses its memtile."""

    resident: bool
    replay: int
    objects: int  # of the whole launch (ring) or of the longest segment (resident)
    part: int = 0  # objects of a part
    parts: int = 0
    places: int = 1
    at: int = 0  # bytes, where its memory begins

    @property
    def memory(self) -> int:
        return self.part * self.parts * self.places  # objects


@dataclass
class Sequence:
    """The compiled launch. `l2` tells for A and for B how memtiles are used, the same in each."""

    ops: List[Op] = field(default_factory=list)
    l2: Dict[int, Side] = field(default_factory=dict)


def objects_of(side: int, segment: Segment) -> int:
    count, rest = divmod(segment.tap.bytes(), OBJECT_BYTES[side])
    if rest:
        raise Unplannable(f"a segment of {segment.tap.bytes()} bytes is not of whole objects")
    return count


def plan_side(side: int, segments: List[Segment]) -> Side:
    replays = {s.replay for s in segments}
    counts = [objects_of(side, s) for s in segments]
    if replays == {1}:
        return Side(False, 1, sum(counts))
    if len(replays) > 1 or len(set(counts)) > 1:
        raise Unplannable(f"channel {'AB'[side]} mixes replays {sorted(replays)} or lengths {sorted(set(counts))}")
    if max(replays) > MOST_LOCK:
        raise Unplannable(f"a segment is sent {max(replays)} times; a lock counts to {MOST_LOCK}")
    return Side(True, replays.pop(), max(counts))


def divide_memory(a: Side, b: Side) -> None:
    """Cuts the pool: first what must be kept, then rings and second places as far as memory goes."""
    for side in (a, b):
        if side.resident:
            side.parts = min(PARTS, side.objects)
            side.part = ceil_div(side.objects, side.parts)
        else:
            side.parts, side.part = min(RING, side.objects), 1
    used = {A: 0, B: 0}

    def fits() -> bool:
        used[A], used[B] = a.memory * OBJECT_BYTES[A], b.memory * OBJECT_BYTES[B]
        return used[A] + used[B] <= overlay.POOL_BYTES

    while not fits():
        shrinkable = [s for s in (a, b) if not s.resident and s.parts > 2]
        if not shrinkable:
            raise Unplannable(
                f"the memtile's {overlay.POOL_BYTES} bytes do not hold {used[A]} bytes of A and {used[B]} of B"
            )
        max(shrinkable, key=lambda s: s.parts).parts -= 1
    for side in (b, a):
        if not side.resident:
            for part in (8, 7, 6, 5, 4, 3, 2):
                before = side.part
                if side is b and side.objects % part == 0 and side.objects // part >= side.parts:
                    side.part = part
                    if fits():
                        break
                    side.part = before
        else:
            side.places = 2
            if not fits():
                side.places = 1
    fits()
    b.at = used[A]


def legal_walk(tap: Tap) -> Tuple[Tuple[int, int], Tuple[Tuple[int, int], ...], int]:
    """A tap as a shim descriptor has it: iteration, three loops in words (the innermost is the run), bytes of a turn."""
    if tap.offset % 4 or tap.run % 4 or any(stride % 4 for _, stride in tap.loops):
        raise Unplannable(f"a DMA moves words of 4 bytes: {tap}")
    run, loops = tap.run, list(tap.loops)
    while loops and loops[-1][1] == run:  # runs that touch are one
        run *= loops.pop()[0]
    if not loops:  # linear: no loop of the descriptor is used, so none limits its length
        return (1, 0), ((run // 4, 1),), run
    words = [(size, stride // 4) for size, stride in tap.loops] + [(tap.run // 4, 1)]
    iteration = words.pop(0) if len(words) > 3 else (1, 0)
    if len(words) > 3:
        raise Unplannable(f"a shim descriptor has three loops and an iteration: {tap}")
    return iteration, tuple(words), tap.bytes() // iteration[0]


class Compiler:
    """Turns one program into ops."""

    def __init__(self, program: Program):
        self.program = program
        self.sequence = Sequence()
        self.running: Dict[Tuple[Tuple[int, int], str, int], List[Task]] = {}
        a, b = (plan_side(side, program.channel("AB"[side], 0)) for side in (A, B))
        divide_memory(a, b)
        self.sequence.l2 = {A: a, B: b}

    def start(self, task: Task, most: int) -> None:
        """Starts a task; if its channel then held more than `most`, waits for the oldest first."""
        key = (task.tile, task.direction, task.channel)
        queue = self.running.setdefault(key, [])
        if len(queue) == most:
            oldest = queue.pop(0)
            if oldest.last_use >= task.first_use:
                raise Unplannable(f"the {task.direction} channel {key} would wait for what it still has to start")
            self.sequence.ops.append(Await(oldest))
        queue.append(task)
        self.sequence.ops.append(Start(task))

    def compile(self) -> Sequence:
        events = []
        for side, name, count in ((B, "B", self.program.columns), (A, "A", self.program.rows)):
            for number in range(count):
                column = number if side == B else overlay.row_feeder(number, self.program.columns)
                segments = self.program.channel(name, number)
                self.set_locks(side, column)
                if not self.sequence.l2[side].resident:
                    self.ring(side, column)
                for index, segment in enumerate(segments):
                    events.append((segment.first_use, side, index, column, segment))
        for index, drain in enumerate(self.program.drains):
            events.append((drain.tile, C, index, drain.column, drain))
        drained: Dict[int, int] = {}
        for use, side, index, column, item in sorted(events, key=lambda event: event[:4]):
            if side == C:
                turn = drained[column] = drained.get(column, -1) + 1
                self.shim(column, S2MM, 0, C, turn, item.tap, use, use)
                continue
            if self.sequence.l2[side].resident:
                self.keep(side, column, index, item)
            self.shim(column, MM2S, side, side, index, item.tap, item.first_use, item.last_use)
        for (_, direction, _), queue in self.running.items():
            if direction == S2MM and queue and queue[0].tile[1] == SHIM:
                self.sequence.ops += [Await(task) for task in queue]
        return self.sequence

    def set_locks(self, side: int, column: int) -> None:
        for part in range(overlay.PAIRS):
            self.sequence.ops.append(SetLock(column, free_lock(side, part), 1))
            self.sequence.ops.append(SetLock(column, full_lock(side, part), 0))

    def shim(self, column: int, direction: str, channel: int, kind: int, turn: int, tap: Tap, first: int, last: int) -> None:
        iteration, loops, size = legal_walk(tap)
        numbers = overlay.SHIM_BDS[kind]
        bd = Bd(numbers[turn % len(numbers)], tap.offset, size, loops, tap.argument, iteration)
        # A fill whose segment is kept is done when it has arrived, not when it was last used; the send was waited for.
        task = Task((column, SHIM), direction, channel, (bd,), iteration[0], first, last)
        resident = kind != C and self.sequence.l2[kind].resident
        if resident:
            self.sequence.ops.append(Start(task))
        else:
            self.start(task, overlay.QUEUE)

    def part_pair(self, side: int, number: int, part: int, at: int, objects: int, taken: int, given: int) -> Tuple[Bd, Bd]:
        """The fill and the send of `objects` at byte `at` of the memtile."""
        size = objects * OBJECT_BYTES[side]
        free, full = free_lock(side, part), full_lock(side, part)
        fill = Bd(number, at, size, tuple(fill_loops(side, objects)), acquire=(free, taken), release=(full, given))
        send = Bd(number + 1, at, size, tuple(send_loops(side, objects)), acquire=(full, 1), release=(free, 1))
        return fill, send

    def ring(self, side: int, column: int) -> None:
        plan = self.sequence.l2[side]
        size = plan.part * OBJECT_BYTES[side]
        numbers = overlay.FREE_BDS[side]
        turns, rest = divmod(plan.objects // plan.part, plan.parts)

        def chain(first: int, parts: int) -> List[Tuple[Bd, Bd]]:
            return [
                self.part_pair(side, numbers[first + 2 * i], i, plan.at + i * size, plan.part, 1, 1) for i in range(parts)
            ]

        loop, tail = chain(0, plan.parts), chain(2 * plan.parts, rest)
        pushes = [min(MOST_REPEATS, turns - done) for done in range(0, turns, MOST_REPEATS)]
        if len(pushes) + bool(rest) > overlay.QUEUE:
            raise Unplannable(f"a ring of {plan.parts} parts is turned {turns} times: more than a queue of tasks holds")
        last = self.program.tiles - 1
        for which, direction in ((0, S2MM), (1, MM2S)):
            for push, repeats in enumerate(pushes):
                bds = tuple(pair[which] for pair in loop)
                task = Task((column, MEMTILE), direction, side, bds, repeats, 0, last)
                self.sequence.ops.append(Start(task, configured=push > 0))
            if rest:
                bds = tuple(pair[which] for pair in tail)
                self.sequence.ops.append(Start(Task((column, MEMTILE), direction, side, bds, 1, last, last)))

    def keep(self, side: int, column: int, index: int, segment: Segment) -> None:
        plan = self.sequence.l2[side]
        place = index % plan.places
        left = objects_of(side, segment)
        numbers = overlay.FREE_BDS[side][2 * PARTS * (index % IN_FLIGHT) :]
        taken = 1 if index < plan.places else plan.replay
        pairs = []
        while left:
            part = place * PARTS + len(pairs)
            at = plan.at + (place * plan.parts + len(pairs)) * plan.part * OBJECT_BYTES[side]
            count = min(left, plan.part)
            pairs.append(self.part_pair(side, numbers[2 * len(pairs)], part, at, count, taken, segment.replay))
            left -= count
        tile, uses = (column, MEMTILE), (segment.first_use, segment.last_use)
        send = Task(tile, MM2S, side, tuple(send for _, send in pairs), segment.replay, *uses)
        self.start(send, IN_FLIGHT)
        self.sequence.ops.append(Start(Task(tile, S2MM, side, tuple(fill for fill, _ in pairs), 1, *uses)))


def compile_program(program: Program) -> Sequence:
    """The runtime sequence of `program`; `Unplannable` if the memtiles do not hold what it keeps."""
    return Compiler(program).compile()
