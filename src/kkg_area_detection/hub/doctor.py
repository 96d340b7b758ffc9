"""What ``kkg doctor`` asks on the way from settings to a model: the list, and all that needs no network.

The others are in ``doctor_credentials.py`` and ``doctor_s3.py``; how checks run is in ``checkup.py``.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

from kkg_area_detection.checkup import NO_ANSWER, Check, Finding, failure, ok, skipped, warning
from kkg_area_detection.errors import KkgAreaDetectionError
from kkg_area_detection.hub.cache import ModelCache
from kkg_area_detection.hub.doctor_case import Case
from kkg_area_detection.hub.doctor_credentials import (
    check_credentials,
    check_identity,
    check_profile,
    redacted_key_id,
)
from kkg_area_detection.hub.doctor_s3 import check_bucket, check_clock, check_endpoint, check_get, check_list
from kkg_area_detection.model_directory import CONFIG_NAME
from kkg_area_detection.progress import format_bytes
from kkg_area_detection.settings import MODEL_NAME_FIELD, Settings, find_dotenv, load_dotenv

BUDGET_S = 15.0
LITTLE_DISK = 2 * 1000**3

_SHOWN = (
    "S3_BUCKET_NAME",
    "S3_MODEL_KEY",
    "MODEL_CACHE_DIR",
    "KKG_OFFLINE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_CA_BUNDLE",
    "AWS_REQUEST_PAYER",
    "AWS_NO_SIGN_REQUEST",
)
_HIDDEN = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_KEY_ID = "AWS_ACCESS_KEY_ID"

_NETWORK_HANGS = failure(
    "no answer in time.", "check the network, the VPN and HTTPS_PROXY; a firewall may drop the packets."
)
_SIGN_IN_HANGS = failure(
    "no answer in time.",
    "run 'aws sts get-caller-identity': a sign-in or a credential_process waits for something.",
)
_STS_HANGS = skipped("STS does not answer; models can be fetched without it.")


def hub_checks() -> tuple[list[Check], Callable[[str], str]]:
    """The checks, in their order, and what takes the secrets they come across out of a text."""
    case = Case()

    def check(
        name: str,
        run: Callable[[Case], Finding],
        *needs: str,
        limit_s: float | None = 5.0,
        if_slow: Finding = NO_ANSWER,
    ) -> Check:
        return Check(name, partial(run, case), needs, limit_s, if_slow)

    checks = [
        check(".env", check_dotenv),
        check(".env in git", check_dotenv_in_git),
        check("settings", check_settings, ".env"),
        check("location", check_location, "settings"),
        check("boto3", check_boto3, limit_s=None),
        check("awscrt", check_awscrt, "boto3"),
        check("network", check_network, "settings"),
        check("profile", check_profile, "boto3", "settings"),
        check("credentials", check_credentials, "profile", "network", if_slow=_SIGN_IN_HANGS),
        check("endpoint", check_endpoint, "location", "profile", "network", if_slow=_NETWORK_HANGS),
        check("clock", check_clock, "endpoint"),
        check("identity", check_identity, "endpoint", "credentials", limit_s=3.0, if_slow=_STS_HANGS),
        check("bucket", check_bucket, "endpoint", "credentials", if_slow=_NETWORK_HANGS),
        check("list", check_list, "bucket"),
        check("get", check_get, "list", if_slow=_NETWORK_HANGS),
        check("cache", check_cache, "settings"),
        check("models", check_models, "settings"),
    ]
    return checks, partial(_concealed, case)


def check_dotenv(case: Case) -> Finding:
    """Whether there is a readable ``.env``, and whether what it sets is used."""
    path = load_dotenv()
    if path is None:
        return ok(f"none from {Path.cwd()} upwards; the environment is used alone.")
    from dotenv import dotenv_values

    values = dotenv_values(path, encoding="utf-8-sig")
    case.dotenv = {name: value for name, value in values.items() if value}
    names = (*_SHOWN, _KEY_ID, *_HIDDEN)
    outdone = [name for name in names if name in case.dotenv and os.environ.get(name) != case.dotenv[name]]
    if outdone:
        # A key or profile that is set outside outdoes all credentials of .env, not only its namesake.
        rivals = dict.fromkeys(
            name for name in (*outdone, _KEY_ID, "AWS_PROFILE") if _is_from_outside(case, name)
        )
        return warning(
            f"{path} is read, but not its {', '.join(outdone)}: the environment wins.",
            f"if .env is meant, unset {', '.join(rivals)} in the environment.",
        )
    return ok(f"{path} is read.")


def check_dotenv_in_git(_case: Case) -> Finding:
    """Whether git knows ``.env``, or might be told of it by accident."""
    path = find_dotenv()
    git = shutil.which("git")
    if path is None or git is None:
        return ok("there is no .env." if path is None else "git is not installed.")

    def exit_status(*arguments: str) -> int:
        # A repository's own settings may name programs to run: not for a look at one file.
        command = [git, "-c", "core.fsmonitor=false", *arguments, "--", path.name]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return subprocess.run(
            command, cwd=path.parent, env=clean, stdin=subprocess.DEVNULL, capture_output=True, check=False
        ).returncode

    if exit_status("ls-files", "--error-unmatch") == 0:
        return failure(
            f"{path} is in git: everybody who has the repository has its keys.",
            "delete these keys in IAM and create new ones; then 'git rm --cached .env', add .env to "
            ".gitignore, and commit.",
        )
    if exit_status("check-ignore", "--quiet") == 1:
        return warning(f"git does not ignore {path}, so 'git add .' would add it.", "add .env to .gitignore.")
    return ok("git ignores it, or there is no repository.")


def check_settings(case: Case) -> Finding:
    """Which variables are set, where from, and whether their values can be right."""
    case.settings = Settings.load()
    lines = [
        f"{name} = {_shown(name, value)} ({'environment' if _is_from_outside(case, name) else '.env'})"
        for name in (*_SHOWN, _KEY_ID, *_HIDDEN)
        if (value := os.environ.get(name))
    ]
    detail = "\n".join(lines) or "no variable is set."
    bucket, key = case.settings.bucket or "", case.settings.model_key or ""
    fields = sorted(set(re.findall(r"\{.*?\}", key)) - {MODEL_NAME_FIELD})
    if bucket and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        return failure(
            f"{detail}\n{bucket!r} is not a valid bucket name.",
            "check S3_BUCKET_NAME: 3 to 63 lower-case letters, digits, dots and hyphens.",
        )
    if fields:
        return failure(
            f"{detail}\n{fields[0]} in S3_MODEL_KEY means nothing.", f"write {MODEL_NAME_FIELD} instead."
        )
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle and not Path(bundle).exists():
        return failure(
            f"{detail}\nAWS_CA_BUNDLE names {bundle}, which does not exist.",
            "set AWS_CA_BUNDLE to the .pem file of the authority, or unset it.",
        )
    if key.startswith("/"):
        return warning(
            f"{detail}\nS3_MODEL_KEY begins with '/'; keys in S3 hardly ever do.",
            f"try S3_MODEL_KEY={key.lstrip('/')}",
        )
    return ok(detail)


def check_location(case: Case) -> Finding:
    """Whether the settings say where the models are."""
    needed = {"S3_BUCKET_NAME": case.settings.bucket, "S3_MODEL_KEY": case.settings.model_key}
    missing = [name for name, value in needed.items() if not value]
    if not missing:
        return ok(f"s3://{case.bucket}/{case.key}")
    if case.settings.offline:
        return skipped(f"{' and '.join(missing)} not set; offline, they are not needed.")
    detail = f"{' and '.join(missing)} not set, so no model can be fetched."
    present = {name for name in (*os.environ, *case.dotenv) if name not in needed}
    similar = [near for name in missing for near in difflib.get_close_matches(name, present, cutoff=0.8)]
    if similar:
        detail += f" ({similar[0]} is set: a typo?)"
    if find_dotenv() is None:
        return failure(
            f"{detail} There is no .env either.",
            f"write {' and '.join(missing)} into a file .env in {Path.cwd()} (.env.example shows how).",
        )
    return failure(
        detail, f"set {' and '.join(missing)} in .env or in the environment (.env.example shows how)."
    )


def check_boto3(_case: Case) -> Finding:
    """Whether boto3 is there."""
    try:
        import boto3
    except ImportError as error:
        return failure(f"boto3 cannot be imported ({error}), so nothing can be fetched.", "pip install boto3")
    system = f"{platform.system()} {platform.machine()}"
    return ok(f"version {boto3.__version__}, Python {platform.python_version()}, {system}")


def check_awscrt(_case: Case) -> Finding:
    """Whether checksums are computed by fast code."""
    if importlib.util.find_spec("awscrt") is None:
        return warning(
            "not installed: some checksums are slow to compute.", 'pip install "kkg-area-detection[crt]"'
        )
    return ok(f"version {metadata.version('awscrt')}: fast checksums")


def check_network(case: Case) -> Finding:
    """Whether the network may be used, and which proxies are."""
    if case.settings.offline:
        return skipped("KKG_OFFLINE is set: nothing is asked of the network.")
    proxies = urllib.request.getproxies()  # on Windows and macOS also those of the system's settings
    lines = [
        f"{name} proxy: {_without_password(url)}" for name, url in sorted(proxies.items()) if name != "no"
    ]
    if lines and proxies.get("no"):
        lines.append(f"no proxy for: {proxies['no']}")
    return ok("\n".join(lines) or "no proxy is set.")


def check_cache(case: Case) -> Finding:
    """Where models are kept: whether it can be written, and how much space there is."""
    layers = ModelCache.at(case.settings.cache_dirs).layers
    lines: list[str] = []
    free_where_written: int | None = None
    for layer in layers:  # the last one that can be written is the one that is
        objection, free = _probe(layer)
        state = "there" if layer.is_dir() else "not there yet"
        lines.append(f"{layer}: {state}, {objection or 'writable'}, {format_bytes(free)} free")
        free_where_written = free_where_written if objection else free
    detail = "\n".join(lines)
    if free_where_written is None:
        advice = "set MODEL_CACHE_DIR to a directory that you may write."
        if any(_models(layer) for layer in layers):
            return warning(f"{detail}\nno new model can be kept.", advice)
        return failure(f"{detail}\nno model can be kept.", advice)
    if free_where_written < LITTLE_DISK:
        return warning(detail, "free some disk space, or set MODEL_CACHE_DIR to a larger disk.")
    return ok(detail)


def check_models(case: Case) -> Finding:
    """Which models are kept, and whether they could be loaded."""
    cache = ModelCache.at(case.settings.cache_dirs)
    lines: list[str] = []
    damage: KkgAreaDetectionError | None = None
    for directory in (directory for layer in cache.layers for directory in _models(layer)):
        size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
        line = f"{directory.name}: {format_bytes(size)} in {directory.parent}"
        try:
            cache.check(directory)
        except KkgAreaDetectionError as error:
            damage = damage or error
            line += f" (damaged: {error.what})"
        lines.append(line)
    detail = "\n".join(lines) or "none are kept yet."
    return warning(detail, damage.next_step) if damage else ok(detail)


def _models(layer: Path) -> list[Path]:
    if not layer.is_dir():
        return []
    return sorted(
        path for path in layer.iterdir() if not path.name.startswith(".") and (path / CONFIG_NAME).is_file()
    )


def _probe(layer: Path) -> tuple[str, int]:
    """Why a directory cannot be written (empty where it can), and the free bytes on its disk.

    A directory that is not there yet is judged by the nearest one above it; nothing is left behind.
    """
    place = next(path for path in (layer, *layer.parents) if path.exists())
    free = shutil.disk_usage(place).free
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        return f"cannot be written ({error.strerror})", free
    return "", free


def _is_from_outside(case: Case, name: str) -> bool:
    """Whether a variable is set, and not by ``.env``."""
    value = os.environ.get(name)
    return bool(value) and value != case.dotenv.get(name)


def _shown(name: str, value: str) -> str:
    if name == _KEY_ID:
        return redacted_key_id(value)
    return "(set, not shown)" if name in _HIDDEN else value


def _without_password(url: str) -> str:
    """A proxy's address without user and password."""
    user = _user_part(url)
    return url.replace(f"{user}@", "***@") if user else url


def _user_part(url: str) -> str:
    """What stands before the ``@`` of a proxy's address, even where it contains slashes."""
    return url.rpartition("@")[0].rpartition("://")[2]


def _concealed(case: Case, text: str) -> str:
    """A text without any secret that we know of, and without passwords in URLs."""
    secrets = {values.get(name, "") for name in _HIDDEN for values in (os.environ, case.dotenv)}
    secrets |= case.secrets | {_user_part(url) for url in urllib.request.getproxies().values()}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return re.sub(r"(?<=://)[^/\s]*@", "***@", text)
