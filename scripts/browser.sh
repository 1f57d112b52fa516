#!/usr/bin/env bash
# Uses the pages in a real browser, against real servers: browser.sh HIVEMIND. Pictures of every page and what went wrong
# are left in web/e2e/shots and web/e2e/test-results.
set -euo pipefail
: "${1:?the command hivemind}"
cd "$(dirname "${BASH_SOURCE[0]}")/../web/e2e"

npm install --no-save --no-audit --no-fund --loglevel=error
HIVEMIND_E2E_BINARY=$1 npm test
