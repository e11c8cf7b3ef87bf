"""A fake Cognito user pool: RSA keys, a JWKS server for the public keys, and functions that make claims and tokens."""

import json
import threading
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

REGION = "eu-central-1"
ACCOUNT = "123456789012"
POOL_ID = f"{REGION}_Pool12345"
ARN = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{POOL_ID}"
ISSUER = f"https://cognito-idp.{REGION}.amazonaws.com/{POOL_ID}"
MACHINE_CLIENT = "7machine8client9of0the1stage"
WEB_CLIENT = "1web2client3of4the5stage6"

KEYS = {
    kid: rsa.generate_private_key(public_exponent=65537, key_size=2048) for kid in ("for-id", "for-access", "unpublished")
}
JWKS = {
    "keys": [
        json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEYS[kid].public_key())) | {"kid": kid, "use": "sig", "alg": "RS256"}
        for kid in ("for-id", "for-access")
    ]
}


def id_claims(sub: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return the claims of an ID token of the web client; keyword arguments replace claims, None removes one."""
    now = int(datetime.now(UTC).timestamp())  # the clock that PyJWT reads
    sub = sub or str(uuid.uuid4())
    claims = {
        "sub": sub,
        "iss": ISSUER,
        "aud": WEB_CLIENT,
        "token_use": "id",
        "cognito:username": sub,
        "email": "somebody@example.com",
        "email_verified": True,
        "auth_time": now,
        "iat": now,
        "exp": now + 3600,
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}


def access_claims(sub: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return the claims of a user's access token."""
    access = dict.fromkeys(["aud", "email", "email_verified", "cognito:username"]) | {
        "token_use": "access",
        "client_id": WEB_CLIENT,
        "scope": "aws.cognito.signin.user.admin",
        "username": sub or "somebody",
    }
    return id_claims(sub, **access | changes)


def machine_claims(client_id: Any = MACHINE_CLIENT, **changes: Any) -> dict[str, Any]:
    """Return the claims of an access token from client credentials."""
    return access_claims(client_id, **{"client_id": client_id, "scope": "task-api/sms", "username": None} | changes)


def token(claims: dict[str, Any], kid: str = "for-id", **header: Any) -> str:
    """Return a JWT of the claims, signed with a key of the pool."""
    return jwt.api_jws.encode(json.dumps(claims).encode(), KEYS[kid], "RS256", {"kid": kid} | header)


class KeyServer(ThreadingHTTPServer):
    """JWKS server: `fetches` holds the requested paths, `reply` and `status` are the response."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fetches: list[str] = []
        self.reply: bytes = json.dumps(JWKS).encode()
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: KeyServer

    def do_GET(self) -> None:
        self.server.fetches.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.reply)))
        self.end_headers()
        self.wfile.write(self.server.reply)

    def log_message(self, *_: object) -> None:
        pass


def serve() -> KeyServer:
    """Start a key server in a background thread."""
    server = KeyServer()
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.05), daemon=True).start()
    return server
