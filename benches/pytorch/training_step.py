"""Times a training step on pairs, or greedy generation, of a random LLaMA with LoRA in PyTorch and peft.

    python training_step.py --variant released --size small
    python training_step.py --variant tuned --size small
    python training_step.py --variant tuned --size small --generate 32
    python training_step.py --peak

There are two variants of the same step of Contrastive Instruction Tuning (preset `paper`, one micro-batch):

released  as in the released program: a separate pass with labels for each wording, so that the head runs at every
          position, and the hidden states of all layers are kept; generation prompt by prompt
tuned     the fastest form in PyTorch's eager mode: both wordings in one pass of the decoder, the head at supervised
          positions only, fused AdamW; generation in one batch, with adapters merged into the base

Both use `sdpa` attention and generate with a key-value cache. Shapes, token ids and fields of the line of JSON are those
of `benches/training_step`, plus `variant` and the libraries' versions.
"""

import argparse
import json
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import measuring
import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

SIZES = {
    "small": {"width": 288, "layers": 6, "heads": 6, "ff": 768, "vocab": 32000},
    "medium": {"width": 768, "layers": 12, "heads": 12, "ff": 2048, "vocab": 32000},
    "large": {"width": 1024, "layers": 16, "heads": 16, "ff": 2816, "vocab": 32000},
}
PAIRS = {"small": 4, "medium": 2, "large": 2}
SEQ = {"small": 128, "medium": 128, "large": 64}
PROMPT = 100
NEW_TOKENS = 7
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}

# The paper's settings.
RANK = 16
TEMPERATURE = 0.05
LAMBDA = 1000.0
# The trainer's defaults.
MAX_NORM = 1.0
RATE = 1e-4


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--variant", choices=["released", "tuned"], default="tuned", help="variant of the program (%(default)s)")
    add("--size", choices=list(SIZES), default="small", help="size of the model (%(default)s)")
    add("--device", default="cpu", help="cpu, cuda or cuda:i (%(default)s)")
    add("--dtype", choices=list(DTYPES), default="f32", help="dtype of the base (%(default)s)")
    add("--pairs", type=int, help="pairs per step (4, 2, 2 by size)")
    add("--seq", type=int, help="tokens per row (128, 128, 64 by size) or per prompt (100)")
    add("--supervised", type=int, default=8, help="answer tokens at the end of a row (%(default)s)")
    add("--steps", type=int, default=6, help="timed steps (%(default)s)")
    add("--warm-up", type=int, default=2, help="steps before the timed ones (%(default)s)")
    add("--generate", type=int, metavar="ROWS", help="generate after this many prompts instead of training")
    add("--peak", action="store_true", help="measure the machine instead of a model")
    add("--threads", type=int, default=os.cpu_count(), help="threads of PyTorch (%(default)s)")
    options = parser.parse_args()
    options.pairs = options.pairs or PAIRS[options.size]
    options.seq = options.seq or (PROMPT if options.generate else SEQ[options.size])
    if not 1 <= options.supervised < options.seq:
        parser.error("--supervised must be positive and less than --seq")
    return options


# Floating-point operations, as `benches/src/flops.rs` counts them.


def attention_flops(width: int, queries: int, keys: int) -> int:
    return 2 * 2 * queries * keys * width


def layer_weights(size: dict) -> int:
    return 4 * size["width"] ** 2 + 3 * size["width"] * size["ff"]


def training_flops(size: dict, rows: int, seq: int, heads: int) -> int:
    width, layers, tokens = size["width"], size["layers"], rows * seq
    linear = 2 * tokens * (2 * layers * layer_weights(size) - 3 * width * width)
    attention = 3 * layers * rows * attention_flops(width, seq, seq)
    adapters = 2 * tokens * RANK * width * (6 * 4 * layers - 3)
    head = 2 * 2 * heads * width * size["vocab"]
    return linear + attention + adapters + head


def generation_flops(size: dict, rank: int, rows: int, seq: int) -> int:
    width, layers = size["width"], size["layers"]
    per_token = 2 * layers * (layer_weights(size) + 4 * 2 * rank * width)
    prompt = seq * per_token + layers * attention_flops(width, seq, seq)
    others = sum(per_token + layers * attention_flops(width, 1, seq + at) for at in range(1, NEW_TOKENS))
    return rows * (prompt + others + NEW_TOKENS * 2 * width * size["vocab"])


def described(options: argparse.Namespace) -> dict:
    return {
        **measuring.described(options.device, options.dtype, options.threads),
        "size": options.size,
        **SIZES[options.size],
        "steps": options.steps,
        "warm_up": options.warm_up,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
    }


def timed(options: argparse.Namespace, step) -> measuring.Timing:
    """Calls `step` with the number of each run, warm-up first."""
    on_cuda = options.device.startswith("cuda")
    timing = measuring.Timing(options.threads, torch.cuda.synchronize if on_cuda else lambda: None)
    for number in range(options.warm_up):
        step(number)
    timing.complete()
    timing.add(options.steps, lambda number: step(options.warm_up + number))
    return timing


def fields(options: argparse.Namespace, timing: measuring.Timing, flops: float, tokens: int) -> dict:
    """Returns the report fields for work with this many operations and tokens."""
    fields = {**timing.fields(flops), "tokens_per_second": round(tokens / timing.median, 1)}
    if options.device.startswith("cuda"):
        fields["device_peak_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return fields


# The model and its input.


def build(options: argparse.Namespace) -> torch.nn.Module:
    size = SIZES[options.size]
    config = LlamaConfig(
        vocab_size=size["vocab"],
        hidden_size=size["width"],
        intermediate_size=size["ff"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        max_position_embeddings=max(2048, options.seq),
        use_cache=options.generate is not None,
        # A random model would end rows at random positions.
        eos_token_id=None,
        attn_implementation="sdpa",
    )
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=RANK,
        lora_alpha=16,
        lora_dropout=0.05,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
    )
    base = LlamaForCausalLM(config).to(DTYPES[options.dtype])
    return get_peft_model(base, lora).to(options.device)


def token(row: int, at: int, step: int, vocab: int) -> int:
    """The token at a position, the same in both languages. Rows differ from their first token on."""
    return (row * 7919 + at * 104_729 + step * 31) % vocab


def pairs(options: argparse.Namespace, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids of the originals and of the paraphrases, `[pairs, seq]`; the two wordings share only the answer."""
    vocab, prompt = SIZES[options.size]["vocab"], options.seq - options.supervised

    def wording(number: int) -> torch.Tensor:
        rows = [
            [token(2 * pair + (number if at < prompt else 0), at, step, vocab) for at in range(options.seq)]
            for pair in range(options.pairs)
        ]
        return torch.tensor(rows, device=options.device)

    return wording(0), wording(1)


# A training step.


def objective(generation: torch.Tensor, original: torch.Tensor, paraphrase: torch.Tensor) -> tuple:
    """Computes loss and contrastive loss from the generation loss and the pooled rows, `[pairs, d_model]`."""
    cosine = functional.cosine_similarity(original.float()[:, None], paraphrase.float()[None], dim=-1)
    logits, own = cosine / TEMPERATURE, torch.arange(len(cosine), device=cosine.device)
    contrastive = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    scaled = LAMBDA * contrastive
    if scaled > generation:
        scaled = scaled * (generation / scaled).clamp(max=LAMBDA).detach()
    return generation + scaled, contrastive


def released(model: torch.nn.Module, wordings: tuple, supervised: int) -> tuple:
    generation, pooled = 0.0, []
    for ids in wordings:
        labels = ids.clone()
        labels[:, :-supervised] = -100
        output = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels, output_hidden_states=True
        )
        generation = generation + output.loss
        pooled.append(output.hidden_states[-1][:, -1])
    return *objective(generation, *pooled), generation


def tuned(model: torch.nn.Module, wordings: tuple, supervised: int) -> tuple:
    ids = torch.cat(wordings)
    causal = model.get_base_model()
    hidden = causal.model(input_ids=ids).last_hidden_state
    # The position before a supervised token predicts it.
    logits = causal.lm_head(hidden[:, -supervised - 1 : -1]).float()
    nats = functional.cross_entropy(logits.flatten(0, 1), ids[:, -supervised:].flatten(), reduction="none")
    count = len(wordings[0])
    # The sum of the means over originals and over paraphrases; both have the same number of supervised tokens.
    generation = nats.sum() / (count * supervised)
    return *objective(generation, hidden[:count, -1], hidden[count:, -1]), generation


def training(options: argparse.Namespace) -> dict:
    model = build(options).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    fused = {"fused": True} if options.variant == "tuned" else {}
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0, **fused)
    losses = {"released": released, "tuned": tuned}[options.variant]
    batches = [pairs(options, step) for step in range(options.warm_up + options.steps)]
    values = []

    def step(number: int) -> None:
        loss, contrastive, generation = losses(model, batches[number], options.supervised)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, MAX_NORM)
        optimizer.step()
        values.append([value.item() for value in (loss, generation, contrastive)])

    timing = timed(options, step)
    rows = 2 * options.pairs
    heads = rows * (options.seq if options.variant == "released" else options.supervised)
    first = dict(zip(("first_loss", "first_loss_generation", "first_loss_contrastive"), values[0]))
    return {
        **fields(options, timing, training_flops(SIZES[options.size], rows, options.seq, heads), rows * options.seq),
        "mode": "training",
        "variant": options.variant,
        "pairs": options.pairs,
        "seq": options.seq,
        "supervised": options.supervised,
        "rank": RANK,
        "trained_parameters": sum(parameter.numel() for parameter in trained),
        **first,
        "last_loss": values[-1][0],
    }


# Generation.


def generation(options: argparse.Namespace) -> dict:
    model, rows, vocab = build(options).eval(), options.generate, SIZES[options.size]["vocab"]
    merged = options.variant == "tuned"
    if merged:
        model = model.merge_and_unload()
    together = rows if merged else 1
    batches = [
        torch.tensor(
            [[token(row, at, step, vocab) for at in range(options.seq)] for row in range(rows)], device=options.device
        )
        for step in range(options.warm_up + options.steps)
    ]

    @torch.inference_mode()
    def step(number: int) -> None:
        for ids in batches[number].split(together):
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                pad_token_id=0,
            )
            assert out.shape[1] == options.seq + NEW_TOKENS
            out[:, options.seq :].tolist()

    timing = timed(options, step)
    flops = generation_flops(SIZES[options.size], 0 if merged else RANK, rows, options.seq)
    return {
        **fields(options, timing, flops, rows * NEW_TOKENS),
        "mode": "generation",
        "variant": options.variant,
        "rows": rows,
        "seq": options.seq,
        "new_tokens": NEW_TOKENS,
        "rank": RANK,
    }


# The machine.


def peak(options: argparse.Namespace) -> dict:
    side, long = 2048, 1 << 26

    def random(rows: int) -> torch.Tensor:
        return torch.rand(rows, side, device=options.device) * 2 - 1

    a, b = random(side), random(side)
    product = timed(options, lambda _: a @ b)
    first, second = random(long // side), random(long // side)
    copy = timed(options, lambda _: second.copy_(first))
    multiple = timed(options, lambda _: first * 3.0)
    total = timed(options, lambda _: first + second)

    def gb(tensors: int, timing: measuring.Timing) -> float:
        return round(4 * tensors * long / timing.median / 1e9, 2)

    return {
        **product.fields(2 * side**3),
        "mode": "peak",
        "side": side,
        "copy_gb_per_second": gb(2, copy),
        "multiple_gb_per_second": gb(2, multiple),
        "sum_gb_per_second": gb(3, total),
    }


def main() -> None:
    options = flags()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    measure = peak if options.peak else generation if options.generate else training
    print(json.dumps({**measure(options), **described(options)}))


if __name__ == "__main__":
    main()
