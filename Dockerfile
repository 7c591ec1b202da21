# syntax=docker/dockerfile:1.7
# One build, three images:
#
#   docker build --tag whoop .                            `api` and `sync-worker`
#   docker build --target scheduler --tag whoop-scheduler .   the same, started at an hour of the day
#   docker build --target simulator --tag whoop-simulator .   a WHOOP to try it with
#
# What is done stands in deploy/image/build, which runs without Docker too.

# Node only fetches the Health page's chart library (crates/api/build.rs).
FROM node:22-bookworm-slim AS node

# The version is that of rust-toolchain.toml; Debian's is that of `system` below, as the
# programs are linked with its C library.
FROM rust:1.95.0-bookworm AS toolchain
# Without it rustup would fetch the parts that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /src

FROM toolchain AS skeleton
COPY . .
RUN deploy/image/build skeleton /skeleton

FROM toolchain AS programs
# A skeleton is the same after most edits, and then this layer is taken as it is.
COPY --from=skeleton /skeleton .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    deploy/image/build dependencies
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    deploy/image/build programs /out

FROM debian:bookworm-slim AS system
# Newest of all is what these are wanted for: a fixed version would keep old roots of
# trust, old time zones, and disappear from Debian's servers.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get upgrade --yes \
    && apt-get install --yes --no-install-recommends ca-certificates snooze tzdata \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY deploy/image/build deploy/image/build
COPY --from=programs /out /out
RUN deploy/image/build root /root-of-image /out/api /out/sync-worker /out/whoop-sim

FROM scratch AS base
COPY --from=system /root-of-image/ /
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/whoop/
ENV PATH=/usr/local/bin
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532

FROM base AS simulator
COPY --from=programs /out/whoop-sim /usr/local/bin/whoop-sim
EXPOSE 8090
LABEL org.opencontainers.image.title="whoop-sim" \
      org.opencontainers.image.description="A simulator of the WHOOP developer API v2" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
ENTRYPOINT ["/usr/local/bin/whoop-sim"]

FROM base AS service
COPY --from=programs /out/sbom.cdx.json /usr/share/doc/whoop/sbom.cdx.json
COPY --from=programs /out/api /out/sync-worker /usr/local/bin/
# Inside a container loopback is reached by nobody.
ENV API_LISTEN=0.0.0.0:8080
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="whoop" \
      org.opencontainers.image.description="Keeps members' WHOOP data in PostgreSQL and answers an app from there" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.source="$SOURCE"

# snooze waits for an hour of the day and then becomes the command: cron without root,
# without a shell, and with the run's own exit code.
FROM service AS scheduler
COPY --from=system /usr/bin/snooze /usr/local/bin/snooze
# A machine that slept through the hour does it up to an hour later.
ENTRYPOINT ["/usr/local/bin/snooze", "-s", "1h"]

# The last one is built where none is named.
FROM service AS whoop
EXPOSE 8080
# The API's own: a `sync-worker` in this image has no port that could be asked.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --start-interval=1s \
    CMD ["/usr/local/bin/api", "healthcheck"]
CMD ["/usr/local/bin/api"]
