import shutil
import tempfile
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from kkg_area_detection.demo import local_s3 as module
from kkg_area_detection.demo.local_s3 import LocalS3, LocalS3Error, local_s3


def test_it_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with local_s3() as server:
        assert list(temporary.iterdir())
        assert server.process.poll() is None
    assert not list(temporary.iterdir())
    assert server.process.poll() is not None
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(server.endpoint, timeout=1)


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
