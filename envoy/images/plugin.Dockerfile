# The filter as an OCI image, in the layout that Istio and Envoy Gateway load: /plugin.wasm and nothing else.
#
#     docker build -t registry.example/keybound/plugin:0.1.0 -f envoy/images/plugin.Dockerfile .
FROM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN rustup target add wasm32-wasip1
WORKDIR /source
COPY . .
RUN cargo build --locked --profile wasm --target wasm32-wasip1 -p keybound \
 && cargo run --locked --quiet -p trim-module \
      target/wasm32-wasip1/wasm/keybound.wasm /plugin.wasm /plugin.debug.wasm

FROM scratch
COPY --from=build /plugin.wasm /plugin.wasm
