"""Pictures and objects varied alike: where boxes and shapes go, what stays, what is pasted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Dense, Preprocessing
from swinkit.data.detection.dataset import ObjectDataset
from swinkit.data.detection.samples import (
    NO_CLASS,
    Annotated,
    Object,
    ObjectSamples,
    annotated,
    known_together,
)
from swinkit.data.detection.transforms import Frame, ObjectTransform, Scene, boxes_of
from swinkit.data.sampler import SeededBatches
from swinkit.errors import ImageError
from swinkit.recipes import read_recipe, recipes
from swinkit.rle import as_rle, coco_rle, mask_of

PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
PRE = Preprocessing(size=80, dense=Dense(short=80, long=133), crop=1.0, **PLAIN)
SIZE = (60, 100)


def squares(folder: Path | None = None, *, rle: bool = False) -> Scene:
    """Two rectangles of plain colour, red and green, on black; their boxes and shapes are exact."""
    picture = Image.new("RGB", SIZE[::-1])
    objects = []
    for label, (colour, (left, top, right, bottom)) in enumerate(
        (("red", (8, 10, 40, 50)), ("lime", (60, 20, 92, 44)))
    ):
        picture.paste(colour, (left, top, right, bottom))
        ring = [left, top, right, top, right, bottom, left, bottom]
        shape: Any = [list(map(float, ring))]
        shape = as_rle(shape, SIZE) if rle else shape
        objects.append(Object(label, (left, top, right, bottom), shape))
    path = Path("memory.png") if folder is None else folder / "squares.png"
    if folder is not None:
        picture.save(path)
    return Scene(picture, annotated(path, SIZE, 0, objects))


def transform(**options: Any) -> ObjectTransform:
    given = {"distortion": False, "hflip": 0.0, **options}
    return ObjectTransform(PRE, Augmentation(**given), masks=True)


@pytest.mark.parametrize("rle", [False, True])
@pytest.mark.parametrize("resizing", ["published", "jitter", "none"])
def test_boxes_and_shapes_lie_on_their_pixels(resizing: str, rle: bool) -> None:
    """However a picture is cut: within a box and its mask is the object's colour, and nowhere else."""
    vary = transform(resizing=resizing, hflip=0.5)
    shapes = set()
    for seed in range(25):
        torch.manual_seed(seed)
        image, objects = vary(squares(rle=rle))
        shapes.add(tuple(image.shape))
        assert objects.masks is not None
        assert objects.masks.shape == (len(objects.boxes), *image.shape[1:])
        for box, label, mask in zip(objects.boxes, objects.labels, objects.masks, strict=True):
            own = image[int(label)] > 0.5
            outside = (own != mask.bool()).float().sum().item()
            edge = 2 * (image.shape[1] + image.shape[2])
            assert outside <= edge / 4, (seed, outside)
            around = torch.from_numpy(boxes_of(mask.bool().numpy()[None])[0])
            assert (around - box).abs().max() <= 1.01
        assert (objects.boxes[:, 2:] <= torch.tensor([image.shape[2], image.shape[1]])).all()
    assert len(shapes) > 5 or resizing == "none"


def test_published_sizes() -> None:
    """In proportion to a short side of 800: 480 to 800, at most 1333, after crops of 384 to 600 too."""
    vary = transform()
    sizes = []
    for seed in range(200):
        torch.manual_seed(seed)
        image, _ = vary(squares())
        sizes.append((min(image.shape[1:]), max(image.shape[1:])))
    allowed = {round(short / 10) for short in range(480, 801, 32)}
    whole = [short for short, long in sizes if abs(long / short - 100 / 60) < 0.03]
    assert set(whole) <= allowed
    assert len(set(whole)) >= 9
    assert 60 <= len(whole) <= 140
    assert all(long <= 133 for _, long in sizes)


def test_frames_agree_with_torchvision() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (20, 2))
    given = np.concatenate([corners, corners + rng.uniform(1, 40, (20, 2))], 1).clip(0, (100, 60) * 2)
    frame = Frame(SIZE).resized((90, 150)).cropped((11, 20), (60, 70)).mirrored()
    boxes = tv_tensors.BoundingBoxes(torch.from_numpy(given), format="XYXY", canvas_size=SIZE)  # type: ignore[call-arg]
    theirs = v2.functional.resize(boxes, [90, 150])
    theirs = v2.functional.crop(theirs, 11, 20, 60, 70)
    theirs = v2.functional.horizontal_flip(theirs)
    theirs = v2.functional.clamp_bounding_boxes(theirs)
    np.testing.assert_allclose(frame.boxes(given), theirs.numpy(), atol=1e-4)


def test_masks_of_run_lengths_move_as_pictures_do() -> None:
    mask = np.random.default_rng(1).random(SIZE) < 0.3
    frame = Frame(SIZE).cropped((7, 13), (40, 50)).mirrored()
    assert np.array_equal(frame.mask(coco_rle(mask)), mask[7:47, 13:63][:, ::-1])
    beyond = Frame(SIZE).cropped((-5, -5), (80, 120)).mask(coco_rle(mask))
    assert np.array_equal(beyond[5:65, 5:105], mask)
    assert beyond.sum() == mask.sum()


def test_polygons_beyond_the_picture() -> None:
    """Cut off as by a picture that is larger: COCO's rules know no points outside."""
    ring = [[-20.0, -10.0, 50.0, -10.0, 50.0, 70.0, -20.0, 70.0]]
    found = Frame(SIZE).mask(ring)
    assert found[:, :50].all()
    assert not found[:, 51:].any()
    assert mask_of(as_rle([[0.0, 0, 10, 0, 10, 10, 0, 10]], SIZE)).sum() == 100


def test_groups_and_slivers_do_not_teach() -> None:
    scene = squares()
    crowd = scene.sample._replace(crowd=np.array([True, False]))
    tiny = scene.sample._replace(boxes=np.array([[8, 10, 8.4, 50], [60, 20, 92, 44]]))
    for sample in (crowd, tiny):
        _, objects = transform(resizing="none")(Scene(scene.picture, sample))
        assert objects.labels.tolist() == [1]


def test_groups_are_background_in_the_published_recipes_alone() -> None:
    """mmdet's configs have ignore_iof_thr=-1 in every assigner: there gt_bboxes_ignore has no effect."""
    scene = squares()
    crowd = scene.sample._replace(crowd=np.array([True, False]))
    unnamed = crowd._replace(labels=np.array([NO_CLASS, 1]))
    for name in recipes():
        values = read_recipe(name, "mask_rcnn_swin_t").get("augmentation", {})
        published = name.startswith(("mask_rcnn_", "cascade_mask_rcnn_"))
        assert (values.get("crowds") == "background") == published, name
    for crowds in ("ignored", "background"):
        vary = transform(resizing="none", crowds=crowds)
        ignored = vary(Scene(scene.picture, crowd))[1].ignored
        assert (ignored is None) == (crowds == "background")
        assert vary(Scene(scene.picture, unnamed))[1].ignored.shape == (1, 4)


def test_ignored_regions_move_along() -> None:
    """Groups, and objects that are not used, are where their pixels are, in mosaics too."""
    scene = squares()
    crowd = np.array([True, False])
    sample = scene.sample._replace(crowd=crowd, ignored=(tuple(scene.sample.boxes[0]),))
    scene = Scene(scene.picture, sample)
    vary = transform(resizing="published", hflip=0.5)
    for seed in range(8):
        torch.manual_seed(seed)
        image, objects = vary(scene)
        red = (image[0] > 0.5).numpy()
        if not red.any():
            assert objects.ignored is None
            continue
        assert objects.ignored is not None
        assert objects.ignored.shape == (2, 4)
        around = torch.from_numpy(boxes_of(red[None])).float()
        assert (objects.ignored - around).abs().max() <= 1.01
        assert 0 not in objects.labels.tolist()
    assert vary(squares())[1].ignored is None
    torch.manual_seed(0)
    image, objects = transform(hflip=0.0, resizing="none")(scene, beside=[scene] * 3)
    assert objects.ignored is not None
    assert len(objects.ignored) == 8
    for left, top, right, bottom in objects.ignored.round().int().tolist():
        assert (image[0, top + 1 : bottom - 1, left + 1 : right - 1] > 0.5).all()


def test_copy_paste() -> None:
    """Objects come with their pixels; what they cover goes, and boxes are those of what is left."""
    vary = transform(resizing="none", copy_paste=1.0)
    base = squares()
    other = Image.new("RGB", SIZE[::-1], "white")
    other.paste("blue", (0, 0, 60, 60))
    ring = [[0.0, 0, 60, 0, 60, 60, 0, 60]]
    pasting = Scene(other, annotated(Path("b.png"), SIZE, 1, [Object(2, (0, 0, 60, 60), ring)]))
    counts = set()
    for seed in range(8):
        torch.manual_seed(seed)
        image, objects = vary(base, pasting)
        counts.add(tuple(objects.labels.tolist()))
        assert objects.masks is not None
        if 2 in objects.labels:
            assert not (image[0] > 0.9).any()  # red is covered, and white is not taken along
            assert (image[2] > 0.9).float().mean() > 0.5
            assert objects.labels.tolist() == [1, 2]
            assert not (objects.masks[0].bool() & objects.masks[1].bool()).any()
    assert counts == {(0, 1), (1, 2)}
    torch.manual_seed(0)
    assert {vary.draw(5) for _ in range(40)} == {0, 1, 2, 3, 4}
    assert transform().draw(5) is None


def test_batches_of_many_shapes(tmp_path: Path) -> None:
    scene = squares(tmp_path)
    samples = ObjectSamples([scene.sample, scene.sample._replace(number="second")])
    dataset = ObjectDataset(samples, PRE, transform())
    torch.manual_seed(0)
    items = [dataset.item(i % 2) for i in range(3)]
    batch = dataset.collate(items)
    assert all(side % 32 == 0 for side in batch.images.shape[2:])
    assert batch.valid[0] == tuple((item.image.shape[1], item.image.shape[2]) for item in items)
    assert isinstance(batch.targets, tuple)
    for item, image, objects in zip(items, batch.images, batch.targets, strict=True):
        height, width = item.image.shape[1:]
        assert torch.equal(image[:, :height, :width], item.image)
        assert not image[:, height:].any()
        assert not image[:, :, width:].any()
        assert objects.masks is not None
        assert objects.masks.shape[1:] == image.shape[1:]
        assert not objects.masks[:, height:].any()
    moved = batch.to("meta")
    assert isinstance(moved.targets, tuple)
    assert moved.targets[0].boxes.device.type == "meta"
    whole = ObjectDataset(samples, PRE).collate([ObjectDataset(samples, PRE).item(0)])
    assert whole.targets is None
    assert whole.records[0].number == 0
    dataset.bucket = 128  # for compiled graphs, each of one size
    coarse = dataset.collate(items)
    assert all(side % 128 == 0 for side in coarse.images.shape[2:])
    assert coarse.valid == batch.valid
    assert isinstance(coarse.targets, tuple)
    assert coarse.targets[0].masks is not None
    assert coarse.targets[0].masks.shape[1:] == coarse.images.shape[2:]


def test_a_picture_of_another_size(tmp_path: Path) -> None:
    sample = squares(tmp_path).sample._replace(size=(100, 60))
    with pytest.raises(ImageError, match="has 100 × 60 pixels, but its boxes are for 60 × 100"):
        ObjectDataset(ObjectSamples([sample]), PRE).item(0)


def test_samples_are_as_they_were() -> None:
    given = squares(rle=True).sample
    odd = annotated(Path("naïve 犬.jpg"), None, "id", [])
    samples = ObjectSamples([given, odd, given._replace(number=5)])
    for one, other in zip((given, odd, given._replace(number=5)), samples, strict=True):
        same_sample(one, other)
    same_sample(samples[1:][0], odd)
    assert samples.counts(3).tolist() == [2, 2, 0]
    assert samples.groups().tolist() == [True, False, True]
    assert samples.shapeless == 0
    bare = given._replace(shapes=(None, given.shapes[1]))
    assert ObjectSamples([bare]).shapeless == 1
    rare = [given.chosen([0])] * 5000 + [given.chosen([1])]
    chances = ObjectSamples(rare).chances(2)
    assert chances[-1] / chances[0] == pytest.approx(np.sqrt(0.001 * 5001))


def same_sample(one: Annotated, other: Annotated) -> None:
    assert one[:3] == other[:3]
    for left, right in zip(one[3:7], other[3:7], strict=True):
        assert np.array_equal(left, right)
    assert one.shapes == other.shapes


def test_batches_hold_pictures_of_one_shape() -> None:
    groups = np.arange(103) % 3 == 0
    order = SeededBatches(103, 4, shuffle=True, seed=0, groups=groups)
    batches = [[draw.place for draw in batch] for batch in order]
    assert sorted(place for batch in batches for place in batch) == list(range(103))
    mixed = [batch for batch in batches if len({bool(groups[place]) for place in batch}) > 1]
    assert len(mixed) <= 2
    again = [[draw.place for draw in batch] for batch in order]
    assert again != batches
    order.set_epoch(0)
    order.begin = (0, 3)
    assert [[draw.place for draw in batch] for batch in order] == batches[3:]
    shapes = [bool(groups[batch[0]]) for batch in batches[:20]]
    assert len(set(shapes)) == 2


def test_mosaics() -> None:
    """Each picture with its objects in a cell of its own; the square is the model's."""
    pre = Preprocessing(size=96, dense=Dense(short=96, long=96), mean=(0.0,) * 3, std=(1.0,) * 3)
    transform = ObjectTransform(pre, Augmentation(mosaic=1, hflip=0, distortion=False), masks=True)
    given = squares(rle=True)
    sizes = set()
    for _ in range(20):
        others = transform.draw_others(5)
        count = {3: 2, 8: 3}[len(others)]
        sizes.add(count)
        image, objects = transform(given, None, [given] * len(others))
        assert image.shape == (3, 96, 96)
        assert objects.masks is not None
        assert len(objects.boxes) == len(given.sample.boxes) * count**2
        cell = 96 // count
        first = objects.boxes[: len(given.sample.boxes)]
        for number, own in enumerate(objects.boxes.split(len(first))):
            top, left = (place * cell for place in divmod(number, count))
            torch.testing.assert_close(own, first + torch.tensor([left, top] * 2))
            assert (own[:, 2:] <= torch.tensor([left + cell, top + cell])).all()
        for mask, box in zip(objects.masks, objects.boxes.round().int().tolist(), strict=True):
            rows, columns = mask.nonzero().T
            found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert all(abs(int(a) - b) <= 1 for a, b in zip(found, box, strict=True))
    assert sizes == {2, 3}
    assert ObjectTransform(pre, Augmentation(), masks=True).draw_others(5) == []


def test_what_is_known_of_pictures_together() -> None:
    one = annotated(Path("a.png"), None, 1, [Object(0, (0, 0, 1, 1))])
    other = annotated(Path("b.png"), None, 2, [Object(1, (0, 0, 1, 1))])
    assert known_together([one, other]) == (None, ())
    told = one._replace(absent=(2, 3))
    assert known_together([told, other]) == ((2, 3), (1,))
    assert known_together([told, other._replace(absent=(0, 3), partial=(4,))]) == ((3,), (1, 4))
    assert known_together([told]) == ((2, 3), ())
