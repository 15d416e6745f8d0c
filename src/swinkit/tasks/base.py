"""The one seam: training, evaluation, prediction, export and serving use only what stands here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from swinkit._version import __version__
from swinkit.config.augmentation import Augmentation
from swinkit.config.common import Views
from swinkit.config.preprocessing import Preprocessing
from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.core.folding import refuse_folded
from swinkit.data.batch import Batch
from swinkit.data.dataset import SampleDataset
from swinkit.data.io.in_memory import split_clips, split_images
from swinkit.data.io.media import CLIPS, PICTURES, Medium
from swinkit.errors import ConfigError
from swinkit.labels import Labels
from swinkit.progress import note_clipped
from swinkit.results import Result
from swinkit.towers.vit import ViTConfig
from swinkit.weights.store import RECOMPUTED, LoadReport, canonical_names, write_file

InputLike = str | Path | Image.Image | NDArray[Any] | Tensor | Sequence[Any]  # a sequence holds frames
Mix = Callable[[Batch], Batch]


class Metric(Protocol):
    """Collects raw outputs over a data set and sums them up."""

    def update(self, raw: Any, batch: Batch) -> None:
        """Count a batch in, whose outputs are these."""

    def compute(self) -> dict[str, float]:
        """All figures, as plain floats."""

    def details(self) -> dict[str, Any]:
        """What a report holds beyond the figures: per class, say; plain values."""

    def draw(self, folder: Path) -> list[Path]:
        """Write this task's pictures (confusion, samples …) and return their paths."""

    def reset(self) -> None:
        """Forget all batches."""

    def merge(self, other: Self) -> None:
        """Count in what another metric of the same kind has counted."""


class Task(nn.Module, ABC):
    """A backbone, a head, and the way from images to results."""

    name: ClassVar[str]
    head_name: str  # what kind of head reads the backbone's maps

    monitor: Any  # str: the figure of `metric` that picks the best model; higher is better
    multi_label: bool = False  # whether an input may have several classes
    medium: ClassVar[Medium] = PICTURES  # what an input is
    clips: int = 1  # of each video, spread over it, that answer for it
    decays_biases: ClassVar[bool] = False  # whether published recipes decay biases too
    forwards: ClassVar[tuple[str, ...]] = ()  # methods besides `forward` that pass the layers
    films: ClassVar[bool] = False  # whether a video is answered frame by frame
    options: ClassVar[
        dict[str, tuple[type, ...]]
    ] = {}  # what the constructor takes besides, and of what type
    usual: ClassVar[dict[str, Any]] = {}  # those that published models have
    inherits: ClassVar[tuple[str, ...]] = ()  # other tasks whose options and heads are its own too
    text_lr: ClassVar[float] = 1.0  # usual factor of the learning rate of a text tower
    named: ClassVar[bool] = True  # whether it has classes in any case
    class_layers: ClassVar[tuple[str, ...]] = ()  # beginnings of the names of what depends on the classes
    is_graph: ClassVar[bool] = False  # whether `forward` alone, tensor to tensor, is the whole network
    filters_classes: ClassVar[bool] = False  # whether predictions can be limited to some classes
    ragged: ClassVar[bool] = False  # whether inputs keep their shapes, and so are answered one by one

    backbone: SwinBackbone
    labels: Labels
    preprocessing: Preprocessing
    lineage: list[dict[str, Any]]  # how these weights came to be, oldest first
    licence: str
    load_report: LoadReport | None

    @property
    def monitors(self) -> tuple[str, ...]:
        """Figures of `metric` that may pick the best model; higher is better."""
        return (self.monitor,)

    def monitor_for(self, *, balanced: bool) -> str:
        """Return the figure that picks the best model; `balanced` training counts each class alike."""
        monitor: str = self.monitor
        return monitor

    @abstractmethod
    def __init__(
        self, config: SwinConfig | ViTConfig, labels: Labels, preprocessing: Preprocessing, **options: Any
    ) -> None:
        super().__init__()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by id."""
        return self.labels.names

    @property
    def result_names(self) -> tuple[str, ...]:
        """Names that a result may hold: the classes, or what is asked for instead."""
        return self.classes

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """In which numbers the weights are."""
        return next(self.parameters()).dtype

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """As torch's, but Microsoft's spelling is taken too: no prefix before the backbone's names."""
        own = {name: t for name, t in state_dict.items() if not name.endswith(RECOMPUTED)}
        return super().load_state_dict(canonical_names(own), strict, assign)

    def save(self, path: str | Path, tensors: Mapping[str, Tensor] | None = None, **lineage: Any) -> None:
        """Write one safetensors file: weights, task, config, classes, preprocessing, licence, lineage.

        `tensors` is the state dict to write where it is not the model's own as it stands. `lineage` (plain
        values) is added as the newest step of the weights' history. Raises RunError where the file cannot
        be written; a file that was there stays whole until the new one is. ConfigError for an optimised copy.
        """
        refuse_folded(self.backbone)
        header = {
            "swinkit": __version__,
            "task": self.name,
            "config": self.backbone.config.to_dict(),
            "labels": self.labels.to_list(),
            "preprocessing": self.preprocessing.model_dump(mode="json"),
            "settings": self.settings(),
            "licence": self.licence,
            "lineage": [*self.lineage, lineage] if lineage else self.lineage,
        }
        write_file(Path(path), dict(tensors or self.state_dict()), header)

    @classmethod
    def kept_options(cls, stored: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of the options that a file has stored, those that hold beside what a user gives."""
        return stored

    @classmethod
    def other_heads(cls, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
        """Beginnings of the names in which a file's heads, with these options, are others than wanted."""
        return ()

    @classmethod
    def split(cls, inputs: InputLike | Iterable[InputLike]) -> list[Any]:
        """One input or several as a list; ConfigError for what is neither."""
        return split_clips(inputs) if cls.medium is CLIPS else split_images(inputs)

    def embed(self, images: Tensor | InputLike | Iterable[InputLike]) -> Tensor:
        """A vector for each image, (B, D); ConfigError for a model that has none."""
        raise ConfigError(
            f"A model for {self.name} has no vector for a whole image: give one for classify, video or "
            "contrastive."
        )

    @torch.no_grad()
    def embed_inputs(self, images: InputLike | Iterable[InputLike]) -> Tensor:
        """Vectors of what `predict` takes, in evaluation mode."""
        batch = self.preprocess(self.split(images))
        with self.answering():
            return self.embed(batch.images.to(self.device, self.dtype))

    @abstractmethod
    def preprocess(self, images: Sequence[InputLike]) -> Batch:
        """Files or images in memory to one normalised batch; an unreadable one raises InputError."""

    @abstractmethod
    def respond(self, batch: Batch, *, flip: bool = False) -> Any:
        """Outputs of `forward` for all views of a batch, with `flip` of mirror images too: the mean."""

    def measure(self, batch: Batch, *, flip: bool = False) -> Any:
        """Outputs for `metric`: those of `respond`, without limits that are for people."""
        return self.respond(batch, flip=flip)

    @abstractmethod
    def postprocess(self, raw: Any, sizes: Sequence[tuple[int, int]]) -> list[Result]:
        """Outputs of `forward` to results, one an image; `sizes` are original (height, width)."""

    @abstractmethod
    def loss(self, batch: Batch, raw: Any = None) -> dict[str, Tensor]:
        """Losses by name, to be summed; `raw` are the outputs for the batch where they are known."""

    def no_loss(self, images: Tensor) -> Tensor:
        """A loss of 0 that has passed all that `loss` does, for a process whose batch is empty."""
        raw: Tensor = self(images)
        return raw.sum() * 0

    def idle(self, images: Tensor) -> None:
        """Pass all layers that answer, for a process that has nothing to measure while others do."""
        self(images)

    def freeze_backbone(self) -> None:
        """Keep the backbone as it is, its final norm too."""
        self.backbone.freeze(self.backbone.config.stages)
        self.backbone.requires_grad_(False)

    def compile_backbone(self) -> None:
        """Have `torch.compile` compute the backbone's maps; ConfigError for one that is no Swin."""
        if not isinstance(self.backbone, SwinBackbone):
            raise ConfigError("`compile` is for Swin, and the model's backbone is a vision transformer.")
        self.backbone.set_compile()

    def settle(self) -> None:
        """Compute what follows from the weights, before the model is measured and saved in training."""

    @abstractmethod
    def weigh_classes(self, counts: Sequence[int]) -> None:
        """Weigh the loss of training by how often each class stands in it."""

    @abstractmethod
    def metric(self, *, several: bool = False, labels: Labels | None = None) -> Metric:
        """A fresh metric; with `several` for samples of which each of several answers is right.

        `labels` are those of the data, where these have ids of their own for the model's classes.
        """

    @abstractmethod
    def dataset(
        self,
        samples: Sequence[Any],
        augmentation: Augmentation | None = None,
        *,
        clips: int = 1,
        crops: int = 1,
        several: bool = False,
    ) -> SampleDataset:
        """Samples, or bare paths, as this model takes them; with `augmentation` for training.

        With more than one of `clips` (of a video) or `crops` each item is several views, (V, …), and
        `forward` answers by the mean of their probabilities. `several` is for samples with several right
        answers.
        """

    def mixing(self, augmentation: Augmentation) -> Mix:
        """What mixes a training batch and softens its targets; nothing but for classifiers."""
        return lambda batch: batch

    @abstractmethod
    def set_test_limits(self, **limits: Any) -> None:
        """Limit what `postprocess` gives back."""

    def set_views(self, views: Views) -> None:
        """Answer as options of predict and evaluate say, as far as they are for this task."""

    def limited(self, views: Views | None = None, **limits: Any) -> Self:
        """The same model, weights and all, that answers so; this one answers as before."""
        own = copy(self)
        if views is not None:
            own.set_views(views)
            if views.value_range is not None:
                own.preprocessing = own.preprocessing.with_range(views.value_range)
        own.set_test_limits(**limits)
        return own

    @contextmanager
    def answering(self) -> Iterator[None]:
        """In evaluation mode for a while; then each module in its own again."""
        learning = [module for module in self.modules() if module.training]
        for module in learning:
            module.training = False
        try:
            yield
        finally:
            for module in learning:
                module.training = True

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What the task itself adds to a saved file, plain; the constructor takes it back."""

    def at_once(self, count: int) -> int:
        """How many whole inputs make a batch, where so many could."""
        return 1 if self.ragged else count

    def predict(self, images: InputLike | Iterable[InputLike], *, batch_size: int = 32) -> list[Result]:
        """Results for files, PIL images, arrays or uint8 tensors, one each.

        An image is an array (H, W) or (H, W, C) or a tensor (C, H, W), a clip an array (T, H, W, C), a tensor
        (T, C, H, W) or a list of frames. One axis more is a batch.
        """
        inputs = self.split(images)
        if batch_size < 1:
            raise ConfigError(f"`batch_size={batch_size}`: give a whole number from 1 on.")
        batch_size = self.at_once(batch_size)
        results: list[Result] = []
        clipped = Counter[str]()
        for start in range(0, len(inputs), batch_size):
            batch = self.preprocess(inputs[start : start + batch_size])
            clipped.update(batch.clipped_counts())
            results += self.answer(batch)
        note_clipped(clipped["values"], clipped["images"])
        return results

    @torch.inference_mode()
    def answer(self, batch: Batch, *, flip: bool = False) -> list[Result]:
        """Run one batch in evaluation mode; the results carry the paths of the batch."""
        with self.answering():
            results = self.postprocess(self.respond(batch, flip=flip), batch.sizes)
        return [replace(result, path=path) for result, path in zip(results, batch.paths, strict=True)]
