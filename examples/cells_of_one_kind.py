"""Boxes of one kind of blood cell alone, for a detector that shall learn the others from a few examples.

python examples/cells_of_one_kind.py BCCD red.csv

writes the red cells (RBC) of BCCD's parts train and val as a table of boxes; those of the other kinds, which
are on the same photographs, are left out, as COCO's open-vocabulary split does it.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from xml.etree import ElementTree

KIND = "RBC"
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def main(bccd: str, out: str) -> None:
    """Write the table."""
    folder = Path(bccd).resolve()
    with Path(out).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "label", *CORNERS, "split"))
        for part in ("train", "val"):
            for name in (folder / "ImageSets" / "Main" / f"{part}.txt").read_text().split():
                image = folder / "JPEGImages" / f"{name}.jpg"
                for found in ElementTree.parse(folder / "Annotations" / f"{name}.xml").iter("object"):
                    if found.findtext("name") == KIND:
                        corners = [found.findtext(f"bndbox/{corner}") for corner in CORNERS]
                        table.writerow((image, KIND, *corners, part))


if __name__ == "__main__":
    main(*sys.argv[1:])
