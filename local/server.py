"""The API on this machine: what `chalice local` serves, started again whenever a file of it changes."""

import logging
import os
import sys
import traceback
from collections.abc import Iterable
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path

from chalice.cli.factory import CLIFactory
from chalice.deploy.validate import validate_routes
from watchfiles import Change, DefaultFilter, watch

from local import environment
from local.environment import ROOT

_SHIPPED = ROOT / "chalicelib"
_FILES = {ROOT / name for name in ("app.py", ".chalice/config.json", "local/gateway.py")}
_SECONDS_TO_END = 5


class _Filter(DefaultFilter):
    """Takes the files that the API is made of; what editors and Python write beside them is none."""

    def __call__(self, change: Change, path: str) -> bool:
        return (Path(path) in _FILES or Path(path).is_relative_to(_SHIPPED)) and super().__call__(change, path)


def main(host: str, port: str, stage: str, reload: str) -> None:
    """Serve on that port until a signal comes, and start again when a file changes, if asked to."""
    if reload:
        _serve_and_reload(host, port, stage, "It is tried again when a file changes.")
    else:
        serve(host, port, stage)


def _serve_and_reload(*arguments: str) -> None:
    """Serve in a process of its own, and replace it when a file changes.

    Folders are watched, not files: most editors and git replace a file, and a watch on it would follow the old one.
    """
    server = _start(arguments)
    try:
        while True:
            folders = _folders()
            for changes in watch(*folders, watch_filter=_Filter(), recursive=False):
                names = sorted({str(Path(path).relative_to(ROOT)) for _, path in changes})
                print(f"Changed: {', '.join(names)}. Starting again ...", flush=True)
                _stop(server)
                server = _start(arguments)
                if _folders() != folders:
                    break
    except KeyboardInterrupt:
        pass
    finally:
        _stop(server)


def _folders() -> list[Path]:
    below = [folder for folder in sorted(_SHIPPED.rglob("*")) if folder.is_dir() and folder.name != "__pycache__"]
    return [*sorted({file.parent for file in _FILES}), _SHIPPED, *below]


def _start(arguments: Iterable[str]) -> SpawnProcess:
    process = get_context("spawn").Process(target=serve, args=tuple(arguments))
    process.start()
    return process


def _stop(process: SpawnProcess) -> None:
    process.terminate()
    process.join(_SECONDS_TO_END)
    process.kill()
    process.join()


def serve(host: str, port: str, stage: str, then: str = "") -> None:
    """Serve the app as it is now; say what is wrong with it if it cannot be, and what happens then."""
    os.environ.update(environment.variables(stage))
    # Bytecode counts as current while the size and the second of its file stay, and a file may be saved twice in a second.
    sys.dont_write_bytecode = True
    try:
        from local import gateway  # noqa: PLC0415 - it imports the app, which reads the settings

        config = CLIFactory(str(ROOT), environ=os.environ).create_config_obj(chalice_stage_name=stage)
        app = config.chalice_app
        validate_routes(app.routes)
        app.log.addHandler(
            logging.StreamHandler()
        )  # texts of exceptions and of the app's own log: here alone, never in Lambda
        app.log.setLevel(logging.INFO)
        gateway.serve(app, config, host, int(port))
    except KeyboardInterrupt:
        pass
    except Exception as error:  # noqa: BLE001 - whatever keeps the app from being imported
        cause: BaseException = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__ or cause
        frames = traceback.extract_tb(cause.__traceback__)
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        what = "".join(traceback.format_exception_only(cause)).strip()
        print(f"The app does not start: {what}{where}\n{then}".strip(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
