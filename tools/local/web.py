"""Serves the web app of web/ at the origin that the API allows to call it: http://localhost:3000."""

import gzip
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import waitress

from tools import stages
from tools.deploy import web
from tools.errors import CommandError
from tools.local.settings import HOST


def read_origin() -> str:
    """Return the origin whose pages may call the API: that of the web app, or those of front ends of your own.

    WEB_ORIGIN names these, separated by commas; WEB_PORT another port for the web app. Raises CommandError.
    """
    origin = os.environ.get("WEB_ORIGIN", "")
    if not all(re.fullmatch(r"((https?|capacitor|tauri)://[a-z0-9.-]+(:[0-9]{1,5})?)?", one) for one in origin.split(",")):
        message = f"WEB_ORIGIN={origin} is not an origin. Use scheme, host and port alone, such as http://localhost:5173"
        raise CommandError(message)
    port = os.environ.get("WEB_PORT", "")
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
        message = f"WEB_PORT={port} is not a port. Use a number from 1 to 65535."
        raise CommandError(message)
    default = stages.environment_variables(stages.LOCAL)["WEB_ORIGIN"]
    return origin or (f"http://localhost:{port}" if port else default)


@contextmanager
def serve(api: str) -> Iterator[str]:
    """Serve the web app within a `with` block, unless a front end of your own or another program has its place.

    Yields a sentence for the user.
    """
    origin = read_origin()
    port = urlsplit(origin).port or 80
    sign_in = os.environ["AWS_ENDPOINT_URL"]
    if os.environ.get("WEB_ORIGIN"):
        yield f"Pages of {origin} may call the API; README.md, From a web app, says how."
        return
    if not _is_free(port):
        yield f"Port {port} is in use, so the web app is not served. Choose another one: make run WEB_PORT={port + 1}"
        return
    config = {"api": api, "signIn": sign_in, "clientId": os.environ["WEB_CLIENT_ID"]}
    application = _wsgi(json.dumps(config).encode(), web.headers(api, sign_in))
    server: Any = waitress.create_server(application, host=HOST, port=port, threads=8, ident=None)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"The web app is at {origin}"
    finally:
        server.close()


def _is_free(port: int) -> bool:
    """Return whether nothing serves http://localhost on that port, over IPv4 or IPv6: a browser may try either."""
    try:
        socket.create_connection(("localhost", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def _wsgi(config: bytes, headers: dict[str, str]) -> Callable[..., list[bytes]]:
    def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        path, files = environ["PATH_INFO"], web.files()
        served = files.get(path, files["/index.html"])
        content, suffix = (config, ".json") if path == "/config.json" else (served.read_bytes(), served.suffix)
        own = {"Content-Type": web.CONTENT_TYPES[suffix], "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            content, own["Content-Encoding"] = gzip.compress(content), "gzip"
        start_response("200 OK", list((headers | own).items()))
        return [content]

    return application
