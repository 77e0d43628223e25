"""The index names what was built, with the hash of the kernels' files."""

import tempfile
import unittest
from pathlib import Path

import shapes
import write_index
from program import Program, Tap, fingerprint
from taps import Drain, Segment


class Index(unittest.TestCase):
    def test_the_hash_is_fnv_1a(self):
        self.assertEqual(fingerprint(b""), "6c62272e07bb014262b821756295c58d")
        self.assertEqual(fingerprint(b"a"), "d228cb696f1a8caf78912b704e4a8964")

    def test_files_count_in_the_order_of_their_names(self):
        with tempfile.TemporaryDirectory() as root:
            kernels = Path(root)
            (kernels / "src").mkdir()
            for name, text in (("b.h", "2"), ("a.cc", "1"), ("notes", "x")):
                (kernels / "src" / name).write_text(text)
            (kernels / "manifest.toml").write_text("m")
            self.assertEqual(write_index.sources_hash(kernels), fingerprint(b"m\0a.cc\0" + b"1\0b.h\0" + b"2\0"))

    def test_what_is_built_is_listed_and_the_rest_is_told(self):
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root)
            (folder / "encoder.xclbin").write_bytes(b"x")
            (folder / "base-attention0-bf16.insts").write_bytes(b"x")
            text, missing = write_index.index("aie2", "0" * 32, folder)
        self.assertEqual(text.count("[[image]]"), 1)
        self.assertEqual(text.count("[[image.entry]]"), 1)
        self.assertIn('instructions = "base-attention0-bf16.insts"', text)
        self.assertIn('{ role = "weight", bytes = 4096 }', text)
        self.assertIn("seed_matmul", missing)
        self.assertIn("base-qkv0-bf16-both", missing)
        self.assertNotIn("base-attention0-bf16", missing)

    def test_keys_tell_launches_apart_and_do_not_see_the_order_between_channels(self):
        for cols in (4, 8):
            keys = [shapes.program_of(launch).key() for _, launch in list(shapes.catalogue(cols))[:40]]
            self.assertEqual(len(keys), len(set(keys)))
        a, b = (Segment(side, 1, Tap.of(0, 0, 4096), 1, 0, 0) for side in "AB")
        c, d = (Drain(column, Tap.of(2, 0, 128), 0) for column in (0, 1))
        one, other = Program(4, 4, [a, b], [c, d]), Program(4, 4, [b, a], [d, c])
        self.assertNotEqual(one.words(), other.words())
        self.assertEqual(one.key(), other.key())
        self.assertNotEqual(one.key(), Program(4, 4, [a, b], [c]).key())


if __name__ == "__main__":
    unittest.main()
