"""Makes certificates with the ``openssl`` command, as an operator would."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CURVE = ("-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclass(frozen=True)
class Pair:
    """
    A certificate and its key.

    Attributes:
        certificate: Path of the certificate, in PEM.
        key: Path of the private key, in PEM.
    """

    certificate: str
    key: str


class Authority:
    """
    A root certificate and what it signs.

    Args:
        folder: Where the files go.
        name: The name of the root.

    Attributes:
        root: Path of the root's certificate.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self.root = str(folder / f"{name}.pem")
        self._key = str(folder / f"{name}.key")
        _openssl(
            "req", "-x509", "-newkey", "ec", *_CURVE, "-nodes",
            "-keyout", self._key, "-out", self.root, "-days", "2", "-subj", f"/CN={name}",
            # Python 3.13 is strict about what a root says of itself.
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def issue(self, name: str, *, days: int = 2, password: str = "", kind: str = "ec") -> Pair:
        """
        Sign a certificate for ``localhost`` and 127.0.0.1.

        Args:
            name: The name of the files and the subject.
            days: How long it holds, from now; negative for one that has expired.
            password: Encrypts the key; empty leaves it as it is.
            kind: Of the key: ``ec`` or ``rsa:<bits>``.
        """
        made = Pair(str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key"))
        request = str(self._folder / f"{name}.csr")
        extensions = self._folder / "extensions"
        extensions.write_text(
            "basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n"
            "authorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        )
        secret = ("-passout", f"pass:{password}") if password else ("-nodes",)
        _openssl(
            "req", "-new", "-newkey", kind, *(_CURVE if kind == "ec" else ()), *secret,
            "-keyout", made.key, "-out", request, "-subj", f"/CN={name}",
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.root, "-CAkey", self._key,
            "-CAcreateserial", "-days", str(days), "-extfile", str(extensions),
            "-out", made.certificate,
        )  # fmt: skip
        return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
