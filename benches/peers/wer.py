"""Word error rate: edits between two texts over the words of the reference, case and punctuation aside."""

import re


def words(text: str) -> list:
    return re.findall(r"[a-z0-9']+", text.lower().replace("’", "'").replace("-", " "))


def wer(reference: str, hypothesis: str) -> float:
    want, got = words(reference), words(hypothesis)
    row = list(range(len(got) + 1))
    for i, word in enumerate(want, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1] / max(len(want), 1)
