"""Broken set-ups, and what the doctor says of each. Real server, real git, real files where they can be had."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import botocore.client
import botocore.exceptions
import moto
import pytest
import trustme

from kkg_area_detection.checkup import Check, Finding, examine, failure, first_step, ok, skipped
from kkg_area_detection.demo.local_s3 import LocalS3
from kkg_area_detection.errors import SettingsError
from kkg_area_detection.hub import doctor, doctor_case, doctor_credentials
from kkg_area_detection.hub.doctor import hub_checks
from tests.canned_s3 import Answer, canned_s3, error_xml, html_page, reply
from tests.conftest import write_tiny_model
from tests.hub.test_s3_errors import tls_server

Examine = Callable[[], dict[str, Finding]]
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEXAMPLETOKENFwoGZXIvYXdz"


@pytest.fixture(autouse=True)
def environment(reader_environment: dict[str, str], s3: LocalS3, prefix: str, tiny_model: Path) -> None:
    s3.upload(tiny_model, f"{prefix}large/")


@pytest.fixture
def examined(s3: LocalS3) -> Examine:
    """Runs all checks and makes sure that no secret is in what they found."""

    def run() -> dict[str, Finding]:
        checks, conceal = hub_checks()
        findings = {one.name: one for one in examine(checks, budget_s=doctor.BUDGET_S, conceal=conceal)}
        assert list(findings) == [check.name for check in checks]
        for secret in (SECRET, TOKEN, s3.reader.secret_key, s3.admin.secret_key, "p4ssword"):
            assert secret not in repr(findings)
        for one in findings.values():
            assert one.detail
            assert bool(one.next_step) == (one.status in ("warning", "failure")), one
        return findings

    return run


def statuses(findings: dict[str, Finding], status: str) -> list[str]:
    return [name for name, one in findings.items() if one.status == status]


def git(*arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@example.com", *arguments],
        check=True,
        capture_output=True,
    )


# --- all is well -------------------------------------------------------------------------------------------


def test_all_is_well(examined: Examine, s3: LocalS3, prefix: str, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "cache" / "kept")
    findings = examined()
    assert set(statuses(findings, "ok")) == set(findings) - {"identity"}
    assert first_step(findings.values()) is None
    key_id = s3.reader.access_key
    for name, words in {
        "settings": "S3_BUCKET_NAME = models-bucket (environment)",
        "location": f"s3://models-bucket/{prefix}" + "{model_name}/",
        "credentials": f"{key_id[:4]}...{key_id[-2:]}, from environment variables (env)",
        "endpoint": s3.endpoint,
        "list": "models: large",
        "get": f"{prefix}large/",
        "cache": "writable",
        "models": "kept: ",
    }.items():
        assert words in findings[name].detail, name
    assert key_id not in repr(findings)


def test_settings_from_dotenv(
    examined: Examine, reader_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in reader_environment:
        monkeypatch.delenv(name)
    lines = [f"{name}={value}" for name, value in reader_environment.items()]
    Path(".env").write_text("\n".join(lines), encoding="utf-8")
    findings = examined()
    assert not statuses(findings, "failure")
    assert "S3_BUCKET_NAME = models-bucket (.env)" in findings["settings"].detail
    assert findings["credentials"].detail.endswith("from .env")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("{model_name}/model.safetensors", "models: large"),
        ("large/model.safetensors", "may be listed."),
        ("large/", "may be listed."),
    ],
)
def test_other_kinds_of_key(
    examined: Examine, prefix: str, monkeypatch: pytest.MonkeyPatch, key: str, words: str
) -> None:
    monkeypatch.setenv("S3_MODEL_KEY", prefix + key)
    findings = examined()
    assert not statuses(findings, "failure")
    assert words in findings["list"].detail


# --- one thing is wrong: the variables, the finding, the next step -------------------------------------------


@pytest.mark.parametrize(
    ("variables", "name", "status", "words", "next_step"),
    [
        ({"S3_BUCKET_NAME": ""}, "location", "failure", "S3_BUCKET_NAME not set", "into a file .env"),
        (
            {"S3_BUCKET_NAME": "", "S3_BUCKETNAME": "x"},
            "location",
            "failure",
            "S3_BUCKETNAME is set: a typo?",
            "",
        ),
        ({"S3_BUCKET_NAME": "s3://b"}, "settings", "failure", "not a bucket name", "bare name"),
        ({"S3_BUCKET_NAME": "My_Bucket"}, "settings", "failure", "not a valid bucket", "lower-case"),
        ({"S3_MODEL_KEY": "models/{model}/"}, "settings", "failure", "{model} in", "write {model_name}"),
        ({"S3_MODEL_KEY": "/models/"}, "settings", "warning", "begins with '/'", "S3_MODEL_KEY=models/"),
        ({"AWS_CA_BUNDLE": "/no/such.pem"}, "settings", "failure", "does not exist", "AWS_CA_BUNDLE"),
        ({"AWS_PROFILE": "nobody"}, "profile", "failure", "no profile 'nobody'", "AWS_PROFILE"),
        ({"AWS_SECRET_ACCESS_KEY": SECRET}, "bucket", "failure", "rejects the signature", "copy the secret"),
        ({"AWS_SECRET_ACCESS_KEY": f'"{SECRET}"'}, "credentials", "failure", "quotation mark", "without it"),
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, "bucket", "failure", "does not know", "AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "ASIAUNKNOWN"}, "credentials", "failure", "temporary", "AWS_SESSION_TOKEN"),
        ({"AWS_ACCESS_KEY_ID": ""}, "credentials", "failure", "none were found", "IAM role"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "credentials", "failure", "incomplete", "AWS_SECRET_ACCESS_KEY"),
        ({"S3_BUCKET_NAME": "no-such-bucket"}, "list", "failure", "is denied", "kkg doctor --iam-policy"),
        ({"S3_MODEL_KEY": "nowhere/"}, "list", "failure", "nothing there fits", "case-sensitive"),
        (
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
            "endpoint",
            "failure",
            "refuses",
            "AWS_ENDPOINT_URL_S3",
        ),
        ({"AWS_ENDPOINT_URL_S3": "nonsense"}, "endpoint", "failure", "cannot be set up", "full URL"),
        ({"AWS_ENDPOINT_URL_S3": "http://s3.invalid"}, "endpoint", "failure", "(DNS)", "check the network"),
        ({"MODEL_CACHE_DIR": __file__}, "cache", "failure", "Not a directory", "MODEL_CACHE_DIR"),
    ],
)
def test_one_thing_is_wrong(
    examined: Examine,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    name: str,
    status: str,
    words: str,
    next_step: str,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    findings = examined()
    assert findings[name].status == status, findings[name]
    assert words in findings[name].detail
    assert next_step in findings[name].next_step
    if status == "failure":
        assert first_step(findings.values()) == findings[name].next_step


def test_a_forgotten_slash(examined: Examine, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_MODEL_KEY", f"{prefix}large")
    assert examined()["list"].next_step == f"set S3_MODEL_KEY={prefix}large/"


def test_a_bucket_that_is_not_there(examined: Examine, s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those who may do everything are told so by this server."""
    for name, value in {**s3.admin.environment(), "S3_BUCKET_NAME": "no-such-bucket"}.items():
        monkeypatch.setenv(name, value)
    assert "There is no bucket" in examined()["bucket"].detail


def test_without_boto3(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    findings = examined()
    assert findings["boto3"].next_step == "pip install boto3"
    assert statuses(findings, "failure") == ["boto3"]
    assert {"profile", "credentials", "endpoint", "bucket", "list", "get"} <= set(
        statuses(findings, "skipped")
    )
    assert findings["cache"].status == "ok"


def test_offline(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KKG_OFFLINE", "1")
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("opened a socket"))
    findings = examined()
    assert not statuses(findings, "failure")
    assert {"network", "credentials", "endpoint", "get"} <= set(statuses(findings, "skipped"))
    monkeypatch.delenv("S3_BUCKET_NAME")
    assert not statuses(examined(), "failure")


def test_proxies(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:p4ssword@127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:a/p4ssword@proxy:8080")
    findings = examined()
    assert (
        "http proxy: http://***@127.0.0.1:9\nhttps proxy: http://***@proxy:8080" in findings["network"].detail
    )
    assert "proxy" in findings["endpoint"].detail
    assert findings["endpoint"].status == "failure"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    findings = examined()
    assert "no proxy for: 127.0.0.1" in findings["network"].detail
    assert findings["endpoint"].status == "ok"


# --- .env --------------------------------------------------------------------------------------------------


def test_dotenv_in_another_encoding(examined: Examine) -> None:
    Path(".env").write_bytes("# 設定\nS3_BUCKET_NAME=b\n".encode("cp932"))
    findings = examined()
    assert findings[".env"].status == "failure"
    assert "save it as UTF-8" in findings[".env"].next_step
    assert findings["settings"].status == "skipped"


@pytest.mark.parametrize(
    ("outside", "rivals"),
    [
        ({}, "S3_BUCKET_NAME, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "p"},
            "S3_BUCKET_NAME, AWS_PROFILE",
        ),
    ],
)
def test_dotenv_that_the_environment_outdoes(
    examined: Examine, monkeypatch: pytest.MonkeyPatch, outside: dict[str, str], rivals: str
) -> None:
    for name, value in outside.items():
        monkeypatch.setenv(name, value)
    Path(".env").write_text(
        f"S3_BUCKET_NAME=another\nAWS_ACCESS_KEY_ID=AKIAOTHER\nAWS_SECRET_ACCESS_KEY={SECRET}\nOTHER=x\n"
    )
    finding = examined()[".env"]
    assert finding.status == "warning"
    assert (
        "its S3_BUCKET_NAME, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: the environment wins" in finding.detail
    )
    assert finding.next_step == f"if .env is meant, unset {rivals} in the environment."


def test_dotenv_in_git(examined: Examine) -> None:
    Path(".env").write_text("MODEL_CACHE_DIR=\n")
    assert examined()[".env in git"].status == "ok"
    git("init")
    assert examined()[".env in git"].next_step == "add .env to .gitignore."
    Path(".gitignore").write_text(".env\n")
    assert examined()[".env in git"].status == "ok"
    git("add", "--force", ".env")
    git("commit", "-m", "oops")
    findings = examined()
    assert statuses(findings, "failure") == [".env in git"]
    assert "create new ones; then 'git rm --cached .env'" in findings[".env in git"].next_step


# --- boto3's chain -----------------------------------------------------------------------------------------


@pytest.fixture
def aws_config(reader_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file of the user's own, and no keys in the environment."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    path = tmp_path / "aws-config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_PROFILE", "models")
    return path


def test_a_profile(examined: Examine, s3: LocalS3, aws_config: Path) -> None:
    aws_config.write_text(
        f"[profile models]\nregion = eu-west-3\naws_access_key_id = {s3.reader.access_key}\n"
        f"aws_secret_access_key = {s3.reader.secret_key}\n"
    )
    findings = examined()
    assert not statuses(findings, "failure")
    assert findings["profile"].detail == "models, region eu-west-3"
    assert "(config-file)" in findings["credentials"].detail


@pytest.mark.parametrize(
    ("script", "status", "words", "next_step"),
    [
        (
            "print(json.dumps(dict(Version=1, AccessKeyId={id!r}, SecretAccessKey={secret!r})))",
            "ok",
            "(custom-process)",
            "",
        ),
        ("print('this is not JSON')", "failure", "cannot be read", "by hand"),
        ("sys.exit('token has expired')", "failure", "token has expired", "sign in again"),
        ("time.sleep(4)", "failure", "no answer in time", "waits for something"),
    ],
)
def test_a_credential_process(
    examined: Examine,
    s3: LocalS3,
    aws_config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    status: str,
    words: str,
    next_step: str,
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(doctor, "BUDGET_S", 1.5)
    code = script.format(id=s3.reader.access_key, secret=s3.reader.secret_key)
    program = tmp_path / "process.py"
    program.write_text(f"import json, sys, time\n{code}\n")
    aws_config.write_text(f'[profile models]\ncredential_process = "{sys.executable}" "{program}"\n')
    finding = examined()["credentials"]
    assert finding.status == status
    assert words in finding.detail
    assert next_step in finding.next_step


def test_a_malformed_configuration(examined: Examine, aws_config: Path) -> None:
    aws_config.write_text("region = outside of any section\n")
    assert str(aws_config) in examined()["profile"].detail


def test_tokens_are_hidden(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    findings = examined()
    assert "AWS_SESSION_TOKEN = (set, not shown)" in findings["settings"].detail
    assert "AKIA...LE" in findings["credentials"].detail
    assert "remove AWS_SESSION_TOKEN" in findings["credentials"].next_step


# --- what a real server cannot be made to say --------------------------------------------------------------


def listing(request: BaseHTTPRequestHandler) -> None:
    body = b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"
    reply(request, 200, b"" if request.command == "HEAD" else body, {"x-amz-bucket-region": "us-east-2"})


@pytest.mark.parametrize(
    ("minutes", "status", "words"),
    [(0, "ok", "agrees"), (-5, "warning", "5 min ahead of"), (20, "failure", "20 min behind")],
)
def test_clock(
    examined: Examine, monkeypatch: pytest.MonkeyPatch, minutes: int, status: str, words: str
) -> None:
    wrong = formatdate(time.time() + 60 * minutes, usegmt=True)
    monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda *_: wrong)
    with canned_s3(listing) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        findings = examined()
    assert findings["clock"].status == status
    assert words in findings["clock"].detail


def test_another_region(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    with canned_s3(listing) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        assert examined()["bucket"].next_step == "set AWS_REGION=us-east-2"


def test_no_permission_to_get(
    examined: Examine, s3: LocalS3, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"<Contents><Key>{prefix}large/x</Key><Size>9</Size></Contents>"
    body = f"<ListBucketResult><KeyCount>1</KeyCount>{key}</ListBucketResult>".encode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        if "list-type" in request.path:
            reply(request, 200, body, {})
        elif request.command == "HEAD":
            reply(request, 403, b"", {})
        else:
            error_xml(403, "AccessDenied")(request)

    with canned_s3(answer) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        findings = examined()
    assert statuses(findings, "failure") == ["get"]
    assert "s3:GetObject" in findings["get"].detail
    assert "--iam-policy" in findings["get"].next_step


def denying(head_status: int, headers: dict[str, str]) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.command == "HEAD":
            reply(request, head_status, b"", headers)
        else:
            error_xml(403, "AccessDenied")(request)

    return answer


@pytest.mark.parametrize(
    ("answer", "name", "status", "words"),
    [
        (denying(503, {}), "endpoint", "warning", "but with HTTP 503"),
        (denying(404, {}), "bucket", "failure", "There is no bucket"),
        (denying(403, {"x-amz-bucket-region": "ap-northeast-1"}), "bucket", "ok", "exists in ap-northeast-1"),
        (denying(403, {"x-amz-bucket-region": "ap-northeast-1"}), "list", "failure", "is denied"),
        (denying(403, {}), "bucket", "warning", "does not say whether"),
    ],
)
def test_a_listing_that_is_denied(
    examined: Examine, monkeypatch: pytest.MonkeyPatch, answer: Answer, name: str, status: str, words: str
) -> None:
    with canned_s3(answer) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        finding = examined()[name]
    assert (finding.status, words in finding.detail) == (status, True), finding


def test_a_large_bucket(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        b"<ListBucketResult><KeyCount>1</KeyCount><IsTruncated>true</IsTruncated>"
        b"<Contents><Key>models/readme.txt</Key><Size>9</Size></Contents></ListBucketResult>"
    )
    monkeypatch.setenv("S3_MODEL_KEY", "models/{model_name}/")
    with canned_s3(
        lambda request: reply(request, 200, body[: 10**6 * (request.command == "GET")], {})
    ) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        finding = examined()["list"]
    assert finding.status == "warning"
    assert "none of the first 1 keys" in finding.detail


def sts_error(code: str) -> Exception:
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": "m"}}, "GetCallerIdentity")


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (
            sts_error("InvalidClientTokenId"),
            "failure",
            "does not accept the credentials (InvalidClientTokenId)",
        ),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="x"), "skipped", "can be fetched without it"),
        ({"Account": "1", "Arn": "arn:aws:iam::1:root"}, "warning", "the account's root user"),
    ],
)
def test_what_sts_may_say(
    examined: Examine,
    monkeypatch: pytest.MonkeyPatch,
    answer: Exception | dict[str, str],
    status: str,
    words: str,
) -> None:
    call = botocore.client.BaseClient._make_api_call

    def answered(self: object, operation: str, arguments: dict[str, object]) -> object:
        if operation != "GetCallerIdentity":
            return call(self, operation, arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", answered)
    monkeypatch.setattr(doctor_credentials, "_is_amazon", lambda _: True)
    finding = examined()["identity"]
    assert (finding.status, words in finding.detail) == (status, True), finding


def test_a_captive_portal(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    with canned_s3(html_page) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        assert "is not from S3" in examined()["bucket"].detail


def test_an_untrusted_certificate(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_server(trustme.CA()) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        findings = examined()
    assert "not trusted" in findings["endpoint"].detail
    assert "AWS_CA_BUNDLE" in findings["endpoint"].next_step


def test_a_dead_network_ends_in_time(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_case, "TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        findings = examined()
    assert time.monotonic() - began < 5
    assert statuses(findings, "failure") == ["endpoint"]


def test_amazon(
    examined: Examine, reader_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Amazon's own endpoints, played by moto."""
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    with moto.mock_aws():
        import boto3

        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="models-bucket")
        client.put_object(
            Bucket="models-bucket",
            Key=reader_environment["S3_MODEL_KEY"].format(model_name="m") + "x",
            Body=b"x",
        )
        findings = examined()
    assert not statuses(findings, "failure")
    assert findings["identity"].detail.startswith("account 123456789012, arn:aws:sts::")
    assert findings["bucket"].next_step == "set AWS_REGION=us-east-1"


# --- the cache ---------------------------------------------------------------------------------------------


def test_a_damaged_model(examined: Examine, tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "cache" / "torn")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    findings = examined()
    assert findings["models"].status == "warning"
    assert "torn: " in findings["models"].detail
    assert "truncated" in findings["models"].detail


def test_a_cache_that_can_only_be_read(
    examined: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_model(tmp_path / "cache" / "kept")

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    finding = examined()["cache"]
    assert finding.status == "warning"  # the model that is there can be loaded
    assert "cannot be written (Permission denied)" in finding.detail


def test_a_full_disk(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_DISK", 10**18)
    assert "free some disk space" in examined()["cache"].next_step


def test_looking_leaves_no_trace(examined: Examine, tmp_path: Path) -> None:
    examined()
    assert not (tmp_path / "cache").exists()


# --- how checks run ----------------------------------------------------------------------------------------


def test_a_password_with_a_slash_is_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:a/p4ssword@proxy:8080")
    _, conceal = hub_checks()
    assert (
        conceal("Failed to parse: http://me:a/p4ssword@proxy:8080")
        == "Failed to parse: http://***@proxy:8080"
    )


def test_whatever_a_check_raises_is_a_finding() -> None:
    def explained() -> Finding:
        raise SettingsError("what.", cause="why.", next_step="then.")

    def unexpected() -> Finding:
        raise KeyError("hush")

    started: list[str] = []
    checks = [
        Check("explained", explained),
        Check("unexpected", unexpected),
        Check("needing", lambda: ok("fine"), needs=("explained",)),
        Check("needing the needing", lambda: ok("fine"), needs=("needing",)),
        Check("skipped", lambda: skipped("does not apply")),
        Check("here", unexpected, limit_s=None),
        Check("slow", lambda: time.sleep(5) or ok("late"), limit_s=0.05, if_slow=failure("slow", "hurry")),
        Check("fine", lambda: ok("hush")),
    ]
    found = list(
        examine(checks, budget_s=9, on_start=started.append, conceal=lambda text: text.replace("hush", "***"))
    )
    assert [one.status for one in found] == [*["failure"] * 2, *["skipped"] * 3, *["failure"] * 2, "ok"]
    assert found[0] == Finding("explained", "failure", "what.\nLikely cause: why.", "then.")
    assert "KeyError: '***'" in found[1].detail
    assert found[-1].detail == "***"
    assert started == ["explained", "unexpected", "skipped", "here", "slow", "fine"]
    assert first_step(found) == "then."


def test_the_budget_holds() -> None:
    checks = [Check(str(number), lambda: time.sleep(5) or ok("late")) for number in range(3)]
    began = time.monotonic()
    found = list(examine(checks, budget_s=0.3))
    assert time.monotonic() - began < 2
    assert {one.status for one in found} == {"failure"}
