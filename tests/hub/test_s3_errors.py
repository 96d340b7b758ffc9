"""Everything that can go wrong between boto3 and S3, and what the user is told.

Real server where it can say so; prepared answers where it cannot.
"""

from __future__ import annotations

import socket
import ssl
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest
import trustme

from kkg_area_detection.demo.local_s3 import LocalS3
from kkg_area_detection.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    EndpointError,
    HubError,
    KkgAreaDetectionError,
    ObjectChangedError,
    ObjectNotFoundError,
    RegionError,
    SettingsError,
    TransferError,
)
from kkg_area_detection.hub import s3 as s3_module
from kkg_area_detection.hub.plan import RemoteObject
from kkg_area_detection.hub.s3 import S3Store
from tests.canned_s3 import Answer, broken_page, canned_s3, error_xml, hang_up, html_page, reply


@pytest.fixture(autouse=True)
def environment(reader_environment: dict[str, str]) -> None:
    pass


def use(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def check(error: KkgAreaDetectionError, secrets: list[str]) -> None:
    """Three parts, no secret, and the original chained."""
    assert error.next_step
    assert error.__cause__ is not None
    for secret in secrets:
        assert secret not in str(error)
        assert secret not in repr(error)


# --- the real server ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "error", "words"),
    [
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong-secret"},
            CredentialsError,
            "AWS_SECRET_ACCESS_KEY does not belong",
        ),
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, CredentialsError, "does not know the access key id"),
    ],
)
def test_wrong_keys(
    s3: LocalS3,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    error: type[HubError],
    words: str,
) -> None:
    use(monkeypatch, **variables)
    with pytest.raises(error) as caught:
        S3Store().list_objects(s3.bucket, "x/")
    assert words in str(caught.value)
    assert isinstance(caught.value, PermissionError)
    check(caught.value, ["wrong-secret", s3.reader.secret_key])


def test_no_list_permission(s3: LocalS3) -> None:
    with pytest.raises(AccessDeniedError) as caught:
        S3Store().list_objects("another-bucket", "x/")
    assert "s3:ListBucket" in str(caught.value)
    assert "typo" in str(caught.value)


def test_no_get_permission(s3: LocalS3) -> None:
    item = RemoteObject("k", 1, '"e"')
    with pytest.raises(AccessDeniedError, match="s3:GetObject"), S3Store().read("another-bucket", item):
        pass


def test_no_such_bucket(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, **s3.admin.environment())  # to others the server does not tell
    with pytest.raises(BucketNotFoundError, match="no bucket 'no-such-bucket'"):
        S3Store().list_objects("no-such-bucket", "x/")


def test_no_such_object(s3: LocalS3) -> None:
    with pytest.raises(ObjectNotFoundError), S3Store().read(s3.bucket, RemoteObject("gone", 1, '"e"')):
        pass


def test_object_replaced_since_it_was_listed(s3: LocalS3, prefix: str) -> None:
    client = s3.client(s3.admin)
    client.put_object(Bucket=s3.bucket, Key=prefix + "w", Body=b"one")
    (item,) = S3Store().list_objects(s3.bucket, prefix)
    client.put_object(Bucket=s3.bucket, Key=prefix + "w", Body=b"two")
    with pytest.raises(ObjectChangedError, match="replaced while"), S3Store().read(s3.bucket, item):
        pass


# --- the way there -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://127.0.0.1:9", "refuses the connection"),
        ("http://no-such-host.invalid", "could not be found (DNS)"),
    ],
)
def test_unreachable(monkeypatch: pytest.MonkeyPatch, endpoint: str, words: str) -> None:
    use(monkeypatch, AWS_ENDPOINT_URL_S3=endpoint)
    with pytest.raises(EndpointError) as caught:
        S3Store().list_objects("bucket", "x/")
    assert words in str(caught.value)
    assert "AWS_ENDPOINT_URL_S3" in str(caught.value)
    assert isinstance(caught.value, ConnectionError)
    check(caught.value, [])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_ENDPOINT_URL_S3", "not a url", "full URL"),
        ("AWS_REGION", "no such region!", "malformed"),
        ("AWS_PROFILE", "nobody", "check AWS_PROFILE"),
    ],
)
def test_malformed_settings(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    use(monkeypatch, **{name: value})
    with pytest.raises((SettingsError, CredentialsError), match=words):
        S3Store(value if name == "AWS_REGION" else None)


def test_no_credentials(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError, match="No AWS credentials were found") as caught:
        S3Store().list_objects(s3.bucket, "x/")
    assert "IAM role" in str(caught.value)


def test_half_of_the_credentials(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsError, match="incomplete"):
        S3Store().list_objects(s3.bucket, "x/")


def test_a_session_token_with_a_line_break(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, AWS_SESSION_TOKEN="SECRETTOKEN\nabc")
    with pytest.raises(CredentialsError, match="control character") as caught:
        S3Store().list_objects(s3.bucket, "x/")
    shown = "".join(traceback.format_exception(caught.value))
    assert "SECRETTOKEN" not in shown


@pytest.mark.parametrize("endpoint", ["http://user:GEHEIM@127.0.0.1:9", "http://user:GEHEIM@bad host"])
def test_a_password_in_the_endpoint(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    use(monkeypatch, AWS_ENDPOINT_URL_S3=endpoint)
    with pytest.raises(SettingsError) as caught:
        S3Store()
    assert "GEHEIM" not in str(caught.value)


def test_redirects_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def redirect(request: BaseHTTPRequestHandler) -> None:
        reply(request, 307, b"", {"Location": request.path})

    with canned_s3(redirect) as endpoint:
        use(monkeypatch, AWS_ENDPOINT_URL_S3=endpoint)
        with pytest.raises(HubError):
            S3Store().list_objects("bucket", "x/")


def test_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "READ_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        use(monkeypatch, AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(EndpointError, match="broke off"):
            S3Store().list_objects("bucket", "x/")


@contextmanager
def tls_server(authority: trustme.CA) -> Iterator[str]:
    """An HTTPS server that accepts connections and closes them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_untrusted_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_server(trustme.CA()) as endpoint:
        use(monkeypatch, AWS_ENDPOINT_URL_S3=endpoint)
        with pytest.raises(EndpointError, match="not trusted") as caught:
            S3Store().list_objects("bucket", "x/")
    assert "AWS_CA_BUNDLE" in str(caught.value)


def test_http_where_https_was_asked_for(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, AWS_ENDPOINT_URL_S3=s3.endpoint.replace("http:", "https:"))
    with pytest.raises(EndpointError, match="No secure connection") as caught:
        S3Store().list_objects("bucket", "x/")
    assert "http:// or https://" in str(caught.value)


def test_dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, AWS_ENDPOINT_URL_S3="http://s3.example.invalid", HTTP_PROXY="http://127.0.0.1:9")
    with pytest.raises(EndpointError, match="proxy") as caught:
        S3Store().list_objects("bucket", "x/")
    assert "NO_PROXY" in str(caught.value)


# --- prepared answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (error_xml(400, "ExpiredToken"), CredentialsError, "have expired"),
        (error_xml(400, "InvalidToken"), CredentialsError, "AWS_SESSION_TOKEN"),
        (
            error_xml(403, "RequestTimeTooSkewed", "<ServerTime>2026-01-01T00:00:00Z</ServerTime>"),
            CredentialsError,
            "clock is wrong (server: 2026-01-01T00:00:00Z)",
        ),
        (
            error_xml(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
            RegionError,
            "AWS_REGION=eu-west-3",
        ),
        (
            error_xml(301, "PermanentRedirect", headers={"x-amz-bucket-region": "us-east-2"}),
            RegionError,
            "AWS_REGION=us-east-2",
        ),
        (error_xml(403, "AccessDenied"), AccessDeniedError, "s3:ListBucket"),
        (error_xml(404, "NoSuchBucket"), BucketNotFoundError, "S3_BUCKET_NAME has a typo"),
        (error_xml(503, "SlowDown"), TransferError, "SlowDown (HTTP 503)"),
        (error_xml(500, "InternalError"), TransferError, "overloaded or has a fault"),
        (error_xml(418, "Teapot"), TransferError, "Teapot (HTTP 418)"),
        (html_page, TransferError, "captive portal"),  # well-formed, so boto3 reads an empty bucket
        (broken_page, TransferError, "(HTTP 500)"),  # botocore's own word for XML it cannot parse
        (hang_up, EndpointError, "broke off"),
    ],
)
def test_prepared_answers(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, error: type[HubError], words: str
) -> None:
    with canned_s3(answer) as endpoint:
        use(monkeypatch, AWS_ENDPOINT_URL_S3=endpoint, AWS_MAX_ATTEMPTS="1")
        with pytest.raises(error) as caught:
            S3Store("ap-northeast-1").list_objects("bucket", "x/")
    assert words in str(caught.value)
    assert caught.value.next_step
