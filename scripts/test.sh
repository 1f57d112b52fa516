#!/usr/bin/env bash
# Every test of the project. scripts/setup.sh has run before. The test runner's summary comes last.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

: "${CARGO_TARGET_DIR:?run this through make test}"
# Docker answers (setup saw to it), so a test that skips itself for want of it would hide a fault.
export HIVEMIND_REQUIRE_DOCKER=1
# A test changes no file of the checkout.
export INSTA_UPDATE=no
profile=default
[ -z "${CI:-}" ] || profile=ci
failed=()

# part NAME COMMAND...: says where it fails, and goes on.
part() {
    local name=$1
    shift
    echo "== $name"
    "$@" </dev/null || { failed+=("$name"); echo "test: $name FAILED, see above" >&2; }
}

# The command carries the pages in itself, so they are made first.
part "the pages" scripts/pages.sh check

echo "== build"
# The command with the features that the tests have, so that no dependency is built twice.
cargo build --workspace --bins --tests --locked </dev/null || exit 1

readonly HIVEMIND=$CARGO_TARGET_DIR/debug/hivemind
part "client generated from the .proto files, in Python" clients/python/run-tests.sh "$HIVEMIND"
part "REST, asked whatever its document allows and forbids" scripts/fuzz-rest.sh "$HIVEMIND"
part "the pages in a browser" scripts/browser.sh "$HIVEMIND"
part "workspace" cargo nextest run --workspace --locked --profile "$profile"

[ "${#failed[@]}" = 0 ]
