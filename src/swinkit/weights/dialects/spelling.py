"""What a dialect is: a table of names that reads both ways, and tensor functions for the rest.

A template such as `features.{2s+1}.` stands for the stage s counted from 0: it reads "features.3." as s = 1.
Pairs are (theirs, ours); ours are Microsoft's names, FACTS §3.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from swinkit.core.windows import Fit, Remainder
from swinkit.weights.containers import is_average

Tensors = dict[str, Tensor]
Pairs = tuple[tuple[str, str], ...]
_NUMBER = re.compile(r"\{(\d*)s(?:\+(\d+))?\}")


def _unchanged(tensors: Tensors) -> Tensors:
    return tensors


@dataclass(frozen=True)
class Dialect:
    """One ecosystem's spelling of a Swin.

    `starts` replace the beginning of a name (the first that fits counts), `inner` any part of it after
    that. `aliases` are starts and inner parts that are read but never written. `reads` works on renamed
    tensors, `writes` undoes it on ours before they are renamed. `marks` is searched in the names of a file.
    `no_qkv_bias` and `no_patch_norm` say that its code can build models without. `fit`, `dense_fit` and
    `video_fit` are the rules by which its classifiers, its backbones with a norm for each map and its video
    models lay windows; `whole_windows` says that its classifiers cannot pad; `patch_remainder` what its
    images' patches do with pixels beyond whole ones. `prefix_index` is that of its video models, which
    `mends_index` leaves behind in reading.
    """

    name: str
    title: str
    marks: str
    starts: Pairs
    inner: Pairs = ()
    aliases: Pairs = ()
    inner_aliases: Pairs = ()
    reads: Callable[[Tensors], Tensors] = field(default=_unchanged)
    writes: Callable[[Tensors], Tensors] = field(default=_unchanged)
    no_qkv_bias: bool = False
    no_patch_norm: bool = False
    fit: Fit = "square"
    dense_fit: Fit = "pad_shift"
    video_fit: Fit = "clamp"
    patch_remainder: Remainder = "pad"
    whole_windows: bool = False
    prefix_index: bool = False
    mends_index: bool = False

    def recognises(self, names: Sequence[str]) -> bool:
        """Whether one of the names is spelt this way only."""
        return any(re.search(self.marks, name) for name in names)

    def to_ours(self, name: str) -> str:
        """Their name, without prefix, as ours."""
        for theirs, ours in (*self.starts, *self.aliases):
            replaced = _replace_start(name, theirs, ours)
            if replaced is not None:
                name = replaced
                break
        for theirs, ours in (*self.inner_aliases, *self.inner):
            name = name.replace(theirs, ours)
        return name

    def to_theirs(self, name: str) -> str:
        """Our name as theirs."""
        for theirs, ours in self.inner:
            name = name.replace(ours, theirs)
        for theirs, ours in self.starts:
            replaced = _replace_start(name, ours, theirs)
            if replaced is not None:
                return replaced
        return name

    def prefix(self, names: Sequence[str]) -> str:
        """What stands before the backbone's names, as most of them have it: "module.backbone.", say."""
        votes = self._votes(names)
        # of averaged weights and the others the averaged ones; of a student and its slow copy the student
        return max(self.copies(names), key=lambda prefix: (is_average(prefix), votes[prefix]), default="")

    def copies(self, names: Sequence[str]) -> list[str]:
        """The prefixes of all backbones that are whole, or nearly."""
        votes = self._votes(names)
        most = max(votes.values(), default=0)
        return [prefix for prefix, count in votes.items() if 2 * count > most]

    def _votes(self, names: Sequence[str]) -> dict[str, int]:
        matches = (self._anywhere.search(name) for name in names)
        return Counter(match.string[: match.start()] for match in matches if match)

    @cached_property
    def _anywhere(self) -> re.Pattern[str]:
        body = [theirs for theirs, ours in (*self.starts, *self.aliases) if not ours.startswith("head")]
        return re.compile(r"(?:^|(?<=\.))(?:" + "|".join(_pattern(theirs) for theirs in body) + ")")


def _pattern(template: str) -> str:
    """As a regular expression; the number's group is (?P<n>) only when it stands alone."""
    parts = _NUMBER.split(template)
    return r"\d+".join(re.escape(text) for text in parts[::3])


def _replace_start(name: str, old: str, new: str) -> str | None:
    """`name` with the template `old` at its start replaced by `new`; None where it does not start so."""
    number = _NUMBER.search(old)
    if number is None:
        return new + name[len(old) :] if name.startswith(old) else None
    head, tail = old[: number.start()], old[number.end() :]
    match = re.match(re.escape(head) + r"(\d+)" + re.escape(tail), name)
    if match is None:
        return None
    stage, rest = divmod(int(match[1]) - int(number[2] or 0), int(number[1] or 1))
    if rest or stage < 0:
        return None
    return _NUMBER.sub(lambda m: str(stage * int(m[1] or 1) + int(m[2] or 0)), new) + name[match.end() :]


def renamed(tensors: Mapping[str, Tensor], rename: Callable[[str], str]) -> Tensors:
    """All tensors under new names."""
    return {rename(name): tensor for name, tensor in tensors.items()}
