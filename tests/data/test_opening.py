from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swinkit.data.classification.open import draw_split, open_classes, save_split
from swinkit.data.classification.samples import ClassData, Entry, Found
from swinkit.errors import ConfigError, DataError, RunError


def names(data: ClassData, split: str) -> list[str]:
    return [f"{data.classes[s.label]}:{s.path.relative_to(data.root).as_posix()}" for s in data.splits[split]]


# --- layouts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_parts(make_folders, val: str) -> None:
    root = make_folders(
        {"train/cat": 2, "train/dog": 1, f"{val}/cat": 1, f"{val}/dog": 1, "test/dog": 2, "test/cat": 1}
    )
    data = open_classes(root)
    assert data.classes == ("cat", "dog")
    assert names(data, "train") == ["cat:train/cat/0.png", "cat:train/cat/1.png", "dog:train/dog/0.png"]
    assert {split: len(samples) for split, samples in data.splits.items()} == {
        "train": 3,
        "val": 2,
        "test": 3,
    }
    assert data.notes == ()


def test_one_folder_of_classes_in_natural_order(make_folders) -> None:
    data = open_classes(make_folders({"class10": 5, "class2/nested/deep": 5}))
    assert data.classes == ("class2", "class10")
    assert [len(data.splits[split]) for split in ("train", "val")] == [8, 2]


def test_no_val_is_drawn_for_a_fraction_of_0(make_folders) -> None:
    data = open_classes(make_folders({"a": 3, "b": 3}), val_fraction=0)
    assert list(data.splits) == ["train"]
    assert len(data.splits["train"]) == 6


def test_a_fraction_of_1_is_refused(make_folders) -> None:
    with pytest.raises(ConfigError, match="`val_fraction` is 1"):
        open_classes(make_folders({"a": 3, "b": 3}), val_fraction=1)


def test_only_a_test_part(make_folders) -> None:
    data = open_classes(make_folders({"test/a": 1, "test/b": 1}))
    assert list(data.splits) == ["test"]


def test_a_class_may_be_called_test(make_folders) -> None:
    assert open_classes(make_folders({"test": 2, "control": 2})).classes == ("control", "test")


def test_a_class_may_be_called_train(make_folders) -> None:
    """As in COCO, VOC and CIFAR-100; with folders in it, it is a part."""
    assert open_classes(make_folders({"plane": 2, "train": 2})).classes == ("plane", "train")


def test_linked_class_folders(make_folders, tmp_path: Path) -> None:
    real = make_folders({"cat": 2, "dog": 2}, root="real")
    (tmp_path / "links").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "links" / name).symlink_to(real / name)
    assert len(open_classes(tmp_path / "links").splits["train"]) == 2


# --- notes and errors ----------------------------------------------------------------------------------


def test_a_class_missing_in_val_is_a_note(make_folders) -> None:
    data = open_classes(make_folders({"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 0}))
    assert data.notes == ("There is no image of 'b' in val.",)


def test_a_class_of_one_image_stays_in_train(make_folders) -> None:
    data = open_classes(make_folders({"a": 1, "b": 2}))
    assert names(data, "train")[0] == "a:a/0.png"
    assert data.notes == ("There is no image of 'a' in val.",)


def test_what_is_left_out_is_noted(make_folders) -> None:
    root = make_folders({"train/a": 2, "train/b": 2, "extra": 1, "test": 2})
    for name in ("train/a/readme.txt", "train/a/.DS_Store", "train/loose.png"):
        (root / name).touch()
    notes = open_classes(root).notes
    assert any("'extra'" in note for note in notes)
    assert any(note.startswith("1 files") for note in notes)
    assert any(note.startswith("1 images outside") for note in notes)
    assert any("test has no class folders" in note for note in notes)
    assert len(notes) == 4


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({".": 3}, "holds 3 images but no class folders"),
        ({".": 0}, "holds no class folders"),
        ({"a": 3}, r"only the class 'a', but 2 are needed"),
        ({"a": 3, "b": 0}, r"Class folders without images in .*: 'b'"),
        ({"a": 0, "b": 0}, "hold no images"),
        ({"train/a": 1, "train/b": 1, "val/a": 1, "val/c": 1}, r"val has classes that train lacks: 'c'"),
        ({"train/a": 1, "train/b": 1, "val/a": 1, "valid/a": 1}, "two folders for val"),
        ({"test": 2}, "holds no images in class folders"),
    ],
)
def test_bad_folders(make_folders, counts: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_classes(make_folders(counts))


def test_missing_and_other_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder or file"):
        open_classes(tmp_path / "gone")
    (tmp_path / "data.zip").touch()
    with pytest.raises(DataError, match="neither a folder nor a CSV, Parquet, text or tar file"):
        open_classes(tmp_path / "data.zip")


def test_one_class_is_allowed_on_demand(make_folders) -> None:
    assert open_classes(make_folders({"a": 3}), min_classes=1).classes == ("a",)


# --- a model's classes ---------------------------------------------------------------------------------


def test_classes_of_a_model_fix_the_labels(make_folders) -> None:
    data = open_classes(make_folders({"cat": 1, "dog": 1}), val_fraction=0, classes=["dog", "bird", "cat"])
    assert data.classes == ("dog", "bird", "cat")
    assert [sample.label for sample in data.splits["train"]] == [0, 2]
    assert data.notes == ("There is no image of 'bird' in train.",)


def test_a_class_that_the_model_does_not_know(make_folders) -> None:
    with pytest.raises(DataError, match=r"does not know: 'cow'; it knows 'cat', 'dog'"):
        open_classes(make_folders({"cat": 1, "cow": 1}), classes=["cat", "dog"])


def test_one_class_is_enough_to_evaluate(make_folders) -> None:
    assert open_classes(make_folders({"cat": 1}), classes=["cat", "dog"]).classes == ("cat", "dog")


# --- drawing val ---------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    counts=st.dictionaries(
        st.text("abc1", min_size=1, max_size=3), st.integers(1, 60), min_size=2, max_size=5
    ),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**40),
)
def test_the_draw_is_stratified(counts: dict[str, int], fraction: float, seed: int) -> None:
    root = Path("/nowhere")
    train = {name: [root / name / f"{i}.png" for i in range(count)] for name, count in counts.items()}
    entries = [Entry(str(path), (name,)) for name, paths in train.items() for path in paths]
    found = Found(root, {"train": entries})
    draw_split(found, "val", fraction, seed)
    for name, paths in train.items():
        kept, drawn = (
            [Path(entry.path) for entry in found.splits.get(part, []) if entry.labels == (name,)]
            for part in ("train", "val")
        )
        assert sorted(kept + drawn) == sorted(paths)
        if len(paths) >= 2:
            assert kept
            assert drawn
            assert abs(len(drawn) - len(paths) * fraction) <= 1
        else:
            assert not drawn


def test_the_draw_depends_on_the_seed_alone(
    make_folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folders({"a": 30, "b": 30})
    first = names(open_classes(root, seed=1), "val")
    assert names(open_classes(root, seed=2), "val") != first
    shutil.copytree(root, tmp_path / "moved")
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: reversed(list(iterdir(self))))
    monkeypatch.setattr(
        "swinkit.data.classification.folders.walk_files",
        lambda folder: sorted(folder.rglob("*.png"), reverse=True),
    )
    assert names(open_classes(tmp_path / "moved", seed=1), "val") == first


# --- CSV -----------------------------------------------------------------------------------------------


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def test_csv_with_splits_and_bom(make_folders) -> None:
    root = make_folders({"x": 4})
    table = write(
        root / "set.csv",
        "Path, label ,split\nx/0.png,hell,train\nx/1.png,dunkel,train\n"
        "x/2.png,hell,valid\nx/3.png,dunkel,test\n",
        "utf-8-sig",
    )
    data = open_classes(table)
    assert data.classes == ("dunkel", "hell")
    assert names(data, "train") == ["dunkel:x/1.png", "hell:x/0.png"]
    assert names(data, "val") == ["hell:x/2.png"]
    assert names(data, "test") == ["dunkel:x/3.png"]


def test_csv_without_splits_is_drawn(make_folders) -> None:
    root = make_folders({"x": 10})
    table = write(root / "set.csv", "path,label\n" + "".join(f"x/{i}.png,{i % 2}\n" for i in range(10)))
    data = open_classes(table)
    assert (len(data.splits["train"]), len(data.splits["val"])) == (8, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\nx/0.png,a\n", r"no column 'path' \(found: 'file', 'label'\)"),
        ("path:label\nx/0.png:a\n", r"no column 'path' \(found: 'path:label'\)"),
        ("", r"found: none"),
        ("path,label\n", "lists no files"),
        ("path,label\nx/0.png,\n", r"Line 2 .* has no label"),
        ("path,label\nx/0.png\n", r"Line 2 .* has no label"),
        ("path,label\nx/0.png,a\nx/9.png,a\n", r"Line 3 .*x/9\.png, which does not exist"),
        ("path,label\nx/0.png,a\nx/0.png,b\n", r"Line 3 .* again"),
        ("path,label,split\nx/0.png,a,dev\n", r"has the split 'dev'; use train, val or test"),
        ("path,label,split\nx/0.png,a\n", r"has the split ''"),
    ],
)
def test_bad_csv(make_folders, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_classes(write(make_folders({"x": 2}) / "set.csv", text))


def test_csv_in_another_encoding(make_folders) -> None:
    with pytest.raises(DataError, match="UTF-8"):
        open_classes(write(make_folders({"x": 2}) / "set.csv", "path,label\nx/0.png,Käfer\n", "latin-1"))


# --- saved splits --------------------------------------------------------------------------------------


def test_a_saved_split_wins_over_the_seed(make_folders, tmp_path: Path) -> None:
    root = make_folders({"a": 12, 'b, "so called"': 9, " c ": 4})
    data = open_classes(root, seed=5)
    split_file = tmp_path / "run" / "split.csv"
    save_split(data, split_file)
    assert [entry.name for entry in split_file.parent.iterdir()] == ["split.csv"]
    assert open_classes(root, seed=99, split_file=split_file) == data
    (root / "a" / "new.png").touch()
    again = open_classes(root, seed=99, split_file=split_file)
    assert again.splits == data.splits
    assert again.notes == (f"1 images are not listed in {split_file} and were left out.",)


def test_a_split_saved_in_the_root_opens_by_itself(make_folders) -> None:
    data = open_classes(make_folders({"a": 5, "b": 5}))
    save_split(data, data.root / "split.csv")
    assert open_classes(data.root / "split.csv").splits == data.splits


def test_a_saved_split_without_val_stays_without(make_folders, tmp_path: Path) -> None:
    data = open_classes(make_folders({"a": 5, "b": 5}), val_fraction=0)
    save_split(data, tmp_path / "split.csv")
    assert list(open_classes(data.root, split_file=tmp_path / "split.csv").splits) == ["train"]


def test_a_split_file_to_come_is_no_error(make_folders, tmp_path: Path) -> None:
    root = make_folders({"a": 5, "b": 5})
    assert open_classes(root, split_file=tmp_path / "later.csv") == open_classes(root)


def test_a_listed_image_that_is_gone(make_folders, tmp_path: Path) -> None:
    data = open_classes(make_folders({"a": 5, "b": 5}))
    save_split(data, tmp_path / "split.csv")
    (data.root / "a" / "3.png").unlink()
    with pytest.raises(DataError, match=r"a/3\.png, which does not exist"):
        open_classes(data.root, split_file=tmp_path / "split.csv")


def test_a_split_that_cannot_be_written(make_folders, tmp_path: Path) -> None:
    data = open_classes(make_folders({"a": 2, "b": 2}))
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        save_split(data, tmp_path / "file" / "split.csv")


def test_file_names_beyond_unicode_are_refused(make_folders, tmp_path: Path) -> None:
    root = make_folders({"a": 2, "b": 2})
    (root / "a" / "\udcff.png").touch()
    with pytest.raises(DataError, match="not valid Unicode"):
        save_split(open_classes(root), tmp_path / "split.csv")
    assert not list(tmp_path.glob("*.csv*"))


def test_no_image_is_in_two_splits(make_folders) -> None:
    data = open_classes(make_folders({"a": 20, "b": 20}), val_fraction=0.5)
    for one, other in itertools.combinations(data.splits.values(), 2):
        assert not {sample.path for sample in one} & {sample.path for sample in other}
