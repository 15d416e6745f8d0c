"""Swin under torchvision's Faster R-CNN: `python examples/detector_backbone.py` (random weights).

`swinkit.backbone` gives maps after a norm of their own and says their channels and strides; the detector
needs nothing else.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork

import swinkit


class SwinWithPyramid(nn.Module):
    """Four Swin maps to four maps of 256 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.swin = swinkit.backbone("swin_t", out_indices=(0, 1, 2, 3))
        self.pyramid = FeaturePyramidNetwork([spec.channels for spec in self.swin.features], 256)
        self.out_channels = 256

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        maps = self.swin(x)
        return self.pyramid(OrderedDict((str(i), feature_map) for i, feature_map in enumerate(maps)))


backbone = SwinWithPyramid()
sizes = tuple((8 * spec.stride,) for spec in backbone.swin.features)
anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
detector = FasterRCNN(backbone, num_classes=3, rpn_anchor_generator=anchors).eval()
with torch.inference_mode():
    print({name: tuple(value.shape) for name, value in detector([torch.rand(3, 300, 401)])[0].items()})
