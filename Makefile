# `make` alone prints what there is. Every target works from a clean clone.

CARGO ?= cargo
export ROTAKEY_TEST_VENV := $(CURDIR)/.venv

.DEFAULT_GOAL := help
.PHONY: help demo build test kill deps fmt lint doc deny ci clean-deps

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The dev profile: it builds in a fraction of the time, and the demo waits on timers, not on the processor.
demo: ## a whole rotation against the embedded simulator, no AWS account needed
	$(CARGO) run --locked -q -p rotakey-agent -- demo

build: ## the release binary, target/release/rotakey
	$(CARGO) build --locked --release -p rotakey-agent

test: deps ## everything the product promises
	$(CARGO) test --workspace --locked

# libtest's own lines are left out; its exit code is not.
KILLS ?= 40
SEED ?= 1
LIBTEST := \.?|running .*|test .*|.* --- FAILED|failures:|    a_killed_.*
kill: SHELL := bash
kill: .SHELLFLAGS := -o pipefail -c
kill: deps ## the real binary under SIGKILL, clients at work; KILLS=n SEED=s
	@ROTAKEY_KILLS=$(KILLS) ROTAKEY_KILL_SEED=$(SEED) \
		$(CARGO) test -q -p rotakey-agent --locked --test kill -- --nocapture \
		| grep --line-buffered -v -x -E '$(LIBTEST)'

deps: ## install what the tests need beyond Rust (says what and why; costs nothing when it is there)
	@bash .ci/deps

fmt: ## format the sources
	$(CARGO) fmt --all

lint: ## clippy, warnings are errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc: ## the crates' documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --workspace --locked

deny: ## licences, bans and sources of the dependencies (needs cargo-deny)
	$(CARGO) deny --offline check licenses bans sources

ci: ## what the checks before a merge run
	@bash .ci/run

clean-deps: ## remove the tests' Python environment
	rm -rf .venv
