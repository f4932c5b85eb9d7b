"""Days of releases come from the index, the link to changes from a package's metadata."""

import base64
import io
import json
from email.message import Message
from http.client import IncompleteRead
from urllib.error import URLError

import pytest

from pytest_ftcompare.environments import release_info
from pytest_ftcompare.environments.release_info import changelog_link, release_dates

FILES = [
    {"filename": "peft-0.20.0.tar.gz", "upload-time": "2026-05-02T08:00:00Z"},
    {"filename": "peft-0.20.0-py3-none-any.whl", "upload-time": "2026-05-01T23:00:00.5Z"},
    {"filename": "peft-0.21.0+cpu-py3-none-any.whl", "upload-time": "2026-06-01T00:00:00Z"},
    {"filename": "peft-0.22.0.tar.gz"},
    {"filename": "peft-0.23.0.tar.gz", "upload-time": None},
    {"filename": "README.txt", "upload-time": "2026-07-01T00:00:00Z"},
]


@pytest.fixture
def index(monkeypatch):
    """Stand for the index: answer with `index.text`, and keep the address."""

    def urlopen(request, timeout):
        urlopen.address, urlopen.headers = request.full_url, request.headers
        if urlopen.text is None:
            raise URLError("away")
        return io.BytesIO(urlopen.text.encode())

    urlopen.text = json.dumps({"files": FILES})
    monkeypatch.setattr(release_info, "urlopen", urlopen)
    return urlopen


def test_a_release_came_out_with_its_first_file(index):
    dates = release_dates("peft", "https://index/simple/")
    assert dates == {"0.20.0": "2026-05-01", "0.21.0": "2026-06-01"}
    assert index.address == "https://index/simple/peft/"


@pytest.mark.parametrize("text", [None, "<html>", "[]", '{"files": 3}', "{}"])
def test_an_index_that_tells_no_times_gives_none(index, text):
    index.text = text
    assert release_dates("peft", "https://index/simple") == {}


@pytest.mark.parametrize("address", ["", "file:///wheels"])
def test_only_an_index_on_the_network_is_asked(index, address):
    assert release_dates("peft", address) == {}
    assert not hasattr(index, "address")


@pytest.mark.parametrize(
    ("fields", "link"),
    [
        ({"Project-URL": ["Home, https://x", "Release Notes, https://x/news"]}, "https://x/news"),
        (
            {"Project-URL": ["repository, https://github.com/org/peft.git"]},
            "https://github.com/org/peft/releases",
        ),
        ({"Home-page": ["https://github.com/org/peft/"]}, "https://github.com/org/peft/releases"),
        ({"Home-page": ["https://pypi.org/x"]}, ""),
        ({}, ""),
    ],
)
def test_changes_are_told_on_a_page_or_on_github(monkeypatch, fields, link):
    message = Message()
    for name, values in fields.items():
        for value in values:
            message[name] = value
    monkeypatch.setattr(release_info, "metadata", lambda name: message)
    assert changelog_link("peft") == link


def test_a_package_that_is_not_installed_has_no_link():
    assert changelog_link("no-such-package") == ""


def test_credentials_in_an_address_become_a_header(index):
    release_dates("peft", "https://ann:p%40ss@index:8080/simple")
    assert index.address == "https://index:8080/simple/peft/"
    expected = base64.b64encode(b"ann:p@ss").decode()
    assert index.headers["Authorization"] == f"Basic {expected}"


def test_an_answer_that_breaks_off_gives_no_days(index, monkeypatch):
    def read(request, timeout):
        raise IncompleteRead(b"")

    monkeypatch.setattr(release_info, "urlopen", read)
    assert release_dates("peft", "https://index/simple") == {}
