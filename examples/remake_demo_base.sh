#!/usr/bin/env bash
# Rebuilds the demo's base model in three runs: the first teaches the tasks, the others teach it to read instructions.
set -euo pipefail
cd "$(dirname "$0")/.."
train() { cargo run --release -p coin-examples --example train_demo_base -- "$@"; }
train --out target/demo-base --stop-at 4000
train --from target/demo-base --first-row 256000 --named-steps 0 --steps 2200 --rate 0.002 --out target/demo-base
train --from target/demo-base --first-row 396800 --named-steps 0 --steps 3000 --rate 0.002 --out crates/coin/assets/demo-base
