"""Record what a refactoring must not change: run folders, outputs and converted weights of each task.

    python scripts/make_reference.py tests/reference

Each task is trained for two epochs on drawn data (`tests/kills.py`), stops after the first and is resumed.
Kept are the run folder as it was after the first epoch, the weights after the second, the outputs of these
weights for fixed inputs, and names, shapes and sums of the tensors in each dialect.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.builders.reference import DATA_WORD, DIALECTS, outputs_of, summary_of  # noqa: E402
from tests.kills import RECIPES, make_recipe  # noqa: E402

import swinkit  # noqa: E402


def record(task: str, out: Path) -> None:
    """Write the reference of a task into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "recipe"
        recipe = make_recipe(task, root, devices=1, workers=0)
        options: dict[str, Any] = {**recipe.options, "epochs": 2}
        run = swinkit.train(recipe.data, out=Path(folder) / "run", **options)
        model = swinkit.load(run.path)
        outputs = outputs_of(model, task)
        dialects = {}
        for dialect in DIALECTS:
            try:
                dialects[dialect] = summary_of(swinkit.to_dialect(model, dialect))
            except swinkit.errors.SwinkitError as error:
                dialects[dialect] = type(error).__name__
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(run.path, out / "run", ignore=shutil.ignore_patterns("*.png", "events*", "last.ckpt"))
        (out / "run" / "previous.ckpt").rename(out / "run" / "last.ckpt")
        shutil.copy(root / "model.safetensors", out / "model.safetensors")
        for text in ("config.yaml", "split.csv"):
            file = out / "run" / text
            if file.exists():
                file.write_text(file.read_text().replace(str(root), DATA_WORD).replace(folder, DATA_WORD))
        np.savez_compressed(out / "outputs.npz", **outputs)
        (out / "dialects.json").write_text(json.dumps(dialects, indent=0) + "\n")


def main() -> None:
    """Run the command line."""
    torch.set_num_threads(1)
    for task in RECIPES:
        record(task, Path(sys.argv[1]) / task)


if __name__ == "__main__":
    main()
