"""
TLS of a service: the files an operator names, checked one by one, made into a context.

Versions below 1.2 are refused; ciphers are those of ``ssl.create_default_context``.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from inferd.errors import ConfigError
from inferd.listening.certificates import expiries, has_expired


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """
    The files of one service, PEM all of them.

    Attributes:
        service: ``http`` or ``grpc``: what the options' names begin with.
        certificate: The server's certificate, followed by the intermediate ones.
        key: Its private key, without a password.
        roots: The certificates that a client's must lead to; empty asks clients for none.
    """

    service: str
    certificate: str
    key: str
    roots: str = ""


def server_context(files: TlsFiles, protocols: Sequence[str]) -> ssl.SSLContext:
    """
    Return the context of a service.

    Args:
        files: Where certificates and key are.
        protocols: What ALPN offers, the preferred one first.

    Raises:
        ConfigError: A file is missing, unreadable, expired or does not go with another; names
            option and file.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(list(protocols))
    _load_certificate(context, files)
    if files.roots:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_roots(context, files)
    return context


def reload_files(context: ssl.SSLContext, files: TlsFiles, protocols: Sequence[str]) -> None:
    """
    Read the files again, for the connections to come.

    Args:
        context: The context that listening sockets have.
        files: Where certificates and key are.
        protocols: As for :func:`server_context`.

    Raises:
        ConfigError: As :func:`server_context`; the context is as it was.
    """
    fresh = server_context(files, protocols)

    def replace(connection: ssl.SSLObject, name: str | None, old: ssl.SSLContext) -> None:
        connection.context = fresh

    # Loading into the context itself would keep the old roots, and a key of another kind
    # beside the new one.
    context.sni_callback = replace


def _load_certificate(context: ssl.SSLContext, files: TlsFiles) -> None:
    place = f"--{files.service}-server-cert: {files.certificate}"
    key_place = f"--{files.service}-server-key: {files.key}"
    pem = _read(place, files.certificate)
    _read(key_place, files.key)
    for until in _expiries(place, pem):
        if has_expired(until, datetime.now(UTC)):
            raise ConfigError(f"{place}: a certificate expired on {until:%Y-%m-%d %H:%M:%S} UTC")

    def ask() -> str:
        raise ConfigError(f"{key_place}: the key has a password; only keys without one are taken")

    try:
        context.load_cert_chain(files.certificate, files.key, password=ask)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            raise ConfigError(
                f"{key_place}: not the key of the certificate in {files.certificate}"
            ) from error
        raise ConfigError(f"{_culprit(place, key_place, files)} ({_reason(error)})") from error


def _culprit(place: str, key_place: str, files: TlsFiles) -> str:
    """Tell which of two files OpenSSL cannot read: it reports both with the same words."""
    try:
        ssl.create_default_context().load_verify_locations(files.certificate)
    except ssl.SSLError:
        return f"{place}: not a certificate that can be used"
    return f"{key_place}: not a private key in PEM form that can be used"


def _load_roots(context: ssl.SSLContext, files: TlsFiles) -> None:
    place = f"--{files.service}-root-cert: {files.roots}"
    found = _expiries(place, _read(place, files.roots))
    if has_expired(max(found), datetime.now(UTC)):
        raise ConfigError(f"{place}: every certificate in it has expired")
    try:
        context.load_verify_locations(files.roots)
    except ssl.SSLError as error:
        raise ConfigError(f"{place}: cannot be used ({_reason(error)})") from error


def _read(place: str, path: str) -> str:
    try:
        with open(path, encoding="latin-1") as file:
            return file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{place}: {reason}") from error


def _expiries(place: str, pem: str) -> list[datetime]:
    try:
        found = expiries(pem)
    except ValueError as error:
        raise ConfigError(f"{place}: a certificate cannot be read: {error}") from error
    if not found:
        raise ConfigError(f"{place}: no certificate in PEM form in it")
    return found


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "unknown reason").lower().replace("_", " ")
