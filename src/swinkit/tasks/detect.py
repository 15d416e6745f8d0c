"""Detection and instance segmentation: what stands where, and which pixels are its."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchvision.ops import nms  # type: ignore[import-untyped, unused-ignore]

from swinkit.config.augmentation import Augmentation
from swinkit.config.common import Views
from swinkit.config.preprocessing import Preprocessing
from swinkit.core.backbone import SwinBackbone
from swinkit.core.config import SwinConfig
from swinkit.data.batch import Batch, Objects
from swinkit.data.detection.dataset import ObjectDataset
from swinkit.data.detection.samples import ObjectSamples
from swinkit.data.detection.transforms import ObjectTransform
from swinkit.errors import ConfigError, nearest
from swinkit.features import Size
from swinkit.heads.boxes import has_area
from swinkit.heads.fpn import FPN
from swinkit.heads.rcnn import select, with_numbers
from swinkit.heads.rcnn_losses import rpn_losses
from swinkit.heads.roi import SYSTEMS, RoIHead
from swinkit.heads.rpn import OVERLAP, RPNHead
from swinkit.labels import Labels
from swinkit.results import Result
from swinkit.tasks.base import InputLike, Metric, Task
from swinkit.tasks.detections import (
    Found,
    View,
    check_limits,
    check_min_box_size,
    detections,
    mirrored,
    whole_masks,
)


class Detector(Task):
    """An R-CNN: image → backbone → pyramid → proposals → boxes with classes → masks.

    `head` is one of `swinkit.heads.roi.SYSTEMS`; `channels` is the width of the pyramid, `width` that of the
    box heads' layers; `anchor_scale` is the side of square anchors in strides of their map.
    """

    name: ClassVar[str] = "detect"
    options: ClassVar[dict[str, tuple[type, ...]]] = {
        "head": (str,),
        "channels": (int,),
        "width": (int,),
        "anchor_scale": (int, float),
    }
    class_layers: ClassVar[tuple[str, ...]] = tuple(
        f"roi_head.{head}.{stage}{layer}."
        for head, layer in (("bbox_head", "fc_cls"), ("bbox_head", "fc_reg"), ("mask_head", "conv_logits"))
        for stage in ("", "0.", "1.", "2.")
    )
    decays_biases: ClassVar[bool] = True
    filters_classes: ClassVar[bool] = True
    ragged: ClassVar[bool] = True
    films: ClassVar[bool] = True
    forwards: ClassVar[tuple[str, ...]] = ("learn", "find")

    def __init__(
        self,
        config: SwinConfig,
        labels: Labels,
        preprocessing: Preprocessing,
        *,
        head: str = "mask_rcnn",
        channels: int = 256,
        width: int = 1024,
        anchor_scale: float = 8.0,
    ) -> None:
        super().__init__(config, labels, preprocessing)
        if head not in SYSTEMS:
            raise ConfigError(f"There is no head {head!r}: {nearest(str(head), SYSTEMS)}")
        if min(channels, width) < 1:
            raise ConfigError(f"`channels={channels}`, `width={width}`: give widths of pyramid and heads.")
        if not 0 < anchor_scale < math.inf:
            raise ConfigError(f"`anchor_scale={anchor_scale}`: give the side of an anchor in strides, as 8.")
        if config.rank != 2 or preprocessing.dense is None:
            raise ConfigError("A detector takes images, and needs preprocessing.dense: their size.")
        self.labels, self.preprocessing = labels, preprocessing
        self.lineage, self.licence, self.load_report = [], "", None
        self.head_name, self.system = head, SYSTEMS[head]
        self.monitor = "mask_ap" if self.system.masks else "box_ap"
        self.scales: tuple[float, ...] = (1.0,)
        self.wanted: tuple[int, ...] = ()  # classes that are given; none: all
        self.nms_pre, self.proposals = 1000, 1000
        self.score_threshold, self.nms_threshold, self.detections = 0.05, 0.5, 100
        self.min_box_size = 0.0  # pixels of the input; a box with a side of at most this is dropped
        self.backbone = SwinBackbone(config, norms="each")
        self.neck = FPN(self.backbone.features, channels)
        self.rpn_head = RPNHead(self.neck.features, anchor_scale=float(anchor_scale))
        self.roi_head = RoIHead(self.neck.features[:-1], len(labels), self.system, width=width)

    @classmethod
    def other_heads(cls, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
        """As `Task`: a pyramid of another width changes all, another kind of R-CNN its own heads."""
        if "channels" not in stored or stored["channels"] != wanted.get("channels"):
            return ("neck.", "rpn_head.", "roi_head.")
        old, new = (str(options.get("head")) for options in (stored, wanted))
        if old.startswith("cascade") != new.startswith("cascade"):
            return ("roi_head.",)
        masks = ("roi_head.mask_head.",) if ("mask" in old) != ("mask" in new) else ()
        return masks if stored.get("width") == wanted.get("width") else ("roi_head.bbox_head.", *masks)

    @property
    def monitors(self) -> tuple[str, ...]:
        """As `Task`: average precision over all overlaps, and at 0.5 and 0.75."""
        kinds = ("box", "mask") if self.system.masks else ("box",)
        return tuple(f"{kind}_{figure}" for kind in kinds for figure in ("ap", "ap50", "ap75"))

    def forward(self, x: Tensor, sizes: Sequence[Size] | None = None) -> list[Found]:
        """What is found in normalised images (B, C, H, W), one dict an image, the surest first.

        `boxes` (N, 4) in pixels of x (x1, y1, x2, y2), `labels` (N,), `scores` (N,), `size` the image's
        (height, width) within x, of `sizes`, by default all; and with masks `roi_masks` (N, 28, 28), those
        within the boxes, and `masks` (N, 1, H, W), the same pasted to x, soft.
        """
        found = self.find(x, sizes)
        for own in found:
            if "roi_masks" in own:
                own["masks"] = whole_masks(own["roi_masks"], own["boxes"], (x.shape[2], x.shape[3]))
        return found

    def find(self, x: Tensor, sizes: Sequence[Size] | None = None) -> list[Found]:
        """As `forward`, without the pasted masks."""
        sizes = _checked(x, sizes)
        if not len(x):
            return []
        maps = self.neck(self.backbone(x))
        regions = with_numbers(self._propose(maps, sizes))
        chances, boxes = self.roi_head.look(maps[:-1], regions, sizes)
        found = [
            self._select(boxes[own], chances[own]) for own in ((regions[:, 0] == i) for i in range(len(x)))
        ]
        if self.system.masks:
            self._add_masks(found, maps)
        return [own | {"size": torch.tensor(size)} for own, size in zip(found, sizes, strict=True)]

    def _propose(self, maps: list[Tensor], sizes: Sequence[Size]) -> list[Tensor]:
        raw = self.rpn_head(maps)
        return self.rpn_head.proposals(
            raw, sizes, before=self.nms_pre, keep=self.proposals, min_size=self.min_box_size
        )

    def _select(self, boxes: Tensor, chances: Tensor) -> Found:
        if self.wanted:
            others = [i for i in range(len(self.labels)) if i not in self.wanted]
            chances = chances.index_fill(1, torch.tensor(others, device=chances.device), 0.0)
        found = select(
            boxes,
            chances,
            threshold=self.score_threshold,
            overlap=self.nms_threshold,
            keep=self.detections,
            min_size=self.min_box_size,
        )
        return dict(zip(("boxes", "scores", "labels"), found, strict=True))

    def _add_masks(self, found: list[Found], maps: list[Tensor]) -> None:
        regions = with_numbers([own["boxes"] for own in found])
        masks = self.roi_head.masks(maps[:-1], regions, torch.cat([own["labels"] for own in found]))
        for own, part in zip(found, masks.split([len(own["boxes"]) for own in found]), strict=True):
            own["roi_masks"] = part

    def respond(self, batch: Batch, *, flip: bool = False) -> list[Found]:
        """As `find`; over several sizes and mirror images by mmdet's `aug_test`, in pixels of the original.

        The proposals of all views are joined, each view looks at all of them, and its probabilities, boxes
        and masks are averaged.
        """
        images = [view.to(self.device, self.dtype) for view in (batch.images, *batch.others)]
        if len(images) == 1 and not flip:
            return self.find(images[0], batch.valid[0])
        if len(batch) > 1:
            raise ConfigError("Several views are answered picture by picture: give a batch of one.")
        views = [
            View(self.neck(self.backbone(mirrored(image, size[1]) if flipped else image)), size, flipped)
            for image, (size,) in zip(images, batch.valid, strict=True)
            for flipped in (False, True)[: 1 + flip]
        ]
        return [self._over(views, batch.sizes[0])]

    def _over(self, views: Sequence[View], size: Size) -> Found:
        """What several views show, in pixels of a picture of this size."""
        proposed = [self._propose(view.maps, [view.size])[0] for view in views]
        every = torch.cat(
            [
                torch.cat([view.to_original(own[:, :4], size), own[:, 4:]], 1)
                for view, own in zip(views, proposed, strict=True)
            ]
        )
        every = every[has_area(every[:, :4], self.min_box_size)]
        kept = every[nms(every[:, :4], every[:, 4], OVERLAP)[: self.proposals], :4]
        answers = []
        for view in views:
            regions = with_numbers([view.from_original(kept, size)])
            chances, boxes = self.roi_head.look(view.maps[:-1], regions, [view.size])
            back = view.to_original(boxes.unflatten(1, (-1, 4)), size).flatten(1)
            answers.append((chances, back))
        chances, boxes = (torch.stack(part).mean(0) for part in zip(*answers, strict=True))
        found = self._select(boxes, chances)
        if self.system.masks:
            soft = []
            for view in views:
                regions = with_numbers([view.from_original(found["boxes"], size)])
                own = self.roi_head.masks(view.maps[:-1], regions, found["labels"])
                soft.append(own.flip(-1) if view.flipped else own)
            found["roi_masks"] = torch.stack(soft).mean(0)
        return found | {"size": torch.tensor(size)}

    def preprocess(self, images: Sequence[InputLike]) -> Batch:
        """Files or images in memory to one normalised batch, padded; an unreadable one raises ImageError."""
        return ObjectDataset((), self.preprocessing, scales=self.scales).pictures(images)

    def postprocess(self, raw: Sequence[Found], sizes: Sequence[Size]) -> list[Result]:
        """Boxes in pixels of the originals, and masks, pasted one by one and kept as run lengths."""
        return [detections(own, size, self.labels) for own, size in zip(raw, sizes, strict=True)]

    def loss(self, batch: Batch, raw: Any = None) -> dict[str, Tensor]:
        """Losses of proposals, boxes, classes and masks; none of known outputs."""
        if raw is not None:
            return {}
        assert isinstance(batch.targets, tuple)
        return self.learn(batch.images, batch.valid[0], batch.targets)

    def no_loss(self, images: Tensor) -> Tensor:
        """As `Task`."""
        size = images.shape[2], images.shape[3]
        boxes = images.new_zeros(0, 4)
        nothing = Objects(boxes, boxes[:, 0].long(), images.new_zeros(0, *size))
        losses = self.learn(images, [size] * len(images), [nothing] * len(images))
        return torch.stack(list(losses.values())).sum() * 0

    def learn(
        self,
        images: Tensor,
        sizes: Sequence[Size],
        truth: Sequence[Objects],
        padded: Sequence[Size] | None = None,
    ) -> dict[str, Tensor]:
        """The losses of a batch in which these objects are; `padded` as in `rpn_losses`."""
        maps = self.neck(self.backbone(images))
        raw = self.rpn_head(maps)
        boxes, labels = [own.boxes for own in truth], [own.labels for own in truth]
        ignored = [own.ignored for own in truth]
        score, change = rpn_losses(
            raw,
            torch.cat(self.rpn_head.anchors(raw)),
            boxes,
            sizes,
            padded=padded,
            border=self.system.border,
            beta=self.system.beta,
            ignored=ignored,
        )
        with torch.no_grad():
            kept = self.system.kept
            regions = self.rpn_head.proposals(raw, sizes, before=2000, keep=kept, min_size=self.min_box_size)
        proposals = [own[:, :4] for own in regions]
        masks = [own.masks for own in truth if own.masks is not None]
        losses = self.roi_head.losses(
            maps[:-1],
            proposals,
            boxes,
            labels,
            masks or None,
            sizes,
            min_size=self.min_box_size,
            ignored=ignored,
        )
        return {"proposal": score, "proposal_box": change, **losses}

    def sample_regions(self, count: int) -> None:
        """Let the box heads learn from so many regions per image, in every stage."""
        system = self.roi_head.system
        stages = tuple(replace(one, sampling=replace(one.sampling, count=count)) for one in system.stages)
        self.roi_head.system = replace(system, stages=stages)

    def weigh_classes(self, counts: Sequence[int]) -> None:
        """ConfigError: the losses of R-CNNs have no weights of classes."""
        raise ConfigError("`class_weights` is not for detectors: see `sampling` for rare classes.")

    def metric(self, *, several: bool = False, labels: Labels | None = None) -> Metric:
        """COCO's average precision of boxes, and of masks."""
        from swinkit.metrics.detect import DetectionMetric, Kind

        if several:
            raise ConfigError("`real` is for classifiers, and the model finds objects.")
        kind: Kind = "mask" if self.system.masks else "box"
        known = labels or self.labels
        answer = partial(detections, labels=known)
        return DetectionMetric(known, answer, masks=self.system.masks, monitor=kind)

    def dataset(
        self,
        samples: Sequence[Any],
        augmentation: Augmentation | None = None,
        *,
        clips: int = 1,
        crops: int = 1,
        several: bool = False,
    ) -> ObjectDataset:
        """Pictures with objects, or bare paths, as this model takes them; varied with `augmentation`.

        Else whole pictures, at each of the sizes that `set_test_limits` says.
        """
        if clips != 1 or crops != 1:
            raise ConfigError("`clips` and `crops` are for classifiers, and the model finds objects.")
        if samples and augmentation is not None and not isinstance(samples, ObjectSamples):
            raise ConfigError("A detector learns from pictures with boxes: give such data.")
        pre, masks = self.preprocessing, self.system.masks
        transform = None if augmentation is None else ObjectTransform(pre, augmentation, masks=masks)
        return ObjectDataset(samples, pre, transform, scales=self.scales)

    def set_test_limits(  # type: ignore[override]
        self,
        *,
        nms_pre: int | None = None,
        proposals: int | None = None,
        score_threshold: float | None = None,
        nms_threshold: float | None = None,
        detections: int | None = None,
        min_box_size: float | None = None,
        classes: Sequence[str] | None = None,
        scales: Sequence[float] | None = None,
    ) -> None:
        """How much is looked at and given back; what is None stays.

        `nms_pre` anchors of each map, then `proposals` of them are looked at. Of boxes surer than
        `score_threshold`, and of a class none that overlap more than `nms_threshold`, so many `detections`
        are given; of certain `classes` only, all where none is named. Pictures are answered at `scales` times
        the usual size. Proposals, in training too, and detections with a side of at most `min_box_size`
        pixels of the input are dropped: 0 drops boxes without area, -1 keeps every box.
        """
        counts = {"nms_pre": nms_pre, "proposals": proposals, "detections": detections}
        shares = {"score_threshold": score_threshold, "nms_threshold": nms_threshold}
        check_limits(counts, shares)
        check_min_box_size(min_box_size)
        for name, value in (counts | shares | {"min_box_size": min_box_size}).items():
            if value is not None:
                setattr(self, name, value)
        for name in classes or ():
            if name not in self.classes:
                raise ConfigError(f"There is no class {name!r}: {nearest(name, self.classes)}")
        if classes is not None:
            self.wanted = tuple(self.classes.index(name) for name in classes)
        if scales is not None:
            self.scales = tuple(scales)

    def set_views(self, views: Views) -> None:
        """As `Task`."""
        self.set_test_limits(scales=views.scales)

    def settings(self) -> dict[str, Any]:
        """The kind of R-CNN, its widths, and the scale of its anchors where it is not the published one."""
        settings: dict[str, Any] = {
            "head": self.head_name,
            "channels": self.neck.features[0].channels,
            "width": self.roi_head.width,
        }
        if self.rpn_head.anchor_scale != 8.0:
            settings["anchor_scale"] = self.rpn_head.anchor_scale
        return settings


def _checked(x: Tensor, sizes: Sequence[Size] | None) -> list[Size]:
    """(height, width) of each image within x; ConfigError where these are none of a batch's."""
    if x.ndim != 4:
        raise ConfigError(f"A detector takes images (B, C, H, W), and not {tuple(x.shape)}.")
    height, width = x.shape[2], x.shape[3]
    if sizes is None:
        return [(height, width)] * len(x)
    if len(sizes) != len(x) or any(h > height or w > width for h, w in sizes):
        raise ConfigError(
            f"sizes={list(sizes)}: give (height, width) within {height}×{width} for each of {len(x)}."
        )
    return list(sizes)
