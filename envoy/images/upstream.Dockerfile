# An upstream that answers with what it was asked, built from source: to see what passes the gateway.
#
#     docker build -t keybound/upstream:0.1.0 -f envoy/images/upstream.Dockerfile .
FROM rust:1.95.0-alpine@sha256:606fd313a0f49743ee2a7bd49a0914bab7deedb12791f3a846a34a4711db7ed2 AS build
RUN apk add --no-cache build-base
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist -p keybound-tests --bin upstream \
 && mkdir -p /rootfs \
 && cp target/dist/upstream /rootfs/upstream

FROM scratch
COPY --from=build --chown=10001:10001 /rootfs/ /
USER 10001:10001
EXPOSE 8082
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/upstream", "ready"]
ENTRYPOINT ["/upstream"]
