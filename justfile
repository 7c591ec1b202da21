# List the recipes.
default:
    @just --list

# Run the whole system on this machine with a simulated WHOOP; Ctrl-C stops it.
demo *arguments:
    cargo demo {{arguments}}

# Run the acceptance steps of the demo and exit.
check:
    cargo demo --check

# Run every test, on a private PostgreSQL.
test:
    cargo test --workspace

# Test several processes of the real programs under load: just soak tokens --rounds 1000, just soak quota --calls 10000
soak *arguments:
    cargo run --quiet --package whoop-devkit --features demo --bin soak -- {{arguments}}

# Measure the sync of one member's year and the planning for thousands of members, in a release build.
speed *arguments:
    cargo run --release --quiet --package whoop-devkit --features demo --bin soak -- speed {{arguments}}

# Compare the API's speed with FastAPI and plain PostgreSQL (about ten minutes): bench/RESULTS.md
bench *arguments:
    bench/run {{arguments}}

# Generate a Dart client of the API in target/dart-client.
dart-client *arguments:
    scripts/dart-client {{arguments}}

# Lint the API's OpenAPI description.
lint-openapi:
    scripts/lint-openapi

# Fuzz a running API; this erases the member: just fuzz http://127.0.0.1:8080 TOKEN demo-member 2000
fuzz *arguments:
    scripts/fuzz-api {{arguments}}

# Test the pages in a browser; needs Debian's chromium, Node and npm.
test-page *files:
    scripts/test-page {{files}}

# Test the pages, save a screenshot of every state in target/page-pictures, and update those of the README.
screenshots:
    scripts/screenshots

# Start the service, or the demo with `--profile sim`, with Docker Compose: docs/deploy.md
up *arguments:
    docker compose {{arguments}} up --build

# Validate every deployment file, and that broken copies are refused; `image` builds and tests the contents of the image.
check-deploy *arguments:
    scripts/check-deploy {{arguments}}

# Check the alerts, their tests, the dashboard and the runbook.
check-observe:
    scripts/check-observe

# Dump a database, restore it into a copy, and compare the copy with WHOOP; `--try` tests the drill itself.
backup-drill *arguments:
    scripts/backup-drill {{arguments}}

# Run three simulated days of scheduled runs with the deployed command lines.
cron-day:
    scripts/cron-day

# Test the Supabase and Citus SQL on a private PostgreSQL with their roles.
check-supabase *arguments:
    scripts/check-supabase {{arguments}}

# Check the format and run clippy and rustdoc, with warnings as errors.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- --deny warnings
    RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --quiet

# Check licences, unwanted and unused dependencies, and RustSec's advisories if their database can be fetched.
supply-chain *arguments:
    scripts/supply-chain {{arguments}}

# Check which crate may depend on which.
house:
    scripts/house

# Migrate the database in DATABASE_URL.
migrate:
    cargo run --release --bin sync-worker -- migrate

# Start a scheduled run: just worker night
worker slot="auto" *arguments:
    cargo run --release --bin sync-worker -- run --slot {{slot}} {{arguments}}

# Run every check, as before a change is merged.
ci:
    bash .ci/run
