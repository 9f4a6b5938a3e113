"""Times one LoRA training step of a random LLaMA in PyTorch and peft.

    python lora_step.py --threads 2

A step consists of the forward pass, cross entropy of the next token at every position, the backward pass, and AdamW on
the adapters. Everything is f32, with LoRA and dropout 0.05 on q, k, v and o, a frozen base, and without gradient
checkpointing. Prints one line of JSON; seconds are wall time, `peak_mb` is the peak resident memory of the whole process
in units of 10^6 bytes.
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import peft
import torch
import transformers
from measuring import peak_mb
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Times one LoRA training step in PyTorch and peft.")
    for name, default, text in [
        ("width", 288, "d_model"),
        ("layers", 6, "decoder layers"),
        ("heads", 6, "attention heads"),
        ("ff", 768, "width inside the feed-forward block"),
        ("vocab", 32000, "number of token ids"),
        ("batch", 8, "rows per step"),
        ("seq", 128, "tokens per row"),
        ("rank", 16, "rank of the adapters; alpha is twice the rank"),
        ("steps", 12, "timed steps"),
        ("warm-up", 2, "steps before the timed ones"),
        ("threads", 2, "threads of PyTorch"),
        ("seed", 1, "seed of weights, ids and dropout"),
    ]:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (%(default)s)")
    return parser.parse_args()


def build(options: argparse.Namespace) -> torch.nn.Module:
    config = LlamaConfig(
        vocab_size=options.vocab,
        hidden_size=options.width,
        intermediate_size=options.ff,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        max_position_embeddings=max(2048, options.seq),
        use_cache=False,
    )
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=options.rank,
        lora_alpha=2 * options.rank,
        lora_dropout=0.05,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
    )
    return get_peft_model(LlamaForCausalLM(config), lora).train()


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, ids: torch.Tensor) -> float:
    logits = model(input_ids=ids).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def main() -> None:
    options = flags()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model = build(options)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    before = peak_mb()

    seconds = []
    for index in range(options.warm_up + options.steps):
        ids = torch.randint(0, options.vocab, (options.batch, options.seq))
        start = time.perf_counter()
        loss = step(model, optimizer, ids)
        if index >= options.warm_up:
            seconds.append(time.perf_counter() - start)

    lower, median, upper = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else seconds * 3
    report = {
        "seconds_median": round(median, 4),
        "seconds_quartiles": [round(lower, 4), round(upper, 4)],
        "tokens_per_second": round(options.batch * options.seq / median, 1),
        "peak_mb": round(peak_mb(), 1),
        "peak_mb_before_first_step": round(before, 1),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "trained_parameters": sum(parameter.numel() for parameter in trained),
        "loss": round(loss, 4),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        **vars(options),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
