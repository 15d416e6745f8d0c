"""Layers on feature maps: channels and strides in, tensors out.

No head knows which backbone made its input.
"""

from __future__ import annotations

from collections.abc import Callable

from swinkit.heads.context import ASPPHead, DMHead, PSAHead
from swinkit.heads.dense import DenseHead
from swinkit.heads.plain import FCNHead, SETRHead, SSformerHead
from swinkit.heads.pyramid import PSPHead, UPerHead

DENSE_HEADS: dict[str, Callable[..., DenseHead]] = {
    "upernet": UPerHead,
    "ssformer": SSformerHead,
    "fcn": FCNHead,
    "pspnet": PSPHead,
    "deeplabv3plus": ASPPHead,
    "dmnet": DMHead,
    "psanet": PSAHead,
    "setr_pup": SETRHead,
}
