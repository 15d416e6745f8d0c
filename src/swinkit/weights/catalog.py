"""Published weights: where they lie, what they reached, under which licence. Data only; imports no torch.

Figures are those of the releases' own tables. No hash is listed, for none is published: the first download
records it, and later ones must match (`swinkit.weights.download`).
"""

from __future__ import annotations

from dataclasses import dataclass

HUB = "https://huggingface.co/"
_RELEASES = "https://github.com/SwinTransformer/storage/releases/download"
_1K, _22K, _BOTH = "ImageNet-1K", "ImageNet-22K", "ImageNet-22K, then 1K"
_MIT, _APACHE = "MIT", "Apache-2.0"  # of the repositories that released them


@dataclass(frozen=True)
class Published:
    """One published file, or a folder of them on the Hugging Face Hub.

    `classes` counts those of the model's head.
    `labels` names a list of `swinkit.data.names`, None where classes have ids only. `metric` is the
    published figure, its name first; preprocessing follows from the variant's input size.
    """

    task: str
    url: str
    trained_on: str
    metric: tuple[str, float] | None
    variant: str
    classes: int
    labels: str | None
    licence: str

    @property
    def file(self) -> str:
        """Name of the file, or of the folder, in the cache."""
        return self.url.rsplit("/", 1)[-1]

    @property
    def repository(self) -> str | None:
        """The folder's name on the Hub; None for a file."""
        return self.url.removeprefix(HUB) if self.url.startswith(HUB) else None


def _classifier(variant: str, file: str, trained_on: str, top1: float | None) -> Published:
    classes, labels = (21_841, None) if trained_on == _22K else (1000, "imagenet-1k")
    metric = ("top-1", top1) if top1 is not None else None
    return Published(
        "classify", f"{_RELEASES}/{file}.pth", trained_on, metric, variant, classes, labels, _MIT
    )


def _detector(variant: str, release: str, ap: float, end: str = "") -> Published:
    size = {"t": "tiny", "s": "small", "b": "base"}[variant[-1]]
    url = f"{_RELEASES}/{release}/{variant[:-1]}{size}_patch4_window7{end}.pth"
    return Published("detect", url, "COCO", ("box AP", ap), variant, 80, "coco", _APACHE)


def _segmenter(variant: str, file: str, miou: float) -> Published:
    url = f"{_RELEASES}/{file}_patch4_window7_512x512.pth"
    return Published("segment", url, "ADE20K", ("mIoU", miou), variant, 150, "ade20k", _APACHE)


def _video(variant: str, file: str, trained_on: str, top1: float, classes: int = 400) -> Published:
    url = f"{_RELEASES}/v1.0.4/{file}.pth"
    labels = "kinetics-400" if classes == 400 else None
    return Published("video", url, trained_on, ("top-1", top1), variant, classes, labels, _APACHE)


def _owl(variant: str, repository: str, trained_on: str) -> Published:
    return Published(
        "open_vocabulary", f"{HUB}google/{repository}", trained_on, None, variant, 0, None, _APACHE
    )


_OWL1, _OWL2 = "CLIP, then Objects365, VG", "CLIP, then WebLI's own labels"
CATALOG: dict[str, Published] = {
    "swin_t.in1k": _classifier("swin_t", "v1.0.0/swin_tiny_patch4_window7_224", _1K, 81.2),
    "swin_s.in1k": _classifier("swin_s", "v1.0.0/swin_small_patch4_window7_224", _1K, 83.2),
    "swin_b.in1k": _classifier("swin_b", "v1.0.0/swin_base_patch4_window7_224", _1K, 83.5),
    "swin_b.in1k_384": _classifier("swin_b_384", "v1.0.0/swin_base_patch4_window12_384", _1K, 84.5),
    "swin_t.in22k": _classifier("swin_t", "v1.0.8/swin_tiny_patch4_window7_224_22k", _22K, None),
    "swin_s.in22k": _classifier("swin_s", "v1.0.8/swin_small_patch4_window7_224_22k", _22K, None),
    "swin_b.in22k": _classifier("swin_b", "v1.0.0/swin_base_patch4_window7_224_22k", _22K, None),
    "swin_b.in22k_384": _classifier("swin_b_384", "v1.0.0/swin_base_patch4_window12_384_22k", _22K, None),
    "swin_l.in22k": _classifier("swin_l", "v1.0.0/swin_large_patch4_window7_224_22k", _22K, None),
    "swin_l.in22k_384": _classifier("swin_l_384", "v1.0.0/swin_large_patch4_window12_384_22k", _22K, None),
    "swin_t.in22k_in1k": _classifier(
        "swin_t", "v1.0.8/swin_tiny_patch4_window7_224_22kto1k_finetune", _BOTH, 80.9
    ),
    "swin_s.in22k_in1k": _classifier(
        "swin_s", "v1.0.8/swin_small_patch4_window7_224_22kto1k_finetune", _BOTH, 83.2
    ),
    "swin_b.in22k_in1k": _classifier("swin_b", "v1.0.0/swin_base_patch4_window7_224_22kto1k", _BOTH, 85.2),
    "swin_b.in22k_in1k_384": _classifier(
        "swin_b_384", "v1.0.0/swin_base_patch4_window12_384_22kto1k", _BOTH, 86.4
    ),
    "swin_l.in22k_in1k": _classifier("swin_l", "v1.0.0/swin_large_patch4_window7_224_22kto1k", _BOTH, 86.3),
    "swin_l.in22k_in1k_384": _classifier(
        "swin_l_384", "v1.0.0/swin_large_patch4_window12_384_22kto1k", _BOTH, 87.3
    ),
    "mask_rcnn_swin_t.coco_1x": _detector("mask_rcnn_swin_t", "v1.0.3", 43.7, "_1x"),
    "mask_rcnn_swin_t.coco": _detector("mask_rcnn_swin_t", "v1.0.2", 46.0),
    "mask_rcnn_swin_s.coco": _detector("mask_rcnn_swin_s", "v1.0.2", 48.5),
    "cascade_mask_rcnn_swin_t.coco_1x": _detector("cascade_mask_rcnn_swin_t", "v1.0.3", 48.1, "_1x"),
    "cascade_mask_rcnn_swin_t.coco": _detector("cascade_mask_rcnn_swin_t", "v1.0.2", 50.4),
    "cascade_mask_rcnn_swin_s.coco": _detector("cascade_mask_rcnn_swin_s", "v1.0.2", 51.9),
    "cascade_mask_rcnn_swin_b.coco": _detector("cascade_mask_rcnn_swin_b", "v1.0.2", 51.9),
    "upernet_swin_t.ade20k": _segmenter("upernet_swin_t", "v1.0.1/upernet_swin_tiny", 44.51),
    "upernet_swin_s.ade20k": _segmenter("upernet_swin_s", "v1.0.1/upernet_swin_small", 47.64),
    "upernet_swin_b.ade20k": _segmenter("upernet_swin_b", "v1.0.1/upernet_swin_base", 48.13),
    "swin3d_t.k400": _video("swin3d_t", "swin_tiny_patch244_window877_kinetics400_1k", "Kinetics-400", 78.8),
    "swin3d_s.k400": _video("swin3d_s", "swin_small_patch244_window877_kinetics400_1k", "Kinetics-400", 80.6),
    "swin3d_b.k400": _video("swin3d_b", "swin_base_patch244_window877_kinetics400_1k", "Kinetics-400", 80.6),
    "swin3d_b.in22k_k400": _video(
        "swin3d_b", "swin_base_patch244_window877_kinetics400_22k", "ImageNet-22K, then K400", 82.7
    ),
    "swin3d_b.in22k_k600": _video(
        "swin3d_b", "swin_base_patch244_window877_kinetics600_22k", "ImageNet-22K, then K600", 84.0, 600
    ),
    "swin3d_b.ssv2": _video(
        "swin3d_b_ssv2", "swin_base_patch244_window1677_sthv2", "Something-Something v2", 69.6, 174
    ),
    "owlvit_b32": _owl("owlvit_b32", "owlvit-base-patch32", _OWL1),
    "owlvit_b16": _owl("owlvit_b16", "owlvit-base-patch16", _OWL1),
    "owlvit_l14": _owl("owlvit_l14", "owlvit-large-patch14", _OWL1),
    "owlv2_b16": _owl("owlv2_b16", "owlv2-base-patch16-ensemble", _OWL2),
    "owlv2_l14": _owl("owlv2_l14", "owlv2-large-patch14-ensemble", _OWL2),
}
