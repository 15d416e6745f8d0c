from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Preprocessing
from swinkit.data.batch import Batch
from swinkit.data.classification.image_dataset import ImageDataset
from swinkit.data.classification.open import open_classes
from swinkit.data.classification.samples import Sample
from swinkit.data.classification.transforms import evaluation_transform, training_transform
from swinkit.data.dataset import check_headers
from swinkit.data.io.media import PICTURES
from swinkit.data.loader import ResumableLoader, in_order, make_loader
from swinkit.data.sampler import SeededBatches, Share
from swinkit.errors import ImageError, RunError

PRE = Preprocessing(size=8)


@pytest.fixture
def samples(make_folders) -> list[Sample]:
    return list(open_classes(make_folders({"a": 6, "b": 5}, real=True), val_fraction=0).splits["train"])


def shuffled(
    dataset: ImageDataset, batch_size: int, *, workers: int = 0, seed: int = 0, **options: Any
) -> ResumableLoader:
    order = SeededBatches(len(dataset), batch_size, shuffle=True, seed=seed, **options)
    return make_loader(dataset, order, workers=workers)


def training_batches(samples: list[Sample], workers: int, seed: int = 0, epochs: int = 1) -> list[Batch]:
    dataset = ImageDataset(samples, PRE, training_transform(PRE, Augmentation(hflip=0.5, erasing=0.5)))
    loader = shuffled(dataset, 4, workers=workers, seed=seed)
    return [batch for _ in range(epochs) for batch in loader]


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        a.paths == b.paths and torch.equal(a.images, b.images) for a, b in zip(one, other, strict=True)
    )


def test_a_batch_says_all(samples: list[Sample]) -> None:
    dataset = ImageDataset(samples, PRE, evaluation_transform(PRE))
    (first, *_, last) = in_order(dataset, batch_size=4, workers=0)
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
    batch = next(iter(in_order(dataset, batch_size=2, workers=0)))
    assert batch.targets is None
    assert batch.to("cpu").targets is None


def test_drop_last(samples: list[Sample]) -> None:
    dataset = ImageDataset(samples, PRE, evaluation_transform(PRE))
    loader = shuffled(dataset, 4, drop_last=True)
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
    order = SeededBatches(20, 4, shuffle=True, seed=7)
    epochs = [list(order) for _ in range(3)]
    again = SeededBatches(20, 4, shuffle=True, seed=7)
    again.set_epoch(2)
    assert list(again) == epochs[2]
    assert sorted(draw.place for batch in epochs[0] for draw in batch) == list(range(20))


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("length", [6, 8, 13, 23, 24])
@pytest.mark.parametrize("world", [2, 3])
def test_shares_make_up_the_whole(length: int, world: int, drop_last: bool) -> None:
    """Batch by batch the same items as one process with the whole batch, and as many batches for each."""
    whole = list(SeededBatches(length, 2 * world, shuffle=True, seed=1, drop_last=drop_last))
    parts = []
    for rank in range(world):
        order = SeededBatches(length, 2, shuffle=True, seed=1, drop_last=drop_last, share=Share(rank, world))
        parts.append(list(order))
        assert len(parts[-1]) == len(order) == len(whole)
    for batch, *shares in zip(whole, *parts, strict=True):
        assert sorted(batch) == sorted(draw for share in shares for draw in share)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_an_empty_share_is_an_empty_batch(samples: list[Sample]) -> None:
    dataset = ImageDataset(samples[:5], PRE, evaluation_transform(PRE))
    loader = make_loader(dataset, SeededBatches(5, 2, shuffle=False, seed=0, share=Share(1, 2)), workers=0)
    assert [len(batch) for batch in loader] == [2, 0]


def test_a_loader_goes_on_within_an_epoch(samples: list[Sample]) -> None:
    dataset = ImageDataset(samples, PRE, evaluation_transform(PRE))
    loader, later = (shuffled(dataset, 3, seed=5, drop_last=True) for _ in range(2))
    epochs = [[batch.paths for batch in loader] for _ in range(3)]
    later.load_state_dict({"epoch": 1, "batches": 2, "whole": 3})
    assert [batch.paths for batch in later] == epochs[1][2:]
    assert [batch.paths for batch in later] == epochs[2]
    assert len(later) == len(loader)
    assert later.state_dict() == {"epoch": 1, "batches": 2, "whole": 3}
    later.load_state_dict({"epoch": 2, "batches": 0, "whole": 8})  # between epochs nothing is repeated
    with pytest.raises(RunError, match="an epoch of 8 images a batch, and would go on with 3"):
        later.load_state_dict({"epoch": 1, "batches": 2, "whole": 8})


def test_repeated_augmentation(samples: list[Sample]) -> None:
    """Each drawn image thrice in a row, varied anew; as many items as without, of a third of the images."""
    draws = [draw for batch in SeededBatches(20, 6, shuffle=True, seed=3, repeats=3) for draw in batch]
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
    first, *rest = in_order(dataset, batch_size=4, workers=workers)
    assert len(first) == len(first.targets) == len(first.paths) == len(first.sizes) == 3
    assert len(first.unreadable) == 1
    assert str(samples[1].path) in first.unreadable[0]
    assert all(batch.unreadable == () for batch in rest)


def test_a_batch_of_unreadable_images_is_empty(samples: list[Sample]) -> None:
    for sample in samples:
        sample.path.write_bytes(b"")
    for items, targets in ((samples, torch.Size([0])), ([sample.path for sample in samples], None)):
        dataset = ImageDataset(items, PRE, evaluation_transform(PRE))
        batch = next(iter(in_order(dataset, batch_size=4, workers=0)))
        assert batch.images.shape == (0, 3, 8, 8)
        assert (None if batch.targets is None else batch.targets.shape) == targets
        assert len(batch.unreadable) == 4


def test_check_headers(samples: list[Sample]) -> None:
    samples[2].path.write_text("no picture")
    samples[4].path.unlink()
    places, messages = check_headers(samples, lambda sample: PICTURES.check(sample.path))
    readable = [samples[place] for place in places]
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
