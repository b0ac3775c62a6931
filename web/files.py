"""Files: what the page is made of, sent compressed, at addresses that name the content: a browser asks for each once.

/static/<version>/… and /vendor/<version>/… are kept for good, for another content has another address. Modules import
each other by relative addresses, so that all of a page come from one version. Without a version the same files are
there as well, and are asked for again.
"""

import gzip
import hashlib
import mimetypes
import posixpath
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flask import Response, abort, request
from flask.sansio.app import App

FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"  # kept, and asked for whether it is still so
IMPORT = re.compile(r"""\b(?:from|import)\s*["'](\.[^"']+)["']""")
VERSION = re.compile(r"[0-9a-f]{16}")
WORTH_PACKING = 0.9  # of the bytes; what gzip leaves larger than that goes out as it is


@dataclass(frozen=True)
class File:
    """What a file held when it was read; it is compressed and digested once, when first asked for."""

    body: bytes
    mimetype: str
    modified: float | None = None  # seconds since 1970

    @cached_property
    def packed(self) -> bytes | None:
        """The body gzipped, None where that does not pay."""
        packed = gzip.compress(self.body, compresslevel=9, mtime=0)  # level 6: half the time, 0.2 % more
        return packed if len(packed) < WORTH_PACKING * len(self.body) else None

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest()[:16]


@dataclass(frozen=True)
class Version:
    """The files of a tree by their path in it, and a name that stands for all that they hold."""

    files: dict[str, File]
    stamps: dict[str, tuple[int, int]]  # of each when it was last written, in ns, and its bytes

    @cached_property
    def name(self) -> str:
        lines = "\n".join(f"{file.digest} {path}" for path, file in self.files.items())
        return hashlib.sha256(lines.encode()).hexdigest()[:16]


class Tree:
    """The files in a folder that match a pattern. Safe to call from any thread."""

    def __init__(self, folder: Path, pattern: str = "**/*") -> None:
        self._folder = folder
        self._pattern = pattern
        self._known = Version({}, {})

    def known(self) -> Version:
        """Return the files as they were last seen, without a look at the disk."""
        return self._known if self._known.files else self.now()

    def now(self) -> Version:
        """Return the files as they are now; only those that were written since the last call are read again."""
        known = self._known
        paths = {path.relative_to(self._folder).as_posix(): path for path in sorted(self._folder.glob(self._pattern))}
        stats = {name: path.stat() for name, path in paths.items() if path.is_file()}
        stamps = {name: (stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()}
        if stamps != known.stamps:
            files = {
                name: known.files[name]
                if known.stamps.get(name) == stamp
                else File(paths[name].read_bytes(), mimetype_of(name), stats[name].st_mtime)
                for name, stamp in stamps.items()
            }
            self._known = Version(files, stamps)
        return self._known

    def find(self, address: str) -> tuple[File, bool]:
        """Return the file at "<version>/<path>" or "<path>", and whether the address names what it holds.

        One of another version is answered as it is now. Raises NotFound.
        """
        version, _, path = address.partition("/")
        known = self.known()
        if version == known.name and path in known.files:
            return known.files[path], True
        now = self.now()
        path = path if VERSION.fullmatch(version) else address
        if path not in now.files:
            abort(404)
        return now.files[path], version == now.name


def mimetype_of(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def modules(version: Version, *entries: str) -> list[str]:
    """Return what ES modules import, and they themselves, in the order in which a browser runs them."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        if name in found:
            return
        for target in IMPORT.findall(version.files[name].body.decode()):
            visit(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)))
        found[name] = None

    for entry in entries:
        visit(entry)
    return list(found)


def serve_static(app: App, tree: Tree) -> None:
    """Serve a tree below /static/; `url_for("static", filename=…)` gives the address with the version."""

    @app.route("/static/<path:filename>", endpoint="static")
    def static(filename: str) -> Response:
        file, is_named = tree.find(filename)
        return answer(file, FOREVER if is_named else ASK_AGAIN)

    @app.url_defaults
    def name_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values["filename"] = f"{tree.known().name}/{values['filename']}"


def answer(file: File, cache_control: str) -> Response:
    """Return a file for the request at hand: compressed where that is understood, without a body where it is known."""
    packed = file.packed if request.accept_encodings["gzip"] > 0 else None
    response = Response(file.body if packed is None else packed, mimetype=file.mimetype)
    response.set_etag(file.digest if packed is None else f"{file.digest}-gzip")
    if file.modified is not None:  # werkzeug takes None for now
        response.last_modified = file.modified  # type: ignore[assignment]
    response.headers["Cache-Control"] = cache_control
    response.headers["Vary"] = "Accept-Encoding"
    if packed is not None:
        response.headers["Content-Encoding"] = "gzip"
    response.make_conditional(request)
    return response
