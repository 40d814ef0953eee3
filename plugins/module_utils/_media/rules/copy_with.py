# SPDX-License-Identifier: GPL-3.0-or-later
"""How another program is told to copy the media store into the bucket: what to run, with what in its environment.

Each of the four directories is copied by a command of its own, to its key: the prefix, which may end with anything,
and the directory's name, as Synapse's storage provider puts them together. So ``url_cache*`` and all else beside the
four is never met. What begins with a dot below them is no media of Synapse's (see ``media_path``).

The options are those of rclone 1.60 and 1.75, s5cmd 2.3, awscli 1.46 and b2 5.0, whose own ``--help`` is the source.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .aws_environment import SAFE
from .endpoint import is_aws_endpoint, without_user
from .errors import ConfigurationError
from .prefix import prefix_problems
from .profiles import PROFILES
from .service_profile import find_profile
from .settings import BucketSettings
from .storage_class import DEFAULT_STORAGE_CLASS

TOOLS = ("aws", "rclone", "s5cmd", "b2")
# Each tool's own image, by the name that its documentation gives. The tests, which have no registry, run images of
# their own.
IMAGES: Mapping[str, str] = {
    "aws": "docker.io/amazon/aws-cli",
    "rclone": "docker.io/rclone/rclone",
    "s5cmd": "docker.io/peakcom/s5cmd",
    "b2": "docker.io/backblazeit/b2",
}
# Of the caller's environment a tool gets nothing that begins so: it would lead elsewhere, or change what is done.
OF_TOOLS = ("RCLONE_", "S3_", "S5CMD_", "B2_", "PYTHON")
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
# Who gives credentials of his own means those, and none that these lead to.
OTHER_CREDENTIALS = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")

KEY_FILE = "sse-c-key"
_CHUNK_MIB = 8  # The provider's own: by it `migrate` knows what a large object holds without reading it.
_RCLONE_TRANSFERS = 32
_S5CMD_WORKERS = 64
_B2_THREADS = 32
_LOST_AND_FOUND = "lost+found"
_OVERWRITES = (
    "aws can't be told to leave alone an object that is there and has another length. 'copy-with aws' leaves out by"
    " name what differs when it begins; a local file that is damaged meanwhile could replace a good object. rclone,"
    " s5cmd and b2 can be told."
)


@dataclass(frozen=True)
class Secret:
    """A value of the provider's settings that is never printed; ``setting`` is its name there."""

    setting: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class Copy:
    """What is to be copied, and to where.

    ``media_store``: an absolute path; ``roots``: those of the four directories that are there. ``endpoint_url`` is None
    for Amazon's own. Files that were modified less than ``minimum_age`` seconds before ``now`` are left out where the
    tool can do that. ``left_out``: files by their path below the media store, for a tool that would overwrite objects.
    ``directory``: where what is in `Call.files` will stand. ``is_listed``: a list of what to copy from each of the
    roots stands there too, by its name (see `takes_list`). ``is_terminal``: somebody watches.
    """

    media_store: str
    roots: Sequence[str]
    bucket: BucketSettings
    endpoint_url: str | None
    minimum_age: int
    now: int
    directory: str
    left_out: Sequence[str] = ()
    is_listed: bool = False
    is_terminal: bool = False


@dataclass(frozen=True)
class Call:
    """How a tool is called: a command for each directory, the program's name first.

    ``environment`` and ``secrets`` are variables; ``files`` holds the content of what is made, readable only by
    its owner, in the directory that `Copy` names. ``lacks``: what the tool can't be told, in sentences.
    """

    tool: str
    commands: Sequence[tuple[str, ...]]
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    files: Mapping[str, Secret] = field(default_factory=dict)
    lacks: Sequence[str] = ()


def build_call(tool: str, copy: Copy) -> Call:
    """How ``tool`` (one of `TOOLS`) is called for this copy.

    :raises ConfigurationError: when the tool can't do what Synapse's configuration asks for.
    """
    obstacle = _common_obstacle(copy) or _OBSTACLES[tool](copy)
    if obstacle:
        raise ConfigurationError(f"Could not use {tool}: {obstacle}")
    return _BUILDERS[tool](copy)


def overwrites(tool: str) -> bool:
    """Whether the tool can't be told to leave an object alone that is there already and differs."""
    return tool == "aws"


def takes_list(tool: str) -> bool:
    """Whether the tool can be told by a file what to copy, so that it never meets what is there already."""
    return tool == "rclone"


def _common_obstacle(copy: Copy) -> str:
    if copy.endpoint_url and without_user(copy.endpoint_url) != copy.endpoint_url:
        return (
            "endpoint_url has a user's name in it, which would stand among the arguments, where all users of this host"
            " see it. Take it out of Synapse's configuration, or use 'migrate'."
        )
    if problems := prefix_problems(copy.bucket.prefix):
        return f"the prefix {problems[0]} With such a prefix use 'migrate'."
    return ""


def _rclone(copy: Copy) -> Call:
    bucket, other = copy.bucket, copy.endpoint_url is not None
    options = [
        *("--config", ""),
        *("--s3-provider", _rclone_provider(copy.endpoint_url), "--s3-env-auth"),
        *_given("--s3-endpoint", copy.endpoint_url),
        *(["--s3-force-path-style=true"] if other else []),
        *_given("--s3-region", bucket.region_name),
        *("--s3-storage-class", bucket.storage_class),
        *_given("--ca-cert", bucket.ca_bundle_path),
        # What is there it knows from a listing. With --no-traverse it would ask for each key, and take whatever else is
        # answered (403, 500, 400 for another encryption) for "it is missing". With --min-age it would not see in a
        # listing what is younger: a filter is for both sides.
        *("--ignore-existing", "--s3-list-version", "2"),
        # The bucket is there, and each upload carries its MD5.
        *("--s3-no-check-bucket", "--s3-no-head"),
        *("--s3-chunk-size", f"{_CHUNK_MIB}M", "--s3-upload-cutoff", f"{_CHUNK_MIB}M"),
        *("--transfers", str(_RCLONE_TRANSFERS), "--checkers", str(_RCLONE_TRANSFERS)),
        *(
            ["--progress"]
            if copy.is_terminal
            else ["--stats", "30s", "--stats-one-line", "--stats-log-level", "NOTICE"]
        ),
    ]
    others = ("--exclude", ".*", "--exclude", ".*/**", "--exclude", f"{_LOST_AND_FOUND}/**")
    commands = []
    for root in copy.roots:
        names = ("--files-from-raw", f"{copy.directory}/{root}") if copy.is_listed else others
        places = (f"{copy.media_store}/{root}", f":s3:{bucket.bucket}/{bucket.prefix}{root}")
        commands.append(("rclone", "copy", *options, *names, *places))
    secrets = dict(_credentials(bucket))
    environment = {}
    if bucket.sse_customer_key is not None:
        environment["RCLONE_S3_SSE_CUSTOMER_ALGORITHM"] = bucket.sse_customer_algo
        secrets["RCLONE_S3_SSE_CUSTOMER_KEY"] = Secret("sse_customer_key", bucket.sse_customer_key)
    lacks = () if copy.is_listed else [_no_minimum_age("rclone")]
    return Call("rclone", commands, environment, secrets, lacks=lacks)


def _rclone_provider(endpoint_url: str | None) -> str:
    """By it rclone knows that Google changes a header on the way, so that a signature must not be over it."""
    if endpoint_url is None:
        return "AWS"
    return "GCS" if find_profile(endpoint_url) is PROFILES["google"] else "Other"


def _s5cmd(copy: Copy) -> Call:
    bucket = copy.bucket
    program = (
        *("s5cmd", "--log", "error", "--numworkers", str(_S5CMD_WORKERS)),
        *_given("--endpoint-url", copy.endpoint_url),
    )
    options = (
        *("cp", "--no-clobber", "--no-follow-symlinks", "--part-size", str(_CHUNK_MIB)),
        *("--storage-class", bucket.storage_class),
        *_given("--destination-region", bucket.region_name),
        *("--exclude", ".*", "--exclude", "*/.*", "--exclude", f"{_LOST_AND_FOUND}/*"),
        *(["--show-progress"] if copy.is_terminal else []),
    )
    commands = [
        (*program, *options, f"{copy.media_store}/{root}/", f"s3://{bucket.bucket}/{bucket.prefix}{root}/")
        for root in copy.roots
    ]
    environment = {
        **({"AWS_REGION": bucket.region_name} if bucket.region_name else {}),
        **_ca_bundle(bucket),
    }
    return Call("s5cmd", commands, environment, _credentials(bucket), lacks=[_no_minimum_age("s5cmd")])


def _aws(copy: Copy) -> Call:
    bucket = copy.bucket
    files = {}
    encryption: tuple[str, ...] = ()
    if bucket.sse_customer_key is not None:
        files[KEY_FILE] = Secret("sse_customer_key", bucket.sse_customer_key)
        encryption = ("--sse-c", bucket.sse_customer_algo, "--sse-c-key", f"fileb://{copy.directory}/{KEY_FILE}")
    options = (
        *("--size-only", "--no-follow-symlinks"),
        *_given("--endpoint-url", copy.endpoint_url),
        *_given("--region", bucket.region_name),
        *("--storage-class", bucket.storage_class),
        *encryption,
        *("--exclude", ".*", "--exclude", "*/.*", "--exclude", f"{_LOST_AND_FOUND}/*"),
        *(() if copy.is_terminal else ("--only-show-errors",)),
    )
    commands = []
    for root in copy.roots:
        left_out = [path.partition("/")[2] for path in copy.left_out if path.startswith(f"{root}/")]
        names = [word for path in left_out for word in ("--exclude", _literally(path))]
        places = (f"{copy.media_store}/{root}", f"s3://{bucket.bucket}/{bucket.prefix}{root}")
        commands.append(("aws", "s3", "sync", *options, *names, *places))
    environment = {**SAFE, **_ca_bundle(bucket)}
    return Call("aws", commands, environment, _credentials(bucket), files, [_OVERWRITES, _no_minimum_age("aws")])


def _b2(copy: Copy) -> Call:
    bucket = copy.bucket
    secrets = {
        "B2_APPLICATION_KEY_ID": Secret("access_key_id", bucket.access_key_id or ""),
        "B2_APPLICATION_KEY": Secret("secret_access_key", bucket.secret_access_key or ""),
    }
    encryption: tuple[str, ...] = ()
    if bucket.sse_customer_key is not None:
        encryption = (
            *("--destination-server-side-encryption", "SSE-C"),
            *("--destination-server-side-encryption-algorithm", bucket.sse_customer_algo),
        )
        key = base64.b64encode(bucket.sse_customer_key.encode()).decode()
        secrets["B2_DESTINATION_SSE_C_KEY_B64"] = Secret("sse_customer_key, in base64", key)
    options = (
        *("--compare-versions", "none", "--allow-empty-source", "--exclude-all-symlinks"),
        *("--exclude-if-modified-after", str(copy.now - copy.minimum_age)),
        *("--exclude-dir-regex", rf"(.*/)?(\.[^/]*|{_LOST_AND_FOUND.replace('+', '[+]')})$"),
        *("--exclude-regex", r"(.*/)?\.[^/]*$"),
        *("--threads", str(_B2_THREADS)),
        *encryption,
        *(() if copy.is_terminal else ("--no-progress",)),
    )
    commands = [
        ("b2", "sync", *options, f"{copy.media_store}/{root}", f"b2://{bucket.bucket}/{bucket.prefix}{root}")
        for root in copy.roots
    ]
    environment = {
        # Where it keeps what it was told at its authorization; nothing of it is to stay.
        "B2_ACCOUNT_INFO": f"{copy.directory}/b2-account",
        **({"REQUESTS_CA_BUNDLE": bucket.ca_bundle_path} if bucket.ca_bundle_path else {}),
    }
    return Call("b2", commands, environment, secrets)


def _no_obstacle(_copy: Copy) -> str:
    return ""


def _s5cmd_obstacle(copy: Copy) -> str:
    if copy.bucket.sse_customer_key is not None:
        return (
            "it can't encrypt with a key of the customer's (SSE-C), and Synapse could not read what it stores. Use"
            " rclone, aws or 'migrate'."
        )
    if set("*?") & set(copy.bucket.prefix):
        return "it takes '*' and '?' in the prefix for a pattern. Use rclone, aws or 'migrate'."
    return _pattern_obstacle(copy)


def _pattern_obstacle(copy: Copy) -> str:
    # aws puts the path before each --exclude, none of which would be heeded then: it would overwrite what differs.
    if set("*?[") & set(copy.media_store):
        return "it takes '*', '?' and '[' in the media store's path for a pattern. Use rclone or 'migrate'."
    return ""


def _b2_obstacle(copy: Copy) -> str:
    host = urlsplit(copy.endpoint_url or "").hostname or ""
    if not host.endswith(".backblazeb2.com"):
        return (
            f"it speaks to Backblaze B2 only, and endpoint_url is {copy.endpoint_url or 'that of Amazon'}. Use rclone,"
            " s5cmd or aws."
        )
    if copy.bucket.access_key_id is None:
        return "it needs access_key_id and secret_access_key, which are not in Synapse's configuration."
    if copy.bucket.storage_class != DEFAULT_STORAGE_CLASS:
        return f"Backblaze B2 has no storage class {copy.bucket.storage_class}. Use {DEFAULT_STORAGE_CLASS}."
    return ""


def shown_endpoint(given: str | None, resolved: str) -> str | None:
    """The endpoint that a tool is told: what boto3 makes of the configuration and its environment, unless it is
    Amazon's own, which each tool finds by the region."""
    return given or (None if is_aws_endpoint(resolved) else resolved)


def _credentials(bucket: BucketSettings) -> Mapping[str, Secret]:
    """Without any in Synapse's configuration, each of these tools looks where boto3 does."""
    settings = {
        "access_key_id": bucket.access_key_id,
        "secret_access_key": bucket.secret_access_key,
        "session_token": bucket.session_token,
    }
    named = zip(CREDENTIALS, settings.items(), strict=True)
    return {name: Secret(setting, value) for name, (setting, value) in named if value is not None}


def _ca_bundle(bucket: BucketSettings) -> Mapping[str, str]:
    return {"AWS_CA_BUNDLE": bucket.ca_bundle_path} if bucket.ca_bundle_path else {}


def _no_minimum_age(tool: str) -> str:
    return (
        f"{tool} can't be told to leave files alone that are written just then. Where it copies a part of one, Synapse"
        " replaces that when it stores the whole file; what it does not store, 'migrate' names as a conflict."
    )


def _given(option: str, value: str | None) -> tuple[str, ...]:
    return () if value is None else (option, value)


def _literally(path: str) -> str:
    """As a pattern of Python's fnmatch that fits this path alone."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


_BUILDERS: Mapping[str, Callable[[Copy], Call]] = {"aws": _aws, "rclone": _rclone, "s5cmd": _s5cmd, "b2": _b2}
_OBSTACLES: Mapping[str, Callable[[Copy], str]] = {
    "aws": _pattern_obstacle,
    "rclone": _no_obstacle,
    "s5cmd": _s5cmd_obstacle,
    "b2": _b2_obstacle,
}
