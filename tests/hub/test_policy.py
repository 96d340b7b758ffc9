"""The policy lets the library do its work, and nothing else: enforced by a real server."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kkg_area_detection.checkup import examine
from kkg_area_detection.demo.local_s3 import LocalS3
from kkg_area_detection.hub.doctor import hub_checks
from kkg_area_detection.hub.policy import iam_policy, listed_patterns, read_pattern
from kkg_area_detection.hub.resolve import resolve_model
from kkg_area_detection.progress import SilentProgress

BUCKET = "guarded-bucket"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("key", "listed", "read"),
    [
        ("models/large/", ["models/large/*"], "models/large/*"),
        ("models/{model_name}/", ["models/*"], "models/*"),
        ("{model_name}/", ["*"], "*"),
        ("a/{model_name}/b/", ["a/*"], "a/*/b/*"),
        ("a/{model_name}/{model_name}.zip", ["a/*"], "a/*/*.zip"),
        ("models/{model_name}.tar.gz", ["models/*"], "models/*.tar.gz"),
        ("models/{model_name}/m.safetensors", ["models/*"], "models/*"),
        ("models/large.zip", ["models/", "models/large.zip"], "models/large.zip"),
        ("models/large/m.safetensors", ["models/large/", "models/large/m.safetensors"], "models/large/*"),
        ("large.ZIP", ["", "large.ZIP"], "large.ZIP"),  # the folder is the top of the bucket
        ("m.safetensors", ["", "m.safetensors"], "*"),
        ("what?/$5*/", ["what${?}/${$}5${*}/*"], "what${?}/${$}5${*}/*"),  # nothing here is a wildcard
    ],
)
def test_patterns(key: str, listed: list[str], read: str) -> None:
    assert listed_patterns(key) == listed
    assert read_pattern(key) == read


def test_the_whole_bucket_needs_no_condition() -> None:
    assert "Condition" not in json.dumps(iam_policy("b", "{model_name}/"))


@pytest.mark.parametrize("page", ["s3-models.md", "s3-models.ja.md"])
def test_the_documentation_shows_the_same_policy(page: str) -> None:
    _publisher, reader = re.findall(
        r"```json\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL
    )
    assert json.loads(reader) == iam_policy("my-bucket", "models/{model_name}/")


# --- enforced ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(s3: LocalS3) -> Iterator[str]:
    """A bucket in which the reader may do what its policy says, and nothing without one."""
    client = s3.client(s3.admin)
    client.create_bucket(Bucket=BUCKET)
    yield BUCKET
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.delete_bucket(Bucket=BUCKET)


@pytest.fixture
def stocked(s3: LocalS3, bucket: str, tiny_model: Path, tmp_path: Path) -> Any:
    """The model in every form, and an object that is none of the reader's business."""
    client = s3.client(s3.admin)
    archive = shutil.make_archive(str(tmp_path / "model"), "zip", tiny_model)
    for folder in ("", "models/"):
        client.upload_file(archive, bucket, f"{folder}large.zip")
        for path in tiny_model.iterdir():
            client.upload_file(str(path), bucket, f"{folder}large/{path.name}")
    client.put_object(Bucket=bucket, Key="payroll/2026.csv", Body=b"secret")
    return client


def refused(action: Any, **arguments: object) -> bool:
    try:
        action(Bucket=BUCKET, **arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] == "AccessDenied"
    return False


# Not here: objects at the top of the bucket. This server takes the empty prefix for none at all.
@pytest.mark.parametrize(
    "key",
    [
        "models/{model_name}/",
        "models/large/",
        "models/{model_name}.zip",
        "models/large.zip",
        "models/{model_name}/model.safetensors",
        "large/model.safetensors",
        "large/",
    ],
)
def test_enforced(
    key: str, s3: LocalS3, stocked: Any, reader_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy: dict[str, Any] = iam_policy(BUCKET, key)
    for statement in policy["Statement"]:
        statement["Principal"] = "*"  # what a bucket's policy has and a user's has not
    stocked.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    monkeypatch.setenv("S3_BUCKET_NAME", BUCKET)
    monkeypatch.setenv("S3_MODEL_KEY", key)

    checks, conceal = hub_checks()
    findings = examine(checks, budget_s=15, conceal=conceal)
    assert [one for one in findings if one.status == "failure"] == []
    assert resolve_model(None, "large", SilentProgress()).is_dir()

    reader = s3.client(s3.reader)
    assert refused(reader.list_objects_v2, Prefix="payroll/")
    assert refused(reader.get_object, Key="payroll/2026.csv")
    assert refused(reader.put_object, Key="models/large/config.json", Body=b"{}")
    assert refused(reader.delete_object, Key="models/large/config.json")


def test_without_the_policy_it_is_refused(
    s3: LocalS3, stocked: Any, reader_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does enforce: what passes above passes by the policy alone."""
    stocked.delete_bucket_policy(Bucket=BUCKET)
    monkeypatch.setenv("S3_BUCKET_NAME", BUCKET)
    monkeypatch.setenv("S3_MODEL_KEY", "models/{model_name}/")
    checks, conceal = hub_checks()
    (found,) = [one for one in examine(checks, budget_s=15, conceal=conceal) if one.status == "failure"]
    assert found.name == "list"
    assert "kkg doctor --iam-policy" in found.next_step
