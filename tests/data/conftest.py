"""Small images and class folders, made anew for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

MakeImage = Callable[..., Path]
MakeFolders = Callable[..., Path]


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Save one plain image below tmp_path and give its path."""

    def make() -> Path:
        Image.new("RGB", (8, 6), (200, 30, 60)).save(tmp_path / "image.png")
        return tmp_path / "image.png"

    return make


@pytest.fixture
def make_folders(tmp_path: Path) -> MakeFolders:
    """Make class folders under tmp_path/root: `make({"train/cat": 3})`; the images may be empty files."""

    def make(counts: dict[str, int], *, real: bool = False, root: str = "set") -> Path:
        for folder, count in counts.items():
            (tmp_path / root / folder).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                path = tmp_path / root / folder / f"{number}.png"
                if real:
                    Image.new("RGB", (10, 8), (number * 7 % 256, 90, 20)).save(path)
                else:
                    path.touch()
        return tmp_path / root

    return make
