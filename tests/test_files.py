"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from swinkit.errors import RunError
from swinkit.files import remove_unfinished, write_atomically, write_text


def test_the_file_before_is_kept_under_another_name(tmp_path: Path) -> None:
    path, before = tmp_path / "a.txt", tmp_path / "before.txt"
    for text in ("one", "two", "three"):
        write_atomically(path, lambda temporary, text=text: temporary.write_text(text), keep=before)
    assert (path.read_text(), before.read_text()) == ("three", "two")


def test_a_failed_write_leaves_all_as_it_was(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "one")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="No space left on device"):
        write_atomically(tmp_path / "a.txt", fail, keep=tmp_path / "b.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "one"


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    for name in (
        "last.ckpt",
        ".last.ckpt.ab12cd34",
        ".curves.png.x_123456",
        ".hidden.abcdefgh",
        ".gitignore",
    ):
        (tmp_path / name).write_text("")
    remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", ".hidden.abcdefgh", ".gitignore"}
