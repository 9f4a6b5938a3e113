"""Contrastive Instruction Tuning in PyTorch, for comparison with a run of `coin train` step by step.

    python coin_steps.py --model DIR --make-adapter START --rank 8 --seed 1
    python coin_steps.py --model DIR --adapter START --pairs pairs.jsonl --out pytorch.jsonl
    python compare_metrics.py coin-run/metrics.jsonl pytorch.jsonl

Model, adapters, AdamW and schedule are those of transformers, peft and torch. This program implements the collator and
the objective as in preset `paper` (docs/method.md). Every micro-batch has a separate objective, cap included, and
gradients and values are averaged over micro-batches. Rows that are too long are truncated on the right. Supervision starts
after as many tokens as the prompt has when tokenized alone. An incomplete batch at the end of an epoch is dropped.

Every epoch reads the pairs in the order of the file. The first command saves an adapter from which both runs start. Its B
is not zero, so that every weight has a gradient in the first step, and it does not use dropout, because random draws would
differ.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup

MARKER = "\n\n### Response:\n"
PAD = 0
IGNORED = -100


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Contrastive Instruction Tuning step by step in PyTorch.")
    add = parser.add_argument
    add("--model", required=True, help="model folder in Hugging Face's layout")
    add("--make-adapter", metavar="DIR", help="save a starting adapter in this folder and exit")
    add("--rank", type=int, default=8, help="rank of --make-adapter (%(default)s)")
    add("--alpha", type=int, default=16, help="alpha of --make-adapter (%(default)s)")
    add("--seed", type=int, default=1, help="seed of --make-adapter (%(default)s)")
    add("--adapter", help="PEFT adapter to start from")
    add("--pairs", help="file of pairs, JSON lines")
    add("--out", help="output file for metrics, JSON lines")
    add("--steps", type=int, default=50, help="optimizer steps (%(default)s)")
    add("--batch-pairs", type=int, default=16, help="pairs per optimizer step (%(default)s)")
    add("--micro-batch-pairs", type=int, default=2, help="pairs that are contrasted with each other (%(default)s)")
    add("--max-tokens", type=int, default=256, help="maximum tokens per row (%(default)s)")
    add("--learning-rate", type=float, default=1e-4, help="peak learning rate (%(default)s)")
    add("--warmup-ratio", type=float, default=0.1, help="share of the steps that warm up the rate (%(default)s)")
    add("--max-grad-norm", type=float, default=1.0, help="maximum gradient norm (%(default)s)")
    add("--temperature", type=float, default=0.05, help="temperature, divides the cosines (%(default)s)")
    add("--lambda", type=float, default=1000.0, dest="weight", help="weight of the contrastive term (%(default)s)")
    add("--pooling", choices=sorted(POOLINGS), default="last", help="pooling of hidden states (%(default)s)")
    add("--objective", choices=["coin", "cit"], default="coin", help="objective to minimize (%(default)s)")
    add("--threads", type=int, default=2, help="threads of PyTorch (%(default)s)")
    add("--double", action="store_true", help="compute in float64, to distinguish rounding from disagreement")
    options = parser.parse_args()
    if not options.make_adapter:
        missing = [name for name in ("adapter", "pairs", "out") if getattr(options, name) is None]
        if missing:
            parser.error("the following arguments are required: " + ", ".join(f"--{name}" for name in missing))
    for name in ("batch_pairs", "micro_batch_pairs"):
        if getattr(options, name) < 2 or getattr(options, name) % 2:
            parser.error(f"--{name.replace('_', '-')} must be even (whole couples) and positive")
    if options.batch_pairs % options.micro_batch_pairs:
        parser.error("--batch-pairs must be a multiple of --micro-batch-pairs")
    return options


# Collator: text to padded rows.


def row(tokenizer, instruction: str, target: str, limit: int) -> tuple[list[int], list[int]]:
    """Returns ids and labels of a text; labels are IGNORED on the prompt."""
    prompt = instruction + MARKER
    ids = tokenizer(prompt + target).input_ids
    before = len(tokenizer(prompt).input_ids)
    labels = ([IGNORED] * before + ids[before:])[:limit]
    if all(label == IGNORED for label in labels):
        raise ValueError(f"the first {limit} tokens do not contain a token of the target")
    return ids[:limit], labels


def read_pairs(path: str, tokenizer, limit: int) -> list[tuple]:
    """Returns the rows of the original and the paraphrase of every pair."""
    pairs = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            pair = json.loads(line)
            pairs.append(
                tuple(
                    row(tokenizer, pair[column], pair["targets"], limit)
                    for column in ("original_instruction", "paraphrased_instruction")
                )
            )
        except KeyError as error:
            sys.exit(f"{path}, line {number}: missing field {error}")
        except ValueError as error:
            sys.exit(f"{path}, line {number}: {error}")
    if len(pairs) % 2:
        sys.exit(f"{path}: {len(pairs)} pairs, expected an even number, because pairs come in couples")
    return pairs


def collate(rows: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns ids, labels and mask, padded on the left to a multiple of 8."""
    length = -(-max(len(ids) for ids, _ in rows) // 8) * 8

    def padded(value: int, lists: list[list[int]]) -> torch.Tensor:
        return torch.tensor([[value] * (length - len(items)) + items for items in lists])

    ids, labels = zip(*rows)
    return padded(PAD, ids), padded(IGNORED, labels), padded(0, [[1] * len(items) for items in ids])


# Objective.


def first_and_last(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    first = mask.argmax(dim=1)
    return (hidden[torch.arange(len(hidden)), first] + hidden[:, -1]) / 2


# All padding is on the left, so the last real token is the last of the row.
POOLINGS = {
    "last": lambda hidden, mask: hidden[:, -1],
    "average_all": lambda hidden, mask: (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True),
    "average_first_last": first_and_last,
    "max": lambda hidden, mask: hidden.masked_fill(mask[..., None] == 0, -torch.inf).amax(1),
}


def wording(model, rows: list, pooling: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns mean token loss and pooled hidden states, `[pairs, d_model]`, of one wording of the pairs."""
    ids, labels, mask = collate(rows)
    output = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    nats = functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
    # The last entry of `hidden_states` is taken after the final norm.
    return nats, POOLINGS[pooling](output.hidden_states[-1], mask)


def objective(model, pairs: list[tuple], options: argparse.Namespace) -> tuple[torch.Tensor, dict[str, float]]:
    """Returns the loss of a micro-batch and its metrics."""
    originals, paraphrases = zip(*pairs)
    nats, original = wording(model, originals, options.pooling)
    other_nats, paraphrase = wording(model, paraphrases, options.pooling)
    generation = nats + other_nats

    cosine = functional.cosine_similarity(original[:, None], paraphrase[None], dim=-1)
    logits, own = cosine / options.temperature, torch.arange(len(pairs))
    contrastive = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    scaled = options.weight * contrastive
    if scaled > generation:
        scaled = scaled * (generation / scaled).clamp(max=options.weight).detach()
    if options.objective == "cit":
        scaled = torch.zeros_like(scaled)
    loss = generation + scaled

    others = ~torch.eye(len(pairs), dtype=torch.bool)
    positive = cosine.diagonal()
    values = {
        "loss": loss,
        "loss_generation": generation,
        "loss_contrastive": contrastive,
        "loss_contrastive_scaled": scaled,
        "contrastive_accuracy": (positive > cosine.masked_fill(~others, -torch.inf).amax(1)).double().mean(),
        "similarity_positive": positive.mean(),
        "similarity_negative": cosine[others].mean(),
    }
    return loss, {name: value.item() for name, value in values.items()}


# Model.


def in_double(model: torch.nn.Module) -> torch.nn.Module:
    """Converts the model to float64; transformers' norm and rotary tables would otherwise pass through float32."""

    def norm(self, hidden):
        variance = hidden.pow(2).mean(-1, keepdim=True)
        return self.weight * (hidden * torch.rsqrt(variance + self.variance_epsilon))

    def rotary(self, hidden, position_ids):
        angles = position_ids[:, :, None].double() * self.frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()

    model = model.double()
    for module in model.modules():
        kind = type(module).__name__
        if kind == "LlamaRMSNorm":
            module.forward = norm.__get__(module)
        elif kind == "LlamaRotaryEmbedding":
            if module.rope_type != "default":
                sys.exit(f"--double: rope type `{module.rope_type}` is not supported")
            width = 2 * len(module.inv_freq)
            powers = torch.arange(0, width, 2, dtype=torch.float64) / width
            module.frequencies = module.config.rope_theta**-powers
            module.forward = rotary.__get__(module)
    return model


def make_adapter(options: argparse.Namespace) -> None:
    torch.manual_seed(options.seed)
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=0.0,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
    )
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32), lora)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    model.save_pretrained(options.make_adapter)


def run(options: argparse.Namespace) -> None:
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    pairs = read_pairs(options.pairs, tokenizer, options.max_tokens)
    batches = len(pairs) // options.batch_pairs
    if batches == 0:
        sys.exit(f"{options.pairs}: {len(pairs)} pairs are fewer than a batch of {options.batch_pairs}")

    base = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, options.adapter, is_trainable=True).train()
    if any(config.lora_dropout for config in model.peft_config.values()):
        print("warning: the adapter uses dropout, so the runs cannot be compared step by step", file=sys.stderr)
    if options.double:
        model = in_double(model)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=options.learning_rate, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimizer, int(options.warmup_ratio * options.steps), options.steps)

    micro = options.micro_batch_pairs
    count = options.batch_pairs // micro
    with open(options.out, "w", encoding="utf-8") as out:
        for step in range(options.steps):
            start = time.perf_counter()
            first = step % batches * options.batch_pairs
            batch = pairs[first : first + options.batch_pairs]
            optimizer.zero_grad(set_to_none=True)
            sums = {}
            for at in range(0, options.batch_pairs, micro):
                loss, values = objective(model, batch[at : at + micro], options)
                (loss / count).backward()
                sums = {name: sums.get(name, 0.0) + value / count for name, value in values.items()}
            norm = torch.nn.utils.clip_grad_norm_(trained, options.max_grad_norm)
            rate = schedule.get_last_lr()[0]
            optimizer.step()
            schedule.step()
            supervised = sum(label != IGNORED for pair in batch for _, labels in pair for label in labels)
            metrics = {
                "step": step,
                "epoch": (step + 1) / batches,
                "lr": rate,
                **sums,
                "grad_norm": norm.item(),
                "pairs": len(batch),
                "supervised_tokens": supervised,
                "seconds": time.perf_counter() - start,
            }
            print(json.dumps(metrics), file=out, flush=True)


def main() -> None:
    options = flags()
    torch.set_num_threads(options.threads)
    if options.make_adapter:
        make_adapter(options)
    else:
        run(options)


if __name__ == "__main__":
    main()
