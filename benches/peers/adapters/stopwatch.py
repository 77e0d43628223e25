"""Milliseconds between laps."""

import time


class Stopwatch:
    def __init__(self):
        self.begin = self.last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        lap, self.last = now - self.last, now
        return lap * 1e3

    def total(self) -> float:
        return (time.perf_counter() - self.begin) * 1e3
