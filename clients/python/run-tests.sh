#!/usr/bin/env bash
# Generates a client from the repository's .proto files with grpcio-tools and tests a real pool with it.
# usage: run-tests.sh PATH-OF-hivemind      (make test runs this)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
hivemind=${1:?usage: run-tests.sh PATH-OF-hivemind}
home=${CARGO_TARGET_DIR:?run this through make test}/python-client

# One environment for each set of requirements, whole or not there at all.
key=$(cat "$here/requirements.txt" <(python3 --version) | sha256sum | cut -c 1-16)
venv=$home/venv-$key
if [ ! -e "$venv/complete" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    touch "$venv/complete"
fi

stubs=$(mktemp -d "$home/stubs.XXXXXX")
trap 'rm -rf "$stubs"' EXIT
protos=$here/../../crates/proto/proto
(cd "$protos" && "$venv/bin/python" -m grpc_tools.protoc -I . --python_out="$stubs" --grpc_python_out="$stubs" hivemind/v1/*.proto)
cd "$here"
HIVEMIND_BIN=$hivemind PYTHONPATH=$stubs PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m unittest -v test_contract test_client
