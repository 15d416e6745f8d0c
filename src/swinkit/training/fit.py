"""Train one task on one data set into one run folder."""

from __future__ import annotations

import logging
import math
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from pytorch_lightning.utilities.exceptions import SIGTERMException
from rich.console import Console

from swinkit.config.train import TrainConfig
from swinkit.data.loader import ResumableLoader, make_loader
from swinkit.data.sampler import SeededBatches, Share
from swinkit.distributed import Place, here, own_place
from swinkit.errors import ConfigError, RunError, SwinkitError, nearest
from swinkit.hardware import fit_threads, pick_batch_size, pick_device, pick_precision, pick_workers
from swinkit.progress import remark
from swinkit.tasks.base import Task
from swinkit.training.callbacks import (
    Checkpoint,
    History,
    ModelFiles,
    Reseed,
    StopOnSignal,
    Thaw,
    set_modes,
)
from swinkit.training.checkpoints import newest_state
from swinkit.training.ema import Ema, floats
from swinkit.training.faults import Unreadable, told
from swinkit.training.loggers import make_loggers, quiet_writer_threads
from swinkit.training.module import TrainingModule
from swinkit.training.plan import Batches
from swinkit.training.progress import TrainingProgress
from swinkit.training.run_folder import RunFolder

BUCKET = 128  # pixels: sides of batches are filled up to whole steps of it where each size is compiled
KEPT = 2**30  # bytes of decoded training images that stay in memory, by all loader processes


@dataclass(frozen=True)
class Plan:
    """What was chosen for this machine and these data."""

    device: torch.device
    precision: str
    batches: Batches
    workers: int
    place: Place
    monitor: str


def prepare(task: Task, images: int, config: TrainConfig) -> Plan:
    """Fill in what the settings leave to the machine, and set the task up.

    Raises ConfigError or RunError for what cannot be trained, before anything is written.
    """
    check_loaded(task)
    if config.freeze == "all":
        task.freeze_backbone()
    elif config.freeze is not None:
        task.backbone.freeze(config.freeze)
    task.backbone.set_checkpointing(config.checkpoint_stages or config.checkpointing)
    if config.compile:
        task.compile_backbone()
    place = here()
    device = pick_device(config.device, local_rank=place.local)
    check_devices(device, devices_of(config), config.device)
    if place.world == 1:  # the launcher has chosen the threads of several processes
        fit_threads(device)
    world = devices_of(config) * config.num_nodes
    own = math.ceil(images / world)  # of an epoch
    shape = task.preprocessing.shape
    most = pick_batch_size(config.batch_size, images=own, shape=shape, device=device, dense=task.ragged)
    batch_size = min(most, own)
    accumulate = config.accumulate
    if config.global_batch is not None:
        batch_size, accumulate = share_batch(
            config.global_batch, batch_size, world, exactly=config.batch_size is not None
        )
    workers = pick_workers(
        config.workers, images=images, device=device, shape=shape, processes=devices_of(config)
    )
    batches = Batches(images, batch_size, accumulate, config.epochs, world).lasting(config.iterations)
    monitor = pick_monitor(task, config)
    return Plan(device, pick_precision(config.precision, device), batches, workers, place, monitor)


def pick_monitor(task: Task, config: TrainConfig) -> str:
    """Return the figure that picks the best epoch; ConfigError for one that the task does not have."""
    if config.monitor is None:
        return task.monitor_for(balanced="balanced" in (config.sampling, config.class_weights))
    if config.monitor not in task.monitors:
        raise ConfigError(
            f"`monitor={config.monitor!r}` is not a figure of {task.name} that picks a model: "
            f"{nearest(config.monitor, task.monitors)}"
        )
    return config.monitor


def check_devices(device: torch.device, processes: int, named: str) -> None:
    """Refuse more processes than the machine has GPUs for, or one GPU for all of them."""
    if processes == 1 or device.type == "cpu":
        return
    there = torch.cuda.device_count() if named in ("auto", "cuda") and device.type == "cuda" else 1
    if processes > there:
        raise ConfigError(
            f"`devices={processes}` takes as many GPUs, and `device={named!r}` gives {there}: give fewer, "
            "or `device=cuda` or `device=cpu`."
        )


def devices_of(config: TrainConfig) -> int:
    """Processes on this machine; ConfigError where torchrun has started others than the settings say."""
    place = own_place()
    if place is None:
        return config.devices or 1
    wanted = (config.devices or place.local_world, config.num_nodes)
    if wanted != (place.local_world, place.nodes):
        raise ConfigError(
            f"torchrun has started {place.local_world} processes on each of {place.nodes} machines, but "
            f"`devices={config.devices}` and `num_nodes={config.num_nodes}` are given: "
            "leave `devices` out, and give `num_nodes` as there."
        )
    return place.local_world


def share_batch(images: int, at_most: int, world: int = 1, *, exactly: bool) -> tuple[int, int]:
    """Batch size and accumulation that give so many images a step; ConfigError where they cannot."""
    if images % world:
        raise ConfigError(f"`global_batch={images}` is no multiple of {world} processes: change one of them.")
    own = images // world
    batch_size = next(size for size in range(min(at_most, own), 0, -1) if own % size == 0)
    if exactly and batch_size != at_most:
        raise ConfigError(
            f"`global_batch={images}` is no multiple of `batch_size={at_most}`"
            f"{f' × {world} processes' if world > 1 else ''}: change one of them."
        )
    return batch_size, own // batch_size


def fit(
    task: Task,
    splits: Mapping[str, Any],
    config: TrainConfig,
    run: RunFolder,
    *,
    chosen: Plan,
    console: Console,
) -> None:
    """Train; the run folder then holds the models. A last.ckpt that is there is continued.

    Of several processes, each calls it; the first writes and speaks.

    Raises InterruptedRunError after Ctrl-C, RunError where the folder cannot be written or resumed.
    """
    training, validation = loaders(task, splits, config, chosen)
    from_scratch = task.load_report is None
    unreadable = Unreadable(run.path / "unreadable.txt", chosen.batches.images, task.medium.noun, console)
    module = TrainingModule(task, config, chosen.batches, unreadable, from_scratch=from_scratch)
    lineage = {"data": config.data, "epochs": chosen.batches.epochs, "seed": config.seed}
    run.read_history()  # a table that cannot be read is to be known before an epoch has been trained
    state = newest_state(run, console)
    if state is not None:
        averaged = floats(task) if config.ema else {}
        state.check(module.state_dict(), epochs=chosen.batches.epochs, averaged=averaged)
        training.load_state_dict(state.position)
    with StopOnSignal(run) as stop, quiet_lightning(), quiet_writer_threads():
        checkpoint = Checkpoint(run, stop, every=60 * config.save_minutes, resumed=state)
        callbacks: list[Callback] = [
            TrainingProgress(
                chosen.monitor, task.medium.noun, console, enabled=config.progress and chosen.place.first
            ),
            stop,
            Reseed(config.seed),
            ModelFiles(run, lineage, chosen.monitor),
            History(run, chosen.monitor),
            *([Thaw(config.freeze_epochs)] if config.freeze_epochs else []),
            *([Ema(chosen.batches.steps, config.ema_decay)] if config.ema else []),
            *([Patience(chosen.monitor, config.patience)] if config.patience else []),
            checkpoint,
        ]
        trainer = make_trainer(config, chosen, run, callbacks)
        if config.progress and chosen.place.first and not console.is_terminal:
            console.print(settings_line(task, config, chosen), highlight=False, markup=False, soft_wrap=True)
        try:
            set_modes(module)
            trainer.fit(
                module, training, validation, ckpt_path=state.path if state else None, weights_only=True
            )
        except SIGTERMException as error:  # Lightning's own, between batches
            raise stop.error(signal.SIGTERM) from error
        except SwinkitError:
            raise
        except Exception as error:
            batches = chosen.batches
            known = told(error, batch_size=batches.batch_size, accumulate=batches.accumulate, folder=run.path)
            if known is None and checkpoint.resumed is not None:  # restoring has failed, not training
                known = checkpoint.resumed.unfit(f"{type(error).__name__}: {error}")
            if known is None:
                raise
            raise known from error
        finally:
            training.close()
            validation.close()
    if chosen.place.first and unreadable.messages:
        count = len(unreadable.messages)
        remark(console, f"{count} files could not be read and were left out; {unreadable.path} lists them.")
    if chosen.place.first and module.skipped:
        remark(console, f"{len(module.skipped)} batches were skipped. {module.skipped[0]}")


def settings_line(task: Task, config: TrainConfig, chosen: Plan) -> str:
    """Return what is trained, and how, in one line for logs."""
    batches = chosen.batches
    parameters = sum(parameter.numel() for parameter in task.parameters())
    return (
        f"Training {task.name}: model {config.model}, {parameters:,} parameters; device {chosen.device}, "
        f"precision {chosen.precision}; data {config.data}, {batches.images} {task.medium.noun}s; "
        f"batch {batches.batch_size}, {batches.step} per step; {batches.epochs} epochs."
    )


class Patience(EarlyStopping):
    """Stop after some epochs without a better figure; a run that has stopped so does not go on."""

    def __init__(self, monitor: str, patience: int) -> None:
        # after validation, before the state is saved
        super().__init__(f"val_{monitor}", patience=patience, mode="max", check_on_train_epoch_end=False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once where it had come to that."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def make_trainer(config: TrainConfig, chosen: Plan, run: RunFolder, callbacks: list[Callback]) -> Trainer:
    """A Lightning trainer for this process."""
    accelerator = {"cuda": "gpu"}.get(chosen.device.type, chosen.device.type)
    place = chosen.place
    devices: list[int] | int = place.local_world
    if chosen.device.type == "cuda" and place.world == 1:
        devices = [chosen.device.index or 0]
    return Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=place.nodes,
        strategy=make_strategy(config, place),
        # named, or Lightning would take a batch system's processes for its own
        plugins=[TorchElasticEnvironment() if own_place() else LightningEnvironment()],
        use_distributed_sampler=False,
        sync_batchnorm=place.world > 1 and chosen.device.type == "cuda",
        precision=chosen.precision,  # type: ignore[arg-type]
        max_epochs=chosen.batches.epochs,
        gradient_clip_val=config.clip or None,
        accumulate_grad_batches=chosen.batches.accumulate,
        callbacks=callbacks,
        logger=make_loggers(config, run),
        default_root_dir=run.path,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
    )


def make_strategy(config: TrainConfig, place: Place) -> Strategy | str:
    """How processes work together."""
    if place.world == 1:
        return "auto"
    if config.strategy == "fsdp2":
        return ModelParallelStrategy(place.world, 1, save_distributed_checkpoint=False)
    # Buffers are not sent, for validation has no step in which all would. While the head alone learns, the
    # backbone's weights get no gradient.
    return DDPStrategy(broadcast_buffers=False, find_unused_parameters=bool(config.freeze_epochs))


def loaders(
    task: Task, splits: Mapping[str, Any], config: TrainConfig, chosen: Plan
) -> tuple[ResumableLoader, ResumableLoader]:
    """Loaders of the training and validation parts."""
    images = task.dataset(splits["train"], config.augmentation)
    if config.compile:
        images.bucket = BUCKET
    images.room = KEPT // (max(1, chosen.workers) * chosen.place.local_world)
    place, batches = chosen.place, chosen.batches
    share = Share(place.rank, place.world)
    order = SeededBatches(
        len(images),
        batches.batch_size,
        shuffle=True,
        seed=config.seed,
        drop_last=batches.drop_last,
        repeats=config.repeats,
        share=share,
        chances=None if config.sampling == "all" else splits["train"].chances(len(task.classes)),
        archives=splits["train"].archives(),
        groups=splits["train"].groups(),
    )
    training = make_loader(images, order, workers=chosen.workers)
    others = task.dataset(splits["val"])
    each_once = SeededBatches(
        len(others), task.at_once(batches.batch_size), shuffle=False, seed=config.seed, share=share
    )
    validation = make_loader(others, each_once, workers=min(chosen.workers, 2))
    return training, validation


def check_loaded(task: Task) -> None:
    """Refuse a backbone that came mostly from nowhere: the commonest silent failure in this field."""
    report = task.load_report
    if report is None:
        return
    own = (name for name, _ in task.named_parameters() if name.startswith("backbone."))
    names = [name for name in own if name not in report.initialised]  # the norms of a dense backbone
    share = len(set(report.loaded) & set(names)) / len(names)
    if share < 0.99:
        raise RunError(
            f"Only {share:.0%} of the backbone's tensors were loaded from {report.source}: training would "
            "start almost from nothing; give a file that fits, or start from a variant."
        )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice; our own messages say what a user needs."""
    names = ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning_fabric")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            warnings.filterwarnings("ignore", message=".*(lr_scheduler.step|isinstance.treespec|LeafSpec).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
