"""Metrics as Prometheus gets them: over HTTP from a server of the application, and read with its own parser."""

import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import waitress
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is absent")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Address of a server of `app`."""
    listening: dict[int, object] = {}
    server = waitress.create_server(app, map=listening, host="127.0.0.1", port=0, threads=2)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.close()
        thread.join(5)


def scrape(app: Flask, headers: dict[str, str] | None = None) -> str:
    """The text under /metrics."""
    with serving(app) as address:
        request = urllib.request.Request(f"{address}/metrics", headers=headers or {})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return answer.read().decode()


def samples(text: str) -> Samples:
    """(name, labels) -> value; names end in _total, _bucket, _sum and _count as Prometheus stores them."""
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def names(found: Samples) -> set[str]:
    return {name for name, _ in found}


def promtool(*arguments: str, given: str = "") -> str:
    """What it prints; fails with it."""
    assert PROMTOOL
    ran = subprocess.run([PROMTOOL, *arguments], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr
