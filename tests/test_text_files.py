"""Text files as other systems write them: byte-order marks, UTF-16, UTF-32."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from swinkit.config.base import read_yaml
from swinkit.data.io.paths import read_lines
from swinkit.data.tables import csv_rows
from swinkit.errors import ConfigError, DataError, some
from swinkit.tasks.open_vocab.queries import names_in
from swinkit.text_files import encoding_of, read_head, read_json, read_text

TEXT = "chat d'été\nКошка\n猫 🐱\n"
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")


def written(path: Path, text: str, encoding: str) -> Path:
    """Python's own codecs write the marks, in this machine's byte order."""
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_byte_order_mark_tells_the_encoding(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "names.txt", TEXT, encoding)
    assert read_text(path) == TEXT
    assert read_lines(path) == names_in(path) == TEXT.splitlines()
    with path.open(encoding=encoding_of(path)) as file:
        assert file.read() == TEXT
    assert read_head(path, 32).startswith("chat")


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_shows_by_its_zeros(tmp_path: Path, order: str) -> None:
    assert (
        read_text(written(tmp_path / "a.txt", "path,label\na.png,cat\n", order)) == "path,label\na.png,cat\n"
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_yaml_and_csv(tmp_path: Path, encoding: str) -> None:
    values = {"names": ["été", "猫"]}
    assert read_json(written(tmp_path / "a.json", json.dumps(values, ensure_ascii=False), encoding)) == values
    assert read_yaml(written(tmp_path / "a.yaml", "names: [été, 猫]\n", encoding)) == values
    rows = list(csv_rows(written(tmp_path / "a.csv", "path,label\na.png,été\n", encoding)))
    assert rows == [(1, ["path", "label"]), (2, ["a.png", "été"])]


def test_other_content_is_refused_in_one_sentence(tmp_path: Path) -> None:
    latin = written(tmp_path / "latin.txt", "été\n", "latin-1")
    with pytest.raises(DataError, match=r"latin.txt cannot be read as text in UTF-8"):
        read_lines(latin)
    with pytest.raises(ConfigError, match=r"latin.txt cannot be read as text in UTF-8"):
        read_yaml(latin)
    with pytest.raises(DataError, match=r"cannot be read as a UTF-8 CSV file"):
        list(csv_rows(latin))
    binary = tmp_path / "binary.txt"
    binary.write_bytes(b"cat\n" + bytes(1) + b"dog\nbird and fish\n")
    with pytest.raises(DataError, match="zero bytes"):
        read_lines(binary)
    with pytest.raises(DataError, match="zero byte"):
        list(csv_rows(binary))


def test_deeply_nested_text_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(written(tmp_path / "a.json", "[" * 100_000, "utf-8"))
    with pytest.raises(ConfigError, match="nested too deeply"):
        read_yaml(written(tmp_path / "a.yaml", "a: " + "[" * 5_000, "utf-8"))


@pytest.mark.parametrize("value", ["2024-13-45", "!!int x", '!!int ""', "!!timestamp x", "!!bool x"])
def test_values_that_yaml_itself_cannot_build(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(written(tmp_path / "a.yaml", f"epochs: {value}\n", "utf-8"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_first_row_tells_what_divides_cells(tmp_path: Path, delimiter: str) -> None:
    text = f"path{delimiter}label\nmy,file;1.png{delimiter}cat\n"
    if delimiter != "\t":
        text = text.replace("my,file;1.png", '"my,file;1.png"')
    rows = list(csv_rows(written(tmp_path / "a.csv", text, "utf-8")))
    assert rows[1] == (2, ["my,file;1.png", "cat"])


def test_a_quotation_mark_that_is_not_closed_swallows_no_rows(tmp_path: Path) -> None:
    """Python's csv takes all rows behind it for one cell, without a word."""
    table = tmp_path / "t.csv"
    table.write_text('path,caption\na.png,"one\nb.png,two\n')
    with pytest.raises(DataError, match="a quotation mark in line 2 is not closed"):
        list(csv_rows(table))
    table.write_text('path,caption\na.png,"one\nb.png,two" and more\nc.png,three\n')
    with pytest.raises(DataError, match="a quotation mark in line 2 is not closed"):
        list(csv_rows(table))
    table.write_text('path,caption\na.png,"one,\ntwo ""2"""\nb.png,5" wide\n"c.png" ,x\n')
    rows = [cells for _, cells in csv_rows(table)]
    assert rows == list(csv.reader(table.read_text().splitlines(keepends=True)))  # the oracle
    assert rows[1:] == [["a.png", 'one,\ntwo "2"'], ["b.png", '5" wide'], ["c.png ", "x"]]


def test_sentences_are_bounded_whatever_files_hold() -> None:
    long = "x" * 5000
    for error in (DataError(f"no file {long}, check it"), DataError("word " * 2000)):
        assert len(str(error)) < 2000
    assert str(DataError(f"no file {long}, check it")).startswith("no file xxx")
    assert str(DataError(f"no file {long}, check it")).endswith("xxx, check it")
    assert str(DataError("has the split 'a\n  b\x1b[31m'\t!")) == "has the split 'a b\\x1b[31m'\\t!"
    path = f"/data/{'folder/' * 50}a  b.png cannot be read"
    assert str(DataError(path)) == path
    assert len(some([long, "a"])) < 500
