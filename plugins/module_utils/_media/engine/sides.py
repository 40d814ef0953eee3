# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a run may begin: the disk, the bucket and the database are there, and are Synapse's."""

from __future__ import annotations

from ..rules.errors import ConfigurationError, UnavailableError
from ..stores.database import MediaDatabase
from ..stores.media_store import MediaStore, links_problems
from ..stores.object_store import ObjectStore


def check_sides(
    media: MediaStore, store: ObjectStore, database: MediaDatabase, prefix: str, *, new_disk: bool = False
) -> None:
    """Refuse to begin unless all three sides are there; raises a `MediaError`, nothing is touched.

    ``new_disk``: somebody has said that the media store is empty because its disk is new.
    """
    for problem in links_problems(media.path):
        raise UnavailableError(problem)
    if not new_disk and not media.has_roots() and database.has_media():
        raise UnavailableError(
            f"Could not use the media store {str(media.path)!r}: the database knows media, but the directory has"
            " none of Synapse's directories (local_content, remote_content, ...). Mount its disk, or correct"
            " media_store_path. Onto a new, empty disk 'restore --new-disk' brings back what is in the bucket."
        )
    # A listing fails when the bucket is missing; asking for a single key does not tell that from a missing key.
    next(iter(store.list(prefix, page_size=1)), None)


def check_knows_media(media: MediaStore, database: MediaDatabase) -> None:
    """Refuse a database that knows no media at all where there are files of media: all of them would be kept, unknown,
    and none stored. Raises a ConfigurationError.
    """
    if not database.has_media() and next(media.scan(lambda _error: None), None) is not None:
        raise ConfigurationError(
            f"Could not migrate anything: the database knows no media at all, but the media store {str(media.path)!r}"
            " has files of media. Check that 'database' in Synapse's configuration is Synapse's own, and that it was"
            " restored in full."
        )
