"""The seed's calls: functions, buffers, images. Data only, for the designs and the index of what was built."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple


@dataclass(frozen=True)
class Call:
    """`function(input, output[, scalar])`. With `accumulates` the output comes in first, on the second input channel."""

    function: str
    input_bytes: int
    output_bytes: int
    scalar: Optional[int] = None
    accumulates: bool = False

    def arguments(self) -> List[Tuple[str, int]]:
        """Role and bytes of each argument of a launch, in order."""
        before = [("input", self.output_bytes)] if self.accumulates else []
        return [("input", self.input_bytes), *before, ("output", self.output_bytes)]


# 4: the shift of the scores in the seed's design (attention_64x64.mlir).
IMAGES: Dict[str, Dict[str, Call]] = {
    "seed_matmul": {
        "matmul_16x16_i8": Call("matmul_16x16_i8", 512, 256),
        "matmul_16x16_i32": Call("matmul_16x16_i32", 512, 1024),
        "matmul_16x16_acc_i32": Call("matmul_16x16_acc_i32", 512, 1024, accumulates=True),
    },
    "seed_attention": {"attention_64x64_i8": Call("attention_64x64_i8", 12288, 4096, scalar=4)},
}
