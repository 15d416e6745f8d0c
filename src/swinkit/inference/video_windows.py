"""A long video, window by window: decoded once, answered as it runs, in memory that does not grow."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from swinkit.config.predict import PredictConfig
from swinkit.config.preprocessing import Clips
from swinkit.data.classification.transforms import evaluation_transform
from swinkit.data.io.video import open_footage
from swinkit.errors import ClipError
from swinkit.inference.film import Film
from swinkit.inference.output import Names
from swinkit.inference.timeline import TimelineTable, draw_timeline
from swinkit.progress import Advance
from swinkit.results import Classes, Moment, Timeline
from swinkit.tasks.base import Task


class Sink(Protocol):
    """Who is told what is seen and answered, in order of time."""

    def saw(self, time: float, image: Image.Image) -> None:
        """Take a frame."""

    def answered(self, moment: Moment) -> None:
        """Take an answer; its window has just ended."""


def stream_video(
    task: Task,
    path: Path,
    config: PredictConfig,
    names: Names | None,
    *,
    advance: Advance = lambda *, completed, total: None,
) -> Timeline:
    """Answer every window of a video; windows begin `config.hop` seconds apart, by default half a window.

    With `names` a table and a film with the answers in it are written as it runs, so that whatever stops it
    leaves what was answered, and at the end a picture of the whole. Each frame is decoded once. At damage it
    ends: the result has the windows before, and its `error` names the damage. Raises ClipError for a file
    that cannot be read, or that is damaged before a frame can be shown.
    """
    clip = task.preprocessing.clip
    assert clip is not None  # it is a video model
    moments: list[Moment] = []
    damage: str | None = None
    with ExitStack() as opened:
        footage = opened.enter_context(open_footage(path, rate=clip.fps))
        if footage.rate is None:
            raise ClipError(f"{path} is a folder of pictures without times: `stream` takes videos.")
        windows = Windows(task, clip, footage.rate, config.hop)
        sinks: list[Sink] = []
        if names is not None:
            table, film, picture = names.free(path, ".csv", ".mp4", ".png")
            sinks.append(opened.enter_context(TimelineTable(table)))
            sinks.append(opened.enter_context(Film(film, footage.rate, windows.hop)))

        def answer(moment: Moment | None) -> None:
            if moment is not None:
                moments.append(moment)
                for sink in sinks:
                    sink.answered(moment)

        step = 1 if sinks else clip.stride
        try:
            for number, image in enumerate(footage.every(step)):
                tick = number * step
                for sink in sinks:
                    sink.saw(tick / footage.rate, image)
                answer(windows.see(tick, image))
                advance(completed=tick + 1, total=max(tick + 1, footage.ticks))
        except ClipError as error:
            if not windows.has_frames:
                raise
            damage = str(error)
        answer(windows.rest())
    if not moments:
        raise ClipError(f"{path} holds no frame that can be decoded; remove or replace it.")
    if names is not None:
        draw_timeline(moments, picture)
    return Timeline(str(path), footage.size, tuple(moments), error=damage)


class Windows:
    """Answers for windows of a clip's length; those that overlap share their frames."""

    def __init__(self, task: Task, clip: Clips, rate: float, hop: float | None) -> None:
        self._task, self._clip, self._rate = task, clip, rate
        self._transform = evaluation_transform(task.preprocessing)
        wanted = clip.frames / 2 if hop is None else hop * rate / clip.stride
        self._hop = max(1.0, wanted)  # in frames of a clip
        self.hop = self._hop * clip.stride / rate
        self._kept: deque[Tensor] = deque(maxlen=clip.frames)
        self._seen = self._answered = 0  # frames of a clip; the last of them when it was answered last
        self._windows = 0

    @property
    def has_frames(self) -> bool:
        """Whether a frame was seen."""
        return self._seen > 0

    def see(self, tick: int, image: Image.Image) -> Moment | None:
        """Take the next frame; the answer where a window ends with it."""
        if tick % self._clip.stride:
            return None
        self._kept.append(self._transform(image))
        self._seen += 1
        # from the frame nearest to its time, so that what is rounded does not add up
        due = self._clip.frames + round(self._windows * self._hop)
        return self._answer() if self._seen == due else None

    def rest(self) -> Moment | None:
        """The answer for the end of the video, where the last window does not reach it."""
        return self._answer() if self._seen > self._answered else None

    @torch.inference_mode()
    def _answer(self) -> Moment:
        self._answered = self._seen
        self._windows += 1
        frames = [self._kept[i % len(self._kept)] for i in range(self._clip.frames)]  # a short video anew
        task, step = self._task, self._clip.stride / self._rate
        raw = task(torch.stack(frames, dim=-3)[None].to(task.device, task.dtype))
        (result,) = task.postprocess(raw, [(0, 0)])
        assert isinstance(result, Classes)
        end = self._seen * step
        return Moment(end - len(self._kept) * step, end, result.labels, result.names, result.scores)
