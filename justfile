# Shortcuts; `just` lists them. CONTRIBUTING.md explains what each is for.

_list:
    @just --list

# Everything that CI runs
check:
    .ci/run

# All tests
test *args:
    cargo test --workspace {{ args }}

# The tests that take seconds: those inside the libraries
test-fast:
    cargo test --workspace --lib

# All parts on a small chain: server, prover, checked proofs
demo *args:
    cargo run --release -- demo {{ args }}

# A fuzz target over many random changes, such as batch_json or verify
fuzz target changes="100000":
    TEE_FUZZ_CHANGES={{ changes }} cargo test --release -p tee-fuzz --test short -- {{ target }}

# Everything at once, while everything goes wrong: sqlite or postgresql
chaos database="sqlite" minutes="10" seed="7":
    TEE_CHAOS_SEED={{ seed }} TEE_CHAOS_MINUTES={{ minutes }} cargo test --release -p tee-chaos -- --nocapture {{ database }}

# The verifier compared with the reference, on batches of the devnet
bench:
    cargo build --release --features reference
    target/release/teectl devnet --out target/batches --batches 2 --txs 2000
    target/release/teectl bench target/batches/batch-14035.json.zst

# Reproducible builds of the programs, lists of what is in them, and Debian packages
release:
    deploy/release
    deploy/debs

# The documentation of all libraries
docs:
    cargo doc --workspace --no-deps --open

# The documents as a book, in target/book
book:
    docs/book
