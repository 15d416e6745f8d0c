"""Models, run folders and files of an earlier version (8f334e4) give what they gave then.

`tests/reference/` was written by `scripts/make_reference.py` at that version.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import swinkit
from swinkit.errors import SwinkitError
from tests.builders.reference import DATA_WORD, outputs_of, summary_of
from tests.kills import RECIPES, Recipe, make_recipe

REFERENCE = Path(__file__).parent / "reference"
# sums in another order on another CPU; within a machine all is equal bit by bit
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module", params=RECIPES)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def recipe(task: str, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return make_recipe(task, tmp_path_factory.mktemp("reference") / "recipe", devices=1, workers=0)


def test_outputs(task: str) -> None:
    model = swinkit.load(REFERENCE / task / "run")
    expected = np.load(REFERENCE / task / "outputs.npz")
    outputs = outputs_of(model, task)
    assert outputs.keys() == set(expected.files)
    for name, values in outputs.items():
        np.testing.assert_allclose(values, expected[name], **CLOSE, err_msg=name)


def test_files_of_other_dialects(task: str) -> None:
    model = swinkit.load(REFERENCE / task / "run")
    for dialect, expected in json.loads((REFERENCE / task / "dialects.json").read_text()).items():
        if isinstance(expected, str):
            with pytest.raises(SwinkitError) as refused:
                swinkit.to_dialect(model, dialect)
            assert type(refused.value).__name__ == expected
        else:
            assert summary_of(swinkit.to_dialect(model, dialect)) == expected


def assert_same_weights(path: Path, task: str) -> None:
    expected, weights = load_file(REFERENCE / task / "run" / "last.safetensors"), load_file(path)
    assert list(weights) == list(expected)
    for name, values in weights.items():
        np.testing.assert_allclose(values, expected[name], **CLOSE, err_msg=name)


def test_training(task: str, recipe: Recipe, tmp_path: Path) -> None:
    options = {**recipe.options, "model": REFERENCE / task / "model.safetensors", "epochs": 2}
    run = swinkit.train(recipe.data, out=tmp_path / "run", **options)
    assert_same_weights(run.path / "last.safetensors", task)


def test_a_run_folder_is_resumed(task: str, recipe: Recipe, tmp_path: Path) -> None:
    """The folder is that of the first epoch; the second one follows."""
    run = tmp_path / "run"
    shutil.copytree(REFERENCE / task / "run", run)
    (run / "last.safetensors").unlink()
    for name in ("config.yaml", "split.csv"):
        if (run / name).exists():
            (run / name).write_text((run / name).read_text().replace(DATA_WORD, str(recipe.data.parent)))
    swinkit.train(resume=run)
    assert_same_weights(run / "last.safetensors", task)
