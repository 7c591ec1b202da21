# Lists what there is.
default:
    @just --list

# The whole system on one machine, with a simulated WHOOP. Ctrl-C ends it.
demo *arguments:
    cargo demo {{arguments}}

# The acceptance steps, then leave.
check:
    cargo demo --check

# Every test, on a private PostgreSQL.
test:
    cargo test --workspace

# The real programs, several of each: just soak tokens --rounds 1000, just soak quota --calls 10000
soak *arguments:
    cargo run --quiet --package whoop-devkit --features demo --bin soak -- {{arguments}}

# How long a member's year and a plan of thousands take, in a release build.
speed *arguments:
    cargo run --release --quiet --package whoop-devkit --features demo --bin soak -- speed {{arguments}}

# A day measured against FastAPI and PostgreSQL alone: bench/RESULTS.md. Some ten minutes.
bench *arguments:
    bench/run {{arguments}}

# A Dart client of the API in target/dart-client.
dart-client *arguments:
    scripts/dart-client {{arguments}}

# The API's description, linted.
lint-openapi:
    scripts/lint-openapi

# A running API asked everything, its member erased: just fuzz http://127.0.0.1:8080 TOKEN demo-member 2000
fuzz *arguments:
    scripts/fuzz-api {{arguments}}

# The pages in a browser: Debian's chromium, Node and npm.
test-page *files:
    scripts/test-page {{files}}

# The same, with a picture of every state in target/page-pictures; those of the README are renewed.
screenshots:
    scripts/screenshots

# The service, or with `--profile sim` the demo, by Docker Compose: docs/deploy.md.
up *arguments:
    docker compose {{arguments}} up --build

# Every deployment file by the program that reads it, and a broken copy of each; `image` builds and tries the image's parts.
check-deploy *arguments:
    scripts/check-deploy {{arguments}}

# Alerts, their tests, the dashboard, and the book that says what to do.
check-observe:
    scripts/check-observe

# A database dumped, restored beside itself, and compared with WHOOP; `--try` on a stage of its own.
backup-drill *arguments:
    scripts/backup-drill {{arguments}}

# Three days by the deployed command lines, on the simulator's clock.
cron-day:
    scripts/cron-day

# The Supabase and Citus SQL on a private PostgreSQL with their roles.
check-supabase *arguments:
    scripts/check-supabase {{arguments}}

# Format, clippy and rustdoc, warnings as errors.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- --deny warnings
    RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --quiet

# Licences, unwanted and unused dependencies, and RustSec's advisories if their database can be fetched.
supply-chain *arguments:
    scripts/supply-chain {{arguments}}

# Which crate may know which.
house:
    scripts/house

# Bring the database in DATABASE_URL up to date.
migrate:
    cargo run --release --bin sync-worker -- migrate

# A scheduled run: just worker night
worker slot="auto" *arguments:
    cargo run --release --bin sync-worker -- run --slot {{slot}} {{arguments}}

# Everything that must not break, as it runs before a change lands.
ci:
    bash .ci/run
