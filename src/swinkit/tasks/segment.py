"""Semantic segmentation: the class of every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from swinkit.config.augmentation import Augmentation
from swinkit.config.common import Views
from swinkit.config.preprocessing import Preprocessing
from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.data.batch import Batch
from swinkit.data.segmentation.dataset import PairDataset
from swinkit.data.segmentation.open import Pairs
from swinkit.data.segmentation.transforms import training_pairs
from swinkit.errors import ConfigError, nearest
from swinkit.features import IGNORED
from swinkit.heads import DENSE_HEADS
from swinkit.heads.branches import BRANCH_OPTIONS, BRANCHES
from swinkit.heads.dense import DenseHead, likeliest, resize
from swinkit.heads.losses import Average, cross_entropy, dice_loss, focal_loss, ohem_cross_entropy
from swinkit.heads.plain import FCNHead
from swinkit.labels import Labels
from swinkit.results import Result, SegmentationMap
from swinkit.tasks.base import InputLike, Metric, Task
from swinkit.tasks.sliding_window import WINDOW_STEP, slide

LossName = Literal["cross_entropy", "ohem", "focal", "dice"]
AUXILIARY = 0.4  # weight of the auxiliary head's loss
LARGEST = 2**28  # probabilities of a picture over which views are averaged


class Segmenter(Task):
    """Backbone whose maps have norms, and a dense head: (B, C, H, W) -> logits (B, classes, H, W).

    `head` is one of `swinkit.heads.DENSE_HEADS`, `channels` its width (None: the published one). `auxiliary`
    is the width of an FCN head on the last map but one, whose loss helps in training; 0 for none, None as
    published: 256, and none beside SSformer's. `pool_scales` are those of the pooling of "upernet" and
    "pspnet" (None: 1, 2, 3, 6), `dilations` those of "deeplabv3plus" (1, 12, 24, 36), `filter_sizes` those of
    "dmnet" (1, 3, 5, 7).
    """

    name: ClassVar[str] = "segment"
    is_graph: ClassVar[bool] = True
    options: ClassVar[dict[str, tuple[type, ...]]] = {
        "head": (str,),
        "channels": (int,),
        "auxiliary": (int,),
        **dict.fromkeys(BRANCH_OPTIONS, (tuple, list)),
    }
    class_layers: ClassVar[tuple[str, ...]] = ("decode_head.conv_seg.", "auxiliary_head.conv_seg.")
    decays_biases: ClassVar[bool] = True
    ragged: ClassVar[bool] = True
    films: ClassVar[bool] = True
    forwards: ClassVar[tuple[str, ...]] = ("all_logits",)

    def __init__(
        self,
        config: SwinConfig,
        labels: Labels,
        preprocessing: Preprocessing,
        *,
        head: str = "upernet",
        channels: int | None = None,
        auxiliary: int | None = None,
        **branches: Sequence[int] | None,
    ) -> None:
        super().__init__(config, labels, preprocessing)
        if head not in DENSE_HEADS:
            raise ConfigError(f"There is no head {head!r}: {nearest(str(head), DENSE_HEADS)}")
        if (channels is not None and channels < 1) or (auxiliary is not None and auxiliary < 0):
            raise ConfigError(
                f"`channels={channels}`, `auxiliary={auxiliary}`: give widths; auxiliary 0 is none."
            )
        if len(labels) > IGNORED:
            raise ConfigError(f"{len(labels)} classes: a segmentation model has at most {IGNORED}.")
        if config.rank != 2 or preprocessing.dense is None:
            raise ConfigError("A segmentation model takes images, and needs preprocessing.dense: their size.")
        self.labels, self.preprocessing = labels, preprocessing
        self.class_weights: Tensor | None = None
        self.losses: tuple[LossName, ...] = ("cross_entropy",)
        self.average: Average = "all"
        self.lineage, self.licence, self.load_report, self.monitor = [], "", None, "miou"
        self.scales: tuple[float, ...] = (1.0,)
        self.window: tuple[int, int] | None = None
        self.stride = (0, 0)
        self.backbone = SwinBackbone(config, norms="each")
        features = self.backbone.features
        head_options: dict[str, Any] = {} if channels is None else {"channels": channels}
        self.branches = _checked_branches(head, branches)
        if self.branches is not None:
            head_options[BRANCHES[head].argument] = self.branches
        self.head_name = head
        self.decode_head: DenseHead = DENSE_HEADS[head](features, len(labels), **head_options)
        if auxiliary is None:
            auxiliary = 0 if head == "ssformer" else 256
        self.auxiliary_head = (
            FCNHead(features, len(labels), channels=auxiliary, index=max(-2, -len(features)))
            if auxiliary
            else None
        )

    @classmethod
    def kept_options(cls, stored: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
        """As `Task`: widths are those of one head."""
        return stored if given.get("head", stored.get("head")) == stored.get("head") else {}

    @classmethod
    def other_heads(cls, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
        """As `Task`."""
        if any(name not in stored or stored[name] != wanted.get(name) for name in ("head", "channels")):
            return ("decode_head.", "auxiliary_head.")
        return () if stored.get("auxiliary") == wanted.get("auxiliary") else ("auxiliary_head.",)

    @property
    def pool_scales(self) -> tuple[int, ...] | None:
        """Scales of the pyramid pooling; None for a head without."""
        return self.branches if self.branches and BRANCHES[self.head_name].option == "pool_scales" else None

    @property
    def monitors(self) -> tuple[str, ...]:
        """As `Task`."""
        return "miou", "macc", "aacc"

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images, at their size."""
        return resize(self.decode_head(self.backbone(x)), x)

    def respond(self, batch: Batch, *, flip: bool = False) -> Tensor:
        """Logits of a batch; over several sizes and mirror images the logarithm of their mean probability.

        Of one view they have its size, of several the original one (mmseg's `aug_test`), or of a picture so
        large that they would take more than a GB that of the first view. Sliding windows are those of
        `set_test_limits`.
        """
        views = [images.to(self.device, self.dtype) for images in (batch.images, *batch.others)]
        if len(views) == 1 and not flip:
            return self._logits(views[0])
        size = batch.sizes[0]
        if len(self.labels) * size[0] * size[1] > LARGEST:
            size = views[0].shape[2], views[0].shape[3]
        total: Tensor | None = None
        for view in views:
            for mirrored in (False, True)[: 1 + flip]:
                logits = self._logits(view.flip(-1) if mirrored else view).float()
                logits = logits.flip(-1) if mirrored else logits
                shown = self.probabilities(resize(logits, logits.new_empty(1, 1, *size)))
                total = shown if total is None else total.add_(shown)
        assert total is not None
        return self.as_raw(total / (len(views) * (1 + flip)))

    def _logits(self, x: Tensor) -> Tensor:
        """Of whole images, or the mean of those of the windows that slide over them."""
        return self(x) if self.window is None else slide(self, x, self.window, self.stride)

    def preprocess(self, images: Sequence[InputLike]) -> Batch:
        """Files or images in memory to one normalised batch; an unreadable one raises ImageError.

        Each keeps its shape, so that several make a batch only where they have the same size: ConfigError.
        """
        return PairDataset((), self.preprocessing, scales=self.scales).pictures(images)

    def postprocess(self, raw: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Result]:
        """The likeliest class of each pixel of the original, in strips: of any size in little memory."""
        return [
            SegmentationMap("", likeliest(logits, size).cpu().numpy(), self.classes, self.labels.colours)
            for logits, size in zip(raw, sizes, strict=True)
        ]

    def probabilities(self, raw: Tensor) -> Tensor:
        """Of each class at each place: in all 1."""
        return raw.float().softmax(1)

    def as_raw(self, probabilities: Tensor) -> Tensor:
        """Outputs that have these probabilities."""
        return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()

    def loss(self, batch: Batch, raw: Tensor | None = None) -> dict[str, Tensor]:
        """The losses chosen, of the head and, times 0.4, the auxiliary head; targets (B, H, W) class ids.

        Logits are resized to the targets (bilinear). Of known outputs `raw` there is no auxiliary loss.
        """
        assert isinstance(batch.targets, Tensor)
        if raw is not None:
            return self._losses(raw, batch.targets)
        raw, *aside = self.all_logits(batch.images)
        losses = self._losses(raw, batch.targets)
        for logits in aside:
            values = self._losses(logits, batch.targets)
            losses |= {f"auxiliary_{name}": AUXILIARY * value for name, value in values.items()}
        return losses

    def no_loss(self, images: Tensor) -> Tensor:
        """As `Task`."""
        return torch.stack([logits.sum() for logits in self.all_logits(images)]).sum() * 0

    def all_logits(self, images: Tensor) -> list[Tensor]:
        """Logits of the head and, where there is one, of the auxiliary head, at their own sizes."""
        maps = self.backbone(images)
        heads = (self.decode_head, self.auxiliary_head)
        return [head(maps) for head in heads if head is not None]

    def _losses(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        logits = resize(logits.float(), targets[:, None])
        weights = self.class_weights if self.training else None
        weights = None if weights is None else weights.to(logits.device)
        kinds: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
            "cross_entropy": partial(cross_entropy, weights=weights, average=self.average),
            "ohem": partial(ohem_cross_entropy, weights=weights, average=self.average),
            "focal": partial(focal_loss, weights=weights, average=self.average),
            "dice": dice_loss,
        }
        return {name: kinds[name](logits, targets) for name in self.losses}

    def weigh_classes(self, counts: Sequence[int]) -> None:
        """Let rare classes count more in training: by the root of how rare, all together as before."""
        found = torch.tensor(counts, dtype=torch.float32)
        rare = torch.where(found > 0, (found.sum() / found.clamp(min=1)).sqrt(), 0.0)
        self.class_weights = rare * found.sum() / (rare * found).sum().clamp(min=1)

    def metric(self, *, several: bool = False, labels: Labels | None = None) -> Metric:
        """MIoU, mean and overall accuracy, IoU of each class."""
        from swinkit.metrics.segment import SegmentationMetric

        if several:
            raise ConfigError("`real` is for classifiers, and the model answers every pixel.")
        return SegmentationMetric(self.labels)

    def dataset(
        self,
        samples: Sequence[Any],
        augmentation: Augmentation | None = None,
        *,
        clips: int = 1,
        crops: int = 1,
        several: bool = False,
    ) -> PairDataset:
        """Pairs, or bare paths, as this model takes them; with `augmentation` crops for training.

        Else whole pictures, at each of the sizes that `set_test_limits` says.
        """
        if clips != 1 or crops != 1:
            raise ConfigError("`clips` and `crops` are for classifiers, and the model answers every pixel.")
        if samples and augmentation is not None and not isinstance(samples, Pairs):
            raise ConfigError("A segmentation model learns from pictures with masks: give such data.")
        transform = None if augmentation is None else training_pairs(self.preprocessing, augmentation)
        return PairDataset(samples, self.preprocessing, transform, scales=self.scales)

    def set_test_limits(  # type: ignore[override]
        self,
        *,
        scales: Sequence[float] | None = None,
        slide: int | None = None,
        stride: int | None = None,
    ) -> None:
        """Answer at sizes `scales` times the usual one, and by square windows of the side `slide`.

        The windows slide over each picture, `stride` apart (two thirds); with 0 it is answered whole again.
        """
        if scales is not None:
            self.scales = tuple(scales)
        if slide:
            step = stride or max(1, round(slide * WINDOW_STEP))
            if step > slide:
                raise ConfigError(f"`stride={step}` leaves gaps between windows of {slide}: give less.")
            self.window, self.stride = (slide, slide), (step, step)
        elif slide == 0:
            self.window = None

    def set_views(self, views: Views) -> None:
        """As `Task`."""
        self.set_test_limits(scales=views.scales, slide=views.slide or 0, stride=views.stride)

    def settings(self) -> dict[str, Any]:
        """The head, the widths of it and of the auxiliary head, the numbers of its branches."""
        auxiliary = 0 if self.auxiliary_head is None else self.auxiliary_head.conv_seg.in_channels
        settings: dict[str, Any] = {
            "head": self.head_name,
            "channels": self.decode_head.conv_seg.in_channels,
            "auxiliary": auxiliary,
        }
        if self.branches is not None:
            settings[BRANCHES[self.head_name].option] = list(self.branches)
        return settings


def _checked_branches(head: str, given: Mapping[str, Sequence[int] | None]) -> tuple[int, ...] | None:
    """Numbers of a head's branches; None for a head without; ConfigError where they cannot be."""
    own = BRANCHES.get(head)
    for option, numbers in given.items():
        if numbers is not None and (own is None or option != own.option):
            heads = " and ".join(name for name, branches in BRANCHES.items() if branches.option == option)
            raise ConfigError(f"`{option}` is for {heads}, and the head is {head}.")
    if own is None:
        return None
    numbers = given.get(own.option)
    if numbers is None:
        return own.usual
    if not numbers or not all(type(number) is int and number > 0 for number in numbers):
        usual = ", ".join(map(str, own.usual))
        raise ConfigError(f"{own.option}={numbers!r}: give whole numbers from 1 on, such as {usual}.")
    return tuple(numbers)
