#!/bin/sh
# Sets up the peers once (in target/peers, or PEERS_VENV), then compares our binary with them. Options: run.py --help.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
folder=${PEERS_DIR:-$root/target/peers}
venv=${PEERS_VENV:-$folder/venv}
if [ ! -x "$venv/bin/python" ]; then
    mkdir -p "$folder"
    python3 -m venv "$venv"
fi
if ! "$venv/bin/python" -c 'import torch, whisper, safetensors' 2>/dev/null; then
    "$venv/bin/python" -m pip install --quiet openai-whisper==20250625 safetensors
fi
exec "$venv/bin/python" "$here/run.py" --out "$folder" "$@"
