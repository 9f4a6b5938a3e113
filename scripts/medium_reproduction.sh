#!/usr/bin/env bash
# The medium reproduction: a LLaMA of 5.5 M parameters, instruction-tuned from nothing on real data, then CIT against CoIN over
# several seeds, evaluated on real development sets under the released perturbed instructions. What is finished is not done
# again, and a run or evaluation that was stopped goes on. docs/reproduction.md has the tables that came out. Settings are
# variables of the environment:
#
#   DATA        folder of the public files, as docs/test-data.md lays them out   ../shared/data
#   OUT         folder for everything                                            medium-reproduction
#   SEEDS       seeds of pairs, training and evaluation                          1 2 3
#   PRESET      strict, or paper                                                 strict
#   BASE_STEPS  optimiser steps of the base, 64 rows each                        3600
#   STEPS       optimiser steps of CIT and of CoIN, 64 pairs each                200
#   SHARE       per cent of each source's pairs that are built                   100
#   HELD_OUT    pairs held out of training                                       400
#   EXAMPLES    examples evaluated of a task                                     100
#   COIN, EXAMPLE_PROGRAMS  the command; the folder of the example programs      built by cargo where empty
set -euo pipefail
export LC_ALL=C
here="$(cd "$(dirname "$0")/.." && pwd)"
: "${DATA:=$here/../shared/data}" "${OUT:=medium-reproduction}" "${SEEDS:=1 2 3}" "${PRESET:=strict}"
: "${BASE_STEPS:=3600}" "${STEPS:=200}" "${SHARE:=100}" "${HELD_OUT:=400}" "${EXAMPLES:=100}" "${COIN:=}" "${EXAMPLE_PROGRAMS:=}"

[ -d "$DATA/glue" ] || { echo "medium_reproduction: DATA=$DATA has no folder glue" >&2; exit 2; }
if [ -z "$COIN" ] || [ -z "$EXAMPLE_PROGRAMS" ]; then
  (cd "$here" && cargo build --release --locked -p coin -p coin-examples --bin coin --example gather_glue \
    --example train_base --example seed_table)
  target="${CARGO_TARGET_DIR:-$here/target}"
  COIN="$target/release/coin" EXAMPLE_PROGRAMS="$target/release/examples"
fi
mkdir -p "$OUT"
root="$(cd "$OUT" && pwd)"
export COIN

# Makes the file or folder $1 with a command, unless it is there; the command writes to the name it gets instead of RESULT.
make() {
  local result="$root/$1" word words=(); shift
  [ -e "$result" ] && return
  local partial="${result%/*}/partial-${result##*/}"
  rm -rf "$partial"
  for word in "$@"; do words+=("${word/RESULT/$partial}"); done
  "${words[@]}"
  mv "$partial" "$result"
}

# Builds the pairs of all sources: the prefix of their files, the seed, and pairs per task of each source.
sources() {
  local prefix="$1" seed="$2" source task pairs; shift 2
  for source in "$@"; do
    task="${source%:*}" pairs="$((${source#*:} * SHARE / 100 / 2 * 2))"
    [ "$pairs" -ge 4 ] || pairs=4
    local from=(--seed "$seed" --pairs "$pairs" --out RESULT)
    case "$task" in
      t0) from+=(--format t0 --data "$DATA/flan/t0_short") ;;
      induction) from+=(--format induction --data "$DATA/instructions/instruction_induction") ;;
      *) from+=(--data "$root/material/glue" --templates "$root/material/templates.json" --tasks "$task") ;;
    esac
    make "$prefix-$task.jsonl" "$COIN" pairs build "${from[@]}"
  done
}

make material "$EXAMPLE_PROGRAMS/gather_glue" "$DATA" RESULT

# The base: both wordings of all pairs, about twice.
mkdir -p "$root/base-pairs"
sources base-pairs/pairs 1 cola:8000 sst2:16000 mrpc:6000 rte:5000 qnli:8000 mnli:4000 wnli:1000 t0:400 induction:500
make base "$EXAMPLE_PROGRAMS/train_base" --out RESULT --steps "$BASE_STEPS" "$root"/base-pairs/pairs-*.jsonl

prompts="$DATA/coin/perturbed_prompts.json"
# Preset paper contrasts within a micro-batch, which has two pairs there; elsewhere its size is for memory only.
micro=8
[ "$PRESET" = strict ] || micro=2
for seed in $SEEDS; do
  run="$root/$PRESET-seed-$seed"
  mkdir -p "$run/pairs"
  sources "$PRESET-seed-$seed/pairs/pairs" "$((100 + seed))" cola:2000 sst2:2000 mrpc:2000 rte:2000 qnli:2000 mnli:2000 wnli:500 \
    t0:100 induction:100
  [ -e "$run/mixed.jsonl" ] || cat "$run"/pairs/pairs-*.jsonl >"$run/mixed.jsonl"
  make "$PRESET-seed-$seed/pairs.jsonl" "$COIN" pairs take "$run/mixed.jsonl" --pairs 1000000 --seed "$seed" --out RESULT
  env OUT="$run/runs" MODEL="$root/base" ADAPTER= PAIRS="$run/pairs.jsonl" LIMIT=1000000 HELD_OUT="$HELD_OUT" \
    GLUE="$root/material/glue" PROMPTS="$prompts" EXAMPLES="$EXAMPLES" PRESET="$PRESET" DEVICE=cpu DTYPE=f32 \
    STEPS="$STEPS" SEED="$seed" TRAIN_SET="data.max_tokens=160 train.micro_batch_pairs=$micro train.learning_rate=1e-3" \
    "$here/scripts/reproduce.sh" >/dev/null
  evaluation="$run/runs/eval-base"
  [ -e "$evaluation/summary.json" ] || "$COIN" eval --model "$root/base" --glue "$root/material/glue" \
    --prompts "$prompts" --samples "$EXAMPLES" --preset "$PRESET" --seed "$seed" --out "$evaluation" >/dev/null
  [ -e "$run/score/summary.json" ] || "$COIN" score "$evaluation" "$run/runs/eval-cit" "$run/runs/eval-coin" \
    --name base --name cit --name coin --out "$run/score" >/dev/null
done

tables=()
for seed in $SEEDS; do tables+=("$root/$PRESET-seed-$seed/score"); done
"$EXAMPLE_PROGRAMS/seed_table" "${tables[@]}"
