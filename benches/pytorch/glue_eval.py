#!/usr/bin/env python3
"""The evaluation loop of the released program, in transformers, on the prompts of a finished `coin eval`.

Every prompt is generated alone: batch 1, greedy `generate`, as many new tokens as `coin eval` was given. The new tokens are
compared with those in the ledger, so the evaluation must have been run with `--full-decode`. Prints how many continuations
are the same, how many of those that differ hold a near-tie, and the throughput of this loop.

    python glue_eval.py MODEL EVALUATION [--adapter DIR] [--limit N] [--threads N] [--new-tokens N]
"""

import argparse
import csv
import glob
import json
import os
import re
import time

import torch
from transformers import AutoModelForCausalLM, LlamaTokenizer, PreTrainedTokenizerFast

NEAR_TIE = 1e-4


def tokenizer_of(folder):
    if os.path.exists(os.path.join(folder, "tokenizer.json")):
        return PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"))
    return LlamaTokenizer(os.path.join(folder, "tokenizer.model"), legacy=True)


def prompts_of(evaluation):
    """(task, level, instruction, row) -> prompt, from the result files."""
    prompts = {}
    for path in sorted(glob.glob(os.path.join(evaluation, "results/*/*/len_*_shot_prompt*.csv"))):
        task, level = path.split(os.sep)[-3:-1]
        instruction = int(re.search(r"prompt(\d+)\.csv$", path).group(1))
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                prompts[task, level, instruction, int(row["index"])] = row["input_text"]
    return prompts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("evaluation")
    parser.add_argument("--adapter")
    parser.add_argument("--limit", type=int, help="only so many prompts, spread evenly over all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--new-tokens", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    model = AutoModelForCausalLM.from_pretrained(arguments.model, torch_dtype=torch.float32).eval()
    if arguments.adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, arguments.adapter).eval()
    tokenizer = tokenizer_of(arguments.model)
    eos = model.config.eos_token_id
    eos = set(eos if isinstance(eos, list) else [eos])

    prompts = prompts_of(arguments.evaluation)
    with open(os.path.join(arguments.evaluation, "ledger.jsonl"), encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    if arguments.limit:
        records = records[:: max(1, len(records) // arguments.limit)][: arguments.limit]

    same, near, wrong = 0, 0, []
    spent = 0.0
    for record in records:
        key = record["task"], record["level"], record["instruction"], record["row"]
        start = time.perf_counter()
        ids = tokenizer(prompts[key], return_tensors="pt")["input_ids"]
        if ids[0, 0] != model.config.bos_token_id:
            ids = torch.cat([torch.tensor([[model.config.bos_token_id]]), ids], dim=1)
        with torch.no_grad():
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=arguments.new_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        new = out[0, ids.shape[1] :].tolist()
        tokenizer.decode(new)
        spent += time.perf_counter() - start
        while new and new[-1] in eos:
            new.pop()
        if new == record["token_ids"]:
            same += 1
        elif record["margin"] is not None and record["margin"] < NEAR_TIE:
            near += 1
        else:
            wrong.append((key, new, record["token_ids"]))
    print(f"{len(records)} continuations: {same} the same, {near} differ at a near-tie, {len(wrong)} differ otherwise")
    for key, theirs, ours in wrong[:5]:
        print(f"  {key}: transformers {theirs}, coin {ours}")
    print(f"transformers: {len(records) / spent:.1f} generations a second on {arguments.threads} threads")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
