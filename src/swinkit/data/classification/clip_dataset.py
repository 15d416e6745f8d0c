"""Clips on their way from a file to a tensor: frames chosen, decoded once, transformed alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from swinkit.config.preprocessing import Preprocessing
from swinkit.data.classification.clip_sampling import Ticks, draw_clip, spread_clips
from swinkit.data.classification.image_dataset import ClassDataset
from swinkit.data.classification.samples import Sample
from swinkit.data.classification.transforms import ImageTransform
from swinkit.data.io.video import FEWEST, EndedEarlyError, Footage, open_footage


class ClipDataset(ClassDataset):
    """Clips of videos: drawn ones for training where `number` is None, else so many spread over each video.

    One drawn clip is (C, T, S, S); of several clips and crops each item has its views first, (V, C, T, S, S).
    `at_least` is that of `Footage.frames`. Where a video ends before its header says so, what is there
    counts.
    """

    def __init__(
        self,
        samples: Sequence[Sample | Path],
        preprocessing: Preprocessing,
        transform: ImageTransform,
        *,
        number: int | None,
        at_least: int | None = None,
        multi: int | None = None,
    ) -> None:
        super().__init__(samples, preprocessing, multi=multi)
        self.transform, self.number, self.at_least = transform, number, at_least

    def read(self, place: int, path: Path) -> tuple[Tensor, tuple[int, int]]:
        """As `ClassDataset`."""
        try:
            return self._read(path, None)
        except EndedEarlyError as error:
            if error.ticks < FEWEST:
                raise
            return self._read(path, error.ticks)

    def _read(self, path: Path, count: int | None) -> tuple[Tensor, tuple[int, int]]:
        """Of the first `count` frames, where not all that the header tells of are there."""
        assert self.preprocessing.clip is not None
        # one thread: of several loader processes each has a core
        with open_footage(path, rate=self.preprocessing.clip.fps, threads=1, rule=self.rule) as footage:
            return self.views(footage, count or footage.ticks), footage.size

    def views(self, footage: Footage, count: int) -> Tensor:
        """The clips of the first `count` frames of a video."""
        clip = self.preprocessing.clip
        assert clip is not None
        if self.number is None:
            return self._clips(footage, [draw_clip(count, clip)])[0]
        clips = self._clips(footage, spread_clips(count, clip, self.number))
        if clips[0].ndim == 5:  # crops of each
            return torch.cat(clips)
        return clips[0] if self.number == 1 else torch.stack(clips)

    def _clips(self, footage: Footage, chosen: Sequence[Ticks]) -> list[Tensor]:
        """Each clip (C, T, S, S), or with several crops (crops, C, T, S, S); each frame is decoded once."""
        wanted = sorted({tick for ticks in chosen for tick in ticks})
        state = torch.get_rng_state()
        frames: dict[int, Tensor] = {}
        for tick, image in zip(wanted, footage.frames(wanted, at_least=self.at_least), strict=True):
            torch.set_rng_state(state)  # what is drawn is drawn for all frames alike
            self.count_clipped(image)
            frames[tick] = self.transform(image)
        return [torch.stack([frames[tick] for tick in ticks], dim=-3) for ticks in chosen]

    def stack(self, images: Sequence[Tensor]) -> Tensor:
        """Side by side; a short video has one clip where others have several, which then counts for all."""
        most = max((len(views) for views in images), default=0)
        if self.number is not None and images and images[0].ndim == 5:
            images = [views.repeat(most // len(views), 1, 1, 1, 1) for views in images]
        return super().stack(images)
