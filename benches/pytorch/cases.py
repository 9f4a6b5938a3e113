"""The cases of `benches/cases` in PyTorch: contrastive loss, LoRA linear and attention, and tokenizing with Hugging Face's
library.

    python cases.py --only loss/4096,lora --threads 2
    python cases.py --loss 8192x4096
    python cases.py --check

Every case has two variants:

released  as in the released program and its libraries: the cosine of every pair of rows by broadcasting
          (`[batch, batch, width]`), peft's layer, attention with a matrix of scores (transformers' `eager`), texts
          tokenized one by one
tuned     the fastest form in PyTorch's eager mode: product of normalized rows, the adapter added to the product in
          place, `scaled_dot_product_attention`, texts tokenized in one batch on all threads

Inputs, number of runs and fields of the lines of JSON are those of the Rust side, plus `variant` and the libraries'
versions. `glue_eval.py` compares evaluation, `textattack_perturb.py` perturbation, and `training_step.py` training steps
and generation. `--check` compares the operation counts with those of torch's `FlopCounterMode`.
"""

import argparse
import json
import math
import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Callable, Iterator

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from measuring import Timing, described, forget_peak, peak_mb, significant
from torch.nn import functional

# The sizes of `benches/src/cases`.
LOSS_BATCHES, LOSS_WIDTHS = (64, 1024, 4096, 16384), (64, 512, 4096)
LORA_WIDTHS, LORA_ROWS, LORA_SEQ, RANK = (288, 768, 1024, 4096), 4, 128, 16
ATTENTION_HEADS, ATTENTION_LENGTHS, ATTENTION_ROWS = ((6, 48), (16, 64)), (64, 128, 256, 512), 8
TEMPERATURE = 0.05
TOKENIZERS = {
    "demo": Path(__file__).resolve().parent.parent.parent / "crates/coin/assets/demo-base/tokenizer.json",
    "llama": Path(os.environ.get("COIN_TEST_DATA", "")) / "tokenizer/llama/tokenizer.json",
}

# Seconds, as in `benches/src/measure.rs`.
WARM_UP, MEASUREMENT, LONG, FEW, VERY_LONG = 0.1, 0.4, 0.2, 1.2, 4.0


@dataclass
class Work:
    """A function to run, and the values that it computes."""

    run: Callable[[], object]
    values: Callable[[], list[float] | None] = lambda: None


@dataclass
class Case:
    name: str
    variant: str
    flops: float
    bytes: float
    # Approximate memory in addition to the inputs.
    memory: float
    items: tuple[float, str]
    prepare: Callable[[str], Work]


def numbers(shape: tuple, seed: int, device: str, factor: float = 1.0) -> torch.Tensor:
    """The numbers between -1 and 1 of `benches/src/cases/inputs.rs`, times `factor`."""
    count, low = math.prod(shape), 0xFFFFFFFF
    values = torch.empty(count)
    for first in range(0, count, 1 << 22):
        at = torch.arange(first, min(first + (1 << 22), count))
        mixed = ((at + seed * 0x9E3779B9) * 0x85EBCA6B) & low
        mixed ^= mixed >> 15
        mixed = (mixed * 0xC2B2AE35) & low
        mixed ^= mixed >> 13
        values[first : first + len(at)] = (mixed >> 8).float() / (1 << 23) - 1.0
    return (values * factor).reshape(shape).to(device)


def root_mean_square(tensor: torch.Tensor) -> float:
    return tensor.detach().square().mean().sqrt().item()


def forward_and_backward(inputs: list[torch.Tensor], forward, exact=None) -> Work:
    """Computes the gradients of all `inputs`, with output gradient 1. `exact` is the deterministic form of `forward`."""
    last = []

    def run(forward=forward) -> None:
        last.clear()
        for tensor in inputs:
            tensor.grad = None
        output = forward()
        output.backward(torch.ones_like(output))
        last.append(output.detach())

    def values() -> list[float]:
        if exact:
            run(exact)
        return [root_mean_square(last[0]), root_mean_square(inputs[0].grad)]

    return Work(run, values)


# The contrastive loss.


def loss_cases(sizes: list[tuple[int, int]]) -> Iterator[Case]:
    for batch, width in sizes:
        # Tensors alive at once: of all similarities, of similarities by width, and of the inputs' size.
        matrices = {"released": (2, 6, 4), "tuned": (5, 0, 2)}
        for variant, (squares, cubes, rows) in matrices.items():
            memory = 4.0 * (squares * batch**2 + cubes * batch**2 * width + rows * batch * width)
            yield Case(
                f"loss/{batch}x{width}",
                variant,
                3 * 2 * batch**2 * width,
                4 * 6 * batch * width,
                memory,
                (batch, "pairs"),
                lambda device, size=(batch, width), variant=variant: loss_work(size, variant, device),
            )


def loss_work(size: tuple[int, int], variant: str, device: str) -> Work:
    anchor, positive = (numbers(size, seed, device).requires_grad_() for seed in (1, 2))
    own = torch.arange(size[0], device=device)

    def loss() -> torch.Tensor:
        if variant == "released":
            cosine = functional.cosine_similarity(anchor.unsqueeze(1), positive.unsqueeze(0), dim=2)
        else:
            cosine = functional.normalize(anchor) @ functional.normalize(positive).T
        logits = cosine / TEMPERATURE
        return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2

    return forward_and_backward([anchor, positive], loss)


# A frozen matrix with an adapter.


def lora_cases() -> Iterator[Case]:
    rows = LORA_ROWS * LORA_SEQ
    for width in LORA_WIDTHS:
        for variant in ("released", "tuned"):
            yield Case(
                f"lora/{width}",
                variant,
                2 * 2 * rows * width**2 + 6 * 2 * rows * width * RANK,
                4 * (2 * width**2 + 3 * 2 * width * RANK + 5 * rows * width),
                4.0 * (width**2 + 8 * rows * width),
                (rows, "tokens"),
                lambda device, width=width, variant=variant: lora_work(width, variant, device),
            )


def lora_work(width: int, variant: str, device: str) -> Work:
    root = width**-0.5
    x = numbers((LORA_ROWS, LORA_SEQ, width), 1, device).requires_grad_()
    # Rust keeps matrices as [in, out].
    shapes = (width, width), (width, RANK), (RANK, width)
    matrix, a, b = (numbers(shape, seed, device, root) for seed, shape in enumerate(shapes, start=2))
    matrix = matrix.T.contiguous()
    if variant == "released":
        from peft import LoraConfig, inject_adapter_in_model

        model = torch.nn.ModuleDict({"linear": torch.nn.Linear(width, width, bias=False, device=device)})
        model["linear"].weight = torch.nn.Parameter(matrix, requires_grad=False)
        config = LoraConfig(r=RANK, lora_alpha=RANK, lora_dropout=0.05, target_modules=["linear"])
        layer = inject_adapter_in_model(config, model)["linear"].train()
        layer.lora_A["default"].weight = torch.nn.Parameter(a.T.contiguous())
        layer.lora_B["default"].weight = torch.nn.Parameter(b.T.contiguous())

        def exact() -> torch.Tensor:
            output = layer.eval()(x)
            layer.train()
            return output

        factors = [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
        return forward_and_backward([x, *factors], lambda: layer(x), exact)
    a.requires_grad_()
    b.requires_grad_()

    def forward(share: float = 0.05) -> torch.Tensor:
        rows = functional.dropout(x, share).flatten(0, 1) @ a
        return functional.linear(x, matrix).flatten(0, 1).addmm(rows, b).reshape(x.shape)

    return forward_and_backward([x, a, b], forward, lambda: forward(0.0))


# Attention.


def attention_cases() -> Iterator[Case]:
    for heads, head_dim in ATTENTION_HEADS:
        for seq in ATTENTION_LENGTHS:
            width = heads * head_dim
            for variant in ("released", "tuned"):
                yield Case(
                    f"attention/{heads}x{head_dim}x{seq}",
                    variant,
                    6 * 2 * ATTENTION_ROWS * seq**2 * width,
                    4 * 11 * ATTENTION_ROWS * seq * width,
                    4.0 * ATTENTION_ROWS * (4 * heads * seq**2 + 8 * seq * width),
                    (ATTENTION_ROWS * seq, "tokens"),
                    lambda device, shape=(ATTENTION_ROWS, heads, seq, head_dim), variant=variant: attention_work(
                        shape, variant, device
                    ),
                )


def attention_work(shape: tuple, variant: str, device: str) -> Work:
    rows, heads, seq, head_dim = shape
    q, k, v = (numbers(shape, seed, device).requires_grad_() for seed in (1, 2, 3))
    mask = torch.full((seq, seq), torch.finfo(torch.float32).min, device=device).triu(1)

    def forward() -> torch.Tensor:
        if variant == "released":
            scores = q @ k.transpose(2, 3) * head_dim**-0.5 + mask
            mixed = functional.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype) @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return mixed.transpose(1, 2).reshape(rows, seq, heads * head_dim)

    return forward_and_backward([q, k, v], forward)


# Tokenizing.


def tokenizing_cases(path: str | None) -> Iterator[Case]:
    if path is None:
        return
    from tokenizers import Tokenizer

    texts = json.loads(Path(path).read_text(encoding="utf-8"))
    for name, file in TOKENIZERS.items():
        if not file.exists():
            continue
        tokenizer = Tokenizer.from_file(str(file))
        tokens = sum(len(encoding) for encoding in tokenizer.encode_batch(texts, add_special_tokens=False))

        def one_by_one(tokenizer=tokenizer) -> None:
            for text in texts:
                tokenizer.encode(text, add_special_tokens=False)

        def together(tokenizer=tokenizer) -> None:
            tokenizer.encode_batch(texts, add_special_tokens=False)

        for variant, run in {"released": one_by_one, "tuned": together}.items():
            prepare = lambda _, run=run: Work(run)
            yield Case(f"tokenizing/{name}", variant, 0, 0, 0, (tokens, "tokens"), prepare)


# Measuring.


def complete(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def measure(case: Case, options: argparse.Namespace) -> tuple[Timing, list[float] | None]:
    """Measures as `benches/src/measure.rs` does; a warm-up and a series of runs replace criterion."""
    work = case.prepare(options.device)
    forget_peak()
    timing = lambda: Timing(options.threads, lambda: complete(options.device))
    first, timed = timing(), timing()
    run = lambda _: work.run()
    seconds = first.add(1, run)
    values = work.values()
    if options.test or (options.device == "cpu" and seconds > VERY_LONG):
        return first, values
    second = timed.add(1, run)
    if second > LONG:
        timed.add(max(int(FEW / second), 2) - 1, run)
    else:
        spent = 0.0
        while spent < WARM_UP:
            spent += timing().add(1, run)
        timed = timing()
        spent = 0.0
        while spent < MEASUREMENT or len(timed.seconds) < 10:
            spent += timed.add(1, run)
    timed.before = first.before
    return timed, values


def line(case: Case, timing: Timing, values: list[float] | None) -> dict:
    seconds, (items, unit) = timing.median, case.items
    return {
        **timing.fields(case.flops),
        "mode": "case",
        "family": case.name.split("/")[0],
        "case": case.name,
        "variant": case.variant,
        "bytes": float(case.bytes),
        "gb_per_second": round(case.bytes / seconds / 1e9, 2),
        "items": float(items),
        "unit": unit,
        "items_per_second": significant(items / seconds),
        "memory_mb": round(peak_mb() - timing.before, 1),
        "values": values,
    }


def peak(options: argparse.Namespace) -> dict:
    """Measures a large product and a large copy; the fastest run counts."""
    side, long = 2048, 1 << 26

    def fastest(step) -> float:
        timing = Timing(options.threads, lambda: complete(options.device))
        timing.add(6, lambda _: step())
        return min(timing.seconds)

    a, b = (torch.rand(side, side, device=options.device) for _ in range(2))
    source, target = (torch.ones(long, device=options.device) for _ in range(2))
    return {
        "mode": "peak",
        "gflop_per_second": round(2 * side**3 / fastest(lambda: a @ b) / 1e9, 1),
        "copy_gb_per_second": round(8 * long / fastest(lambda: target.copy_(source)) / 1e9, 2),
    }


def check(cases: list[Case], device: str) -> bool:
    """Returns True if the operation counts equal torch's for the smallest case of each kind."""
    from torch.utils.flop_counter import FlopCounterMode

    # Broadcast rows are multiplied without a matrix product, and torch does not count fused attention on the CPU.
    counted = {("loss", "tuned"), ("lora", "released"), ("lora", "tuned"), ("attention", "released")}
    agree = True
    for case in cases:
        kind = (case.name.split("/")[0], case.variant)
        if kind not in counted:
            continue
        counted.remove(kind)
        work = case.prepare(device)
        with FlopCounterMode(display=False) as counter:
            work.run()
        found = counter.get_total_flops()
        print(f"{case.name} ({case.variant}): counted {case.flops:.0f}, torch {found}")
        agree &= found == case.flops
    return agree


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    size = lambda text: tuple(int(part) for part in text.split("x"))
    add("--only", type=lambda text: text.split(","), default=[], help="comma-separated prefixes of case names")
    add("--variant", choices=["released", "tuned"], help="only cases of this variant")
    add("--loss", type=size, action="append", default=[], help="measure a loss of this size, such as 8192x4096")
    add("--at-most", type=float, default=math.inf, help="skip cases that need more GFLOP")
    add("--memory", type=float, default=7.0, help="skip cases that need more GiB in addition to inputs (%(default)s)")
    add("--device", default="cpu", help="cpu, cuda or cuda:i (%(default)s)")
    add("--threads", type=int, default=os.cpu_count(), help="number of threads (%(default)s)")
    add("--texts", help="texts from the Rust side's --texts; without them, tokenizing is skipped")
    add("--test", action="store_true", help="run each case once, without measuring the peak")
    add("--check", action="store_true", help="only compare operation counts with torch's")
    return parser.parse_args()


def main() -> None:
    options = flags()
    torch.set_num_threads(options.threads)
    # Read when the first text is tokenized.
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    listed = [] if options.loss and not options.only else [(n, d) for n in LOSS_BATCHES for d in LOSS_WIDTHS]
    cases = [*loss_cases(listed), *lora_cases(), *attention_cases(), *tokenizing_cases(options.texts)]
    if options.check:
        sys.exit(0 if check(cases, options.device) else 1)
    if options.loss and not options.only:
        cases = []
    cases = [case for case in cases if not options.only or case.name.startswith(tuple(options.only))]
    cases += loss_cases(options.loss)
    cases = [case for case in cases if options.variant in (None, case.variant)]

    versions = {name: version(name) for name in ("torch", "peft", "tokenizers")}
    machine = {**described(options.device, "f32", options.threads), **versions}
    if not options.test:
        print(json.dumps({**peak(options), **machine}), flush=True)
    for case in cases:
        if case.memory > options.memory * 2**30:
            print(f"skipped: {case.name} ({case.variant}) needs {case.memory / 2**30:.1f} GiB", file=sys.stderr)
        elif case.flops <= options.at_most * 1e9:
            print(json.dumps({**line(case, *measure(case, options)), **machine}), flush=True)


if __name__ == "__main__":
    main()
