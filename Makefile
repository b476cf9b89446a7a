# `make` alone prints what there is. Every target works from a clean clone.

CARGO ?= cargo
export ROTAKEY_TEST_VENV := $(CURDIR)/.venv

.DEFAULT_GOAL := help
.PHONY: help demo build test exhaust model sim kill clients clients-deps load fuzz mutants docs-generated bench deps fmt lint doc deny ci clean-deps

mutants: ## every small change to core must fail its tests, or stand in docs/mutants.md (installs cargo-mutants)
	$(call suite,mutants,bash .ci/mutants)

docs-generated: clients-deps ## writes the documents anew that are made from the code
	ROTAKEY_WRITE_DOCS=1 $(call suite_test,exhaust,,crash_matrix)
	ROTAKEY_WRITE_DOCS=1 $(call suite_test,clients,,refreshing)
	ROTAKEY_WRITE_DOCS=1 ROTAKEY_CLIENTS=full $(call suite_test,clients,,clients_work)

bench: ## figures against floors, in one run: docs/performance.md; PARTS="answers startup memory swap many"
	@bash .ci/deps bench
	$(CARGO) build --locked --release -q -p rotakey-agent -p rotakey-bench
	@target/release/rotakey-bench $(PARTS)

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
