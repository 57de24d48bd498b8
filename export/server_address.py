"""Where a model server is, how its certificate is checked, and the token that it asks for."""

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from r3d_keras.errors import UserError

CERTIFICATES = "SSL_CERT_FILE"  # the variable that OpenSSL itself reads
TOKEN = "R3D_SERVER_TOKEN"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")


@dataclass(frozen=True)
class Address:
    """A server: whether TLS protects what is sent, host without brackets, port, and the path before /v1 of REST."""

    is_secure: bool
    host: str
    port: int
    path: str = ""

    @property
    def target(self) -> str:
        """Host and port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether what is sent stays on this machine."""
        try:
            return self.host.lower() == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"http{'s' * self.is_secure}://{self.target}{self.path}"


def parse_address(text: str) -> Address:
    """Reads HOST:PORT, or an address with http:// or https:// before it, whose port may be left out, and a path behind.

    Raises UserError, which repeats no password.
    """
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        scheme, host, port = parts.scheme or "http", parts.hostname or "", parts.port
    except ValueError:
        parts, scheme, host, port = SplitResult("", "", "", "", ""), "http", "", None
    if "@" in text or "?" in text or "#" in text:
        raise UserError(f"server takes no user, password, ? or #: a token goes into the environment variable {TOKEN}")
    if text.count(":") > 1 and not {"[", "/"} & set(text):
        raise UserError(f"server={text}: an IPv6 address stands in brackets, as in [::1]:8501")
    port = port or (_DEFAULT_PORTS.get(scheme) if parts.scheme else None)
    if not (scheme in _DEFAULT_PORTS and port and _HOST.fullmatch(host) and _PATH.fullmatch(parts.path)):
        raise UserError(f"server={text} is not of the form HOST:PORT or https://HOST/PATH, for example localhost:8501")
    path = parts.path.rstrip("/")
    if "/v1/models" in path:
        raise UserError(f"server={text}: /v1/models and the model's name are added, leave them out")
    return Address(scheme == "https", host, port, path)


def bearer_token(address: Address) -> str | None:
    """Returns the token that the environment variable R3D_SERVER_TOKEN holds; None without one.

    Raises UserError, without the token, when it would leave this machine unprotected, or is none.
    """
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        return None
    if not re.fullmatch(r"[!-~]+", token):
        raise UserError(f"{TOKEN} holds a space or a character that no token has")
    if not (address.is_secure or address.is_loopback):
        raise UserError(
            f"the token in {TOKEN} would travel to {address.target} for all to read: "
            f"write https:// before the server, or unset {TOKEN}"
        )
    return token


def trusted_certificates() -> bytes | None:
    """Returns the PEM file that SSL_CERT_FILE names, which is trusted in place of the usual authorities; None without.

    Raises UserError for one that cannot be read or holds no certificate.
    """
    path = os.environ.get(CERTIFICATES)
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            content = file.read()
        ssl_context(content)
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise UserError(f"{CERTIFICATES}={path} is no file of certificates (PEM): {reason}") from error
    return content


def ssl_context(certificates: bytes | None) -> ssl.SSLContext:
    """Returns what checks a server's certificate by these (PEM), or by the usual authorities."""
    return ssl.create_default_context(cadata=certificates.decode("ascii") if certificates else None)
