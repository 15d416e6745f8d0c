"""Named pipes, sockets and devices where a file is expected: an error at once, never a wait."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import swinkit
from swinkit.api import convert_data
from swinkit.config.base import read_yaml
from swinkit.data.classification.open import open_classes
from swinkit.data.detection.coco import read_coco
from swinkit.data.detection.csv_boxes import read_box_table
from swinkit.data.detection.open import open_objects
from swinkit.data.io.images import read_channels
from swinkit.data.io.large_images import open_regions
from swinkit.data.io.paths import read_lines
from swinkit.data.io.video import open_footage
from swinkit.data.io.xml import read_xml
from swinkit.data.names.reading import read_names
from swinkit.data.segmentation.published_maps import read_description
from swinkit.errors import SwinkitError
from swinkit.files import check_target
from swinkit.models.convert import convert_file, describe_file
from swinkit.tasks.open_vocab.vocabulary import Vocabulary, describe_vocabulary
from swinkit.training.checkpoints import newest_state
from swinkit.training.run_folder import RunFolder
from tests.conftest import QUICK, Swin

QUICK_PREDICT = {key: QUICK[key] for key in ("workers", "device", "progress")}
READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "vocabulary": ("a.safetensors", Vocabulary.load),
    "described vocabulary": ("a.safetensors", lambda path: describe_vocabulary(str(path))),
    "arrays": ("a.npz", Vocabulary.load),
    "named array": ("a.npz", lambda path: Vocabulary.load(f"{path}:all")),
    "weights": ("a.safetensors", swinkit.load),
    "torch weights": ("a.pth", swinkit.load),
    "inspected weights": ("a.pth", describe_file),
    "converted weights": ("a.pth", lambda path: convert_file(path, path.parent / "b.pth", to="timm")),
    "training state": ("last.ckpt", lambda path: newest_state(RunFolder(path.parent), Console())),
    "image": ("a.jpg", lambda path: read_channels(path, 3)),
    "TIFF": ("a.tif", lambda path: open_regions(path, 3)),
    "array of an image": ("a.npy", lambda path: read_channels(path, 3)),
    "video": ("a.mp4", open_footage),
    "stretch of a video": ("a.mp4", lambda path: open_footage(f"{path}#t=0,1")),
    "XML": ("a.xml", read_xml),
    "class names": ("a.txt", read_names),
    "list": ("a.txt", open_classes),
    "CSV": ("a.csv", open_classes),
    "Parquet": ("a.parquet", open_classes),
    "shard": ("a.tar", open_classes),
    "annotations": ("a.json", open_classes),
    "COCO": ("a.json", lambda path: read_coco([("train", path)], path.parent)),
    "boxes": ("a.csv", read_box_table),
    "objects": ("a.json", open_objects),
    "YOLO description": ("data.yaml", open_objects),
    "lines of text": ("a.txt", read_lines),
    "settings": ("config.yaml", read_yaml),
    "masks' description": ("dataset.yaml", read_description),
    "output": ("a.json", check_target),
}
SILENT = ("described vocabulary",)  # nothing of ours


def ended(call: Callable[[], Any], pipe: Path) -> Any:
    """Return what a call returns or raises; a call that waits for a pipe fails the test, and is released."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001, whatever it is
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(120)  # far longer than reading takes
    if not results:
        os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))  # let the thread end
        pytest.fail("waits for the named pipe")
    return results[0]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("linked", [False, True])
def test_readers_refuse_named_pipes(tmp_path: Path, kind: str, linked: bool) -> None:
    name, read = READERS[kind]
    pipe = tmp_path / "target"
    os.mkfifo(pipe)
    path = tmp_path / name
    if linked:
        (tmp_path / "link").symlink_to(pipe)
        path.symlink_to(tmp_path / "link")
    else:
        pipe.rename(path)
        pipe = path
    result = ended(lambda: read(path), pipe)
    if kind in SILENT:
        assert result == []
        return
    assert isinstance(result, SwinkitError), repr(result)
    assert name in str(result)
    assert "pipe" in str(result) or "no regular file" in str(result)


@pytest.mark.parametrize("name", ["socket.png", "null.png", "folder.png"])
def test_what_else_is_no_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "socket.png":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif name == "null.png":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(SwinkitError, match=r"it is a|is a folder"):
        read_channels(path, 3)


def test_commands_do_not_wait(dataset: Path, tiny_file: Path, tmp_path: Path, swin: Swin) -> None:
    """Of pipes in folders nothing is read; a pipe that is named is an error."""
    root = shutil.copytree(dataset, tmp_path / "set")
    pipe = root / "train" / "grün" / "pipe.png"
    os.mkfifo(pipe)
    code, out, _ = ended(lambda: swin("data", "check", root), pipe)
    assert (code, "Nothing is broken" in out) == (0, True)
    found = ended(lambda: list(swinkit.predict(tiny_file, root / "train" / "grün", **QUICK_PREDICT)), pipe)
    assert len(found) == 16
    run = ended(
        lambda: swinkit.train(root, model=str(tiny_file), epochs=1, out=tmp_path / "run", **QUICK), pipe
    )
    assert run.metrics["images"] == 18
    for options in (["predict", tiny_file, pipe], ["predict", tiny_file, dataset, "--json", pipe]):
        code, out, err = ended(lambda options=options: swin(*options), pipe)
        assert (code > 0, "Traceback" in out + err) == (True, False)
        assert "pipe.png" in err


def test_listed_pipes_are_named(dataset: Path, tiny_file: Path, tmp_path: Path, swin: Swin) -> None:
    root = shutil.copytree(dataset, tmp_path / "set")
    pipe = root / "pipe.png"
    os.mkfifo(pipe)
    rows = [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.glob("*/gr*/*.png"))]
    rows += [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.glob("*/red*/*.png"))]
    (root / "list.csv").write_text("\n".join(["path,label", *rows, "pipe.png,grün"]))
    code, out, err = ended(lambda: swin("data", "check", root / "list.csv"), pipe)
    assert (code, "Traceback" in out + err) == (1, False)
    assert "pipe.png" in out + err


def test_voc_pipe(tmp_path: Path, swin: Swin) -> None:
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / name).mkdir(parents=True)
    pipe = tmp_path / "Annotations" / "a.xml"
    os.mkfifo(pipe)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    result = ended(lambda: convert_data(tmp_path, tmp_path.with_name("out"), to="coco"), pipe)
    assert isinstance(result, SwinkitError), repr(result)
