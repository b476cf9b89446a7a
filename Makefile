# `make` alone prints what there is. Every target works from a clean clone.

CARGO ?= cargo
export ROTAKEY_TEST_VENV := $(CURDIR)/.venv

.DEFAULT_GOAL := help
.PHONY: help demo build test exhaust model sim unattended kill clients clients-deps load fuzz large bench bench-peers mutants docs-generated docs-walk docs-picture deb sbom reproducible deb-walk dashboard upstream-table deps fmt lint doc deny ci clean-deps

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The dev profile: it builds in a fraction of the time, and the demo waits on timers, not on the processor.
demo: ## a whole rotation against the embedded simulator, no AWS account needed
	$(CARGO) run --locked -q -p rotakey-agent -- demo

build: ## the release binary, target/release/rotakey
	$(CARGO) build --locked --release -p rotakey-agent

TESTS ?= --workspace
test: deps ## everything the product promises; TESTS='-p rotakey-agent --test docs' for a part
	$(CARGO) test $(TESTS) --locked --no-fail-fast

# A suite's figures are the last line that it prints; `suite` sees to that, and to its exit code.
suite = @bash -o pipefail -c '$(2) 2>&1 | awk "/^$(1): / { last = \$$0; next } NF { print } END { print last }"'
suite_test = $(CARGO) test -q $(2) -p rotakey-agent --locked --test $(1) $(3) -- --nocapture

DEPTH ?= 2
exhaust: ## every crash and fault at every instant, by enumeration; DEPTH=n blows, one after the other
	$(call suite,exhaust,ROTAKEY_EXHAUST_DEPTH=$(DEPTH) $(call suite_test,exhaust,,every_blow))

model: ## two installations and an admin on one user: every interleaving, by enumeration
	$(call suite,model,$(call suite_test,model,,no_installation_hurts_another))

SEEDS ?= 300
SEED ?= 1
PROFILE ?= dev
sim: ## the whole system in all weathers, simulated; SEEDS=n [SEED=first] [PROFILE=campaign, for many seeds]
	$(call suite,sim,ROTAKEY_SIM_SEEDS=$(SEEDS) ROTAKEY_SIM_SEED=$(SEED) $(call suite_test,sim,--profile $(PROFILE),))

DAYS ?= 90
unattended: ## the agent left alone on virtual time: sleeps, outages, clocks, an admin; DAYS=n SEEDS=n [SEED=first] [PROFILE=campaign]
	$(call suite,unattended,ROTAKEY_DAYS=$(DAYS) ROTAKEY_SIM_SEEDS=$(SEEDS) ROTAKEY_SIM_SEED=$(SEED) $(call suite_test,unattended,--profile $(PROFILE),months_without))

KILLS ?= 40
kill: deps ## the real binary under SIGKILL, clients at work; KILLS=n SEED=s
	$(call suite,kill,ROTAKEY_KILLS=$(KILLS) ROTAKEY_KILL_SEED=$(SEED) $(call suite_test,kill,,))

clients: clients-deps ## the full matrix of real clients: every source before, during and after a rotation; everything through the proxy
	$(call suite,clients,ROTAKEY_CLIENTS=full $(call suite_test,clients,,))
	$(call suite,proxy_clients,ROTAKEY_CLIENTS=full $(call suite_test,proxy_clients,,))

clients-deps: ## install the programs that only the full matrix runs
	@bash .ci/clients

ROTATIONS ?= 20
load: deps ## rotations back to back under constant load, the agent killed and restarted; ROTATIONS=n
	$(call suite,load,ROTAKEY_ROTATIONS=$(ROTATIONS) $(call suite_test,load,,))
	$(call suite,proxy_load,ROTAKEY_ROTATIONS=$(ROTATIONS) $(call suite_test,proxy_load,,))

LARGE_BYTES ?= 5368709120
large: deps ## bodies of 5 GiB through the proxy, in every mode: memory, and every byte; LARGE_BYTES=n
	$(CARGO) build --locked --release -q -p rotakey-agent
	$(call suite,large,ROTAKEY_LARGE_BYTES=$(LARGE_BYTES) ROTAKEY_TEST_BINARY=$(CURDIR)/target/release/rotakey $(call suite_test,large,,memory))

TARGET ?= http
FUZZ_SECONDS ?= 60
fuzz: ## any bytes as requests, with coverage as the guide; TARGET=http, control, chunks, events, signatures or canonical; FUZZ_SECONDS=n (needs nightly Rust and cargo-fuzz)
	@bash .ci/fuzz $(TARGET) $(FUZZ_SECONDS)

mutants: ## every small change to core must fail its tests, or stand in docs/mutants.md (installs cargo-mutants)
	$(call suite,mutants,bash .ci/mutants)

docs-generated: clients-deps ## writes the documents anew that are made from the code
	ROTAKEY_WRITE_DOCS=1 $(call suite_test,exhaust,,crash_matrix)
	ROTAKEY_WRITE_DOCS=1 $(call suite_test,clients,,refreshing)
	ROTAKEY_WRITE_DOCS=1 ROTAKEY_CLIENTS=full $(call suite_test,clients,,clients_work)
	ROTAKEY_WRITE_DOCS=1 ROTAKEY_CLIENTS=full $(call suite_test,proxy_clients,,clients_do)

upstream-table: deps ## writes the table of AWS's hosts anew, from the botocore that tests/requirements.txt pins
	.venv/bin/python crates/endpoint/build-data/upstream.py > crates/endpoint/src/proxy/upstream/table.txt

docs-walk: ## writes docs/first-walk.md anew: the first walk, captured in a terminal
	@bash .ci/walk

docs-picture: ## draws docs/demo.svg anew: what the demo says
	@python3 .ci/picture

deb: ## the Debian package, in target/deb (installs cargo-deb and cargo-cyclonedx into target/tools)
	@bash .ci/deb

sbom: ## what the program is made of, in target/sbom: CycloneDX, and the texts of the licences
	@bash .ci/sbom

reproducible: ## two builds of the package in two folders: the same bytes? (two release builds)
	@bash .ci/reproducible

deb-walk: ## installs that package in a fresh Debian 12, uses it, removes it (root, debootstrap)
	@bash .ci/deb-walk

dashboard: deps ## the Grafana dashboard by Grafana's own types, its queries asked of a real Prometheus that scrapes a real agent, and drawn with Grafana's libraries: target/dashboard/dashboard.png (ROTAKEY_WRITE_DOCS=1: docs/dashboard.png, too)
	@bash .ci/deps dashboard
	@bash .ci/dashboard
	ROTAKEY_PROMETHEUS=$$(command -v prometheus) $(CARGO) test -p rotakey-agent --locked --test seen -- --ignored
	@echo "dashboard: now look at target/dashboard/dashboard.png, and dashboard-2x.png, which is twice as large"
	@test -z "$$ROTAKEY_WRITE_DOCS" || pngquant --force --strip --speed 1 256 -o docs/dashboard.png target/dashboard/dashboard.png

bench: ## figures against floors, in one run: docs/performance.md; PARTS="answers startup memory swap many scan signing proxy"
	@bash .ci/deps bench
	$(CARGO) build --locked --release -q -p rotakey-agent -p rotakey-bench
	@target/release/rotakey-bench $(PARTS)

bench-peers: ## what only a part of the figures needs and takes long to build: s3s-proxy, another proxy that signs
	$(CARGO) install --locked --quiet --root target/peers --version 0.14.1 s3s-proxy

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
