# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the table: what is done on each server, and what has to come of it.

Each function returns '' when all is as on Amazon S3, or what the program said where the server can't do something and
the program says so before any media moves. It raises `Failed` for anything else.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import botocore.exceptions
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import features, keys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import LACKING, Feature, State
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.tests.compat.site import Failed, Site, content_of
from ansible_collections.matrixops.synapse_s3.tests.integration.homeserver import NONE, PREFIX, count
from ansible_collections.matrixops.synapse_s3.tests.s3_server import S3Server

Answer = TypeVar("Answer")

CUSTOMER_KEY = "an encryption key of 32 letters!"
ALL_ORPHANS = ("--minimum-age", "0s", "--maximum-share", "100%")
# How the program ends where it refuses to begin.
REFUSED = (69, 77, 78)


class Unsupported(Exception):
    """The server itself refuses what the row needs; the text is its answer."""


def preflight(site: Site) -> str:
    result = site.done("preflight")
    _nothing_left(site)
    return " ".join(result["notes"])


def provider(site: Site) -> str:
    content = site.fill()
    site.synapse_stores(content)
    _same(site.in_bucket(), content, "in the bucket after Synapse's upload")
    site.synapse_reads(content)
    result = site.done("migrate")
    _counts(result, already_stored=content, deleted=content, uploaded={})
    site.synapse_reads(content)
    return ""


def migrate(site: Site) -> str:
    content = site.fill()
    result = site.done("migrate")
    _counts(result, uploaded=content, deleted=content)
    _same(site.in_bucket(), content, "in the bucket")
    _same(site.local(), {}, "on the local disk")
    site.synapse_reads(content)
    site.write(content)
    _counts(site.done("migrate"), uploaded={}, already_stored=content, deleted=content)
    # An object of other content under the key of a file is left as it is, and so is the file.
    path, data = next(item for item in content.items() if len(item[1]) == 5000)
    other = random.Random(1).randbytes(len(data))  # noqa: S311
    site.store({path: other})
    site.write({path: data})
    _counts(site.done("migrate", status=1), conflicts={path: data}, deleted={})
    _same(site.in_bucket(), {**content, path: other}, "in the bucket after a conflict")
    _same(site.local(), {path: data}, "on the local disk after a conflict")
    return ""


def verify(site: Site) -> str:
    content = _moved(site)
    whole = site.done("verify", "--deep")
    if whole["stored_only"] != count(content) or whole["missing"] != NONE:
        raise Failed(f"verify counted {whole['stored_only']}, not {count(content)}")
    lost = next(path for path in content if path.startswith("local_content/") and content[path])
    site.server.client().delete_object(Bucket=site.bucket.bucket, Key=PREFIX + lost)
    if site.done("verify", status=1)["missing"] != count({lost: content[lost]}):
        raise Failed("verify did not miss what was deleted")
    return ""


def restore(site: Site) -> str:
    content = _moved(site)
    result = site.done("restore")
    _counts(result, restored=content)
    _same(site.local(), content, "on the local disk")
    _same(site.in_bucket(), content, "in the bucket")
    return ""


def purge_orphans(site: Site) -> str:
    content = _moved(site)
    gone = {path: data for path, data in content.items() if path.startswith("local_")}
    kept = {path: data for path, data in content.items() if path not in gone}
    site.store({"backup.tar": b"not Synapse's"})
    for table in ("local_media_repository", "local_media_repository_thumbnails"):
        site.execute(f"DELETE FROM {table}")  # noqa: S608 (names of our own)
    _counts(site.done("purge-orphans", *ALL_ORPHANS), orphans=gone, deleted={})
    _counts(site.done("purge-orphans", "--delete", *ALL_ORPHANS), orphans=gone, deleted=gone)
    _same(site.in_bucket(), {**kept, "backup.tar": b"not Synapse's"}, "in the bucket")
    return ""


def copy_bucket(site: Site) -> str:
    content = _moved(site)
    old, new = site.bucket, site.server.new_bucket()
    site.use(new, old)
    result = site.done("copy-bucket")
    _counts(result, copied=content)
    _same(site.in_bucket(), content, "in the new bucket")
    _same(content_of(site.server, old), content, "in the old bucket")
    site.done("verify", "--store", "1")
    site.synapse_reads(content)
    _counts(site.done("copy-bucket"), copied={}, already_there=content)
    return ""


def customer_key(site: Site) -> str:
    """SSE-C: either nobody reads media without the key, or nothing is uploaded in that belief."""
    plain = site.bucket
    site.use(replace(site.bucket, sse_customer_key=CUSTOMER_KEY))
    content = site.fill()
    tried, _unused = site.command("preflight")
    if tried["exit_code"] != 0:
        told = _refuses_to_migrate(site, content)
        # Both have stored an object of a name of its own to find out.
        if _nameless(told) not in map(_nameless, tried["problems"]):
            raise Failed(f"preflight said {tried['problems']}, migrate {told}")
        return told
    _counts(site.done("migrate"), uploaded=content, deleted=content)
    _same(site.in_bucket(), content, "in the bucket, read with the key")
    site.synapse_reads(content)
    site.use(plain)
    if not site.synapse_can_not_read(content):
        raise Failed("migrate uploaded with an encryption key what can be read without it")
    site.use(replace(plain, sse_customer_key=CUSTOMER_KEY))
    site.done("verify", "--deep")
    _counts(site.done("restore"), restored=content)
    return ""


def another_key(site: Site) -> str:
    """Media that was stored without a key, and then one is configured: nothing goes before it can be read."""
    content = _moved(site)
    site.write(content)
    site.use(replace(site.bucket, sse_customer_key=CUSTOMER_KEY))
    tried, _unused = site.command("preflight")
    result, _unused = site.command("migrate")
    if result["deleted"] != NONE:
        # That is well if Synapse can read it with the key all the same.
        site.synapse_reads(content)
    elif result["exit_code"] == 0 or tried["exit_code"] == 0:
        raise Failed(f"preflight ended with {tried['exit_code']}, migrate with {result['exit_code']}")
    else:
        return " ".join(tried["problems"][:1])
    return ""


def versions(site: Site) -> str:
    """A bucket that keeps old versions: nothing of preflight stays, and what was deleted can be stored again."""
    enabled = {"Status": "Enabled"}
    _asked(site.server.client().put_bucket_versioning, Bucket=site.bucket.bucket, VersioningConfiguration=enabled)
    notes = site.done("preflight")["notes"]
    _nothing_left(site, versions=True)
    content = _moved(site)
    path, data = next(item for item in content.items() if len(item[1]) == 5000)
    large, much = max(content.items(), key=lambda item: len(item[1]))
    for each in (path, large):
        site.server.client().delete_object(Bucket=site.bucket.bucket, Key=PREFIX + each)
    site.write({path: data, large: much})
    _counts(site.done("migrate"), uploaded={path: data, large: much}, deleted={path: data, large: much})
    _same(site.in_bucket(), content, "in the bucket after a second upload")
    site.synapse_reads({path: data, large: much})
    site.execute("DELETE FROM local_media_repository")
    site.done("purge-orphans", "--delete", "--delete-versions", *ALL_ORPHANS)
    left = _versions(site)
    if gone := [key for key in left if key.startswith(f"{PREFIX}local_content/")]:
        raise Failed(f"purge-orphans --delete-versions left {gone}")
    return " ".join(notes)


def object_lock(site: Site) -> str:
    """A bucket with Object Lock and a default retention: it works, or preflight says why not."""
    client = site.server.client()
    site.use(_asked(site.server.new_bucket, ObjectLockEnabledForBucket=True))
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    _asked(client.put_object_lock_configuration, Bucket=site.bucket.bucket, ObjectLockConfiguration=lock)
    tried, _unused = site.command("preflight")
    if tried["exit_code"] != 0:
        return " ".join(tried["problems"])
    content = _moved(site)
    _same(site.in_bucket(), content, "in the bucket")
    return " ".join(tried["notes"])


def storage_class(site: Site) -> str:
    """STANDARD_IA: it is kept, or named as what this server has not."""
    site.use(replace(site.bucket, storage_class="STANDARD_IA"))
    return _works_or_is_told(site)


def names_alike(site: Site) -> str:
    """Servers of which one's name begins as the other's: a list that is not sorted by key is told, never believed."""
    content = site.fetch("example.org", [5000, 3000]) | site.fetch("example.org.uk", [4000, 3000])
    _counts(site.done("migrate"), uploaded=content, deleted=content)
    _same(site.in_bucket(), content, "in the bucket")
    site.synapse_reads(content)
    result, said = site.command("verify")
    if result["exit_code"] == 0:
        if result["stored_only"] != count(content):
            raise Failed(f"verify counted {result['stored_only']}, not {count(content)}")
        return ""
    told = next((line for line in said.splitlines() if line.startswith("Could not list bucket")), "")
    if not told or result["missing"] is not None:
        raise Failed(f"verify ended with {result['exit_code']}, and counted missing {result['missing']}: {said[-500:]}")
    return told


def wrong_region(site: Site) -> str:
    site.use(replace(site.bucket, region_name="eu-central-1"))
    return _works_or_is_told(site)


def wrong_secret(site: Site) -> str:
    stranger = S3Server(site.server.host, site.server.certificate, secret="x" * 32)
    with contextlib.suppress(botocore.exceptions.ClientError):
        stranger.client().list_objects_v2(Bucket=site.bucket.bucket)
        raise Unsupported("a listing: it lets everybody in")
    return _is_told(site, replace(site.bucket, secret_access_key=stranger.secret), 77)


def missing_bucket(site: Site) -> str:
    return _is_told(site, replace(site.bucket, bucket="test-there-is-none"), 69)


def role_bucket(site: Site) -> str:
    """The module bucket, as the role calls it where nothing is set, on a bucket that is in use: twice."""
    wanted = Wanted(tls_only=site.server.certificate is not None)
    for is_first in (True, False):
        with contextlib.closing(Administration(site.bucket)) as bucket:
            found = list(features.apply(bucket, wanted, check_mode=False))
        # Nothing was changed where tls_only is refused: the server can't tell what comes by TLS.
        if wrong := [feature for feature in found if feature.state is State.FAILED and feature.name != "tls_only"]:
            raise Failed(f"{wrong[0].name}: {wrong[0].message}")
        if changed := [feature.name for feature in found if feature.is_changed and not is_first]:
            raise Failed(f"the second run changes {', '.join(changed)}")
    site.done("preflight")
    provider(site)
    lacking = [
        f"{feature.name} ({feature.state.value})" for feature in found if feature.state in (*LACKING, State.FAILED)
    ]
    return f"All but {', '.join(lacking)}." if lacking else ""


def own_key(site: Site) -> str:
    """The module bucket makes a key for Synapse that may do what it must, and nothing else."""
    administrators = site.bucket
    old, new = (
        replace(administrators, access_key_id="synapseownkey", secret_access_key=f"synapse-own-secret-{number}")
        for number in (1, 2)
    )
    given = _given_key(administrators, old)
    if given.state is State.UNSUPPORTED:
        return given.message
    for user, state in ((old, State.OK), (new, State.CHANGED), (new, State.OK)):
        again = _given_key(administrators, user)
        if again.state is not state:
            raise Failed(f"the key's state is {again.state.value}, not {state.value}: {again.message}")
    with contextlib.suppress(botocore.exceptions.ClientError):
        site.server.client(old).list_objects_v2(Bucket=old.bucket, Prefix=PREFIX)
        raise Failed("the key's old secret is still let in")
    _beyond(site, site.server.client(new))
    # Synapse and the program do with it all that they do.
    site.use(new)
    site.done("preflight")
    content = _moved(site)
    site.synapse_reads(content)
    site.done("verify")
    if missing := site.synapse_finds(["local_content/no/ne/here"]):
        raise Failed(f"Synapse's provider made of a file that is not there {missing}")
    site.execute("DELETE FROM local_media_repository")
    site.done("purge-orphans", "--delete", *ALL_ORPHANS)
    return ""


def _given_key(administrators: BucketSettings, user: BucketSettings) -> Feature:
    with contextlib.closing(Administration(administrators)) as bucket:
        bucket.exists()
        given = keys.apply(bucket, Wanted(user=user), is_wanted=True, check_mode=False)
    if given.state is State.FAILED:
        raise Failed(given.message)
    return given


def _beyond(site: Site, synapses: Any) -> None:
    """What Synapse's key may not do, tried by a plain boto3."""
    bucket, other, content = site.bucket.bucket, site.server.new_bucket().bucket, b"not Synapse's"
    site.server.client().put_object(Bucket=bucket, Key="beside", Body=content)
    tried: Mapping[str, Callable[[], object]] = {
        "read beside the prefix": lambda: synapses.get_object(Bucket=bucket, Key="beside"),
        "write beside the prefix": lambda: synapses.put_object(Bucket=bucket, Key="beside", Body=b"2"),
        "delete beside the prefix": lambda: synapses.delete_object(Bucket=bucket, Key="beside"),
        "read the bucket's policy": lambda: synapses.get_bucket_policy(Bucket=bucket),
        "change the bucket's policy": lambda: synapses.delete_bucket_policy(Bucket=bucket),
        "list another bucket": lambda: synapses.list_objects_v2(Bucket=other),
        "make a bucket": lambda: synapses.create_bucket(Bucket=f"{bucket}-2"),
    }
    # Who is refused may find the connection closed before all of an upload was sent.
    refused = (botocore.exceptions.ClientError, botocore.exceptions.SSLError, botocore.exceptions.ConnectionError)
    for what, call in tried.items():
        with contextlib.suppress(*refused):
            call()
            raise Failed(f"Synapse's key may {what}")
    if site.server.client().get_object(Bucket=bucket, Key="beside")["Body"].read() != content:
        raise Failed("Synapse's key has written beside the prefix")
    site.server.client().delete_object(Bucket=bucket, Key="beside")


# What is done, its name in the table, and what it stands for
SCENARIOS: Mapping[str, Callable[[Site], str]] = {
    "preflight": preflight,
    "Synapse's upload and download": provider,
    "migrate": migrate,
    "verify": verify,
    "restore": restore,
    "purge-orphans": purge_orphans,
    "copy-bucket": copy_bucket,
    "SSE-C": customer_key,
    "SSE-C switched on later": another_key,
    "bucket with versions": versions,
    "bucket with Object Lock": object_lock,
    "storage class STANDARD_IA": storage_class,
    "names that begin alike": names_alike,
    "wrong region": wrong_region,
    "wrong secret": wrong_secret,
    "missing bucket": missing_bucket,
    "key of Synapse's own": own_key,
    "role bucket": role_bucket,
}
# What one pass of a homeserver is, for `make test`.
SHORT = ("preflight", "migrate", "SSE-C", "bucket with versions")


def _moved(site: Site) -> dict[str, bytes]:
    """Media that is in the bucket alone."""
    content = site.fill()
    _counts(site.done("migrate"), uploaded=content, deleted=content)
    return content


def _works_or_is_told(site: Site) -> str:
    """Settings that some servers take: then everything works; or preflight names what is wrong, and nothing moves."""
    tried, _unused = site.command("preflight")
    content = site.fill()
    if tried["exit_code"] == 0:
        _counts(site.done("migrate"), uploaded=content, deleted=content)
        _same(site.in_bucket(), content, "in the bucket")
        return ""
    return " ".join(tried["problems"])


def _is_told(site: Site, wrong: BucketSettings, status: int) -> str:
    """Settings with which no server may let anything move. As it has to be, so there is nothing to say of it."""
    content = site.fill()
    site.use(wrong)
    tried, _unused = site.command("preflight")
    if tried["exit_code"] != status:
        raise Failed(f"preflight ended with {tried['exit_code']}, not with {status}: {tried['problems']}")
    _refuses_to_migrate(site, content)
    return ""


def _refuses_to_migrate(site: Site, content: Mapping[str, bytes]) -> str:
    result, said = site.command("migrate")
    if result["exit_code"] not in REFUSED:
        raise Failed(f"migrate ended with {result['exit_code']} although preflight refused: {said.strip()[-500:]}")
    _counts(result, uploaded={}, deleted={})
    _same(site.local(), content, "on the local disk")
    with contextlib.suppress(botocore.exceptions.ClientError):
        _nothing_left(site)
    return " ".join(result["errors"])


def _asked(call: Callable[..., Answer], **arguments: object) -> Answer:
    try:
        return call(**arguments)
    except botocore.exceptions.ClientError as error:
        told = error.response["Error"]
        raise Unsupported(f"{told.get('Code')}: {told.get('Message') or 'no words'}") from error


def _nameless(said: str) -> str:
    return re.sub(r"preflight-[0-9a-f]{16}", "preflight-…", said)


def _counts(result: Mapping[str, object], **expected: Mapping[str, bytes]) -> None:
    for name, content in expected.items():
        if result[name] != count(content):
            raise Failed(f"{result['command']} counted {name}: {result[name]}, not {count(content)}")


def _same(found: Mapping[str, bytes], expected: Mapping[str, bytes], where: str) -> None:
    if found != expected:
        names = sorted(path for path in {*found, *expected} if found.get(path) != expected.get(path))
        raise Failed(f"not as it should be {where}: {names[:5]}")


def _nothing_left(site: Site, *, versions: bool = False) -> None:
    found = (
        _versions(site)
        if versions
        else [
            entry["Key"]
            for entry in site.server.client().list_objects_v2(Bucket=site.bucket.bucket).get("Contents", [])
        ]
    )
    if found:
        raise Failed(f"left behind in the bucket: {found}")


def _versions(site: Site) -> list[str]:
    answer = site.server.client().list_object_versions(Bucket=site.bucket.bucket)
    return [found["Key"] for name in ("Versions", "DeleteMarkers") for found in answer.get(name, [])]
