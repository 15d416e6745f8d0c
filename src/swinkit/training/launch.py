"""Start the processes of a run by torch's elastic launcher, which is torchrun's, and tell how they ended."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from swinkit import errors
from swinkit.config.train import TrainConfig
from swinkit.distributed import own_place
from swinkit.errors import ConfigError, RunError
from swinkit.hardware import usable_cpus
from swinkit.training.callbacks import stopped_by
from swinkit.training.run_folder import RunFolder

HANDLED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")  # by the launcher, where the system has them
PATIENCE = 120  # seconds for the processes to save, once they are asked to stop
BROKEN_LINK = ("closed by peer", "Connection reset", "NCCL", "Broken pipe", "recvBytes", "sendBytes")


def is_launcher(config: TrainConfig) -> bool:
    """Whether training needs several processes, and this is not one of them."""
    return own_place() is None and (config.devices or 1) * config.num_nodes > 1


def node_rank(config: TrainConfig) -> int:
    """Number of this machine; ConfigError where several are wanted, and they were not told of each other."""
    if config.num_nodes == 1:
        return 0
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK") if name not in os.environ]
    if missing or config.out is None:
        raise ConfigError(
            "`num_nodes` above 1 needs `out`, in a folder that all machines share, and MASTER_ADDR, "
            f"MASTER_PORT and NODE_RANK in the environment of each; missing: {', '.join(missing or ['out'])}."
        )
    return int(os.environ["NODE_RANK"])


def launch(run: RunFolder, config: TrainConfig) -> None:
    """Train in processes of this machine, which read all they need in the run folder.

    When one dies, all start again where they were, up to `max_restarts` times. Raises RunError with the
    error of the process that failed first, InterruptedRunError after Ctrl-C or SIGTERM.
    """
    processes = config.devices or 1
    end = os.environ if config.num_nodes > 1 else {"MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    settings = LaunchConfig(
        min_nodes=config.num_nodes,
        max_nodes=config.num_nodes,
        nproc_per_node=processes,
        run_id=run.path.name,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{end['MASTER_ADDR']}:{end['MASTER_PORT']}",
        max_restarts=config.max_restarts,
        shutdown_timeout=PATIENCE,
    )
    _silence()
    threads = str(max(1, usable_cpus() // processes))
    with _environment(
        OMP_NUM_THREADS=threads, TORCH_DISABLE_SHARE_RDZV_TCP_STORE=str(int(config.num_nodes > 1))
    ):
        _start(settings, run)


def _start(settings: LaunchConfig, run: RunFolder) -> None:
    """Start the processes and wait for them; the launcher's handlers of signals do not outlive it."""
    handlers = {
        number: signal.getsignal(number) for name in HANDLED if (number := getattr(signal, name, None))
    }
    try:
        elastic_launch(settings, sys.executable)("-m", "swinkit.training.worker", str(run.path))
    except ChildFailedError as error:
        raise _told(error.failures, run) from error
    except SignalException as error:
        raise stopped_by(error.sigval, run) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Give variables to the processes that are started meanwhile, unless the user has set them."""
    new = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


def _silence() -> None:
    """Keep the launcher's own tables and tracebacks from the screen."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def die_with_parent() -> None:
    """Let Linux end this process when its launcher is killed, so that none is left behind on a GPU."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _told(failures: Mapping[int, ProcessFailure], run: RunFolder) -> RunError:
    """What the process says that failed first; others it left waiting, or they were ended because of it."""
    rank, first = min(failures.items(), key=lambda item: (_is_follower(item[1]), item[1].timestamp))
    if first.exitcode - 128 in (signal.SIGINT, signal.SIGTERM):
        return stopped_by(first.exitcode - 128, run)
    if first.exitcode < 0:
        what = f"Process {rank} died of {signal.Signals(-first.exitcode).name}, memory may be short"
        return RunError(f"{what}: the run is kept, continue with `swin train --resume {run.path}`.")
    if not isinstance(first.message, dict):  # it has left no word
        return RunError(f"Process {rank} ended with code {first.exitcode}; what it printed is above.")
    kind, _, sentence = _text(first).partition(": ")
    ours = isinstance(getattr(errors, kind, None), type)
    return RunError(sentence if ours else f"Process {rank} failed: {_text(first)}")


def lost_another(text: str) -> bool:
    """Whether an error says that another process has gone."""
    return any(sign in text for sign in BROKEN_LINK)


def _is_follower(failure: ProcessFailure) -> bool:
    return failure.exitcode == -signal.SIGTERM or lost_another(_text(failure))


def _text(failure: ProcessFailure) -> str:
    message = failure.message
    return str(message.get("message", "")) if isinstance(message, dict) else str(message)
