# What a contributor types. Nothing here needs root; `.ci/run` does more and installs what it needs.

# Serve on http://127.0.0.1:8080 with a database in ./data.
run:
    cargo run

# Run the tests that need nothing but the toolchain. A name narrows them: `just test login`.
test *name:
    cargo test --locked -- {{ name }}

# Format, lint and document: what must be clean before a change is proposed.
check:
    cargo fmt --check
    if command -v codespell >/dev/null; then codespell; fi
    cargo clippy --locked --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# Rewrite the OpenAPI document and docs/reference after a wanted change.
snapshot:
    INSTA_UPDATE=always cargo test --locked --test it -- openapi documents

# Compare the speed with that of a bare handler, hash and disk on this machine.
bench *rows:
    bench/run {{ rows }}
