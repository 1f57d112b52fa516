#!/usr/bin/env bash
# Asks a real pool's REST API whatever its own document allows and forbids: fuzz-rest.sh HIVEMIND [CALLS]
# SEED=N asks other things than make test does. Fails on an answer of 5xx, and on one that the document does not know.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
hivemind=${1:?usage: fuzz-rest.sh PATH-OF-hivemind [CALLS]}
home=${CARGO_TARGET_DIR:?run this through make}/fuzz-rest

# One environment for each set of requirements, whole or not there at all.
key=$(cat "$here/fuzz/requirements.txt" <(python3 --version) | sha256sum | cut -c 1-16)
venv=$home/venv-$key
if [ ! -e "$venv/complete" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/fuzz/requirements.txt"
    touch "$venv/complete"
fi
PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" "$here/fuzz/run.py" "$hivemind" "${2:-2000}" </dev/null
