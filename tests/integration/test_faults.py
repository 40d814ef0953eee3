# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of request meets every fault of networks and servers: nothing is lost, no failure looks like success."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.tests.certificate import write_certificate
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import (
    Exchange,
    Fault,
    Kind,
    Plan,
    answer,
    close_after,
    close_before,
    cut_answer,
    cut_request,
    delay,
    http_answer,
    lose_answer,
    pass_all,
    refuse,
    replace_answer,
    run_proxy,
    s3_error,
)
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import (
    NONE,
    Homeserver,
    Places,
    assert_nothing_lost,
    count,
)
from ansible_collections.matrixops.synapse_s3.tests.minio_server import MinioServer
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but

MIB = 2**20
# Runs that wait to try again need no processor: this many at once.
AT_ONCE = 6


def small(homeserver: Homeserver) -> dict[str, bytes]:
    return homeserver.upload([5000])


def many(homeserver: Homeserver) -> dict[str, bytes]:
    """So many that one list costs less than to ask for each."""
    return homeserver.upload([500] * 150)


def large(homeserver: Homeserver) -> dict[str, bytes]:
    return homeserver.upload([9 * MIB])


def stored_in_odd_parts(homeserver: Homeserver) -> dict[str, bytes]:
    """The object's ETag is one of parts of another size: only reading it tells that it is the file."""
    content = large(homeserver)
    homeserver.store_in_parts(content, 6 * MIB)
    return content


@dataclass(frozen=True)
class Scene:
    """Media that makes a run send requests of this kind, and how many of them come before the one that matters."""

    kind: Kind
    media: Callable[[Homeserver], dict[str, bytes]]
    skip: int = 0


SCENES = {
    "first list": Scene(Kind.LIST, small),
    "list of all": Scene(Kind.LIST, many, skip=1),
    "look": Scene(Kind.HEAD, small),
    "read": Scene(Kind.GET, stored_in_odd_parts),
    "put": Scene(Kind.PUT, small),
    "begin parts": Scene(Kind.CREATE, large),
    "part": Scene(Kind.PART, large),
    "complete parts": Scene(Kind.COMPLETE, large),
}
SHOWN = ("first list", "read", "put", "complete parts")

SLOW_DOWN = answer(s3_error("503 Slow Down", "SlowDown"))
INTERNAL_ERROR = answer(s3_error("500 Internal Server Error", "InternalError"))
GARBAGE = answer(b"\x15\x03\x01\x00\x02\x02\x16 this is no HTTP\r\n\r\n")
OTHER_HASH = http_answer("200 OK", etag='"d41d8cd98f00b204e9800998ecf8427e"')

# What passes by itself, and how many requests in a row meet it.
PASSING: dict[str, tuple[Fault, int | None]] = {
    "closed before the answer": (close_before, 1),
    "answer lost": (lose_answer, 1),
    "answer lost twice": (lose_answer, 2),
    "request cut": (cut_request, 1),
    "answer cut": (cut_answer, 1),
    "answer late": (delay(1), 1),
    "503 three times": (SLOW_DOWN, 3),
    "500": (INTERNAL_ERROR, 1),
    "keep-alive closed": (close_after, 1),
    "keep-alive closed each time": (close_after, 1000),
    "refused for a while": (refuse(0.5), 1),
}

# What does not pass (None), or is so strange that nobody need try again.
LASTING: dict[str, tuple[Fault, int | None]] = {
    "closed before the answer": (close_before, None),
    "answers lost": (lose_answer, None),
    "answers cut": (cut_answer, None),
    "503": (SLOW_DOWN, None),
    "403": (answer(s3_error("403 Forbidden", "AccessDenied")), None),
    "garbage": (GARBAGE, None),
    "web page": (answer(http_answer("200 OK", "<html><p>Log in</p></html>", content_type="text/html")), None),
    "empty success": (answer(http_answer("200 OK")), None),
    "empty success once": (answer(http_answer("200 OK")), 1),
    "success with another hash": (answer(OTHER_HASH), None),
    "done, with another hash": (replace_answer(OTHER_HASH), None),
    "failure within a success": (answer(s3_error("200 OK", "InternalError")), None),
    "conflict": (answer(s3_error("409 Conflict", "ConditionalRequestConflict")), None),
    "taken, although it is not": (answer(s3_error("412 Precondition Failed", "PreconditionFailed")), None),
    "sent elsewhere": (answer(http_answer("307 Temporary Redirect", location="http://127.0.0.1:1/")), None),
}


@dataclass(frozen=True)
class Outcome:
    """What a run did behind the proxy and how it left things; the same of the next run, without the proxy."""

    content: dict[str, bytes]
    result: Mapping[str, Any]
    left: Places
    unfinished_uploads: list[str]
    hits: int
    next_result: Mapping[str, Any]
    left_then: Places


def run_all(
    directory: Path,
    server: MinioServer,
    scene: Scene,
    faults: Mapping[str, tuple[Fault, int | None]],
    *,
    certificates: Path | None = None,
) -> dict[str, Outcome]:
    """A run for each of the faults, on a homeserver of its own."""

    def run(name: str) -> Outcome:
        home = directory / name
        home.mkdir()
        homeserver = Homeserver(home, server)
        content = scene.media(homeserver)
        fault, times = faults[name]
        homeserver.ca_bundle = certificates and certificates / "public.crt"
        plan = Plan(scene.kind, fault, times, scene.skip)
        with run_proxy(server.host, plan, certificates=certificates) as proxy:
            homeserver.configure_endpoint(proxy.url)
            result = homeserver.migrate()
        homeserver.configure()
        left, unfinished = homeserver.places(), homeserver.unfinished_uploads(*content)
        # It has nothing to do unless the first one says so.
        next_result = homeserver.migrate() if result["exit_code"] else result
        return Outcome(content, result, left, unfinished, proxy.hits, next_result, homeserver.places())

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(faults, pool.map(run, faults), strict=True))


def assert_passed(outcome: Outcome, *, stored_before: bool) -> None:
    """All is done, and told right."""
    result, everything = outcome.result, count(outcome.content)
    assert (result["exit_code"], result["deleted"], result["conflicts"]) == (0, everything, NONE), result["problems"]
    # What this run stored is nobody else's, even if it was told so only when it tried again.
    told = (result["uploaded"], result["already_stored"])
    assert told == ((NONE, everything) if stored_before else (everything, NONE))


def assert_safe(outcome: Outcome) -> None:
    """Nothing is lost or left half-way, and the next run finishes what this one could not."""
    assert outcome.hits > 0
    assert_nothing_lost(outcome.content, outcome.result, outcome.left)
    assert outcome.unfinished_uploads == []
    assert outcome.next_result["exit_code"] == 0
    assert outcome.left_then == Places({}, outcome.content)


@pytest.mark.parametrize("scene", soak_but(SHOWN, SCENES))
def test_faults_that_pass(tmp_path: Path, minio_http: MinioServer, subtests: pytest.Subtests, scene: str) -> None:
    for name, outcome in run_all(tmp_path, minio_http, SCENES[scene], PASSING).items():
        with subtests.test(name):
            assert_safe(outcome)
            assert_passed(outcome, stored_before=SCENES[scene].media is stored_in_odd_parts)


def test_faults_that_pass_over_tls(tmp_path: Path, minio_http: MinioServer, subtests: pytest.Subtests) -> None:
    certificates = tmp_path / "certificates"
    write_certificate(certificates, ["localhost"])

    outcomes = run_all(tmp_path, minio_http, SCENES["put"], PASSING, certificates=certificates)

    for name, outcome in outcomes.items():
        with subtests.test(name):
            assert_safe(outcome)
            assert_passed(outcome, stored_before=False)


@pytest.mark.parametrize("scene", soak_but(SHOWN, SCENES))
def test_faults_that_last(tmp_path: Path, minio_http: MinioServer, subtests: pytest.Subtests, scene: str) -> None:
    for name, outcome in run_all(tmp_path, minio_http, SCENES[scene], LASTING).items():
        with subtests.test(name):
            assert_safe(outcome)


def test_list_that_leaves_an_object_out(homeserver: Homeserver) -> None:
    """Where the list is wrong, the condition of the upload still keeps the object."""
    content = homeserver.upload([5000] * 3)
    path = min(content)
    homeserver.store({path: b"other"})
    empty = http_answer("200 OK", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")

    with run_proxy(homeserver.server.host, Plan(Kind.LIST, answer(empty), times=None)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result = homeserver.migrate()

    assert (result["uploaded"]["files"], result["conflicts"]["files"], result["exit_code"]) == (2, 1, 1)
    assert homeserver.local() == {path: content[path]}
    assert homeserver.stored() == {**content, path: b"other"}


def test_upload_in_parts_that_fails_and_is_hard_to_abort(homeserver: Homeserver) -> None:
    content = large(homeserver)
    plans = (Plan(Kind.PART, INTERNAL_ERROR, times=None, skip=1), Plan(Kind.ABORT, SLOW_DOWN, times=2))

    with run_proxy(homeserver.server.host, *plans) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result = homeserver.migrate()

    assert proxy.seen[Kind.ABORT] > 2
    assert (result["failed"], result["exit_code"]) == (count(content), 1)
    assert_nothing_lost(content, result, homeserver.places())
    assert homeserver.unfinished_uploads(*content) == []


def storm(numbers: random.Random) -> Fault:
    """One in ten requests meets a fault."""
    faults = [close_before, lose_answer, cut_request, cut_answer, close_after, SLOW_DOWN, INTERNAL_ERROR, GARBAGE]

    def fault(exchange: Exchange) -> bool:
        chosen = numbers.choice(faults) if numbers.random() < 0.1 else pass_all
        return chosen(exchange)

    return fault


@pytest.mark.parametrize("seed", soak_but([0], range(4)))
def test_storm(homeserver: Homeserver, seed: int) -> None:
    """All faults at once on a mixed media store: what one run leaves, the next ones finish."""
    content = {**homeserver.upload([5000] * 300 + [9 * MIB] * 3), **homeserver.fetch("example.org", [70_000] * 50)}
    weather = storm(random.Random(seed))  # noqa: S311 (no secret)

    with run_proxy(homeserver.server.host, *(Plan(kind, weather, times=None) for kind in Kind)) as proxy:
        homeserver.configure_endpoint(proxy.url)
        result = homeserver.migrate()
    homeserver.configure()

    assert_nothing_lost(content, result, homeserver.places())
    assert result["deleted"]["files"] > 300
    assert result["conflicts"] == NONE
    assert homeserver.migrate()["exit_code"] == 0
    assert (homeserver.stored(), homeserver.local()) == (content, {})
    assert homeserver.unfinished_uploads(*content) == []
