"""WebDataset shards: ours are read by webdataset, webdataset's by us; order, resume, faults."""

from __future__ import annotations

import gc
import io
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import CLASSES, QUICK, Swin

import swinkit
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.captions.open import open_captions
from swinkit.data.classification.image_dataset import ImageDataset
from swinkit.data.classification.open import open_classes
from swinkit.data.classification.samples import ClassData
from swinkit.data.classification.transforms import evaluation_transform
from swinkit.data.io.images import read_image
from swinkit.data.io.media import find_inputs
from swinkit.data.io.packed import Packed
from swinkit.data.loader import make_loader
from swinkit.data.open import open_data
from swinkit.data.sampler import NEAR, SeededBatches
from swinkit.errors import DataError, ImageError

webdataset = pytest.importorskip("webdataset")


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, rows: list[dict[str, bytes]]) -> Path:
    """A shard by the standard library: `{"png": …, "cls": …}` for each key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, row in enumerate(rows):
            for suffix, content in row.items():
                info = tarfile.TarInfo(f"{key:04d}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def contents(data: ClassData, split: str) -> list[tuple[str, bytes]]:
    """Class and pixels of each picture, sorted."""
    return sorted((data.classes[s.label], read_image(s.path).tobytes()) for s in data.splits[split])


@pytest.fixture
def shards(dataset: Path, tmp_path: Path, swin: Swin) -> Path:
    ended = swin("data", "shard", dataset, tmp_path / "shards", "--size", "20")
    assert ended.code == 0, ended.err
    return tmp_path / "shards"


def test_shards_hold_the_same_pictures(shards: Path, dataset: Path) -> None:
    names = sorted(path.name for path in shards.iterdir())
    assert names == [
        "classes.txt", "train-000000.tar", "train-000001.tar", "train-000002.tar", "val-000000.tar",
    ]  # fmt: skip
    packed, loose = open_classes(shards), open_classes(dataset)
    assert packed.classes == loose.classes == CLASSES
    for split in ("train", "val"):
        assert contents(packed, split) == contents(loose, split)
    first = [sample.label for sample in packed.splits["train"][:20]]
    assert len(set(first)) == 3, "a shard holds pictures of all classes"


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_ours(shards: Path, dataset: Path) -> None:
    pattern = str(shards / "train-{000000..000002}.tar")
    theirs = webdataset.WebDataset(pattern, shardshuffle=False).decode("pil").to_tuple("png", "cls")
    read = sorted((CLASSES[label], image.tobytes()) for image, label in theirs)
    assert read == contents(open_classes(dataset), "train")
    del theirs
    gc.collect()  # webdataset leaves its last file open


def test_we_read_webdatasets(tmp_path: Path) -> None:
    with webdataset.ShardWriter(str(tmp_path / "train-%04d.tar"), maxcount=4, verbose=0) as writer:
        for i in range(10):
            writer.write({"__key__": f"k{i}", "png": png(i), "cls": i % 3})
    data = open_classes(tmp_path / "train-{0000..0002}.tar", val_fraction=0)
    assert data.classes == ("0", "1", "2")
    reds = [read_image(sample.path).getpixel((0, 0))[0] for sample in data.splits["train"]]
    assert reds == list(range(10))
    assert [sample.label for sample in data.splits["train"]] == [i % 3 for i in range(10)]


def test_labels_in_json(tmp_path: Path) -> None:
    rows = [{"png": png(0), "json": json.dumps({"label": name}).encode()} for name in ("cat", "dog")]
    write(tmp_path / "one" / "a.tar", rows)
    assert open_classes(tmp_path / "one", val_fraction=0).classes == ("cat", "dog")
    rows = [{"png": png(0), "json": json.dumps({"labels": names}).encode()} for names in (["a", "b"], [])]
    write(tmp_path / "many" / "a.tar", rows)
    data = open_classes(tmp_path / "many", val_fraction=0)
    assert data.multi
    assert sorted(sample.labels for sample in data.splits["train"]) == [(), (0, 1)]


def test_names_for_numbers(tmp_path: Path) -> None:
    write(tmp_path / "train.tar", [{"png": png(0), "cls": b"2"}, {"png": png(1), "cls": b"0"}])
    (tmp_path / "classes.txt").write_text("naïve ✓\nother\na b\n")
    assert open_classes(tmp_path, val_fraction=0).classes == ("naïve ✓", "a b")
    (tmp_path / "classes.txt").write_text("only\n")
    with pytest.raises(DataError, match=r"names 1 classes, but .* has the class 2"):
        open_classes(tmp_path, val_fraction=0)


def test_val_is_drawn_from_shards_without_parts(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", [{"png": png(i), "cls": str(i % 2).encode()} for i in range(20)])
    data = open_classes(tmp_path, seed=3)
    assert (len(data.splits["train"]), len(data.splits["val"])) == (16, 4)


def test_a_picture_in_a_tar_is_a_path_like_any_other(shards: Path, run: swinkit.api.Run) -> None:
    sample = open_classes(shards).splits["val"][0]
    assert find_inputs([sample.path]) == [sample.path]
    assert run.model.predict([sample.path])[0].path == str(sample.path)
    with pytest.raises(ImageError, match="There is no file"):
        read_image(sample.path.parent / "gone.png")


# --- order -----------------------------------------------------------------------------------------------


def test_shards_are_shuffled_a_few_at_a_time() -> None:
    """Each epoch all of them, in another order; of few tar files at once; and resumable."""
    lengths = [5] * (3 * NEAR)
    order = SeededBatches(sum(lengths), 7, shuffle=True, seed=2, archives=lengths)
    first, second = ([draw.place for batch in order for draw in batch] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(sum(lengths)))
    assert first != second
    window = {place // 5 for place in first[: 5 * NEAR]}
    assert len(window) == NEAR
    assert sorted(window) != list(range(NEAR))
    again = SeededBatches(sum(lengths), 7, shuffle=True, seed=2, archives=lengths)
    again.begin = (0, 4)
    assert [draw.place for batch in again for draw in batch] == first[28:]


def test_reading_by_several_processes(shards: Path) -> None:
    samples, pre = open_classes(shards).splits["train"], Preprocessing(size=8)
    assert samples.archives() == [20, 20, 8]
    dataset = ImageDataset(samples, pre, evaluation_transform(pre))
    batches: list[list[Any]] = []
    for workers in (0, 2):
        order = SeededBatches(len(samples), 5, shuffle=True, seed=0, archives=samples.archives())
        batches.append(list(make_loader(dataset, order, workers=workers)))
    for one, other in zip(*batches, strict=True):
        assert one.paths == other.paths
        assert torch.equal(one.images, other.images)


def test_training_from_shards_resumes(shards: Path, tiny_file: Path, tmp_path: Path) -> None:
    run = swinkit.train(shards, model=tiny_file, out=tmp_path / "run", epochs=1, **QUICK)
    assert run.model.classes == CLASSES
    lines = (run.path / "split.csv").read_text().splitlines()
    assert lines[1].startswith("train-000000.tar/")
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 1", "epochs: 2"))
    resumed = swinkit.train(resume=run.path)
    assert resumed.metrics["images"] == 18


# --- faults ----------------------------------------------------------------------------------------------


def test_archives_of_a_folder(tmp_path: Path, shards: Path) -> None:
    """`tar -cf x.tar .` puts ./ before each name."""
    with tarfile.open(shards / "val-000000.tar") as tar:
        tar.extractall(tmp_path / "loose", filter="data")
    (tmp_path / "made").mkdir()
    with tarfile.open(tmp_path / "made" / "x.tar", "w") as tar:
        tar.add(tmp_path / "loose", ".")
    samples = open_classes(tmp_path / "made", val_fraction=0).splits["train"]
    assert len(samples) == 18
    for sample in samples:
        read_image(sample.path)


def test_shards_stay_in_order_when_val_is_drawn(tmp_path: Path) -> None:
    for n in range(6):
        write(tmp_path / f"{n}.tar", [{"png": png(i), "cls": str(i % 3).encode()} for i in range(10)])
    data = open_classes(tmp_path)
    assert len(data.splits["train"].archives()) == 6
    assert sum(data.splits["train"].archives()) == len(data.splits["train"]) == 47


def test_names_that_split_csv_could_not_hold(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", [{"png": png(0), "json": json.dumps({"labels": ["a|b"]}).encode()}] * 2)
    with pytest.raises(
        DataError, match=r"has the class 'a\|b': with several labels for a file none may hold"
    ):
        open_classes(tmp_path)


def test_damaged_shards(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tar", [{"png": png(0), "cls": b"0"}])
    whole = path.read_bytes()
    for content in (b"no tar at all" * 100, whole[: 512 + 20]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"train\.tar cannot be read as a plain tar file"):
            open_classes(tmp_path)


def test_what_has_no_label_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "t.tar", [{"png": png(0), "cls": b"0"}, {"png": png(0)}, {"cls": b"1"}, {"txt": b"x"}])
    data = open_classes(tmp_path, val_fraction=0, min_classes=1)
    assert len(data.splits["train"]) == 1
    assert "1 files in" in data.notes[0]


def test_the_picture_of_a_key(tmp_path: Path) -> None:
    write(tmp_path / "t.tar", [{"mask.png": png(9), "npy": b"", "png": png(3), "cls": b"0"}])
    (sample,) = open_classes(tmp_path, val_fraction=0, min_classes=1).splits["train"]
    assert read_image(sample.path).getpixel((0, 0)) == (3, 0, 0)


def test_missing_shards_and_full_folders(tmp_path: Path, shards: Path, dataset: Path, swin: Swin) -> None:
    with pytest.raises(DataError, match=r"There is no file .*train-0\.tar; check the pattern"):
        open_classes(tmp_path / "train-{0..3}.tar")
    with pytest.raises(DataError, match="There is no file"):
        open_classes(tmp_path / "*.tar")
    ended = swin("data", "shard", dataset, shards)
    assert (ended.code, "already holds tar files" in ended.err) == (1, True)
    ended = swin("data", "shard", dataset, tmp_path / "new", "--size", "0")
    assert (ended.code, "size=0" in ended.err) == (2, True)


def test_samples_are_compact(shards: Path) -> None:
    samples = open_classes(shards).splits["train"]
    assert samples[-1] == samples[len(samples) - 1]
    assert list(samples[2:5]) == [samples[2], samples[3], samples[4]]
    assert samples.counts(4).tolist() == [16, 16, 16, 0]
    with pytest.raises(IndexError):
        samples[len(samples)]
    own = vars(samples).values()
    assert all(isinstance(value, np.ndarray | bool | Packed) for value in own)
    packed = [value for value in own if isinstance(value, Packed)]
    assert packed
    assert all(isinstance(value, np.ndarray) for one in packed for value in vars(one).values())


def damaged(path: Path, change: Callable[[bytearray, list[int]], bytearray], count: int = 20) -> Path:
    """A shard of some images that is changed; `change` gets its bytes and the offsets of the headers."""
    write(path, [{"png": png(key * 3), "cls": str(key % 2).encode()} for key in range(count)])
    with tarfile.open(path) as tar:
        headers = [member.offset for member in tar]
    path.write_bytes(change(bytearray(path.read_bytes()), headers))
    return path


def flip_a_bit(content: bytearray, headers: list[int]) -> bytearray:
    content[headers[10] + 124] ^= 1  # in the size of the sixth image
    return content


def cut_between(content: bytearray, headers: list[int]) -> bytearray:
    return content[: headers[10]]


def cut_inside(content: bytearray, headers: list[int]) -> bytearray:
    return content[: headers[10] + 560]


def cut_padding(content: bytearray, headers: list[int]) -> bytearray:
    return content[: headers[11] - 20]


def zeros_over_a_header(content: bytearray, headers: list[int]) -> bytearray:
    content[headers[10] : headers[10] + 4096] = bytes(4096)
    return content


def appended(content: bytearray, headers: list[int]) -> bytearray:
    return content + content


def one_zero_block(content: bytearray, headers: list[int]) -> bytearray:
    end = len(content.rstrip(b"\0"))
    return content[: -(-end // 512) * 512 + 512]


DAMAGES = {
    flip_a_bit: "is damaged at byte 10240: a header there cannot be read, so 15 of its files are lost",
    zeros_over_a_header: "has zeros in place of a header at byte 10240, and more behind them, so 1[0-9] ",
    appended: "has zeros in place of a header at byte 40960, and more behind them, so 20 of",
    cut_inside: "is cut short at byte 10800, within 0005.png: what was behind is missing",
    cut_padding: "is cut short at byte 11244, within 0005.png: what was behind is missing",
    cut_between: "is cut short at byte 10240, before its end is marked by zeros: files may be missing",
    one_zero_block: "ends with one block of zeros, not with two",
}


@pytest.mark.parametrize("change", DAMAGES)
def test_files_behind_a_fault_are_missed(
    tmp_path: Path, swin: Swin, change: Callable[[bytearray, list[int]], bytearray]
) -> None:
    """Python's tarfile takes the fault for the end: `list(tarfile.open(path))` is short, without a word."""
    path = damaged(tmp_path / "set" / "train.tar", change)
    # of an image at a cut the class is missing
    (note,) = [note for note in open_classes(path.parent).notes if "have no label" not in note]
    assert re.search(rf"train\.tar {DAMAGES[change]}", note)
    report = swinkit.api.check_data(path.parent, progress=False)
    assert report.broken
    assert [problem.text for problem in report.problems if problem.kind == "damaged shard"] == [note]
    ended = swin("data", "check", path.parent, "--out", tmp_path / "sheet.png")
    assert (ended.code, "damaged shard" in ended.out, "Nothing is broken" in ended.out) == (1, True, False)


@pytest.mark.parametrize("count", [7, 512, 700])
def test_files_are_counted_where_bytes_are_missing(tmp_path: Path, count: int) -> None:
    """No header behind lies at a whole block then."""

    def drop_bytes(content: bytearray, headers: list[int]) -> bytearray:
        del content[headers[10] + 100 : headers[10] + 100 + count]
        return content

    path = damaged(tmp_path / "train.tar", drop_bytes)
    assert "so 15 of its files are lost" in open_classes(path, val_fraction=0).notes[0]


@pytest.mark.parametrize("change", DAMAGES)
def test_training_stops_where_much_is_lost(
    tmp_path: Path, tiny_file: Path, change: Callable[[bytearray, list[int]], bytearray]
) -> None:
    path = damaged(tmp_path / "set" / "train.tar", change)
    options = {"model": str(tiny_file), "device": "cpu", "progress": False}
    if change is one_zero_block:  # nothing is lost
        swinkit.api.dry_run(path, **options)
        return
    with pytest.raises(DataError, match=r"train\.tar (is|has)"):
        swinkit.api.dry_run(path, **options)


def test_training_goes_on_where_little_is_lost(tmp_path: Path, tiny_file: Path) -> None:
    def flip_near_the_end(content: bytearray, headers: list[int]) -> bytearray:
        content[headers[-4] + 124] ^= 1  # the images before the last two
        return content

    path = damaged(tmp_path / "train.tar", flip_near_the_end, 30)
    swinkit.api.dry_run(path, model=str(tiny_file), device="cpu", progress=False)
    assert "so 2 of its files are lost" in open_classes(path).notes[0]


def test_whole_shards_of_every_writer_have_no_damage(tmp_path: Path) -> None:
    for name, form in (("u", tarfile.USTAR_FORMAT), ("g", tarfile.GNU_FORMAT), ("p", tarfile.PAX_FORMAT)):
        with tarfile.open(tmp_path / f"{name}.tar", "w", format=form) as tar:
            for key in range(3):
                info = tarfile.TarInfo("a" if form == tarfile.USTAR_FORMAT else f"{'long' * 60}/{key}é.png")
                info.size = 700
                tar.addfile(info, io.BytesIO(bytes(700)))
        assert swinkit.data.io.tar.index(tmp_path / f"{name}.tar").damage is None
    with webdataset.TarWriter(str(tmp_path / "w.tar")) as sink:
        sink.write({"__key__": "0", "cls": 1})
    assert swinkit.data.io.tar.index(tmp_path / "w.tar").damage is None
    if shutil.which("tar"):
        (tmp_path / "a.png").write_bytes(png(3))
        subprocess.run(["tar", "-cf", "gnu.tar", "a.png"], cwd=tmp_path, check=True)
        assert swinkit.data.io.tar.index(tmp_path / "gnu.tar").damage is None


def test_captions_in_damaged_shards(tmp_path: Path, tiny_file: Path) -> None:
    path = write(tmp_path / "train.tar", [{"png": png(key), "txt": b"a cat"} for key in range(20)])
    content = bytearray(path.read_bytes())
    content[10 * 1024 + 124] ^= 1
    path.write_bytes(content)
    data = open_captions(path)
    assert "so 15 of its files are lost" in data.notes[0]
    assert data.damaged == data.pictures().damaged != ()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"cls": b"\xff\xfe\xfa"}, r"0000\.cls is not UTF-8 .*; write the shard anew"),
        ({"json": b"[" * 100_000}, r"0000\.json is not JSON \(it is nested too deeply\)"),
        ({"json": b'{"label": {"a": 1}}'}, r"0000\.json has a label that is no name"),
        ({"json": b'{"labels": [["a"]]}'}, r"0000\.json has a label that is no name"),
        ({"json": b'{"label": "\xff"}'}, r"0000\.json is not JSON"),
        ({"txt": b"\xff"}, r"0000\.txt is not UTF-8"),
    ],
)
def test_labels_that_cannot_be_read(tmp_path: Path, row: dict[str, bytes], message: str) -> None:
    path = write(tmp_path / "train.tar", [{"png": png(0), **row}])
    with pytest.raises(DataError, match=message):
        open_captions(path) if "txt" in row else open_classes(path)


def test_a_byte_order_mark_is_no_part_of_a_label(tmp_path: Path) -> None:
    rows = [
        {"png": png(0), "cls": "cat".encode("utf-8-sig")},
        {"png": png(1), "json": '{"label": "cat"}'.encode("utf-8-sig")},
        {"png": png(2), "cls": b"dog"},
    ]
    assert open_classes(write(tmp_path / "train.tar", rows), val_fraction=0).classes == ("cat", "dog")


def test_an_empty_label_is_none(tmp_path: Path) -> None:
    rows = [{"png": png(0), "cls": b" \n"}, {"png": png(1), "cls": b"a"}, {"png": png(2), "cls": b"b"}]
    data = open_classes(write(tmp_path / "train.tar", rows), val_fraction=0)
    assert (data.classes, len(data.splits["train"])) == (("a", "b"), 2)


def test_of_a_name_that_stands_twice_the_last_counts(tmp_path: Path) -> None:
    """As for tar itself, which appends what is new."""
    path = tmp_path / "train.tar"
    with tarfile.open(path, "w") as tar:
        old, new, other = png(1), png(9), png(5)
        members = (("0.png", old), ("0.cls", b"a"), ("0.png", new), ("1.png", other), ("1.cls", b"b"))
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = open_classes(path, val_fraction=0)
    first = next(sample for sample in data.splits["train"] if sample.path.name == "0.png")
    assert read_image(first.path).getpixel((0, 0)) == (9, 0, 0)
    with tarfile.open(path) as tar:
        assert tar.extractfile("0.png").read() == png(9)  # the oracle
    assert re.fullmatch(r"1 files in .* have the name of one behind them and were left out\.", data.notes[0])


def test_a_pattern_with_an_open_brace(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has braces that do not match"):
        open_classes(tmp_path / "train-{0..3.tar")


def test_shards_never_go_into_the_data(tmp_path: Path, dataset: Path, swin: Swin) -> None:
    before = sorted(dataset.rglob("*"))
    for out in (dataset, dataset / "train", dataset / "shards", dataset / "a" / ".." / "new"):
        ended = swin("data", "shard", dataset, out)
        assert (ended.code, "lies in the data set" in ended.err) == (1, True)
    assert sorted(dataset.rglob("*")) == before


def test_a_killed_write_leaves_nothing_for_the_next(tmp_path: Path, dataset: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".train-000000.tar.ab12cd34").write_bytes(bytes(100))
    swinkit.api.shard_data(dataset, tmp_path / "out", progress=False)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["{outside}", "../outside", "../../outside", "a/../../outside", "//outside"])
def test_no_name_leads_out_of_a_shard(tmp_path: Path, name: str) -> None:
    """The beginning is dropped, as `tar -x` does it."""
    (tmp_path / "outside.png").write_bytes(png(200))
    name = name.format(outside=tmp_path / "outside")
    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set" / "train.tar", "w") as tar:
        for member, content in (
            (f"{name}.png", png(7)),
            (f"{name}.cls", b"0"),
            ("b.png", png(8)),
            ("b.cls", b"1"),
        ):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    samples = open_classes(tmp_path / "set", val_fraction=0).splits["train"]
    assert sorted(read_image(sample.path).getpixel((0, 0))[0] for sample in samples) == [7, 8]
    assert all(str(sample.path).startswith(f"{tmp_path}/set/train.tar/") for sample in samples)


def test_every_shard_is_checked_whatever_is_wrong_in_another(
    tmp_path: Path, swin: Swin, tiny_file: Path
) -> None:
    root = tmp_path / "set"
    for number in range(6):
        samples = [{"png": png(20 * number + key), "cls": str(key % 2).encode()} for key in range(4)]
        write(root / f"train-{number}.tar", samples)
    (root / "train-0.tar").write_bytes(b"no tar at all" * 100)
    whole = (root / "train-2.tar").read_bytes()
    (root / "train-2.tar").write_bytes(whole[: len(whole) // 3])
    write(root / "train-4.tar", [{"png": png(99), "cls": b"\xff\xfe\xfa"}])
    broken = (root / "train-5.tar").read_bytes()
    (root / "train-5.tar").write_bytes(broken.replace(b"IDAT", b"IDAX", 1))
    ended = swin("data", "check", root, "--out", tmp_path / "sheet.png")
    assert ended.code == 1
    listed = (tmp_path / "sheet-problems.txt").read_text().splitlines()
    assert sum("damaged shard" in line for line in listed) == 3
    for text in (
        "train-0.tar cannot be read",
        "train-2.tar is cut short",
        "train-4.tar/0000.cls is not UTF-8",
    ):
        assert sum(text in line for line in listed) == 1, text
    assert any(line.startswith("unreadable") and "train-5.tar" in line for line in listed)
    with pytest.raises(DataError, match=r"train-0\.tar cannot .*train-4\.tar/0000\.cls is not UTF-8"):
        swinkit.api.dry_run(root, model=str(tiny_file), device="cpu", progress=False)
    with pytest.raises(DataError, match=r"train-0\.tar cannot"):
        swinkit.api.shard_data(root, tmp_path / "new", progress=False)


def test_captions_beside_an_unreadable_shard(tmp_path: Path) -> None:
    (tmp_path / "train-0.tar").write_bytes(b"no tar at all" * 100)
    write(tmp_path / "train-1.tar", [{"png": png(key), "txt": b"a cat"} for key in range(3)])
    report = swinkit.api.check_data(tmp_path, progress=False)
    assert [problem.kind for problem in report.problems] == ["damaged shard"]
    assert report.counts == {"train": [3]}
    with pytest.raises(DataError, match=r"train-0\.tar cannot be read"):
        open_data(tmp_path)


def test_an_index_follows_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / "train.tar", [{"png": png(key), "cls": b"0"} for key in range(2)])
    assert len(open_classes(path, val_fraction=0, min_classes=1).splits["train"]) == 2
    write(path, [{"png": png(key), "cls": b"0"} for key in range(3, 8)])
    samples = open_classes(path, val_fraction=0, min_classes=1).splits["train"]
    assert [read_image(sample.path).getpixel((0, 0))[0] for sample in samples] == [3, 4, 5, 6, 7]
