# The filter as a dynamic module of Envoy, as an OCI image: /libkeybound.so and nothing else, to be mounted as a volume
# or copied into an image of Envoy.
#
#     docker build -t registry.example/keybound/native:0.1.0 -f envoy/images/native.Dockerfile .
#
# It is for the processor for which it is built (`docker buildx build --platform linux/amd64,linux/arm64` makes both).
FROM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
RUN apt-get update && apt-get install --yes --no-install-recommends make python3-venv
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /source
COPY . .
RUN make native && cp target/libkeybound.so /libkeybound.so

FROM scratch
COPY --from=build /libkeybound.so /libkeybound.so
