"""The gateway's life: start, reload on SIGHUP, drain on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from pathlib import Path

from aiohttp import web

from fleet.errors import ConfigError, FleetError
from fleet.node.gateway.call import AdmitAll, AllBooks, LiveCalls
from fleet.node.gateway.gateway import Gateway, new_session
from fleet.node.gateway.journal import Journal
from fleet.node.gateway.listener import take_port
from fleet.node.gateway.metrics import Metrics
from fleet.node.gateway.operation import Operation
from fleet.node.gateway.policy.office import PolicyOffice
from fleet.node.gateway.reload import Current
from fleet.node.gateway.tls import load_chain, server_context
from fleet.node.gateway.turned_away import stopping
from fleet.traffic.config import Listen

_LAST_WORDS_SECONDS = 2.0


async def serve(path: Path) -> None:
    """Run until SIGTERM or SIGINT, then drain. Raises ConfigError when the configuration is wrong at the start."""
    current = Current(path)
    config = current.loaded.config
    journal = Journal(log_file=config.log_file, log_bytes=config.log_bytes)
    tls = server_context(config.listen)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)

    async with new_session() as session:
        metrics = Metrics()
        office = _office(current, journal)
        admission = AdmitAll() if office is None else office.admission
        books = (metrics, journal) if office is None else (office.accounting, metrics, journal)
        gateway = Gateway(current, session, admission=admission, accounting=AllBooks(books))
        if office is not None:
            office.meet(gateway)
        operation = Operation(gateway, current, metrics=metrics, journal=journal, office=office)
        admin = operation.admin_runner()

        def reload() -> None:
            if not current.reload():
                metrics.reload_failed()
                journal.warn("reload_refused", problem=current.problem, kept=current.loaded.sha256)
                return
            gateway.follow()
            if office is not None:
                office.follow()
            operation.follow()
            _renew(tls, current, journal)
            journal.event("reloaded", config_sha256=current.loaded.sha256, note=current.problem)

        loop.add_signal_handler(signal.SIGHUP, reload)
        await gateway.runner.setup()
        await admin.setup()
        gateway.follow()
        operation.follow()
        if office is not None:
            await office.open()
        try:
            port = await _port(config.listen, stop, journal)
            if port is not None:
                await web.SockSite(gateway.runner, port, ssl_context=tls).start()
                journal.event("listening", host=config.listen.host, port=config.listen.port, tls=tls is not None)
                opening = asyncio.ensure_future(_open_admin(admin, config.admin_port, journal))
                await stop.wait()
                gateway.front.draining = True
                await _drain(gateway.calls, current.loaded.config.drain_seconds, journal)
                opening.cancel()
        finally:
            await operation.close()
            await admin.cleanup()
            await gateway.close()
            if office is not None:
                await office.close()
    journal.event("stopped")
    journal.close()


def _office(current: Current, journal: Journal) -> PolicyOffice | None:
    """Money and policy, where the configuration has any: a front."""
    policy = current.loaded.config.policy
    if policy is None:
        return None
    return PolicyOffice(current, policy, told=lambda text: journal.warn("policy", problem=text))


async def _open_admin(admin: web.AppRunner, port: int | None, journal: Journal) -> None:
    """The admin door, on loopback. A port that is taken is waited for; clients are served meanwhile."""
    if port is None:
        return
    listen = Listen(host="127.0.0.1", port=port)
    try:
        taken = await take_port(listen, told=lambda text: journal.warn("admin_port_taken", problem=text))
    except FleetError as error:
        journal.warn("admin_closed", problem=error.title)
        return
    await web.SockSite(admin, taken).start()
    journal.event("admin_open", port=port)


async def _port(listen: Listen, stop: asyncio.Event, journal: Journal) -> socket.socket | None:
    """The listening socket, or None when we are stopped before the port is free."""
    taking = asyncio.ensure_future(take_port(listen, told=lambda text: journal.warn("port_taken", problem=text)))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((taking, stopped), return_when=asyncio.FIRST_COMPLETED)
        return await taking if taking.done() else None
    finally:
        taking.cancel()
        stopped.cancel()


async def _drain(calls: LiveCalls, seconds: float, journal: Journal) -> None:
    """Let what is in flight finish; what has not by then is ended with an error that its client can read."""
    journal.event("draining", in_flight=len(calls), seconds=seconds)
    try:
        async with asyncio.timeout(seconds):
            await calls.idle()
    except TimeoutError:
        for live in calls:
            calls.end(live, stopping())
    try:
        async with asyncio.timeout(_LAST_WORDS_SECONDS):
            await calls.idle()
    except TimeoutError:
        journal.warn("drain_incomplete", in_flight=len(calls))


def _renew(tls: ssl.SSLContext | None, current: Current, journal: Journal) -> None:
    """A renewed certificate is used from the next connection on."""
    if tls is None:
        return
    try:
        load_chain(tls, current.loaded.config.listen)
    except ConfigError as error:
        current.problem = error.title
        journal.warn("certificate_refused", problem=error.title)
