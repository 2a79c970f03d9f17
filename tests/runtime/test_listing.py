import os
from pathlib import Path

import pytest

from deepmat.errors import ConfigError, DataError
from deepmat.runtime import files, listing, pairing


def test_pictures_are_keyed_by_path_without_extension(tmp_path):
    for name in ("b.JPG", "sub dir/a.x.png", "notes.txt", "log.jsonl", ".hidden.png", ".git/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pictures, notices = listing.list_pictures(tmp_path)
    assert list(pictures) == ["b", "sub dir/a.x"]
    assert notices == [f"{tmp_path / 'notes.txt'}: skipped, not a picture"]
    partners, _ = pairing.pair(["elsewhere/b", "c", "sub dir/a.x"], tmp_path, "alpha")
    assert partners["elsewhere/b"] == tmp_path / "b.JPG" and partners["sub dir/a.x"] == tmp_path / "sub dir/a.x.png"
    assert "c: no alpha of that name in" in str(partners["c"])
    twins, _ = pairing.pair(["x/b", "y/b"], tmp_path, "alpha")  # one flat partner cannot be that of both
    assert all(isinstance(partner, DataError) for partner in twins.values())
    (tmp_path / "b.png").touch()
    with pytest.raises(DataError, match="b.png: has the same name as b.JPG"):
        listing.list_pictures(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in this system's folders")
def test_links_to_themselves_and_pipes_hold_nothing_up(tmp_path):
    os.symlink("loop.jpg", tmp_path / "loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "a.jpg").touch()
    found, notices = listing.find_pictures(tmp_path)
    assert [path.name for path in found] == ["a.jpg", "loop.jpg"]
    assert notices == [f"{tmp_path / 'pipe.jpg'}: skipped, not a picture"]
    files.refuse_overwriting([tmp_path / "b.jpg"], found)
    with pytest.raises(ConfigError, match="would overwrite the input"):
        files.refuse_overwriting([tmp_path / "loop.jpg"], found)


def test_links_in_a_loop_end(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert list(listing.list_pictures(tmp_path)[0]) == ["a"]


@pytest.mark.parametrize(
    ("make", "message"), [(None, "no such folder"), ("mkdir", "holds no pictures"), ("touch", "not a folder")]
)
def test_folders_without_pictures_are_explained(tmp_path, make, message):
    if make:
        getattr(tmp_path / "x", make)()
    with pytest.raises(DataError, match=message):
        listing.list_pictures(tmp_path / "x")


def test_accents_and_endings_of_tools_do_not_part_what_belongs_together(tmp_path):
    composed, apart = "Zo\u00eb", "Zoe\u0308"
    for name in (f"{apart}.png", "cat_pha.png", "ape-Trimap.png", "owl.png", "owl_out.png", "x_pha.png", "x_alpha.png"):
        (tmp_path / name).touch()
    keys = [composed, "cat", "ape", "owl", "x"]
    partners = pairing.pair(keys, tmp_path, "alpha")[0]
    names = [each.name for each in partners.values() if isinstance(each, Path)]
    assert names == [f"{apart}.png", "cat_pha.png", "ape-Trimap.png", "owl.png"]
    assert "x_alpha.png and " in str(partners["x"]) and "x_pha.png could be its alpha" in str(partners["x"])
    # The picture of that very name takes it, and both spellings keep to themselves.
    assert isinstance(pairing.pair(["owl_out", "owl"], tmp_path, "alpha")[0]["owl_out"], Path)
    (tmp_path / f"{composed}.png").touch()
    if len(list(tmp_path.glob("Zo*"))) == 2:  # not where both are one file, as on macOS
        both = pairing.pair([composed, apart], tmp_path, "alpha")[0]
        assert [path.stem for path in both.values()] == [composed, apart]


@pytest.mark.parametrize(
    ("key", "name", "near"),
    [
        ("dog", "Dog.jpg", True),
        ("fox", "fox.jpg.png", True),
        ("my_elk", "my elk.png", True),
        ("cat", "cat (1).png", True),
        ("cat_rgb", "cat.png", True),
        ("sub/dog", "Dog.png", True),
        ("shoes/Dog", "hats/dog.png", False),
        ("img_1", "img_2.png", False),
        ("cat", "catalogue.png", False),
        ("___", "cat.png", False),
        ("cat", "(!).png", False),
    ],
)
def test_the_near_file_is_named_where_there_is_no_partner(tmp_path, key, name, near):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    message = str(pairing.pair([key], tmp_path, "trimap")[0][key])
    assert message.startswith(f"{key}: no trimap of that name in {tmp_path}; ")
    mend = f"is it {tmp_path / name}? Then rename that to {tmp_path / key}{Path(name).suffix}"
    assert message.endswith(mend if near else f"add {tmp_path / key}.png or remove the picture")


def test_no_pictures_at_all_are_named():
    with pytest.raises(DataError, match="^no pictures are given; name files or folders$"):
        listing.list_inputs([], [])


def test_subfolders_that_cannot_be_listed_are_failures(tmp_path, close):
    for name in ("a.png", "bags/b.png", "lost+found/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    close(tmp_path / "bags")
    close(tmp_path / "lost+found")
    why = f"{tmp_path / 'bags'}: cannot be listed (Permission denied); change its permissions"
    given, notices = listing.list_inputs([tmp_path], [])
    assert given == [("a", tmp_path / "a.png", None), ("bags/", tmp_path / "bags", why)]
    assert len(notices) == 1 and "lost+found" in notices[0]
    assert len(listing.list_inputs([tmp_path], [tmp_path / "bags"])[0]) == 1
    pictures, _ = listing.list_pictures(tmp_path)
    assert pictures["a"] == tmp_path / "a.png" and str(pictures["bags/"]) == why
    partners, _ = pairing.pair(["a", "bags/b"], tmp_path, "trimap")
    assert partners["a"] == tmp_path / "a.png" and why in str(partners["bags/b"])
    with pytest.raises(DataError, match="bags: cannot be listed"):
        listing.find_pictures(tmp_path)
    close(tmp_path)
    with pytest.raises(DataError, match=f"{tmp_path}: cannot be listed"):
        listing.scan(tmp_path)
