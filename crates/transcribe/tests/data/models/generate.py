"""Small Whispers of every published shape with reproducible random weights, and what openai-whisper makes of them.

  python generate.py [--only NAME] [--folder DIR]     writes NAME.json beside this file (and a checkpoint into DIR)

Needs openai-whisper 20250625 and torch (see benches/peers). PROVENANCE.md spells out the numbers' source and the
fields of the result; `tests/random_model/mod.rs` makes the same weights in Rust.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[4] / "benches" / "peers"))
import checkpoint  # noqa: E402
import margins  # noqa: E402
import whisper  # noqa: E402
from whisper.decoding import DecodingOptions, decode, detect_language  # noqa: E402
from whisper.model import Whisper, disable_sdpa  # noqa: E402
from whisper.tokenizer import get_tokenizer  # noqa: E402

# name: (seed, d_model, mels, vocabulary, encoder layers, encoder heads, decoder layers, decoder heads)
MODELS = {
    "tiny": (2, 128, 80, 51865, 2, 2, 2, 2),
    "english": (2, 64, 80, 51864, 3, 1, 1, 1),
    "large-v3": (2, 128, 128, 51866, 2, 2, 3, 2),
    "turbo": (2, 128, 128, 51866, 4, 2, 2, 2),
}
ROWS = [0, 1, 2, 499, 750, 1023, 1498, 1499]
MASK = (1 << 64) - 1


def fnv1a(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & MASK
    return value


def random_bytes(seed: int, name: str, count: int) -> np.ndarray:
    """The top bytes of SplitMix64's outputs 1..count from the state `fnv1a(name) ^ seed`, as integers -128..127."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a(name) ^ seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(56)).astype(np.int64) - 128


def exponent(name: str, shape) -> int:
    """A value is its integer x 2^-exponent; in int8 matrices, rows of odd number take one more."""
    if name == "model.decoder.embed_positions.weight":
        return 6
    if "embed_" in name:
        return 8
    if name.endswith("bias"):
        return 10
    return 9 if int(np.prod(shape[1:])) <= 128 else 10


def is_int8(name: str, shape) -> bool:
    """The linears and the token embedding: what the bundled model stores in int8."""
    return len(shape) == 2 and "embed_positions" not in name


def tensor(seed: int, name: str, shape) -> np.ndarray:
    k = random_bytes(seed, name, int(np.prod(shape))).reshape(shape)
    if "layer_norm" in name and name.endswith("weight"):
        return (1 + (k >> 2) / 128).astype(np.float32)
    scale = np.full(shape[0], 2.0 ** -exponent(name, shape))
    if is_int8(name, shape):
        scale[1::2] /= 2
    return (k * scale.reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32)


def shapes(spec) -> dict:
    _, d, mels, vocab, enc, _, dec, _ = spec
    result = {
        "model.encoder.conv1.weight": (d, mels, 3), "model.encoder.conv1.bias": (d,),
        "model.encoder.conv2.weight": (d, d, 3), "model.encoder.conv2.bias": (d,),
        "model.encoder.embed_positions.weight": (1500, d),
        "model.decoder.embed_tokens.weight": (vocab, d), "model.decoder.embed_positions.weight": (448, d),
    }
    for half, layers, attentions in [("encoder", enc, ["self_attn"]), ("decoder", dec, ["self_attn", "encoder_attn"])]:
        result.update({f"model.{half}.layer_norm.{p}": (d,) for p in ("weight", "bias")})
        for i in range(layers):
            at = f"model.{half}.layers.{i}."
            for attention in attentions:
                for proj in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    result[f"{at}{attention}.{proj}.weight"] = (d, d)
                    if proj != "k_proj":
                        result[f"{at}{attention}.{proj}.bias"] = (d,)
                result.update({f"{at}{attention}_layer_norm.{p}": (d,) for p in ("weight", "bias")})
            result.update({f"{at}fc1.weight": (4 * d, d), f"{at}fc1.bias": (4 * d,), f"{at}fc2.weight": (d, 4 * d),
                           f"{at}fc2.bias": (d,)})
            result.update({f"{at}final_layer_norm.{p}": (d,) for p in ("weight", "bias")})
    return result


def config(spec) -> dict:
    _, d, mels, vocab, enc, enc_heads, dec, dec_heads = spec
    first = 50256 if vocab == 51864 else 50257
    return {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "activation_function": "gelu",
        "d_model": d, "num_mel_bins": mels, "vocab_size": vocab, "max_source_positions": 1500,
        "max_target_positions": 448, "encoder_layers": enc, "encoder_attention_heads": enc_heads,
        "encoder_ffn_dim": 4 * d, "decoder_layers": dec, "decoder_attention_heads": dec_heads,
        "decoder_ffn_dim": 4 * d, "num_hidden_layers": enc, "is_encoder_decoder": True, "scale_embedding": False,
        "tie_word_embeddings": True, "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0,
        "bos_token_id": first, "eos_token_id": first, "pad_token_id": first, "decoder_start_token_id": first + 1,
        "begin_suppress_tokens": [220, first], "init_std": 0.02, "max_length": 448, "use_cache": True,
        "torch_dtype": "float32",
    }


def alignment_heads(spec) -> list:
    layers, heads = spec[6], spec[7]
    return [[layers - 1, 0], [layers - 1, heads - 1]] if heads > 1 else [[layers - 1, 0]]


def short(values):
    """f32 values by their shortest decimals."""
    return [short(v) for v in values] if np.ndim(values) else float(str(np.float32(values)))


def build(spec):
    """The model, its weights under Hugging Face's names, its input mel [mels, 3000], its tokenizer."""
    seed, d, mels, vocab, *_ = spec
    weights = {key: torch.from_numpy(tensor(seed, key, shape)) for key, shape in shapes(spec).items()}
    model = Whisper(whisper.model.ModelDimensions(mels, 1500, d, spec[5], spec[4], vocab, 448, d, spec[7], spec[6]))
    model.load_state_dict({checkpoint.openai_name(k): v for k, v in weights.items()}, strict=True)
    mel = torch.from_numpy((random_bytes(seed, "mel", mels * 3000).reshape(mels, 3000) / 128).astype(np.float32))
    tokenizer = get_tokenizer(model.is_multilingual, num_languages=model.num_languages, language="en",
                              task="transcribe")
    return model.eval(), weights, mel, tokenizer


def in_f64(model, mel, tokenizer, tokens, spec):
    """Encoder output, logits and alignment scores of the same weights in f64 (the reference's LayerNorm insists on
    f32: go round it)."""
    layer_norm = whisper.model.LayerNorm
    forward, layer_norm.forward = layer_norm.forward, torch.nn.LayerNorm.forward
    try:
        model.double()
        features = model.encoder(mel[None].double())
        return (features[0], model.logits(torch.tensor([tokens]), features)[0],
                alignment_pass(model, tokenizer, features, spec)[0])
    finally:
        layer_norm.forward = forward
        model.float()


def greedy(model, features, spec) -> dict:
    """Both kinds of greedy decode, at most 24 tokens, with the reference's margins."""
    suppress = ",".join(map(str, suppressed(model)))
    result = {}
    for key, without in (("with_timestamps", False), ("without_timestamps", True)):
        options = DecodingOptions(language="en", temperature=0.0, sample_len=24, fp16=False,
                                  suppress_tokens=suppress, without_timestamps=without)
        with margins.record(spec[3] - 1501) as seen:
            found = decode(model, features, options)[0]
        if without:
            seen.timestamp_rule = float("inf")
        result[key] = {"tokens": found.tokens, "avg_logprob": short(found.avg_logprob),
                       "no_speech_prob": short(found.no_speech_prob), "margins": seen.as_dict()}
    return result


def suppressed(model) -> list:
    # The English vocabulary's own non-speech tokens would need its BPE file: name some ids instead.
    return [-1] if model.is_multilingual else [1, 2, 7, 8, 9]


def oracle(spec) -> dict:
    seed, _, _, vocab, *_ = spec
    settings = config(spec)
    model, weights, mel, tokenizer = build(spec)
    ids = [(i * 7919) % vocab for i in range(1, 49)] + list(range(tokenizer.eot, tokenizer.eot + 4)) + \
        [tokenizer.no_speech, tokenizer.no_timestamps, vocab - 1501, vocab - 1]
    features = model.encoder(mel[None])
    sot = list(tokenizer.sot_sequence)
    logits = model.logits(torch.tensor([sot]), features)[0]
    full = [int(v) + 128 + 256 * (i % 200) for i, v in enumerate(random_bytes(seed, "tokens", 448))]
    positions = [0, 1, 223, 446, 447]
    full_logits = model.logits(torch.tensor([full]), features)[0]
    out = {
        "config": settings, "alignment_heads": alignment_heads(spec), "seed": seed,
        "weights_check": {key: short(weights[key].flatten()[:4].tolist()) for key in
                          ("model.encoder.conv1.weight", "model.encoder.layer_norm.weight",
                           "model.decoder.embed_tokens.weight", "model.decoder.layers.0.fc2.bias")},
        "weights_sum": float(sum(v.double().abs().sum().item() for v in weights.values())),
        "encoder_rows": ROWS, "encoder": short(features[0][ROWS].numpy()),
        "logit_ids": ids, "sot_sequence": sot, "sot_logits": short(logits[:, ids].numpy()),
        "sot_argmax": logits.argmax(-1).tolist(), "sot_logits_std": round(logits.std().item(), 3),
        "full_positions": positions, "full_logits": short(full_logits[positions][:, ids].numpy()),
        "full_argmax": full_logits[positions].argmax(-1).tolist(),
        "alignment": align(model, tokenizer, features, spec),
    }
    if model.is_multilingual:
        token, probs = detect_language(model, features[0], tokenizer)
        best = sorted(probs.items(), key=lambda item: -item[1])[:5]
        out["language"] = {"token": int(token), "top": [[code, short(p)] for code, p in best]}
    out["suppress_tokens"] = suppressed(model)
    out["decode"] = greedy(model, features, spec)
    # Another window must give other tokens, or the oracle would not see a deaf decoder.
    other = greedy(model, model.encoder(mel[None].flip(-1)), spec)
    if any(other[key]["tokens"] == out["decode"][key]["tokens"] for key in other):
        raise SystemExit("the tokens do not depend on the audio")
    scores = alignment_pass(model, tokenizer, features, spec)[0]
    exact = in_f64(model, mel, tokenizer, full, spec)
    out["f32_error"] = {name: short((got - want).abs().max()) for name, got, want in
                        zip(("encoder", "logits", "qk"), (features[0], full_logits, scores), exact)}
    return out


TEXT = [11, 220, 400, 1029, 7177, 50000]


def alignment_pass(model, tokenizer, features, spec):
    """As OpenAI's find_alignment: scores before the softmax [heads, tokens, 1500], text probabilities, tokens."""
    tokens = [*tokenizer.sot_sequence, tokenizer.no_timestamps, *TEXT, tokenizer.eot]
    scores = [None] * spec[6]
    hooks = [block.cross_attn.register_forward_hook(lambda _, __, outs, i=i: scores.__setitem__(i, outs[-1][0]))
             for i, block in enumerate(model.decoder.blocks)]
    with disable_sdpa():
        logits = model.logits(torch.tensor([tokens]), features)[0]
    for hook in hooks:
        hook.remove()
    probs = logits[len(tokenizer.sot_sequence):, :tokenizer.eot].softmax(-1)
    qk = torch.stack([scores[layer][head] for layer, head in alignment_heads(spec)])
    return qk, probs[np.arange(len(TEXT)), TEXT], tokens


def align(model, tokenizer, features, spec) -> dict:
    qk, probs, tokens = alignment_pass(model, tokenizer, features, spec)
    frames = [0, 1, 777, 1499]
    return {"text_tokens": TEXT, "tokens": len(tokens), "frames": frames, "qk": short(qk[:, :, frames].numpy()),
            "token_probs": short(probs.numpy())}


def write(path: Path, out: dict) -> None:
    lines = ",\n".join(f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in out.items())
    path.write_text("{" + lines + "}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=MODELS)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--search", type=int, metavar="N", help="print what the seeds 1..N would give, write nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name, spec in MODELS.items():
        if args.only not in (None, name):
            continue
        with torch.inference_mode():
            for seed in range(1, (args.search or 0) + 1):
                model, _, mel, _ = build((seed, *spec[1:]))
                report(name, seed, greedy(model, model.encoder(mel[None]), spec), spec)
            if not args.search:
                out = oracle(spec)
                write(args.out / f"{name}.json", out)
                report(name, spec[0], out["decode"], spec)
                print("   ", out["f32_error"], out["sot_logits_std"], out.get("language"))


def report(name: str, seed: int, found: dict, spec) -> None:
    distances = [m for entry in found.values() for m in entry["margins"].values() if m is not None]
    print(f"{name} seed {seed}: least margin {min(distances)}", flush=True)
    for key, entry in found.items():
        tokens = entry["tokens"]
        times = sum(token >= spec[3] - 1501 for token in tokens)
        print(f"    {key}: {len(set(tokens))} kinds of token, {times} timestamps", tokens)


if __name__ == "__main__":
    main()
