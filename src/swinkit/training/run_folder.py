"""The run folder: what lies in it, and who may write there."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swinkit.config.base import read_yaml, to_yaml
from swinkit.config.train import TrainConfig
from swinkit.errors import RunError, check_local, shortened
from swinkit.files import check_targets, write_text
from swinkit.tasks.base import Task
from swinkit.text_files import read_text

# beside the model and the state of training
WRITTEN = (
    *("notes.txt", "unreadable.txt", "curves.png"),
    *("evaluation.json", "confusion.png", "predictions.png", "results.json"),
)


@dataclass(frozen=True)
class Run:
    """What training gives back: the run folder, the best model, its validation figures."""

    path: Path
    model: Task
    metrics: dict[str, float]


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def config_file(self) -> Path:
        """All settings: enough to repeat the run."""
        return self.path / "config.yaml"

    @property
    def split_file(self) -> Path:
        """Which image was in which part."""
        return self.path / "split.csv"

    @property
    def checkpoint(self) -> Path:
        """The newest training state."""
        return self.path / "last.ckpt"

    @property
    def previous_checkpoint(self) -> Path:
        """The training state before that, for the case that the newest is damaged."""
        return self.path / "previous.ckpt"

    @property
    def last(self) -> Path:
        """Model after the last whole epoch."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """Model with the best validation figure."""
        return self.path / "best.safetensors"

    @property
    def history_file(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @classmethod
    def create(cls, config: TrainConfig) -> RunFolder:
        """Make the folder and write config.yaml; RunError where a run is there or nothing can be written."""
        folder = cls(Path(config.out) if config.out else next_free(Path("runs"), Path(config.model).stem))
        if folder.config_file.exists():
            raise RunError(
                f"{folder.path} already holds a run: continue it with `swin train --resume {folder.path}`, "
                "or choose another `out`."
            )
        folder.check_new()
        # absolute, so that the run can be repeated from anywhere
        absolute = {"data": str(Path(config.data).resolve()), "out": str(folder.path)}
        files = {key: getattr(config, key) for key in ("model", "label_map", "heads", "text")}
        absolute |= {
            key: str(Path(name).resolve()) for key, name in files.items() if name and Path(name).exists()
        }
        if config.vocabulary is not None:  # perhaps FILE.npz:NAME
            absolute["vocabulary"] = str(Path(config.vocabulary).absolute())
        write_text(folder.config_file, to_yaml(config.model_copy(update=absolute)))
        return folder

    def check_new(self) -> None:
        """Refuse a folder that holds files which a new run would replace.

        Raises RunError for a model or a state of training, ConfigError as `check_target` for the rest.
        """
        kept = (self.checkpoint, self.previous_checkpoint, self.last, self.best)
        for path in (*kept, self.split_file, self.history_file):
            if os.path.lexists(path):
                raise RunError(f"{path} is there already, and a run would replace it: choose another `out`.")
        check_targets(self.path, WRITTEN)

    @classmethod
    def open(cls, path: str | Path) -> tuple[RunFolder, TrainConfig]:
        """A run folder that is there, and its settings; RunError where it is none."""
        check_local(path, RunError)
        folder = cls(Path(path))
        if not folder.config_file.is_file():
            raise RunError(f"{folder.path} is no run folder: it holds no config.yaml.")
        values = read_yaml(folder.config_file) | {"out": str(folder.path)}
        return folder, TrainConfig.checked(values)

    @classmethod
    def around(cls, model: str | Path) -> RunFolder | None:
        """The run folder that a model file or folder belongs to, if any."""
        path = Path(model)
        folder = cls(path if path.is_dir() else path.parent)
        # a config.yaml may be anyone's; both together are ours
        return folder if folder.config_file.is_file() and folder.split_file.is_file() else None

    def trained_on(self, data: str | Path) -> bool:
        """Whether these are the data of the run."""
        return Path(str(read_yaml(self.config_file).get("data"))) == Path(data).resolve()

    def write_history(self, rows: Sequence[dict[str, float]]) -> None:
        """Write metrics.csv; columns in the order in which they first appear."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.history_file, text.getvalue())

    def read_history(self) -> list[dict[str, float]]:
        """Rows of metrics.csv; none where there is no file yet. RunError for any other content."""
        if not self.history_file.exists():
            return []
        try:
            lines = csv.DictReader(io.StringIO(read_text(self.history_file)))
            rows = [{k: float(v) for k, v in row.items() if v} for row in lines]
        except (OSError, UnicodeError, csv.Error, ValueError, TypeError, AttributeError) as error:
            raise self._bad_history(str(error)) from error
        if not all(math.isfinite(row.get("epoch", math.nan)) for row in rows):
            raise self._bad_history("a row has no epoch")
        return rows

    def _bad_history(self, reason: str) -> RunError:
        return RunError(
            f"{self.history_file} cannot be read as a table of figures ({shortened(reason)}): mend it, or "
            "delete it to go on without the earlier rows."
        )


def next_free(parent: Path, name: str) -> Path:
    """PARENT/NAME-1, or the next number that is free."""
    taken = {entry.name for entry in parent.iterdir()} if parent.is_dir() else set()
    number = next(n for n in range(1, len(taken) + 2) if f"{name}-{n}" not in taken)
    return parent / f"{name}-{number}"
