"""Damaged shards: every sample is read as it was, or its loss is counted, and `data check` says so."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from swinkit.api import check_data
from swinkit.data.classification.check import DataReport
from swinkit.data.classification.samples import ClassData
from swinkit.errors import SwinkitError
from tests.builders.limits import Tally, attempt, check_sentence, memory_limit
from tests.builders.tars import (
    Rows,
    Shard,
    damage_bytes,
    damage_members,
    digest_of,
    image_of,
    members_of,
    open_shards,
    read_rows,
    rows_of,
    tar_of,
)

CASES, SEED = 1200, 24
SAMPLE = 24  # of the default tests
OUTSIDE = digest_of(image_of(999))


def losses(data: ClassData, report: DataReport) -> int | None:
    """How many images are said to be lost; None where nobody can know."""
    counts = [damage.lost for damage in data.damaged]
    if None in counts:
        return None
    noted = re.findall(r"(?:^|\s)(\d+) files in .*? (?:have no label|have the name)", " ".join(data.notes))
    unreadable = sum(problem.kind == "unreadable" for problem in report.problems)
    return sum(count or 0 for count in counts) + sum(map(int, noted)) + unreadable


def check_shard(shard: Shard, before: Rows, folder: Path) -> str:
    data = attempt(partial(open_shards, folder))
    report = attempt(partial(check_data, folder, progress=False))
    if isinstance(data, SwinkitError):
        assert isinstance(report, SwinkitError), "data check takes what cannot be opened"
        return "refused"
    assert isinstance(report, DataReport)
    for text in (*data.notes, *(problem.text for problem in report.problems)):
        check_sentence(text)
    rows = read_rows(data)
    assert OUTSIDE not in [digest for _, digest in rows.values()], "a file outside of the shard is read"
    if shard.rows is not None:
        assert rows == before, "the members are whole, and others are read"
        return "right"
    if rows == before:
        return "right"
    lost = losses(data, report)
    missing = [name for name in before if name not in rows]
    if missing:
        assert report.broken or lost != 0, f"{len(missing)} are gone without a word"
        assert lost is None or lost >= len(missing), f"{len(missing)} are gone, and {lost} are said to be"
    changed = [name for name in rows if rows[name][1] != before.get(name, rows[name])[1]]
    assert not changed or shard.deed == "odd names", f"other pixels in {changed}"
    return "a part, the loss named" if missing else "other labels or more images"


def run_cases(folder: Path, cases: int, seed: int) -> Tally:
    tally = Tally("shards")
    data = folder / "set"
    data.mkdir()
    outside = folder / "outside.png"
    outside.write_bytes(image_of(999))
    val = members_of(100, 3)
    (data / "val.tar").write_bytes(tar_of(val))
    members = members_of(0)
    kept = rows_of(val)
    with memory_limit():
        for number in range(cases):
            rng = np.random.default_rng((seed, number))
            shard = damage_bytes(members, rng) if number % 3 else damage_members(members, outside, rng)
            before = kept | (rows_of(members) if shard.rows is None else shard.rows)
            with tally.case(number, shard.deed):
                (data / "train.tar").write_bytes(shard.content)
                tally.add(check_shard(shard, before, data))
                assert sorted(path.name for path in folder.iterdir()) == ["outside.png", "set"]
    return tally


def test_damaged_shards(tmp_path: Path) -> None:
    run_cases(tmp_path, SAMPLE, SEED).check()


@pytest.mark.slow
def test_many_damaged_shards(tmp_path: Path) -> None:
    run_cases(tmp_path, CASES, SEED + 1).check()
