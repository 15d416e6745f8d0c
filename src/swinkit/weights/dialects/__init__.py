"""Names of tensors in each dialect, one module per dialect."""

from swinkit.weights.dialects.huggingface import HUGGINGFACE
from swinkit.weights.dialects.microsoft import MICROSOFT
from swinkit.weights.dialects.openmmlab import OPENMMLAB
from swinkit.weights.dialects.spelling import Dialect
from swinkit.weights.dialects.timm import TIMM
from swinkit.weights.dialects.torchvision import TORCHVISION, TORCHVISION_3D

# in the order in which they are tried: Microsoft's names stand, in part, in others too
DIALECTS = (OPENMMLAB, HUGGINGFACE, TORCHVISION, TORCHVISION_3D, TIMM, MICROSOFT)

__all__ = [
    "DIALECTS",
    "HUGGINGFACE",
    "MICROSOFT",
    "OPENMMLAB",
    "TIMM",
    "TORCHVISION",
    "TORCHVISION_3D",
    "Dialect",
]
