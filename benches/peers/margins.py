"""How near openai-whisper came to deciding otherwise, while it decodes greedily.

Two f32 implementations differ by rounding; a stored token is a fair oracle only where the reference's own choice has
room. `record()` watches every greedy step and the timestamp rule and keeps the smallest distances, in logits.
"""

from contextlib import contextmanager

import torch.nn.functional as F
from whisper import decoding


class Margins:
    def __init__(self, timestamp_begin: int):
        self.timestamp_begin = timestamp_begin
        self.token = float("inf")  # best minus second best logit after the filters
        self.timestamp_rule = float("inf")  # |log sum p(timestamps) - max log p(text)|, where both are possible

    def as_dict(self) -> dict:
        def plain(value):
            return None if value == float("inf") else round(value, 6)
        return {"token": plain(self.token), "timestamp_rule": plain(self.timestamp_rule)}


class _Functional:
    """Stands for torch.nn.functional inside whisper.decoding, to see what the timestamp rule compares."""

    def __init__(self, seen: Margins):
        self.seen = seen

    def __getattr__(self, name):
        return getattr(F, name)

    def log_softmax(self, logits, dim):
        result = F.log_softmax(logits, dim=dim)
        first = self.seen.timestamp_begin
        for row in result:
            timestamps = row[first:].logsumexp(dim=-1).item()
            text = row[:first].max().item()
            if float("-inf") not in (timestamps, text):
                self.seen.timestamp_rule = min(self.seen.timestamp_rule, abs(timestamps - text))
        return result


@contextmanager
def record(timestamp_begin: int):
    seen = Margins(timestamp_begin)
    update, functional = decoding.GreedyDecoder.update, decoding.F

    def watched(self, tokens, logits, sum_logprobs):
        best = logits.topk(2, dim=-1).values
        for row, last in zip(best, tokens[:, -1]):
            if last != self.eot:
                seen.token = min(seen.token, (row[0] - row[1]).item())
        return update(self, tokens, logits, sum_logprobs)

    decoding.GreedyDecoder.update = watched
    decoding.F = _Functional(seen)
    try:
        yield seen
    finally:
        decoding.GreedyDecoder.update = update
        decoding.F = functional
