"""Tiny open-vocabulary detectors for tests: towers of a few numbers, and a tokenizer of a few words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
import torch
from safetensors.torch import save_file

import swinkit
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from tests.parity.golden import load_golden

WORDS = (
    *("a", "red", "green", "blue", "ball", "crate", "disc", "of", "the", "photo", "large", "small"),
    *("square", "circle", "犬", "ö", "x", "y", "z"),
)
TEXT = {"vocabulary": 60, "width": 24, "layers": 1, "heads": 2, "mlp": 32, "context": 8, "dim": 24}
TINY: dict[str, Any] = {
    "embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 4), "window": 4, "img_size": 64,
    "dim": 24, "text": TEXT,
}  # fmt: skip


def tokenizer() -> str:
    """A word is an id; the end has the highest one, as in CLIP's."""
    known = {"!": 0, **{word: i for i, word in enumerate(WORDS, start=1)}, "<unk>": 57, "<s>": 58, "</s>": 59}
    own = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="<unk>"))
    own.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    own.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 58), ("</s>", 59)]
    )
    return str(own.to_str())


def owl_swin(classes: int | None = None, **settings: Any) -> OpenVocabulary:
    """With random weights, the same each time."""
    torch.manual_seed(0)
    given = {**TINY, "tokenizer": tokenizer(), **settings}
    model = swinkit.create("swin_t", classes, task="open_vocabulary", **given)
    assert isinstance(model, OpenVocabulary)
    return model


def owl_folder(name: str, folder: Path) -> Path:
    """A golden detector as transformers would save it, with a tokenizer."""
    golden = load_golden(name)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in golden.state.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps({"model_type": name, **golden.meta["config"]}))
    (folder / "tokenizer.json").write_text(tokenizer())
    return folder
