#!/usr/bin/env bash
# CoIN from nothing to the report: builds pairs, trains the baseline (CIT) and CoIN on them, evaluates both under clean and
# perturbed instructions, tests the difference. What is finished is not done again; what was interrupted goes on. Settings are
# variables of the environment:
#
#   OUT       folder for everything                             reproduction
#   MODEL     model: folder, or name on the hub                 yahma/llama-7b-hf
#   ADAPTER   adapter that training starts from; empty for none tloen/alpaca-lora-7b
#   PAIRS     pairs that there are already: .jsonl, .csv, .parquet; else they are built from
#   DATA      the data's folder, or name on the hub, in the
#   FORMAT    form that `coin pairs build --format` takes, with flan
#   TEMPLATES a file of templates in FLAN's form
#   TRAIN_TASKS  tasks of the pairs, comma separated            all
#   TASK_PAIRS   pairs built of a task, at most                 1000
#   LIMIT     pairs in all, mixed over the tasks                52000
#   HELD_OUT  of these the last, for validation                 2000
#   GLUE      GLUE's folder, or name on the hub                 nyu-mll/glue
#   TASKS     tasks of the evaluation, comma separated          all ten
#   PROMPTS   clean and perturbed instructions (JSON)           the project's own
#   EXAMPLES  examples evaluated of a task                      300
#   NEW_TOKENS  tokens generated of an answer                   7
#   PRESET    strict, or paper                                  strict
#   DEVICE    cuda:0, cpu ..                                    cuda:0
#   DTYPE     bf16, f16, f32                                    bf16
#   STEPS     optimiser steps; empty for one epoch              empty
#   SEED      of pairs, training and evaluation                 42
#   TRAIN_SET more of `coin train --set`, separated by spaces   empty
#   COIN      the command                                       coin
#
# Exit code: that of the command that failed; 2 where OUT was begun with other settings.
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

[ -n "$PAIRS" ] || [ -n "$DATA" ] || fail "PAIRS or DATA is needed: where the pairs are, or what they are built from"
case "$PRESET" in paper|strict) ;; *) fail "PRESET=$PRESET, expected paper or strict" ;; esac

mkdir -p "$OUT"
# Settings that change the results; results of others are not mixed with theirs.
settings="$(for name in MODEL ADAPTER PAIRS DATA FORMAT TEMPLATES TRAIN_TASKS TASK_PAIRS LIMIT HELD_OUT GLUE TASKS PROMPTS \
  EXAMPLES NEW_TOKENS PRESET DTYPE STEPS SEED TRAIN_SET; do echo "$name=${!name}"; done)"
if [ -e "$OUT/settings.env" ]; then
  differ="$(diff "$OUT/settings.env" - <<<"$settings")" || fail "$OUT was begun with other settings; another OUT, or:
$differ"
else
  echo "$settings" >"$OUT/settings.env"
fi

# Writes what a command prints to a file, whole or not at all.
keep() { local file="$1"; shift; "$@" >"$file.partial"; mv "$file.partial" "$file"; }

build_pairs() {
  if [ -n "$PAIRS" ]; then
    # In the file's order, so that the released file's last entries are held out, as in the released program.
    "$COIN" pairs take "$PAIRS" --pairs "$LIMIT" --out "$OUT/pairs.jsonl"
    return
  fi
  local options=(--data "$DATA" --format "$FORMAT" --pairs "$TASK_PAIRS" --limit "$LIMIT" --seed "$SEED")
  [ -z "$TEMPLATES" ] || options+=(--templates "$TEMPLATES")
  [ -z "$TRAIN_TASKS" ] || options+=(--tasks "$TRAIN_TASKS")
  "$COIN" pairs build "${options[@]}" --out "$OUT/pairs.jsonl"
}

# Trains with the run file of the objective $1; --resume goes on from a checkpoint, if there is one.
train() {
  local kind="$1" change file="$OUT/$1.toml"
  # A run without adapter has no such line, which --set cannot take away.
  sed "$([ -n "$ADAPTER" ] || echo '/^adapter = /d')" "$here/../examples/seven_b/$kind-$PRESET.toml" >"$file"
  local options=(--config "$file" --resume --set "out=$OUT/$kind" --set "model.path=$MODEL" --set "model.dtype=$DTYPE")
  options+=(--set "data.pairs=$OUT/pairs.jsonl" --set "data.validation_pairs=$HELD_OUT")
  options+=(--set "train.device=$DEVICE" --set "train.seed=$SEED")
  [ -z "$ADAPTER" ] || options+=(--set "model.adapter=$ADAPTER")
  [ -z "$STEPS" ] || options+=(--set "train.steps=$STEPS")
  for change in $TRAIN_SET; do options+=(--set "$change"); done
  "$COIN" train "${options[@]}"
}

# Evaluates the adapter of the objective $1; an evaluation that was stopped goes on with the ledger it finds.
evaluate() {
  local kind="$1"
  local options=(--model "$MODEL" --adapter "$OUT/$kind/adapter" --glue "$GLUE" --samples "$EXAMPLES" --preset "$PRESET")
  options+=(--seed "$SEED" --dtype "$DTYPE" --device "$DEVICE" --max-new-tokens "$NEW_TOKENS" --out "$OUT/eval-$kind")
  [ -z "$TASKS" ] || options+=(--tasks "$TASKS")
  [ -z "$PROMPTS" ] || options+=(--prompts "$PROMPTS")
  "$COIN" eval "${options[@]}"
}

# Does a stage, whose result is the file or folder $1, unless it is there.
did=""
stage() {
  local result="$1"; shift
  if [ -e "$OUT/$result" ]; then say "$result is there"; return; fi
  say "$*"
  did="$did $result"
  "$@"
  # A training run that a signal stops leaves a checkpoint and fails, which ends this script with its exit code.
  [ -e "$OUT/$result" ] || { say "stopped before $result; the same command goes on"; exit 1; }
}

stage pairs.jsonl build_pairs
for kind in cit coin; do stage "$kind/adapter" train "$kind"; done
for kind in cit coin; do stage "eval-$kind/summary.json" evaluate "$kind"; done
# What was compared before, is compared again with what is new.
[ -z "$did" ] || rm -f "$OUT/tables.txt" "$OUT/report.html"
stage tables.txt keep "$OUT/tables.txt" \
  "$COIN" score "$OUT/eval-cit" "$OUT/eval-coin" --name cit --name coin --out "$OUT/score"
stage report.html "$COIN" report "$OUT/eval-cit" "$OUT/eval-coin" "$OUT/cit" "$OUT/coin" --out "$OUT/report.html"
cat "$OUT/tables.txt"
say "report: $OUT/report.html"
