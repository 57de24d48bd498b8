"""Servers behind TLS, a path, a token and on IPv6, over both protocols; and what is no address of one."""

import socket

import numpy as np
import pytest
import trustme

from export.server_access import connect
from export.server_address import Address, bearer_token, parse_address
from r3d_keras.errors import UserError
from tests.commands import call, refusal
from tests.export.conftest import running_server
from tests.export.test_client import http_server
from tests.videos import moving_square, write_video

PROTOCOLS = ("rest", "grpc")
SECRET = "open-sesame.42"
CLIPS = np.zeros((1, 16, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The files of a certificate authority of our own, and of a server's key and certificate for loopback."""
    folder = tmp_path_factory.mktemp("certificates")
    ours = trustme.CA()
    ours.cert_pem.write_to_path(str(folder / "authority.pem"))
    certificate = ours.issue_cert("127.0.0.1", "::1", "localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return folder / "authority.pem", folder / "server.pem"


@pytest.fixture(scope="module")
def gateway(base, authority):
    """The bundle behind TLS, a token, and a path of REST."""
    flags = (f"--certificate={authority[1]}", f"--token={SECRET}", "--prefix=/behind/a.path")
    with running_server(base, *flags) as loopback:
        yield loopback


def secure_address(gateway, protocol: str) -> str:
    return f"https://{gateway.address(protocol)}" + "/behind/a.path/" * (protocol == "rest")


def scores(address: str, protocol: str) -> np.ndarray:
    return connect(address, "actions", protocol, 30.0).predict("serving_default", {"clips": CLIPS})["probabilities"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tls_a_path_and_a_token_give_the_numbers_of_the_plain_server(server, gateway, authority, protocol, monkeypatch):
    expected = scores(server.address(protocol), protocol)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    monkeypatch.setenv("R3D_SERVER_TOKEN", f"{SECRET}\n")  # as `$(cat file)` would not leave it, but others do
    np.testing.assert_array_equal(scores(secure_address(gateway, protocol), protocol), expected)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_certificate_that_is_not_trusted_is_refused(gateway, protocol, monkeypatch):
    monkeypatch.setenv("R3D_SERVER_TOKEN", SECRET)
    words = r"^no answer from .*CERTIFICATE_VERIFY_FAILED.*\(SSL_CERT_FILE may name a file of certificates to trust\)$"
    with pytest.raises(UserError, match=words) as caught:
        connect(secure_address(gateway, protocol), "actions", protocol, 20.0).describe()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("token", "words"),
    [(None, "asks for a token: set the environment variable R3D_SERVER_TOKEN"), ("another", "refuses the token in R3")],
)
def test_a_token_that_is_missing_or_wrong_is_one_line(gateway, authority, protocol, token, words, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    monkeypatch.setenv("R3D_SERVER_TOKEN", token) if token else monkeypatch.delenv("R3D_SERVER_TOKEN", raising=False)
    with pytest.raises(UserError, match=words) as caught:
        connect(secure_address(gateway, protocol), "actions", protocol, 20.0).describe()
    assert "another" not in str(caught.value)


def test_the_command_says_the_token_to_the_server_alone(gateway, authority, tmp_path, monkeypatch):
    write_video(tmp_path / "x.avi", moving_square(16, 1, seed=0))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    monkeypatch.setenv("R3D_SERVER_TOKEN", SECRET)
    flags = (f"--server={secure_address(gateway, 'rest')}", "--model_name=actions")
    done = call("-m", "export.client", *flags, tmp_path / "x.avi")
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ipv6_stands_in_brackets(base, server, protocol):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with running_server(base, "--host=::1") as loopback:
        port = loopback.grpc_port if protocol == "grpc" else loopback.rest_port
        np.testing.assert_array_equal(scores(f"[::1]:{port}", protocol), scores(server.address(protocol), protocol))


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("localhost:8501", Address(False, "localhost", 8501), "http://localhost:8501"),
        ("http://localhost:8501/", Address(False, "localhost", 8501), "http://localhost:8501"),
        ("[::1]:8501", Address(False, "::1", 8501), "http://[::1]:8501"),
        ("https://m.example.org", Address(True, "m.example.org", 443), "https://m.example.org:443"),
        (
            "https://m.example.org:8443/a/b/",
            Address(True, "m.example.org", 8443, "/a/b"),
            "https://m.example.org:8443/a/b",
        ),
        ("http://m.example.org/a", Address(False, "m.example.org", 80, "/a"), "http://m.example.org:80/a"),
    ],
)
def test_addresses_are_read(text, address, shown):
    assert parse_address(text) == address
    assert str(address) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("localhost", r"^server=localhost is not of the form HOST:PORT or https://HOST/PATH, for example"),
        ("localhost:99999", "is not of the form"),
        ("localhost:0", "is not of the form"),
        ("local host:80", "is not of the form"),
        ("ftp://localhost:21", "is not of the form"),
        ("https:///path", "is not of the form"),
        ("[::1", "is not of the form"),
        ("::1:8501", r"^server=::1:8501: an IPv6 address stands in brackets, as in \[::1\]:8501$"),
        ("http://localhost:8501/v1/models/actions", "/v1/models and the model's name are added, leave them out"),
        ("https://me:secret@host/", "^server takes no user, password"),
        ("me:secret@host:1", "^server takes no user, password"),
        ("https://host/?key=secret", "^server takes no user, password"),
    ],
)
def test_what_is_no_address_is_one_line(text, words):
    with pytest.raises(UserError, match=words) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)
    assert "secret" not in refusal("-m", "export.client", f"--server={text}", "--model_name=actions", "x.avi")


def test_grpc_has_no_path():
    with pytest.raises(UserError, match="gRPC has no path behind the port"):
        connect("https://localhost:8500/a", "actions", "grpc", 1.0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]"])
def test_a_token_may_be_sent_to_this_machine(host, monkeypatch):
    monkeypatch.setenv("R3D_SERVER_TOKEN", SECRET)
    assert bearer_token(parse_address(f"{host}:8501")) == SECRET


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("host", ["10.0.0.7", "models.example.org", "[2001:db8::1]"])
def test_a_token_never_leaves_this_machine_unprotected(host, protocol, monkeypatch):
    monkeypatch.setenv("R3D_SERVER_TOKEN", SECRET)
    with pytest.raises(UserError, match=r"would travel to .* for all to read: write https:// before") as caught:
        connect(f"{host}:8501", "actions", protocol, 1.0)
    assert SECRET not in str(caught.value)
    assert bearer_token(parse_address(f"https://{host}")) == SECRET


def test_a_token_that_no_header_takes_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("R3D_SERVER_TOKEN", "two words")
    with pytest.raises(UserError, match=r"^R3D_SERVER_TOKEN holds a space"):
        bearer_token(parse_address("localhost:8501"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"no certificate", "does not contain a certificate"), (b"\xff", "it is no text$")],
)
def test_a_file_without_certificates_is_one_line(content, reason, protocol, tmp_path, monkeypatch):
    if content is not None:
        (tmp_path / "x.pem").write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "x.pem"))
    with pytest.raises(UserError, match=rf"^SSL_CERT_FILE=.*x\.pem is no file of certificates \(PEM\): .*{reason}"):
        connect("https://localhost:1", "actions", protocol, 1.0)


def test_nothing_follows_a_server_that_sends_elsewhere(monkeypatch):
    monkeypatch.setenv("R3D_SERVER_TOKEN", SECRET)
    with http_server([(200, b"{}", 0)]) as (elsewhere, seen):
        headers = {"Location": f"http://127.0.0.1:{elsewhere}/{SECRET}"}
        refused = pytest.raises(UserError, match=r"sends elsewhere, to http://127.*/\*\*\*: name that server")
        with http_server([(307, b"", 0)], headers=headers) as (port, _), refused as caught:
            connect(f"127.0.0.1:{port}", "actions", "rest", 5.0).describe()
    assert seen == []
    assert SECRET not in str(caught.value)


def test_a_server_that_repeats_the_token_is_not_quoted(monkeypatch):
    monkeypatch.setenv("R3D_SERVER_TOKEN", SECRET)
    refused = pytest.raises(UserError, match=r"the server says: who is \*\*\*\?$")
    with http_server([(400, f'{{"error": "who is {SECRET}?"}}'.encode(), 0)]) as (port, _), refused:
        connect(f"127.0.0.1:{port}", "actions", "rest", 5.0).describe()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_https_of_a_server_without_tls_is_one_line(server, protocol):
    with pytest.raises(UserError, match=r"^no answer from .*127\.0\.0\.1") as caught:
        connect(f"https://{server.address(protocol)}", "actions", protocol, 5.0).describe()
    assert "\n" not in str(caught.value)


def test_http_of_a_server_with_tls_is_one_line(gateway):
    with pytest.raises(UserError, match=r"^no answer from http://127\.0\.0\.1") as caught:
        connect(gateway.address("rest"), "actions", "rest", 5.0).describe()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_certificate_of_another_host_is_refused(base, authority, protocol, tmp_path, monkeypatch):
    ours = trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    ours.issue_cert("other.example.org").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    refused = pytest.raises(UserError, match=r"^no answer from .*127\.0\.0\.1")
    with running_server(base, f"--certificate={tmp_path / 'server.pem'}") as loopback, refused:
        connect(f"https://{loopback.address(protocol)}", "actions", protocol, 10.0).describe()
