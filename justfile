# Short names for the project's chores; `cargo xtask help` lists them as well.

# What there is
default:
    @just --list --unsorted

# Obtains real S3 credentials with a sandboxed provider and uses them
demo:
    cargo xtask demo

# The same with Kerberos and HDFS
demo-hadoop:
    cargo xtask demo hadoop

# Every check and every test; `just test --only clippy` runs one part
test *arguments:
    cargo xtask test {{ arguments }}

# A release: the archive and the Debian package, optimised, in half an hour; `just dist --profile dev` packs what is built
dist *arguments:
    cargo xtask dist {{ arguments }}

# The guest components alone
guests:
    cargo xtask guests

# The test servers and tools alone
tools:
    cargo xtask tools

# The rules of the tree alone
tidy:
    cargo xtask tidy

# How fast it is, as ratios
bench *arguments:
    cargo xtask bench {{ arguments }}

# Formats all Rust
fmt:
    cargo fmt --all
    cd engines/object-store && cargo fmt --all
    cd kit/hadoop && cargo fmt --all
    cd kit/rust && cargo fmt --all
    cd providers && cargo fmt --all
    cd receivers && cargo fmt --all
    cd tests/clients/rust && cargo fmt --all
    cd tests/fuzz && cargo fmt --all
    cd tests/guests && cargo fmt --all
    cd tests/plugs/outputs && cargo fmt --all
    cd tests/plugs/secrets && cargo fmt --all
    cd tests/providers/assertion/rust && cargo fmt --all
    cd tests/providers/refresh-token && cargo fmt --all

# Known faults of the dependencies: asks the advisory database, so it needs the network
advisories:
    cargo deny check advisories
