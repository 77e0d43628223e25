"""Loads a Hugging Face folder of Whisper weights into openai-whisper's own model, offline.

The folder holds config.json and model.safetensors (one file, or shards with model.safetensors.index.json) in f32,
f16, bf16, or int8 with one scale per output row (`NAME.weight` I8 and `NAME.weight_scale` F32, w = weight x scale).
The reference then computes in f32 on exactly the weights that our engine reads.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from whisper.model import ModelDimensions, Whisper

# Pieces of a name, Hugging Face first.
_BLOCK = {
    "self_attn_layer_norm": "attn_ln",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln",
    "self_attn": "attn",
    "encoder_attn": "cross_attn",
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "out_proj": "out",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
}
_TOP = {
    "encoder.embed_positions.weight": "encoder.positional_embedding",
    "decoder.embed_positions.weight": "decoder.positional_embedding",
    "decoder.embed_tokens.weight": "decoder.token_embedding.weight",
    "encoder.layer_norm": "encoder.ln_post",
    "decoder.layer_norm": "decoder.ln",
}


def openai_name(name: str) -> str:
    """`model.encoder.layers.0.fc1.bias` -> `encoder.blocks.0.mlp.0.bias`."""
    name = name.removeprefix("model.")
    for ours, theirs in _TOP.items():
        if name == ours or name.startswith(ours + "."):
            return theirs + name[len(ours):]
    parts = name.split(".")
    if parts[1] == "layers":
        parts[1] = "blocks"
    return ".".join(_BLOCK.get(part, part) for part in parts)


def dimensions(folder: Path) -> ModelDimensions:
    config = json.loads((folder / "config.json").read_text())
    width = config["d_model"]
    if {config["encoder_ffn_dim"], config["decoder_ffn_dim"]} != {4 * width}:
        raise SystemExit(f"{folder}: openai-whisper only knows an MLP of 4 x {width}")
    return ModelDimensions(
        n_mels=config["num_mel_bins"],
        n_audio_ctx=config["max_source_positions"],
        n_audio_state=width,
        n_audio_head=config["encoder_attention_heads"],
        n_audio_layer=config["encoder_layers"],
        n_vocab=config["vocab_size"],
        n_text_ctx=config["max_target_positions"],
        n_text_state=width,
        n_text_head=config["decoder_attention_heads"],
        n_text_layer=config["decoder_layers"],
    )


def tensors(folder: Path) -> dict:
    """All weights in f32 under Hugging Face's names, int8 multiplied out."""
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.exists():
        files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    stored = {}
    for file in files:
        stored.update(load_file(folder / file))
    result = {}
    for name, value in stored.items():
        if name.endswith(".weight_scale") or name == "proj_out.weight":
            continue
        value = value.to(torch.float32)
        scale = stored.get(name + "_scale")
        result[name] = value if scale is None else value * scale.to(torch.float32)
    return result


def load(folder) -> Whisper:
    """The model in f32 on the CPU, in inference mode, with the folder's alignment heads if it names some."""
    folder = Path(folder)
    dims = dimensions(folder)
    model = Whisper(dims)
    model.load_state_dict({openai_name(k): v for k, v in tensors(folder).items()}, strict=True)
    generation = folder / "generation_config.json"
    if generation.exists():
        heads = json.loads(generation.read_text()).get("alignment_heads")
        if heads:
            mask = torch.zeros(dims.n_text_layer, dims.n_text_head, dtype=torch.bool)
            for layer, head in heads:
                mask[layer, head] = True
            model.register_buffer("alignment_heads", mask.to_sparse(), persistent=False)
    return model.eval()
