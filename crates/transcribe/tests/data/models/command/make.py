"""Runs OpenAI's own `whisper` command on the bundled weights and keeps the files that it writes.

  python make.py        (with openai-whisper 20250625 and PyTorch, from anywhere; see benches/peers/README.md)

Two things are put in the command's place: the weights (a Hugging Face folder, which it cannot load) and the reading of
audio (no ffmpeg: the clips are 16 kHz mono s16 already). The audio is three samples with 0.5 s of silence after each.
"""

import sys
import tempfile
import wave
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[5]
sys.path.insert(0, str(ROOT / "benches/peers"))

import torch  # noqa: E402
import whisper  # noqa: E402
import whisper.audio  # noqa: E402
from whisper.transcribe import cli  # noqa: E402

import checkpoint  # noqa: E402
from audio import read_wav  # noqa: E402

COMMON = ["--beam_size", "None", "--temperature", "0", "--language", "en", "--device", "cpu",
          "--fp16", "False", "--word_timestamps", "True", "--verbose", "False"]
# Name of the folder: options besides the common ones. Those of subtitles change nothing in txt, tsv and json.
RUNS = {
    "words": [],
    "lines": ["--highlight_words", "True", "--max_line_width", "22", "--max_line_count", "2"],
    "counted": ["--max_words_per_line", "4"],
}


def main() -> None:
    torch.set_num_threads(1)
    model = checkpoint.load(ROOT / "models/whisper-base-int8")
    whisper.load_model = lambda *_, **__: model
    whisper.audio.load_audio = lambda path, *_: read_wav(path)
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "clips.wav"
        with wave.open(str(audio), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            for clip in ("SS-0870", "SS-0880", "SS-0890"):
                with wave.open(str(ROOT / f"samples/{clip}.wav")) as one:
                    out.writeframes(one.readframes(one.getnframes()))
                out.writeframes(bytes(2 * 8000))
        for name, options in RUNS.items():
            for kind in ["all"] if name == "words" else ["srt", "vtt"]:
                sys.argv = ["whisper", str(audio), "--model", str(audio), "--output_dir", str(HERE / name), *COMMON,
                            "--output_format", kind, "--threads", "1", *options]
                cli()


if __name__ == "__main__":
    main()
