"""What `chalice local` serves, with a deadline of its own; run as `python -m tools.child tests.support.serve_with_timeout <port> <seconds>`."""

import sys

from chalicelib import deadline
from tools.local.server import serve

if __name__ == "__main__":
    deadline.REQUEST_TIMEOUT = float(sys.argv[2])
    serve("127.0.0.1", sys.argv[1], "local")
