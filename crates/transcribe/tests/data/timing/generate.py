"""Writes expected.json: pieces of OpenAI's timing.py, and the whole of it over a made-up model.

Needs an installed openai-whisper (v20250625) with torch:
    python generate.py [COUNT OUTPUT SEED]
With arguments it writes as many random cases of the whole into OUTPUT, for a check by hand.

The model's attention scores are not stored: `scores` below and the test compute them alike, from integers. Floats are
strings (their repr), because JSON readers may round and know no NaN. The tokenizer is ../tokenizer/small-*.json.
"""
import base64, json, pathlib, random, sys

import numpy as np, tiktoken, torch
import whisper, whisper.timing as timing, whisper.tokenizer as tok

PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
HERE = pathlib.Path(__file__).parent


def small_tokenizer(multilingual, language, task):
    path = pathlib.Path(tok.__file__).parent / "assets" / ("multilingual.tiktoken" if multilingual else "gpt2.tiktoken")
    ranks = {base64.b64decode(t): int(r) for t, r in (l.split() for l in path.read_text().splitlines()[:512])}
    if multilingual:
        ranks[b""] = len(ranks)
    names = ["<|endoftext|>", "<|startoftranscript|>", *[f"<|{l}|>" for l in list(tok.LANGUAGES)[:99]], "<|translate|>", "<|transcribe|>",
             "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>", *[f"<|{i * 0.02:.2f}|>" for i in range(1501)]]
    special = {t: len(ranks) + i for i, t in enumerate(names)}
    encoding = tiktoken.Encoding(name=f"small-{multilingual}", explicit_n_vocab=len(ranks) + len(special), pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special)
    return tok.Tokenizer(encoding=encoding, num_languages=99, language=language if multilingual else None, task=task if multilingual else None)


def scores(heads, centres, frames, seed):
    """[heads, tokens, frames]: noise in 0 .. 2 and a peak of height 6 about each token's centre, in f32."""
    h, t, f = np.meshgrid(np.arange(heads, dtype=np.uint64), np.arange(len(centres), dtype=np.uint64), np.arange(frames, dtype=np.uint64), indexing="ij")
    x = (h * 73856093 ^ t * 19349663 ^ f * 83492791 ^ np.uint64(seed * 2654435761)) & 0xFFFFFFFF
    x = (x * 1103515245 + 12345) & 0xFFFFFFFF
    x = ((x >> 13 ^ x) * 1103515245 + 12345) & 0xFFFFFFFF
    noise = (x >> 16).astype(np.float64) / 32768
    distance = np.abs(f.astype(np.float64) - np.array(centres, dtype=np.float64)[None, :, None])
    return (noise + np.maximum(0.0, 6 - distance * 0.5)).astype(np.float32)


class Cross(torch.nn.Module):
    def __init__(self, qk): super().__init__(); self.qk = qk
    def forward(self, x): return x, self.qk


class Model:
    """Two layers of two heads, of which three are alignment heads."""
    device = "cpu"
    def __init__(self, qk, logits):
        self.logits = logits
        full = torch.zeros(2, 2, *qk.shape[1:])
        full[0, 1], full[1, 0], full[1, 1] = torch.from_numpy(qk)
        block = lambda layer: type("Block", (), {"cross_attn": Cross(full[layer][None])})()
        self.decoder = type("Decoder", (), {"blocks": [block(0), block(1)]})()
        self.dims = type("Dims", (), {"n_text_layer": 2})()
        self.alignment_heads = torch.tensor([[False, True], [True, True]]).to_sparse()
    def __call__(self, mel, tokens):
        for block in self.decoder.blocks: block.cross_attn(tokens)
        return self.logits[None, : tokens.shape[1]]


WORDS = {"en": [" and", " so", " the", " American", "s", ",", ".", "!", "?", " \"", " (", ")", "-", " ...", " it", "'s", " a", " he", " then", " extraordinarily", " 1", "5"],
         "ja": ["今日", "は", "。", "、", "「", "」", "天気", "!", " ", "a"], "de": [" Übung", " und", ".", " „", "“", ",", " ja", " — "]}


def whole(rng, number):
    multilingual = number % 4 != 3
    language, task = (rng.choice(["en", "ja", "de"]), rng.choice(["transcribe", "transcribe", "translate"])) if multilingual else ("en", "transcribe")
    tokenizer = small_tokenizer(multilingual, language, task)
    seek, begin = rng.choice([0, 0, 137, 2345, 360001]), tokenizer.timestamp_begin
    offset = seek * 160 / 16000
    sot = len(tokenizer.sot_sequence)
    step = lambda: rng.choice([0, 2, 5, 9, 9, 13, 20, 20, 31, 60, 90])
    centres, at, segments = [0] * (sot + 1), rng.choice([0, 0, 10, 120]), []
    for _ in range(rng.choice([1, 1, 2, 3])):
        text = "".join(rng.choice(WORDS[language]) for _ in range(rng.choice([0, 1, 2, 5, 9, 14])))
        tokens, first = tokenizer.encode(text), at
        for i, token in enumerate(tokens):
            centres.append(at)
            at += step() if rng.random() < (0.6 if language == "en" else 0.2) else 0
            # long first words and long sentence ends, which are cut
            at += rng.choice([0, 31, 45, 60]) if i == 0 or tokenizer.decode([token]) in ".!?" else 0
        at += rng.choice([0, 0, 40, 170])
        a, b = max(0, first + rng.choice([0, 0, -30, 27, 30, 40, 60])), at + rng.choice([0, 0, -30, 30, -60])
        a, b = min(a, 1500), min(max(b, 0), 1500)
        segments.append({"seek": seek, "start": offset + a * 0.02, "end": offset + b * 0.02, "tokens": [begin + a, *tokens, begin + b]})
    centres.append(at)
    frames = min(1500, at + 30)
    num_frames = rng.choice([2 * frames - 20, 2 * frames - 21, 2 * frames] + ([0, 1, 2, 6, 8, 9] if number % 6 == 0 else []))
    seed = rng.randrange(1 << 20)
    text_tokens = [t for s in segments for t in s["tokens"] if t < tokenizer.eot]
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(centres), tokenizer.encoding.n_vocab, generator=generator) * 2
    for i, t in enumerate(text_tokens): logits[sot + i, t] += rng.choice([0, 5, 9, 12])
    probs = logits[sot:, : tokenizer.eot].softmax(dim=-1)[np.arange(len(text_tokens)), text_tokens].tolist() if text_tokens else []
    model = Model(scores(3, centres, frames, seed), logits)
    last = rng.choice([0.0, max(0.0, offset - 1), max(0.0, offset - 4.5), offset])
    punctuation = rng.choice([("\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")] * 3 + [("", ""), ("", ""), ("„(", ",.")])
    case = {"multilingual": multilingual, "language": language, "task": task, "centres": centres, "frames": frames, "seed": seed, "num_frames": num_frames,
            "token_probs": probs, "last_speech_timestamp": last, "prepend": punctuation[0], "append": punctuation[1],
            "segments": [dict(s) for s in segments]}
    timing.add_word_timestamps(segments=segments, model=model, tokenizer=tokenizer, mel=torch.zeros(1, 1), num_frames=num_frames,
                               prepend_punctuations=punctuation[0], append_punctuations=punctuation[1], last_speech_timestamp=last)
    case["expected"] = [{"start": float(s["start"]), "end": float(s["end"]), "words": [[w["word"], float(w["start"]), float(w["end"]), float(w["probability"])] for w in s["words"]]} for s in segments]
    return text_floats(case)


def text_floats(value):
    if isinstance(value, float): return repr(value)
    if isinstance(value, dict): return {k: text_floats(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)): return [text_floats(v) for v in value]
    return value


def pieces(rng):
    nan = float("nan")
    dtw = []
    for n, m in [(1, 1), (1, 5), (5, 1), (3, 3), (4, 7), (7, 4), (6, 6), (5, 12), (9, 9)]:
        for levels in [1, 2, 3, 1000]:
            x = np.array([[float(rng.randrange(levels)) for _ in range(m)] for _ in range(n)])
            dtw.append([x.tolist(), timing.dtw_cpu(x).T.tolist()])
    for at in [(0, 2), (3, 0), (2, 3), (3, 5)]:
        x = np.array([[float(rng.randrange(9)) for _ in range(6)] for _ in range(4)]); x[at] = nan
        dtw.append([x.tolist(), timing.dtw_cpu(x).T.tolist()])
    x = np.zeros((3, 0)); dtw.append([x.tolist(), timing.dtw_cpu(x).T.tolist()])
    # cells whose costs tie in f32 but not in f64
    x = np.array([[1e8, 1.0, 3.0], [2.0, 1e8, 1.0], [1.0, 2.5, 1e8]]); dtw.append([x.tolist(), timing.dtw_cpu(x).T.tolist()])
    median = []
    for size in [1, 3, 4, 5, 7, 8, 20]:
        for holes in [0, 1, 5]:
            row = [float(rng.randrange(-20, 20)) / 4 for _ in range(size)]
            for _ in range(holes): row[rng.randrange(size)] = nan
            median.append([row, timing.median_filter(torch.tensor([[row]]), 7)[0, 0].tolist()])
    merged = []
    pool = [" \"", " (", " hello", "hello", ",", ".", "!?", "”)", " -", " ", "", "'", " '", " ¿", "。", "、", " word "]
    for _ in range(60):
        words = [rng.choice(pool) for _ in range(rng.randrange(0, 8))]
        alignment = [timing.WordTiming(w, [i], 0.0, 0.0, 0.0) for i, w in enumerate(words)]
        timing.merge_punctuations(alignment, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
        merged.append([words, [[w.word, w.tokens] for w in alignment]])
    numbers = []
    for size in [1, 2, 3, 7, 8, 9, 15, 16, 17, 40, 128, 129, 300]:
        values = [rng.random() for _ in range(size)]
        numbers.append([values, float(np.mean(values)), float(np.median(values))])
    rounded = [[x, float(round(np.float64(x), 2))] for x in [0.005, 0.015, 0.025, 1.005, 2.675, 0.285, 29.99, 3600.125, 1e-9, 1234567.891, 0.145, 4.35, 8.575]]
    return {"dtw": dtw, "median_filter": median, "merge_punctuations": merged, "mean_and_median": numbers, "round2": rounded}


if len(sys.argv) > 1:
    rng = random.Random(int(sys.argv[3]))
    pathlib.Path(sys.argv[2]).write_text(json.dumps({"cases": [whole(rng, i) for i in range(int(sys.argv[1]))]}, separators=(",", ":")))
else:
    rng = random.Random(3)
    (HERE / "expected-pieces.json").write_text(json.dumps(text_floats(pieces(rng)), separators=(",", ":")) + "\n")
    (HERE / "expected-whole.json").write_text(json.dumps({"cases": [whole(rng, i) for i in range(60)]}, separators=(",", ":")) + "\n")
