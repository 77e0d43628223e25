"""How far openai-whisper's encoder in f32 is from itself in f64, and the goldens from both, layer by layer.

Says what a bound against goldens made in f32 can ask for: `python encoder_noise.py --model ../../models/whisper-base-int8
--goldens FOLDER` with a folder of decodings.json and CLIP.safetensors.
"""

import argparse
import copy
import json
from pathlib import Path

import torch
import whisper.model
from safetensors.torch import load_file

import checkpoint


def outputs(encoder, mel) -> dict:
    """Every module's output in f64, by its name."""
    found, hooks = {}, []
    for name, module in encoder.named_modules():
        def keep(_module, _inputs, output, name=name):
            output = output[0] if isinstance(output, tuple) else output
            found[f"encoder.{name}"] = output.detach().double()

        if name:
            hooks.append(module.register_forward_hook(keep))
    with torch.no_grad():
        encoder(mel)
    for hook in hooks:
        hook.remove()
    return found


def difference(got, want) -> str:
    """Largest absolute and relative root mean square."""
    rms = ((got - want).pow(2).mean().sqrt() / want.pow(2).mean().sqrt()).item()
    return f"{(got - want).abs().max().item():.2e} {rms:.2e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--goldens", type=Path, required=True)
    args = parser.parse_args()
    # OpenAI's own forces f32.
    whisper.model.LayerNorm.forward = lambda norm, x: torch.nn.functional.layer_norm(
        x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    encoder = checkpoint.load(args.model).eval().encoder.float()
    exact_encoder = copy.deepcopy(encoder).double()
    rows = json.loads((args.goldens / "decodings.json").read_text())["rows_of_1500"]
    print(f"{'clip':<18} {'layer':<28} {'golden - f64':<18} {'f32 here - f64':<18} {'f32 here - golden':<18}")
    for path in sorted(args.goldens.glob("*.safetensors")):
        goldens = load_file(path)
        mel = goldens["mel_first_30s_silence_padded"][None]
        here, exact = outputs(encoder, mel), outputs(exact_encoder, mel.double())
        for name in sorted(name for name in goldens if name.startswith("encoder.")):
            def pick(found, name=name):
                layer = found[name][0]
                return (layer.T if "conv" in name else layer)[rows]

            golden = goldens[name].double()
            print(f"{path.stem:<18} {name:<28} {difference(golden, pick(exact)):<18} "
                  f"{difference(pick(here), pick(exact)):<18} {difference(pick(here), golden):<18}")


if __name__ == "__main__":
    main()
