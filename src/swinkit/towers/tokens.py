"""Prompts to token ids, by the tokenizer that a model was trained with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from swinkit.errors import ConfigError, WeightsError
from swinkit.text_files import read_text
from swinkit.towers.library import import_transformers

LIMITS = ("<|startoftext|>", "<|endoftext|>")


def read_tokenizer(folder: Path) -> str:
    """The tokenizer of a Hugging Face folder as JSON: of tokenizer.json, or of vocab.json and merges.txt.

    Empty where it has none. WeightsError for files that are damaged.
    """
    if (folder / "tokenizer.json").is_file():
        return _whole(folder / "tokenizer.json")
    files = folder / "vocab.json", folder / "merges.txt"
    if not all(file.is_file() for file in files):
        return ""
    clip = import_transformers().CLIPTokenizerFast
    try:
        return str(clip.from_pretrained(str(folder)).backend_tokenizer.to_str())
    except (ValueError, OSError, KeyError) as error:
        raise WeightsError(f"The tokenizer in {folder} cannot be read ({error}): fetch it again.") from error


def _whole(file: Path) -> str:
    try:
        text = read_text(file)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{file} cannot be read ({error}): fetch it again.") from error
    Tokenizer(text, str(file))
    return text


@lru_cache(maxsize=8)
def tokenizer_of(text: str) -> Tokenizer:
    """The tokenizer of a model; CLIP's is parsed from megabytes, and training asks for it in each step."""
    return Tokenizer(text)


def learnt_tokenizer(texts: Iterable[str], size: int) -> str:
    """A tokenizer of at most `size` tokens for such texts, as JSON: byte pairs of lower-case words.

    All bytes are tokens, so that it reads whatever is written; the beginning and the end have the
    highest ids.
    """
    import_transformers()  # whose own library it is
    import tokenizers

    own = tokenizers.Tokenizer(tokenizers.models.BPE())
    blanks = tokenizers.normalizers.Replace(tokenizers.Regex(r"\s+"), " ")
    kinds = tokenizers.normalizers
    own.normalizer = kinds.Sequence([kinds.NFC(), kinds.Lowercase(), blanks, kinds.Strip()])
    own.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    own.train_from_iterator(
        texts,
        tokenizers.trainers.BpeTrainer(
            vocab_size=size - len(LIMITS), initial_alphabet=letters, show_progress=False
        ),
    )
    own.add_special_tokens(list(LIMITS))
    first, last = ((word, own.token_to_id(word)) for word in LIMITS)
    own.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{first[0]} $A {last[0]}", special_tokens=[first, last]
    )
    return str(own.to_str())


class Tokenizer:
    """Text to ids, with a beginning and an end as the tokenizer has them."""

    def __init__(self, text: str, source: str = "the model") -> None:
        import_transformers()  # whose own library it is
        import tokenizers

        try:
            self._own = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # its own class, which is Exception itself
            raise WeightsError(f"The tokenizer of {source} cannot be read ({error}).") from error
        self._own.encode_special_tokens = True  # as they are written, or a text could end before its end
        self._own.no_padding()
        self._own.no_truncation()

    @property
    def size(self) -> int:
        """How many tokens it knows."""
        return int(self._own.get_vocab_size())

    def __call__(self, prompts: Sequence[str], context: int, *, cut: bool = False) -> tuple[Tensor, Tensor]:
        """Ids and which of them count, each (Q, L); ConfigError for a prompt that is empty.

        One that is longer than `context` is refused too, or with `cut` ends there, with its last token.
        """
        for prompt in prompts:
            if not isinstance(prompt, str) or not prompt.strip():
                raise ConfigError(f"{prompt!r} is no prompt: say what to find.")
            if any("\ud800" <= letter <= "\udfff" for letter in prompt):
                raise ConfigError(f"{prompt!r} is no text that can be read: say it anew, in UTF-8.")
        encoded = [encoding.ids for encoding in self._own.encode_batch(list(prompts))]
        if cut:
            encoded = [own if len(own) <= context else [*own[: context - 1], own[-1]] for own in encoded]
        for prompt, own in zip(prompts, encoded, strict=True):
            if len(own) > context:
                raise ConfigError(
                    f"{prompt!r:.60} has {len(own)} tokens, and the model reads {context}: say it shorter."
                )
        longest = max(map(len, encoded))
        ids = torch.zeros(len(encoded), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, own in enumerate(encoded):
            ids[row, : len(own)], mask[row, : len(own)] = torch.tensor(own), 1
        return ids, mask
