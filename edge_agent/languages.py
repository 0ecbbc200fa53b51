"""Language files -> what the panel says in the operator's language: words by key, and sentences of the device.

The device says everything once, in English, where the facts are. A language file holds patterns of its sentences, with
{places} for numbers and names, and what they are in that language; what it lacks is shown in English.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from edge_agent.errors import ConfigError

FIRST = "en"
OURS = Path(__file__).with_name("languages")
JOINTS = ("; ", ": ")
"""Where the device joins sentences to one: facts, fact and cure."""
AND = " and "
DEEPEST = 6
"""Sentences within sentences."""
LONGEST = 1000
"""Of a sentence that is looked up at all; the device says none that is half as long."""
PLACE = re.compile(r"\{(\w*)\}")
WHOLE = ("why", "reason", "facts")
"""Places with these names may hold whole sentences; others end where the device joins."""
NUMBER = re.compile(r"(?<![\w.])(\d+)\.(\d+)(?![\w.])")


class LanguageFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file."""

    name: str
    """Of the language, in it."""
    decimal: str = "."
    conjunction: str = AND
    """Between two cures."""
    words: dict[str, str] = {}
    """Of the pages, by key."""
    sentences: dict[str, str] = {}
    """Of the device: English pattern -> sentence. A place may stand anywhere in the sentence, or be left out."""


class Language:
    """One language over English."""

    def __init__(self, code: str, file: LanguageFile, english: Mapping[str, str]) -> None:
        self.code, self.name = code, file.name
        self._decimal = file.decimal
        self._joints = {joint: joint for joint in JOINTS} | {AND: file.conjunction}
        self._words = {**english, **file.words}
        self._exact = {pattern: text for pattern, text in file.sentences.items() if not PLACE.search(pattern)}
        # The most of fixed text first: it is the closest.
        patterns = sorted(
            (pattern for pattern in file.sentences if PLACE.search(pattern)), key=lambda one: -len(PLACE.sub("", one))
        )
        self._patterns = [(_compiled(pattern), file.sentences[pattern]) for pattern in patterns]
        self.say = lru_cache(1024)(self._say)
        """What the device said, in this language; parts that no pattern fits stay English."""

    def word(self, key: str, **places: object) -> str:
        """A page's own words. A key that no file has is a fault of ours: KeyError."""
        text = self._words[key]
        return _with(text, {name: self.number(value) for name, value in places.items()})

    def number(self, value: object) -> str:
        """With this language's decimal sign, also within a text."""
        return NUMBER.sub(rf"\1{self._decimal}\2", str(value))

    def knows(self, sentence: str) -> bool:
        """Whether all of it is said in this language."""
        return self._find(sentence, DEEPEST) is not None

    def _say(self, sentence: str) -> str:
        if len(sentence) > LONGEST:
            return sentence
        found = self._find(sentence, DEEPEST)
        return self.number(self._pieces(sentence) if found is None else found)

    def _find(self, sentence: str, deep: int) -> str | None:
        """None where some of it is not known."""
        if sentence in self._exact:
            return self._exact[sentence]
        if not re.search(r"[A-Za-z]{3}", sentence):
            return sentence
        for pattern, text in self._patterns if deep else ():
            fits = pattern.fullmatch(sentence)
            if fits:
                values = {name: self._filled(value, deep - 1) for name, value in fits.groupdict().items()}
                return _with(text, values)
        return self._joined(sentence, deep - 1) if deep else None

    def _joined(self, sentence: str, deep: int) -> str | None:
        for joint, ours in self._joints.items():
            first, found, rest = sentence.partition(joint)
            parts = (self._find(first, deep), self._find(rest, deep)) if found else (None, None)
            if parts[0] is not None and parts[1] is not None:
                return f"{parts[0]}{ours}{parts[1]}"
        return None

    def _filled(self, value: str, deep: int) -> str:
        """What stands in a place may be a sentence again, or a name."""
        found = self._find(value, deep) if deep > 0 else None
        return value if found is None else found

    def _pieces(self, sentence: str) -> str:
        """As much as is known."""
        for joint in JOINTS:
            first, found, rest = sentence.partition(joint)
            if found:
                return f"{self._filled(first, DEEPEST)}{joint}{self._pieces(rest)}"
        return self._filled(sentence, DEEPEST)


class Languages:
    """All that this device has: ours, and those of the plant's own folder, whose entries come before ours."""

    def __init__(self, folder: Path, usual: str) -> None:
        """Raises ConfigError for a file that cannot be used, or where `usual` has none."""
        files = {path.stem: read(path) for path in sorted(OURS.glob("*.toml"))}
        for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
            files[path.stem] = _over(files.get(path.stem), read(path))
        english = files[FIRST].words
        self.by_code = {code: Language(code, file, english) for code, file in files.items()}
        if usual not in self.by_code:
            known = ", ".join(sorted(self.by_code))
            raise ConfigError(f"[panel] language is '{usual}', there are {known}: choose one or add {usual}.toml")
        self.usual = self.by_code[usual]

    def chosen(self, code: str | None) -> Language:
        """The usual one where that is none of them."""
        return self.by_code.get(code or "", self.usual)


def read(path: Path) -> LanguageFile:
    """Raises ConfigError naming the file and the fault."""
    try:
        file = msgspec.toml.decode(path.read_bytes(), type=LanguageFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"language file {path} is not usable: {error}: mend it or take it away") from error
    for pattern, text in file.sentences.items():
        if "" in PLACE.findall(pattern + text):
            raise ConfigError(f"language file {path}: a place of '{pattern}' needs a name, such as {{seconds}}")
        missing = set(PLACE.findall(text)) - set(PLACE.findall(pattern))
        if missing or len(PLACE.findall(pattern)) != len(set(PLACE.findall(pattern))):
            raise ConfigError(f"language file {path}: '{pattern}' has other places than '{text}': name each one once")
    return file


def _over(ours: LanguageFile | None, theirs: LanguageFile) -> LanguageFile:
    if ours is None:
        return theirs
    return LanguageFile(
        theirs.name,
        theirs.decimal,
        theirs.conjunction,
        {**ours.words, **theirs.words},
        {**ours.sentences, **theirs.sentences},
    )


def _with(text: str, places: Mapping[str, str]) -> str:
    """No format string: a file of the plant's own names places, and nothing else."""
    return PLACE.sub(lambda place: places.get(place[1], place[0]), text)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_part(part) for part in re.split(r"(\{\w*\})", pattern)))


def _part(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    name = part[1:-1]
    return f"(?P<{name}>.+?)" if name in WHOLE else f"(?P<{name}>(?:(?!: |; ).)+?)"
