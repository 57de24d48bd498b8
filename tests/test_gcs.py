"""Data folders on gs://, against an emulator on loopback; `make test-beam` runs this."""

import json
import socket
import ssl
import subprocess
import threading
import urllib.parse
import urllib.request

import pytest

from tests.commands import free_port, run
from tests.data.videos import file_contents
from tests.videos import moving_square, write_video

emulator = pytest.importorskip("gcp_storage_emulator.server")


def mend_emulator(patch):
    """Mends what gcp-storage-emulator 2026.7.19 does unlike Google: empty files, chunked uploads, https addresses."""
    read_raw_data, data = emulator._read_raw_data, emulator.Request.data.fget

    def read_chunks_first(handler):
        if handler.headers.get("Transfer-Encoding") == "chunked":
            del handler.headers["Content-Length"]
        return read_raw_data(handler)

    patch.setattr(emulator, "_read_raw_data", read_chunks_first)
    patch.setattr(emulator.Request, "data", property(lambda self: data(self) or b""))
    patch.setattr(emulator.Request, "full_url", property(lambda self: self._full_url.replace("http:", "https:", 1)))


def make_certificate(folder):
    """Writes a certificate of Google's storage hosts and its key; returns their paths."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    hosts = "subjectAltName=DNS:storage.googleapis.com,DNS:www.googleapis.com"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-addext", hosts]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def start_proxy(certificate, key, target_port):
    """Starts a proxy that answers every CONNECT in the place of that host, from a local port; returns its own port."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source, target):
        try:
            while block := source.recv(1 << 16):
                target.sendall(block)
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side left

    def serve(connection):
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        client = tls.wrap_socket(connection, server_side=True)
        server = socket.create_connection(("127.0.0.1", target_port))
        threading.Thread(target=copy, args=(client, server), daemon=True).start()
        copy(server, client)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    """Address of an emulator with an empty bucket. TensorFlow knows Google's hosts alone, and a proxy leads there."""
    port = free_port()
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"))
    with pytest.MonkeyPatch.context() as patch:
        mend_emulator(patch)
        server.start()
        patch.setenv("https_proxy", f"http://127.0.0.1:{start_proxy(certificate, key, port)}")
        patch.setenv("no_proxy", "localhost,127.0.0.1")
        patch.setenv("CURL_CA_BUNDLE", str(certificate))
        patch.setenv("NO_GCE_CHECK", "true")
        yield f"http://127.0.0.1:{port}"
    server.stop()


def objects(google, folder):
    """Returns every object below a folder of the bucket by its path in it, without the marks of folders."""
    with urllib.request.urlopen(f"{google}/storage/v1/b/bucket/o?prefix={folder}/") as answer:
        names = [item["name"] for item in json.load(answer)["items"] if not item["name"].endswith("/")]
    contents = {}
    for name in names:
        with urllib.request.urlopen(f"{google}/bucket/{urllib.parse.quote(name)}") as answer:
            contents[name.removeprefix(f"{folder}/")] = answer.read()
    return contents


def succeed(*command):
    result = run(*command)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def prepare(tmp_path_factory):
    """A function that prepares eight small videos into a folder."""
    videos = tmp_path_factory.mktemp("videos")
    for number in range(8):
        write_video(videos / "ab"[number % 2] / f"{number}.avi", moving_square(40, 1, seed=number))
    command = ["-m", "data.prepare", "--dataset=folder", f"--video_dir={videos}", "--validation_fraction=0.25"]
    return lambda data_dir, *more: succeed(*command, f"--data_dir={data_dir}", *more)


@pytest.fixture(scope="module")
def local(prepare, tmp_path_factory):
    """The same videos prepared into a local folder."""
    folder = tmp_path_factory.mktemp("local") / "shards"
    prepare(folder, "--workers=1")
    return file_contents(folder)


def test_prepare_inspect_train(google, prepare, local, tmp_path):
    prepare("gs://bucket/shards", "--workers=2")
    assert objects(google, "shards") == local
    assert "nothing to do" in prepare("gs://bucket/shards")
    assert "every frame decodes" in succeed("-m", "data.inspect", "--data_dir=gs://bucket/shards", "--workers=1")
    small = ["--architecture=resnet-10", "--widen_factor=0.0625", "--frame_size=32", "--batch_size=4", "--epochs=1"]
    succeed("train.py", "--data_dir=gs://bucket/shards", f"--model_dir={tmp_path}", *small)


def test_beam_workers_write_to_it(google, prepare, local):
    pytest.importorskip("apache_beam")
    flags = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    prepare("gs://bucket/beam", "--runner=DirectRunner", "--", *flags)
    assert objects(google, "beam") == local
