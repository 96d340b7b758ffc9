import sys

import pytest

from kkg_area_detection.demo.local_s3 import LocalS3
from kkg_area_detection.errors import MissingDependencyError
from kkg_area_detection.hub.s3 import S3Store


@pytest.fixture(autouse=True)
def environment(reader_environment: dict[str, str]) -> None:
    pass


def test_listing_goes_through_all_pages(s3: LocalS3, prefix: str) -> None:
    client = s3.client(s3.admin)
    for number in range(1003):  # a page has 1000 keys
        client.put_object(Bucket=s3.bucket, Key=f"{prefix}{number:04}", Body=b"x")
    listing = S3Store().list_objects(s3.bucket, prefix)
    assert [item.key for item in listing] == [f"{prefix}{number:04}" for number in range(1003)]
    assert {item.size for item in listing} == {1}


def test_listing_of_one_folder(s3: LocalS3, prefix: str) -> None:
    client = s3.client(s3.admin)
    for key in ("a", "b", "sub/c"):
        client.put_object(Bucket=s3.bucket, Key=prefix + key, Body=b"")
    listing = S3Store().list_objects(s3.bucket, prefix, recursive=False)
    assert [item.key.removeprefix(prefix) for item in listing] == ["a", "b"]


def test_reading(s3: LocalS3, prefix: str) -> None:
    s3.client(s3.admin).put_object(Bucket=s3.bucket, Key=prefix + "日本語.txt", Body=b"content")
    store = S3Store()
    (item,) = store.list_objects(s3.bucket, prefix)
    buffer = memoryview(bytearray(100))
    with store.read(s3.bucket, item) as body:
        assert bytes(buffer[: body.readinto(buffer)]) == b"content"
    with store.read(s3.bucket, item, 2, 5) as body:
        assert bytes(buffer[: body.readinto(buffer)]) == b"nte"


@pytest.mark.parametrize(
    ("variables", "argument", "region"),
    [
        ({}, None, "ap-northeast-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, None, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "us-east-2", "us-east-2"),
    ],
)
def test_region(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], argument: str | None, region: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert S3Store(argument)._client.meta.region_name == region


def test_unsigned_and_requester_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    store = S3Store()
    sent = []
    store._client.meta.events.register(
        "before-send.s3", lambda request, **_: sent.append(request.headers) or _stop()
    )
    with pytest.raises(_StopError):
        store.list_objects("bucket", "x/")
    assert "Authorization" not in sent[0]
    assert sent[0]["x-amz-request-payer"] == b"requester"


class _StopError(Exception):
    pass


def _stop() -> None:
    raise _StopError


def test_without_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingDependencyError) as caught:
        S3Store()
    assert "pip install boto3" in str(caught.value)
    assert isinstance(caught.value, ImportError)
