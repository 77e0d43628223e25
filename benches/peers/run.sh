#!/bin/sh
# Installs the peers, converts the bundled weights for them, builds ours, and measures all in turn. Options: run.py --help.
#
#   PEERS_DIR    folder of environment and models, 8 GB [~/.cache/whisper-peers]
#   PEERS_VENV   environment that has the packages of requirements.txt already
#   PEERS_TORCH  index of PyTorch's CPU wheels, which spares 5 GB: https://download.pytorch.org/whl/cpu
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH= cd -- "$here/../.." && pwd)
folder=${PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/whisper-peers}
venv=${PEERS_VENV:-$folder/venv}
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
if [ ! -x "$venv/bin/python" ]; then
    mkdir -p "$folder"
    python3 -m venv "$venv"
fi
if [ -z "${PEERS_VENV:-}" ] && ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    if [ -n "${PEERS_TORCH:-}" ]; then
        "$venv/bin/python" -m pip install --quiet "$(grep ^torch== "$here/requirements.txt")" --index-url "$PEERS_TORCH"
    fi
    "$venv/bin/python" -m pip install --quiet -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
"$venv/bin/python" "$here/convert.py" --model "$root/models/whisper-base-int8" --out "$folder/models" \
    --clips "$root"/samples/*.wav
cargo build --release --manifest-path "$root/Cargo.toml" --workspace --bin transcribe --bin peer_ours
exec "$venv/bin/python" "$here/run.py" --models "$folder/models" "$@"
