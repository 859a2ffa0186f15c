# An upstream that answers with what it was asked, built from source: to see what passes the gateway.
#
#     docker build -t keybound/upstream:0.1.0 -f envoy/images/upstream.Dockerfile .
FROM rust:1.95.0-alpine AS build
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
