"""Recorded calls in place of mlir-aie: lets the design scripts run where it is not installed. Proves no more than that.

It holds no list of what mlir-aie offers and verifies no MLIR. What it does check is the rule of the pass that numbers
descriptors (lib/Dialect/AIEX/Transforms/AIEAssignRuntimeSequenceBDIDs.cpp): a number that is in use is not given again
before its task was waited for or freed.
"""

import sys
from contextlib import contextmanager
from types import ModuleType
from typing import List
from unittest.mock import MagicMock, patch

MODULES = [
    "numpy",
    "aie",
    "aie.dialects",
    "aie.dialects.aie",
    "aie.dialects.aiex",
    "aie.dialects.memref",
    "aie.extras",
    "aie.extras.context",
    "aie.extras.dialects",
    "aie.extras.dialects.memref",
    "aie.helpers",
    "aie.helpers.dialects",
    "aie.helpers.dialects.scf",
    "aie.iron",
    "aie.iron.controlflow",
]


class Blocks(dict):
    """Blocks of a DMA program by any key."""

    def __missing__(self, key):
        self[key] = MagicMock(name=f"block {key}")
        return self[key]


class FakeTask:
    """A configured task: its tile, what it was called with, its descriptors."""

    def __init__(self, tile, direction, channel, issue_token=False, repeat_count=0):
        self.tile, self.direction, self.channel = tile, direction, channel
        self.issue_token, self.repeat_count = issue_token, repeat_count
        self.descriptors: List[dict] = []
        self.started = self.over = False


class Recorder:
    """Everything that a script said."""

    def __init__(self):
        self.tasks: List[FakeTask] = []
        self.pushes, self.awaits, self.flows, self.locks, self.buffers, self.bds, self.calls, self.lock_sets = (
            [] for _ in range(8)
        )
        self.functions = []  # C++ functions: name, number of arguments
        self.current = None
        self.holders = {}  # (tile, descriptor) to the task that was given it last

    def configure(self, tile, direction, channel, **options):
        task = FakeTask(tile, direction, channel, **options)
        self.tasks.append(task)
        return task

    @contextmanager
    def bds_of(self, task):
        self.current = task
        yield Blocks()
        self.current = None

    def dma_bd(self, memory, **options) -> None:
        if self.current is None:
            self.bds.append((memory, options))
            return
        holder = self.holders.get((self.current.tile, options["bd_id"]))
        assert holder is None or holder.over, f"descriptor {options['bd_id']} of {self.current.tile} is in use"
        self.holders[self.current.tile, options["bd_id"]] = self.current
        self.current.descriptors.append({**options, "memory": memory})

    def start(self, task):
        task.started = True

    def wait(self, task):
        assert task.issue_token, "a task without a token is waited for"
        self.awaits.append(task)
        task.over = True

    def free(self, task):
        task.over = True


def module(name: str, **members) -> ModuleType:
    made = MagicMock(name=name)
    made.__name__, made.__path__ = name, []
    for key, value in members.items():
        setattr(made, key, value)
    return made


@contextmanager
def installed():
    """Puts the recorder in place of mlir-aie and yields it; the design scripts are to be imported inside."""
    r = Recorder()

    def run(*_, **__):
        return lambda body: body()

    def run_with_blocks(*_, **__):
        return lambda body: body(Blocks())

    def run_with_arguments(*types, **_):
        return lambda body: body(*[f"argument {n}" for n in range(len(types))])

    def once(*bounds):
        r.calls.append(("range", bounds))
        yield MagicMock(name="turn")

    def lock(tile, **options):
        r.locks.append((tile, options))
        return (tile, options["lock_id"])

    def buffer(tile, kind, **options):
        r.buffers.append((tile, options))
        return options["name"]

    def external(name, **options):
        r.functions.append((name, len(options["inputs"])))

        def call(*arguments):
            assert len(arguments) == len(options["inputs"]), f"{name} takes {len(options['inputs'])} arguments"
            r.calls.append((name, arguments))

        return call

    @contextmanager
    def branch(*_, **__):
        yield MagicMock(name="if")

    fakes = {name: module(name) for name in MODULES}
    fakes["aie.dialects.aie"] = module(
        "aie.dialects.aie",
        tile=lambda column, row: (column, row),
        flow=lambda *ends: r.flows.append(ends),
        lock=lock,
        buffer=buffer,
        external_func=external,
        use_lock=lambda lock, action, value: r.calls.append(("use_lock", lock, action, value)),
        dma_bd=r.dma_bd,
        bds=r.bds_of,
        device=run,
        core=run,
        mem=run_with_blocks,
        memtile_dma=run_with_blocks,
    )
    fakes["aie.dialects.aiex"] = module(
        "aie.dialects.aiex",
        dma_configure_task=r.configure,
        dma_start_task=r.start,
        dma_await_task=r.wait,
        dma_free_task=r.free,
        npu_push_queue=lambda *push: r.pushes.append(push),
        set_lock_value=lambda lock, value: r.lock_sets.append((lock, value)),
        runtime_sequence=run_with_arguments,
    )
    fakes["aie.helpers.dialects.scf"] = module("scf", if_=branch, else_=branch)
    fakes["aie.iron.controlflow"] = module("controlflow", range_=once)
    scripts = ("encoder", "worker", "seed", "seed_matmul", "seed_attention")
    kept = {name: sys.modules.pop(name) for name in scripts if name in sys.modules}
    with patch.dict(sys.modules, fakes):
        try:
            yield r
        finally:
            for name in scripts:
                sys.modules.pop(name, None)
    sys.modules.update(kept)
