"""Perturbs the repository's GLUE instructions with TextAttack on one thread.

    python textattack_perturb.py --rounds 3

The transformation is DeepWordBug's: a swap, substitution, deletion or insertion of a character in a word, applied by
TextAttack's `Augmenter`. Stop words and quoted words (the label words) are protected, no word is changed twice, and 0.37
of an instruction's words change, as with coin's default settings. Prints one line of JSON; `instructions_per_second` is
the median of the rounds, after one round of warm-up. Word-level attacks need vectors that TextAttack downloads, so they
are not included. The Rust side is `cargo bench -p coin-benches --bench cases -- --only perturbation/deepwordbug`.
"""

import argparse
import json
import os
import pathlib
import random
import re
import statistics
import tempfile
import time

INSTRUCTIONS = pathlib.Path(__file__).resolve().parent.parent.parent / "crates/coin-eval/instructions/glue.json"
STOP_WORDS = (
    "a an and are as at be by for from if in into is it its me of on or the then this to whether with you".split()
)

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["OMP_NUM_THREADS"] = "1"
# TextAttack reads NLTK's stop words on import. STOP_WORDS replaces that list, so that a download is not needed.
NLTK_DATA = tempfile.TemporaryDirectory()
os.environ["NLTK_DATA"] = NLTK_DATA.name
(pathlib.Path(NLTK_DATA.name) / "corpora/stopwords").mkdir(parents=True)
(pathlib.Path(NLTK_DATA.name) / "corpora/stopwords/english").write_text("\n".join(STOP_WORDS), encoding="utf-8")

from textattack.augmentation import Augmenter
from textattack.constraints.pre_transformation import RepeatModification, StopwordModification
from textattack.transformations import (
    CompositeTransformation,
    WordSwapNeighboringCharacterSwap,
    WordSwapRandomCharacterDeletion,
    WordSwapRandomCharacterInsertion,
    WordSwapRandomCharacterSubstitution,
)


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Perturbs instructions with TextAttack.")
    for name, default, kind, text in [
        ("rounds", 3, int, "timed rounds over all instructions"),
        ("share", 0.37, float, "share of the words to change"),
        ("seed", 1, int, "seed of the perturbations"),
    ]:
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{text} (%(default)s)")
    return parser.parse_args()


def quoted(text: str) -> list[str]:
    return re.findall(r"'([^']+)'", text)


def main() -> None:
    options = flags()
    random.seed(options.seed)
    clean = json.loads(INSTRUCTIONS.read_text(encoding="utf-8"))["clean"]
    texts = [text for instructions in clean.values() for text in instructions]
    labels = {label for text in texts for label in quoted(text)}
    # For TextAttack, a closing quote is part of the word.
    labels |= {f"{label}'" for label in labels}
    augmenter = Augmenter(
        CompositeTransformation(
            [
                WordSwapNeighboringCharacterSwap(),
                WordSwapRandomCharacterSubstitution(),
                WordSwapRandomCharacterDeletion(),
                WordSwapRandomCharacterInsertion(),
            ]
        ),
        constraints=[RepeatModification(), StopwordModification(stopwords={*STOP_WORDS, *labels})],
        pct_words_to_swap=options.share,
    )
    seconds = []
    for _ in range(options.rounds + 1):
        start = time.perf_counter()
        perturbed = [augmenter.augment(text)[0] for text in texts]
        seconds.append(time.perf_counter() - start)
    print(
        json.dumps(
            {
                "instructions": len(texts),
                "changed": sum(before != after for before, after in zip(texts, perturbed)),
                "labels_intact": sum(quoted(before) == quoted(after) for before, after in zip(texts, perturbed)),
                "rounds": options.rounds,
                "instructions_per_second": round(len(texts) / statistics.median(seconds[1:]), 1),
                "example": perturbed[0],
            }
        )
    )


if __name__ == "__main__":
    main()
