"""Few objects of each class, drawn from labelled pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from swinkit.data.detection.few_shot import drawn_objects, few_of
from swinkit.data.detection.samples import Annotated, Object, ObjectSamples, annotated


def samples() -> ObjectSamples:
    """Eight pictures of three of class 0 and perhaps one of class 1; class 2 is in the last, as a group."""

    def own(i: int) -> Annotated:
        objects = [Object(0, (10.0 * k, 0.0, 10.0 * k + 5, 5.0)) for k in range(3)]
        objects += [Object(1, (0.0, 20.0, 9.0, 29.0))] if i % 2 else []
        objects += [Object(2, (0.0, 40.0, 9.0, 49.0), crowd=True)] if i == 7 else []
        return annotated(Path(f"{i}.png"), (60, 60), i, objects)

    return ObjectSamples(own(i) for i in range(8))


def test_so_many_of_each_class_and_no_more() -> None:
    every = samples()
    for shots in (1, 3, 5):
        few = few_of(every, 4, shots, seed=2)
        counts = Counter(label for one in few for label in one.labels.tolist())
        assert counts == {0: shots, 1: min(shots, 4)}
        assert not any(one.crowd.any() for one in few)
        for one in few:
            (whole,) = (own for own in every if own.image == one.image)
            hidden = set(whole.labels.tolist()) - set(one.labels.tolist())
            left = Counter(whole.labels.tolist()) - Counter(one.labels.tolist())
            assert hidden <= set(one.partial) == set(left)  # nobody says that there is no other
            assert {tuple(box) for box in one.boxes} <= {tuple(box) for box in whole.boxes}
    first, *_ = few_of(every, 4, 5, seed=2), few_of(every, 4, 5, seed=3)
    assert sum(one.labels.tolist().count(0) == 3 for one in first) == 1  # whole, then of one a part
    whole = few_of(every, 4, 99, seed=2)
    assert whole.counts(4).tolist() == [24, 4, 0, 0]
    assert all(one.partial == ((2,) if one.image.name == "7.png" else ()) for one in whole)


def test_the_seed_decides() -> None:
    every = samples()
    first = drawn_objects(every, 3, 2, seed=0)
    assert first == drawn_objects(every, 3, 2, seed=0)
    assert any(first != drawn_objects(every, 3, 2, seed=seed) for seed in range(1, 4))
    assert [len(own) for own in first] == [2, 2, 0]
    # a class more takes nothing from the others
    assert drawn_objects(every, 4, 2, seed=0)[:3] == first
    assert np.ndim(first[0]) == 2
