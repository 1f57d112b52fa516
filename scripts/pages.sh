#!/usr/bin/env bash
# The pages of web/: pages.sh build makes them, pages.sh check judges and tests them as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../web"

# Not `npm ci`: it refuses a lock file that leaves out other platforms' packages, as some mirrors do.
npm install --no-save --no-audit --no-fund --loglevel=error
npm run --silent "${1:?build or check}"
# Cargo looks again at what it puts into the command.
touch ../crates/http/build.rs
