#!/usr/bin/env bash
# The whole experiment, from data to report: builds pairs, trains the baseline (CIT) and CoIN on them, evaluates both under
# clean and perturbed instructions, and tests the difference. Finished stages are skipped and interrupted ones resume.
# Environment variables set the options:
#
#   OUT       output folder                                     reproduction
#   MODEL     model: folder, or name on the hub                 yahma/llama-7b-hf
#   ADAPTER   adapter that training starts from; may be empty   tloen/alpaca-lora-7b
#   PAIRS     existing pairs (.jsonl, .csv, .parquet); if empty, pairs are built from DATA
#   DATA      folder of the data, or name on the hub
#   FORMAT    format of DATA, as in `coin pairs build --format` flan
#   TEMPLATES file of templates in FLAN's format                empty
#   TRAIN_TASKS  tasks of the pairs, comma-separated            all
#   TASK_PAIRS   maximum number of pairs built per task         1000
#   LIMIT     total number of pairs, mixed over the tasks       52000
#   HELD_OUT  number of these, the last ones, for validation    2000
#   GLUE      GLUE folder, or name on the hub                   nyu-mll/glue
#   TASKS     tasks of the evaluation, comma-separated          all ten
#   PROMPTS   clean and perturbed instructions (JSON)           the project's own
#   EXAMPLES  examples evaluated per task                       300
#   NEW_TOKENS  tokens generated per answer                     7
#   PRESET    strict or paper                                   strict
#   DEVICE    cuda:0, cpu ..                                    cuda:0
#   DTYPE     bf16, f16, f32                                    bf16
#   STEPS     optimizer steps; empty for one epoch              empty
#   SEED      seed of pairs, training and evaluation            42
#   TRAIN_SET additional `coin train --set` values, separated by spaces   empty
#   COIN      the coin command                                  coin
#
# The exit code is that of the failed command, or 2 for invalid settings and for an OUT that was created with different settings.
set -euo pipefail
export LC_ALL=C

: "${OUT:=reproduction}" "${MODEL:=yahma/llama-7b-hf}" "${ADAPTER=tloen/alpaca-lora-7b}"
: "${PAIRS:=}" "${DATA:=}" "${FORMAT:=flan}" "${TEMPLATES:=}" "${TRAIN_TASKS:=}" "${TASK_PAIRS:=1000}"
: "${LIMIT:=52000}" "${HELD_OUT:=2000}" "${GLUE:=nyu-mll/glue}" "${TASKS:=}" "${PROMPTS:=}" "${EXAMPLES:=300}"
: "${NEW_TOKENS:=7}" "${PRESET:=strict}" "${DEVICE:=cuda:0}" "${DTYPE:=bf16}" "${STEPS:=}" "${SEED:=42}"
: "${TRAIN_SET:=}" "${COIN:=coin}"
here="$(cd "$(dirname "$0")" && pwd)"

say() { echo "reproduce: $*" >&2; }
fail() { say "$*"; exit 2; }

[ -n "$PAIRS" ] || [ -n "$DATA" ] || fail "PAIRS or DATA is needed: a file of pairs, or the data to build them from"
case "$PRESET" in paper|strict) ;; *) fail "PRESET=$PRESET, expected paper or strict" ;; esac

mkdir -p "$OUT"
# The settings that affect the results. Results of different settings are not mixed.
settings="$(for name in MODEL ADAPTER PAIRS DATA FORMAT TEMPLATES TRAIN_TASKS TASK_PAIRS LIMIT HELD_OUT GLUE TASKS PROMPTS \
  EXAMPLES NEW_TOKENS PRESET DTYPE STEPS SEED TRAIN_SET; do echo "$name=${!name}"; done)"
if [ -e "$OUT/settings.env" ]; then
  differ="$(diff "$OUT/settings.env" - <<<"$settings")" || fail "$OUT was created with different settings; choose another OUT, or undo these changes:
$differ"
else
  echo "$settings" >"$OUT/settings.env"
fi

# Writes a command's output to a file atomically.
keep() { local file="$1"; shift; "$@" >"$file.partial"; mv "$file.partial" "$file"; }

build_pairs() {
  if [ -n "$PAIRS" ]; then
    # Keeps the order of the file, so that the last entries of the released file are held out, as in the released program.
    "$COIN" pairs take "$PAIRS" --pairs "$LIMIT" --out "$OUT/pairs.jsonl"
    return
  fi
  local options=(--data "$DATA" --format "$FORMAT" --pairs "$TASK_PAIRS" --limit "$LIMIT" --seed "$SEED")
  [ -z "$TEMPLATES" ] || options+=(--templates "$TEMPLATES")
  [ -z "$TRAIN_TASKS" ] || options+=(--tasks "$TRAIN_TASKS")
  "$COIN" pairs build "${options[@]}" --out "$OUT/pairs.jsonl"
}

# Trains with the run file of the objective $1; --resume continues from a checkpoint, if there is one.
train() {
  local kind="$1" change file="$OUT/$1.toml"
  # Without an adapter this line must be absent, and --set cannot remove it.
  sed "$([ -n "$ADAPTER" ] || echo '/^adapter = /d')" "$here/../examples/seven_b/$kind-$PRESET.toml" >"$file"
  local options=(--config "$file" --resume --set "out=$OUT/$kind" --set "model.path=$MODEL" --set "model.dtype=$DTYPE")
  options+=(--set "data.pairs=$OUT/pairs.jsonl" --set "data.validation_pairs=$HELD_OUT")
  options+=(--set "train.device=$DEVICE" --set "train.seed=$SEED")
  [ -z "$ADAPTER" ] || options+=(--set "model.adapter=$ADAPTER")
  [ -z "$STEPS" ] || options+=(--set "train.steps=$STEPS")
  for change in $TRAIN_SET; do options+=(--set "$change"); done
  "$COIN" train "${options[@]}"
}

# Evaluates the adapter of the objective $1. An interrupted evaluation resumes from its ledger.
evaluate() {
  local kind="$1"
  local options=(--model "$MODEL" --adapter "$OUT/$kind/adapter" --glue "$GLUE" --samples "$EXAMPLES" --preset "$PRESET")
  options+=(--seed "$SEED" --dtype "$DTYPE" --device "$DEVICE" --max-new-tokens "$NEW_TOKENS" --out "$OUT/eval-$kind")
  [ -z "$TASKS" ] || options+=(--tasks "$TASKS")
  [ -z "$PROMPTS" ] || options+=(--prompts "$PROMPTS")
  "$COIN" eval "${options[@]}"
}

# Runs a stage, unless its result, the file or folder $1, exists.
did=""
stage() {
  local result="$1"; shift
  if [ -e "$OUT/$result" ]; then say "$result exists, skipped"; return; fi
  say "$*"
  did="$did $result"
  "$@"
  # A training run that a signal stops writes a checkpoint and fails, which ends this script with its exit code.
  [ -e "$OUT/$result" ] || { say "stopped before $result was complete; run the same command again to resume"; exit 1; }
}

stage pairs.jsonl build_pairs
for kind in cit coin; do stage "$kind/adapter" train "$kind"; done
for kind in cit coin; do stage "eval-$kind/summary.json" evaluate "$kind"; done
# If any stage ran, the comparison and the report are made again.
[ -z "$did" ] || rm -f "$OUT/tables.txt" "$OUT/report.html"
stage tables.txt keep "$OUT/tables.txt" \
  "$COIN" score "$OUT/eval-cit" "$OUT/eval-coin" --name cit --name coin --out "$OUT/score"
stage report.html "$COIN" report "$OUT/eval-cit" "$OUT/eval-coin" "$OUT/cit" "$OUT/coin" --out "$OUT/report.html"
cat "$OUT/tables.txt"
say "report: $OUT/report.html"
