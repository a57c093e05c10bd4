"""Pictures behind addresses: which are fetched, and which are refused, with a real web server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labelloop.errors import SpecError
from labelloop.pictures.fetch import Fetcher
from labelloop.selection.features import picture_of
from labelloop.spec.fetching import Private, check_beginning, covers, is_public
from labelloop.spec.folder import parse
from tests.support.network.picture_server import Pictures, pictures

HERE = Private.read("127.0.0.0/8")


@pytest.fixture
def served() -> Iterator[Pictures]:
    with pictures() as found:
        yield found


@pytest.mark.parametrize(
    ("beginning", "address", "wanted"),
    [
        ("https://photos.example/", "https://photos.example/a.jpg", True),
        ("https://photos.example", "https://photos.example/a.jpg", True),
        ("https://photos.example/", "https://PHOTOS.example/a.jpg", True),
        ("https://photos.example/cats/", "https://photos.example/cats/1.jpg", True),
        ("https://", "https://any.example/1.jpg", True),
        ("s3://scans/", "s3://scans/x/1.png", True),
        ("/data/", "/data/local-files/?d=x/1.png", True),
        ("https://photos.example", "https://photos.example.evil.test/a.jpg", False),
        ("https://photos.example", "https://photos.example@evil.test/a.jpg", False),
        ("https://photos.example", "http://photos.example/a.jpg", False),
        ("https://photos.example", "https://photos.example:8443/a.jpg", False),
        ("https://photos.example/cats/", "https://photos.example/cats/../dogs/1.jpg", False),
        ("https://photos.example/cats/", "https://photos.example/cats/%2e%2e/dogs/1.jpg", False),
        ("s3://scans", "s3://scans-of-others/1.png", False),
        ("/data/upload/", "/data/upload/../../api/users", False),
        ("/data/", "https://evil.test/data/", False),
        ("https://photos.example", "file:///etc/passwd", False),
        ("https://photos.example", "https://[::1", False),
    ],
)
def test_an_address_is_covered_by_a_beginning_of_its_own_host_and_path(
    beginning: str, address: str, wanted: bool
) -> None:
    assert covers(check_beginning(beginning), address) is wanted


@pytest.mark.parametrize(
    "beginning", ["file:///", "photos.example", "ftp://x/", "javascript:", "", "/etc/", "https:/x"]
)
def test_migrate_refuses_a_value_that_is_no_beginning_of_an_address(beginning: str) -> None:
    choices = '<Choices name="c" toName="i"><Choice value="a"/><Choice value="b"/></Choices>'
    form = f'<View><Image name="i" value="$i"/>{choices}</View>'
    yaml = f'feedback_loop:\n  trigger: "model_confidence < 1"\n  learner: {{name: images, fetch: ["{beginning}"]}}\n'
    with pytest.raises(SpecError, match=r"line 3.*an address begins with http://"):
        parse("x", yaml, form)
    with pytest.raises(SpecError, match=r"learner\.fetch: only pictures are fetched, and 'none' reads none"):
        parse("x", yaml.replace("name: images", "name: none").replace(f'"{beginning}"', '"https://"'), form)


PRIVATE = (
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "::127.0.0.1",
    "::10.0.0.1",
    "fec0::1",
)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_outside_the_public_internet_is_private(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14"])
def test_an_address_of_the_public_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_nothing_is_fetched_from_a_private_address_however_it_is_written(served: Pictures, host: str) -> None:
    port = served.url.rpartition(":")[2]
    with pytest.raises(ValueError, match=r"leads to the private address .*LABELLOOP_FETCH_PRIVATE"):
        Fetcher(Private()).fetch(f"http://{host}:{port}/10.jpg")
    assert not served.asked


def test_a_private_host_is_fetched_from_where_the_settings_name_it_and_sees_its_own_name(served: Pictures) -> None:
    port = served.url.rpartition(":")[2]
    for named in ("127.0.0.0/8", f"localhost:{port}", "localhost"):
        raw = Fetcher(Private.read(f"minio:9000, {named}")).fetch(f"http://localhost:{port}/10.jpg")
        assert picture_of(raw).size == (640, 480)
    assert served.headers[-1]["Host"] == f"localhost:{port}"
    with pytest.raises(ValueError, match="private"):
        Fetcher(Private.read("localhost:1")).fetch(f"http://localhost:{port}/10.jpg")


def test_a_redirect_is_followed_and_checked_like_the_first_address(served: Pictures) -> None:
    port = served.url.rpartition(":")[2]
    by_name = Private.read("localhost")
    served.redirect_to = "/20.jpg"
    assert Fetcher(by_name).fetch(f"http://localhost:{port}/redirect")
    served.redirect_to = f"{served.url}/20.jpg"
    with pytest.raises(ValueError, match=r"leads to the private address 127\.0\.0\.1"):
        Fetcher(by_name).fetch(f"http://localhost:{port}/redirect")
    served.redirect_to = "file:///etc/passwd"
    with pytest.raises(ValueError, match="is no web address"):
        Fetcher(by_name).fetch(f"http://localhost:{port}/redirect")
    served.redirect_to = "/redirect"
    with pytest.raises(ValueError, match="redirects more than 3 times"):
        Fetcher(HERE).fetch(f"{served.url}/redirect")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("gone.png", "has the status 404"),
        ("page", "is no picture but 'text/html'"),
        ("endless", "has more than 20,000,000 bytes"),
        ("slow", "takes more than 3 s"),
    ],
)
def test_what_a_server_does_wrong_is_told(served: Pictures, path: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Fetcher(HERE, limit_s=3.0 if path == "slow" else 20.0).fetch(f"{served.url}/{path}")


def test_a_host_that_does_not_answer_or_does_not_exist_is_told() -> None:
    with pytest.raises(ValueError, match="cannot be reached"):
        Fetcher(HERE).fetch("http://127.0.0.1:1/x.png")
    with pytest.raises(ValueError, match="names a host that is not known"):
        Fetcher(HERE).fetch("http://nowhere.invalid/x.png")
    with pytest.raises(ValueError, match="is resolved by Label Studio: it needs LABELLOOP_LABEL_STUDIO_URL"):
        Fetcher(HERE).fetch("s3://scans/1.png")


def test_a_host_with_an_umlaut_is_asked_by_the_name_that_servers_know(
    served: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetcher = Fetcher(HERE)
    monkeypatch.setattr("labelloop.pictures.opening.resolve", lambda *_: "127.0.0.1")
    port = served.url.rpartition(":")[2]
    assert picture_of(fetcher.fetch(f"http://bücher.example:{port}/10.jpg")).size == (640, 480)
    assert served.headers[-1]["Host"] == f"xn--bcher-kva.example:{port}"
