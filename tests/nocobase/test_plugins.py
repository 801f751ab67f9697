"""Plugin packages: read and checked here, put and removed on a node as the app looks for them."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from nbops.base.errors import Place, UsageError
from nbops.nocobase.plugins import (
    RECORD,
    WORK,
    Change,
    Package,
    as_data,
    change,
    look_script,
    packages_of,
    put_script,
    read_look,
    read_package,
    read_packages,
    read_record,
    record_text,
)

MANIFEST = {"name": "@me/plugin-hello", "version": "1.0.0"}


def pack(path: Path, *members: tuple[str, str | tarfile.TarInfo], top: str = "package") -> Path:
    """A package with these files; a TarInfo stands for itself."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            one = tarfile.TarInfo(f"{top}/{name}" if top else name)
            one.size = len(content.encode())
            archive.addfile(one, io.BytesIO(content.encode()))
    return path


def hello(folder: Path, version: str = "1.0.0", name: str = "@me/plugin-hello") -> Path:
    text = json.dumps({"name": name, "version": version}, indent=2)
    file = folder / f"{name.replace('/', '-').strip('@')}-{version}.tgz"
    return pack(file, ("package.json", text), ("dist/index.js", f"// {version}"))


def special(name: str, kind: bytes, target: str = "") -> tuple[str, tarfile.TarInfo]:
    one = tarfile.TarInfo(name)
    one.type, one.linkname = kind, target
    return name, one


class TestReading:
    def test_a_package_says_its_name_and_version(self, tmp_path: Path) -> None:
        package = read_package(hello(tmp_path))
        assert (package.name, package.version) == ("@me/plugin-hello", "1.0.0")
        assert len(package.sha256) == 64
        assert package.mark == f"@me/plugin-hello@1.0.0#{package.sha256[:12]}"

    @pytest.mark.parametrize(
        ("member", "words"),
        [
            (("/etc/passwd", "x"), "outside its folder"),
            (("package/../../etc/passwd", "x"), "outside its folder"),
            (("package\\..\\x", "x"), "outside its folder"),
            (special("package/a", tarfile.SYMTYPE, "/etc/passwd"), "a link or device"),
            (special("package/a", tarfile.LNKTYPE, "package.json"), "a link or device"),
            (special("package/a", tarfile.CHRTYPE), "a link or device"),
            (special("package/a", tarfile.FIFOTYPE), "a link or device"),
            (("other/file", "x"), "do not lie in one folder"),
        ],
    )
    def test_what_is_not_safe_to_unpack_is_refused(
        self, tmp_path: Path, member: tuple[str, str | tarfile.TarInfo], words: str
    ) -> None:
        manifest = ("package/package.json", json.dumps(MANIFEST))
        path = pack(tmp_path / "p.tgz", manifest, member, top="")
        with pytest.raises(ValueError, match=words):
            read_package(path)

    @pytest.mark.parametrize(
        ("manifest", "words"),
        [
            ("{}", "no usable `name`"),
            ('{"name": "../x", "version": "1.0.0"}', "no usable `name`"),
            ('{"name": "@a/b/c", "version": "1.0.0"}', "no usable `name`"),
            ('{"name": "a..b", "version": "1.0.0"}', "no usable `name`"),
            ('{"name": "A B", "version": "1.0.0"}', "no usable `name`"),
            ('{"name": "a", "version": "latest"}', "no usable `version`"),
            ('{"name": "a"}', "no usable `version`"),
            ("{", "cannot be read"),
            ("[]", "no package.json"),
        ],
    )
    def test_what_is_no_plugin_is_refused(self, tmp_path: Path, manifest: str, words: str) -> None:
        path = pack(tmp_path / "p.tgz", ("package.json", manifest))
        with pytest.raises(ValueError, match=words):
            read_package(path)

    @pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00torn"])
    def test_what_is_no_archive_is_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "p.tgz").write_bytes(content)
        with pytest.raises(ValueError, match=r"not a package|no package\.json|one folder"):
            read_package(tmp_path / "p.tgz")

    def test_everything_wrong_is_told_at_once_with_its_place(self, tmp_path: Path) -> None:
        hello(tmp_path)
        hello(tmp_path, "2.0.0")
        files = ["me-plugin-hello-1.0.0.tgz", "gone.tgz", "me-plugin-hello-2.0.0.tgz"]
        places = {at: Place("inventory.yml", 10 + at) for at in range(3)}
        with pytest.raises(UsageError) as caught:
            read_packages(files, tmp_path, places)
        gone, twin = caught.value.problems
        assert "gone.tgz: no such file" in gone.message
        assert gone.place == Place("inventory.yml", 11)
        assert "@me/plugin-hello comes from" in twin.message
        assert twin.place == Place("inventory.yml", 12)

    def test_settings_carry_packages_as_plain_data(self, tmp_path: Path) -> None:
        packages = read_packages([str(hello(tmp_path))], Path("/"), {})
        assert packages_of({"plugins": {"packages": as_data(packages)}}) == packages
        assert packages_of({"plugins": None}) == ()


ONE = Package("/x/a.tgz", "a", "1.0.0", "1" * 64)
TWO = Package("/x/b.tgz", "@s/b", "2.0.0", "2" * 64)


class TestChange:
    @pytest.mark.parametrize(
        ("recorded", "there", "put", "remove"),
        [
            ({}, {}, (ONE, TWO), ()),
            ({"a": ONE.sha256, "@s/b": TWO.sha256}, {"a": "1.0.0", "@s/b": "2.0.0"}, (), ()),
            ({"a": "0" * 64, "@s/b": TWO.sha256}, {"a": "1.0.0", "@s/b": "2.0.0"}, (ONE,), ()),
            ({"a": ONE.sha256, "@s/b": TWO.sha256}, {"@s/b": "2.0.0"}, (ONE,), ()),
            ({"a": ONE.sha256, "@s/b": TWO.sha256}, {"a": "9.0.0", "@s/b": "2.0.0"}, (ONE,), ()),
            ({"old": "3" * 64}, {"old": "1.0.0", "theirs": "1.0.0"}, (ONE, TWO), ("old",)),
        ],
    )
    def test_only_what_is_needed_is_done(
        self,
        recorded: dict[str, str],
        there: dict[str, str],
        put: tuple[Package, ...],
        remove: tuple[str, ...],
    ) -> None:
        work = change((ONE, TWO), recorded, there)
        assert (work.put, work.remove) == (put, remove)
        assert bool(work) == bool(put or remove)

    def test_it_is_told_in_words(self) -> None:
        assert Change((TWO,), ("old",)).words == "put @s/b 2.0.0, remove old"

    def test_the_record_is_read_as_it_was_written(self) -> None:
        assert read_record(record_text((ONE, TWO))) == {"a": ONE.sha256, "@s/b": TWO.sha256}
        assert read_record("") == {}

    @pytest.mark.parametrize("text", ["{}", "[]", '{"format": 9, "plugins": {}}', "{"])
    def test_another_record_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            read_record(text)


class TestOnAHost:
    """The scripts, as `dash` runs them."""

    def run(self, script: str) -> str:
        done = subprocess.run(["dash", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def put(self, storage: Path, *packages: Package) -> Change:
        work = change(packages, *reversed(read_look(self.run(look_script(str(storage))))))
        record = storage.parent / "record"
        record.write_text(record_text(packages))
        staged = {one.name: one.file for one in work.put}
        self.run(put_script(str(storage), staged, work, str(record)))
        return work

    def test_packages_come_change_and_go_and_others_stay(self, tmp_path: Path) -> None:
        storage = tmp_path / "my storage"
        theirs = storage / "plugins" / "@nocobase" / "plugin-bought"
        theirs.mkdir(parents=True)
        (theirs / "package.json").write_text('{\n  "version": "9.9.9"\n}\n')
        first = read_package(hello(tmp_path))
        plain = read_package(hello(tmp_path, name="plugin-plain"))

        assert len(self.put(storage, first, plain).put) == 2
        there, recorded = read_look(self.run(look_script(str(storage))))
        assert there == {
            "@me/plugin-hello": "1.0.0",
            "plugin-plain": "1.0.0",
            "@nocobase/plugin-bought": "9.9.9",
        }
        assert recorded == {first.name: first.sha256, plain.name: plain.sha256}
        assert not self.put(storage, first, plain)

        second = read_package(hello(tmp_path, "1.1.0"))
        work = self.put(storage, second)
        assert work.words == "put @me/plugin-hello 1.1.0, remove plugin-plain"
        folder = storage / "plugins" / "@me" / "plugin-hello"
        assert (folder / "dist" / "index.js").read_text() == "// 1.1.0"
        assert not (storage / "plugins" / "plugin-plain").exists()
        assert theirs.exists()

        self.put(storage)
        assert not folder.exists()
        assert sorted(path.name for path in storage.iterdir()) == [RECORD, "plugins"]

    def test_one_that_was_cut_off_is_done_again(self, tmp_path: Path) -> None:
        storage = tmp_path / "storage"
        (storage / WORK / "new-0" / "rest").mkdir(parents=True)
        package = read_package(hello(tmp_path))
        self.put(storage, package)
        assert not (storage / WORK).exists()
        assert (storage / "plugins" / "@me" / "plugin-hello" / "package.json").is_file()
        assert not (storage / "plugins" / "@me" / "plugin-hello" / "rest").exists()

    def test_a_storage_that_is_not_there_holds_nothing(self, tmp_path: Path) -> None:
        assert read_look(self.run(look_script(str(tmp_path / "none")))) == ({}, {})
