"""The scripts that fill the layers, and the files that are put in beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

NOCOBASE_VERSION = "2.2.15"
_YARN_VERSION = "1.22.22"
_APP = "/app/nocobase"


@dataclass(frozen=True)
class File:
    """A text file of a layer."""

    text: str
    mode: int = 0o644


# What only people and package managers read is left out: it is half of the tree, and each
# node unpacks it.
BASE = """\
set -eu
debootstrap --variant=minbase --include=ca-certificates,curl,nodejs,procps trixie "$ROOT" "$MIRROR"
cd "$ROOT"
rm -rf dev/* tmp/* var/cache/apt/* var/cache/debconf/* var/lib/apt/lists/* var/log/* \\
    usr/share/bash-completion usr/share/doc/* usr/share/info usr/share/lintian \\
    usr/share/locale/* usr/share/man/* usr/share/nodejs/@types usr/share/nodejs/corepack \\
    usr/lib/*-linux-gnu/gconv
rm -f etc/apt/sources.list etc/hostname etc/resolv.conf var/lib/dpkg/*-old
"""

# yarn 1 does not read npm's global settings; it does read these variables.
_BOX_SETTINGS = """\
npm_config_registry=$(npm config get registry)
npm_config_cafile=$(npm config get cafile)
case $npm_config_cafile in ''|null|undefined) unset npm_config_cafile ;; esac
npm_config_cache=$WORK/npm
export npm_config_registry npm_config_cafile npm_config_cache
export YARN_CACHE_FOLDER="$WORK/yarn"
"""

# `xlsx` comes from outside the registry unless it is told otherwise. `.env` holds a random
# key that would differ from build to build; `.env.e2e` and `.env.test` must be there, or
# the app does not start.
NOCOBASE = f"""\
set -eu
{_BOX_SETTINGS}
npm install --prefix "$WORK/tools" --no-audit --no-fund --loglevel=error \\
    yarn@{_YARN_VERSION} create-nocobase-app@{NOCOBASE_VERSION}
PATH=$WORK/tools/node_modules/.bin:$PATH
mkdir -p "$ROOT/app" "$ROOT/usr/local/bin" "$ROOT/usr/local/lib"
cd "$ROOT/app"
create-nocobase-app nocobase --skip-dev-dependencies -a -e APP_ENV=production
cd nocobase
node -e '
const fs = require("fs"), app = JSON.parse(fs.readFileSync("package.json"));
app.resolutions.xlsx = "0.18.5";
fs.writeFileSync("package.json", JSON.stringify(app, null, 2));'
yarn install --production --ignore-engines --non-interactive
rm -rf .env .git yarn.lock storage
touch .env.e2e .env.test
mkdir storage
cd node_modules
find . -type f -name '*.map' -delete
find . -type f \\( -name '*.d.ts' -o -name '*.d.[cm]ts' -o -name '*.flow' \\) -delete
find . -path './@nocobase/*/src' -prune -o -type f \\( -name '*.ts' -o -name '*.[cm]ts' \\
    -o -name '*.tsx' \\) -exec rm -f {{}} +
find . -path ./@nocobase -prune -o -type f -iname '*.md' -exec rm -f {{}} +
find . -type d \\( -name __tests__ -o -name .github \\) -prune -exec rm -rf {{}} +
rm -rf @types @*/*-musl node-sql-parser/umd mathjs/lib/browser moment/src \\
    @nocobase/plugin-ai/dist/ai/docs/nocobase/* \\
    @nocobase/plugin-flow-engine/dist/node_modules/@ant-design/icons-svg/inline*
cp -R "$WORK/tools/node_modules/yarn" "$ROOT/usr/local/lib/yarn"
ln -s ../lib/yarn/bin/yarn.js "$ROOT/usr/local/bin/yarn"
chown -R 0:0 "$ROOT"
"""

# There is one version of the packages to be had; the next is the same app that says
# another number, with a migration.
NOCOBASE_NEXT = f"""\
set -eu
tar --use-compress-program=zstd -xf "$BELOW" -C "$ROOT" --wildcards \\
    --no-wildcards-match-slash '.{_APP}/node_modules/@nocobase/*/package.json'
find "$ROOT{_APP}" -name package.json -exec sed -i 's/"{NOCOBASE_VERSION}"/"@VERSION@"/' {{}} +
"""

# A layer of its own: it alone needs the package registry.
SAMPLE_MODULES = f"""\
set -eu
{_BOX_SETTINGS}
mkdir -p "$ROOT{_APP}/storage"
cp "$FILES{_APP}/package.json" "$FILES{_APP}/package-lock.json" "$ROOT{_APP}/"
cd "$ROOT{_APP}"
npm ci --omit=dev --no-audit --no-fund --loglevel=error
find node_modules -type f \\( -name '*.map' -o -name '*.ts' -o -name '*.md' \\) -delete
chown -R 0:0 "$ROOT"
"""


def nocobase_files() -> Mapping[str, File]:
    """What the first NocoBase layer holds beside the packages."""
    return {"/app/docker-entrypoint.sh": _file("nocobase/docker-entrypoint.sh", 0o755)}


def nocobase_next_files() -> Mapping[str, File]:
    """The migration of the next version, and the collection that knows the new column."""
    server = f"{_APP}/node_modules/@nocobase/plugin-auth/dist/server"
    return {
        f"{server}/migrations/20261101000000-add-issued-by.js": _file("nocobase/add-issued-by.js"),
        f"{server}/collections/issued-tokens.js": _file("nocobase/issued-tokens.js"),
    }


def sample_module_files() -> Mapping[str, File]:
    """What says which packages the sample app stands on."""
    names = ("package.json", "package-lock.json")
    return {f"{_APP}/{name}": _file(f"sample/{name}") for name in names}


def sample_files() -> Mapping[str, File]:
    """The sample app's source."""
    names = sorted(
        entry.name
        for entry in (resources.files(__package__) / "sample").iterdir()
        if entry.name.endswith(".js")
    )
    return {
        **{f"{_APP}/{name}": _file(f"sample/{name}") for name in names},
        "/app/docker-entrypoint.sh": _file("sample/docker-entrypoint.sh", 0o755),
    }


def _file(name: str, mode: int = 0o644) -> File:
    path = resources.files(__package__).joinpath(*name.split("/"))
    return File(path.read_text(encoding="utf-8"), mode)
