#!/usr/bin/env python3
"""Runs the released program's evaluation loop in transformers on the prompts of a finished `coin eval`.

Every prompt is a batch of 1, with greedy `generate` and the same number of new tokens as in `coin eval`. The new tokens are
compared with those in the ledger, so the evaluation must have been run with `--full-decode`. Prints how many continuations
are the same, how many differ at a near-tie, how many differ otherwise, and the throughput of this loop.

A ledger with likelihoods is compared by the log-likelihood of each label word, tokenized together with the prompt.

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
    """Reads the prompts from the result files: (task, level, instruction, row) -> prompt."""
    prompts = {}
    for path in sorted(glob.glob(os.path.join(evaluation, "results/*/*/len_*_shot_prompt*.csv"))):
        task, level = path.split(os.sep)[-3:-1]
        instruction = int(re.search(r"prompt(\d+)\.csv$", path).group(1))
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                prompts[task, level, instruction, int(row["index"])] = row["input_text"]
    return prompts


def encode(model, tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    return ids if ids[:1] == [model.config.bos_token_id] else [model.config.bos_token_id] + ids


def compare_likelihoods(model, tokenizer, prompts, records, evaluation):
    """Compares log-likelihoods, summed over the tokens after the prefix shared by the prompt and its label-word rows."""
    with open(os.path.join(evaluation, "tasks.json"), encoding="utf-8") as file:
        labels = {task["name"]: task["labels"] for task in json.load(file)}
    largest = 0.0
    for record in records:
        prompt = prompts[record["task"], record["level"], record["instruction"], record["row"]]
        alone = encode(model, tokenizer, prompt)
        rows = [encode(model, tokenizer, prompt + word) for word in labels[record["task"]]]
        shared = len(alone)
        while any(row[:shared] != alone[:shared] or len(row) <= shared for row in rows):
            shared -= 1
        for row, ours in zip(rows, record["likelihoods"]):
            with torch.no_grad():
                scores = torch.log_softmax(model(torch.tensor([row])).logits[0].double(), dim=-1)
            theirs = sum(scores[at - 1, row[at]].item() for at in range(shared, len(row)))
            assert len(row) - shared == ours["tokens"], (record, len(row) - shared)
            largest = max(largest, abs(theirs - ours["sum"]))
    print(f"{len(records)} prompts: log-likelihoods of label words differ by at most {largest:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("evaluation")
    parser.add_argument("--adapter")
    parser.add_argument("--limit", type=int, help="compare only this many prompts, evenly spaced")
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

    if records[0]["likelihoods"] is not None:
        return compare_likelihoods(model, tokenizer, prompts, records, arguments.evaluation)

    same, near, wrong = 0, 0, []
    spent = 0.0
    for record in records:
        key = record["task"], record["level"], record["instruction"], record["row"]
        start = time.perf_counter()
        ids = torch.tensor([encode(model, tokenizer, prompts[key])])
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
    print(f"transformers: {len(records) / spent:.1f} generations per second on {arguments.threads} threads")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
