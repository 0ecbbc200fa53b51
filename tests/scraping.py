"""Metrics as Prometheus gets them: over HTTP from a server of the application, and read with its own parser."""

import shutil
import subprocess
import urllib.request

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from serving import server_of, serving

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is absent")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(app: Flask, headers: dict[str, str] | None = None) -> str:
    """The text under /metrics."""
    with serving(server_of(app)) as address:
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
