"""Some objects of each class, drawn from labelled pictures."""

from __future__ import annotations

import numpy as np

from swinkit.data.detection.samples import NO_CLASS, Annotated, ObjectSamples

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

    As somebody labels who stops where there are enough of a class: picture after picture, in an order that
    the seed draws, so that the first ones are whole and tell what is not there. The regions of
    a picture's other objects are ignored, and of their classes there may be more in it.
    """
    left = np.full(classes, shots)
    chosen: dict[int, Annotated] = {}
    for number in np.random.default_rng(seed).permutation(len(samples)).tolist():
        if not left.any():
            break
        sample = samples[number]
        places = np.flatnonzero(~sample.crowd)
        own = sample.labels[places]
        fits = np.array([(own[:i] == label).sum() < left[label] for i, label in enumerate(own)], bool)
        if fits.any():
            left -= np.bincount(own[fits], minlength=classes)
            others = np.delete(sample.labels, places[fits]).tolist()
            partial = tuple(sorted({*sample.partial, *others} - {NO_CLASS}))
            hidden = np.delete(sample.boxes, places[fits], axis=0)
            shown = sample.chosen(places[fits].tolist())
            chosen[number] = shown._replace(partial=partial, ignored=tuple(map(tuple, hidden.tolist())))
    return ObjectSamples(chosen[number] for number in sorted(chosen))
