# In place of postgres where no registry can be reached; `make images` gathers what is in it.
FROM scratch
COPY rootfs/ /
COPY --chown=999:999 data/ /var/lib/postgresql/
USER 999:999
ENTRYPOINT ["/usr/local/bin/docker-entrypoint.sh"]
