"""Writes filters.json, search.json and compression.json: what openai-whisper 20250625 does with hashed logits.

Run in an environment with `pip install openai-whisper==20250625`:
    python make_decoding.py

The policy is OpenAI's own (whisper.decoding); only the tokenizer, the model and the random draws are replaced.
"""

import json
import random
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import torch
import whisper.decoding as decoding
from small_vocabulary import N_VOCAB, SmallTokenizer, SplitMix, hashed_logits, hashed_state

TOKENIZER = SmallTokenizer()
DIMS = SimpleNamespace(n_text_ctx=48, n_audio_ctx=1500, n_audio_state=1)


def dump(name, note, cases):
    meta = {"about": note, "openai-whisper": "20250625", "torch": torch.__version__, "python": sys.version.split()[0]}
    with open(name, "w") as file:
        lines = ",\n".join(json.dumps(case, separators=(",", ":"), ensure_ascii=False) for case in cases)
        file.write(f'{{"meta":{json.dumps(meta)},\n"cases":[\n{lines}\n]}}\n')
    print(name, len(cases))


def filters(rng):
    """Random sequences, most of which no search would produce, through each filter: which tokens stay."""
    for _ in range(300):
        seed = rng.getrandbits(63)
        sampled = []
        for _ in range(rng.choice([0, 0, 1, 2, 2, 3, 5, 9])):
            sampled.append(rng.randrange(30, 61) if rng.random() < 0.5 else rng.randrange(0, 20))
        most = rng.choice([None, 0, 1, 5, 50])
        logits = torch.tensor(hashed_logits(seed, 0.0))[None]
        lowered = rng.random() < 0.5  # else the timestamps nearly always outweigh the text
        if lowered:
            logits[:, 30:] -= 6
        tokens = torch.tensor([[20, 21, 24] + sampled])
        filters = [
            decoding.SuppressBlank(TOKENIZER, 3),
            decoding.SuppressTokens([2, 4, 5, 20]),
            decoding.ApplyTimestampRules(TOKENIZER, 3, most),
        ]
        stay = []
        for one in filters:
            row = logits.clone()
            one.apply(row, tokens)
            stay.append(f"{sum(1 << v for v in range(N_VOCAB) if row[0, v] != -np.inf):016x}")
        yield {"seed": str(seed), "lowered": lowered, "sampled": sampled, "max_initial": most, "stay": stay}


class HashedInference:
    """Logits from a hash of the tokens so far. The tokens carry the state, so no cache is rearranged."""

    def __init__(self, seed, eot_bias):
        self.seed, self.eot_bias, self.first = seed, eot_bias, True

    def logits(self, tokens, _audio):
        rows = []
        for sequence in tokens.tolist():
            state, positions = self.seed, []
            for index, token in enumerate(sequence):
                state = hashed_state(state, token)
                if self.first or index == len(sequence) - 1:
                    positions.append(hashed_logits(state, self.eot_bias))
            rows.append(positions)
        self.first = False
        return torch.tensor(np.array(rows))

    def rearrange_kv_cache(self, source_indices):
        pass

    def cleanup_caching(self):
        pass


class Draw:
    """Stands for torch's Categorical: inverts the cumulative sum with SplitMix64, as our sampler."""

    random = None

    def __init__(self, logits):
        self.logits = logits

    def sample(self):
        return torch.tensor([self.draw(row) for row in self.logits.double().numpy()])

    def draw(self, row):
        if self.finished.pop(0):
            return int(row.argmax())  # overwritten by the end of text, and its log-probability counts 0 times
        weights = np.exp(row - row.max())
        target, total = Draw.random.uniform() * weights.sum(), 0.0
        for index, weight in enumerate(weights):
            total += weight
            if weight > 0 and total > target:
                return index
        raise AssertionError("no draw")


class Greedy(decoding.GreedyDecoder):
    def update(self, tokens, logits, sum_logprobs):
        Draw.finished = (tokens[:, -1] == self.eot).tolist()
        return super().update(tokens, logits, sum_logprobs)


def random_options(rng):
    options = {}

    def maybe(probability, name, values):
        if rng.random() < probability:
            options[name] = rng.choice(values)

    maybe(0.6, "beam_size", [1, 2, 3, 5])
    if "beam_size" in options:
        maybe(0.4, "patience", [0.5, 1.0, 1.5, 2.0])
        maybe(0.1, "temperature", [0.6])
    else:
        maybe(0.5, "temperature", [0.2, 0.6, 1.0])
        if "temperature" in options:
            maybe(0.7, "best_of", [1, 2, 5])
    maybe(0.3, "length_penalty", [0.0, 0.3, 1.0])
    maybe(0.4, "sample_len", [1, 3, 12, 20, 30])
    maybe(0.3, "suppress_tokens", [[], [2, 7], [-1, 9], [0]])
    maybe(0.1, "suppress_blank", [False])
    maybe(0.2, "without_timestamps", [True])
    maybe(0.5, "max_initial_timestamp", [None, 0.0, 0.06, 0.1])
    if rng.random() < 0.4:
        options["prompt"] = [rng.randrange(0, 19) for _ in range(rng.choice([1, 5, 22, 23, 24, 40]))]
    if rng.random() < 0.2:
        options["prefix"] = [rng.randrange(0, 19) for _ in range(rng.choice([1, 4, 9]))]
    return options


def search(rng):
    decoding.get_tokenizer = lambda *_, **__: TOKENIZER
    decoding.GreedyDecoder = Greedy
    decoding.Categorical = Draw
    model = SimpleNamespace(
        is_multilingual=True,
        num_languages=2,
        dims=DIMS,
        decoder=SimpleNamespace(blocks=[]),
    )
    count = 0
    while count < 320:
        seed, draws = rng.getrandbits(63), rng.getrandbits(63)
        eot_bias = rng.choice([-4.0, 0.0, 3.0, 6.0])
        given = random_options(rng)
        copied = {name: list(value) if isinstance(value, list) else value for name, value in given.items()}
        options = decoding.DecodingOptions(language="en", fp16=False, **copied)
        try:
            task = decoding.DecodingTask(model, options)
        except AssertionError:
            continue  # round(beam_size * patience) is 0
        task.inference = HashedInference(seed, eot_bias)
        if options.beam_size is not None:
            task.decoder.inference = task.inference
        Draw.random = SplitMix(draws)
        try:
            result = task.run(torch.zeros(1, DIMS.n_audio_ctx, DIMS.n_audio_state))[0]
        except ZeroDivisionError:
            continue  # an empty candidate without length penalty
        count += 1
        yield {
            "seed": str(seed),
            "draws": str(draws),
            "eot_bias": eot_bias,
            "options": given,
            "tokens": result.tokens,
            "avg_logprob": result.avg_logprob,
            "no_speech_prob": result.no_speech_prob,
        }


def compression(rng):
    """Texts and the bytes of `zlib.compress`: short loops as Whisper hallucinates them, and ordinary sentences."""
    phrases = ["Thank you.", "I'm sorry.", "Okay.", "ご視聴ありがとうございました", "you", "Thanks for watching!", "♪", "да"]
    words = "the of and to in a is that for it was on are with as his they be at one have this from or had by".split()
    for phrase in phrases:
        for count in (1, 2, 4, 6, 8, 12, 30, 60):
            yield [" ".join([phrase] * count)]
    for _ in range(40):
        yield [" ".join(rng.choice(words) for _ in range(rng.randrange(1, 90)))]
    yield [""]


if __name__ == "__main__":
    dump("filters.json", "tokens that each filter leaves, as bits of a hexadecimal number", list(filters(random.Random(1))))
    dump("search.json", "results of DecodingTask.run", list(search(random.Random(2))))
    texts = [case[0] for case in compression(random.Random(3))]
    sized = [[text, len(zlib.compress(text.encode("utf-8")))] for text in texts]
    dump("compression.json", f"texts and the bytes of zlib.compress, zlib {zlib.ZLIB_RUNTIME_VERSION}", sized)
