"""The API on this machine: what `chalice local` serves, started again whenever a file of it changes."""

import logging
import os
import sys
import traceback
from collections.abc import Set as AbstractSet
from pathlib import Path

from chalice.cli import run_local_server
from chalice.cli.factory import CLIFactory
from watchfiles import Change, run_process

from local import environment
from local.environment import ROOT

_WATCHED = [ROOT / path for path in ("app.py", "chalicelib", ".chalice/config.json", "local/gateway.py")]


def main(host: str, port: str, stage: str, reload: str) -> None:
    """Serve on that port until a signal comes, and start again when a file changes, if asked to."""
    if not reload:
        serve(host, port, stage)
        return
    logging.getLogger("watchfiles").addHandler(logging.NullHandler())  # it has a word for every signal
    run_process(*_WATCHED, target="local.server.serve", target_type="function", args=(host, port, stage), callback=_tell)


def serve(host: str, port: str, stage: str) -> None:
    """Serve the app as it is now; say what is wrong with it if it cannot be."""
    os.environ.update(environment.variables(stage))
    try:
        import local.gateway  # noqa: F401, PLC0415 - makes Chalice's server behave as API Gateway does; it reads the settings

        run_local_server(CLIFactory(str(ROOT), environ=os.environ), host, int(port), stage)
    except KeyboardInterrupt:
        pass
    except Exception as error:  # noqa: BLE001 - whatever keeps the app from being imported
        cause: BaseException = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__ or cause
        frames = traceback.extract_tb(cause.__traceback__)
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        what = "".join(traceback.format_exception_only(cause)).strip()
        print(f"The app does not start: {what}{where}\nIt is tried again when a file changes.", flush=True)


def _tell(changes: AbstractSet[tuple[Change, str]]) -> None:
    names = sorted({str(Path(path).relative_to(ROOT)) for _, path in changes})
    print(f"Changed: {', '.join(names)}. Starting again ...", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
