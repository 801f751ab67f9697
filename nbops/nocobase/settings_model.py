"""The keys of the variable `nocobase:`, as a strict model: what may be written, and what holds
where nothing is written. Whether a kind can be used is decided by what uses it, not here."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from nbops.nocobase.settings_balancer import Balancer
from nbops.nocobase.settings_redis import Redis
from nbops.nocobase.settings_types import (
    SOURCE_SCHEMA,
    Address,
    Count,
    Flag,
    Folder,
    Line,
    Name,
    Port,
    Seconds,
    Section,
    Source,
    matching,
    no_bool,
    no_control,
    plain_or_source,
    wrong,
)

Instances = Annotated[int, BeforeValidator(no_bool), Field(ge=1, le=32)]
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z]+(\.[0-9A-Za-z-]+)*)?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _package_source(value: str) -> str:
    no_control(value)
    if not value.endswith((".tar.gz", ".tgz", ".tar.zst")):
        raise wrong(f"{value!r} is no .tar.gz, .tgz or .tar.zst")
    if "://" in value and not re.match("https?://[^@]+$", value):
        raise wrong("a package's address is http://… or https://…, without a password")
    if "{version}" not in value:
        raise wrong(
            f"{value!r} is the same for every version", "write `{version}` where the version stands"
        )
    return value


class Registry(Section):
    """Credentials of the registry that holds the image."""

    server: Address | None = Field(
        default=None, description="its address; default: the first part of the image"
    )
    username: Line = Field(description="the user's name there")
    password: Source = Field(description="where the password or token comes from")


class Package(Section):
    """A packed app folder, for hosts that reach no package registry."""

    source: Annotated[str, AfterValidator(_package_source)] = Field(
        description="a .tar.gz or .tar.zst on this computer, relative to the inventory, or an"
        " http(s) address; `{version}` stands for the version"
    )
    sha256: dict[str, Annotated[str, matching(r"[0-9a-f]{64}", "64 hex digits")]] = Field(
        default_factory=dict, description="the checksum of the package of each version"
    )


class Runtime(Section):
    """How the app runs on a node. May differ from host to host."""

    kind: Literal["compose", "pm2"] = Field(
        default="compose", description="Docker Compose, or Node.js with pm2"
    )
    dir: Folder = Field(
        default="/opt/nocobase", description="the folder on the node that belongs to nbops"
    )
    port: Port = Field(default=13000, description="the port that the balancer sends requests to")
    address: Address | None = Field(
        default=None, description="where balancers reach this node; default: its ansible_host"
    )
    instances: Instances = Field(
        default=1, description="apps on this host, on ports that count up from `port`"
    )
    cluster_mode: Annotated[
        int | Literal["max"] | None,
        BeforeValidator(no_bool),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "max"}]}),
    ] = Field(default=None, description="processes in one app (CLUSTER_MODE): a number, or `max`")
    worker_mode: Line | None = Field(
        default=None,
        description="what this node does (WORKER_MODE): empty, `!`, `*`, `-`, or a list",
    )
    bootstrap: Flag = Field(
        default=False, description="install Docker or Node.js where it is missing (Debian, Ubuntu)"
    )
    registry: Registry | None = Field(
        default=None, description="credentials of the image's registry"
    )
    package: Package | None = Field(
        default=None, description="for `kind: pm2`: the packed app; default: the npm registry"
    )
    user: Annotated[str, matching(r"[a-z_][a-z0-9_-]{0,30}", "a user's name")] = Field(
        default="nocobase",
        description="for `kind: pm2`: whom the app runs as; made where it is missing",
    )

    @model_validator(mode="after")
    def _check(self) -> Runtime:
        if isinstance(self.cluster_mode, int) and not 1 <= self.cluster_mode <= 256:
            raise wrong("`cluster_mode` must be from 1 to 256, or `max`")
        if self.port + self.instances - 1 > 65535:
            raise wrong("`instances` counts the ports up beyond 65535")
        return self

    @property
    def serves(self) -> bool:
        """Whether requests are sent to this node: a WORKER_MODE without `!` takes none."""
        return not self.worker_mode or "!" in self.worker_mode.strip().split(",")


class Database(Section):
    """The database that all nodes share."""

    kind: Literal["postgres", "mariadb", "mysql"] = Field(
        default="postgres", description="the server"
    )
    managed: Flag = Field(
        default=False, description="nbops runs the server on the host of the group `database`"
    )
    host: Address | None = Field(
        default=None, description="where nodes reach it; default: the host of the group `database`"
    )
    port: Port = Field(
        default=5432,
        description="its port; default 5432 for PostgreSQL, 3306 for MariaDB and MySQL",
    )
    name: Name = Field(default="nocobase", description="the database")
    user: Name = Field(default="nocobase", description="its owner")
    password: Source = Field(description="where the owner's password comes from")

    @model_validator(mode="before")
    @classmethod
    def _port_by_kind(cls, data: Any) -> Any:
        if (
            isinstance(data, dict)
            and "port" not in data
            and data.get("kind") in ("mariadb", "mysql")
        ):
            return {**data, "port": 3306}
        return data

    @model_validator(mode="after")
    def _check(self) -> Database:
        if self.managed and self.kind == "mysql":
            raise wrong(
                "nbops runs no MySQL server, only PostgreSQL and MariaDB",
                "`kind: mariadb`, or `managed: false` with the `host` of the server that is there",
            )
        return self


class Storage(Section):
    """The app's files."""

    kind: Literal["shared", "object"] | None = Field(
        default=None,
        description="a folder that all nodes share, or object storage set up in the app",
    )
    path: Folder | None = Field(
        default=None, description="the folder on the nodes; default: `storage` in runtime's `dir`"
    )
    acknowledge: Flag = Field(
        default=False, description="several nodes without shared files: known and accepted"
    )


class AppSecrets(Section):
    """The keys of the app; the same for as long as the cluster lives."""

    app_key: Source = Field(description="signs the users' sessions (APP_KEY)")
    aes_key: Source = Field(description="64 hex digits; encrypts stored data (APP_AES_SECRET_KEY)")


class PackageService(Section):
    """NocoBase's service for commercial plugins."""

    url: Line | None = Field(default=None, description="its address (NOCOBASE_PKG_URL)")
    username: Line = Field(description="NOCOBASE_PKG_USERNAME")
    password: Source = Field(description="NOCOBASE_PKG_PASSWORD")


PluginName = Annotated[str, matching(r"(@[\w.-]+/)?[\w.-]+", "the name of a plugin")]


class Plugins(Section):
    """Plugins beyond those of the image."""

    append: tuple[PluginName, ...] | None = Field(
        default=None, description="APPEND_PRESET_BUILT_IN_PLUGINS; default: the Redis adapters"
    )
    local: tuple[Line, ...] = Field(
        default=(), description="plugin packages (.tgz) on this computer, put on every node"
    )
    package_service: PackageService | None = Field(default=None, description="credentials")


class Backup(Section):
    """Backups of the database, and of what belongs to it."""

    dir: Folder = Field(default="/var/backups/nocobase", description="where they lie on their host")
    keep: Count = Field(default=7, description="how many good ones are kept")
    storage: Flag = Field(default=False, description="the storage folder is part of a backup")
    verify: Literal["list", "restore"] = Field(
        default="list", description="check a dump by its table of contents, or by a trial restore"
    )
    copy_to: tuple[Line, ...] = Field(default=(), description="further hosts that get a copy")


class Account(Section):
    """A user of the app for whom nbops signs in to verify it; made at the first deploy."""

    email: Annotated[str, matching(r"[^@\s'\"\\]+@[^@\s'\"\\]+", "an email address")] = Field(
        description="the account"
    )
    password: Source = Field(description="where its password comes from")


class Verify(Section):
    """How a new release is proven."""

    account: Account | None = Field(default=None, description="sign in as this user")
    tasks: tuple[Line, ...] = Field(
        default=(), description="files of tasks, relative to the inventory"
    )


class Upgrade(Section):
    """What happens in an upgrade."""

    on_failure: Literal["ask", "stop", "rollback"] = Field(
        default="rollback", description="what then"
    )
    min_nodes: Count | None = Field(
        default=None, description="nodes that must be up to serve again; default: half, rounded up"
    )
    pause_after_verify: Flag = Field(
        default=False, description="wait for the operator before traffic is back"
    )


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Ssh(Section):
    """Sessions with the hosts."""

    host_keys: Literal["strict", "accept-new"] = Field(
        default="strict", description="unknown host keys are refused, or taken the first time"
    )
    forks: Count = Field(default=25, description="hosts that are worked on at the same time")
    keepalive: Seconds = Field(
        default=15.0, description="seconds of silence before the host is asked"
    )
    connect_timeout: Seconds = Field(
        default=15.0, description="seconds until a host is unreachable"
    )
    known_hosts: Annotated[tuple[Line, ...], BeforeValidator(_one_or_more)] = Field(
        default=(), description="files in place of ~/.ssh/known_hosts, relative to the inventory"
    )
    config: Line | None = Field(default=None, description="a file in place of ~/.ssh/config")


def _env_value(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    checked = plain_or_source(value)
    return no_control(checked) if isinstance(checked, str) else checked


EnvValue = Annotated[
    Any,
    BeforeValidator(_env_value),
    WithJsonSchema({"anyOf": [{"type": ["string", "number", "boolean"]}, SOURCE_SCHEMA]}),
]


def check_version(value: str) -> str:
    """`value` if it is a version that can be pinned. Raises PydanticCustomError, with the reason
    and a hint."""
    if _VERSION.fullmatch(value):
        return value
    if re.match(r"(latest|beta|alpha|next|main)", value):
        raise wrong(
            f"`{value}` is an alias that moves: two nodes may get different images by it",
            "pin a number, such as 2.2.15",
        )
    raise wrong(f"`{value}` is not a version", "pin a number, such as 2.2.15")


def _image(value: str) -> str:
    name = value.rsplit("/", 1)[-1]
    if "@" in value:
        raise wrong("an image is named without its digest", "nbops records the digest itself")
    if ":" in name:
        bare = value[: value.rindex(":")]
        raise wrong(
            "an image is named without its tag, which is `version`",
            f"write `image: {bare}` and `version: {value.rsplit(':', 1)[1]}`",
        )
    if not re.fullmatch(r"([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*", value):
        raise wrong(f"{value!r} is not the name of an image")
    return value


class Settings(Section):
    """The whole of `nocobase:` for one host."""

    cluster: Annotated[
        str,
        matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}", "a name of letters, digits, `_` and `-`"),
    ] = Field(description="name of the cluster")
    version: Annotated[str, AfterValidator(check_version)] = Field(
        description="what the first deploy installs; later the release record rules"
    )
    image: Annotated[str, AfterValidator(_image)] = Field(
        default="nocobase/nocobase", description="the image, without its tag"
    )
    runtime: Runtime = Field(default_factory=Runtime, description="how nodes run")
    database: Database = Field(description="the database")
    redis: Redis = Field(default_factory=Redis, description="Redis")
    balancer: Balancer = Field(default_factory=Balancer, description="the balancer")
    storage: Storage = Field(default_factory=Storage, description="the app's files")
    secrets: AppSecrets = Field(description="the app's keys")
    plugins: Plugins = Field(default_factory=Plugins, description="plugins")
    env: dict[str, EnvValue] = Field(
        default_factory=dict, description="further variables for the app"
    )
    backup: Backup = Field(default_factory=Backup, description="backups")
    verify: Verify = Field(default_factory=Verify, description="how a release is proven")
    upgrade: Upgrade = Field(default_factory=Upgrade, description="what happens in an upgrade")
    ssh: Ssh = Field(default_factory=Ssh, description="sessions with the hosts")

    @property
    def app_version(self) -> str:
        """The version that the app says of itself: without a tag's `-full`."""
        return self.version.removesuffix("-full")

    @property
    def image_tag(self) -> str:
        """The image with its tag."""
        return f"{self.image}:{self.version}"

    @property
    def storage_path(self) -> str:
        """The storage folder on this host."""
        return self.storage.path or f"{self.runtime.dir}/storage"


def env_name_problem(name: str) -> str | None:
    """What is wrong with the name of a variable in `env`, or None."""
    return None if _ENV_NAME.fullmatch(name) else f"`{name}` is not the name of a variable"
