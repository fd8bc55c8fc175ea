"""Which files an input names, in which order, and what it says when there are none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncmr.connectors.paths import STDIN, FileEntry, resolve
from asyncmr.errors import InputError, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with some files."""
    for name in (
        "b.txt",
        "a.txt",
        "sub/c.txt",
        "sub/deep/d.txt",
        "sub.txt",
        "_SUCCESS",
        ".hidden",
        "_tmp/e.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(paths) -> list[str]:
    return [os.path.relpath(entry.path) for entry in resolve(paths)]


def test_a_file_is_itself_with_its_size(here: Path) -> None:
    (entry,) = resolve("a.txt")
    assert entry == FileEntry("a.txt", 5, (here / "a.txt").stat().st_mtime_ns)
    assert resolve(here / "a.txt")[0].path == str(here / "a.txt")


def test_an_empty_file_is_fine(here: Path) -> None:
    (here / "empty").touch()
    assert resolve("empty")[0].size == 0


def test_a_folder_stands_for_its_files_at_any_depth_sorted_by_level() -> None:
    assert found(".") == ["a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt", "sub.txt"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.txt", ["a.txt", "b.txt", "sub.txt"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("**/*.txt", ["_tmp/e.txt", "a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt", "sub.txt"]),
        ("_S*", ["_SUCCESS"]),
        ("sub/**", ["sub/c.txt", "sub/deep/d.txt"]),
        ("**/**/d.txt", ["sub/deep/d.txt"]),
        ("_*/*", ["_tmp/e.txt"]),
        ("_tmp/*", ["_tmp/e.txt"]),
        (".h*", [".hidden"]),
    ],
)
def test_a_glob_gives_each_match_once_in_order(pattern: str, names: list[str]) -> None:
    assert found(pattern) == names


def test_items_keep_their_order_and_each_stands_for_itself() -> None:
    assert found(["sub", "b.txt", "*.txt", Path("b.txt")]) == [
        "sub/c.txt",
        "sub/deep/d.txt",
        *("b.txt", "a.txt", "b.txt", "sub.txt", "b.txt"),
    ]


def test_a_path_that_exists_is_no_glob(here: Path) -> None:
    (here / "data[1].txt").touch()
    assert found("data[1].txt") == ["data[1].txt"]


def test_links_are_followed_and_loops_entered_once(here: Path) -> None:
    (here / "loop").mkdir()
    (here / "loop" / "again").symlink_to(here / "loop")
    (here / "loop" / "link.txt").symlink_to(here / "a.txt")
    assert found("loop") == ["loop/link.txt"]


def test_a_missing_file_is_named_with_where_and_what_is_like_it(here: Path) -> None:
    with pytest.raises(InputError, match=rf"no file or folder 'a.text' in '{here}'; did you mean 'a.txt'"):
        resolve("a.text")


def test_a_misspelt_folder_is_found_on_the_way(here: Path) -> None:
    with pytest.raises(InputError, match=r"did you mean 'sub/deep'"):
        resolve("sub/depp/d.txt")
    with pytest.raises(InputError, match=r"the glob 'sup/\*' matches no file.*did you mean 'sub"):
        resolve("sup/*")


def test_a_tilde_is_explained() -> None:
    with pytest.raises(InputError, match="expanduser"):
        resolve("~/books")


def test_a_folder_with_nothing_to_read_says_what_is_left_out() -> None:
    os.mkdir("results")
    Path("results/_SUCCESS").touch()
    with pytest.raises(InputError, match=r"'results' has no files.*'_' or '\.'"):
        resolve("results")


def test_a_glob_that_matches_a_folder_is_refused() -> None:
    with pytest.raises(InputError, match=r"matches the folder 'sub'"):
        resolve("s*")


@pytest.mark.parametrize("paths", [[], "", ["a.txt", ""]])
def test_no_path_is_no_input(paths) -> None:
    with pytest.raises(InputError, match="empty"):
        resolve(paths)


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(UsageError, match="records"):
        resolve(["a.txt", 5])  # type: ignore[list-item]


@pytest.mark.parametrize("paths", ["pipes", "pipes/*"])
def test_a_pipe_that_is_only_found_is_refused(paths: str) -> None:
    """Nobody may ever write to it."""
    os.mkdir("pipes")
    os.mkfifo("pipes/pipe")
    with pytest.raises(InputError, match="is a pipe"):
        resolve(paths)


def test_a_pipe_that_is_named_and_standard_input_are_read_once(here: Path) -> None:
    os.mkfifo("pipe")
    assert resolve(["pipe", "-"]) == [FileEntry("pipe", 0, 0, pipe=True), FileEntry(STDIN, 0, 0, pipe=True)]
    with pytest.raises(UsageError, match="named twice"):
        resolve(["-", "a.txt", "-"])


def test_a_file_called_minus_is_named_by_its_folder(here: Path) -> None:
    (here / "-").write_text("x")
    assert resolve("./-")[0].size == 1


def test_a_link_that_leads_nowhere_is_named(here: Path) -> None:
    (here / "sub" / "broken").symlink_to("nowhere")
    for paths in ("sub", "sub/broken", "sub/b*"):
        with pytest.raises(InputError, match="'sub/broken' is a symbolic link that leads nowhere"):
            resolve(paths)


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that everybody can enter, and a user who is not root."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


def test_a_file_that_may_not_be_read_is_named(as_nobody: Path) -> None:
    secret = as_nobody / "secret"
    owner = os.geteuid()
    if owner == 65534:
        os.seteuid(0)
    secret.touch()
    secret.chmod(0)
    if owner == 65534:
        os.seteuid(65534)
    with pytest.raises(InputError, match="secret' may not be read"):
        resolve(secret)


def test_folders_that_link_to_each_other_are_entered_once(here: Path) -> None:
    for name in ("x", "y"):
        (here / "net" / name).mkdir(parents=True)
        (here / "net" / name / "file").touch()
    (here / "net" / "x" / "to_y").symlink_to("../y")
    (here / "net" / "y" / "to_x").symlink_to("../x")
    for paths in ("net", "net/**", "net/**/file"):
        assert sorted(os.path.realpath(path) for path in found(paths)) == [
            f"{os.path.realpath(here)}/net/{name}/file" for name in ("x", "y")
        ]


def test_absolute_globs_and_folders_written_with_a_slash(here: Path) -> None:
    assert [entry.path for entry in resolve(f"{here}/[ab].txt")] == [f"{here}/a.txt", f"{here}/b.txt"]
    assert [entry.path for entry in resolve("sub/")] == ["sub/c.txt", "sub/deep/d.txt"]


def test_a_file_used_as_a_folder_is_an_error() -> None:
    with pytest.raises(InputError, match=r"a\.txt/b"):
        resolve("a.txt/b")


def test_one_missing_file_among_others_is_an_error() -> None:
    with pytest.raises(InputError, match=r"no file or folder 'z\.txt'"):
        resolve(["a.txt", "z.txt"])


@pytest.mark.parametrize("paths", ["open", "open/**"])
def test_a_folder_that_may_not_be_listed_is_no_empty_folder(as_nobody: Path, paths: str) -> None:
    (as_nobody / "open" / "closed").mkdir(parents=True)
    (as_nobody / "open" / "file").touch()
    (as_nobody / "open" / "closed").chmod(0)
    with pytest.raises(InputError, match=r"open/closed'.*permissions"):
        resolve(as_nobody / paths)
