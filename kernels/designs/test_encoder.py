"""The design script runs against recorded calls and says what the compiled sequence says. See fake_aie.py for how little
that proves of mlir-aie."""

import re
import unittest
from pathlib import Path

import fake_aie
import overlay
import taps
from overlay import CORE, MEMTILE, SHIM
from program import ROWS
from seed_calls import IMAGES
from sequence import Await, SetLock, Start, compile_program

LAUNCHES = [
    ("aie2", taps.Gemm(1500, 512, 1536, order="both")),
    ("aie2", taps.Gemm(1500, 2048, 512, order="b_resident", residual=True)),
    ("aie2", taps.Gemm(1500, 1280, 5120, order="streamed")),
    ("aie2p", taps.Gemm(1500, 512, 1536, dtype="i8", out="i32", order="a_resident", cols=8)),
    ("aie2", taps.Attention(1500, 8)),
    ("aie2", taps.Int8Attention(1500, 8)),
]


class Encoder(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.recorded = []
        for arch, launch in LAUNCHES:
            program = next(plan(launch) for kind, plan in taps.KINDS.values() if isinstance(launch, kind))
            with fake_aie.installed() as recorder:
                import encoder
                import worker

                encoder.build(arch, list(worker.OPS), program)
                cls.recorded.append((launch, program, recorder))

    def built(self):
        for launch, program, recorder in self.recorded:
            with self.subTest(launch=launch):
                yield program, recorder

    def test_every_task_is_said_once(self):
        for program, r in self.built():
            ops = compile_program(program).ops
            starts = [op for op in ops if isinstance(op, Start)]
            self.assertEqual(len(r.tasks), sum(not op.configured for op in starts))
            self.assertEqual(len(r.pushes), sum(op.configured for op in starts))
            self.assertEqual(len(r.awaits), sum(isinstance(op, Await) for op in ops))
            self.assertEqual(len(r.lock_sets), sum(isinstance(op, SetLock) for op in ops))
            self.assertTrue(all(task.started for task in r.tasks))
            told = [[(bd["bd_id"], 4 * bd["offset"], 4 * bd["len"]) for bd in task.descriptors] for task in r.tasks]
            want = [[(bd.number, bd.offset, bd.bytes) for bd in op.task.bds] for op in starts if not op.configured]
            self.assertEqual(told, want)
            for task in r.tasks:
                for bd in task.descriptors:
                    product = 1
                    for size, _ in bd["dimensions"][1:]:
                        product *= size
                    self.assertEqual((len(bd["dimensions"]), product), (4, bd["len"]))

    def test_streams_end_once_and_locks_and_memory_are_those_of_the_overlay(self):
        for program, r in self.built():
            cols = program.columns
            ends = [(tile, channel) for _, _, _, tile, _, channel in r.flows]
            self.assertEqual(len(ends), len(set(ends)))
            for (tile, use) in overlay.static_use(cols).items():
                self.assertEqual(sum(end[0] == tile for end in ends), use.s2mm, f"{tile}")
                sources = {(source, channel) for source, _, channel, _, _, _ in r.flows if source == tile}
                self.assertEqual(len(sources), use.mm2s, f"{tile}")
                locks = [options["lock_id"] for where, options in r.locks if where == tile]
                self.assertEqual(len(locks), len(set(locks)))
                self.assertEqual(len(locks), use.locks)
            per_core = [options["address"] for where, options in r.buffers if where == (0, CORE)]
            self.assertEqual(per_core, [at for _, at, _ in overlay.L1_BUFFERS])
            static = sum(1 for memory, _ in r.bds if memory.startswith("join_"))
            self.assertEqual(static, cols * 2 * ROWS)
            self.assertEqual(len(r.bds) - static, cols * ROWS * 9)
            self.assertEqual({where[1] for where, _ in r.buffers}, {MEMTILE, *range(CORE, CORE + ROWS)})
            self.assertFalse(any(where[1] == SHIM for where, _ in r.locks))

    def test_the_workers_call_every_tile_function(self):
        for _, r in self.built():
            called = {call[0] for call in r.calls}
            for name in (
                "zero_acc gemm_bf16_step2 gemm_i8_step2 finish_bf16 finish_bf16_residual finish_i8_bf16 finish_i8_i32 "
                "finish_i8_i8 attention_begin attention_scores attention_softmax attention_values attention_end "
                "attention_i8_scores attention_i8_softmax attention_i8_values attention_i8_end"
            ).split():
                self.assertIn(name, called)

    def test_a_core_gives_back_every_object_that_it_takes(self):
        for program, r in self.built():
            uses = [(lock, str(action)) for _, lock, action, _ in (c for c in r.calls if c[0] == "use_lock")]
            for tile in overlay.static_use(program.columns):
                if tile[1] < CORE:
                    continue
                for side in "ab":
                    full, free = ((tile, overlay.CORE_LOCKS[f"{side}_{state}"]) for state in ("full", "free"))
                    taken = sum(lock == full and "Acquire" in action for lock, action in uses)
                    given = sum(lock == free and "Release" in action for lock, action in uses)
                    self.assertGreater(taken, 0)
                    self.assertEqual(taken, given, f"{side} of {tile}")

    def test_a_launch_for_another_array_is_refused(self):
        with fake_aie.installed():
            import encoder

            with self.assertRaises(taps.Unplannable):
                encoder.build("aie2", ["gemm_bf16"], taps.gemm(taps.Gemm(256, 64, 512, cols=8)))

    def test_tile_functions_are_called_with_the_arguments_they_take(self):
        sources = Path(__file__).parent.parent / "src"
        if not sources.is_dir():
            self.skipTest("no kernels/src here")
        text = "".join(path.read_text() for path in sorted(sources.glob("*.cc")))
        text = re.sub(r"LOCAL\(([^)]*)\)", r"\1 *", text)
        taken = {name: arguments.count(",") + 1 for name, arguments in re.findall(r"\bvoid (\w+)\(([^)]*)\) *{", text)}
        for function, inputs in [item for _, _, r in self.recorded for item in r.functions] + self.seeds():
            self.assertEqual(taken.get(function), inputs, function)

    def seeds(self):
        functions = []
        for calls in IMAGES.values():
            with fake_aie.installed() as r:
                import seed

                seed.build("aie2", list(calls.values()), next(iter(calls.values())))
            functions += r.functions
        return functions

    def test_seeds_move_their_buffers(self):
        calls = IMAGES["seed_matmul"]
        with fake_aie.installed() as r:
            import seed

            seed.build("aie2", list(calls.values()), calls["matmul_16x16_acc_i32"])
        self.assertEqual({task.tile for task in r.tasks}, {(2, 0)})
        self.assertEqual([task.descriptors[0]["len"] for task in r.tasks], [512, 1024, 1024])
        self.assertEqual([task.issue_token for task in r.tasks], [False, False, True])
        self.assertEqual(len({(where, options["lock_id"]) for where, options in r.locks}), len(r.locks))
        balance = {}
        for call in [call for call in r.calls if call[0] == "use_lock"]:
            acquires, releases = balance.setdefault(call[1], [0, 0])
            balance[call[1]] = [acquires + ("Acquire" in str(call[2])), releases + ("Release" in str(call[2]))]
        # Every lock that is used is taken and given once a launch.
        self.assertEqual(set(map(tuple, balance.values())), {(1, 1)})


if __name__ == "__main__":
    unittest.main()
