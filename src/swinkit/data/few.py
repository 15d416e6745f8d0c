"""Some objects of each class, drawn from labelled pictures."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from swinkit.data.objects import ObjectSamples

Place = tuple[int, int]  # the number of a picture, and of an object in it


def drawn_objects(samples: ObjectSamples, classes: int, shots: int, seed: int) -> list[list[Place]]:
    """Where so many objects of each class are, at most; groups are left out. The same for the same seed."""
    generator = np.random.default_rng(seed)
    places: list[list[Place]] = [[] for _ in range(classes)]
    for number, sample in enumerate(samples):
        for i, (label, crowd) in enumerate(zip(sample.labels.tolist(), sample.crowd.tolist(), strict=True)):
            if not crowd:
                places[label].append((number, i))
    return [[own[place] for place in generator.permutation(len(own))[:shots].tolist()] for own in places]


def few_of(samples: ObjectSamples, classes: int, shots: int, seed: int) -> ObjectSamples:
    """The pictures of drawn objects, with these alone; of their other classes there may be more."""
    kept: dict[int, list[int]] = defaultdict(list)
    for own in drawn_objects(samples, classes, shots, seed):
        for number, i in own:
            kept[number].append(i)
    chosen = []
    for number in sorted(kept):
        sample = samples[number]
        others = np.delete(sample.labels, kept[number]).tolist()
        partial = tuple(sorted({*sample.partial, *others}))
        chosen.append(sample.chosen(sorted(kept[number]))._replace(partial=partial))
    return ObjectSamples(chosen)
