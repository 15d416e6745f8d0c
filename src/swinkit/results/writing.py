"""Answers as files: JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from swinkit.data.video import with_span
from swinkit.files import write_text
from swinkit.results.base import Result


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write results as a JSON list, in order."""
    text = json.dumps([result.to_dict() for result in results], indent=2, ensure_ascii=False) + "\n"
    write_text(path, text)


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write one row an answer, best first: path, rank, name, score, error; of objects also their boxes.

    Of a map of classes the score is the share of the pixels. A window of a video is its path with a stretch,
    `video.mp4#t=1.5,4`, which can be given to predict again.
    """
    every = [result.to_dict() for result in results]
    edges = ("x1", "y1", "x2", "y2")
    more = ("category_id", *edges) if any("objects" in values for values in every) else ()
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ["path", "rank", "name", "score", *more, "error"], restval="", lineterminator="\n"
    )
    writer.writeheader()
    for values in every:
        answers = {values["path"]: values.get("classes", values.get("objects", []))}
        for moment in values.get("moments", ()):
            answers[with_span(values["path"], moment["start"], moment["end"])] = moment["classes"]
        for place, rows in answers.items():
            for rank, row in enumerate(rows, start=1):
                score = row.get("score", row.get("share"))
                box = dict(zip(edges, row.get("box", ()), strict=False))
                own = {"category_id": row["category_id"], **box} if box else {}
                writer.writerow({"path": place, "rank": rank, "name": row["name"], "score": score, **own})
        if "error" in values:
            writer.writerow({"path": values["path"], "error": values["error"]})
    write_text(path, text.getvalue())
