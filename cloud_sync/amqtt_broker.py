"""The child process of `broker.EmbeddedBroker` where Mosquitto is missing: amqtt on one port of this machine."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from amqtt.broker import Broker

HOST = "127.0.0.1"


def main(arguments: list[str]) -> None:
    """PORT, and a file of `name:argon2 hash` lines where passwords are wanted."""
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(_serve(int(arguments[0]), Path(arguments[1]) if len(arguments) > 1 else None))


async def _serve(port: int, passwords: Path | None) -> None:
    broker = Broker(_settings(port, passwords))
    await broker.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await broker.shutdown()


def _settings(port: int, passwords: Path | None) -> dict:
    if passwords is None:
        plugins: dict[str, dict[str, object]] = {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
        }
    else:
        plugins = {"amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(passwords)}}
    return {"listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}}, "plugins": plugins}


if __name__ == "__main__":
    main(sys.argv[1:])
