import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from web.guard import MAX_BODY, SECURITY_HEADERS, Guard, host_name, is_loopback


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, str]:
        error: dict[str, str] = json.loads(self.body)["error"]
        return error


class App:
    """A WSGI app that says yes to everything and counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.calls += 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"yes"]


def ask(guard: Guard, method: str = "GET", path: str = "/", query: str = "", **variables: str) -> Answer:
    """Send a request past a guard; variables are those of WSGI, such as HTTP_HOST."""
    answer: list[Any] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost:8080",
    } | variables

    def start_response(status: str, headers: list[tuple[str, str]], *more: Any) -> None:
        answer[:] = [int(status.split()[0]), dict(headers)]

    body = b"".join(guard({name: value for name, value in environ.items() if value != "absent"}, start_response))
    return Answer(answer[0], answer[1], body)


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def guard(app: App) -> Guard:
    return Guard(app)


@pytest.fixture
def open_guard(app: App) -> Guard:
    """One whose server listens beyond loopback."""
    return Guard(app, "0.0.0.0")


JSON = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "2"}


# Host


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("localhost:8080", "localhost"),
        ("LocalHost:8080", "localhost"),
        ("127.0.0.1:8080", "127.0.0.1"),
        ("[::1]:8080", "::1"),
        ("[::1]", "::1"),
        ("evil.example", "evil.example"),
        ("localhost.evil.example", "localhost.evil.example"),
        ("", ""),
        ("localhost:port", ""),
        ("localhost:99999", ""),
        ("localhost/path", ""),
        ("localhost?query", ""),
        ("localhost@evil.example", ""),
        ("evil.example@localhost", ""),
        ("evil.example#@localhost", ""),
        ("[::1", ""),
    ],
)
def test_name_in_a_host_header_is_read_strictly(header: str, name: str) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("example.org", False),
    ],
)
def test_loopback_addresses_are_told_from_others(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    assert (Guard(App(), host).token is None) is loopback


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080"])
def test_our_own_names_pass(guard: Guard, app: App, host: str) -> None:
    assert ask(guard, HTTP_HOST=host).status == 200
    assert app.calls == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "evil-localhost", "127.0.0.1.evil.example", "10.0.0.1", "", "absent"],
)
def test_forged_host_is_refused_before_the_app_is_asked(guard: Guard, app: App, host: str, method: str) -> None:
    answer = ask(guard, method, HTTP_HOST=host, **JSON)
    assert (answer.status, app.calls) == (400, 0)
    assert answer.error["code"] == "bad_host"
    assert answer.error["message"].startswith("Host must be 127.0.0.1, ::1, localhost, got ")


def test_forged_host_is_shown_shortened_and_escaped(guard: Guard) -> None:
    message = ask(guard, HTTP_HOST="é<script>\n" + "x" * 1000).error["message"]
    assert "\\xe9<script>\\n" in message
    assert len(message) < 250


def test_address_listened_on_passes_as_a_host(app: App) -> None:
    assert ask(Guard(app, "127.0.0.5"), HTTP_HOST="127.0.0.5:8080").status == 200
    assert ask(Guard(app, "127.0.0.5"), HTTP_HOST="127.0.0.6:8080").status == 400


# Writing


@pytest.mark.parametrize(
    ("variables", "status", "code"),
    [
        ({"HTTP_ORIGIN": "http://evil.example"}, 403, "foreign_origin"),
        ({"HTTP_ORIGIN": "null"}, 403, "foreign_origin"),
        ({"HTTP_ORIGIN": ""}, 403, "foreign_origin"),
        ({"HTTP_ORIGIN": "http://localhost:9999"}, 403, "foreign_origin"),
        ({"HTTP_ORIGIN": "https://localhost:8080"}, 403, "foreign_origin"),
        ({"HTTP_ORIGIN": "http://localhost:8080.evil.example"}, 403, "foreign_origin"),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, 403, "foreign_origin"),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, 403, "foreign_origin"),
        ({"CONTENT_TYPE": "text/plain"}, 415, "not_json"),
        ({"CONTENT_TYPE": "application/x-www-form-urlencoded"}, 415, "not_json"),
        ({"CONTENT_TYPE": "multipart/form-data; boundary=x"}, 415, "not_json"),
        ({"CONTENT_TYPE": "text/plain; application/json"}, 415, "not_json"),
        ({"CONTENT_TYPE": ""}, 415, "not_json"),
        ({"CONTENT_TYPE": "absent"}, 415, "not_json"),
        ({"CONTENT_LENGTH": str(MAX_BODY + 1)}, 413, "too_large"),
        ({"CONTENT_LENGTH": str(10**9)}, 413, "too_large"),
        ({"CONTENT_LENGTH": "many"}, 400, "bad_length"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_write_that_no_page_of_ours_would_send_is_refused(
    guard: Guard, app: App, method: str, variables: dict[str, str], status: int, code: str
) -> None:
    answer = ask(guard, method, **(JSON | variables))
    assert (answer.status, answer.error["code"], app.calls) == (status, code, 0)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == str(len(answer.body))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HTTP_ORIGIN": "http://localhost:8080", "HTTP_SEC_FETCH_SITE": "same-origin"},
        {"HTTP_SEC_FETCH_SITE": "none"},
        {"CONTENT_TYPE": "application/json; charset=utf-8"},
        {"CONTENT_TYPE": "Application/JSON"},
        {"CONTENT_LENGTH": str(MAX_BODY)},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "absent"},
    ],
)
def test_write_from_our_page_or_from_curl_passes(guard: Guard, app: App, variables: dict[str, str]) -> None:
    assert ask(guard, "POST", **(JSON | variables)).status == 200
    assert app.calls == 1


def test_reading_needs_neither_origin_nor_content_type(guard: Guard) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        assert ask(guard, method).status == 200


# Headers


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"HTTP_HOST": "evil.example"},
        {"method": "POST", "CONTENT_TYPE": "text/plain"},
        {"method": "POST", **JSON, "HTTP_ORIGIN": "null"},
        {"method": "POST", **JSON, "CONTENT_LENGTH": str(10**9)},
    ],
)
def test_every_answer_carries_the_security_headers(guard: Guard, request_: dict[str, str]) -> None:
    assert dict(SECURITY_HEADERS).items() <= ask(guard, **request_).headers.items()


def test_policy_lets_nothing_in_from_elsewhere_and_nobody_frame_the_page() -> None:
    rules = dict(SECURITY_HEADERS)["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in rules
    assert "script-src 'self'" in rules
    assert "frame-ancestors 'none'" in rules
    assert not any("http" in rule or "*" in rule or "unsafe-eval" in rule for rule in rules)


# Beyond loopback


def test_token_is_random_and_has_24_bytes() -> None:
    tokens = {str(Guard(App(), "0.0.0.0").token) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) == 32 for token in tokens)  # base64 of 24 bytes


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HTTP_COOKIE": "monitor_token_8080=guess"},
        {"HTTP_COOKIE": "monitor_token_8080"},
        {"HTTP_COOKIE": "a=b; ;=;\x00"},
        {"HTTP_COOKIE": "monitor_token_8080=\xe9"},
        {"HTTP_AUTHORIZATION": "Bearer guess"},
        {"HTTP_AUTHORIZATION": "Bearer "},
        {"HTTP_AUTHORIZATION": "Bearer \xe9"},
        {"QUERY_STRING": "token="},
        {"QUERY_STRING": "token=guess"},
        {"QUERY_STRING": "token=%C3%A9%ff"},
    ],
)
def test_without_the_token_nobody_comes_in(open_guard: Guard, app: App, variables: dict[str, str], method: str) -> None:
    answer = ask(open_guard, method, **(JSON | variables))
    assert (answer.status, answer.error["code"], app.calls) == (401, "token_needed", 0)
    assert str(open_guard.token) not in str(answer)
    assert dict(SECURITY_HEADERS).items() <= answer.headers.items()


def test_token_in_the_address_becomes_a_cookie_and_leaves_the_address(open_guard: Guard, app: App) -> None:
    answer = ask(open_guard, path="/", query=f"token={open_guard.token}")
    assert (answer.status, answer.headers["Location"], app.calls) == (303, "/", 0)
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict"]
    assert ask(open_guard, HTTP_COOKIE=cookie).status == 200
    assert ask(open_guard, HTTP_COOKIE=f"other=1; {cookie}").status == 200
    assert app.calls == 2
    answer = ask(open_guard, path="/compare", query=f"a=r1/model1&token={open_guard.token}&b=r2/model2")
    assert answer.headers["Location"] == "/compare?a=r1/model1&b=r2/model2"


@pytest.mark.parametrize(
    "foreign",
    [
        'prefs={"theme": "dark", "tabs": [1, 2]}',
        "odd",
        "a[b]=c",
        "=",
        'open="quote',
        "x=\xe9",
        "monitor_token_9090=other",
    ],
)
def test_cookies_of_other_programs_on_the_host_lock_nobody_out(open_guard: Guard, foreign: str) -> None:
    ours = f"monitor_token_8080={open_guard.token}"
    assert ask(open_guard, HTTP_COOKIE=f"{foreign}; {ours}").status == 200
    assert ask(open_guard, HTTP_COOKIE=f"{ours}; {foreign}").status == 200


def test_two_servers_on_one_host_keep_their_cookies_apart() -> None:
    cookies = []
    for port in ("8080", "8081"):
        guard = Guard(App(), "0.0.0.0")
        answer = ask(guard, path="/", query=f"token={guard.token}", HTTP_HOST=f"127.0.0.1:{port}")
        cookies.append(answer.headers["Set-Cookie"].split("; ")[0])
        assert ask(guard, HTTP_HOST=f"127.0.0.1:{port}", HTTP_COOKIE="; ".join(cookies)).status == 200
    assert [cookie.split("=")[0] for cookie in cookies] == ["monitor_token_8080", "monitor_token_8081"]


def test_without_a_port_in_the_address_the_cookie_is_named_after_the_servers_own(open_guard: Guard) -> None:
    answer = ask(open_guard, path="/", query=f"token={open_guard.token}", HTTP_HOST="127.0.0.1", SERVER_PORT="80")
    assert answer.headers["Set-Cookie"].startswith("monitor_token_80=")


def test_token_also_passes_as_a_bearer(open_guard: Guard) -> None:
    assert ask(open_guard, HTTP_AUTHORIZATION=f"Bearer {open_guard.token}").status == 200


def test_token_does_not_open_the_door_to_foreign_pages(open_guard: Guard, app: App) -> None:
    authorised = JSON | {"HTTP_COOKIE": f"monitor_token_8080={open_guard.token}"}
    assert ask(open_guard, "POST", **authorised, HTTP_ORIGIN="http://evil.example").status == 403
    assert ask(open_guard, "POST", **(authorised | {"CONTENT_TYPE": "text/plain"})).status == 415
    assert ask(open_guard, "GET", **authorised, HTTP_HOST="evil.example").status == 400
    assert app.calls == 0


def test_beyond_loopback_any_address_passes_as_a_host_but_no_foreign_name(
    open_guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {open_guard.token}"}
    for host in ("192.168.0.7:8080", "[fe80::1]:8080", "0.0.0.0:8080"):
        assert ask(open_guard, HTTP_HOST=host, **bearer).status == 200
    assert ask(open_guard, HTTP_HOST="rebound.example:8080", **bearer).status == 400
    monkeypatch.setattr("web.guard.socket.gethostname", lambda: "Lab-PC")
    named = Guard(App(), "0.0.0.0")
    assert ask(named, HTTP_HOST="lab-pc:8080", HTTP_AUTHORIZATION=f"Bearer {named.token}").status == 200
