"""What a prediction returns, and its JSON and CSV forms."""

from __future__ import annotations

from swinkit.results.base import Failure, Result
from swinkit.results.classes import Classes, Moment, Timeline
from swinkit.results.maps import SegmentationMap, SegmentedVideo
from swinkit.results.objects import DetectedVideo, Detections, import_supervision
from swinkit.results.writing import record, results_files, write_csv, write_json

__all__ = [
    "Classes",
    "DetectedVideo",
    "Detections",
    "Failure",
    "Moment",
    "Result",
    "SegmentationMap",
    "SegmentedVideo",
    "Timeline",
    "import_supervision",
    "record",
    "results_files",
    "write_csv",
    "write_json",
]
