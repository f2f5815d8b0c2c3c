"""A running gateway on loopback, in this process, with fakes behind it."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from fake_mlx import FakeMlx
from gateway_harness import Books, Identity, Running, Start, write_config

from fleet.node.gateway.call import Admission, AdmitAll
from fleet.node.gateway.gateway import Gateway, new_session
from fleet.node.gateway.reload import Current
from fleet.node.gateway.tls import server_context
from fleet.traffic.config import Listen, Upstream
from fleet.vocabulary.pins import pin_of


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts gateways, and ends them after the test."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())

        async def go(*upstreams: Upstream, admission: Admission | None = None, **changes: Any) -> Running:
            config_file = write_config(tmp_path, *upstreams, **changes)
            session = await stack.enter_async_context(new_session())
            current, books = Current(config_file), Books()
            gateway = Gateway(current, session, admission=admission or AdmitAll(), accounting=books)
            await gateway.runner.setup()
            stack.push_async_callback(gateway.close)
            tls = server_context(current.loaded.config.listen)
            site = web.TCPSite(gateway.runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            gateway.follow()
            port = gateway.runner.addresses[0][1]
            return Running(gateway, current, config_file, f"http{'s' if tls else ''}://127.0.0.1:{port}", http, books)

        yield go


@pytest.fixture
async def mlx() -> AsyncIterator[Callable[..., Awaitable[FakeMlx]]]:
    """Starts fake sidecars."""
    started: list[FakeMlx] = []

    async def go(*args: Any, **kwargs: Any) -> FakeMlx:
        fake = await FakeMlx(*args, **kwargs).start()
        started.append(fake)
        return fake

    yield go
    for fake in started:
        await fake.stop()


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Identity]:
    """Makes the key of an edge, as adopt does."""
    made: dict[str, Identity] = {}

    def make(name: str) -> Identity:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            key, certificate = folder / "edge.key", folder / "edge.crt"
            subprocess.run(
                [
                    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                    *("-keyout", str(key), "-out", str(certificate), "-days", "30", "-subj", f"/CN={name}"),
                ],
                check=True,
                capture_output=True,
            )
            der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
            listen = Listen(host="127.0.0.1", port=1, certificate_file=str(certificate), key_file=str(key))
            made[name] = Identity(listen, pin_of(der))
        return made[name]

    return make
