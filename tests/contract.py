"""One tester that every task passes: the seam that training, prediction and export rely on.

A task's own test file names its cases and parametrises over `CHECKS`; what is special to a task stands there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import swinkit
from swinkit.config.augmentation import Augmentation
from swinkit.data.batch import Batch
from swinkit.data.classification.samples import Sample
from swinkit.data.detection.samples import Object, ObjectSamples, annotated
from swinkit.data.segmentation.label_map import LabelMap
from swinkit.data.segmentation.mask_names import Pair
from swinkit.data.segmentation.open import Pairs
from swinkit.errors import InputError
from swinkit.tasks.base import Task
from tests.conftest import read_file
from tests.films import write_video

ODD_NAMES = ("naïve ✓ 犬", "a/b, \"c\"; 'd'", "  spaces  ", "0", "1")


@dataclass(frozen=True)
class Inputs:
    """What a task is given: `draw` writes so many of `sizes`, `memory` gives one that needs no file.

    `plain` writes one of the grey (51, 51, 51). `samples` labels files, in turn with each of so many classes.
    What is learnt comes with `varied`, where the task's targets do.
    """

    draw: Callable[[Path, int], list[Path]]
    sizes: tuple[tuple[int, int], ...]
    memory: Callable[[Path], Any]
    plain: Callable[[Path], Path]
    samples: Callable[[list[Path], int], Any]
    varied: Augmentation | None = None


@dataclass(frozen=True)
class Case:
    """A task under test; `build(classes)` gives it with random weights, the same ones for the same seed."""

    name: str
    build: Callable[[tuple[str, ...]], Task]
    inputs: Inputs

    def task(self, classes: tuple[str, ...] = ODD_NAMES) -> Task:
        torch.manual_seed(1)
        return self.build(classes)


def draw_pictures(folder: Path, count: int = 3) -> list[Path]:
    """Pictures of different sizes and modes."""
    rng = np.random.default_rng(3)
    paths = []
    for i in range(count):
        image = Image.fromarray(rng.integers(0, 256, (30 + 7 * i, 41 - 5 * i, 3), dtype=np.uint8))
        paths.append(folder / f"{i}.png")
        image.convert(("RGB", "L", "RGBA")[i % 3]).save(paths[-1])
    return paths


def draw_clips(folder: Path, count: int = 3) -> list[Path]:
    """Noise of different sizes and lengths; the first are shorter than a clip, the others are not."""
    rng = np.random.default_rng(3)
    return [
        write_video(
            folder / f"{i}.mp4",
            list(rng.integers(0, 256, (5 + 4 * i, 30 + 6 * i, 42 - 4 * i, 3), dtype=np.uint8)),
        )
        for i in range(count)
    ]


def plain_picture(folder: Path) -> Path:
    Image.new("RGB", (50, 40), (51, 51, 51)).save(folder / "grey.png")
    return folder / "grey.png"


def plain_clip(folder: Path) -> Path:
    (folder / "grey").mkdir()
    for i in range(3):
        Image.new("RGB", (50, 40), (51, 51, 51)).save(folder / "grey" / f"{i}.png")
    return folder / "grey"


def frames_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def draw_squares(folder: Path, count: int = 3) -> list[Path]:
    """Pictures of one size, which make a batch whatever their shape is kept for."""
    return [
        path for path in draw_pictures(folder, count) if Image.open(path).resize((32, 32)).save(path) is None
    ]


def plain_square(folder: Path) -> Path:
    Image.new("RGB", (32, 32), (51, 51, 51)).save(folder / "grey.png")
    return folder / "grey.png"


def with_classes(paths: list[Path], classes: int) -> list[Sample]:
    return [Sample(path, i % classes) for i, path in enumerate(paths)]


def with_masks(paths: list[Path], classes: int) -> Pairs:
    """Masks in two halves of neighbouring classes, a row of them ignored."""
    pairs = []
    for i, path in enumerate(paths):
        mask = np.full((32, 32), i % classes, np.uint8)
        mask[:, 16:], mask[5] = (i + 1) % classes, 255
        pairs.append(Pair(path, path.with_name(f"{path.stem}-mask.png")))
        Image.fromarray(mask).save(pairs[-1].mask)
    return Pairs(pairs, LabelMap.plain(classes))


def with_objects(paths: list[Path], classes: int) -> ObjectSamples:
    """Two objects of neighbouring classes in each, one of them a triangle."""
    samples = []
    for i, path in enumerate(paths):
        triangle = [[2.0, 3.0, 20.0, 3.0, 2.0, 25.0]]
        square = [[12.0, 12.0, 30.0, 12.0, 30.0, 31.0, 12.0, 31.0]]
        objects = [
            Object(i % classes, (2, 3, 20, 25), triangle, area=198.0),
            Object((i + 1) % classes, (12, 12, 30, 31), square),
        ]
        samples.append(annotated(path, (32, 32), i, objects))
    return ObjectSamples(samples)


OF_PICTURES = Inputs(draw_pictures, ((30, 41), (37, 36), (44, 31)), Image.open, plain_picture, with_classes)
OF_CLIPS = Inputs(draw_clips, ((30, 42), (36, 38), (42, 34)), frames_of, plain_clip, with_classes)
OF_MASKS = Inputs(draw_squares, ((32, 32),) * 3, Image.open, plain_square, with_masks)
AS_THEY_ARE = Augmentation(resizing="none", hflip=0, distortion=False)
OF_OBJECTS = Inputs(draw_squares, ((32, 32),) * 3, Image.open, plain_square, with_objects, AS_THEY_ARE)


def images_of(task: Task, count: int = 2) -> Tensor:
    pre = task.preprocessing
    return torch.randn(count, *pre.shape, generator=torch.Generator().manual_seed(5))


def check_walk(case: Case, folder: Path) -> None:
    """preprocess → forward → postprocess: one result an input, in order, of its size."""
    task, paths = case.task(), case.inputs.draw(folder, 3)
    batch = task.preprocess(paths)
    pre = task.preprocessing
    assert len(batch.images) == 3
    assert batch.images.shape[-len(pre.shape) :] == pre.shape
    assert batch.images.dtype == torch.float32
    assert (batch.targets, batch.unreadable) == (None, ())
    assert batch.sizes == case.inputs.sizes
    assert batch.paths == tuple(map(str, paths))
    results = task.postprocess(task(batch.images), batch.sizes)
    assert [result.size for result in results] == list(batch.sizes)
    for result in results:
        assert result.to_dict()
        assert result.lines()


def check_preprocess_normalises(case: Case, folder: Path) -> None:
    """A plain picture becomes (value − mean) / std everywhere."""
    task = case.task()
    image = task.preprocess([case.inputs.plain(folder)]).images.reshape(-1, *task.preprocessing.shape)[0]
    for channel, mean, std in zip(image, task.preprocessing.mean, task.preprocessing.std, strict=True):
        torch.testing.assert_close(channel, torch.full_like(channel, (0.2 - mean) / std))


def check_unreadable(case: Case, folder: Path) -> None:
    """A text file named .jpg raises InputError with its path."""
    (folder / "text.jpg").write_text("not a picture")
    with pytest.raises(InputError, match=r"text\.jpg"):
        case.task().predict(folder / "text.jpg")


def check_predict(case: Case, folder: Path) -> None:
    """A path, an input in memory and a list of both give the same answers, in any batch size."""
    task, paths, memory = case.task(), case.inputs.draw(folder, 5), case.inputs.memory
    several = task.predict(paths)
    assert [result.path for result in several] == list(map(str, paths))
    assert task.predict([]) == []
    one = task.predict(str(paths[1]))
    assert [result.path for result in one] == [str(paths[1])]
    in_memory = task.predict(memory(paths[1]))
    assert [result.path for result in in_memory] == [""]
    mixed = task.predict([paths[0], memory(paths[1])], batch_size=1)
    same_answer(one[0], several[1])
    same_answer(in_memory[0], several[1])
    same_answer(mixed[0], several[0])
    same_answer(mixed[1], several[1])


def same_answer(one: object, other: object) -> None:
    """Equal but for the path and the rounding of another batch size."""
    left, right = (result.to_dict() | {"path": ""} for result in (one, other))  # type: ignore[attr-defined]
    assert flatten(left) == pytest.approx(flatten(right), abs=1e-5)


def flatten(values: object, key: str = "") -> dict[str, object]:
    if isinstance(values, dict | list):
        items = values.items() if isinstance(values, dict) else enumerate(values)
        return {k: v for name, value in items for k, v in flatten(value, f"{key}/{name}").items()}
    return {key: values}


def equal(one: Any, other: Any) -> bool:
    """Whether outputs are the same bits: tensors, or lists and dicts of them."""
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return len(one) == len(other) and all(map(equal, one, other))


def check_determinism(case: Case, folder: Path) -> None:
    """Evaluation mode knows no chance, and predict enters it by itself; training mode does."""
    task = case.task().eval()
    x = images_of(task)
    assert equal(task(x), task(x))
    task.train()
    assert not equal(task(x), task(x)), "the case has no dropout or drop path: nothing is tested"
    paths = case.inputs.draw(folder, 3)
    assert task.predict(paths) == task.predict(paths)


def check_file(case: Case, folder: Path) -> None:
    """Save and load give the same bits, names, colours, preprocessing and settings."""
    task = case.task()
    task.licence = "CC0-1.0"
    path = swinkit.save(task, folder / "m.safetensors")
    again = swinkit.load(path)
    assert type(again) is type(task)
    assert again.state_dict().keys() == task.state_dict().keys()
    for name, tensor in task.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert equal(again(images_of(task)), task.eval()(images_of(task)))
    assert again.backbone.config == task.backbone.config
    assert (again.labels, again.preprocessing) == (task.labels, task.preprocessing)
    assert (again.settings(), again.licence, again.lineage) == (task.settings(), "CC0-1.0", task.lineage)
    report = again.load_report
    assert report is not None
    assert set(report.loaded) == set(task.state_dict())
    others = (report.missing, report.unexpected, report.dropped, report.initialised)
    assert others == ((), (), (), ())
    swinkit.save(again, folder / "again.safetensors")
    (tensors, header), (kept, first) = read_file(folder / "again.safetensors"), read_file(path)
    assert header == first
    assert all(torch.equal(tensors[name], kept[name]) for name in kept)


def check_labels_are_opaque(case: Case, folder: Path) -> None:
    """Names come back to the letter, in the answers and after a file."""
    task = case.task(ODD_NAMES)
    swinkit.save(task, folder / "m.safetensors")
    for model in (task, swinkit.load(folder / "m.safetensors")):
        assert model.classes == ODD_NAMES
        answer = model.predict(case.inputs.draw(folder, 1))[0].to_dict()
        names = {row["name"]: row["id"] for row in answer.get("classes", answer.get("objects", []))}
        expected = {name: i for i, name in enumerate(ODD_NAMES)}
        assert names
        assert names.items() <= expected.items()
        assert names == expected or model.name not in ("classify", "video")  # others list what is there


def check_loss(case: Case, folder: Path) -> None:
    """Named losses, of known outputs too where these tell them; their gradient reaches every parameter."""
    task = case.task().eval()
    batch = labelled(case, task, folder, case.inputs.varied)
    losses = task.loss(batch)
    total = torch.stack(list(losses.values())).sum()
    assert torch.isfinite(total)
    assert total > 0
    known = task.loss(batch, task(batch.images))
    assert known.keys() == losses.keys() or (task.name == "detect" and not known)
    for name, value in known.items():
        torch.testing.assert_close(value, losses[name])
    total.backward()
    for name, parameter in task.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def check_one_step_learns(case: Case, folder: Path) -> None:
    """A few small steps down the gradient lower the loss on mixed and unmixed batches alike."""
    task = case.task().eval()
    batch = labelled(case, task, folder, case.inputs.varied)
    mixed = task.mixing(Augmentation(mix_prob=1.0))(batch)
    images, targets = mixed.images, mixed.targets
    assert images.shape == batch.images.shape
    optimizer = torch.optim.AdamW(task.parameters(), 1e-3)
    values = []
    for _ in range(5):
        loss = torch.stack(list(task.loss(batch).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]
    assert targets is not None


def check_metric(case: Case, folder: Path) -> None:
    """The monitored figure is among the figures, all plain floats; reset forgets."""
    task = case.task(("b", "a, ü", "c/d", "e", "f"))
    metric, batch = task.metric(), labelled(case, task, folder)
    with torch.inference_mode():
        metric.update(task.eval().measure(batch), batch)
    figures = metric.compute()
    assert task.monitor in figures
    assert all(type(value) is float for value in figures.values())
    assert figures["images"] == len(batch)
    assert metric.details()
    drawn = metric.draw(folder)
    assert drawn
    assert all(path.stat().st_size for path in drawn)
    metric.reset()
    assert metric.compute()["images"] == 0


def labelled(case: Case, task: Task, folder: Path, varied: Augmentation | None = None) -> Batch:
    samples = case.inputs.samples(case.inputs.draw(folder, 4), len(task.classes))
    dataset = task.dataset(samples, varied)
    return dataset.collate([dataset[i] for i in range(len(samples))])


CHECKS = [
    check_walk,
    check_preprocess_normalises,
    check_unreadable,
    check_predict,
    check_determinism,
    check_file,
    check_labels_are_opaque,
    check_loss,
    check_one_step_learns,
    check_metric,
]
