# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket whose policy is kept, into which another homeserver writes its own statement too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket import in_use, policy
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.refusals import Unsupported
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.report import Feature
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._bucket.wanted import Run, Wanted
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.rules.settings import BucketSettings
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.stores.object_store import (
    PermissionDenied,
)
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._role.bucket_policy import Document, Statement

SERVER = "https://s3.example.org"
OWN = policy.tls_only("media", None, "BoolIfExists")
PUBLIC: Statement = {"Sid": "Open", "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": ["a"]}
THEIRS: Statement = {"Sid": "Theirs", "Effect": "Allow", "Principal": {"AWS": ["b"]}, "Action": ["s3:GetObject"]}
REFUSED = PermissionDenied("Could not read object 'hs/x'.")


class Bucket(mock.MagicMock):
    """One whose policy is kept; another homeserver's statement comes into it with the first of Synapse's requests."""

    def having(self, *statements: Statement, keeps: bool = True, knows: str = "") -> Bucket:
        self.settings, self.server = BucketSettings("media", "hs/", endpoint_url=SERVER), SERVER
        self.document: Document | None = policy.with_statements(None, statements)
        self.changes = 0

        def write(document: Document | None) -> None:
            if knows and not all(knows in each["Condition"] for each in policy.statements_of(document)):
                raise Unsupported("It does not know the operator")
            self.changes += 1
            self.document = document if keeps else self.document

        @contextmanager
        def trial_object(beginning: str = "hs/") -> Iterator[str]:
            yield f"{beginning}x"

        self.policy.side_effect = lambda: self.document
        self.set_policy.side_effect = write
        self.trial_object.side_effect = trial_object
        self.lets_in.return_value = None
        self.is_website.return_value = False
        self.anybody_may.return_value = []
        self.public_access_block.side_effect = Unsupported("It has none")
        self.lifecycle.return_value = []
        return self

    def another_writes(self, *_arguments: object) -> None:
        statements = policy.statements_of(self.document)
        if THEIRS not in statements:
            self.document = policy.with_statements(self.document, [*statements, THEIRS])

    def kept(self) -> list[Statement]:
        return policy.statements_of(self.document)


def carried_out(bucket: Bucket, step: Callable[[Run], Feature], *, reads: Callable[[str], object]) -> Feature:
    """A feature, where ``reads`` is done when an object is read, after another homeserver has written."""

    def read(key: str) -> object:
        bucket.another_writes()
        return reads(key)

    with mock.patch.object(in_use, "SynapsesBucket") as synapses:
        synapses.return_value.new_key.return_value = "hs/y"
        synapses.return_value.read_as_provider.side_effect = read
        return step(Run(bucket, Wanted(tls_only=True), False, True))


BY_HAND = (
    "could not be taken back, and is likely still there: change that by hand, with the key of the bucket's owner or in"
    " the console of the service. Could not ask for the policy."
)
