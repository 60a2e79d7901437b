# A static binary in an otherwise empty image: no shell, no package, nothing to keep up to date but this.

FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools && rm -rf /var/lib/apt/lists/*
WORKDIR /build
RUN rustup target add "$(uname -m)-unknown-linux-musl"

# The dependencies are a layer of their own, which stands until one of these files changes.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN mkdir src && echo 'fn main() {}' >src/main.rs && touch src/lib.rs \
    && cargo build --profile dist --locked --bin coffeeshop --target "$(uname -m)-unknown-linux-musl"

COPY config.toml ./
COPY migrations migrations
COPY templates templates
COPY src src
# Cargo takes the sources for unchanged if they are older than what it built of the two files above.
RUN touch src/main.rs src/lib.rs \
    && cargo build --profile dist --locked --bin coffeeshop --target "$(uname -m)-unknown-linux-musl" \
    && cp "target/$(uname -m)-unknown-linux-musl/dist/coffeeshop" coffeeshop
# An empty named volume takes the owner of the folder that it is mounted on.
RUN mkdir -m 700 data

FROM scratch
COPY --from=build /build/coffeeshop /coffeeshop
COPY --from=build --chown=10001:10001 /build/data /data
# This number stays: it owns the files in the volume.
USER 10001:10001
ENV COFFEESHOP_SERVER__LISTEN=0.0.0.0:8080 \
    COFFEESHOP_DATABASE__FOLDER=/data
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["/coffeeshop", "healthcheck"]
ENTRYPOINT ["/coffeeshop"]
