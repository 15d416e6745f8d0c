from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from swinkit.config import Augmentation, Preprocessing
from swinkit.data.batching import (
    Batch,
    ImageDataset,
    SeededSampler,
    check_headers,
    make_loader,
)
from swinkit.data.folders import Sample, open_classes
from swinkit.data.transforms import evaluation_transform, training_transform
from swinkit.errors import ImageError

PRE = Preprocessing(size=8)


@pytest.fixture
def samples(make_folders) -> list[Sample]:
    return list(open_classes(make_folders({"a": 6, "b": 5}, real=True), val_fraction=0).splits["train"])


def training_batches(samples: list[Sample], workers: int, seed: int = 0, epochs: int = 1) -> list[Batch]:
    dataset = ImageDataset(samples, PRE, training_transform(PRE, Augmentation(hflip=0.5, erasing=0.5)))
    loader = make_loader(dataset, batch_size=4, shuffle=True, workers=workers, seed=seed)
    return [batch for _ in range(epochs) for batch in loader]


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        a.paths == b.paths and torch.equal(a.images, b.images) for a, b in zip(one, other, strict=True)
    )


def test_a_batch_says_all(samples: list[Sample]) -> None:
    dataset = ImageDataset(samples, PRE, evaluation_transform(PRE))
    (first, *_, last) = make_loader(dataset, batch_size=4, shuffle=False, workers=0, seed=0)
    assert first.images.shape == (4, 3, 8, 8)
    assert first.targets.tolist() == [0, 0, 0, 0]
    assert first.sizes == ((8, 10),) * 4
    assert first.paths == tuple(str(sample.path) for sample in samples[:4])
    assert first.unreadable == ()
    assert (len(first), len(last)) == (4, 3)
    moved = first.to("meta")
    assert (moved.images.device.type, moved.targets.device.type, moved.paths) == ("meta", "meta", first.paths)


def test_bare_paths_have_no_targets(samples: list[Sample]) -> None:
    dataset = ImageDataset([sample.path for sample in samples], PRE, evaluation_transform(PRE))
    batch = next(iter(make_loader(dataset, batch_size=2, shuffle=False, workers=0, seed=0)))
    assert batch.targets is None
    assert batch.to("cpu").targets is None


def test_drop_last(samples: list[Sample]) -> None:
    dataset = ImageDataset(samples, PRE, evaluation_transform(PRE))
    loader = make_loader(dataset, batch_size=4, shuffle=True, workers=0, seed=0, drop_last=True)
    assert [len(batch) for batch in loader] == [4, 4]


def test_sizes_are_those_of_the_file_not_of_its_draft(tmp_path: Path) -> None:
    Image.new("RGB", (400, 300), "red").save(tmp_path / "x.jpg")
    dataset = ImageDataset([tmp_path / "x.jpg"], PRE, evaluation_transform(PRE), at_least=16)
    assert dataset[0].size == (300, 400)


def test_runs_repeat_with_any_number_of_workers(samples: list[Sample]) -> None:
    first = training_batches(samples, 2, epochs=2)
    assert same(training_batches(samples, 2, epochs=2), first)
    assert same(training_batches(samples, 0, epochs=2), first)
    assert not same(training_batches(samples, 0, seed=1, epochs=2), first)


def test_epochs_differ_and_each_item_has_its_own_seed(samples: list[Sample]) -> None:
    first, second = (training_batches(samples, 0, epochs=2)[part] for part in (slice(3), slice(3, 6)))
    assert not same(first, second)
    one_file = [samples[0]] * 6
    images = torch.cat([batch.images for batch in training_batches(one_file, 0)])
    assert len({tuple(image.flatten().tolist()) for image in images}) == 6


def test_set_epoch_continues_a_run(samples: list[Sample]) -> None:
    sampler = SeededSampler(20, shuffle=True, seed=7)
    epochs = [list(sampler) for _ in range(3)]
    again = SeededSampler(20, shuffle=True, seed=7)
    again.set_epoch(2)
    assert list(again) == epochs[2]
    assert sorted(draw.place for draw in epochs[0]) == list(range(20))


def test_a_loader_goes_on_within_an_epoch(samples: list[Sample]) -> None:
    dataset = ImageDataset(samples, PRE, evaluation_transform(PRE))
    loader, later = (
        make_loader(dataset, batch_size=3, shuffle=True, workers=0, seed=5, drop_last=True) for _ in range(2)
    )
    epochs = [[batch.paths for batch in loader] for _ in range(3)]
    later.load_state_dict({"epoch": 1, "batches": 2})
    assert [batch.paths for batch in later] == epochs[1][2:]
    assert [batch.paths for batch in later] == epochs[2]
    assert len(later) == len(loader)
    assert later.state_dict() == {"epoch": 1, "batches": 2}


def test_repeated_augmentation(samples: list[Sample]) -> None:
    """Each drawn image thrice in a row, varied anew; as many items as without, of a third of the images."""
    draws = list(SeededSampler(20, shuffle=True, seed=3, repeats=3))
    places = [draw.place for draw in draws]
    assert len(draws) == 20
    assert places[:18:3] == places[1:18:3] == places[2:18:3]
    assert len(set(places)) == 7
    assert len({draw.seed for draw in draws}) == 20


def test_reading_leaves_the_generator_of_the_model_alone(samples: list[Sample]) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    training_batches(samples, 0)
    iterator_draw = torch.rand(3)
    assert torch.equal(iterator_draw, expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_dropped_and_reported(samples: list[Sample], workers: int) -> None:
    samples[1].path.write_text("no picture")
    dataset = ImageDataset(samples, PRE, evaluation_transform(PRE))
    first, *rest = make_loader(dataset, batch_size=4, shuffle=False, workers=workers, seed=0)
    assert len(first) == len(first.targets) == len(first.paths) == len(first.sizes) == 3
    assert len(first.unreadable) == 1
    assert str(samples[1].path) in first.unreadable[0]
    assert all(batch.unreadable == () for batch in rest)


def test_a_batch_of_unreadable_images_is_empty(samples: list[Sample]) -> None:
    for sample in samples:
        sample.path.write_bytes(b"")
    for items, targets in ((samples, torch.Size([0])), ([sample.path for sample in samples], None)):
        dataset = ImageDataset(items, PRE, evaluation_transform(PRE))
        batch = next(iter(make_loader(dataset, batch_size=4, shuffle=False, workers=0, seed=0)))
        assert batch.images.shape == (0, 3, 8, 8)
        assert (None if batch.targets is None else batch.targets.shape) == targets
        assert len(batch.unreadable) == 4


def test_check_headers(samples: list[Sample]) -> None:
    samples[2].path.write_text("no picture")
    samples[4].path.unlink()
    readable, messages = check_headers(samples)
    assert readable == [sample for place, sample in enumerate(samples) if place not in (2, 4)]
    assert str(samples[2].path) in messages[0]
    assert str(samples[4].path) in messages[1]
    assert len(messages) == 2


def test_kept_images_need_no_file(samples: list[Sample]) -> None:
    size = 8 * 10 * 3
    dataset = ImageDataset(samples, PRE, evaluation_transform(PRE))
    dataset.room = 2 * size
    first = [dataset[i].image for i in range(3)]
    for sample in samples:
        sample.path.unlink()
    assert torch.equal(dataset[0].image, first[0])
    assert torch.equal(dataset[1].image, first[1])
    assert isinstance(dataset[2], ImageError)  # there was room for two
