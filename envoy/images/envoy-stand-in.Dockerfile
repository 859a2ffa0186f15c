# In place of envoyproxy/envoy where no registry can be reached; `make images` gathers what is in it.
FROM scratch
COPY rootfs/ /
USER 101:101
ENTRYPOINT ["/usr/local/bin/envoy"]
