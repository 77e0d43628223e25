#!/usr/bin/env python3
"""The `encoder` overlay and the instruction stream of one launch, as MLIR for aiecc.

    python3 encoder.py --arch aie2 gemm --m 1500 --k 512 --n 1536 --order both > launch.mlir

The array is the same for every launch (one xclbin); the runtime sequence differs (one stream of instructions each).
`overlay.py` says what the array is, `taps.py` what a launch moves, `sequence.py` in which tasks; this file only says so
in the words of mlir-aie, on the level of tiles, locks, flows and tasks. Object FIFOs are not used: the memtiles' tasks
are written by each launch, which is how what was read once is sent many times.

Checked: that the script runs, against recorded calls in place of mlir-aie, and emits every task once
(test_encoder.py); shapes, taps, order, locks and descriptors, on a model (test_sequence.py); limits (check_limits.py).
NOT checked: mlir-aie's own verification, aiecc, Peano, the size of the program, any silicon. Written against
Xilinx/mlir-aie @1e400306 (2026-03-14); names from python/dialects/{aie,aiex}.py and
programming_examples/basic/packet_switch. To doubt first: that a task's repeat goes over its whole chain of descriptors,
that locks set by a sequence are set before its first task acquires them, and views of byte buffers as arguments of C
functions.
"""

import argparse
import sys
from typing import Dict, List, Set, Tuple

import numpy as np
from aie.dialects.aie import AIEDevice, DMAChannelDir, EndOp, LockAction, WireBundle
from aie.dialects.aie import bds, buffer, core, device, dma_bd, dma_start, flow, lock, mem, memtile_dma, next_bd, tile, use_lock
from aie.dialects.aiex import dma_await_task, dma_configure_task, dma_free_task, dma_start_task
from aie.dialects.aiex import npu_push_queue, runtime_sequence, set_lock_value
from aie.extras.context import mlir_mod_ctx

import overlay
import taps
import worker
from encoder_arguments import extents
from overlay import A, B, C, CORE, MEMTILE, SHIM
from program import ROWS, Program
from sequence import MM2S, Await, SetLock, Start, Task, compile_program

DEVICES = {"aie2": ("npu1", 4), "aie2p": ("npu2", 8)}
S2MM_DIR, MM2S_DIR = DMAChannelDir.S2MM, DMAChannelDir.MM2S
ACQUIRE, RELEASE = LockAction.AcquireGreaterEqual, LockAction.Release


def words_of(count: int):
    return np.ndarray[(count // 4,), np.dtype[np.int32]]


def program_channels(block, channels) -> None:
    """DMA channels (direction, number, descriptors) of a tile; the descriptors of a channel follow each other for ever."""
    for n, (direction, number, descriptors) in enumerate(channels):
        with block[("start", n) if n else 0]:
            chain = block[("start", n + 1)] if n + 1 < len(channels) else block["end"]
            dma_start(direction, number, dest=block[n, 0], chain=chain)
        for k, emit in enumerate(descriptors):
            with block[n, k]:
                emit()
                next_bd(block[n, (k + 1) % len(descriptors)])
    with block["end"]:
        EndOp()


class Overlay:
    """Emits tiles, streams, locks, the memtiles' joins and the cores."""

    def __init__(self, cols: int, ops: List[str]):
        self.cols = cols
        self.tiles = {(j, row): tile(j, row) for j in range(cols) for row in range(CORE + ROWS)}
        functions = worker.declare(ops, "encoder.o")
        self.pools, self.joins, self.locks = {}, {}, {}
        for j in range(cols):
            self.memtile(j)
        for i in range(ROWS):
            self.row_stream(i)
            for j in range(cols):
                self.core(i, j, ops, functions)

    def memtile(self, j: int) -> None:
        memtile, shim = self.tiles[j, MEMTILE], self.tiles[j, SHIM]
        self.pools[j] = buffer(memtile, words_of(overlay.POOL_BYTES), name=f"pool_{j}", address=0)
        join = buffer(memtile, words_of(ROWS * overlay.C_OBJECT), name=f"join_{j}", address=overlay.C_AT)
        for number in range(overlay.C_LOCKS + 2 * ROWS):
            free = number % 2 == 0
            self.locks[j, number] = lock(memtile, lock_id=number, init=int(free), sym_name=f"memtile_{j}_{number}")
        flow(shim, WireBundle.DMA, B, memtile, WireBundle.DMA, B)
        flow(memtile, WireBundle.DMA, C, shim, WireBundle.DMA, 0)
        for i in range(ROWS):
            flow(memtile, WireBundle.DMA, B, self.tiles[j, CORE + i], WireBundle.DMA, B)
            flow(self.tiles[j, CORE + i], WireBundle.DMA, 0, memtile, WireBundle.DMA, 2 + i)

        @memtile_dma(memtile)
        def joins(block):
            """Core row i's object arrives in its quarter of the join; the quarters leave in turn, row-major."""
            even, odd = overlay.STATIC_EVEN, overlay.STATIC_ODD
            arrivals = [even["s2mm2"], odd["s2mm3"], even["s2mm4"], odd["s2mm5"]]
            words = overlay.C_OBJECT // 4

            def quarter(i: int, number: int, leaving: bool):
                free, full = self.locks[j, overlay.C_LOCKS + 2 * i], self.locks[j, overlay.C_LOCKS + 2 * i + 1]
                layout = {"dimensions": overlay.REORDER_C} if leaving else {}

                def emit() -> None:
                    use_lock(full if leaving else free, ACQUIRE, value=1)
                    dma_bd(join, offset=i * words, len=words, bd_id=number, **layout)
                    use_lock(free if leaving else full, RELEASE, value=1)

                return emit

            channels = [(S2MM_DIR, 2 + i, [quarter(i, arrivals[i], False)]) for i in range(ROWS)]
            leave = [quarter(i, even["mm2s2"][i], True) for i in range(ROWS)]
            program_channels(block, [*channels, (MM2S_DIR, C, leave)])

    def row_stream(self, i: int) -> None:
        feeder = overlay.row_feeder(i, self.cols)
        memtile = self.tiles[feeder, MEMTILE]
        flow(self.tiles[feeder, SHIM], WireBundle.DMA, A, memtile, WireBundle.DMA, A)
        for j in range(self.cols):
            flow(memtile, WireBundle.DMA, A, self.tiles[j, CORE + i], WireBundle.DMA, A)

    def core(self, i: int, j: int, ops: List[str], functions: dict) -> None:
        here = self.tiles[j, CORE + i]
        initial = {"turns": np.zeros(64, np.int8)}
        buffers = {
            name: buffer(here, worker.bytes_of(size), name=f"{name}_{j}_{i}", address=at, initial_value=initial.get(name))
            for name, at, size in overlay.L1_BUFFERS
        }
        depth = {"a_free": overlay.CORE_A_DEPTH, "b_free": overlay.CORE_B_DEPTH, "c_free": 1}
        locks = {
            name: lock(here, lock_id=number, init=depth.get(name, 0), sym_name=f"{name}_{j}_{i}")
            for name, number in overlay.CORE_LOCKS.items()
        }

        @mem(here)
        def streams(block):
            def ring(name: str, count: int, size: int, acquire: str, release: str):
                def one(k: int):
                    def emit() -> None:
                        use_lock(locks[acquire], ACQUIRE, value=1)
                        dma_bd(buffers[name], offset=k * size, len=size)
                        use_lock(locks[release], RELEASE, value=1)

                    return emit

                return [one(k) for k in range(count)]

            program_channels(
                block,
                [
                    (S2MM_DIR, A, ring("a", overlay.CORE_A_DEPTH, worker.OBJECT, "a_free", "a_full")),
                    (S2MM_DIR, B, ring("b", overlay.CORE_B_DEPTH, worker.OBJECT, "b_free", "b_full")),
                    (MM2S_DIR, 0, ring("c", 1, overlay.C_OBJECT, "c_full", "c_free")),
                ],
            )

        @core(here, stack_size=overlay.STACK_BYTES)
        def loop():
            worker.Worker(j, self.cols, ops, buffers, locks, functions).emit()


class Launch:
    """Emits the runtime sequence of one program."""

    def __init__(self, overlay_: Overlay, program: Program, arguments: list):
        self.overlay, self.arguments = overlay_, arguments
        self.ops = compile_program(program).ops
        self.awaited: Set[Task] = {op.task for op in self.ops if isinstance(op, Await)}
        self.tasks: Dict[Task, object] = {}
        self.holders: Dict[Tuple[Tuple[int, int], int], Task] = {}  # who holds a descriptor

    def emit(self) -> None:
        for op in self.ops:
            if isinstance(op, SetLock):
                set_lock_value(self.overlay.locks[op.column, op.lock], op.value)
            elif isinstance(op, Await):
                dma_await_task(self.tasks[op.task])
                self.release(op.task)
            elif op.configured:
                task, (column, row) = op.task, op.task.tile
                direction = MM2S_DIR if task.direction == MM2S else S2MM_DIR
                npu_push_queue(column, row, direction, task.channel, False, task.repeats - 1, task.bds[0].number)
            else:
                self.start(op)

    def start(self, op: Start) -> None:
        task = op.task
        for bd in task.bds:
            holder = self.holders.get((task.tile, bd.number))
            if holder is not None:  # over by now: what it fed was waited for (check_limits.py, test_sequence.py)
                dma_free_task(self.tasks[holder])
                self.release(holder)
        direction = MM2S_DIR if task.direction == MM2S else S2MM_DIR
        here = self.overlay.tiles[task.tile]
        token = task in self.awaited
        configured = dma_configure_task(here, direction, task.channel, issue_token=token, repeat_count=task.repeats - 1)
        with bds(configured) as block:
            for number, bd in enumerate(task.bds):
                with block[number]:
                    self.descriptor(task, bd)
                    if number + 1 < len(task.bds):
                        next_bd(block[number + 1])
                    else:
                        EndOp()
                self.holders[task.tile, bd.number] = task
        self.tasks[task] = configured
        dma_start_task(configured)

    def descriptor(self, task: Task, bd) -> None:
        column = task.tile[0]
        memory = self.overlay.pools[column] if bd.argument is None else self.arguments[bd.argument]
        if bd.acquire:
            use_lock(self.overlay.locks[column, bd.acquire[0]], ACQUIRE, value=bd.acquire[1])
        loops = [(1, 0)] * (3 - len(bd.loops)) + list(bd.loops)
        dma_bd(memory, offset=bd.offset // 4, len=bd.bytes // 4, dimensions=[bd.iteration, *loops], bd_id=bd.number)
        if bd.release:
            use_lock(self.overlay.locks[column, bd.release[0]], RELEASE, value=bd.release[1])

    def release(self, task: Task) -> None:
        self.holders = {key: holder for key, holder in self.holders.items() if holder is not task}


def build(arch: str, ops: List[str], program: Program) -> None:
    """Emits the module into the current MLIR context."""
    name, cols = DEVICES[arch]
    if program.columns != cols:
        raise taps.Unplannable(f"{arch} has {cols} columns, the launch is for {program.columns}")

    @device(getattr(AIEDevice, name))
    def encoder():
        array = Overlay(cols, ops)

        @runtime_sequence(*[words_of(size) for size in extents(program)], sym_name="launch")
        def launch(*arguments):
            Launch(array, program, list(arguments)).emit()


def main(argv: List[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=tuple(DEVICES), required=True)
    everything = [op for op in worker.OPS if op != "attention_i8"]
    parser.add_argument("--ops", default=",".join(everything), help="operations in the cores' program, by commas")
    parser.add_argument("launch", nargs=argparse.REMAINDER, help="a launch, in the words of taps.py")
    arguments = parser.parse_args(argv)
    ops = arguments.ops.split(",")
    unknown = [op for op in ops if op not in worker.OPS]
    if unknown:
        parser.error(f"no operation is named {', '.join(unknown)}; there are {', '.join(worker.OPS)}")
    try:
        program = taps.from_arguments(taps.parser().parse_args(arguments.launch))
        with mlir_mod_ctx() as context:
            build(arguments.arch, ops, program)
            problem = context.module.operation.verify()
            if problem is not True:
                print(problem, file=sys.stderr)
                return 1
            print(context.module)
    except taps.Unplannable as error:
        print(f"encoder.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
