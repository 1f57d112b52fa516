# What people type. `make help` lists it; the work is in scripts/ and demo/.
SHELL := /bin/bash

# One target folder outside of the checkout, so that the next clean checkout finds its dependencies built.
export CARGO_TARGET_DIR ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/hivemind/target
export PATH := $(HOME)/.cargo/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo browser test fuzz lint fmt build web bench sim

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Render a picture in containers on two workers, pay for it, balance the books
	@scripts/setup.sh build containers
	@demo/run.sh

browser: ## Use the pages in a real browser, against real servers (some minutes)
	@scripts/setup.sh build docker web tests
	@scripts/pages.sh build
	cargo build --workspace --bins --locked
	@scripts/browser.sh $(CARGO_TARGET_DIR)/debug/hivemind

test: ## Run every test: the pages, the Python client, REST, the pages in a browser, the workspace
	@scripts/setup.sh build docker web tests
	@scripts/test.sh

fuzz: ## Ask the REST API whatever its document allows and forbids; CALLS=2000 SEED=1
	@scripts/setup.sh build tests
	cargo build --workspace --bins --locked
	@scripts/fuzz-rest.sh $(CARGO_TARGET_DIR)/debug/hivemind $(CALLS)

lint: ## Check formatting, clippy's warnings, arrows between crates, papers
	@scripts/setup.sh build
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo run --quiet --locked --bin hivemind-xtask -- check

fmt: ## Format the sources
	cargo fmt --all

build: ## Build the command hivemind (unoptimised)
	@scripts/setup.sh build
	cargo build --workspace --locked

web: ## Build the pages into web/dist (needs Node 20 and npm)
	@scripts/setup.sh web
	@scripts/pages.sh build

bench: ## Measure beside the peers; ONLY=name measures one figure
	@scripts/setup.sh build docker bench
	cargo run --release --locked --bin hivemind-bench -- $(if $(ONLY),--only $(ONLY))

sim: ## Run the simulator over many seeds; ARGS=... goes to it
	@scripts/setup.sh build
	cargo run --release --locked --bin hivemind-sim -- $(ARGS)
