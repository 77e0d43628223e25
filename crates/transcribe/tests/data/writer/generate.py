"""Writes expected.json: made-up results and what OpenAI's own writers make of them.

Needs a checkout of openai-whisper (v20250625), nothing else:
    python generate.py PATH_TO/openai-whisper/whisper [COUNT OUTPUT SEED]
With the second set of arguments it writes as many random results into OUTPUT, for a check by hand.

Floats are strings (their repr), because JSON readers may round and know no NaN.
"""
import importlib.util, io, json, pathlib, random, sys

spec = importlib.util.spec_from_file_location("openai_utils", pathlib.Path(sys.argv[1]) / "utils.py")
utils = importlib.util.module_from_spec(spec)
spec.loader.exec_module(utils)

WRITERS = {"txt": utils.WriteTXT, "vtt": utils.WriteVTT, "srt": utils.WriteSRT, "tsv": utils.WriteTSV, "json": utils.WriteJSON}
OPTIONS = [
    {}, {"highlight_words": True}, {"max_line_width": 12}, {"max_line_width": 20, "max_line_count": 1},
    {"max_line_width": 10, "max_line_count": 2}, {"max_line_width": 16, "max_line_count": 2, "highlight_words": True},
    {"max_words_per_line": 2}, {"max_words_per_line": 3, "highlight_words": True}, {"max_line_count": 1},
    {"max_line_width": 0, "max_line_count": 0, "max_words_per_line": 0}, {"max_words_per_line": 1, "max_line_width": 8},
]


def segment(i, start, end, text, words=None, **more):
    s = {"id": i, "seek": i * 100, "start": start, "end": end, "text": text, "tokens": [50364 + i, 1, 2], "temperature": 0.0,
         "avg_logprob": -0.25, "compression_ratio": 1.5, "no_speech_prob": 0.01, **more}
    if words is not None:
        s["words"] = [{"word": w, "start": a, "end": b, "probability": p} for w, a, b, p in words]
    return s


def result(segments, language="en"):
    return {"text": "".join(s["text"] for s in segments), "segments": segments, "language": language}


def made_words(rng, start, count):
    pool = [" and", " so", " Americans,", " ask", " not", "-what", " \"you", " (can)", " do.", " 日本", "語", "の", " привет", " 👍🏽", " a\nb",
            " x\n", "\n", " ", "", " \t", " -->", " <b>", " e\u0301", "\x1c y\x1f", " verylongwordindeedverylong"]
    words, t = [], start
    for _ in range(count):
        t = round(t + rng.choice([0, 0, 0, 0.02, 0.3, 3.0, 3.02, 7.5]), 2)
        end = round(t + rng.choice([0, 0.02, 0.24, 0.5, 1.12]), 2)
        words.append((rng.choice(pool), t, end, rng.random()))
        t = end
    return words


def made(rng, with_words):
    segments, t = [], rng.choice([0.0, 0.0, 12.34, 3599.0, 3599.9996, 359990.5])
    for i in range(rng.randint(0, 4)):
        words = made_words(rng, t, rng.choice([0, 1, 3, 7])) if with_words else None
        end = words[-1][2] if words else t + rng.choice([0.0, 2.0, 0.0005, 28.9999])
        text = "".join(w[0] for w in words) if words else rng.choice([" Hello.", "", " \t tab\tin\t ", " a --> b ---> c", " línea\nnueva ", " 日本語"])
        segments.append(segment(i, t, end, text, words, temperature=rng.choice([0.0, 0.2, 0.6000000000000001, 1.0]),
                                avg_logprob=-rng.random(), compression_ratio=rng.random() * 3, no_speech_prob=10 ** rng.uniform(-17, 0)))
        t = end
    return result(segments, rng.choice(["en", "ja", "yue"]))


def by_hand():
    f = [0.0, -0.0, 1.0, 100.0, 0.1, 0.30000000000000004, 1e-4, 9.999e-5, 1e-5, 1.5e-7, 5e-324, 2.2250738585072014e-308, 1e15, 1e16, 1.5e16,
         123456789012345680.0, 1e22, 1e100, 1.7976931348623157e308, 29.400000000000002, 2 / 3, float("nan"), float("inf"), float("-inf")]
    yield result([segment(i, 0.0, 0.0, " n", temperature=a, avg_logprob=-a, compression_ratio=a / 3, no_speech_prob=a * 7) for i, a in enumerate(f)])
    every = "".join(map(chr, range(0x20))) + "\"\\/\x7f\x80\u00a0é\u2028\u2029\ufeff\uffff\U00010000\U0001f44d\U0010ffff<>&'"
    yield result([segment(0, 0.0, 1.0, every, [(every, 0.0, 1.0, 0.5)])], "en")
    yield result([])
    yield result([segment(0, 0.0, 1.0, "", []), segment(1, 1.0, 2.0, "", [])])
    halves = [0.0005, 0.0015, 0.0025, 1.0005, 1.2345, 59.9995, 3599.9995, 3600.0, 86399.9999, 360000.0]
    yield result([segment(i, a, a + 0.0005, f" {a}") for i, a in enumerate(halves)])
    text = " And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
    words, t = [], 0.0
    for w in text.split():
        words.append((" " + w, round(t, 2), round(t + 0.3, 2), 0.9))
        t += 0.3 if w != "you," else 4.0
    yield result([segment(0, 0.0, 4.0, "", words[:9]), segment(1, 4.0, 5.0, "", []), segment(2, 4.0, 12.0, "", words[9:])])
    yield result([segment(0, 0.0, 1.0, " a"), segment(1, 1.0, 1.0, "", [])])  # the loop empties a segment


def text_floats(value):
    if isinstance(value, float): return repr(value)
    if isinstance(value, dict): return {k: text_floats(v) for k, v in value.items()}
    if isinstance(value, list): return [text_floats(v) for v in value]
    return value


def case(result):
    outputs = []
    for name, writer in WRITERS.items():
        shared = {}
        for i, options in enumerate(OPTIONS if name in ("srt", "vtt") else OPTIONS[:1]):
            out = io.StringIO()
            writer(".").write_result(result, file=out, options=None, **options)
            shared.setdefault(out.getvalue(), []).append(i)
        outputs.append([name, [[numbers, text] for text, numbers in shared.items()]])
    return {"result": text_floats(result), "outputs": outputs}


count, output, seed = (int(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 2 else (14, pathlib.Path(__file__).parent / "expected.json", 7)
rng = random.Random(seed)
cases = [case(r) for r in by_hand()] + [case(made(rng, i % 3 != 0)) for i in range(count)]
output.write_text(json.dumps({"options": OPTIONS, "cases": cases}, separators=(",", ":")) + "\n")
