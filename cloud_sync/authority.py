"""A plant's own certificate authority: keys and names -> certificates and the list of revoked ones, as PEM.

EC P-256 throughout. The authority's key is needed to issue and to revoke, never to run; it may lie on a stick in a safe
and be sealed with a passphrase. What was issued to whom is `issued`'s matter.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud_sync.issued import LONGEST_NAME, Certificate
from edge_agent import durable
from edge_agent.errors import ConfigError

AUTHORITY_DAYS = 3650
"""Ten years, the life of a line: with its end every certificate ends."""
CERTIFICATE_DAYS = 730
"""Two years; `doctor` warns 30 days before, and a new one may be used while the old one still holds."""
BACKDATED = timedelta(hours=1)
"""A station's clock may be behind by so much on its first day."""
PASSPHRASE = "TANKWATCH_CA_PASSPHRASE"
"""Environment variable that seals and opens the authority's key."""

Key = ec.EllipticCurvePrivateKey


class Authority:
    """Signs. `certificate` is what broker, cloud and stations trust."""

    def __init__(self, key: Key, certificate: x509.Certificate) -> None:
        self._key, self._certificate = key, certificate

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, name: str, now: datetime, *, hosts: tuple[str, ...] = (), days: int = CERTIFICATE_DAYS
    ) -> tuple[bytes, bytes, x509.Certificate]:
        """(certificate and key as PEM, certificate). With `hosts` it is a server's, otherwise a client's alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        use = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        ends = min(now + timedelta(days=days), self._certificate.not_valid_after_utc)
        builder = (
            _builder(name, self._certificate.subject, key, (now - BACKDATED, ends))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(map(_host, hosts)), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key, b""), certificate

    def revoked(self, gone: Iterable[Certificate], now: datetime) -> bytes:
        """The list of revoked certificates, PEM.

        It holds as long as the authority: a broker refuses everybody once its list has ended, and a list that is
        fetched from nowhere does not become truer by ending sooner.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now - BACKDATED)
            .next_update(self._certificate.not_valid_after_utc)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for one in gone:
            at = datetime.fromtimestamp(one.revoked_at or now.timestamp(), UTC)
            entry = x509.RevokedCertificateBuilder().serial_number(int(one.serial, 16)).revocation_date(at).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def issue_alone(name: str, now: datetime) -> tuple[bytes, bytes, bytes, x509.Certificate]:
    """(authority, certificate, key as PEM, certificate) of a client that nobody else's listener or client counts with.

    The authority's key signs this once and is gone, so whoever trusts it trusts this certificate and no other.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    made = _self_signed(key, f"{name} alone"[:LONGEST_NAME], now, days=CERTIFICATE_DAYS)
    alone = Authority(key, made)
    return alone.pem, *alone.issue(name, now)


def begin(key_path: Path, certificate_path: Path, name: str, now: datetime) -> Authority:
    """A new authority. Raises ConfigError, StoreError.

    The key is written first, and one that is there is never replaced: a cut in between leaves it without a certificate,
    which it gets now.
    """
    name = name[:LONGEST_NAME]
    key = _load(key_path) if key_path.exists() else ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key, name, now, days=AUTHORITY_DAYS)
    key_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not key_path.exists():
        write_private(key_path, _key_pem(key, _passphrase()))
    write_public(certificate_path, certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate)


def open_authority(key_path: Path, certificate_path: Path) -> Authority:
    """The authority as `begin` has written it. Raises ConfigError: key away, sealed, or another's."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{certificate_path} cannot be used ({error}): bring it from the backup") from error
    key = _load(key_path)
    if key.public_key() != certificate.public_key():
        raise ConfigError(f"{key_path} is not the key of {certificate_path}: bring the one that was made with it")
    return Authority(key, certificate)


def write_private(path: Path, data: bytes) -> None:
    """A file that its owner alone may read, from its first byte on. Raises StoreError."""
    before = os.umask(0o077)
    try:
        durable.write(path, data)
    finally:
        os.umask(before)


def write_public(path: Path, data: bytes) -> None:
    """A file that everybody may read, whatever the caller's umask. Raises StoreError."""
    durable.write(path, data)
    path.chmod(0o644)


def _load(path: Path) -> Key:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), _passphrase() or None)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} is not there: it is needed to issue and to revoke; bring it from where it is kept, or name it "
            "with --ca-key"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        cure = f"check its rights and the passphrase in {PASSPHRASE}"
        raise ConfigError(f"the authority's key {path} cannot be used ({error}): {cure}") from error
    if not isinstance(key, Key):
        raise ConfigError(f"{path} is no key of an authority made here: bring the one that 'tankwatch provision' made")
    return key


def _self_signed(key: Key, name: str, now: datetime, *, days: int) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        _builder(name, subject, key, (now - BACKDATED, now + timedelta(days=days)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(name: str, issuer: x509.Name, key: Key, validity: tuple[datetime, datetime]) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: Key, passphrase: bytes) -> bytes:
    sealed = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)


def _passphrase() -> bytes:
    return os.environ.get(PASSPHRASE, "").encode()
