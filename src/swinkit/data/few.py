"""Some objects of each class, drawn from labelled pictures."""

from __future__ import annotations

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
    """So many objects of each class, at most, and the pictures that they are in.

    Pictures of which all objects count come first, for they tell too what is not there. Of the classes whose
    other objects are left out of a picture there may be more in it.
    """
    order = np.random.default_rng(seed).permutation(len(samples)).tolist()
    left = np.full(classes, shots)
    kept: dict[int, list[int]] = {}
    for whole in (True, False):
        for number in order:
            sample = samples[number]
            places = np.flatnonzero(~sample.crowd)
            own = sample.labels[places]
            fits = np.array([(own[:i] == label).sum() < left[label] for i, label in enumerate(own)], bool)
            if number in kept or not fits.any() or (whole and not fits.all()):
                continue
            kept[number] = places[fits].tolist()
            left -= np.bincount(own[fits], minlength=classes)
    chosen = []
    for number in sorted(kept):
        sample = samples[number]
        others = np.delete(sample.labels, kept[number]).tolist()
        partial = tuple(sorted({*sample.partial, *others}))
        chosen.append(sample.chosen(kept[number])._replace(partial=partial))
    return ObjectSamples(chosen)
