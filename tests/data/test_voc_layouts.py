"""Pascal VOC as other people have it: in declared encodings, in folders of any name; Tiny ImageNet's val."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swinkit.data.detection.open import open_objects
from swinkit.data.detection.samples import ObjectData
from swinkit.data.open import open_data
from swinkit.errors import DataError

BOX = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
OBJECT = f"<object><name>{{name}}</name>{BOX}</object>"


def draw(*files: Path) -> None:
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file)


def annotate(file: Path, name: str = "cat", encoding: str | None = None, codec: str = "utf-8") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    head = "" if encoding is None else f'<?xml version="1.0" encoding="{encoding}"?>\n'
    text = f"{head}<annotation><filename>{file.stem}.png</filename>{OBJECT.format(name=name)}</annotation>"
    file.write_bytes(text.encode(codec))


def shown(root: Path) -> dict[str, list[str]]:
    data = open_data(root, val_fraction=0)
    assert isinstance(data, ObjectData)
    for samples in data.splits.values():
        for sample in samples:
            assert sample.boxes.tolist() == [[1, 2, 9, 9]]
            assert data.classes == ("cat",)
    return {
        part: [str(one.image.relative_to(root)) for one in samples] for part, samples in data.splits.items()
    }


@pytest.mark.parametrize(
    ("name", "encoding", "codec"),
    [
        ("猫", "GBK", "gbk"),
        ("猫", "gb2312", "gb2312"),
        ("鎔", "gb2312", "gbk"),  # which GB 2312 lacks, and tools write nevertheless
        ("猫", "Shift_JIS", "shift_jis"),
        ("고양이", "EUC-KR", "euc-kr"),
        ("貓", "Big5", "big5"),
        ("кот", "windows-1251", "cp1251"),
        ("кот", "KOI8-R", "koi8-r"),
        ("chaîne", "ISO-8859-1", "latin-1"),
        ("猫", "UTF-16", "utf-16"),
        ("猫", "utf-8", "utf-8-sig"),
        ("猫", None, "utf-8"),
    ],
)
def test_declared_encodings(tmp_path: Path, name: str, encoding: str | None, codec: str) -> None:
    draw(tmp_path / "a.png", tmp_path / "b.png")
    annotate(tmp_path / "a.xml", name, encoding, codec)
    annotate(tmp_path / "b.xml", "cat")
    assert set(open_objects(tmp_path).classes) == {name, "cat"}


@pytest.mark.parametrize(
    ("encoding", "codec", "said"),
    [
        (None, "latin-1", r"a\.xml is not in UTF-8, and declares no encoding; .*encoding=\"gbk\""),
        ("klingon", "latin-1", r"a\.xml declares the encoding klingon, which is unknown; save it as UTF-8"),
        ("hex", "latin-1", r"a\.xml declares the encoding hex, which is unknown"),
        ("euc-jp", "latin-1", r"a\.xml declares the encoding euc-jp, but is in another"),
        ("utf-8", "latin-1", r"a\.xml cannot be read as XML"),
    ],
)
def test_encodings_that_are_none(tmp_path: Path, encoding: str | None, codec: str, said: str) -> None:
    draw(tmp_path / "a.png")
    annotate(tmp_path / "a.xml", "é", encoding, codec)
    with pytest.raises(DataError, match=said):
        open_objects(tmp_path)


@pytest.mark.parametrize(
    ("text", "image", "part"),
    [
        ("annotations/{0}.xml", "images/{0}.png", "train"),
        ("Annotation/{0}.xml", "JPEGImages/{0}.png", "train"),
        ("labels_xml/{0}.xml", "photos/{0}.png", "train"),
        ("annotations/xmls/{0}.xml", "images/{0}.png", "train"),
        ("annotations/val/{0}.xml", "images/val/{0}.png", "val"),
        ("val/annotations/{0}.xml", "val/images/{0}.png", "val"),
        ("data/train/xml/{0}.xml", "data/train/img/{0}.png", "train"),
        ("{0}.xml", "images/{0}.png", "train"),
    ],
)
def test_xml_beside_images_in_folders_of_any_name(tmp_path: Path, text: str, image: str, part: str) -> None:
    for stem in "ab":
        annotate(tmp_path / text.format(stem))
        draw(tmp_path / image.format(stem))
    assert shown(tmp_path) == {part: [image.format(stem) for stem in "ab"]}


def test_parts_with_equal_names(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        for stem in "ab":
            annotate(tmp_path / part / "annotations" / f"{stem}.xml")
            draw(tmp_path / part / "images" / f"{stem}.png")
    assert shown(tmp_path) == {
        "train": ["train/images/a.png", "train/images/b.png"],
        "val": ["valid/images/a.png", "valid/images/b.png"],
    }


def test_masks_and_classes_stay_what_they_are(tmp_path: Path) -> None:
    """XML beside masks, as of the Oxford pets, and among class folders does not make boxes of them."""
    draw(tmp_path / "pets/images/a.png", tmp_path / "pets/images/b.png")
    for stem in "ab":
        (tmp_path / "pets/annotations").mkdir(exist_ok=True)
        Image.fromarray(np.eye(12, 16, dtype=np.uint8)).save(tmp_path / f"pets/annotations/{stem}.png")
        annotate(tmp_path / f"pets/annotations/xmls/{stem}.xml")
    assert not isinstance(open_data(tmp_path / "pets"), ObjectData)
    for name in ("x", "y"):
        draw(tmp_path / "classes" / name / "0.png", tmp_path / "classes" / name / "1.png")
    annotate(tmp_path / "classes/x/0.xml")
    assert open_data(tmp_path / "classes").classes == ("x", "y")


def test_annotations_that_nothing_reads(tmp_path: Path) -> None:
    """They are no empty class folder, and nobody is told to remove them."""
    draw(tmp_path / "images/a.png")
    (tmp_path / "annots").mkdir()
    (tmp_path / "annots/a.json").write_text("{}")
    with pytest.raises(DataError, match=r"holds annotations \(\.json in 'annots'\) in no form that is read"):
        open_data(tmp_path)


def test_val_of_tiny_imagenet(tmp_path: Path) -> None:
    """Its images lie in one folder, and a text names their classes; those of test have none."""
    ids = ("n01443537", "n01629819")
    for name in ids:
        draw(*(tmp_path / "train" / name / "images" / f"{name}_{i}.png" for i in range(2)))
        (tmp_path / "train" / name / f"{name}_boxes.txt").write_text(f"{name}_0.png\t0\t0\t9\t9\n")
    draw(*(tmp_path / "val/images" / f"val_{i}.png" for i in range(3)), tmp_path / "test/images/test_0.png")
    lines = [f"val_{i}.png\t{ids[i % 2]}\t0\t32\t44\t62\n" for i in range(3)]
    (tmp_path / "val/val_annotations.txt").write_text("".join(lines))
    data = open_data(tmp_path)
    assert {part: len(samples) for part, samples in data.splits.items()} == {"train": 4, "val": 3}
    train = {sample.path.name.split("_")[0]: sample.label for sample in data.splits["train"]}
    for sample in data.splits["val"]:
        assert sample.label == train[ids[int(sample.path.stem[-1]) % 2]]
    assert any("test has no class folders" in note for note in data.notes)
    (tmp_path / "val/val_annotations.txt").write_text("val_9.png\tn01443537\n")
    with pytest.raises(DataError, match=r"Line 1 of .*val_annotations\.txt names no image"):
        open_data(tmp_path)
