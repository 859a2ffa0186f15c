# Images, and the composed system of envoy/docker-compose.yaml.

VERSION := $(shell awk -F '"' '/^version = / { print $$2; exit }' Cargo.toml)

# Names of what `make images` makes. Where it has been run, `make compose-up` takes these; elsewhere Envoy's
# own image, and images of the rest built from source.
KEY_SERVICE_IMAGE := keybound/key-service:$(VERSION)
UPSTREAM_IMAGE := keybound/upstream:$(VERSION)
PLUGIN_IMAGE := keybound/plugin:$(VERSION)
NATIVE_IMAGE := keybound/native:$(VERSION)
ENVOY_STAND_IN_IMAGE := keybound/envoy:$(ENVOY_VERSION)
POSTGRESQL_STAND_IN_IMAGE := keybound/postgresql:18.4

COMPOSE = $(shell docker compose version > /dev/null 2>&1 && echo docker compose || echo docker-compose)
COMPOSED = $(COMPOSE) -f envoy/docker-compose.yaml
-include target/images/names.mk

.PHONY: images
images: wasm native static envoy postgresql ## Make container images without a registry, from what is built here
	KEY_SERVICE_IMAGE='$(KEY_SERVICE_IMAGE)' UPSTREAM_IMAGE='$(UPSTREAM_IMAGE)' PLUGIN_IMAGE='$(PLUGIN_IMAGE)' NATIVE_IMAGE='$(NATIVE_IMAGE)' \
	  ENVOY_STAND_IN_IMAGE='$(ENVOY_STAND_IN_IMAGE)' POSTGRESQL_STAND_IN_IMAGE='$(POSTGRESQL_STAND_IN_IMAGE)' \
	  STATIC_PROGRAMS='target/$(STATIC_TARGET)/dist' tools/images

.PHONY: compose-configuration
compose-configuration: ## Make envoy/compose/envoy.yaml anew after a change of envoy/envoy.yaml
	MAKE_COMPOSED_CONFIGURATION=1 cargo test -p keybound-tests --test deploy composed_configuration

.PHONY: native-configuration
native-configuration: ## Make envoy/native/envoy.yaml anew after a change of envoy/envoy.yaml
	@mkdir -p envoy/native
	MAKE_NATIVE_CONFIGURATION=1 cargo test -p keybound-tests --test deploy native_configuration::it_is_made

.PHONY: compose-up
compose-up: wasm envoy/.env ## Start the composed system (PROFILE=observe: with Prometheus and Grafana; PROFILE=postgresql: two key services on PostgreSQL)
	$(if $(filter postgresql,$(PROFILE)),KEYBOUND_DATABASE='postgres://keybound@postgresql/keybound' )$(COMPOSED) $(if $(PROFILE),--profile $(PROFILE)) up -d
	@echo 'waiting until Envoy is healthy'
	@for pause in $$(seq 60); do \
	  health=$$(docker inspect --format '{{.State.Health.Status}}' $$($(COMPOSED) ps -q envoy)); \
	  [ "$$health" = healthy ] && break; sleep 1; done; \
	  [ "$$health" = healthy ] || { $(COMPOSED) logs --tail 40; echo "Envoy is $$health" >&2; exit 1; }
	@$(COMPOSED) ps

.PHONY: compose-down
compose-down: ## Stop the composed system; its database is kept (VOLUMES=1 drops it)
	$(COMPOSED) --profile observe --profile postgresql down --remove-orphans $(if $(VOLUMES),--volumes)

envoy/.env: envoy/.env.example
	@umask 077 && while IFS= read -r line; do \
	  case $$line in \
	    [A-Z]*=) printf '%s%s\n' "$$line" "$$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')" ;; \
	    *) printf '%s\n' "$$line" ;; \
	  esac; done < $< > $@
	@echo 'envoy/.env now holds the composed system'\''s secrets'

.PHONY: compose-test
compose-test: images ## Run the suite against the composed system, each test against one of its own (TESTS=name selects; NATIVE=1: with the dynamic module; PROFILE=postgresql: on that database)
	ENVOY_IMAGE='$(ENVOY_STAND_IN_IMAGE)' KEYBOUND_KEY_SERVICE_IMAGE='$(KEY_SERVICE_IMAGE)' \
	  KEYBOUND_UPSTREAM_IMAGE='$(UPSTREAM_IMAGE)' KEYBOUND_COMPOSED='$(CURDIR)/tests/containers/key-service' \
	  KEYBOUND_KEY_SERVICE='$(CURDIR)/target/$(STATIC_TARGET)/dist/key-service' \
	  ENVOY='$(CURDIR)/tests/containers/envoy' POSTGRESQL_IMAGE='$(POSTGRESQL_STAND_IN_IMAGE)' KEYBOUND_COMPOSED_PROFILE='$(PROFILE)' \
	  cargo test -p keybound-tests --test envoy --no-fail-fast -- $(TESTS)

KUBERNETES_VALIDATE_VERSION := 1.37.0

.PHONY: manifests
manifests: target/kubernetes-validate/is-$(KUBERNETES_VALIDATE_VERSION) ## Check the manifests of Kubernetes' own kinds against its schemas
	@target/kubernetes-validate/bin/python -m kubernetes_validate --strict --quiet envoy/kubernetes/*.yaml

# Run as a module: a script of the environment would name the folder in which it was made.
target/kubernetes-validate/is-$(KUBERNETES_VALIDATE_VERSION):
	$(call install_wheels,kubernetes-validate,kubernetes-validate-$(KUBERNETES_VALIDATE_VERSION))
	@mv target/kubernetes-validate.partial target/kubernetes-validate
	@touch $@
