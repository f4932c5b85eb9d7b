"""Ask a package's index when each release came out, and its metadata where its changes are told."""

from __future__ import annotations

import base64
import json
import re
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, metadata
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

# The JSON form of an index, with the time of each upload (peps.python.org/pep-0700).
JSON_INDEX = "application/vnd.pypi.simple.v1+json"
# Seconds to wait for an index, chosen. A higher value waits longer for one that is away.
TIMEOUT = 20.0
# Labels of a project's page of changes, without spaces and case
# (packaging.python.org/specifications/well-known-project-urls).
CHANGELOG_LABELS = ("changelog", "changes", "whatsnew", "history", "releasenotes")
REPOSITORY = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+?(?=/|\.git|$)")


def release_dates(name: str, index: str) -> dict[str, str]:
    """Return the days (ISO 8601) on which releases came out, by public version.

    An index that is away, or that tells no times, gives {}: dates explain, they decide nothing.
    """
    if not index.startswith(("https://", "http://")):
        return {}
    parts = urlsplit(index)
    headers = {"Accept": JSON_INDEX}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    request = Request(f"{place.geturl().rstrip('/')}/{name}/", headers=headers)
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:
            files = [
                (str(file["filename"]), str(file.get("upload-time") or ""))
                for file in json.load(answer)["files"]
            ]
    except (URLError, OSError, HTTPException, ValueError, LookupError, TypeError):
        return {}
    dates: dict[str, str] = {}
    for name_of_file, uploaded in files:
        day, version = uploaded[:10], _version(name_of_file)
        if day and version:
            dates[version] = min(day, dates.get(version, day))
    return dates


def _version(filename: str) -> str:
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1].public
        return parse_sdist_filename(filename)[1].public
    except (InvalidWheelFilename, InvalidSdistFilename):
        return ""


def changelog_link(name: str) -> str:
    """Return where an installed package tells its changes: its page, or its releases on GitHub."""
    try:
        fields = metadata(name)
    except PackageNotFoundError:
        return ""
    urls = [entry.partition(",") for entry in fields.get_all("Project-URL") or []]
    links: dict[str, str] = {
        re.sub(r"[^a-z]", "", label.lower()): url.strip() for label, _, url in urls
    }
    for label in CHANGELOG_LABELS:
        if label in links:
            return links[label]
    for url in (*links.values(), *(fields.get_all("Home-page") or [])):
        if repository := REPOSITORY.match(url):
            return f"{repository[0]}/releases"
    return ""
