"""Pictures with captions as a model of both takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.batch import Item
from swinkit.data.captions.open import Caption
from swinkit.data.classification.image_dataset import ImageDataset
from swinkit.data.classification.transforms import evaluation_transform, training_transform
from swinkit.towers.tokens import tokenizer_of

CROP = (0.5, 1.0)  # least and most share of the area that training cuts out: what is said shall stay in sight


class CaptionDataset(ImageDataset):
    """Pictures and the tokens of what is said of them; a caption that is longer than `context` is cut.

    Training cuts pictures, by `crop_scale` and `crop_ratio`, and leaves their colours and their sides as they
    are: captions speak of these.
    """

    def __init__(
        self,
        samples: Sequence[Caption | Path],
        preprocessing: Preprocessing,
        augmentation: Augmentation | None,
        tokenizer: str,
        context: int,
    ) -> None:
        if augmentation is None:
            transform, at_least = evaluation_transform(preprocessing), None
        else:
            transform = training_transform(preprocessing, harmless(augmentation))
            at_least = 2 * preprocessing.size  # all detail of a crop of a quarter of the area
        super().__init__(samples, preprocessing, transform, at_least=at_least)  # type: ignore[arg-type]
        self.tokenizer, self.context = tokenizer, context

    def item(self, place: int) -> Item:
        """As `SampleDataset`; the record is the caption."""
        sample = self.samples[place]
        path, text = sample if isinstance(sample, Caption) else (sample, None)
        tensor, size = self.read(place, path)
        return Item(tensor, None, size, str(path), record=text)

    def targets(self, items: Sequence[Item]) -> Tensor | None:
        """Tokens (B, L) of the captions, 0 after their end; None for bare paths."""
        if not self.samples or not isinstance(self.samples[0], Caption):
            return None
        texts = [item.record for item in items]
        if not texts:
            return torch.zeros(0, self.context, dtype=torch.long)
        return tokenizer_of(self.tokenizer)(texts, self.context, cut=True)[0]


def harmless(augmentation: Augmentation) -> Augmentation:
    """What varies a picture without making its caption wrong."""
    off = {"hflip": 0.0, "shift": 0.0, "randaugment": None, "color_jitter": 0.0, "erasing": 0.0}
    return augmentation.model_copy(update={**off, "crop_scale": augmentation.crop_scale or CROP})
