"""A demo as its user has it: a process of its own, known by what it prints; and an expert at its pages, by HTTP."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 120.0
WORDS = re.compile(
    r"review page +http://127\.0\.0\.1:(?P<port>\d+)/review\n(?:.*\n)*?login +expert / (?P<expert>\S+)\n"
    r"login +quality / (?P<quality>\S+)\n"
    r"broker +(?P<broker>\w+) on 127\.0\.0\.1:(?P<mqtt>\d+), guest / (?P<guest>\S+)\n"
    r"folder +(?P<folder>\S+)\n"
)


class RunningDemo:
    """`began_s`: when its command was given, on the monotonic clock."""

    def __init__(self, *arguments: str, scratch: Path | None = None) -> None:
        environment = os.environ | ({"TMPDIR": str(scratch)} if scratch else {})
        self.began_s = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tankwatch.py"), "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def said(self) -> str:
        return "".join(self._said)

    def facts(self) -> dict[str, str]:
        """Ports, passwords and folder, once it has printed them: from then on its page and its broker answer."""
        until(lambda: WORDS.search(self.said) or self.process.poll() is not None)
        found = WORDS.search(self.said)
        assert found, self.said
        return found.groupdict()

    def summary(self) -> dict:
        """What a headless run prints when it has ended with 0."""
        output = self.process.stdout.read()
        assert self.process.wait(PATIENCE_S) == 0, self.said
        self._reader.join()
        (line,) = output.splitlines()
        return json.loads(line)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        self._reader.join()

    def _read(self) -> None:
        for line in self.process.stderr:
            self._said.append(line)


class Expert:
    """Signs in and judges as the pages let anybody: forms with their token."""

    def __init__(self, address: str, name: str, password: str) -> None:
        self._address = address
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self._send("/login", name=name, password=password)

    def judge(self, case_id: str, *, leak: bool) -> str:
        """The page that tells everything, after the judgement."""
        word = "leak" if leak else "ok"
        seen = "stream" if leak else "nothing"
        self._send(f"/review/{case_id}?again=1", judgement=word, seen=seen, familiar="yes", note="")
        return self._send(f"/review/{case_id}/reveal")

    def read(self, path: str) -> str:
        with self._opener.open(self._address + path, timeout=30) as answer:
            return answer.read().decode()

    def _send(self, path: str, **fields: str) -> str:
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.read(path.removesuffix("/reveal")))
        assert token, f"no form on {path}"
        body = urlencode(fields | {"csrf_token": token[1]}).encode()
        with self._opener.open(self._address + path.partition("?")[0], body, timeout=30) as answer:
            return answer.read().decode()


@contextmanager
def running_demo(*arguments: str, scratch: Path | None = None) -> Iterator[RunningDemo]:
    demo = RunningDemo(*arguments, scratch=scratch)
    try:
        yield demo
    finally:
        demo.close()


@contextmanager
def review_page(folder: Path) -> Iterator[None]:
    """The page of a demo that has ended, on its old port."""
    command = [sys.executable, str(ROOT / "tankwatch.py"), "cloud", "web", "--config", str(folder / "cloud.toml")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stderr is not None
        assert "review page" in process.stderr.readline()
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> bool:
    """Asks again and again; False where it never came true."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True


def tankwatch(*arguments: str) -> str:
    """Runs one command to its end; its stdout."""
    command = [sys.executable, str(ROOT / "tankwatch.py"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S * 4)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
