# The key service, built from source: a static program, alone in its image, not run by root.
#
#     docker build -t keybound/key-service:0.1.0 -f envoy/images/key-service.Dockerfile .
#
# `make images` makes the same image without a registry, from what `make static` has built.
FROM rust:1.95.0-alpine@sha256:606fd313a0f49743ee2a7bd49a0914bab7deedb12791f3a846a34a4711db7ed2 AS build
RUN apk add --no-cache build-base
# The image's own toolchain, not the one with targets for WebAssembly that rust-toolchain.toml asks for.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist -p key-service \
 && mkdir -p /rootfs/data /rootfs/tmp \
 && cp target/dist/key-service /rootfs/key-service

FROM scratch
COPY --from=build --chown=10001:10001 /rootfs/ /
USER 10001:10001
ENV KEYBOUND_LISTEN=0.0.0.0:8081 KEYBOUND_DATABASE=/data/keybound.db
VOLUME /data
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/key-service", "ready"]
ENTRYPOINT ["/key-service"]
CMD ["serve"]
