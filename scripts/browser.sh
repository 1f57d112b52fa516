#!/usr/bin/env bash
# Uses the pages in a real browser, against real servers: browser.sh HIVEMIND [TEST...]. Pictures of every page and what went wrong
# are left in web/e2e/shots and web/e2e/test-results. Whatever it starts has ended when it ends.
set -euo pipefail
: "${1:?the command hivemind}"
HIVEMIND_E2E_BINARY=$(realpath "$1")
export HIVEMIND_E2E_BINARY
shift
cd "$(dirname "${BASH_SOURCE[0]}")/../web/e2e"
# How long what runs may take to end by itself.
readonly PATIENCE_SECONDS=30

npm install --no-save --no-audit --no-fund --loglevel=error
npm run --silent typecheck
rm -rf shots test-results

group=
end() {
    [ -n "$group" ] || return 0
    kill -TERM -- "-$group" 2>/dev/null || return 0
    local deadline=$((SECONDS + PATIENCE_SECONDS))
    while kill -0 -- "-$group" 2>/dev/null; do
        [ "$SECONDS" -lt "$deadline" ] || { kill -KILL -- "-$group" 2>/dev/null || true; return 0; }
        sleep 0.2
    done
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Servers and tests are one group of processes, so that none is left behind, however this ends.
set -m
node_modules/.bin/playwright test "$@" </dev/null &
group=$!
set +m
wait "$group"
