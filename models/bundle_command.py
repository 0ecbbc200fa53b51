"""`bundle show|verify|certify FILE`: what a bundle holds, does, and was shown to keep."""

import argparse
import sys
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from edge_agent import durable
from edge_agent.bundle import NET_NAMES, Bundle, Certificate, GoldenCase, Thresholds, open_bundle, write_bundle
from edge_agent.errors import ConfigError
from edge_agent.records import BundleRef
from edge_agent.sound import verify
from models import bounds, code_version, evaluated, report_words
from models.bounds import ErrorCounts, JudgedSet


class _Counts(msgspec.Struct, frozen=True):
    leaks_answered: int
    missed: int
    good_answered: int
    false_alarms: int


class _Evaluation(msgspec.Struct):
    """What is read of an evaluation's summary beside what its words are made of."""

    bundle: BundleRef
    certificate: Certificate | None
    counts: _Counts
    cases_sha256: str
    schema: Literal["tankwatch/evaluation/3"]


def bundle(argv: list[str]) -> int:
    """`tankwatch bundle`."""
    options = _arguments().parse_args(argv)
    opened = open_bundle(options.file)
    if options.what == "certify":
        opened = certified(opened, options.evaluation, options.out)
        durable.write(card_path(options.out), opened.manifest.card.encode())
        print(f"{options.out}: version {opened.manifest.version}, sha256 {opened.sha256}", file=sys.stderr)
    if options.what == "verify":
        verify(opened)
        print(f"{options.file} is whole: version {opened.manifest.version}, sha256 {opened.sha256}", file=sys.stderr)
        print(f"{len(opened.manifest.golden)} golden cases judged as when it was made", file=sys.stderr)
    if options.json:
        print(msgspec.json.encode(summary(opened)).decode())
    elif options.what == "show":
        print(words(opened))
    return 0


def certified(opened: Bundle, evaluation: Path | None, out: Path | None, *, dated: str | None = None) -> Bundle:
    """The same bundle, in `out`, with the certificate of an evaluation of it, and its figures in the card. Raises
    ConfigError.

    `dated`: its date, where the bytes must not depend on when the evaluation ran; None = then.
    """
    if evaluation is None or out is None:
        raise ConfigError("certify needs --evaluation DIR, as 'evaluate --out' writes it, and --out FILE")
    card_path(out)
    path = evaluation / "summary.json"
    try:
        data = path.read_bytes()
        found = msgspec.json.decode(data, type=_Evaluation)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): run 'evaluate --out {evaluation}'") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is no evaluation of this version ({error}): evaluate again") from error
    if found.bundle.sha256 != opened.sha256:
        raise ConfigError(
            f"{path} is of bundle {found.bundle.sha256[:12]}, not of {opened.sha256[:12]}: evaluate this one"
        )
    if found.certificate is None:
        raise ConfigError(f"{path} holds no certificate: evaluate leaks and good units")
    certificate = found.certificate
    _follows(certificate, found, evaluation, opened.manifest.thresholds)
    if dated:
        certificate = msgspec.structs.replace(certificate, measured_at=dated)
    together = (*opened.manifest.certificates, certificate)
    try:
        measured = report_words.card(msgspec.json.decode(data), dated=certificate.measured_at)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is not whole ({error!r}): evaluate again") from error
    card = f"{opened.manifest.card.rstrip()}\n\n{measured}"
    manifest = msgspec.structs.replace(opened.manifest, certificates=together, card=card)
    return write_bundle(out, manifest, opened.nets, opened.features, golden=opened.golden)


def _follows(stated: Certificate, found: _Evaluation, evaluation: Path, thresholds: Thresholds) -> None:
    """ConfigError where the certificate does not follow from the cases beside it: anybody can edit a summary."""
    told, counted = found.counts, evaluated.answers(evaluation)
    every = ErrorCounts(told.leaks_answered, told.missed, told.good_answered, told.false_alarms)
    without_silent = ErrorCounts(stated.leaks, stated.missed, stated.goods, stated.false_alarms)
    of = JudgedSet(
        stated.data, stated.data_sha256, stated.measured_at, stated.cases, stated.silent, str(stated.program)
    )
    fits = (
        every == counted
        and found.cases_sha256 == evaluated.cases_sha256(evaluation)
        and (stated.goods, stated.false_alarms) == (counted.goods, counted.false_alarms)
        and counted.leaks - stated.silent <= stated.leaks <= counted.leaks
        and bounds.certificate(without_silent, thresholds, of) == stated
    )
    if not fits:
        raise ConfigError(f"{evaluation}: summary.json does not follow from cases.jsonl: run 'evaluate --out' again")


def card_path(bundle: Path) -> Path:
    """Beside the bundle. Raises ConfigError where that would be another file's place."""
    if bundle.suffix != ".bundle":
        raise ConfigError(f"{bundle} has another ending than .bundle: name it so, its card goes beside it as .md")
    return bundle.with_suffix(".md")


def summary(opened: Bundle) -> dict:
    """The manifest, the file's hash and the sizes of its nets."""
    sizes = {name: len(opened.nets[name]) for name in NET_NAMES}
    return {**msgspec.to_builtins(opened.manifest), "sha256": opened.sha256, "net_bytes": sizes}


def words(opened: Bundle) -> str:
    """The same for a person."""
    manifest = opened.manifest
    origin = manifest.lineage
    lines = [
        f"{manifest.name} version {manifest.version}, made {manifest.created_at}",
        f"sha256      {opened.sha256}",
        f"from        recipe {origin.recipe}, seed {origin.seed}, code {_code_words(origin.code)}",
        f"dataset     {origin.dataset_sha256 or 'none: simulated scenes alone'}",
        f"parent      {origin.parent_sha256 or 'none'}",
    ]
    lines += [f"net         {name:10} {len(opened.nets[name])} bytes, {manifest.nets[name][:12]}" for name in NET_NAMES]
    for part in (manifest.thresholds, manifest.sensitivity, manifest.preprocessing):
        lines += [line for name, value in msgspec.to_builtins(part).items() for line in value_words(name, value)]
    lines += [golden_words(case) for case in manifest.golden]
    lines += [line for one in manifest.certificates for line in certificate_words(one)]
    return "\n".join([*lines, "", manifest.card])


def _code_words(code: str) -> str:
    return code[:12] + ("-dirty" if code.endswith("-dirty") else "")


def value_words(name: str, value: object, depth: int = 0) -> list[str]:
    """A setting for a person; one that holds others, a line each."""
    label = f"{'  ' * depth}{name}"
    if isinstance(value, dict):
        return [label, *(line for key, one in value.items() for line in value_words(key, one, depth + 1))]
    return [f"{label:24}{f'{value:.6g}' if isinstance(value, float) else value}"]


def golden_words(case: GoldenCase) -> str:
    """A golden case for a person."""
    truth = "leaks" if case.leaky else "is tight"
    said = f"{case.verdict} {case.score:.3f} +-{case.tolerance:g}"
    return f"golden case {case.name:15} {said}; the unit {truth}; {case.sha256[:12]}"


def certificate_words(one: Certificate) -> list[str]:
    """A certificate for a person: what is promised, on what, and what the rates probably are."""
    apart = f", and {one.silent} silent leak{'s' * (one.silent > 1)} apart" if one.silent else ""
    return [
        f"certificate {one.measured_at}, on {one.data} ({one.data_sha256[:12]}): {one.cases} cases{apart}",
        f"  limits            ok below {one.ok_below:g}, leak above {one.leak_above:g}; coverage {one.coverage:.2%}",
        f"  miss rate         <= {one.miss_rate_upper:.3%} ({one.missed} of {one.leaks} answered leaks), "
        f"probably {one.miss_rate_estimate:.3%}",
        f"  false alarm rate  <= {one.false_alarm_rate_upper:.3%} ({one.false_alarms} of {one.goods} answered good "
        f"units), probably {one.false_alarm_rate_estimate:.3%}",
        f"  both together with {one.confidence:.0%} confidence, for cases like these",
        f"  judged by         {_judge_words(one.program)}",
    ]


def _judge_words(program: str | UnsetType) -> str:
    """Whether a certificate's cases were judged as this program would judge them."""
    if program is UNSET:
        return "a program that is not told: this one may judge otherwise"
    if program == code_version.of_judging():
        return "this program"
    return f"program {program[:12]}: this one, {code_version.of_judging()[:12]}, may judge otherwise"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tankwatch bundle", description="What a bundle holds, its checks and certificates."
    )
    parser.add_argument("what", choices=("show", "verify", "certify"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--evaluation", type=Path, metavar="DIR", help="certify: what 'evaluate --out DIR' has written")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="certify: the bundle with its certificate; its card, with the figures, goes beside it as .md",
    )
    parser.add_argument("--json", action="store_true")
    return parser
