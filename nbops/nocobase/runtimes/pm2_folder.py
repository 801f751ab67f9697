"""The app folders of a host: one for each version, made while an older one serves. Pure.

A folder is made under a temporary name, proven, and renamed. Its mark, a hash over the app's
own package file and those of all that is installed with it, is written into it and is part of
its name: equal marks are equal apps, whatever registry they came from. A link with the
version's name leads to it, so that another build of the same version never takes its place
under an app that runs.
"""

from __future__ import annotations

from nbops.base.command import quote
from nbops.nocobase.runtimes.api import NodePlan

MARK = ".nbops-mark"
YARN = "1.22.22"
USER_ID = 13000
UNITS = "/etc/systemd/system"


def apps(plan: NodePlan) -> str:
    """The folder with the folders of all versions."""
    return f"{plan.home}/apps"


def folder(plan: NodePlan) -> str:
    """The folder of the plan's version: a link to what was made of it last."""
    return f"{apps(plan)}/{plan.version}"


def find_script(plan: NodePlan) -> str:
    """Sets `app` to the version's folder and `mark` to its mark, empty when there is no whole
    folder. The app may write what it likes into its folder: only a mark that fits the folder's
    name, which is root's, is one. A mark has only letters, digits and a colon."""
    return f"""\
app=$(readlink -e {quote(folder(plan))}) || app=
mark=$(LC_ALL=C grep -aExs -D skip -m 1 "app:${{app##*-}}[0-9a-f]{{52}}" "$app/{MARK}") || mark="""


def look_script(plan: NodePlan) -> str:
    """Prints the folder's mark, or nothing when there is no whole folder."""
    return f'{find_script(plan)}\n[ -z "$mark" ] || echo "$mark"\n'


def storage_script(plan: NodePlan) -> str:
    """Lets the app write into the node's storage, and makes it the folder's own `storage`,
    for versions that look nowhere else. What is root's there was left by containers."""
    user, storage = quote(plan.user), quote(plan.storage)
    return f"""\
runuser -u {user} -- test -w {storage} || chown -R --from=root {user}: {storage} || :
runuser -u {user} -- test -w {storage} || {{
    echo "the user "{user}" may not write into "{storage} >&2; exit 1; }}
ln -sfnT {storage} {quote(f"{folder(plan)}/storage")}"""


def prepare_script(plan: NodePlan, staged: str) -> str:
    """Makes the folder anew, and the user that the app runs as.

    Files in shared storage belong to a number, not to a name: hence the same for every host.
    Whatever runs as that user, an app of another version too, may lay links in root's way: so
    root writes only where the user cannot, until the whole folder is given to it.
    """
    return f"""\
set -eu
say() {{ echo "nbops: $*"; }}
user={quote(plan.user)}
apps={quote(apps(plan))}
version={quote(plan.version)}
id "$user" >/dev/null 2>&1 || useradd --uid {USER_ID} --user-group --no-create-home \\
    --home-dir /nonexistent --shell /usr/sbin/nologin "$user"
group=$(id -gn "$user")
install -d -m 711 {quote(plan.home)}
install -d -m 755 "$apps"
new="$apps/.new-$version"
work="$apps/.work-$version"
rm -rf "$new" "$work"
trap 'rm -rf "$work" "$new"' EXIT
trap 'exit 1' HUP INT TERM
install -d -m 755 "$work"
{_unpack(plan, staged) if plan.package else _make()}
[ ! -L "$new" ] && [ -f "$new/package.json" ] && [ -e "$new/node_modules/.bin/nocobase" ] || {{
    echo "what came is no app folder: package.json or node_modules/.bin/nocobase is missing" >&2
    exit 1
}}
chown root: "$new"
chmod 755 "$new"
cd "$new"
rm -rf .env storage .env.e2e .env.test {MARK}
touch .env.e2e .env.test
say marking
sum=$({{ cat package.json; [ ! -f VERSION ] || cat VERSION
    find node_modules -mindepth 2 -maxdepth 3 -name package.json -not -path '*/node_modules/.*' \\
        -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; }} | sha256sum)
mark="app:${{sum%% *}}"
echo "$mark" > {MARK}
chown -R "$user:$group" .
cd "$apps"
made="$version-$(printf %.12s "$sum")"
sync -f "$new"
if grep -Fqsx -D skip "$mark" "$made/{MARK}"; then rm -rf "$new"
else rm -rf "$made"; mv -T "$new" "$made"; fi
ln -sfnT "$made" ".link-$version"
mv -T ".link-$version" "$version"
{_sweep()}"""


def _sweep() -> str:
    """Removes the other builds of this version that no app runs from."""
    return f"""\
for old in "$version"-{"[0-9a-f]" * 12}; do
    [ "$old" = "$made" ] || grep -qsFx "WorkingDirectory=$apps/$old" {UNITS}/nocobase-*.service ||
        rm -rf "$old"
done
"""


def _unpack(plan: NodePlan, staged: str) -> str:
    """Takes the packed folder; it may stand in the pack by itself or in a folder of its own."""
    if plan.upload:
        fetch = f"pack={quote(staged)}"
    else:
        fetch = f"""\
say fetching
pack=$work/pack
curl --fail --silent --show-error --location --retry 3 --output "$pack" {quote(plan.package)}"""
    sum_check = (
        f'echo {quote(plan.sha256)}"  $pack" | sha256sum --check --status || {{\n'
        '    echo "the package has another checksum than package.sha256 says" >&2; exit 1; }'
    )
    return f"""\
{fetch}
{sum_check if plan.sha256 else ":"}
say unpacking
how={"zstd" if plan.package.endswith((".zst", ".tzst")) else "gzip"}
command -v "$how" >/dev/null 2>&1 || {{
    echo "$how is needed to unpack "{quote(plan.package)}": apt-get install $how" >&2; exit 1; }}
mkdir "$work/app"
tar --use-compress-program="$how" --no-same-owner -C "$work/app" -xf "$pack"
only=$(ls -A "$work/app")
if [ -f "$work/app/package.json" ]; then mv -T "$work/app" "$new"
else mv -T "$work/app/$only" "$new"; fi"""


def _make() -> str:
    """Takes the app from the package registry, by the host's own npm settings.

    What packages run while they are installed runs as the app's user. yarn 1 does not read
    npm's settings but these variables. One dependency (`xlsx`) comes from outside the
    registry; a host that has a registry of its own may reach nothing else, and takes it from
    there. The app calls yarn when it starts, so yarn goes into the folder.
    """
    return f"""\
say "asking npm"
registry=$(npm config get registry)
usual=$(env -u npm_config_registry -u NPM_CONFIG_REGISTRY npm config get registry \\
    --userconfig "$work/none" --globalconfig "$work/no-other")
cafile=$(npm config get cafile)
settings=$(npm config get userconfig)
install -m 600 -o "$user" -g "$group" /dev/null "$work/npmrc"
[ ! -f "$settings" ] || cat "$settings" > "$work/npmrc"
home="$work/home"
install -d -m 755 -o "$user" -g "$group" "$home"
as_user() {{
    case $cafile in ''|null|undefined) ca= ;; *) ca="npm_config_cafile=$cafile" ;; esac
    runuser -u "$user" -- env HOME="$home" npm_config_userconfig="$work/npmrc" \\
        npm_config_registry="$registry" npm_config_cache="$home/npm" $ca \\
        YARN_CACHE_FOLDER="$home/yarn" PATH="$home/tools/node_modules/.bin:$PATH" "$@"
}}
cd "$home"
as_user npm install --prefix "$home/tools" --no-audit --no-fund --loglevel=error \\
    yarn@{YARN} "create-nocobase-app@$version"
as_user create-nocobase-app nocobase --skip-dev-dependencies -a -e APP_ENV=production
cd nocobase
[ "$registry" = "$usual" ] || as_user node -e '
const fs = require("fs"), app = JSON.parse(fs.readFileSync("package.json"));
app.resolutions = {{...app.resolutions, xlsx: "0.18.5"}};
fs.writeFileSync("package.json", JSON.stringify(app, null, 2));'
say "installing packages"
as_user yarn install --production --ignore-engines --non-interactive
as_user cp -R "$home/tools/node_modules/yarn" node_modules/yarn
as_user ln -s ../yarn/bin/yarn.js node_modules/.bin/yarn
mv -T "$home/nocobase" "$new\""""
