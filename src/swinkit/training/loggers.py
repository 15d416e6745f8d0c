"""Where the figures of a run go beside metrics.csv: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytorch_lightning.loggers import Logger, TensorBoardLogger

from swinkit.config.train import TrainConfig
from swinkit.errors import ConfigError
from swinkit.training.run_folder import RunFolder


def make_loggers(config: TrainConfig, run: RunFolder) -> list[Logger]:
    """Trackers by name; ConfigError where one is not installed."""
    return [_TRACKERS[name](run) for name in dict.fromkeys(config.log)]


@contextmanager
def quiet_writer_threads() -> Iterator[None]:
    """Keep threads from printing errors of files: TensorBoard raises them again in the main thread."""
    print_error = threading.excepthook

    def print_other_errors(error: threading.ExceptHookArgs) -> None:
        if not issubclass(error.exc_type, OSError):
            print_error(error)

    threading.excepthook = print_other_errors
    try:
        yield
    finally:
        threading.excepthook = print_error


def _tensorboard(run: RunFolder) -> Logger:
    return TensorBoardLogger(run.path, name="", version="")


def _wandb(run: RunFolder) -> Logger:
    from pytorch_lightning.loggers import WandbLogger

    # the same for a run that goes on
    begun = f"{run.path.resolve()} {run.split_file.stat().st_mtime_ns}"
    name = hashlib.sha256(begun.encode()).hexdigest()[:12]
    return _installed(
        "wandb",
        lambda: WandbLogger(run.path.name, project="swinkit", save_dir=run.path, id=name, resume="allow"),
    )


def _mlflow(run: RunFolder) -> Logger:
    from pytorch_lightning.loggers import MLFlowLogger

    place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.path.resolve() / 'mlflow.db'}"
    return _installed("mlflow", lambda: MLFlowLogger("swinkit", run.path.name, tracking_uri=place))


_TRACKERS: dict[str, Callable[[RunFolder], Logger]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


def _installed(name: str, make: Callable[[], Logger]) -> Logger:
    try:
        return make()
    except ModuleNotFoundError as error:
        raise ConfigError(f"`log={name}` needs a library more: `pip install swinkit[{name}]`.") from error
