import errno
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deepmat.errors import ConfigError, DataError
from deepmat.runtime import files


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "sub" / "a.txt"
    files.write_text(path, "before")
    with pytest.raises(KeyboardInterrupt), files.whole_file(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]
    for folder in (path.parent, files.Path(".")):
        with pytest.raises(DataError, match="is a folder; choose another name"):
            files.write_text(folder, "after")


def test_a_full_disk_is_explained_and_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    files.write_text(path, "before")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"a.txt: cannot be written \(No space left on device\)"):
        files.write_text(path, "after")
    assert path.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    long = tmp_path / f"{'n' * 251}.png"
    with files.whole_file(long) as part, files.whole_file(tmp_path / f"{'n' * 250}m.png") as other:
        assert part != other
        for each in (part, other):
            each.write_bytes(b"all")
    assert long.read_bytes() == b"all" and len(list(tmp_path.iterdir())) == 2
    too_long = tmp_path / f"{'n' * 251}.webp"
    with pytest.raises(DataError, match=r"webp: cannot be written \(File name too long\); use a shorter name$"):
        files.write_bytes(too_long, b"all")
    assert not files.is_there(too_long) and len(list(tmp_path.iterdir())) == 2


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    """As two threads do that fetch the same weights."""
    path, both = tmp_path / "a.bin", threading.Barrier(2, timeout=10)

    def write(byte):
        with files.whole_file(path) as part:
            part.write_bytes(byte * 9)
            both.wait()  # neither is done before both have written

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, (b"1", b"2")))
    assert path.read_bytes() in (b"1" * 9, b"2" * 9) and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read_while_a_file_is_written_is_named(tmp_path):
    with pytest.raises(DataError, match=r"^\S*gone.png: cannot be read \(No such file or directory\)"):
        with files.whole_file(tmp_path / "a.png") as part:
            shutil.copyfile(tmp_path / "gone.png", part)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_while_a_file_is_copied_is_not_the_sources_fault(tmp_path, monkeypatch):
    def full(*_, **__):
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "source.png")
        error.filename2 = "part.png"  # as shutil.copyfile does
        raise error

    with pytest.raises(DataError, match=r"a.png: cannot be written \(No space left on device\); free space"):
        with files.whole_file(tmp_path / "a.png"):
            full()


def test_nothing_that_is_read_is_overwritten(tmp_path):
    (tmp_path / "sub").mkdir()
    inputs = [tmp_path / "a.png"]
    files.refuse_overwriting([tmp_path / "b.png", tmp_path / "sub" / "a.png"], inputs)
    with pytest.raises(ConfigError, match="would overwrite the input"):
        files.refuse_overwriting([tmp_path / "sub" / ".." / "a.png"], inputs)
    with pytest.raises(ConfigError, match="would overwrite another output"):
        files.refuse_overwriting([tmp_path / "b.png", tmp_path / "b.png"], inputs)


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    dead, living = (tmp_path / f".a.png.{process}{files.TEMPORARY}" for process in (4194399, os.getpid()))
    for part in (dead, living):
        part.write_bytes(b"half")
    files.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [living]


@pytest.mark.parametrize("given", [3, None, b"a.png", "a\0.png", ["a.png"]], ids=str)
def test_what_is_no_path_is_named(given):
    with pytest.raises(DataError, match="^out: .* is no path; give a str or a pathlib.Path$"):
        files.as_path(given, "out")
