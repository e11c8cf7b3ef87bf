"""What ministack's sign-in pages lack: a session, so that nobody is asked twice within an hour, and /oauth2/revoke.

A cookie names the session, and /logout ends it (Amazon Cognito Developer Guide, "User pool managed login").
"""

import secrets
import time
from http import HTTPStatus
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ministack.services import cognito

_LIFETIME = 3600  # seconds
_sessions: dict[str, tuple[str, float]] = {}
"""User and end of each session."""
_Response = tuple[int, dict[str, str], bytes]
_Query = dict[str, list[str]]


def apply() -> None:
    """Add both to ministack, in this process."""
    handle = cognito.handle_request
    show_form, submit_form, log_out = cognito.handle_oauth2_authorize, cognito.handle_login_submit, cognito.handle_logout

    def authorize(method: str, path: str, headers: dict[str, str], query: _Query) -> _Response:
        response: _Response = show_form(method, path, headers, query)
        username, end = _sessions.get(_session_id(headers), ("", 0.0))
        if response[0] != HTTPStatus.OK or time.time() > end:  # a request with mistakes, or nobody signed in
            return response
        request = {name: values[0] for name, values in query.items()}
        pool, _, _ = cognito._find_pool_by_client_id(request["client_id"])  # noqa: SLF001 - ministack offers no public function
        wanted = ("redirect_uri", "scope", "nonce", "code_challenge", "code_challenge_method", "state")
        values = {name: request.get(name, "") for name in wanted}
        redirect: _Response = cognito._issue_auth_code_redirect(  # noqa: SLF001 - likewise
            client_id=request["client_id"], pool_id=pool, username=username, **values
        )
        return redirect

    def login(method: str, path: str, headers: dict[str, str], body: bytes, query: _Query) -> _Response:
        status, own, content = submit_form(method, path, headers, body, query)
        code = parse_qs(urlsplit(own.get("Location", "")).query).get("code", [""])[0]
        if code:
            session = secrets.token_urlsafe()
            username = cognito._authorization_codes[code]["username"]  # noqa: SLF001 - likewise
            _sessions[session] = (username, time.time() + _LIFETIME)
            own |= {"Set-Cookie": _cookie(session, _LIFETIME)}
        return status, own, content

    def logout(method: str, path: str, headers: dict[str, str], query: _Query) -> _Response:
        status, own, content = log_out(method, path, headers, query)
        _sessions.pop(_session_id(headers), None)
        return status, own | {"Set-Cookie": _cookie("", 0)}, content

    async def request(method: str, path: str, headers: dict[str, str], body: bytes, query: _Query) -> _Response:
        if path == "/oauth2/revoke":
            cognito._revoke_token({"Token": parse_qs(body.decode())["token"][0]})  # noqa: SLF001 - likewise
            return 200, {}, b""
        response: _Response = await handle(method, path, headers, body, query)
        return response

    cognito.handle_oauth2_authorize, cognito.handle_login_submit, cognito.handle_logout = authorize, login, logout
    cognito.handle_request = request


def _session_id(headers: dict[str, Any]) -> str:
    cookie = SimpleCookie(headers.get("cookie", "")).get("cognito")
    return cookie.value if cookie else ""


def _cookie(session: str, seconds: int) -> str:
    return f"cognito={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"
