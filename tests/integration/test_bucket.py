# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and the module ``bucket`` on real servers: what they make, what they tell, and what is seen from outside."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import features, in_use, keys
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.administration import Administration
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.key_effects import SynapsesBucket
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import Feature, State
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Run, Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.encryption import TEST_OBJECT
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.s3_trial import TrialBucket
from ansible_collections.matrixops.synapse_s3.tests.certificate import write_certificate
from ansible_collections.matrixops.synapse_s3.tests.fault_proxy import (
    Exchange,
    Kind,
    Plan,
    http_answer,
    pass_all,
    run_proxy,
    s3_error,
)
from ansible_collections.matrixops.synapse_s3.tests.minio_server import (
    ADMIN_SECRET,
    MinioServer,
    run_minio,
)
from ansible_collections.matrixops.synapse_s3.tests.soak import soak_but

ROOT = Path(__file__).parents[2]
CONFIG = "matrix_synapse_ext_synapse_s3_storage_provider_config_"
NO_UNFINISHED = (
    "does not implement it (HTTP 400 InvalidArgument: 'The XML you provided was not well-formed or did not validate"
    " against our published schema'). MinIO ends unfinished uploads by itself, after 24 hours unless its"
    " stale_uploads_expiry says otherwise."
)


@pytest.fixture
def settings(minio_http: MinioServer) -> BucketSettings:
    """A bucket that is not there yet."""
    return replace(minio_http.settings(f"media-{secrets.token_hex(6)}"), prefix="hs/")


def apply(settings: BucketSettings, wanted: Wanted, *, check_mode: bool = False) -> dict[str, Feature]:
    bucket = Administration(settings)
    found = {feature.name: feature for feature in features.apply(bucket, wanted, check_mode=check_mode)}
    bucket.close()
    return found


def changed(found: Mapping[str, Feature]) -> list[str]:
    return [name for name, feature in found.items() if feature.is_changed]


def get(url: str) -> int:
    """The status that anybody gets."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# --- the playbook


class Playbook:
    """The playbook ``bucket``, with a vars.yml of the role storage_provider's."""

    def __init__(self, directory: Path, settings: BucketSettings) -> None:
        self.directory = directory
        (directory / "inventory").write_text("[matrix_servers]\nmatrix.example.org ansible_connection=local\n")
        variables = {
            f"{CONFIG}bucket": settings.bucket,
            f"{CONFIG}prefix": settings.prefix,
            f"{CONFIG}region_name": settings.region_name,
            f"{CONFIG}endpoint_url": settings.endpoint_url,
            f"{CONFIG}access_key_id": "synapse-own-key",
            f"{CONFIG}secret_access_key": "synapse-own-secret",
            "bucket_access_key_id": settings.access_key_id,
            "bucket_secret_access_key": settings.secret_access_key,
            "bucket_versioning": True,
        }
        (directory / "vars.json").write_text(json.dumps(variables))

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        own = {
            "ANSIBLE_COLLECTIONS_PATH": os.environ["PYTHONPATH"].split(os.pathsep)[0],
            "ANSIBLE_CALLBACK_FORMAT_PRETTY": "False",
        }
        return subprocess.run(
            [
                *("ansible-playbook", f"--inventory={self.directory / 'inventory'}"),
                *(f"--extra-vars=@{self.directory / 'vars.json'}", *options, str(ROOT / "playbooks" / "bucket.yml")),
            ],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
        )


def test_the_playbook(tmp_path: Path, minio_http: MinioServer, settings: BucketSettings) -> None:
    playbook, client, name = Playbook(tmp_path, settings), minio_http.client(), settings.bucket

    checked = playbook.run("--check", "--diff")
    assert (checked.returncode, "changed=1" in checked.stdout) == (0, True), checked.stdout + checked.stderr
    # The difference says what would be made.
    assert f'+  "bucket": "{name}"' in checked.stdout
    assert name not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]

    first = playbook.run()
    assert (first.returncode, "changed=1" in first.stdout) == (0, True), first.stdout + first.stderr
    assert f"[WARNING]: unfinished_uploads: {minio_http.url} {NO_UNFINISHED}" in " ".join(first.stderr.split())
    assert client.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert (rule["Filter"], rule["NoncurrentVersionExpiration"]) == ({"Prefix": "hs/"}, {"NoncurrentDays": 30})
    # What was tried is gone.
    assert "Versions" not in client.list_object_versions(Bucket=name)

    client.put_object(Bucket=name, Key="hs/secret", Body=b"1")
    client.put_object(Bucket=name, Key="other/secret", Body=b"1")
    assert [get(f"{minio_http.url}/{name}{rest}") for rest in ("", "/hs/secret")] == [403, 403]
    own = replace(settings, access_key_id="synapse-own-key", secret_access_key="synapse-own-secret")
    assert TrialBucket(own, 1).read_as_provider("hs/secret") == b"1"
    with pytest.raises(Exception, match="refused without saying why"):
        TrialBucket(own, 1).read_as_provider("other/secret")

    for options in ((), ("--check",)):
        again = playbook.run(*options)
        assert (again.returncode, "changed=0" in again.stdout) == (0, True), again.stdout + again.stderr
    assert ADMIN_SECRET not in checked.stdout + first.stdout + again.stdout
    assert "synapse-own-secret" not in checked.stdout + first.stdout + again.stdout

    required = playbook.run("--extra-vars", json.dumps({"bucket_required": ["unfinished_uploads"]}))
    assert required.returncode == 2
    assert f"unfinished_uploads is required: {minio_http.url} {NO_UNFINISHED}" in required.stdout + required.stderr


def test_the_playbook_without_a_bucket_s_name(tmp_path: Path, settings: BucketSettings) -> None:
    run = Playbook(tmp_path, replace(settings, bucket="")).run()
    assert run.returncode == 2
    assert "bucket: " in run.stdout + run.stderr


# --- each feature


def test_a_public_bucket_is_closed_and_other_statements_stay(minio_http: MinioServer, settings: BucketSettings) -> None:
    client, name = minio_http.client(), settings.bucket
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="hs/secret", Body=b"1")
    public = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
    }
    denial = {**public, "Effect": "Deny", "Action": ["s3:PutBucketTagging"], "Resource": [f"arn:aws:s3:::{name}"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [public, denial]})
    client.put_bucket_policy(Bucket=name, Policy=document)
    secret = f"{minio_http.url}/{name}/hs/secret"
    assert get(secret) == 200

    found = apply(settings, Wanted(), check_mode=True)
    assert (found["private"].state, get(secret)) == (State.CHANGED, 200)
    assert changed(apply(settings, Wanted())) == ["private"]
    assert get(secret) == 403
    (kept,) = json.loads(client.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert kept["Effect"] == "Deny"
    assert changed(apply(settings, Wanted())) == []


def test_a_server_that_asks_nobody_for_a_key(minio_http: MinioServer, settings: BucketSettings) -> None:
    """What is asked for without a key is answered: the setting is there and has no effect."""

    def let_in(exchange: Exchange) -> bool:
        if b"\r\nauthorization:" in exchange.request.head.lower():
            return pass_all(exchange)
        body = "" if exchange.request.head.startswith(b"HEAD") else "<ListBucketResult/>"
        exchange.client.sendall(http_answer("200 OK", body, content_type="application/xml"))
        return True

    plans = (Plan(Kind.LIST, let_in, None), Plan(Kind.HEAD, let_in, None))
    with run_proxy(minio_http.host, *plans) as proxy:
        found = apply(replace(settings, endpoint_url=proxy.url), Wanted())
        assert (found["private"].state, found["private"].message) == (
            State.IGNORED,
            f"anybody may list it and read its objects at {proxy.url}, without a key. Take that away there: look for a"
            " public setting of the bucket, or for a server that asks nobody for a key.",
        )


TEST_PUBLIC: dict[str, list[dict[str, object]]] = {
    "mc anonymous set download MINIO/BUCKET/hs/local_content": [
        {"Action": ["s3:GetBucketLocation"], "Resource": [""]},
        {
            "Action": ["s3:ListBucket"],
            "Resource": [""],
            "Condition": {"StringEquals": {"s3:prefix": ["hs/local_content"]}},
        },
        {"Action": ["s3:GetObject"], "Resource": ["/hs/local_content*"]},
    ],
    "all that is below a prefix": [
        {"Action": ["s3:ListBucket"], "Resource": [""], "Condition": {"StringLike": {"s3:prefix": ["hs/*"]}}}
    ],
    "a referer": [
        {
            "Action": ["s3:GetObject"],
            "Resource": ["/hs/remote_content/*"],
            "Condition": {"StringLike": {"aws:Referer": ["https://example.org/*"]}},
        }
    ],
    "all addresses": [
        {
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": ["/hs/local_content/*"],
            "Condition": {"IpAddress": {"aws:SourceIp": ["0.0.0.0/0"]}},
        }
    ],
}


def allow(name: str, statement: Mapping[str, Any]) -> dict[str, Any]:
    """A statement for anybody; ``Resource`` is without the bucket."""
    resources = [f"arn:aws:s3:::{name}{rest}" for rest in statement["Resource"]]
    return {"Effect": "Allow", "Principal": {"AWS": ["*"]}, **statement, "Resource": resources}


@pytest.mark.parametrize("what", soak_but([*TEST_PUBLIC][:1], TEST_PUBLIC))
def test_what_lets_anybody_in_on_a_condition_goes(minio_http: MinioServer, settings: BucketSettings, what: str) -> None:
    """A condition that holds for whoever wants it to is none."""
    client, name = minio_http.client(), settings.bucket
    client.create_bucket(Bucket=name)
    statements = [allow(name, statement) for statement in TEST_PUBLIC[what]]
    client.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    for check_mode in (True, False):
        found = apply(settings, Wanted(), check_mode=check_mode)["private"]
        assert (found.state, found.message) == (State.CHANGED, "nobody but users may use it")
    with pytest.raises(Exception, match="NoSuchBucketPolicy"):
        client.get_bucket_policy(Bucket=name)
    assert changed(apply(settings, Wanted())) == []


def test_what_lets_some_in_on_a_condition_stays_and_is_told(minio_http: MinioServer, settings: BucketSettings) -> None:
    client, name = minio_http.client(), settings.bucket
    client.create_bucket(Bucket=name)
    conditions = {"Elsewhere": ["192.0.2.0/24"], "Here": ["127.0.0.1/32"]}
    # Where media is, and not beside it.
    what = {"Action": ["s3:GetObject"], "Resource": ["/hs/local_content/*"]}
    own = {sid: allow(name, {**what, "Sid": sid}) for sid in conditions}
    statements = [
        {**own[sid], "Condition": {"IpAddress": {"aws:SourceIp": addresses}}} for sid, addresses in conditions.items()
    ]

    def found() -> Feature:
        client.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
        feature = apply(settings, Wanted())["private"]
        left = json.loads(client.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
        assert [each["Sid"] for each in left] == [each["Sid"] for each in statements]
        return feature

    let_in = found()
    assert (let_in.state, let_in.message) == (
        State.IGNORED,
        f"anybody may read its objects at {settings.endpoint_url}, without a key. Take that away there: look for a"
        " public setting of the bucket, or for a server that asks nobody for a key. Or it is by a condition in the"
        " bucket's policy that holds for the machine that runs Ansible, in these statements: 'Elsewhere' and 'Here'.",
    )
    statements.pop()
    elsewhere = found()
    assert (elsewhere.state, elsewhere.message) == (
        State.OK,
        "nobody but users may use it, and on their conditions those whom these statements of the bucket's policy let in"
        " without a key: 'Elsewhere'",
    )
    assert list(Administration(settings).list("")) == []


def test_a_root_of_media_that_anybody_may_list(minio_http: MinioServer, settings: BucketSettings) -> None:
    """By what no policy shows."""

    def let_in(exchange: Exchange) -> bool:
        head = exchange.request.head
        if b"\r\nauthorization:" in head.lower() or b"prefix=hs%2Fremote_thumbnail%2F" not in head:
            return pass_all(exchange)
        exchange.client.sendall(http_answer("200 OK", "<ListBucketResult/>", content_type="application/xml"))
        return True

    with run_proxy(minio_http.host, Plan(Kind.LIST, let_in, None)) as proxy:
        found = apply(replace(settings, endpoint_url=proxy.url), Wanted())["private"]
    assert (found.state, found.message) == (
        State.IGNORED,
        f"anybody may list it at {proxy.url}, without a key. Take that away there: look for a public setting of the"
        " bucket, or for a server that asks nobody for a key.",
    )


def test_a_public_statement_among_others_of_many_actions(minio_http: MinioServer, settings: BucketSettings) -> None:
    """MinIO gives what is in a list in another order each time: a policy that was taken is not one that was dropped."""
    client, name = minio_http.client(), settings.bucket
    client.create_bucket(Bucket=name)
    public: dict[str, object] = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{name}/*"],
    }
    actions = ["s3:PutBucketTagging", "s3:PutBucketPolicy", "s3:PutBucketVersioning", "s3:PutLifecycleConfiguration"]
    denial = {**public, "Effect": "Deny", "Action": actions, "Resource": [f"arn:aws:s3:::{name}"], "Principal": "*"}
    denial["Condition"] = {"StringEquals": {"aws:username": ["nobody"]}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [public, denial]})
    for _turn in range(3):
        client.put_bucket_policy(Bucket=name, Policy=document)
        found = apply(settings, Wanted())["private"]
        assert (found.state, found.message) == (State.CHANGED, "nobody but users may use it")


def test_a_bucket_that_is_a_website(minio_http: MinioServer, settings: BucketSettings) -> None:
    """As with Garage, where that makes it public by another address."""

    def answer(exchange: Exchange) -> bool:
        if b"?website" not in exchange.request.head:
            return pass_all(exchange)
        body = "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument></WebsiteConfiguration>"
        exchange.client.sendall(http_answer("200 OK", body, content_type="application/xml"))
        return True

    with run_proxy(minio_http.host, Plan(Kind.OTHER, answer, None)) as proxy:
        assert apply(replace(settings, endpoint_url=proxy.url), Wanted(private=False))["private"].message == ""
        for check_mode in (True, False):
            found = apply(replace(settings, endpoint_url=proxy.url), Wanted(), check_mode=check_mode)["private"]
            assert (found.state, found.message) == (
                State.IGNORED,
                f"the bucket is a website at {proxy.url}, which may show its objects to anybody, whatever S3 does. Take"
                f" that away there: aws s3api delete-bucket-website --endpoint-url {proxy.url} --bucket"
                f" {settings.bucket} or, on Garage, garage bucket website --deny {settings.bucket}.",
            )


def test_a_service_that_takes_an_unknown_question_for_a_wrong_one(
    minio_http: MinioServer, settings: BucketSettings
) -> None:
    """As Google Cloud Storage does: what can be done without a key tells, as where nothing of it is implemented."""

    def refuse(exchange: Exchange) -> bool:
        if not any(each in exchange.request.head for each in (b"?publicAccessBlock", b"?policy", b"?website")):
            return pass_all(exchange)
        exchange.client.sendall(s3_error("400 Bad Request", "InvalidArgument"))
        return True

    with run_proxy(minio_http.host, Plan(Kind.OTHER, refuse, None)) as proxy:
        found = apply(replace(settings, endpoint_url=proxy.url), Wanted())
    assert (found["private"].state, found["private"].message) == (State.OK, "nobody but users may use it")


def test_a_server_that_fails_where_nobody_asks_has_let_nobody_in(
    minio_http: MinioServer, settings: BucketSettings
) -> None:
    def fail(exchange: Exchange) -> bool:
        if b"\r\nauthorization:" in exchange.request.head.lower():
            return pass_all(exchange)
        exchange.client.sendall(s3_error("503 Slow Down", "SlowDown"))
        return True

    with run_proxy(minio_http.host, Plan(Kind.LIST, fail, None)) as proxy:
        found = apply(replace(settings, endpoint_url=proxy.url), Wanted())["private"]
    assert (found.state, found.message) == (
        State.FAILED,
        f"Could not see whether anybody may use bucket '{settings.bucket}': the server {proxy.url} asks for fewer"
        " requests (SlowDown). Try again later, or with fewer workers. The server said: 'As planned.'.",
    )


def test_a_token_that_expires_is_no_lack_of_the_service(minio_http: MinioServer) -> None:
    def refuse(exchange: Exchange) -> bool:
        if b"?versioning" not in exchange.request.head or exchange.request.head.startswith(b"GET"):
            return pass_all(exchange)
        exchange.client.sendall(s3_error("400 Bad Request", "ExpiredToken"))
        return True

    settings = minio_http.new_bucket()
    with run_proxy(minio_http.host, Plan(Kind.OTHER, refuse, None), Plan(Kind.PUT, refuse, None)) as proxy:
        found = apply(replace(settings, endpoint_url=proxy.url), Wanted(versioning=True))["versioning"]
    assert found.state is State.FAILED
    assert "the session token is not valid or has expired" in found.message


def test_rules_of_others_stay(minio_http: MinioServer, settings: BucketSettings) -> None:
    client, name = minio_http.client(), settings.bucket
    client.create_bucket(Bucket=name)
    other = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [other]})

    def rules() -> list[str]:
        return sorted(rule["ID"] for rule in client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"])

    kept, gone = Wanted(versioning=True, old_versions_days=9), Wanted(old_versions_days=0)
    assert changed(apply(settings, kept)) == ["versioning", "old_versions"]
    assert rules() == ["logs", "matrixops-synapse-s3-old-versions"]
    assert changed(apply(settings, replace(kept, old_versions_days=8))) == ["old_versions"]
    assert changed(apply(settings, gone, check_mode=True)) == ["old_versions"]
    assert changed(apply(settings, gone)) == ["old_versions"]
    assert rules() == ["logs"]
    assert client.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"


def answering(question: bytes, body: str, seen: list[bytes]) -> list[Plan]:
    """Answer whatever is asked of one of the bucket's settings with this body; its methods come into ``seen``."""

    def answer(exchange: Exchange) -> bool:
        head = exchange.request.head
        if question not in head:
            return pass_all(exchange)
        seen.append(head.split(b" ", 1)[0])
        exchange.client.sendall(http_answer("200 OK", body, content_type="application/xml"))
        return True

    return [Plan(kind, answer, None) for kind in Kind]


def test_a_rule_that_boto3_would_change_is_left(minio_http: MinioServer, settings: BucketSettings) -> None:
    """Ceph has rules for its archive zone alone: without that part one would delete the objects themselves."""
    seen: list[bytes] = []
    rule = (
        "<Rule><ID>archive</ID><Status>Enabled</Status><Filter><Prefix>logs/</Prefix><Flag>ArchiveZone</Flag></Filter>"
        "<Expiration><Days>9</Days></Expiration></Rule>"
    )

    plans = answering(b"?lifecycle", f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>", seen)
    with run_proxy(minio_http.host, *plans) as proxy:
        elsewhere = replace(settings, endpoint_url=proxy.url)
        for check_mode in (False, True):
            found = apply(elsewhere, Wanted(private=False), check_mode=check_mode)["unfinished_uploads"]
            assert (found.state, found.message) == (
                State.FAILED,
                f"Could not change the lifecycle rules of bucket '{settings.bucket}': one that is there has 'Flag',"
                f" which is unknown here and would be lost. Change the rules at {proxy.url}, or ask for none here.",
            )
    assert set(seen) == {b"GET"}


def test_homeservers_that_share_a_bucket_keep_each_other_s_rules(
    minio_http: MinioServer, settings: BucketSettings
) -> None:
    wanted, another = Wanted(versioning=True), replace(settings, prefix="another/")
    assert [changed(apply(each, wanted))[-1] for each in (settings, another)] == ["old_versions", "old_versions"]
    assert [changed(apply(each, wanted)) for each in (settings, another)] == [[], []]
    rules = minio_http.client().get_bucket_lifecycle_configuration(Bucket=settings.bucket)["Rules"]
    assert sorted(rule["Filter"]["Prefix"] for rule in rules) == ["another/", "hs/"]


def test_a_rule_that_is_taken_and_dropped(minio_http: MinioServer, settings: BucketSettings) -> None:
    """As Garage does with old versions, and MinIO with unfinished uploads in a rule that does something else too."""
    seen: list[bytes] = []

    def drop(exchange: Exchange) -> bool:
        head = exchange.request.head
        if b"?lifecycle" not in head or head.startswith(b"GET"):
            return pass_all(exchange)
        seen.append(head.split(b" ", 1)[0])
        exchange.client.sendall(http_answer("200 OK"))
        return True

    plans = [Plan(kind, drop, None) for kind in (Kind.OTHER, Kind.PUT, Kind.DELETE)]
    with run_proxy(minio_http.host, *plans) as proxy:
        found = apply(replace(settings, endpoint_url=proxy.url), Wanted())
        assert (found["unfinished_uploads"].state, found["unfinished_uploads"].message) == (
            State.IGNORED,
            f"{proxy.url} takes a rule with AbortIncompleteMultipartUpload, and does not keep it. It was taken back.",
        )
    assert seen == [b"PUT", b"DELETE"]


@pytest.fixture(scope="module")
def minio_with_kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    key = {"MINIO_KMS_SECRET_KEY": f"key:{base64.b64encode(bytes(32)).decode()}"}
    with run_minio(tmp_path_factory.mktemp("minio-kms"), tls=False, variables=key) as server:
        yield server


def test_encryption(minio_with_kms: MinioServer) -> None:
    settings = minio_with_kms.settings("media")
    wanted = Wanted(encryption="AES256")
    assert apply(settings, wanted)["encryption"].state is State.CHANGED
    assert changed(apply(settings, wanted)) == []
    client = minio_with_kms.client()
    assert client.put_object(Bucket="media", Key="a", Body=b"1")["ServerSideEncryption"] == "AES256"


def test_encryption_after_which_nothing_is_stored(minio_with_kms: MinioServer) -> None:
    """As SeaweedFS without a key for it does."""
    settings = minio_with_kms.new_bucket()

    def fail(exchange: Exchange) -> bool:
        if b"preflight" not in exchange.request.head or Administration(settings).encryption() is None:
            return pass_all(exchange)
        exchange.client.sendall(s3_error("400 Bad Request", "InvalidRequest"))
        return True

    with run_proxy(minio_with_kms.host, Plan(Kind.PUT, fail, None)) as proxy:
        wanted = Wanted(private=False, encryption="AES256")
        feature = apply(replace(settings, endpoint_url=proxy.url), wanted)["encryption"]
    assert feature.state is State.UNSUPPORTED
    assert feature.message.startswith(
        f"{proxy.url} takes the setting, and then stores nothing any more. Could not store"
    )
    assert feature.message.endswith(" The setting was taken back.")
    assert Administration(settings).encryption() is None


def test_encryption_with_a_key_that_is_not_there(minio_with_kms: MinioServer) -> None:
    """The service has encryption: it is the setting that is wrong."""
    settings = minio_with_kms.new_bucket()
    found = apply(settings, Wanted(private=False, encryption="aws:kms", kms_key_id="another-key"))["encryption"]
    assert (found.state, found.is_changed, found.message) == (
        State.FAILED,
        False,
        f"Could not change the default encryption of bucket '{settings.bucket}': the server {minio_with_kms.url}"
        " answered HTTP 404 kms:KeyNotFound 'key with given key ID does not exist'. Look the answer up in the server's"
        " documentation.",
    )
    assert Administration(settings).encryption() is None


@pytest.mark.parametrize("check_mode", [False, True])
def test_an_encryption_that_boto3_would_change_is_left(minio_with_kms: MinioServer, check_mode: bool) -> None:
    """An older one knows nothing of BlockedEncryptionTypes, by which Amazon says whether SSE-C may be used."""
    settings, seen = minio_with_kms.new_bucket(), list[bytes]()
    body = (
        "<ServerSideEncryptionConfiguration>"
        "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"
        "</ApplyServerSideEncryptionByDefault><OfTomorrow><Type>NONE</Type></OfTomorrow></Rule>"
        "</ServerSideEncryptionConfiguration>"
    )

    plans = answering(b"?encryption", body, seen)
    with run_proxy(minio_with_kms.host, *plans) as proxy:
        wanted = Wanted(private=False, encryption="aws:kms")
        found = apply(replace(settings, endpoint_url=proxy.url), wanted, check_mode=check_mode)["encryption"]
    assert (found.state, found.is_changed, found.message) == (
        State.FAILED,
        False,
        f"Could not change the default encryption of bucket '{settings.bucket}': the rule that is there has"
        f" 'OfTomorrow', which is unknown here and would be lost. Install a newer boto3, or change it at {proxy.url}.",
    )
    assert set(seen) == {b"GET"}


def test_encryption_without_a_kms(settings: BucketSettings) -> None:
    found = apply(settings, Wanted(encryption="AES256"))["encryption"]
    assert (found.state, found.message) == (
        State.UNSUPPORTED,
        f"{settings.endpoint_url} does not implement it (HTTP 501 NotImplemented: 'Server side encryption specified but"
        " KMS is not configured').",
    )


def test_only_by_tls(minio_https: MinioServer) -> None:
    settings = minio_https.new_bucket()
    wanted = Wanted(tls_only=True)
    assert apply(settings, wanted, check_mode=True)["tls_only"].state is State.CHANGED
    first, second = apply(settings, wanted)["tls_only"], apply(settings, wanted)["tls_only"]
    assert [first.state, second.state] == [State.CHANGED, State.OK]
    assert first.message == (
        "what does not come by TLS is refused; it could not be tried, as nobody answers without at"
        f" http://{minio_https.host}"
    )
    # The statement is the role's own, and goes when nobody asks for it any more.
    assert changed(apply(settings, Wanted())) == ["tls_only"]
    assert changed(apply(settings, Wanted())) == []


def test_only_by_tls_is_tried_and_has_no_effect_on_minio(minio_http: MinioServer, tmp_path: Path) -> None:
    """It has one on a user by the user's own policy alone. Here something before it speaks TLS."""
    write_certificate(tmp_path, ["test-server"])
    with run_proxy(minio_http.host, certificates=tmp_path) as proxy:
        settings = replace(minio_http.new_bucket(), endpoint_url=proxy.url, ca_bundle_path=str(tmp_path / "public.crt"))
        found = apply(settings, Wanted(tls_only=True, plain_url=minio_http.url))["tls_only"]
        assert (found.state, found.message) == (
            State.IGNORED,
            f"{proxy.url} has the policy, and does what this key asks for at {minio_http.url} all the same. Give"
            " Synapse a key of its own whose policy asks for TLS, or close that port.",
        )


def test_only_by_tls_where_tls_ends_before_the_server(minio_http: MinioServer, tmp_path: Path) -> None:
    """A key in use would be shut out by its new policy."""
    write_certificate(tmp_path, ["test-server"])
    with run_proxy(minio_http.host, certificates=tmp_path) as proxy:
        settings = replace(
            minio_http.new_bucket(), prefix="hs/", endpoint_url=proxy.url, ca_bundle_path=str(tmp_path / "public.crt")
        )
        user = features.user_settings(settings, f"key-of-{settings.bucket}", "one-secret-of-16")
        assert user is not None

        def give(*, tls_only: bool) -> Feature:
            with closing(Administration(settings)) as bucket:
                assert bucket.exists()
                return keys.apply(bucket, Wanted(user=user, tls_only=tls_only), is_wanted=True, check_mode=False)

        assert give(tls_only=False).state is State.CHANGED
        refused = give(tls_only=True)
        with closing(SynapsesBucket(user)) as synapses:
            synapses.use()
        assert give(tls_only=False).state is State.OK
    assert (refused.state, refused.is_changed) == (State.FAILED, True)
    assert refused.message.startswith(
        "Could not give Synapse a key of its own whose policy asks for TLS: what comes by TLS is refused with it, as"
        " where TLS ends at a proxy before the server. It has the policy without that now. Set tls_only to false, and"
        " close the port without TLS. What was tried: Could not list"
    )


def test_only_by_tls_where_a_policy_forbids_all_that_it_does_not_allow(minio_http: MinioServer, tmp_path: Path) -> None:
    """Who tries the statement is locked out by it: that it is still there is told first."""
    write_certificate(tmp_path, ["test-server"])
    policies: list[bytes] = []

    def lock(exchange: Exchange) -> bool:
        if policies:
            exchange.client.sendall(s3_error("403 Forbidden", "AccessDenied"))
            return True
        # MinIO refuses the first form of the statement.
        if b"?policy" in exchange.request.head and b'"Bool"' in exchange.request.body:
            policies.append(exchange.request.body)
        return pass_all(exchange)

    plans = [Plan(kind, lock, None) for kind in Kind]
    with run_proxy(minio_http.host, *plans, certificates=tmp_path) as proxy:
        settings = replace(minio_http.new_bucket(), endpoint_url=proxy.url, ca_bundle_path=str(tmp_path / "public.crt"))
        found = apply(settings, Wanted(private=False, unfinished_uploads_days=0, tls_only=True))["tls_only"]
    assert (found.state, found.is_changed) == (State.FAILED, True)
    key = re.escape(TEST_OBJECT) + "[0-9a-f]{16}"
    name, owners = f"bucket '{settings.bucket}'", "with the key of the bucket's owner or in the console of the service"
    denied = (
        r"the server \S+ refused it\. If the permission s3:{0} is missing, allow it in the policy of the access key or"
        r" of the bucket\. The server said: 'As planned\.'\."
    )
    told = (
        f"The statement 'MatrixopsSynapseS3OnlyByTls' in the policy of {name} could not be taken back, and is likely"
        rf" still there: change that by hand, {owners}\. Could not ask for the policy of {name}:"
        rf" {denied.format('GetBucketPolicy')} Could not look up object '{key}' in {name} as Synapse's storage provider"
        rf" does: .+ Could not delete object '{key}' from {name}: {denied.format('DeleteObject')}"
    )
    assert re.fullmatch(told, found.message), found.message


def test_a_server_that_fails_without_tls_has_refused_nothing(minio_https: MinioServer, minio_http: MinioServer) -> None:
    def fail(exchange: Exchange) -> bool:
        exchange.client.sendall(s3_error("503 Slow Down", "SlowDown"))
        return True

    with run_proxy(minio_http.host, Plan(Kind.LIST, fail, None)) as proxy:
        found = apply(minio_https.new_bucket(), Wanted(tls_only=True, plain_url=proxy.url))["tls_only"]
    assert found.state is State.FAILED
    assert found.message == (
        f"Could not see whether a request to {proxy.url} is refused: the server {minio_https.url} asks for fewer"
        " requests (SlowDown). Try again later, or with fewer workers. The server said: 'As planned.'."
    )


@pytest.mark.parametrize("whose", ["endpoint_url", "synapse_endpoint_url"])
def test_only_by_tls_at_an_endpoint_without(whose: str, minio_http: MinioServer, minio_https: MinioServer) -> None:
    """Who administers the bucket may have another way to it than Synapse."""
    ways = {"endpoint_url": (minio_http, ""), "synapse_endpoint_url": (minio_https, minio_http.url)}
    server, synapse = ways[whose]
    settings = server.new_bucket()
    found = apply(settings, Wanted(tls_only=True, synapse_endpoint_url=synapse))["tls_only"]
    assert (found.state, found.is_changed, found.message) == (
        State.FAILED,
        False,
        f"Could not refuse what does not come by TLS: {minio_http.url} is without, and Synapse would be shut out. Give"
        f" an {whose} that begins with https://, or set tls_only to false.",
    )


def test_a_missing_permission_is_told_and_the_rest_is_done(minio_http: MinioServer) -> None:
    settings = minio_http.new_bucket()
    actions = ("s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:GetBucketPolicy")
    may = minio_http.restricted(settings, *actions, "s3:PutBucketVersioning", "s3:GetBucketVersioning")
    found = apply(may, Wanted(versioning=True))
    assert {name: feature.state for name, feature in found.items()} == {
        "bucket": State.OK,
        "private": State.OK,
        "unfinished_uploads": State.FAILED,
        "versioning": State.CHANGED,
        "old_versions": State.FAILED,
        "encryption": State.NOT_WANTED,
        "tls_only": State.NOT_WANTED,
    }
    assert found["old_versions"].message == (
        f"Could not ask for the lifecycle rules of bucket '{settings.bucket}': the access key does not have the"
        " permission s3:GetLifecycleConfiguration. Allow it in the policy of the access key or of the bucket; if it is"
        " allowed there, check the bucket's name."
    )


def test_a_key_that_may_not_delete_is_looked_after(minio_http: MinioServer) -> None:
    """What it stores to show that it can, the administrator's key deletes, and all versions of it."""
    settings = replace(minio_http.new_bucket(), prefix="hs/")
    user = minio_http.restricted(settings, "s3:ListBucket", "s3:PutObject", "s3:GetObject")
    with closing(Administration(settings)) as bucket:
        bucket.enable_versioning()
        assert in_use.able(Run(bucket, Wanted(user=user), check_mode=False, is_there=True)) == [settings, user]
    assert "Versions" not in minio_http.client().list_object_versions(Bucket=settings.bucket)


# --- Synapse's key


def with_key(settings: BucketSettings, secret: str, *, check_mode: bool = False) -> Feature:
    bucket = Administration(settings)
    user = features.user_settings(settings, f"key-of-{settings.bucket}", secret)
    list(features.apply(bucket, Wanted(), check_mode=check_mode))
    return keys.apply(bucket, Wanted(user=user), is_wanted=True, check_mode=check_mode)


def test_a_key_is_made_kept_and_given_another_secret(settings: BucketSettings) -> None:
    Administration(settings).create()
    Administration(replace(settings, bucket=f"another-{settings.bucket}")).create()
    name, one, two = f"key-of-{settings.bucket}", "one-secret-of-16", "two-secret-of-16"
    message = f"'{name}' may do what Synapse needs, by the policy 'matrixops-synapse-s3-{name}'"
    read = "it may not list the whole bucket, list another bucket, read the bucket's policy"
    tried = (
        f"{read}, read beside the prefix, store beside the prefix, delete beside the prefix, change the bucket's"
        " settings, make buckets, as was tried"
    )
    checked, made, kept = with_key(settings, one, check_mode=True), with_key(settings, one), with_key(settings, one)
    assert [checked.state, made.state, kept.state] == [State.CHANGED, State.CHANGED, State.OK]
    assert [checked.message, made.message, kept.message] == [message, f"{message}; {tried}", f"{message}; {tried}"]
    assert with_key(settings, one, check_mode=True).message == f"{message}; {read}, as was tried"
    other = with_key(settings, two)
    assert (other.state, other.message) == (State.CHANGED, f"{message}; its secret is another now; {tried}")
    # What was tried is gone.
    assert Administration(replace(settings, prefix="")).first_key() == ""
    wider = with_key(replace(settings, prefix=""), two)
    assert (wider.state, with_key(replace(settings, prefix=""), two).state) == (State.CHANGED, State.OK)


def test_a_key_that_is_disabled_is_not_switched_on(minio_http: MinioServer, settings: BucketSettings) -> None:
    name, admin = f"key-of-{settings.bucket}", minio_http.admin()
    assert with_key(settings, "one-secret-of-16").state is State.CHANGED
    admin.user_disable(access_key=name)
    for secret in ("one-secret-of-16", "two-secret-of-16"):
        found = with_key(settings, secret)
        assert (found.state, found.is_changed, found.message) == (
            State.FAILED,
            False,
            f"Could not give Synapse a key of its own: somebody has disabled the key '{name}' at MinIO. If Synapse is"
            " to use it, enable it there (mc admin user enable); if not, write another as synapse_access_key_id.",
        )
    assert json.loads(admin.user_info(access_key=name))["status"] == "disabled"


@pytest.mark.parametrize("changed_setting", ["prefix", "bucket"])
@pytest.mark.parametrize("check_mode", soak_but([False], [True, False]))
def test_a_key_in_use_elsewhere_is_not_taken_from_there(
    settings: BucketSettings, changed_setting: str, check_mode: bool
) -> None:
    """A move with the same key would leave Synapse without what it serves."""
    Administration(settings).create()
    name, secret = f"key-of-{settings.bucket}", "one-secret-of-16"
    assert with_key(settings, secret).state is State.CHANGED

    new = (
        replace(settings, prefix="new/")
        if changed_setting == "prefix"
        else replace(settings, bucket=f"{settings.bucket}-2")
    )
    bucket = Administration(new)
    user = features.user_settings(new, name, secret)
    list(features.apply(bucket, Wanted(), check_mode=check_mode))
    feature = keys.apply(bucket, Wanted(user=user), is_wanted=True, check_mode=check_mode)

    assert (feature.state, feature.message) == (
        State.FAILED,
        f"Could not give Synapse a key of its own: '{name}' is in use for arn:aws:s3:::{settings.bucket}/hs/*, by the"
        f" policy 'matrixops-synapse-s3-{name}', and would lose that. Write another key as Synapse's for this bucket"
        " and prefix, and make that; or, if nothing uses the former place any more, take that policy away.",
    )
    assert with_key(settings, secret).state is State.OK


def test_a_key_that_something_else_allows_more(minio_http: MinioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing that it may do beyond its policy is named, and none of it leaves anything."""
    monkeypatch.setattr(keys, "_SECONDS_BETWEEN", 0)
    settings = replace(minio_http.new_bucket(), prefix="hs/")
    # A user of MinIO's who may do all in the bucket; now it is said to be Synapse's.
    wide = minio_http.restricted(settings, "s3:*")
    bucket = Administration(settings)
    list(features.apply(bucket, Wanted(versioning=True), check_mode=False))
    wanted = Wanted(user=wide)
    found = [keys.apply(bucket, wanted, is_wanted=True, check_mode=check_mode) for check_mode in (False, False, True)]
    assert [(feature.state, feature.is_changed) for feature in found] == [
        (State.IGNORED, True),
        (State.IGNORED, False),
        (State.IGNORED, False),
    ]
    read = "list the whole bucket, read the bucket's policy"
    beside = "read beside the prefix, store beside the prefix, delete beside the prefix"
    may_do = f"{read}, {beside}, change the bucket's settings, make buckets"
    for feature, may in ((found[0], may_do), (found[1], may_do), (found[2], read)):
        assert feature.message.startswith(f"'{wide.access_key_id}' may do what Synapse needs, by the policy ")
        assert "; it has other policies too: " in feature.message
        assert feature.message.endswith(
            f"; beyond its policy it may {may}. Take away there what allows that: another policy, a group, or an ACL."
        )
    assert "Versions" not in minio_http.client().list_object_versions(Bucket=settings.bucket)


def test_a_key_by_somebody_who_may_not_administer_users(minio_http: MinioServer) -> None:
    settings = minio_http.new_bucket()
    feature = with_key(minio_http.restricted(settings, "s3:*"), "a-secret-of-16-l")
    assert feature.state is State.FAILED
    assert feature.message == (
        "Could not give Synapse a key of its own (look it up): MinIO refused it (HTTP 403 AccessDenied: 'Access"
        " Denied'). Use an access key that may administer users, or set key to false. Make a key there for Synapse, and"
        " give it the policy that the filter matrixops.synapse_s3.bucket_policy writes: docs/bucket.md tells how."
    )


def test_a_key_that_is_the_administrator_s(settings: BucketSettings) -> None:
    feature = keys.apply(Administration(settings), Wanted(), is_wanted=True, check_mode=False)
    assert (feature.state, feature.message) == (
        State.FAILED,
        "Could not give Synapse a key of its own: synapse_access_key_id and synapse_secret_access_key are not set, or"
        " name the key that administers the bucket. Write another, or set key to false.",
    )


def test_a_key_at_a_service_whose_interface_is_not_known(settings: BucketSettings) -> None:
    bucket = Administration(settings)
    wanted = Wanted(user=features.user_settings(settings, "another-key", "another-secret"))
    feature = keys.apply(bucket, wanted, is_wanted=True, check_mode=False)
    assert (feature.state, feature.message) == (
        State.UNSUPPORTED,
        f"{settings.endpoint_url} has no interface for keys that this collection knows. Make a key there for Synapse,"
        " and give it the policy that the filter matrixops.synapse_s3.bucket_policy writes: docs/bucket.md tells how.",
    )
