"""One of several training processes: training/launch.py starts `python -m swinkit.training.worker RUN`."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from types import FrameType


def main() -> None:
    """Train in a run folder; how it ended goes to the launcher, who tells the user."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave_at_once)  # until training listens itself; torch takes seconds to import
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    from swinkit.errors import InterruptedRunError, SwinkitError, leave
    from swinkit.training.launch import die_with_parent, lost_another
    from swinkit.training.run import fit_share

    die_with_parent()
    handler = get_error_handler()
    handler.initialize()
    try:
        fit_share(sys.argv[1])
    except InterruptedRunError as error:
        leave(128 + error.signal)
    except Exception as error:  # noqa: BLE001, of whatever kind: the launcher must hear of it
        if not isinstance(error, SwinkitError) and not lost_another(str(error)):
            traceback.print_exc()
        handler.record_exception(error)
        leave(1)
    leave(0)


def _leave_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
