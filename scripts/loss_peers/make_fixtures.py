#!/usr/bin/env python3
"""Writes crates/coin-loss/tests/fixtures/peers.json: losses and gradients of other libraries, to compare with.

To remake the file (the packages need 7 GB, the script a minute on a CPU; it downloads nothing):

    python3.11 -m venv peers-venv
    peers-venv/bin/pip install -r scripts/loss_peers/requirements.txt
    peers-venv/bin/python scripts/loss_peers/make_fixtures.py

Every case has these fields:

- name: family/variant, followed by /rankN for one rank of a distributed run
- peer: the class that computed the case, or "torch reference: ..." with the formula where no installed package has the
  loss; these formulas are written out here
- settings: what the loss was built with. `scale` is the inverse temperature.
- inputs: rows before any normalization, each with its shape and values. Every input is a multiple of 1/256, so that it
  is the same in f32 and f64. Hard negatives are [n, k, d], k for each anchor.
- loss, gradients: computed in f32. An input without an entry in gradients is a constant.
- loss_f64, gradients_f64: the same in f64

In a distributed case, inputs are the rows of all ranks in the order of the ranks. loss and gradients belong to the one
rank: they are the gradients of its own rows, before any averaging over ranks.
"""

import json
import math
import os
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import gradcache
import torch
import torch.distributed
import torch.distributed.nn
import torch.nn.functional as F
from open_clip.loss import ClipLoss, SigLipLoss
from pytorch_metric_learning.distances import DotProductSimilarity
from pytorch_metric_learning.losses import NTXentLoss, SupConLoss
from sentence_transformers import util
from sentence_transformers.sentence_transformer import losses
from transformers import PreTrainedTokenizerBase

# gradcache 0.0.1 imports itself under another name than the one it installs.
sys.modules["grad_cache"] = gradcache
from gradcache.grad_cache import GradCache  # noqa: E402

FIXTURES = Path(__file__).parents[2] / "crates/coin-loss/tests/fixtures/peers.json"
PACKAGES = ["torch", "sentence-transformers", "transformers", "open_clip_torch", "pytorch-metric-learning", "gradcache"]
WORLD = 2
ST = "sentence_transformers.losses."
CLIP = "open_clip.ClipLoss"
SIGLIP = "open_clip.SigLipLoss"
BOTH_WAYS = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}


# Made data


def made(seed, *shape, size=1.0):
    """Numbers between -size and size that look random: the far digits of a sine."""
    numbers = [2e4 * math.sin(13.7 * seed + 1.3 * at) % 2 - 1 for at in range(math.prod(shape))]
    return on_grid(size * torch.tensor(numbers, dtype=torch.float64).reshape(shape))


def on_grid(numbers):
    return (numbers.double() * 256).round() / 256


def pairs(seed, n, d, hard=0):
    """Anchors with positives, and hard negatives that are nearer than chance."""
    anchor = made(seed, n, d)
    inputs = {"anchor": anchor, "positive": on_grid(0.6 * anchor + 0.8 * made(seed + 20, n, d))}
    if hard:
        inputs["hard"] = torch.stack([on_grid(0.4 * anchor + made(seed + 21 + k, n, d)) for k in range(hard)], dim=1)
    return inputs


def scalar(value):
    return torch.tensor([value], dtype=torch.float64)


# Running a loss


def shortest(tensor):
    """The fewest digits that read back as the same numbers."""
    numbers = tensor.flatten().tolist()
    return [float(f"{number:.9g}") for number in numbers] if tensor.dtype == torch.float32 else numbers


def plain(tensors):
    """Tensors in the form of the fixtures."""
    return {name: {"shape": list(tensor.shape), "values": shortest(tensor)} for name, tensor in tensors.items()}


def measure(function, inputs, constants, dtype, rank=None):
    """The loss and its gradients in one precision. With a rank, the loss gets that rank's rows only."""
    leaves = {}
    for name, value in inputs.items():
        if rank is not None and value.dim() > 1:
            value = value.chunk(WORLD)[rank]
        if value.is_floating_point():
            value = value.to(dtype).clone().requires_grad_(name not in constants)
        leaves[name] = value
    loss = function(**leaves)
    loss.backward()
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.requires_grad}
    assert loss.dtype == dtype and all(g.dtype == dtype and g.isfinite().all() for g in gradients.values())
    return shortest(loss.detach())[0], gradients


def case(name, peer, settings, inputs, function, constants=(), rank=None):
    """One entry of the fixtures."""
    loss, gradients = measure(function, inputs, constants, torch.float32, rank)
    exact, exact_gradients = measure(function, inputs, constants, torch.float64, rank)
    assert abs(loss - exact) < 1e-4 * (1 + abs(exact)), (name, loss, exact)
    for key, gradient in gradients.items():
        assert torch.allclose(gradient.double(), exact_gradients[key], rtol=1e-3, atol=1e-4), (name, key)
    return {
        "name": name,
        "peer": peer,
        "settings": settings,
        "inputs": plain(inputs),
        "loss": loss,
        "gradients": plain(gradients),
        "loss_f64": exact,
        "gradients_f64": plain(exact_gradients),
    }


class Tokenizer(PreTrainedTokenizerBase):
    """GISTEmbedLoss demands a tokenizer, and compares the two models' vocabularies."""

    def __init__(self):
        pass

    def get_vocab(self):
        return {}


class GivenRows(torch.nn.Module):
    """A model for sentence-transformers that returns the embeddings which the features already hold under `key`."""

    max_seq_length = 1

    def __init__(self, key="rows", width=None):
        super().__init__()
        self.key, self.width, self.tokenizer = key, width, Tokenizer()

    def __getitem__(self, at):
        return self

    def get_embedding_dimension(self):
        return self.width

    def forward(self, features):
        return {"sentence_embedding": features[self.key]}


def columns(anchor, positive, hard=None):
    """The embeddings as columns of a data set: the anchors, the positives, one column for each hard negative."""
    return [anchor, positive, *([] if hard is None else hard.unbind(1))]


def run(loss, rows, labels=None):
    """Evaluates a loss of sentence-transformers."""
    return loss([{"rows": of_column} for of_column in rows], labels)


def ranking(scale, **settings):
    """MultipleNegativesRankingLoss as a function of the embeddings."""
    loss = losses.MultipleNegativesRankingLoss(GivenRows(), scale=scale, **settings)
    return lambda anchor, positive, hard=None: run(loss, columns(anchor, positive, hard))


def unit(rows):
    return F.normalize(rows, dim=-1)


def of_unit_rows(loss):
    """A loss of open_clip, which leaves the normalization to the model, as a function of raw rows."""
    return lambda anchor, positive, **scalars: loss(unit(anchor), unit(positive), **scalars)


# The families


def info_nce():
    peer = ST + "MultipleNegativesRankingLoss"
    for scale in (20.0, 4.0):
        settings = {"scale": scale, "similarity": "cosine", "direction": "anchor_to_positive"}
        yield case(f"info_nce/anchor_to_positive_scale_{scale:g}", peer, settings, pairs(0.1, 6, 4), ranking(scale))
    settings = {"scale": 1.0, "similarity": "dot", "direction": "anchor_to_positive"}
    dot = ranking(1.0, similarity_fct=util.dot_score)
    yield case("info_nce/anchor_to_positive_dot", peer, settings, pairs(0.2, 5, 4), dot)
    for k in (1, 2):
        settings = {"scale": 4.0, "similarity": "cosine", "direction": "anchor_to_positive", "hard_of": "all_rows"}
        yield case(f"info_nce/shared_hard_{k}", peer, settings, pairs(0.3 + k, 5, 4, hard=k), ranking(4.0))

    peer = ST + "MultipleNegativesSymmetricRankingLoss"
    for scale in (20.0, 4.0):
        symmetric = losses.MultipleNegativesSymmetricRankingLoss(GivenRows(), scale=scale)

        def function(anchor, positive, hard=None):
            return run(symmetric, columns(anchor, positive, hard))

        settings = {"scale": scale, "similarity": "cosine", "direction": "symmetric"}
        yield case(f"info_nce/symmetric_scale_{scale:g}", peer, settings, pairs(0.6, 6, 4), function)
    # The direction from positives to anchors has no hard negatives.
    settings = {"scale": 4.0, "similarity": "cosine", "direction": "symmetric", "hard_of": "all_rows"}
    yield case("info_nce/symmetric_shared_hard_2", peer, settings, pairs(0.7, 5, 4, hard=2), function)

    settings = {"similarity": "cosine", "direction": "symmetric"}
    for scale in (1 / 0.07, 4.0):
        inputs = {**pairs(0.8, 6, 5), "logit_scale": on_grid(scalar(scale))}
        yield case(f"info_nce/symmetric_clip_scale_{round(scale)}", CLIP, settings, inputs, of_unit_rows(ClipLoss()))

    def own_hard(scale, weight, symmetric):
        def function(anchor, positive, hard):
            anchor, positive, hard = unit(anchor), unit(positive), unit(hard)
            logits = scale * anchor @ positive.T
            of_hard = scale * torch.einsum("nd,nkd->nk", anchor, hard) + math.log(weight)
            own = torch.arange(len(anchor))
            rows = F.cross_entropy(torch.cat([logits, of_hard], dim=1), own)
            return (rows + F.cross_entropy(logits.T, own)) / 2 if symmetric else rows

        return function

    peer = "torch reference: cross entropy over the batch's positives and the anchor's own hard negatives"
    for k, weight, symmetric in [(1, 1.0, False), (2, 1.0, False), (2, 1.0, True), (2, 0.5, False), (2, 0.5, True)]:
        direction = "symmetric" if symmetric else "anchor_to_positive"
        settings = {"scale": 4.0, "similarity": "cosine", "direction": direction, "hard_of": "own_row"}
        settings["hard_negative_weight"] = weight
        name = f"info_nce/own_hard_{k}_{direction}" + ("" if weight == 1 else f"_weight_{weight:g}")
        yield case(name, peer, settings, pairs(0.9 + k, 5, 4, hard=k), own_hard(4.0, weight, symmetric))


def queue():
    # MoCo: a query sees its own key and the queue; keys and queue are constants.
    peer = "torch reference: cross entropy of [l_pos, l_neg] of MoCo (He et al. 2020, algorithm 1)"
    for temperature, constants in [(0.07, ["positive", "queue"]), (0.25, ["positive", "queue"]), (0.25, [])]:

        def moco(anchor, positive, queue):
            anchor, positive = unit(anchor), unit(positive)
            own = (anchor * positive).sum(dim=1, keepdim=True)
            logits = torch.cat([own, anchor @ unit(queue).T], dim=1) / temperature
            return F.cross_entropy(logits, torch.zeros(len(anchor), dtype=torch.long))

        name = f"queue/moco_{temperature:g}" + ("" if constants else "_all_gradients")
        settings = {"temperature": temperature, "similarity": "cosine", "in_batch_negatives": False}
        yield case(name, peer, settings, {**pairs(1.1, 5, 4), "queue": made(1.9, 7, 4)}, moco, constants)

    # The queue beside the negatives of the batch. Positives select their anchors without the queue.
    peer = "torch reference: cross entropy over the batch's positives, the anchor's hard negatives and the shared rows"
    for hard, symmetric in [(0, False), (0, True), (2, False), (2, True)]:

        def function(anchor, positive, queue, hard=None):
            anchor, positive = unit(anchor), unit(positive)
            logits = 4.0 * anchor @ positive.T
            candidates = [logits, 4.0 * anchor @ unit(queue).T]
            if hard is not None:
                candidates.append(4.0 * torch.einsum("nd,nkd->nk", anchor, unit(hard)))
            own = torch.arange(len(anchor))
            rows = F.cross_entropy(torch.cat(candidates, dim=1), own)
            return (rows + F.cross_entropy(logits.T, own)) / 2 if symmetric else rows

        direction = "symmetric" if symmetric else "anchor_to_positive"
        settings = {"scale": 4.0, "similarity": "cosine", "in_batch_negatives": True, "direction": direction}
        if hard:
            settings["hard_of"] = "own_row"
        name = f"queue/with_batch_{direction}" + ("_own_hard_2" if hard else "")
        yield case(name, peer, settings, {**pairs(1.3, 5, 4, hard=hard), "queue": made(1.6, 6, 4)}, function)


def gist():
    model, guide = GivenRows(), GivenRows("guide")
    for name, hard, settings in [
        ("default", 0, {"temperature": 0.01}),
        ("margin_0", 0, {}),
        ("absolute_margin", 0, {"margin": 0.1}),
        ("absolute_negative_margin", 0, {"margin": -0.1}),
        # The threshold of some rows is above 1 here: they keep their own anchor and positive as negatives.
        ("negative_margin_keeps_self", 0, {"margin": -0.25}),
        ("relative_margin", 0, {"margin_strategy": "relative", "margin": 0.1}),
        ("no_anchors", 0, {"contrast_anchors": False, "margin": 0.1}),
        ("no_positives", 0, {"contrast_positives": False, "margin": 0.1}),
        ("neither", 0, {"contrast_anchors": False, "contrast_positives": False}),
        ("hard", 1, {}),
        ("hard_absolute_margin", 1, {"margin": 0.1}),
        ("hard_relative_margin", 1, {"margin_strategy": "relative", "margin": 0.2}),
        ("hard_neither", 1, {"contrast_anchors": False, "contrast_positives": False, "margin": 0.1}),
    ]:
        settings = {"temperature": 0.25, "margin_strategy": "absolute", "margin": 0.0, **settings}
        settings = {"contrast_anchors": True, "contrast_positives": True, **settings}
        loss = losses.GISTEmbedLoss(model, guide, **settings)

        def function(guide_anchor, guide_positive, guide_hard=None, **rows):
            guided = columns(guide_anchor, guide_positive, guide_hard)
            return loss([{"rows": r, "guide": g} for r, g in zip(columns(**rows), guided)], None)

        inputs = pairs(2.1, 6, 4, hard=hard)
        guided = {"guide_" + key: rows for key, rows in pairs(5.9, 6, 5, hard=hard).items()}
        check_guide(settings, **guided)
        yield case(f"gist/{name}", ST + "GISTEmbedLoss", settings, {**inputs, **guided}, function, guided)


def check_guide(settings, guide_anchor, guide_positive, guide_hard=None):
    """The guide drops some candidates of every kind and keeps others, and rounding decides about none of them."""
    anchor, positive = unit(guide_anchor), unit(guide_positive)
    own = (anchor * positive).sum(dim=1, keepdim=True)
    relative = settings["margin_strategy"] == "relative"
    threshold = own - settings["margin"] * (own.abs() if relative else 1.0)
    others = ~torch.eye(len(anchor), dtype=torch.bool)
    blocks = [anchor @ positive.T, anchor @ anchor.T, positive @ positive.T]
    if guide_hard is not None:
        blocks.append(anchor @ unit(guide_hard[:, 0]).T)
    for at, block in enumerate(blocks):
        above = (block - threshold) if at == 3 else (block - threshold)[others]
        assert above.abs().min() > 1e-3 and 0 < (above > 0).sum() < above.numel()


def siglip():
    settings = {"similarity": "cosine", "world_size": 1}
    for name, scale, bias in [("start", 10.0, -10.0), ("moderate", 4.0, -1.5), ("positive_bias", 2.0, 0.5)]:
        inputs = {**pairs(3.1, 6, 4), "logit_scale": scalar(scale), "logit_bias": scalar(bias)}
        yield case(f"siglip/{name}", SIGLIP, settings, inputs, of_unit_rows(SigLipLoss()))


def directions():
    peer = ST + "MultipleNegativesRankingLoss"
    short = {"qd": "query_to_doc", "qq": "query_to_query", "dq": "doc_to_query", "dd": "doc_to_doc"}
    for chosen, mode, hard in [
        ("qd dq", "joint", 0),
        ("qd dq", "per_direction", 0),
        ("qd dq", "per_direction", 1),
        ("qd qq", "joint", 0),
        ("qd dd", "joint", 0),
        ("qd dd", "joint", 2),
        ("qd qq dd", "joint", 1),
        ("qd qq dq dd", "joint", 0),
        ("qd qq dq dd", "joint", 1),
        ("qd qq dq dd", "joint", 2),
    ]:
        settings = {"directions": [short[key] for key in chosen.split()], "partition_mode": mode}
        loss = ranking(4.0, directions=tuple(settings["directions"]), partition_mode=mode)
        name = "gte/all" if len(chosen) > 8 else "directions/" + chosen.replace(" ", "_") + "_" + mode
        name += f"_shared_hard_{hard}" if hard else ""
        settings = {"scale": 4.0, "similarity": "cosine", **settings}
        yield case(name, peer, settings, pairs(4.1 + hard, 5, 4, hard=hard), loss)

    # With all directions, sentence-transformers has the positive pair twice in the partition. Here it is there once.
    def once(anchor, positive):
        q, d = unit(anchor), unit(positive)
        others = torch.eye(len(q), dtype=torch.bool)
        blocks = [(q @ q.T).masked_fill(others, -torch.inf), (d @ q.T).masked_fill(others, -torch.inf)]
        blocks = [q @ d.T, *blocks, (d @ d.T).masked_fill(others, -torch.inf)]
        return F.cross_entropy(4.0 * torch.cat(blocks, dim=1), torch.arange(len(q)))

    peer_once = "torch reference: all four directions in one partition (Li et al. 2023), the positive pair once"
    settings = {"scale": 4.0, "similarity": "cosine", "directions": list(short.values()), "partition_mode": "joint"}
    yield case("gte/positive_once", peer_once, settings, pairs(4.1, 5, 4), once)

    for name, mode, strength, hard, more in [
        ("in_batch_pairs", "in_batch_negatives", 9.0, 0, {}),
        ("in_batch_hard_2", "in_batch_negatives", 9.0, 2, {}),
        ("hard_only_1", "hard_negatives", 5.0, 1, {}),
        ("hard_only_2", "hard_negatives", 5.0, 2, {}),
        ("all_pairs", "all_negatives", 5.0, 0, {}),
        ("all_hard_2", "all_negatives", 5.0, 2, {}),
        ("dot_all_hard_1", "all_negatives", 1.5, 1, {"similarity_fct": util.dot_score}),
        ("in_batch_symmetric", "in_batch_negatives", 3.0, 1, BOTH_WAYS),
        ("all_gte_hard_1", "all_negatives", 3.0, 1, {"directions": tuple(short.values())}),
    ]:
        loss = ranking(4.0, hardness_mode=mode, hardness_strength=strength, **more)
        settings = {"directions": ["query_to_doc"], "partition_mode": "joint", **more}
        settings |= {"scale": 4.0, "similarity": "dot" if settings.pop("similarity_fct", None) else "cosine"}
        settings |= {"hardness_mode": mode, "hardness_strength": strength}
        yield case(f"hardness/{name}", peer, settings, pairs(4.6 + hard, 5, 4, hard=hard), loss)


def groups():
    distances = {"cosine": {}, "dot": {"distance": DotProductSimilarity(normalize_embeddings=False)}}
    for name, groups_of_rows in [
        ("two_of_three", [0, 1, 2, 0, 1, 2]),
        ("unequal", [0, 0, 0, 0, 1, 1, 2, 2]),
        ("unequal_and_singletons", [4, 0, 0, 7, 0, 1, 1, 2]),
    ]:
        rows = made(5.1, len(groups_of_rows), 4)
        # Rows of a group resemble its first row, but not so much that a term vanishes.
        rows = on_grid(0.5 * rows[[groups_of_rows.index(group) for group in groups_of_rows]] + 0.8 * rows)
        inputs = {"rows": rows, "groups": torch.tensor(groups_of_rows)}
        for kind, temperature, similarity in [
            (SupConLoss, 0.1, "cosine"),
            (SupConLoss, 0.5, "cosine"),
            (SupConLoss, 1.0, "dot"),
            (NTXentLoss, 0.07, "cosine"),
            (NTXentLoss, 0.5, "cosine"),
        ]:
            loss = kind(temperature=temperature, **distances[similarity])

            def function(rows, groups):
                return loss(rows, groups)

            family = "supcon" if kind is SupConLoss else "ntxent"
            settings = {"temperature": temperature, "similarity": similarity}
            peer = "pytorch_metric_learning.losses." + kind.__name__
            yield case(f"{family}/{name}_{similarity}_{temperature:g}", peer, settings, inputs, function)


def scored():
    many = on_grid(torch.tensor([0.9, 0.1, 0.5, 0.75, 0.3, 0.6]))
    for family, kind in [("cosent", losses.CoSENTLoss), ("angle", losses.AnglELoss)]:
        for name, scale, scores, d in [
            ("distinct", 20.0, many, 4),
            ("distinct_scale_4", 4.0, many, 4),
            ("ties", 4.0, torch.tensor([1.0, 0.5, 0.5, 0.0, 1.0, 0.5]), 6),
            ("binary", 20.0, torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 0.0]), 4),
            ("odd_width", 4.0, many, 5),
        ]:
            loss = kind(GivenRows(), scale=scale)

            def function(anchor, positive, scores):
                return run(loss, [anchor, positive], scores)

            inputs = {**pairs(6.2, 6, d), "scores": scores}
            yield case(f"{family}/{name}", ST + kind.__name__, {"scale": scale}, inputs, function, ["scores"])
    # Pairs of an anchor and its positive have the score 1, pairs with a hard negative the score 0.
    loss = losses.AnglELoss(GivenRows(), scale=4.0)
    for k in (1, 2):
        inputs, settings = pairs(6.4, 4, 4, hard=k), {"scale": 4.0}
        yield case(f"angle/hard_{k}", ST + "AnglELoss", settings, inputs, lambda **rows: run(loss, columns(**rows)))


def distillation():
    similarities = {"dot": util.pairwise_dot_score, "cosine": util.pairwise_cos_sim}

    def taught(loss):
        return lambda teacher, **rows: run(loss, columns(**rows), teacher)

    for name, k, width, similarity in [
        ("one_margin", 1, None, "dot"),
        ("one_margin_cosine", 1, None, "cosine"),
        ("two_margins", 2, 2, "dot"),
        ("scores_of_three", 2, 3, "dot"),
        ("scores_of_three_cosine", 2, 3, "cosine"),
    ]:
        loss = losses.MarginMSELoss(GivenRows(), similarity_fct=similarities[similarity])
        settings = {"similarity": similarity, "teacher": "scores" if width == k + 1 else "margins"}
        inputs = {**pairs(7.1, 5, 4, hard=k), "teacher": made(7.3, 5, *([width] if width else []))}
        yield case(f"margin_mse/{name}", ST + "MarginMSELoss", settings, inputs, taught(loss), ["teacher"])

    for name, k, similarity, student, teacher in [
        ("one_hard", 1, "dot", 1.0, 1.0),
        ("three_hard", 3, "dot", 1.0, 1.0),
        ("temperature_2", 2, "dot", 2.0, 2.0),
        ("two_temperatures", 2, "dot", 0.5, 2.0),
        ("cosine", 2, "cosine", 0.25, 0.5),
    ]:
        settings = {"student_temperature": student, "teacher_temperature": teacher}
        loss = losses.DistillKLDivLoss(GivenRows(), similarity_fct=similarities[similarity], **settings)
        settings["similarity"] = similarity
        inputs = {**pairs(7.6, 5, 4, hard=k), "teacher": made(7.9, 5, k + 1, size=2.0)}
        yield case(f"distill_kl/{name}", ST + "DistillKLDivLoss", settings, inputs, taught(loss), ["teacher"])

    def in_batch(anchor, positive, teacher):
        student = F.log_softmax(unit(anchor) @ unit(positive).T / 0.25, dim=1)
        return F.kl_div(student, F.softmax(teacher / 0.5, dim=1), reduction="batchmean")

    peer = "torch reference: KL(teacher || student) of each anchor's softmax over all positives, mean over anchors"
    settings = {"similarity": "cosine", "student_temperature": 0.25, "teacher_temperature": 0.5, "factor": 1.0}
    inputs = {**pairs(7.7, 5, 4), "teacher": made(7.8, 5, 5)}
    yield case("distill_kl/in_batch", peer, settings, inputs, in_batch, ["teacher"])


def matryoshka():
    peer = ST + "MatryoshkaLoss"
    for name, dims, weights, hard in [
        ("ranking", [6, 3, 2], None, 0),
        ("ranking_weighted", [6, 3, 2], [1.0, 0.5, 0.25], 0),
        ("ranking_without_full_width", [4, 2], [0.75, 0.5], 0),
        ("ranking_shared_hard_1", [6, 3], [1.0, 0.5], 1),
    ]:
        model = GivenRows(width=6)
        inner = losses.MultipleNegativesRankingLoss(model, scale=4.0)
        loss = losses.MatryoshkaLoss(model, inner, dims, weights)
        settings = {"dims": dims, "weights": weights or [1.0] * len(dims), "inner": "MultipleNegativesRankingLoss"}
        settings |= {"scale": 4.0, "similarity": "cosine"}
        inputs = pairs(8.1, 5, 6, hard=hard)
        yield case(f"matryoshka/{name}", peer, settings, inputs, lambda **rows: run(loss, columns(**rows)))
    for name, weights in [("cosent", None), ("cosent_weighted", [1.0, 0.5, 0.25])]:
        model = GivenRows(width=6)
        loss = losses.MatryoshkaLoss(model, losses.CoSENTLoss(model, scale=4.0), [6, 3, 2], weights)

        def function(anchor, positive, scores):
            return run(loss, [anchor, positive], scores)

        settings = {"dims": [6, 3, 2], "weights": weights or [1.0] * 3, "inner": "CoSENTLoss", "scale": 4.0}
        inputs = {**pairs(8.4, 5, 6), "scores": made(8.7, 5).abs()}
        yield case(f"matryoshka/{name}", peer, settings, inputs, function, ["scores"])


def consistency():
    def divergence(log_p, log_q):
        """KL(p || q) of each row."""
        return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(dim=1)

    def symmetric_kl(log_p, log_q):
        return (divergence(log_p, log_q) + divergence(log_q, log_p)) / 2

    def js(log_p, log_q):
        middle = torch.log((log_p.exp() + log_q.exp()) / 2)
        return (divergence(log_p, middle) + divergence(log_q, middle)) / 2

    reductions = {
        "mean": lambda terms, weights: terms.mean(),
        "weighted_mean_over_rows": lambda terms, weights: (weights * terms).mean(),
        "weighted_mean_over_weights": lambda terms, weights: (weights * terms).sum() / weights.sum(),
    }
    peers = {
        "symmetric_kl": (symmetric_kl, "torch reference: (KL(p || q) + KL(q || p)) / 2 by kl_div, as in R-Drop (2021)"),
        "js": (js, "torch reference: (KL(p || m) + KL(q || m)) / 2 by kl_div, m = (p + q) / 2"),
    }
    for name, (terms, peer) in peers.items():
        for reduction, reduce in reductions.items():

            def function(first, second, row_weights=None):
                return reduce(terms(F.log_softmax(first, dim=1), F.log_softmax(second, dim=1)), row_weights)

            inputs = {"first": made(9.1, 5, 6, size=3.0), "second": made(9.5, 5, 6, size=3.0)}
            if reduction != "mean":
                inputs["row_weights"] = torch.tensor([1.0, 0.5, 0.0, 2.0, 0.25])
            settings = {"reduction": reduction}
            yield case(f"consistency/{name}_{reduction}", peer, settings, inputs, function, ["row_weights"])


class Encoder(torch.nn.Module):
    """A small encoder, also in the form that sentence-transformers calls."""

    def __init__(self, weights):
        super().__init__()
        for name, value in weights.items():
            setattr(self, name, torch.nn.Parameter(value.detach().clone()))

    def __getitem__(self, at):
        return self

    def forward(self, features):
        rows = features["rows"] if isinstance(features, dict) else features
        encoded = torch.tanh(rows @ self.w1 + self.b1) @ self.w2 + self.b2
        return {"sentence_embedding": encoded} if isinstance(features, dict) else encoded


def grad_cache():
    shapes = {"w1": (4, 5), "b1": (5,), "w2": (5, 3), "b2": (3,)}
    weights = {name: made(10.1 + at, *shape, size=0.8) for at, (name, shape) in enumerate(shapes.items())}
    for direction, more in [("anchor_to_positive", {}), ("symmetric", BOTH_WAYS)]:

        def function(anchor, positive, **weights):
            def encode(rows):
                return torch.tanh(rows @ weights["w1"] + weights["b1"]) @ weights["w2"] + weights["b2"]

            return ranking(4.0, **more)(encode(anchor), encode(positive))

        inputs = {**pairs(10.6, 7, 4), **weights}
        settings = {"scale": 4.0, "similarity": "cosine", "direction": direction}
        settings["encoder"] = "tanh(x @ w1 + b1) @ w2 + b2, for anchors and positives"
        settings["equal_cached"] = ["gradcache.GradCache", ST + "CachedMultipleNegativesRankingLoss"]
        name, peer = f"grad_cache/{direction}", ST + "MultipleNegativesRankingLoss"
        uncached = case(name, peer, settings, inputs, function, ["anchor", "positive"])
        for chunk in (2, 3, 7):
            check_cached(uncached, inputs, weights, chunk, more)
        yield uncached


def check_cached(uncached, inputs, weights, chunk, more):
    """Both packages with a gradient cache give the loss and the gradients of the whole batch."""
    rows = [inputs["anchor"], inputs["positive"]]
    for package in ("gradcache", "sentence-transformers"):
        encoder = Encoder(weights)
        if package == "gradcache":
            loss = GradCache([encoder, encoder], chunk, loss_fn=ranking(4.0, **more))(*rows)
        else:
            cached = losses.CachedMultipleNegativesRankingLoss(encoder, scale=4.0, mini_batch_size=chunk, **more)
            loss = run(cached, rows)
            loss.backward()
        assert abs(loss.item() - uncached["loss_f64"]) < 1e-12
        for name, weight in encoder.named_parameters():
            expected = torch.tensor(uncached["gradients_f64"][name]["values"], dtype=torch.float64)
            assert torch.allclose(weight.grad.flatten(), expected, rtol=0, atol=1e-12)


# The distributed cases


def of_rank(rank):
    """The cases of one rank. Every rank runs the same losses in the same order, as their exchanges demand."""
    place = {"rank": rank, "world_size": WORLD}
    clip_inputs = {**pairs(11.1, 3 * WORLD, 4), "logit_scale": scalar(4.0)}
    for local in (True, False):
        for with_grad in (True, False):
            loss = ClipLoss(local_loss=local, gather_with_grad=with_grad, **place)
            name = f"clip_ranks/{'local' if local else 'whole'}_{'with' if with_grad else 'without'}_grad/rank{rank}"
            settings = {"similarity": "cosine", "local_loss": local, "gather_with_grad": with_grad, **place}
            yield case(name, CLIP, settings, clip_inputs, of_unit_rows(loss), rank=rank)
    siglip_inputs = {**pairs(11.4, 3 * WORLD, 4), "logit_scale": scalar(4.0), "logit_bias": scalar(-1.5)}
    for exchange in ("bidir", "shift", "reduce", "gather"):
        loss = SigLipLoss(**place, dist_impl=exchange)
        settings = {"similarity": "cosine", "dist_impl": exchange, **place}
        name = f"siglip_ranks/{exchange}/rank{rank}"
        yield case(name, SIGLIP, settings, siglip_inputs, of_unit_rows(loss), rank=rank)
    ranking_inputs, peer = pairs(11.7, 3 * WORLD, 4, hard=1), ST + "MultipleNegativesRankingLoss"
    for direction, more in [("anchor_to_positive", {}), ("symmetric", BOTH_WAYS)]:
        settings = {"scale": 4.0, "similarity": "cosine", "direction": direction, "hard_of": "all_rows", **place}
        name = f"ranking_ranks/{direction}_shared_hard_1/rank{rank}"
        loss = ranking(4.0, gather_across_devices=True, **more)
        yield case(name, peer, settings, ranking_inputs, loss, rank=rank)


def run_rank(rank, folder):
    single_threaded()
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    meeting = f"file://{folder}/meeting"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORLD)
    Path(folder, f"{rank}.json").write_text(json.dumps(list(of_rank(rank))))
    torch.distributed.destroy_process_group()


def ranks():
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(run_rank, (folder,), nprocs=WORLD)
        parts = [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(WORLD)]
    cases = {entry["name"]: entry for part in zip(*parts) for entry in part}
    # The exchanges of SigLipLoss differ in their messages only.
    for name, entry in list(cases.items()):
        if name.startswith("siglip_ranks/"):
            _, exchange, rank = name.split("/")
            same = cases[f"siglip_ranks/bidir/{rank}"]
            assert abs(entry["loss_f64"] - same["loss_f64"]) < 1e-12
            for key, gradient in entry["gradients_f64"].items():
                expected = same["gradients_f64"][key]["values"]
                assert all(abs(a - b) < 1e-12 for a, b in zip(gradient["values"], expected))
            if exchange in ("shift", "reduce"):
                del cases[name]
    yield from cases.values()


def single_threaded():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=DeprecationWarning)


def main():
    single_threaded()
    families = [info_nce, queue, gist, ranks, siglip, directions, groups, scored, distillation, matryoshka, consistency]
    cases = [entry for family in [*families, grad_cache] for entry in family()]
    names = [entry["name"] for entry in cases]
    assert len(names) == len(set(names)), "two cases have the same name"
    made_with = json.dumps({package: version(package) for package in PACKAGES})
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in cases)
    FIXTURES.parent.mkdir(exist_ok=True)
    FIXTURES.write_text(f'{{"made_with": {made_with},\n"cases": [\n{lines}\n]}}\n')
    print(f"{len(cases)} cases, {FIXTURES.stat().st_size} bytes")
    print("\n".join(names))


if __name__ == "__main__":
    main()
