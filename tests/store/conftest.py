"""An S3-compatible object storage for tests of the store."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest
from moto.server import ThreadedMotoServer

from aiprism.store.place import Access


@pytest.fixture(scope="session")
def s3() -> Iterator[Access]:
    """A server on loopback, and how it is reached."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Access(f"http://{host}:{port}", key="testing", secret="testing")
    server.stop()


@pytest.fixture
def bucket(s3: Access) -> Callable[[], str]:
    """Makes an empty bucket and gives its name."""

    def made() -> str:
        name = f"telemetry-{uuid.uuid4().hex}"
        assert httpx.put(f"{s3.endpoint}/{name}").status_code == 200
        return name

    return made
