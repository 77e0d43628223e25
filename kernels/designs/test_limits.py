"""The checker finds what is broken, and the designs break nothing."""

import unittest
from dataclasses import replace

import check_limits
import overlay
import shapes
import taps
from check_limits import check_bd, check_launch, check_loops, check_overlay, check_sequence
from overlay import CORE, MEMTILE, SHIM
from program import Tap, Unplannable
from sequence import MM2S, Bd, Sequence, SetLock, Start, Task, compile_program, legal_walk


class Designs(unittest.TestCase):
    def test_the_overlay_keeps_the_limits(self):
        for cols in (4, 8):
            self.assertEqual(check_overlay(cols), [])

    def test_every_launch_keeps_the_limits(self):
        for cols in (4, 8):
            names = set()
            for name, launch in shapes.catalogue(cols):
                with self.subTest(cols=cols, name=name):
                    self.assertEqual(check_launch(shapes.program_of(launch))[1], [])
                    self.assertNotIn(name, names)
                    names.add(name)
            self.assertGreater(len(names), 100)

    def test_attention_in_int8_keeps_the_limits(self):
        for cols in (4, 8):
            for _, heads, _ in (vars(model).values() for model in shapes.MODELS.values()):
                program = taps.int8_attention(taps.Int8Attention(shapes.FRAMES, heads, cols))
                self.assertEqual(check_launch(program)[1], [])

    def test_every_product_of_every_model_has_an_order(self):
        for cols in (4, 8):
            for name, model in shapes.MODELS.items():
                for dtype in ("bf16", "i8"):
                    for what, launch in shapes.launches(model, cols, dtype):
                        if isinstance(launch, taps.Gemm):
                            with self.subTest(name=name, what=what, dtype=dtype, cols=cols):
                                self.assertTrue(shapes.orders(launch))

    def test_options_make_the_same_launch(self):
        for cols in (4, 8):
            for _, launch in list(shapes.catalogue(cols))[::7]:
                parser = taps.parser()
                parsed = taps.from_arguments(parser.parse_args(shapes.options(launch).split()))
                self.assertEqual(parsed.words(), shapes.program_of(launch).words())


def task(kind: int, channel: int = 0, repeats: int = 1, **bd) -> Task:
    fields = dict(number=0, offset=0, bytes=64, loops=((16, 1),), argument=0 if kind == SHIM else None)
    return Task((0, kind), MM2S, channel, (Bd(**{**fields, **bd}),), repeats)


class Checker(unittest.TestCase):
    def test_what_a_descriptor_cannot_do_is_found(self):
        for right in (
            task(SHIM),
            task(MEMTILE, acquire=(3, 1), release=(63, 63)),
            task(MEMTILE, channel=1, number=24),
            task(SHIM, bytes=8 * 1 << 20, loops=((2 << 20, 1),)),
            task(SHIM, bytes=4 * 1023, loops=((1023, 1),), iteration=(64, 1 << 20)),
        ):
            self.assertEqual(check_bd(right, right.bds[0]), [])
        for wrong in (
            task(SHIM, offset=2),
            task(SHIM, bytes=62),
            task(SHIM, bytes=60),
            task(SHIM, number=16),
            task(SHIM, argument=None),
            task(SHIM, bytes=8192, loops=((2, 4096), (1024, 1))),
            task(SHIM, bytes=8192 * 4, loops=((2, 4096), (1024, 4), (4, 1))),
            task(SHIM, loops=((2, 1 << 21), (8, 1))),
            task(SHIM, loops=((2, 64), (2, 32), (2, 16), (2, 1))),
            task(SHIM, iteration=(65, 16)),
            task(SHIM, iteration=(2, 0)),
            task(MEMTILE, number=24),
            task(MEMTILE, channel=1, number=23),
            task(MEMTILE, acquire=(64, 1)),
            task(MEMTILE, release=(0, 64)),
            task(MEMTILE, offset=overlay.POOL_BYTES),
            task(MEMTILE, argument=1),
            task(MEMTILE, loops=((2, 1 << 18), (8, 1))),
        ):
            with self.subTest(wrong=wrong):
                self.assertTrue(check_bd(wrong, wrong.bds[0]))

    def test_a_core_counts_to_less(self):
        self.assertEqual(check_loops(CORE, ((2, 64), (255, 1)), 3), [])
        self.assertTrue(check_loops(CORE, ((2, 64), (256, 1)), 3))
        self.assertTrue(check_loops(CORE, ((2, 1 << 14), (8, 1)), 3))

    def test_full_queues_long_repeats_and_high_locks_are_found(self):
        starts = [Start(task(SHIM, number=n)) for n in range(5)]
        self.assertEqual(check_sequence(Sequence(ops=starts[:4])), [])
        self.assertTrue(check_sequence(Sequence(ops=starts)))
        self.assertTrue(check_sequence(Sequence(ops=[Start(task(MEMTILE, repeats=257))])))
        self.assertTrue(check_sequence(Sequence(ops=[SetLock(0, 64, 0)])))
        self.assertTrue(check_sequence(Sequence(ops=[SetLock(0, 0, 64)])))

    def test_a_fuller_overlay_is_found(self):
        for name, value in (
            ("STACK_BYTES", 8192),
            ("FREE_BDS", {overlay.A: range(0, 19), overlay.B: range(24, 46)}),
            ("FREE_BDS", {overlay.A: range(0, 18), overlay.B: range(23, 46)}),
            ("C_LOCKS", 60),
            ("REORDER_A", [(2, 2)] * 5),
        ):
            before = getattr(overlay, name)
            setattr(overlay, name, value)
            try:
                self.assertTrue(check_overlay(4), name)
            finally:
                setattr(overlay, name, before)

    def test_words_of_four_bytes(self):
        for tap in (Tap.of(0, 2, 64), Tap.of(0, 0, 66), Tap.of(0, 0, 64, (2, 66))):
            with self.assertRaises(Unplannable):
                legal_walk(tap)
        with self.assertRaises(Unplannable):
            legal_walk(Tap.of(0, 0, 64, (2, 4096), (2, 1024), (2, 512), (2, 128)))

    def test_a_repeat_that_a_lock_cannot_count_is_refused(self):
        program = taps.gemm(taps.Gemm(256, 64, 64 * 256, order="a_resident"))
        with self.assertRaises(Unplannable):
            compile_program(program)

    def test_the_table_says_when_a_limit_breaks(self):
        before = check_limits.MOST_ITERATIONS
        check_limits.MOST_ITERATIONS = 8
        try:
            long = replace(taps.Attention(1500, 8), frames=300)
            self.assertTrue(check_launch(taps.attention(long))[1])
        finally:
            check_limits.MOST_ITERATIONS = before


if __name__ == "__main__":
    unittest.main()
