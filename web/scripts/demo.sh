#!/usr/bin/env bash
# Builds public/demo/mandelbrot.wasm, the renderer of `make demo` as a module, which the home page offers to run.
# It is kept in the repository so that the pages can be built without Rust. Needs: rustup target add wasm32-wasip1
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rustc --edition 2024 --target wasm32-wasip1 -C opt-level=3 -C lto=fat -C panic=abort -C strip=symbols -C codegen-units=1 \
    -o public/demo/mandelbrot.wasm ../demo/mandelbrot.rs
chmod 644 public/demo/mandelbrot.wasm
sha256sum public/demo/mandelbrot.wasm
