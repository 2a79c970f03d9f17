"""deepmat doctor's checksums: the bytes of a data folder, and what became of them."""

import json
import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepmat.checks.checksums import read_checksums, to_line, verify_checksums, write_checksums
from deepmat.errors import ConfigError, DataError


def fill(root):
    for name in (
        "fg/cat.png",
        "fg/sub/dog.png",
        "list.txt",
        ".hidden",
        "fg/a\nb\\c\rd.png",
        " #odd ",
        os.fsdecode(b"\xff"),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name))
    return root


def written(root, out, workers=2):
    work = write_checksums(root, out, workers)
    results = work.run()
    assert len(results) == work.total
    return [item for item in results if item]


def verified(root, listing):
    work = verify_checksums(root, listing, 2)
    results = work.run()
    assert len(results) == work.total
    return {(item["severity"], item["check"], os.path.relpath(item["path"], root)) for item in results if item}


@pytest.mark.parametrize("place", ["data/fg/sums", "elsewhere/sums"])
def test_what_became_of_every_file(tmp_path, place):
    root, sums = fill(tmp_path / "data"), tmp_path / place
    (root / "linked").symlink_to(root / "fg")
    (root / "fg" / "loop").symlink_to(root)
    assert not written(root, sums)
    listed = read_checksums(sums)
    assert list(listed) == sorted(listed, key=os.fsencode) and len(listed) == 9
    assert listed["linked/cat.png"] == listed["fg/cat.png"] == sha256(b"fg/cat.png").hexdigest()
    assert verified(root, sums) == set()
    if shutil.which("sha256sum"):
        command = ["sha256sum", "--check", "--strict", "--quiet", os.path.relpath(sums, root)]
        accepted = subprocess.run(command, cwd=root, capture_output=True, timeout=60)
        assert (accepted.returncode, accepted.stdout, accepted.stderr) == (0, b"", b"")
    (root / "fg" / "cat.png").write_bytes(b"fg/cat.pnG")
    (root / "list.txt").unlink()
    (root / "fg" / "new.png").touch()
    assert verified(root, sums) == {
        ("error", "changed", "fg/cat.png"), ("error", "changed", "linked/cat.png"), ("error", "missing", "list.txt"),
        ("warning", "unlisted", "fg/new.png"), ("warning", "unlisted", "linked/new.png"),
    }  # fmt: skip


@settings(max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=12).filter(lambda name: not set(name) & set(b"\0/")), unique=True))
def test_every_name_comes_back(tmp_path_factory, names):
    path = tmp_path_factory.getbasetemp() / "names"
    names = [os.fsdecode(name) for name in names if name not in (b".", b"..")]
    sums = {name: sha256(os.fsencode(name)).hexdigest() for name in names}
    path.write_bytes(b"# a comment\n\n" + b"".join(to_line(*item) for item in sums.items()))
    if sums:
        assert read_checksums(path) == sums


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum")
def test_what_sha256sum_writes_is_read(tmp_path):
    root = fill(tmp_path / "data")
    command = r"find . -type f ! -name '.?*' -exec sha256sum --binary {} +"
    (tmp_path / "sums").write_bytes(subprocess.run(command, shell=True, cwd=root, capture_output=True).stdout)
    assert verified(root, tmp_path / "sums") == set()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no checksums"),
        ("hello", "line 1: is not a sha256"),
        (f"{'0' * 64}  a\n{'1' * 64}  ./a\n", "line 2: another checksum for a"),
        (f"\\{'0' * 64}  a\\t\n", "line 1: is not a sha256"),
        (f"{'0' * 64}  data/list.txt\n", "none of its 1 files is in"),
    ],
)
def test_what_is_no_listing_of_this_folder(tmp_path, text, message):
    (tmp_path / "sums").write_text(text)
    with pytest.raises(DataError, match=message):
        verify_checksums(fill(tmp_path / "data"), tmp_path / "sums")


def test_all_files_or_no_listing(tmp_path):
    root = fill(tmp_path / "data")
    (root / "gone.png").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    assert {Path(item["path"]).name for item in written(root, tmp_path / "sums")} == {"gone.png", "pipe"}
    assert not (tmp_path / "sums").exists()
    with pytest.raises(ConfigError, match="is there already"):
        write_checksums(root, root / "list.txt")


def test_the_command_writes_and_verifies(deepmat, source, tmp_path):
    shutil.copytree(source, tmp_path / "data")
    sums = Path("data/SHA256SUMS")
    done = deepmat("doctor", "data", "--write-checksums", sums)
    assert done.exit_code == 0 and not done.stderr
    count = len(sums.read_text().splitlines())
    assert f"{sums}: checksums of {count} files; `sha256sum -c SHA256SUMS` in data takes them too" in done.stdout
    assert deepmat("doctor", "data", "--verify", sums).exit_code == 0
    picture = next(Path("data/bg_train").iterdir())
    picture.write_bytes(picture.read_bytes() + b"\0")  # decoders do not mind
    assert deepmat("doctor", "data").exit_code == 0
    told = deepmat("doctor", "data", "--verify", sums, "--json")
    *findings, summary = map(json.loads, told.stdout.splitlines())
    errors = [(item["check"], item["path"]) for item in findings if item["severity"] == "error"]
    assert told.exit_code == 1 and errors == [("changed", str(picture))]
    counts = {"intact": count - 1, "changed": 1, "missing": 0, "unlisted": 0}
    assert summary["checksums"] == {"file": str(sums), **counts}
    told = deepmat("doctor", "data", "--verify", sums)
    assert f"{sums}: {count - 1} files as listed, 1 changed, 0 missing, 0 unlisted" in told.stdout
    both = deepmat("doctor", "data", "--verify", sums, "--write-checksums", "new")
    assert both.exit_code == 1 and "one at a time" in both.stderr
