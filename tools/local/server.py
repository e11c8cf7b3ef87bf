"""Serves the app over HTTP on this machine, and restarts it when a file changes."""

import logging
import os
import sys
from collections.abc import Iterable
from multiprocessing import get_context
from multiprocessing.context import SpawnProcess
from pathlib import Path

from chalice.cli.factory import CLIFactory
from chalice.deploy.validate import validate_routes
from watchfiles import Change, DefaultFilter, watch

from tools.errors import describe
from tools.local import web
from tools.stages import LOCAL, ROOT, environment_variables

_SHIPPED = ROOT / "chalicelib"
_FILES = {ROOT / name for name in ("app.py", ".chalice/config.json", "tools/local/gateway.py")}
_STOP_TIMEOUT = 5  # seconds


class _Filter(DefaultFilter):
    """Accepts the files of the app, but not what editors and Python write next to them."""

    def __call__(self, change: Change, path: str) -> bool:
        return (Path(path) in _FILES or Path(path).is_relative_to(_SHIPPED)) and super().__call__(change, path)


def main(host: str, port: str, stage: str, reload: str) -> None:
    """Serve until a signal; if `reload` is not empty, restart when a file changes."""
    if reload:
        _serve_and_reload(host, port, stage, "It restarts when a file changes.")
    else:
        serve(host, port, stage)


def _serve_and_reload(*arguments: str) -> None:
    """Serve in a child process, and replace it when a file changes.

    Watches folders, not files: most editors and git replace a file, and a watch would stay on the old one.
    """
    server = _start(arguments)
    try:
        while True:
            folders = _folders()
            for changes in watch(*folders, watch_filter=_Filter(), recursive=False):
                names = sorted({str(Path(path).relative_to(ROOT)) for _, path in changes})
                print(f"Changed: {', '.join(names)}. Restarting ...", flush=True)
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
    process.join(_STOP_TIMEOUT)
    process.kill()
    process.join()


def serve(host: str, port: str, stage: str, next_step: str = "") -> None:
    """Serve the app until a signal; if it cannot be imported, print the cause and the next step."""
    os.environ.update(environment_variables(stage) | ({"WEB_ORIGIN": web.read_origin()} if stage == LOCAL else {}))
    # Bytecode counts as current while the size and the second of its file stay, and a file may be saved twice in a second.
    sys.dont_write_bytecode = True
    try:
        from tools.local import gateway  # noqa: PLC0415 - it imports chalicelib, which reads the settings

        config = CLIFactory(str(ROOT), environ=os.environ).create_config_obj(chalice_stage_name=stage)
        app = config.chalice_app
        validate_routes(app.routes)
        app.log.addHandler(logging.StreamHandler())  # prints exceptions and log messages, which Lambda never does
        app.log.setLevel(logging.INFO)
        gateway.serve(app, config, host, int(port))
    except KeyboardInterrupt:
        pass
    except Exception as error:  # noqa: BLE001 - any error of the app's modules
        # Chalice makes a RuntimeError of a SyntaxError, without the file's name in a form that an editor opens.
        cause = error.__context__ if isinstance(error.__context__, SyntaxError) else error
        print(f"The app did not start: {describe(cause)}\n{next_step}".strip(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
