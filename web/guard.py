"""Guard: WSGI middleware that turns away what no page of ours would send, before the app runs.

It stands outside Flask because Flask's own host check comes after its before_request hooks.
"""

import hmac
import ipaddress
import json
import secrets
import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Refusal = tuple[str, str, str]  # HTTP status line, error code, message
MAX_BODY = 64 * 1024  # bytes
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SECURITY_HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]


class Guard:
    """Wraps a WSGI app that listens on `host`.

    On a loopback address only loopback names pass as Host. Beyond loopback a token is asked for as well: the given
    one, else a random one.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], host: str = "127.0.0.1", token: str | None = None) -> None:
        self._app = app
        self._host = host
        self._beyond_loopback = not is_loopback(host)
        self._names = LOOPBACK_NAMES | {host.lower()}
        if self._beyond_loopback:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self.token = token or new_token(host)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def start_with_headers(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, headers + SECURITY_HEADERS, *more)

        refusal = self._refuse_host(environ)
        if refusal is None and self.token:
            if hmac.compare_digest(_query_token(environ), self.token):
                return _remember_token(self.token, environ, start_with_headers)
            refusal = self._refuse_token(environ)
        refusal = refusal or _refuse_write(environ)
        if refusal:
            return _answer(refusal, start_with_headers)
        return self._app(environ, start_with_headers)

    def _refuse_host(self, environ: Environ) -> Refusal | None:
        """Names must match exactly; by IP address a page of another site cannot be rebound to us."""
        given = environ.get("HTTP_HOST", "")
        name = host_name(given)
        if name in self._names or (self._beyond_loopback and _is_address(name)):
            return None
        return "400 Bad Request", "bad_host", f"Host must be {', '.join(sorted(self._names))}, got {given[:100]!a}"

    def _refuse_token(self, environ: Environ) -> Refusal | None:
        cookie = _cookies(environ).get(_cookie_name(environ))
        given = cookie or environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
        if hmac.compare_digest(given.encode(), str(self.token).encode()):
            return None
        return "401 Unauthorized", "token_needed", "Open the address with ?token=… that the server printed at its start"


def new_token(host: str) -> str | None:
    """Return a random token for a server that listens on `host`; None on a loopback address, which needs none."""
    return None if is_loopback(host) else secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host_header: str) -> str:
    """Return the lower-case name in a Host header without its port, or "" where it is malformed."""
    try:
        parts = urlsplit(f"//{host_header}")
        parts.port  # noqa: B018 - raises ValueError where the port is not a number
    except ValueError:
        return ""
    clean = not (parts.path or parts.query or parts.fragment or parts.username is not None)
    return (parts.hostname or "") if clean else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refuse_write(environ: Environ) -> Refusal | None:
    """Let a change of state through only from our own page, or from a program that sets no Origin."""
    if environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS"):
        return None
    origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE", "none")
    ours = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}"
    if origin not in (None, ours) or site not in ("same-origin", "none"):
        return "403 Forbidden", "foreign_origin", f"Origin must be {ours}, got {str(origin)[:100]!a} ({site[:20]!a})"
    if environ.get("CONTENT_TYPE", "").split(";")[0].strip().lower() != "application/json":
        given = environ.get("CONTENT_TYPE", "")[:100]
        return "415 Unsupported Media Type", "not_json", f"Content-Type must be application/json, got {given!a}"
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return "400 Bad Request", "bad_length", "Content-Length must be a whole number"
    if length > MAX_BODY:
        return "413 Content Too Large", "too_large", f"A body must be at most {MAX_BODY} bytes, got {length}"
    return None


def _query_token(environ: Environ) -> str:
    return parse_qs(environ.get("QUERY_STRING", "")).get("token", [""])[0].encode("ascii", "replace").decode()


def _cookie_name(environ: Environ) -> str:
    """Return a name of our own for each port that browsers see: they send a host's cookies to all its ports."""
    port = urlsplit(f"//{environ['HTTP_HOST']}").port
    return f"monitor_token_{port or environ['SERVER_PORT']}"


def _cookies(environ: Environ) -> dict[str, str]:
    """Return the cookies by name, whatever other programs of this host have put into theirs."""
    pairs = (part.strip().partition("=") for part in environ.get("HTTP_COOKIE", "").split(";"))
    return {name: value for name, _, value in pairs}


def _remember_token(token: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Keep the token in a cookie and lead to the address without it, so that it stays out of the history."""
    cookie = f"{_cookie_name(environ)}={token}; HttpOnly; SameSite=Strict; Path=/"
    others = [pair for pair in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True) if pair[0] != "token"]
    address = f"{environ['PATH_INFO']}?{urlencode(others, safe='/')}" if others else environ["PATH_INFO"]
    start_response("303 See Other", [("Location", address), ("Set-Cookie", cookie)])
    return [b""]


def _answer(refusal: Refusal, start_response: StartResponse) -> Iterable[bytes]:
    status, code, message = refusal
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
