"""One of several processes that train together: engine/launch.py starts `python -m swinkit.worker RUN`."""

from __future__ import annotations

import os
import sys
import traceback

from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from swinkit.engine.launch import die_with_parent, lost_another
from swinkit.errors import InterruptedRunError, SwinkitError
from swinkit.training import fit_share


def main() -> None:
    """Train in a run folder; how it ended goes to the launcher, who tells the user."""
    die_with_parent()
    handler = get_error_handler()
    handler.initialize()
    code = 0
    try:
        fit_share(sys.argv[1])
    except InterruptedRunError as error:
        code = 128 + error.signal
    except Exception as error:  # noqa: BLE001, of whatever kind: the launcher must hear of it
        if not isinstance(error, SwinkitError) and not lost_another(str(error)):
            traceback.print_exc()
        handler.record_exception(error)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # gloo's threads, when they are torn down with the interpreter, abort the process now and then
    os._exit(code)


if __name__ == "__main__":
    main()
