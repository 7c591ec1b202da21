# syntax=docker/dockerfile:1.7
# One build for three images:
#
#   docker build --tag whoop .                                `api` and `sync-worker`
#   docker build --target scheduler --tag whoop-scheduler .   the same, started at fixed hours of the day
#   docker build --target simulator --tag whoop-simulator .   the simulated WHOOP of the demo
#
# The steps are in deploy/image/build, which also works without Docker.

# Node is only needed to fetch the chart library of the Health page (crates/api/build.rs).
FROM node:22-bookworm-slim AS node

# The version of Rust must be that of rust-toolchain.toml. The release of Debian must be that of
# `system` below, because the programs are linked with its C library.
FROM rust:1.95.0-bookworm AS toolchain
# Without this variable rustup would download components that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=node /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
WORKDIR /src

FROM toolchain AS skeleton
COPY . .
RUN deploy/image/build skeleton /skeleton

FROM toolchain AS programs
# Most edits do not change the skeleton, so that Docker uses the cached layer with the dependencies.
COPY --from=skeleton /skeleton .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    deploy/image/build dependencies
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    deploy/image/build programs /out

FROM debian:bookworm-slim AS system
# These packages have no fixed version on purpose: root certificates and time zones must be current,
# and Debian's servers delete old versions.
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
# A number, so that Kubernetes can check that the user is not root.
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
# The loopback address of a container cannot be reached from outside.
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

# snooze waits for an hour of the day and then executes the command in its place. Unlike cron it
# needs no root and no shell, and the container ends with the exit code of the run.
FROM service AS scheduler
COPY --from=system /usr/bin/snooze /usr/local/bin/snooze
# If the machine was suspended at that hour, the run starts up to one hour later.
ENTRYPOINT ["/usr/local/bin/snooze", "-s", "1h"]

# The last stage is the default target.
FROM service AS whoop
EXPOSE 8080
# The health check is for the API only: `sync-worker` listens on no port.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --start-interval=1s \
    CMD ["/usr/local/bin/api", "healthcheck"]
CMD ["/usr/local/bin/api"]
