"""Make the lists of class names that come along: one name a line, in the order of the labels.

    python scripts/make_names.py src/swinkit/data/names

Source: torchvision's `models/_meta.py` (BSD-3-Clause) for ImageNet-1K, COCO and Kinetics-400. ADE20K's list
was typed from mmsegmentation's `class_names.py` (Apache-2.0). A name that stands twice gets a number. The
synsets of ImageNet-1K, in the same order, are timm's (Apache-2.0).
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from timm.data import ImageNetInfo
from torchvision.models import _meta

LISTS = {
    "imagenet-1k": _meta._IMAGENET_CATEGORIES,
    "coco": [name for name in _meta._COCO_CATEGORIES if name not in ("__background__", "N/A")],
    "kinetics-400": _meta._KINETICS400_CATEGORIES,
}


def told_apart(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


def main(folder: Path) -> None:
    for name, classes in LISTS.items():
        text = "\n".join(told_apart(classes)) + "\n"
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    synsets = ImageNetInfo("imagenet-1k").label_names()
    (folder / "imagenet-1k-synsets.txt").write_text("\n".join(synsets) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
