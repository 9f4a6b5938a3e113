#!/usr/bin/env bash
# Medium reproduction: trains a LLaMA of 5.5 M parameters from scratch on real instruction data, then compares CIT and CoIN over
# several seeds, evaluated on real development sets under the released perturbed instructions. Finished parts are not repeated.
# An interrupted tuning run or evaluation resumes; an interrupted run of the base (there are two) starts over.
# docs/reproduction.md has the resulting tables. Environment variables set the options:
#
#   DATA        folder of the public files, laid out as in docs/test-data.md     ../shared/data
#   OUT         output folder                                                    medium-reproduction
#   SEEDS       seeds of pairs, training and evaluation; more can be added later 1 2 3
#   PRESET      strict or paper                                                  strict
#   BASE_STEPS  optimizer steps of the base, 64 rows each                        2500
#   STEPS       optimizer steps of CIT and of CoIN, 64 pairs each                100
#   SHARE       percent of each source's pairs to build                          100
#   HELD_OUT    pairs held out of training                                       400
#   EXAMPLES    examples evaluated per task                                      100
#   PROGRAMS    folder with `coin` and `examples/`, such as target/release       if empty, built by cargo
#
# The tables go to standard output. The exit code is that of the failed command, or 2 for invalid settings and for an OUT that was
# created with different settings.
set -euo pipefail
export LC_ALL=C
here="$(cd "$(dirname "$0")/.." && pwd)"
: "${DATA:=$here/../shared/data}" "${OUT:=medium-reproduction}" "${SEEDS:=1 2 3}" "${PRESET:=strict}" "${BASE_STEPS:=2500}"
: "${STEPS:=100}" "${SHARE:=100}" "${HELD_OUT:=400}" "${EXAMPLES:=100}" "${PROGRAMS:=}"

fail() { echo "medium_reproduction: $*" >&2; exit 2; }
[ -d "$DATA/glue" ] || fail "DATA=$DATA has no folder glue"
DATA="$(cd "$DATA" && pwd)"
# Preset paper contrasts within a micro-batch of two pairs; in preset strict the micro-batch size affects memory only.
case "$PRESET" in strict) micro=8 ;; paper) micro=2 ;; *) fail "PRESET=$PRESET, expected paper or strict" ;; esac
for name in BASE_STEPS STEPS SHARE HELD_OUT EXAMPLES; do
  [[ "${!name}" =~ ^[1-9][0-9]{0,8}$ ]] || fail "$name=${!name}, expected a whole number from 1"
done
[ "$BASE_STEPS" -ge 3 ] || fail "BASE_STEPS=$BASE_STEPS, expected at least 3"
read -ra seeds <<<"$SEEDS"
distinct="$(printf '%s\n' "${seeds[@]}" | sort -u | wc -l)"
if [ "${#seeds[@]}" != "$distinct" ] || [ "$distinct" -gt 10 ]; then fail "SEEDS=$SEEDS, expected 1 to 10 different ones"; fi

if [ -z "$PROGRAMS" ]; then
  (cd "$here" && cargo build --release --locked -p coin -p coin-examples --bin coin --example gather_glue \
    --example train_base --example seed_table)
  PROGRAMS="$(cd "$here" && cd "${CARGO_TARGET_DIR:-target}/release" && pwd)"
fi
PROGRAMS="$(cd "$PROGRAMS" && pwd)"
export COIN="$PROGRAMS/coin"
mkdir -p "$OUT"
root="$(cd "$OUT" && pwd)"

# The settings that affect the results. Results of different settings are not mixed.
settings="$(for name in DATA PRESET BASE_STEPS STEPS SHARE HELD_OUT EXAMPLES; do echo "$name=${!name}"; done)"
if [ -e "$root/settings.env" ]; then
  differ="$(diff "$root/settings.env" - <<<"$settings")" || fail "$OUT was created with different settings; choose another OUT, or undo these changes:
$differ"
else
  echo "$settings" >"$root/settings.env"
fi

# Creates the file or folder $1 with a command, unless it exists. A temporary name replaces the word RESULT in the command.
make() {
  local result="$root/$1" word words=(); shift
  if [ -e "$result" ]; then return; fi
  local partial="${result%/*}/partial-${result##*/}"
  rm -rf "$partial"
  for word in "$@"; do
    if [ "$word" = RESULT ]; then word="$partial"; fi
    words+=("$word")
  done
  echo "medium_reproduction: $result" >&2
  "${words[@]}" >&2
  mv "$partial" "$result"
}

# Builds the pairs of all sources in the folder $1 with the seed $2; SOURCE:PAIRS gives the number of pairs per task.
sources() {
  local folder="$1" seed="$2" source task pairs from; shift 2
  mkdir -p "$root/$folder"
  for source in "$@"; do
    task="${source%:*}" pairs="$((${source#*:} * SHARE / 100 / 2 * 2))"
    if [ "$pairs" -lt 4 ]; then pairs=4; fi
    from=(--seed "$seed" --pairs "$pairs" --out RESULT)
    case "$task" in
      t0) from+=(--format t0 --data "$DATA/flan/t0_short") ;;
      induction) from+=(--format induction --data "$DATA/instructions/instruction_induction") ;;
      *) from+=(--data "$root/material/glue" --templates "$root/material/templates.json" --tasks "$task") ;;
    esac
    make "$folder/$task.jsonl" "$COIN" pairs build "${from[@]}"
  done
}

# Concatenates the files of the folder $2 into the file $1.
join() { cat "$2"/*.jsonl >"$1"; }

make material "$PROGRAMS/examples/gather_glue" "$DATA" RESULT

# The base is trained on both wordings of all pairs in two runs. The first stops when the rate has decayed from 2e-3 to 1.17e-3;
# the second continues from there to zero.
sources base-pairs 1 cola:8000 sst2:16000 mrpc:6000 rte:5000 qnli:8000 mnli:4000 wnli:1000 t0:400 induction:500
first="$((BASE_STEPS * 3 / 5))"
base=("$PROGRAMS/examples/train_base" --out RESULT)
make base-begun "${base[@]}" --steps "$((BASE_STEPS * 36 / 25))" --stop-at "$first" "$root"/base-pairs/[a-z]*.jsonl
make base "${base[@]}" --from "$root/base-begun" --first-row "$((first * 64))" --steps "$((BASE_STEPS - first))" --rate 1.17e-3 \
  "$root"/base-pairs/[a-z]*.jsonl

prompts="$DATA/coin/perturbed_prompts.json"
scores=()
for seed in "${seeds[@]}"; do
  run="$root/seed-$seed"
  sources "seed-$seed/pairs" "$((100 + seed))" cola:2000 sst2:2000 mrpc:2000 rte:2000 qnli:2000 mnli:2000 wnli:500 t0:100 \
    induction:100
  make "seed-$seed/joined.jsonl" join RESULT "$run/pairs"
  make "seed-$seed/pairs.jsonl" "$COIN" pairs take "$run/joined.jsonl" --pairs 1000000 --seed "$seed" --out RESULT
  # Sets every variable of that script, so that none is inherited from the environment.
  env OUT="$run/runs" MODEL="$root/base" ADAPTER= PAIRS="$run/pairs.jsonl" DATA= FORMAT=flan TEMPLATES= TRAIN_TASKS= \
    TASK_PAIRS=1000 LIMIT=1000000 HELD_OUT="$HELD_OUT" GLUE="$root/material/glue" TASKS= PROMPTS="$prompts" \
    EXAMPLES="$EXAMPLES" NEW_TOKENS=7 PRESET="$PRESET" DEVICE=cpu DTYPE=f32 STEPS="$STEPS" SEED="$seed" \
    TRAIN_SET="data.max_tokens=160 train.micro_batch_pairs=$micro train.learning_rate=1e-3" \
    "$here/scripts/reproduce.sh" >/dev/null
  evaluation="$run/runs/eval-base"
  if [ ! -e "$evaluation/summary.json" ]; then
    "$COIN" eval --model "$root/base" --glue "$root/material/glue" --prompts "$prompts" --samples "$EXAMPLES" \
      --preset "$PRESET" --seed "$seed" --out "$evaluation" >/dev/null
  fi
  if [ ! -e "$run/score/summary.json" ]; then
    "$COIN" score "$evaluation" "$run/runs/eval-cit" "$run/runs/eval-coin" --name base --name cit --name coin \
      --out "$run/score" >/dev/null
  fi
  scores+=("$run/score")
done

"$PROGRAMS/examples/seed_table" "${scores[@]}"
