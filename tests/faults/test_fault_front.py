"""The fault-injecting front does what its table says, and the hub survives each fault once."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from kkg_area_detection.demo.local_s3 import LocalS3
from tests.faults.fault_front import FAULTS, Exchange, Fault, FaultFront, Pattern, Schedule, any_read
from tests.faults.storm import SMALL_WEIGHTS, Shelf, Trial, run_trials, table

FIRST, LAST = 1000, 7999
READ_TIMEOUT_S = 0.4


@dataclass(frozen=True, slots=True)
class Stored:
    """A model-like prefix on the server."""

    server: LocalS3
    admin: Any
    prefix: str
    body: bytes

    @property
    def asked(self) -> bytes:
        """The range that most tests ask for."""
        return self.body[FIRST : LAST + 1]

    @contextmanager
    def behind(self, fault: str | Fault, **options: Any) -> Iterator[tuple[FaultFront, Client]]:
        """A front that always injects this fault, and a client that talks to it."""
        schedule = Schedule(FAULTS[fault] if isinstance(fault, str) else fault, Pattern.ALWAYS, seed=3)
        with FaultFront(self.server, schedule, admin=self.admin, **options) as front:
            client = Client(front, self)
            try:
                yield front, client
            finally:
                client.close()


@pytest.fixture(scope="module")
def stored(s3: LocalS3) -> Stored:
    admin = s3.client(s3.admin)
    prefix = f"{uuid.uuid4().hex}/"
    body = os.urandom(10_000)
    for name in ("config.json", "model.safetensors"):
        admin.put_object(Bucket=s3.bucket, Key=prefix + name, Body=body)
    return Stored(s3, admin, prefix, body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client without any cleverness makes of a reply."""

    status: int = 0
    headers: dict[str, str] | None = None
    body: bytes = b""
    failure: Exception | None = None

    @property
    def length(self) -> int:
        return int(self.headers["content-length"])

    @property
    def content_range(self) -> str:
        return self.headers["content-range"]


class Client:
    """Signs by presigned URL, and keeps its connection alive."""

    def __init__(self, front: FaultFront, stored: Stored) -> None:
        account = stored.server.reader
        self._connection = HTTPConnection(urlsplit(front.endpoint).netloc, timeout=READ_TIMEOUT_S)
        self._stored = stored
        self._signer = boto3.client(
            "s3",
            endpoint_url=front.endpoint,
            region_name="ap-northeast-1",
            aws_access_key_id=account.access_key,
            aws_secret_access_key=account.secret_key,
            config=Config(signature_version="s3v4"),
        )

    def close(self) -> None:
        self._connection.close()

    def get_range(self) -> Answer:
        return self._get(
            "get_object", {"Range": f"bytes={FIRST}-{LAST}"}, Key=self._stored.prefix + "model.safetensors"
        )

    def get_listing(self) -> Answer:
        return self._get("list_objects_v2", {}, Prefix=self._stored.prefix)

    def _get(self, operation: str, headers: dict[str, str], **parameters: str) -> Answer:
        parameters["Bucket"] = self._stored.server.bucket
        url = urlsplit(self._signer.generate_presigned_url(operation, Params=parameters))
        body = b""
        try:
            self._connection.request("GET", f"{url.path}?{url.query}", headers=headers)
            response = self._connection.getresponse()
        except (HTTPException, OSError) as error:
            self._connection.close()
            return Answer(failure=error)
        failure = None
        with response:
            try:
                while chunk := response.read1():
                    body += chunk
            except OSError as error:
                failure = error
        kept = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, kept, body, failure)


# --- every fault is what it claims to be ----------------------------------------------------------------------

Check = Callable[[Answer, Stored], bool]


def is_part(answer: Answer, stored: Stored) -> bool:
    """Right headers, then a true part of the body."""
    return (
        answer.status == 206
        and answer.length == len(stored.asked)
        and 0 < len(answer.body) < answer.length
        and stored.asked.startswith(answer.body)
    )


def is_shifted(answer: Answer, stored: Stored) -> bool:
    first, last, size = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.content_range).groups())
    honest = answer.body == stored.body[first : last + 1] and size == len(stored.body)
    return answer.status == 206 and honest and first > FIRST


def is_short(answer: Answer, stored: Stored) -> bool:
    last = FIRST + len(answer.body) - 1
    return (
        answer.status == 206
        and answer.content_range == f"bytes {FIRST}-{last}/{len(stored.body)}"
        and 0 < len(answer.body) < len(stored.asked)
        and stored.asked.startswith(answer.body)
    )


def differing_bits(one: bytes, other: bytes) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def is_error(status: int, code: str) -> Check:
    return lambda answer, _: answer.status == status and f"<Code>{code}</Code>".encode() in answer.body


def is_page(answer: Answer, _: Stored) -> bool:
    return answer.status == 200 and answer.body.startswith(b"<html>")


OF_RANGES: dict[str, Check] = {
    "none": lambda answer, stored: answer.status == 206 and answer.body == stored.asked,
    "reset": lambda answer, stored: isinstance(answer.failure, ConnectionResetError),
    "close": lambda answer, stored: answer.failure is None and is_part(answer, stored),
    "close, no length": lambda answer, stored: (
        "content-length" not in answer.headers
        and 0 < len(answer.body) < len(stored.asked)
        and stored.asked.startswith(answer.body)
    ),
    "stall": lambda answer, stored: isinstance(answer.failure, TimeoutError) and is_part(answer, stored),
    "silence": lambda answer, stored: isinstance(answer.failure, TimeoutError) and answer.status == 0,
    "truncated": lambda answer, stored: (
        answer.length == len(answer.body) < len(stored.asked) and stored.asked.startswith(answer.body)
    ),
    "length too large": lambda answer, stored: (
        answer.body == stored.asked and answer.length > len(stored.asked)
    ),
    "length too small": lambda answer, stored: answer.length == len(answer.body) < len(stored.asked),
    "no HTTP": lambda answer, stored: isinstance(answer.failure, HTTPException),
    "bit flip": lambda answer, stored: differing_bits(answer.body, stored.asked) == 1,
    "shifted 206": is_shifted,
    "shifted bytes": lambda answer, stored: (
        answer.content_range == f"bytes {FIRST}-{LAST}/{len(stored.body)}"
        and sorted(answer.body) == sorted(stored.asked)
        and answer.body != stored.asked
    ),
    "short 206": is_short,
    "200 for a range": lambda answer, stored: (
        answer.status == 200 and answer.body == stored.body and "content-range" not in answer.headers
    ),
    "HTML object": is_page,
    "500": is_error(500, "InternalError"),
    "503": is_error(503, "SlowDown"),
    "429": is_error(429, "TooManyRequests"),
    "400 time-out": is_error(400, "RequestTimeout"),
    "expired token": is_error(400, "ExpiredToken"),
}


def entries(listing: bytes) -> list[tuple[str, int, str]]:
    """Name, size and ETag of every object of a listing, which must count its objects rightly."""
    found = re.findall(rb"<Key>.*?/([^/<]*)</Key>.*?</Contents>", listing, re.DOTALL)
    sizes = re.findall(rb"<Size>(\d+)</Size>", listing)
    etags = re.findall(rb"<ETag>[^<]*?([0-9a-f]{32})", listing)
    assert f"<KeyCount>{len(found)}<".encode() in listing
    return [
        (name.decode(), int(size), etag.decode())
        for name, size, etag in zip(found, sizes, etags, strict=True)
    ]


def differences(lying: bytes, true: bytes) -> list[int]:
    """How many names, sizes and ETags differ."""
    columns = zip(zip(*entries(lying), strict=True), zip(*entries(true), strict=True), strict=True)
    return [sum(a != b for a, b in zip(*column, strict=True)) for column in columns]


OF_LISTINGS: dict[str, Callable[[bytes, bytes], bool]] = {
    "HTML listing": lambda lying, true: lying.startswith(b"<html>"),
    "list: size": lambda lying, true: differences(lying, true) == [0, 1, 0],
    "list: ETag": lambda lying, true: differences(lying, true) == [0, 0, 1],
    "list: missing key": lambda lying, true: len(entries(lying)) == 1,
    "list: extra key": lambda lying, true: len(set(entries(lying)) - set(entries(true))) == 1,
    "list: bit flip": lambda lying, true: differing_bits(lying, true) == 1,
}


def test_every_fault_is_tested() -> None:
    assert set(FAULTS) == {*OF_RANGES, *OF_LISTINGS, "trickle", "replaced"}


@pytest.mark.parametrize("fault", OF_RANGES)
def test_a_fault_of_a_range(fault: str, stored: Stored) -> None:
    with stored.behind(fault) as (front, client):
        answer = client.get_range()
    assert OF_RANGES[fault](answer, stored), answer
    assert (front.counts.requests, front.counts.injected) == (1, 1)
    assert front.counts.object_bytes >= len(answer.body)


@pytest.mark.parametrize("fault", OF_LISTINGS)
def test_a_fault_of_a_listing(fault: str, stored: Stored) -> None:
    with stored.behind("none") as (_, client):
        true = client.get_listing().body
    with stored.behind(fault) as (front, client):
        lying = client.get_listing()
    assert lying.status == 200
    assert OF_LISTINGS[fault](lying.body, true), lying.body
    assert front.counts.object_bytes == 0


def test_a_trickle_never_times_out_and_never_ends(stored: Stored) -> None:
    with stored.behind("trickle") as (front, client):
        timer = threading.Timer(1.0, front.closing.set)
        timer.start()
        answer = client.get_range()
        timer.join()
    assert not isinstance(answer.failure, TimeoutError)
    assert 5 <= len(answer.body) <= 15
    assert stored.asked.startswith(answer.body)


def test_a_model_is_replaced_between_two_requests(stored: Stored) -> None:
    key = f"{uuid.uuid4().hex}/model.safetensors"
    changing = Stored(stored.server, stored.admin, key.partition("/")[0] + "/", stored.body)

    def upload() -> None:
        stored.admin.put_object(Bucket=stored.server.bucket, Key=key, Body=bytes(10_000))

    stored.admin.put_object(Bucket=stored.server.bucket, Key=key, Body=stored.body)
    with changing.behind("replaced", upload=upload) as (_, client):
        client.get_listing()  # does not replace it
        stored_now = stored.admin.get_object(Bucket=stored.server.bucket, Key=key)["Body"].read()
        answer = client.get_range()
    assert stored_now == stored.body
    assert answer.body == bytes(LAST - FIRST + 1)


# --- when it strikes, and how it ends -------------------------------------------------------------------------


def struck(pattern: Pattern, seed: int = 0, requests: int = 200) -> str:
    """Which of a row of requests a fault strikes, as a row of x and dots."""
    schedule = Schedule(FAULTS["reset"], pattern, seed)
    exchanges = (SimpleNamespace(rng=schedule.next_rng()) for _ in range(requests))
    return "".join("x" if schedule.decide(exchange) else "." for exchange in exchanges)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (Pattern.ONCE, r"\.{0,3}x\.+"),
        (Pattern.BURST, r"\.{0,3}x{2,5}\.+"),
        (Pattern.OFTEN, r"(\.+x+){15,}\.*|x.*"),
        (Pattern.ALWAYS, r"x+"),
    ],
)
def test_patterns(pattern: Pattern, expected: str) -> None:
    rows = [struck(pattern, seed) for seed in range(20)]
    assert all(re.fullmatch(expected, row) for row in rows), rows
    assert rows == [struck(pattern, seed) for seed in range(20)]


def test_a_connection_is_used_again_after_a_good_reply(stored: Stored) -> None:
    with stored.behind("none") as (front, client):
        assert [client.get_range().body for _ in range(3)] == [stored.asked] * 3
        assert len(front._connections) == 1
        assert (front.counts.requests, front.counts.object_bytes) == (3, 3 * len(stored.asked))


def test_a_wrong_signature_stays_wrong(stored: Stored) -> None:
    with stored.behind("none") as (front, _):
        connection = HTTPConnection(urlsplit(front.endpoint).netloc, timeout=5)
        connection.request("GET", f"/{stored.server.bucket}/{stored.prefix}config.json")
        assert connection.getresponse().status == 403
        connection.close()


def test_closing_ends_stalled_connections_and_all_threads(stored: Stored) -> None:
    before = threading.active_count()
    with stored.behind("stall") as (front, client):
        asking = threading.Thread(target=client.get_range)
        asking.start()
        while front.counts.injected == 0:
            time.sleep(0.01)
        began = time.monotonic()
        front.close()
        assert time.monotonic() - began < READ_TIMEOUT_S
        asking.join()
    assert threading.active_count() == before


def test_a_fault_that_is_broken_itself_is_no_fault(stored: Stored) -> None:
    def broken(exchange: Exchange) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), stored.behind(Fault(broken, any_read, usual=1)) as (_, client):
        client.get_range()


# --- the hub ----------------------------------------------------------------------------------------------------


def test_the_hub_gets_over_every_fault_that_happens_once(
    s3: LocalS3, reader_environment: dict[str, str], tmp_path: Path
) -> None:
    shelf = Shelf(s3, tmp_path / "models")
    trials = [Trial(fault, Pattern.ONCE, seed=7, weights=SMALL_WEIGHTS[1]) for fault in FAULTS]
    tallies = run_trials(trials, shelf, tmp_path / "trials")
    assert all(tally.is_good for tally in tallies.values()), f"\n{table(tallies)}"
