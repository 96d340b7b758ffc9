import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from kkg_area_detection.demo import local_s3 as module
from kkg_area_detection.demo.local_s3 import LocalS3, LocalS3Error, _free_ports, local_s3


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports of the servers that the test starts."""
    taken: list[int] = []

    def free_ports(count: int) -> list[int]:
        found = _free_ports(count)
        taken.extend(found)
        return found

    monkeypatch.setattr(module, "_free_ports", free_ports)
    return taken


def sockets(ports: list[int]) -> list[Path]:
    return [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]


def test_it_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ports: list[int]) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with local_s3() as server:
        assert list(temporary.iterdir())
        assert os.name != "posix" or sockets(ports)
        assert server.process.poll() is None
    assert not list(temporary.iterdir())
    assert not sockets(ports)
    assert server.process.poll() is not None
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(server.endpoint, timeout=1)


HOLDER = """
import json, signal, time
from kkg_area_detection.demo import local_s3 as module
ports = module._free_ports(8)
module._free_ports = lambda _: ports
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored
with module.local_s3() as server:
    print(json.dumps([server.endpoint, ports]), flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize("sent", ["SIGKILL", "SIGHUP"])
def test_it_ends_with_a_holder_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        endpoint, ports = json.loads(holder.stdout.readline())
        assert module._answers(endpoint)
        assert list((tmp_path / "work").iterdir())
        holder.send_signal(getattr(signal, sent))
    deadline = time.monotonic() + 20
    while list((tmp_path / "work").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list((tmp_path / "work").iterdir())
    assert not sockets(ports)
    assert not module._answers(endpoint)


@pytest.fixture
def proxy() -> Iterator[str]:
    """A company's proxy: it is there, and knows nothing of our server."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def foreign_settings(proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user of AWS behind a proxy may have set, and what would break everything."""
    config = tmp_path / "config"
    config.write_text("[default]\nregion = xx-nowhere-1\nendpoint_url = http://127.0.0.1:9\n")
    for name, value in {
        "HTTP_PROXY": proxy,
        "http_proxy": proxy,
        "AWS_PROFILE": "nope",
        "AWS_CONFIG_FILE": str(config),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "foreign",
        "AWS_SECRET_ACCESS_KEY": "foreign",
        "AWS_SESSION_TOKEN": "foreign",
        "AWS_NO_SIGN_REQUEST": "true",
        "AWS_CA_BUNDLE": "/nowhere",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "KKG_OFFLINE": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("foreign_settings")
def test_neither_proxies_nor_the_users_own_settings_matter() -> None:
    with local_s3() as server:
        server.client(server.admin).put_object(Bucket=server.bucket, Key="x", Body=b"x")
        found = server.client(server.reader).list_objects_v2(Bucket=server.bucket)
    assert found["KeyCount"] == 1


@pytest.mark.usefixtures("foreign_settings")
def test_a_proxy_does_not_answer_for_the_server() -> None:
    assert not module._answers(f"http://127.0.0.1:{_free_ports(1)[0]}")


def test_only_a_server_that_wants_a_signature_is_ours(proxy: str, s3: LocalS3) -> None:
    assert module._answers(s3.endpoint)
    assert not module._answers("http://127.0.0.1:9")


@pytest.mark.usefixtures("foreign_settings")
def test_the_plain_environment() -> None:
    plain = module.plain_environment()
    assert plain["PATH"] == os.environ["PATH"]
    assert plain["AWS_CONFIG_FILE"] == plain["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert (
        not {"HTTP_PROXY", "http_proxy", "AWS_PROFILE", "AWS_NO_SIGN_REQUEST", "KKG_OFFLINE"} & plain.keys()
    )


def test_the_reader_may_list_and_get_and_nothing_else(s3: LocalS3, prefix: str) -> None:
    s3.client(s3.admin).put_object(Bucket=s3.bucket, Key=prefix + "x", Body=b"x")
    reader = s3.client(s3.reader)
    assert reader.list_objects_v2(Bucket=s3.bucket, Prefix=prefix)["KeyCount"] == 1
    assert reader.get_object(Bucket=s3.bucket, Key=prefix + "x")["Body"].read() == b"x"
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.put_object(Bucket=s3.bucket, Key=prefix + "y", Body=b"y")
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.delete_object(Bucket=s3.bucket, Key=prefix + "x")


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(LocalS3Error, match="pip install"), local_s3():
        pass


def test_a_program_that_does_not_come_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_find_program", lambda: shutil.which("false"))
    with pytest.raises(LocalS3Error, match="did not come up"), local_s3():
        pass


def test_secrets_are_not_in_the_repr(s3: LocalS3) -> None:
    assert s3.admin.secret_key not in repr(s3)
    assert s3.reader.secret_key not in repr(s3)
