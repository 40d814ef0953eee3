# SPDX-License-Identifier: GPL-3.0-or-later
"""Every problem of Synapse's configuration, told whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.matrixops.synapse_s3.plugins.module_utils._media.engine.check_config import check_config

PROVIDER = "media_storage_providers: [{module: some.Provider}]\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A configuration that nothing is wrong with: a file and an empty directory."""
    (tmp_path / "media").mkdir()
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "homeserver.yaml").write_text(
        f"media_store_path: {tmp_path}/media\ndatabase: {{name: psycopg2, args: {{password: hunter2}}}}\n"
    )
    return tmp_path


def look(etc: Path, *, own: str = "conf.d/own.yaml") -> dict[str, object]:
    """What is found."""
    return asdict(check_config([etc / "homeserver.yaml", etc / "conf.d"], etc / own))


def add(etc: Path, name: str, text: str) -> None:
    """Append to a file of the configuration."""
    with (etc / name).open("a") as target:
        target.write(text)


def test_nothing_wrong(etc: Path) -> None:
    expected = {
        "problems": [],
        "media_problems": [],
        "worker_path": "",
        "places": [],
        "media_store_path": str(etc / "media"),
        "database": "psycopg2",
    }
    assert look(etc) == expected
    add(etc, "conf.d/own.yaml", PROVIDER)
    assert look(etc) == expected


def test_media_directory_that_is_a_link(etc: Path) -> None:
    """With it every night would fail."""
    (etc / "media/local_content").symlink_to(etc)
    assert look(etc)["problems"] == [
        f"Could not use the media store '{etc}/media': local_content is a symbolic link, which is never followed."
        " Mount the other disk there instead (a bind mount will do)."
    ]


TEST_PROBLEMS = [
    (
        "homeserver.yaml",
        PROVIDER,
        "Could not add a storage provider: '{etc}/homeserver.yaml' already sets media_storage_providers,"
        " and Synapse uses only one such list. Remove it there; this role writes its own.",
    ),
    (
        "conf.d/zz.yaml",
        "media_storage_providers: []\n",
        "Could not add a storage provider: '{etc}/conf.d/zz.yaml' already sets media_storage_providers,"
        " and Synapse uses only one such list. Remove it there; this role writes its own.",
    ),
    (
        "conf.d/other.yaml",
        "media_store_providers: []\n",
        "Could not trust '{etc}/conf.d/other.yaml': it sets 'media_store_providers', which Synapse ignores in silence."
        " Remove it; the right name is media_storage_providers.",
    ),
    (
        "homeserver.yaml",
        "backup_media_store_path: /backup\n",
        "Could not add a storage provider: Synapse's configuration sets backup_media_store_path,"
        " which excludes every other storage provider. Remove it.",
    ),
    (
        "homeserver.yaml",
        "enable_local_media_storage: false\n",
        "Could not add a storage provider: Synapse's configuration sets enable_local_media_storage to false,"
        " with which every upload fails. Remove it.",
    ),
    (
        "conf.d/path.yaml",
        "media_store_path: /nowhere/media\n",
        "Could not find the media store '/nowhere/media': there is no such directory."
        " Mount it, or correct media_store_path in Synapse's configuration.",
    ),
    (
        "conf.d/path.yaml",
        "media_store_path: media\n",
        "Could not find the media store: media_store_path is 'media', which depends on the directory"
        " that Synapse is started in. Give an absolute path in Synapse's configuration.",
    ),
    (
        "conf.d/broken.yaml",
        "a: 1\nb: [password: hunter2\n",
        "Could not read Synapse's configuration '{etc}/conf.d/broken.yaml': it is not valid YAML near line 3."
        " Correct the file.",
    ),
]


@pytest.mark.parametrize(("file", "text", "problem"), TEST_PROBLEMS)
def test_problems(etc: Path, file: str, text: str, problem: str) -> None:
    add(etc, file, text)
    assert look(etc)["problems"] == [problem.format(etc=etc)]


def test_empty_list_before_ours_is_harmless(etc: Path) -> None:
    add(etc, "conf.d/own.yaml", PROVIDER)
    add(etc, "conf.d/a.yaml", "media_storage_providers: []\n")
    assert look(etc)["problems"] == []


@pytest.mark.parametrize("own", ["own.yaml", "conf.d/own.conf"])
def test_file_that_synapse_would_not_read(etc: Path, own: str) -> None:
    assert look(etc, own=own)["problems"] == [
        f"Could not add a storage provider: Synapse would not read '{etc}/{own}'."
        " Put it, with a name that ends in .yaml, into a directory that Synapse is given as configuration."
    ]


def test_all_problems_at_once(etc: Path) -> None:
    (etc / "homeserver.yaml").unlink()
    (etc / "conf.d").rmdir()
    result = look(etc)
    missing = "there is no such file. Give the path that Synapse is started with."
    assert result == {
        "problems": [
            f"Could not read Synapse's configuration '{etc}/homeserver.yaml': {missing}",
            f"Could not read Synapse's configuration '{etc}/conf.d': {missing}",
        ],
        "media_problems": [],
        "worker_path": "",
        "places": [],
        "media_store_path": "",
        "database": "",
    }


WORKER_ADVICE = (
    "Add that worker's configuration file to synapse_config_paths, as the last, and its unit to synapse_services."
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "enable_media_repo: false\n",
            "a worker does that, since Synapse's configuration sets enable_media_repo to false",
        ),
        (
            "media_instance_running_background_jobs: media1\n",
            "Synapse's configuration names the worker 'media1' in media_instance_running_background_jobs",
        ),
    ],
)
def test_media_that_a_worker_serves(etc: Path, text: str, problem: str) -> None:
    add(etc, "homeserver.yaml", text)
    assert look(etc)["media_problems"] == [
        f"Could not give the provider to what serves media: {problem}. {WORKER_ADVICE}"
    ]


@pytest.mark.parametrize(
    "worker",
    [
        "worker_app: synapse.app.generic_worker\nenable_media_repo: true\n",
        "worker_app: synapse.app.media_repository\n",
    ],
)
def test_a_media_worker_s_file(etc: Path, worker: str) -> None:
    add(etc, "homeserver.yaml", "enable_media_repo: false\nmedia_instance_running_background_jobs: media1\n")
    add(etc, "media.yaml", f"worker_name: media1\n{worker}")
    result = check_config([etc / "homeserver.yaml", etc / "conf.d", etc / "media.yaml"], etc / "conf.d/own.yaml")
    assert (result.problems, result.media_problems) == ([], [])
    assert result.worker_path == str(etc / "media.yaml")


def test_the_file_of_another_worker(etc: Path) -> None:
    add(etc, "homeserver.yaml", "enable_media_repo: false\n")
    add(etc, "conf.d/sync.yaml", "worker_app: synapse.app.generic_worker\n")
    assert look(etc)["media_problems"] == [
        f"Could not give the provider to what serves media: the worker of '{etc}/conf.d/sync.yaml' has"
        " enable_media_repo set to false, and serves no media. Name the file of the one that does."
    ]


def test_the_main_process_named_for_media_s_jobs(etc: Path) -> None:
    add(etc, "homeserver.yaml", "media_instance_running_background_jobs: main\n")
    assert look(etc)["media_problems"] == []


S3 = """
media_storage_providers:
- module: other.Provider
- module: s3_storage_provider.S3StorageProviderBackend
  config: {bucket: media, prefix: synapse/, endpoint_url: https://s3.example.org/, access_key_id: a,
    secret_access_key: hunter4}
- module: s3_storage_provider.S3StorageProviderBackend
  config: {bucket: former}
"""


@pytest.mark.parametrize("file", ["homeserver.yaml", "conf.d/own.yaml"])
def test_where_synapse_keeps_media_now(etc: Path, file: str) -> None:
    """Whoever has written it: the role, or an administrator by hand."""
    add(etc, file, S3)
    assert look(etc)["places"] == [
        {"bucket": "media", "prefix": "synapse/", "endpoint_url": "https://s3.example.org"},
        {"bucket": "former", "prefix": "", "endpoint_url": ""},
    ]
    assert "hunter" not in str(look(etc))


@pytest.mark.parametrize("config", ["", "  config:\n", "  config: [bucket]\n"])
def test_a_provider_without_settings(etc: Path, config: str) -> None:
    provider = "media_storage_providers:\n- module: s3_storage_provider.S3StorageProviderBackend\n"
    add(etc, "homeserver.yaml", provider + config)
    assert look(etc)["places"] == [{"bucket": "", "prefix": "", "endpoint_url": ""}]


def test_no_secret_is_returned(etc: Path) -> None:
    add(etc, "homeserver.yaml", "macaroon_secret_key: hunter3\n")
    assert "hunter" not in str(look(etc))


def test_a_provider_in_any_file(etc: Path) -> None:
    """Nobody has said in which it is to be."""
    paths = [etc / "homeserver.yaml", etc / "conf.d"]
    assert check_config(paths).problems == [
        "Could not find the bucket: Synapse's configuration has no entry with module"
        " 's3_storage_provider.S3StorageProviderBackend' below media_storage_providers. Name every configuration file"
        " that Synapse is started with."
    ]
    add(etc, "homeserver.yaml", S3)
    assert check_config(paths).problems == [
        "Could not find the bucket: Synapse's configuration has 2 entries with module"
        " 's3_storage_provider.S3StorageProviderBackend' below media_storage_providers, and none has store_local or"
        " store_remote. Write 'store_local: true' and 'store_remote: true' for the one that new media go to."
    ]
    add(etc, "conf.d/own.yaml", S3.replace("former}", "former}\n  store_local: true"))
    assert check_config(paths).problems == []
