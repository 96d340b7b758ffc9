import os
from pathlib import Path

import pytest

from kkg_area_detection.errors import SettingsError
from kkg_area_detection.settings import Settings, default_engine, find_dotenv


def dotenv(text: str, directory: Path | None = None, encoding: str = "utf-8") -> Path:
    path = (directory or Path.cwd()) / ".env"
    path.write_text(text, encoding=encoding)
    return path


def test_nothing_set() -> None:
    assert Settings.load() == Settings()


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("S3_BUCKET_NAME", " my-bucket ")
    monkeypatch.setenv("S3_MODEL_KEY", "models/")
    monkeypatch.setenv("MODEL_CACHE_DIR", "~/cache")
    home = Path(os.environ["HOME"])
    assert Settings.load() == Settings("eu-west-1", "my-bucket", "models/", (home / "cache",))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", ()), ("/a", ("/a",)), (os.pathsep.join(["/ro/one", "", " /rw/two "]), ("/ro/one", "/rw/two"))],
)
def test_cache_layers(monkeypatch: pytest.MonkeyPatch, value: str, expected: tuple[str, ...]) -> None:
    monkeypatch.setenv("MODEL_CACHE_DIR", value)
    assert Settings.load().cache_dirs == tuple(map(Path, expected))


@pytest.mark.parametrize(("value", "offline"), [("", False), ("0", False), ("1", True), ("TRUE", True)])
def test_offline(monkeypatch: pytest.MonkeyPatch, value: str, offline: bool) -> None:
    monkeypatch.setenv("KKG_OFFLINE", value)
    assert Settings.load().offline is offline


def test_dotenv_of_a_parent_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    path = dotenv("S3_BUCKET_NAME=from-dotenv\nAWS_ACCESS_KEY_ID=key\n")
    below = Path.cwd() / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find_dotenv() == path
    assert Settings.load().bucket == "from-dotenv"
    assert os.environ["AWS_ACCESS_KEY_ID"] == "key"  # where boto3 looks


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_dotenv_as_editors_write_it(encoding: str) -> None:
    dotenv("# 設定\r\nexport S3_BUCKET_NAME='quoted' # remark\r\nS3_MODEL_KEY=モデル/\r\n", encoding=encoding)
    settings = Settings.load()
    assert (settings.bucket, settings.model_key) == ("quoted", "モデル/")


def test_real_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET_NAME", "real")
    dotenv("S3_BUCKET_NAME=from-dotenv\nS3_MODEL_KEY=key/")
    settings = Settings.load()
    assert (settings.bucket, settings.model_key) == ("real", "key/")


def test_an_empty_variable_does_not_hide_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET_NAME", "")
    dotenv("S3_BUCKET_NAME=from-dotenv")
    assert Settings.load().bucket == "from-dotenv"


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        ({}, ("dot-key", "dot-secret", "dot-token")),
        ({"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}, ("k", "s", None)),  # no stale token
        ({"AWS_PROFILE": "work"}, (None, None, None)),
        ({"AWS_SESSION_TOKEN": "stale"}, (None, None, "stale")),
    ],
)
def test_credentials_come_from_one_place(
    monkeypatch: pytest.MonkeyPatch, real: dict[str, str], expected: tuple[str | None, ...]
) -> None:
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    dotenv("AWS_ACCESS_KEY_ID=dot-key\nAWS_SECRET_ACCESS_KEY=dot-secret\nAWS_SESSION_TOKEN=dot-token")
    Settings.load()
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    assert tuple(os.environ.get(name) for name in names) == expected


def test_an_edited_dotenv_is_seen() -> None:
    dotenv("S3_BUCKET_NAME=old\nS3_MODEL_KEY=old/")
    Settings.load()
    dotenv("S3_BUCKET_NAME=new")
    assert Settings.load() == Settings(bucket="new")


def test_a_dotenv_that_is_gone_is_forgotten() -> None:
    path = dotenv("S3_BUCKET_NAME=old\nAWS_SECRET_ACCESS_KEY=secret")
    Settings.load()
    path.unlink()
    assert Settings.load() == Settings()
    assert "AWS_SECRET_ACCESS_KEY" not in os.environ


@pytest.mark.parametrize("line", ['MODEL_CACHE_DIR="C:\\new\\table"'])
def test_a_windows_path_in_double_quotes(line: str) -> None:
    dotenv(line)
    with pytest.raises(SettingsError, match="single quotes"):
        Settings.load()


def test_other_variables_of_dotenv_are_left_alone() -> None:
    dotenv("DATABASE_URL=x\nPATH=/nowhere\nS3_BUCKET_NAME=b")
    Settings.load()
    assert "DATABASE_URL" not in os.environ
    assert os.environ["PATH"] != "/nowhere"


def test_a_dotenv_that_is_no_text() -> None:
    path = Path.cwd() / ".env"
    path.write_bytes("S3_BUCKET_NAME=バケット".encode("cp932"))
    with pytest.raises(SettingsError, match="save it as UTF-8"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("S3_BUCKET_NAME", "s3://bucket", "not a bucket name"),
        ("S3_BUCKET_NAME", "bucket/models", "not a bucket name"),
        ("S3_MODEL_KEY", "s3://bucket/models/", "which is a URL"),
    ],
)
def test_malformed(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert words in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("models/{model_name}/", "models/large/"),
        ("models/{model_name}/{model_name}.zip", "models/large/large.zip"),
        ("models/", "models/"),
    ],
)
def test_location(key: str, expected: str) -> None:
    assert Settings(bucket="b", model_key=key).location("large") == ("b", expected)


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        (None, None, None),
        ("", "KKG_ENGINE=\n", None),
        (" native ", None, "native"),
        (None, "KKG_ENGINE=reference # slower\n", "reference"),
        ("native", "KKG_ENGINE=reference\n", "native"),
        ("anything", None, "anything"),  # what there is, the segmentation knows
    ],
)
def test_default_engine(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, text: str | None, expected: str | None
) -> None:
    if variable is not None:
        monkeypatch.setenv("KKG_ENGINE", variable)
    if text is not None:
        dotenv(text)
    assert default_engine() == expected
