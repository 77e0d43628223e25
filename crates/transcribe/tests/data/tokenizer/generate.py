"""Writes the tokenizer fixtures of this folder with OpenAI's own tokenizer.py.

Needs `pip install tiktoken` and a checkout of openai-whisper (v20250625):
    python generate.py PATH_TO/openai-whisper/whisper

small-*.json are tokenizers in the layout of the Hugging Face hub, made of the first 512 ranks of OpenAI's vocabularies
(MIT licence) and all special tokens without the timestamps, as the hub's older files are. expected-*.json hold what
tokenizer.py says about them, and about the whole multilingual vocabulary (expected-base.json).
"""
import base64, dataclasses, importlib.util, json, pathlib, random, sys

import tiktoken

WHISPER = pathlib.Path(sys.argv[1])
HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("openai_tokenizer", WHISPER / "tokenizer.py")
ref = importlib.util.module_from_spec(spec)
sys.modules["openai_tokenizer"] = ref
spec.loader.exec_module(ref)

PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def specials(num_languages):
    return [
        "<|endoftext|>", "<|startoftranscript|>", *[f"<|{l}|>" for l in list(ref.LANGUAGES)[:num_languages]],
        "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
        *[f"<|{i * 0.02:.2f}|>" for i in range(1501)],
    ]


def small_encoding(name, num_languages, ranks_kept):
    lines = (WHISPER / "assets" / f"{name}.tiktoken").read_text().splitlines()
    ranks = {base64.b64decode(t): int(r) for t, r in (l.split() for l in lines[:ranks_kept])}
    if name == "multilingual":
        ranks[b""] = len(ranks)  # as the whole vocabulary ends
    special = {t: len(ranks) + i for i, t in enumerate(specials(num_languages))}
    return tiktoken.Encoding(name=name, explicit_n_vocab=len(ranks) + len(special), pat_str=PATTERN,
                             mergeable_ranks=ranks, special_tokens=special), ranks, special


def byte_alphabet():
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table, n = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in table:
            table[b], n = chr(256 + n), n + 1
    return table


ALPHABET = byte_alphabet()
mapped = lambda token: "".join(ALPHABET[b] for b in token)


def halves(token, ranks):
    """The pair that merges last into `token`: how the hub's `merges` lists it."""
    parts = [bytes([b]) for b in token]
    while len(parts) > 2:
        best = min(range(len(parts) - 1), key=lambda i: (ranks.get(parts[i] + parts[i + 1], 1 << 30), i))
        parts[best:best + 2] = [parts[best] + parts[best + 1]]
    return parts


def hub_file(ranks, special, no_speech, merges_as_text):
    merges = [[mapped(p) for p in halves(t, ranks)] for t in ranks if len(t) > 1]
    added = [{"id": i, "content": t.replace("nospeech", no_speech), "special": True}
             for t, i in special.items() if not t[2].isdigit()]
    return {"version": "1.0", "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "model": {"type": "BPE", "vocab": {mapped(t): i for t, i in ranks.items()},
                      "merges": [" ".join(m) for m in merges] if merges_as_text else merges}}


TEXTS = [
    "", " ", "  ", "\n", " \n ", "a", " a", "Hello, world!", " And so my fellow Americans, ask not what your country can do for you",
    "I'm sure they've said it's what we'd do; you'll see he'd say: don't!", "I'M SURE THEY'VE", "x's'''s 't", "1234567890 12 3.14 ½ ² Ⅷ ٣٤",
    "tabs\tand\t\ttwo   spaces  \n\n  newlines\r\n end   ", "\u00a0nbsp\u2003em\u3000wide \u2028sep\u0085nel\u001cfs\u200bzwsp",
    "Übergrößenträger naïve façade – “quoted” …", "Привет, как дела? Всё хорошо.", "今日はいい天気ですね。「はい」", "你好，世界！我们走吧。",
    "안녕하세요 세계", "สวัสดีชาวโลก", "ສະບາຍດີ", "မင်္ဂလာပါ", "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया", "Γειά σου Κόσμε",
    "👍🏽 family 👨‍👩‍👧‍👦 flag 🇩🇪 ♪♪♪ ♩♪♫♬♭♮♯", "e\u0301 combining a\u0308", "\ufffd replacement \ufffd\ufffd", "(SPEAKING) [DAVID] <<hi>> -- --- {{x}}",
    "$19.99 + 20% = @#^&*_|~`\\/", "a" * 70, " " * 40 + "x", "-" * 33, "!?" * 20, "<|notaspecial|> <| endoftext|> <|en", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ℵ ﬁ ª º ʰ ᾼ ⅷ ⓐ", "'s", "'S", "\u2019s", "\ud7ff\ue000\U0010ffff\x00\x7f",
    " ﷽ ǅ Ⅳ़ ा", "no-break\u202fthin\u2009space  \u00a0  x",
]
rng = random.Random(20250625)
POOLS = ["abc de'fgh I", "  \n\t.,!?-'\"()", "0123456789", "äöüßéñ", "日本語中文字あいう。", "привет", "ไทยລາວမြန်", "🎉😀🇯🇵\u200d", "ا ل م"]
for _ in range(25):
    TEXTS.append("".join(rng.choice(rng.choice(POOLS)) for _ in range(rng.randint(1, 40))))


def expected(tokenizer, ranks, n_vocab):
    eot, begin = tokenizer.eot, tokenizer.timestamp_begin
    encode = [[t, tokenizer.encode(t)] for t in TEXTS]
    refused = ["<|endoftext|>", "a <|en|>", "<|0.00|>", "<|30.00|> x", "<|nospeech|>"]
    for text in refused:
        try:
            tokenizer.encode(text)
            raise SystemExit(f"{text} was not refused")
        except ValueError:
            pass
    lists = [ids for _, ids in encode if ids and len(ids) <= 60]
    for _ in range(50):
        ids = []
        for _ in range(rng.randint(1, 24)):
            kind = rng.random()
            if kind < 0.55: ids.append(rng.randrange(256))  # single bytes: mostly broken UTF-8
            elif kind < 0.85: ids.append(rng.randrange(len(ranks)))
            elif kind < 0.93: ids.append(rng.randrange(eot, begin))
            else: ids.append(rng.randrange(begin, n_vocab))
        lists.append(ids)
    # every start of broken UTF-8: lead byte, then bytes from around the limits
    byte_id = {t[0]: i for t, i in ranks.items() if len(t) == 1}
    edge = [0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF]
    for lead in [0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF]:
        row = []
        for a in edge:
            row += [byte_id[x] for x in (lead, a, rng.choice(edge), 0x41)] + [byte_id[x] for x in (lead, a, 0x80, rng.choice(edge), 0x42)]
        lists.append(row)
    decode = [[ids, tokenizer.decode(ids), tokenizer.decode_with_timestamps(ids)] for ids in lists]
    split, crashes = [], 0
    for i, ids in enumerate(lists):
        for language in (("en", "ja")[i // 2 % 2:][:1] if tokenizer.language else (None,)):
        
            t = dataclasses.replace(tokenizer, language=language)
            ids_eot = ids + [eot] if i % 2 else list(ids)
            try:
                words, tokens = t.split_to_word_tokens(list(ids_eot))
            except IndexError:  # a known fault of the reference: nothing to compare with
                crashes += 1
                continue
            split.append([language or "en", ids_eot, words, tokens])
    names = ["eot", "sot", "sot_lm", "sot_prev", "translate", "transcribe", "no_speech", "no_timestamps", "timestamp_begin"]
    special = tokenizer.special_tokens
    languages = [[c, special[f"<|{c}|>"]] for c in list(ref.LANGUAGES)[:tokenizer.num_languages]] if tokenizer.language else []
    sequences = [[l, k, list(dataclasses.replace(tokenizer, language=l if tokenizer.language else None,
                  task=k if tokenizer.language else None).sot_sequence)]
                 for l, k in [("en", "transcribe"), ("de", "translate"), ("su", "transcribe")]]
    print(f"{tokenizer.encoding.name}: {len(split)} splits, {crashes} crashes of the reference")
    return {"n_vocab": n_vocab, "ids": {n: getattr(tokenizer, n) for n in names}, "languages": languages, "sot_sequences": sequences,
            "non_speech_tokens": list(tokenizer.non_speech_tokens), "refused": refused,
            "encode": encode, "decode": decode, "split": split}


def dump(name, value):
    (HERE / name).write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


for name, vocabulary, num_languages, no_speech, as_text in [
    ("english", "gpt2", 99, "nocaptions", True),
    ("multilingual", "multilingual", 99, "nocaptions", False),
    ("multilingual-yue", "multilingual", 100, "nospeech", False),
]:
    encoding, ranks, special = small_encoding(vocabulary, num_languages, 512)
    multi = vocabulary == "multilingual"
    tokenizer = ref.Tokenizer(encoding=encoding, num_languages=num_languages, language="en" if multi else None,
                              task="transcribe" if multi else None)
    dump(f"small-{name}.json", hub_file(ranks, special, no_speech, as_text))
    dump(f"expected-{name}.json", expected(tokenizer, ranks, encoding.n_vocab))

tokenizer = ref.get_tokenizer(True, num_languages=99, language="en", task="transcribe")
encoding = tokenizer.encoding
ranks = encoding._mergeable_ranks
dump("expected-base.json", expected(tokenizer, ranks, encoding.n_vocab))
(HERE / "languages.json").write_text(json.dumps({"languages": list(ref.LANGUAGES.items()), "codes": ref.TO_LANGUAGE_CODE}, separators=(",", ":")) + "\n")
if len(sys.argv) > 2:  # whole vocabularies in the hub's layout, for a check by hand of what is not bundled
    for name, vocabulary, languages in [("english", "gpt2", 99), ("yue", "multilingual", 100)]:
        t = ref.get_tokenizer(vocabulary != "gpt2", num_languages=languages)
        e = t.encoding
        out = pathlib.Path(sys.argv[2])
        special = dict(sorted(e._special_tokens.items(), key=lambda x: x[1]))
        (out / f"whole-{name}.json").write_text(json.dumps(hub_file({k: v for k, v in e._mergeable_ranks.items()}, special, "nospeech", True)))
        (out / f"whole-expected-{name}.json").write_text(json.dumps(expected(t, e._mergeable_ranks, e.n_vocab)))
