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
# What each part printed, for the end of the output.
said=$(mktemp -d "${TMPDIR:-/tmp}/hivemind-test.XXXXXX")
trap 'rm -rf "$said"' EXIT
# Lines of a failed part that are repeated at the end.
readonly REPEATED_LINES=80

# part NAME COMMAND...: says where it fails, and goes on.
part() {
    local name=$1
    shift
    echo "== $name"
    "$@" </dev/null 2>&1 | tee "$said/last" && return
    mv "$said/last" "$said/${#failed[@]}"
    failed+=("$name")
    echo "test: $name FAILED, see above" >&2
}

# again NAME COMMAND...: a part whose runner has no second tries of its own. On a shared machine a disk or a browser may stand
# still for longer than a test waits, so CI tries twice. What passes the second time only is said, and is a fault to be mended.
again() {
    local before=${#failed[@]}
    part "$@"
    if [ "${#failed[@]}" = "$before" ] || [ -z "${CI:-}" ]; then return; fi
    unset "failed[$before]"
    part "$1, second try" "${@:2}"
    [ "${#failed[@]}" != "$before" ] || echo "test: $1 is FLAKY: it passed at the second try" >&2
}

# The command carries the pages in itself, so they are made first.
again "the pages" scripts/pages.sh check

echo "== build"
# The command with the features that the tests have, so that no dependency is built twice.
cargo build --workspace --bins --tests --locked </dev/null || exit 1

readonly HIVEMIND=$CARGO_TARGET_DIR/debug/hivemind
again "client generated from the .proto files, in Python" clients/python/run-tests.sh "$HIVEMIND"
again "REST, asked whatever its document allows and forbids" scripts/fuzz-rest.sh "$HIVEMIND"
again "the pages in a browser" scripts/browser.sh "$HIVEMIND"
part "workspace" cargo nextest run --workspace --locked --profile "$profile"

[ "${#failed[@]}" != 0 ] || exit 0
for n in "${!failed[@]}"; do
    echo "== what failed: ${failed[n]}: its last $REPEATED_LINES lines"
    tail -n "$REPEATED_LINES" "$said/$n"
done
exit 1
