"""Text lists as Microsoft, mmpretrain and ImageNet-22K have them; synsets and their words."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from swinkit.data.classification.open import open_classes
from swinkit.data.classification.samples import ClassData
from swinkit.data.classification.synsets import imagenet_1k
from swinkit.data.splits import part_of
from swinkit.errors import DataError

TENCH, FISH, ODD = "n01440764", "n01443537", "n00000007"


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)
    return path


def held(data: ClassData, split: str) -> list[tuple[str, str]]:
    return [(data.classes[s.label], s.path.relative_to(data.root).as_posix()) for s in data.splits[split]]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train_map.txt", "train"),
        ("ILSVRC2011fall_whole_map_val.txt", "val"),
        ("shard-test-00012.tar", "test"),
        ("valid.txt", "val"),
        ("trainers.txt", None),
        ("0001.tar", None),
    ],
)
def test_a_name_tells_the_part(name: str, part: str | None) -> None:
    assert part_of(name) == part


def test_imagenet_22k(tmp_path: Path) -> None:
    """Microsoft's lists beside fall11_whole: numbers that are synsets' places, across gaps."""
    lines = []
    for synset, number in ((FISH, 21840), (ODD, 3)):
        for i in range(2):
            picture(tmp_path / "fall11_whole" / synset / f"{synset}_{i}.JPEG")
            lines.append(f"{synset}/{synset}_{i}.JPEG\t{number}")
    (tmp_path / "ILSVRC2011fall_whole_map_train.txt").write_text("\n".join(lines[::2]))
    (tmp_path / "ILSVRC2011fall_whole_map_val.txt").write_text("\n".join(lines[1::2]) + "\n")
    data = open_classes(tmp_path)
    assert data.classes == (ODD, "goldfish")  # in the order of the numbers; words where they are known
    assert held(data, "train") == [
        (ODD, f"fall11_whole/{ODD}/{ODD}_0.JPEG"),
        ("goldfish", f"fall11_whole/{FISH}/{FISH}_0.JPEG"),
    ]
    assert len(data.splits["val"]) == 2


def test_mmpretrain_meta(tmp_path: Path) -> None:
    """Lists in meta/, val pictures flat in val/."""
    for synset in (TENCH, FISH):
        picture(tmp_path / "train" / synset / "a.JPEG")
    picture(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "train.txt").write_text(f"{TENCH}/a.JPEG 0\n{FISH}/a.JPEG 1\n")
    (tmp_path / "meta" / "val.txt").write_text("ILSVRC2012_val_00000001.JPEG 1\n")
    data = open_classes(tmp_path)
    assert data.classes == ("tench", "goldfish")
    assert held(data, "val") == [("goldfish", "val/ILSVRC2012_val_00000001.JPEG")]


def test_one_list_with_blanks_in_names(tmp_path: Path) -> None:
    for name in ("my cat.png", "b.png"):
        picture(tmp_path / name)
    (tmp_path / "all.txt").write_text("my cat.png cat\nb.png dog\n\n")
    data = open_classes(tmp_path / "all.txt", val_fraction=0)
    assert held(data, "train") == [("cat", "my cat.png"), ("dog", "b.png")]


def test_absolute_paths(tmp_path: Path) -> None:
    paths = [picture(tmp_path / "elsewhere" / f"{i}.png") for i in range(2)]
    (tmp_path / "all.txt").write_text(f"{paths[0]} a\n{paths[1]} b\n")
    data = open_classes(tmp_path / "all.txt", val_fraction=0)
    assert [sample.path for sample in data.splits["train"]] == paths


def test_numbers_beyond_synsets_stay_numbers_in_order(tmp_path: Path) -> None:
    for i in (2, 10, 9):
        picture(tmp_path / f"{i}.png")
    (tmp_path / "train.txt").write_text("10.png 10\n2.png 2\n9.png 9\n")
    assert open_classes(tmp_path / "train.txt", val_fraction=0).classes == ("2", "9", "10")


def test_exact_copies_of_lines_are_dropped(tmp_path: Path) -> None:
    """With a note, in lists and tables; a file with another class is an error in both."""
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    (tmp_path / "train.txt").write_text("a.png x\nb.png y\na.png x\na.png x\n")
    (tmp_path / "t.csv").write_text("path,label\na.png,x\nb.png,y\na.png,x\n a.png , x\n")
    for source, lines in (("train.txt", "3"), ("t.csv", "4")):
        data = open_classes(tmp_path / source, val_fraction=0)
        assert [sample.path.name for sample in data.splits["train"]] == ["a.png", "b.png"]
        (note,) = [note for note in data.notes if "repeat another exactly" in note]
        assert note.startswith("2 lines of ")
        assert note.endswith(f"the first is {lines}.")
    (tmp_path / "t.csv").write_text("path,label\na.png,x\nb.png,y\na.png,y\n")
    with pytest.raises(DataError, match=r"Line 4 of .* lists .*a\.png again"):
        open_classes(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a.png 0\nb.png\n", r"Line 2 of .*train\.txt is not a path and a class"),
        ("a.png 0\na.png 1\n", r"Line 2 of .* lists a\.png again"),
        ("gone.png 0\n", r"Line 1 of .* names gone\.png, which is neither in"),
        ("\n\n", "lists no files"),
        (b"\xff\xfe\x00", "cannot be read as a UTF-8 list"),
    ],
)
def test_bad_lists(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    (tmp_path / "train.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=sentence):
        open_classes(tmp_path / "train.txt")


# --- synsets -------------------------------------------------------------------------------------------


def test_the_table_is_that_of_imagenet() -> None:
    table = imagenet_1k()
    assert len(table) == len(set(table.values())) == 1000
    assert list(table) == sorted(table)
    assert (table[TENCH], table["n03770439"], table["n15075141"]) == ("tench", "miniskirt", "toilet tissue")


def test_folders_named_by_synsets_get_words(tmp_path: Path) -> None:
    """In the order of the synsets, which is that of published models; a list beside them names others."""
    for synset in (FISH, TENCH, ODD):
        picture(tmp_path / "train" / synset / "a.JPEG")
    assert open_classes(tmp_path, val_fraction=0).classes == (ODD, "tench", "goldfish")
    (tmp_path / "LOC_synset_mapping.txt").write_text(f"{ODD} goldfish, of another kind\n{TENCH} Tinca, x\n")
    assert open_classes(tmp_path, val_fraction=0).classes == (
        f"goldfish ({ODD})",
        "tench",
        f"goldfish ({FISH})",
    )


def test_a_model_knows_synsets_and_words(tmp_path: Path) -> None:
    words, synsets = list(imagenet_1k().values()), list(imagenet_1k())
    picture(tmp_path / "a" / FISH / "1.png")
    picture(tmp_path / "b" / "goldfish" / "1.png")
    for folder in ("a", "b"):
        for classes in (words, synsets):
            data = open_classes(tmp_path / folder, val_fraction=0, classes=classes)
            assert [sample.label for sample in data.splits["train"]] == [1]


def test_numbers_mean_themselves_to_a_model_of_numbers(tmp_path: Path) -> None:
    for number in "012":
        picture(tmp_path / number / "x.png")
    with pytest.raises(DataError, match="classes that the model does not know: '0'"):
        open_classes(tmp_path, val_fraction=0, classes=("1", "2", "3"))


def test_notes_are_no_list(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / "train" / name / "x.png")
    (tmp_path / "train-notes.txt").write_text("Photographed in 2019\n")
    assert open_classes(tmp_path, val_fraction=0).classes == ("a", "b")


def test_numbered_folders_are_a_models_classes(tmp_path: Path) -> None:
    """As in ImageNet-V2: the folders 0 to 999."""
    for number in (0, 12, 999):
        picture(tmp_path / str(number) / "x.jpeg")
    words = list(imagenet_1k().values())
    data = open_classes(tmp_path, val_fraction=0, classes=words)
    assert [sample.label for sample in data.splits["train"]] == [0, 12, 999]
    assert any("by their number" in note for note in data.notes)
    with pytest.raises(DataError, match="classes that the model does not know: '0', '12', '999'"):
        open_classes(tmp_path, val_fraction=0, classes=words[:998])


def test_a_list_whose_first_line_is_at_fault_is_not_passed_over(tmp_path: Path) -> None:
    """The part would be gone without a word."""
    for name in ("a.png", "b.png", "c.png", "d.png"):
        picture(tmp_path / name)
    (tmp_path / "train.txt").write_text("a.png 0\nb.png 1\n")
    (tmp_path / "val.txt").write_text("c.png0\nd.png 1\n")
    with pytest.raises(DataError, match=r"Line 1 of .*val\.txt is not a path and a class"):
        open_classes(tmp_path)
    (tmp_path / "val.txt").write_text("notes on val\nnothing here\n")
    assert len(open_classes(tmp_path, val_fraction=0).splits["train"]) == 2


def test_a_class_of_thousands_of_digits(tmp_path: Path) -> None:
    """Python makes no number of more than 4,300 digits."""
    for name in ("a.png", "b.png", f"{'7' * 200}.png"):
        picture(tmp_path / name)
    long = "9" * 5000
    (tmp_path / "train.txt").write_text(f"a.png {long}\nb.png 1\n")
    assert open_classes(tmp_path, val_fraction=0).classes == ("1", long)
    with pytest.raises(DataError) as error:
        open_classes(tmp_path, val_fraction=0, classes=("1", "2"))
    assert len(str(error.value)) < 2000
