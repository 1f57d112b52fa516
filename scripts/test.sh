#!/usr/bin/env bash
# Every test of the project. scripts/setup.sh has run before. The test runner's summary comes last.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

: "${CARGO_TARGET_DIR:?run this through make test}"
# Docker answers (setup saw to it), so a test that skips itself for want of it would hide a fault.
export HIVEMIND_REQUIRE_DOCKER=1
profile=default
[ -z "${CI:-}" ] || profile=ci
failed=0

echo "== build"
# The command with the features that the tests have, so that no dependency is built twice.
cargo build --workspace --bins --tests --locked </dev/null || exit 1

echo "== client generated from the .proto files, in Python"
clients/python/run-tests.sh "$CARGO_TARGET_DIR/debug/hivemind" </dev/null || failed=1
[ "$failed" = 0 ] || echo "test: the Python client's tests FAILED, see above" >&2

echo "== workspace"
cargo nextest run --workspace --locked --profile "$profile" </dev/null || failed=1
exit "$failed"
