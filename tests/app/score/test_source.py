"""app.score.source: where films lie, how they are named, and what is no film."""

import pickle
import zipfile
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from app.errors import BodyTooLarge, EmptyUpload, FileUnreadable, SourceUnusable
from app.score.source import ListedFilm, NoFilm, Source, open_source

MOST = 1_000_000


def paths(source: Source) -> list[str]:
    return [film.path for film in source.list_films()]


@pytest.fixture
def folder(tmp_path: Path, jpeg: bytes) -> Path:
    """Films in folders, a hidden one, a text and a link that leads in a circle."""
    root = tmp_path / "films"
    (root / "b" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("z.jpg", "b/2", "b/10.dcm", "b/deep/1.png", ".hidden/x.jpg", "b/.y.jpg"):
        (root / name).write_bytes(jpeg)
    (root / "a.txt").write_bytes(b"no film")
    (root / "circle").symlink_to(root)
    return root


def test_a_folder_is_walked_by_name_and_films_are_named_below_it(folder: Path) -> None:
    assert paths(open_source(str(folder))) == ["a.txt", "z.jpg", "b/10.dcm", "b/2", "b/deep/1.png"]


def test_content_decides_what_is_found(folder: Path, jpeg: bytes) -> None:
    source = open_source(str(folder))
    found = {film.path: film for film in source.list_films()}
    assert source.read(found["b/2"], MOST) == jpeg
    with pytest.raises(NoFilm):
        source.read(found["a.txt"], MOST)
    assert source.read(ListedFilm("a.txt"), MOST) == b"no film"  # a manifest named it


def test_what_cannot_be_read_is_an_error_of_its_own(folder: Path, jpeg: bytes) -> None:
    source = open_source(str(folder))
    (folder / "empty").touch()
    with pytest.raises(EmptyUpload):
        source.read(ListedFilm("empty", found=True), MOST)
    with pytest.raises(BodyTooLarge):
        source.read(ListedFilm("z.jpg"), len(jpeg) - 1)
    for path in ("gone.jpg", "b", "nul\0"):
        with pytest.raises(FileUnreadable):
            source.read(ListedFilm(path), MOST)
    with pytest.raises(FileUnreadable):
        source.read(ListedFilm("z.jpg", fault="no"), MOST)


def test_one_file_is_a_source(folder: Path, jpeg: bytes) -> None:
    source = open_source(str(folder / "z.jpg"))
    assert list(source.list_films()) == [ListedFilm("z.jpg")]
    assert source.read(ListedFilm("z.jpg"), MOST) == jpeg


def test_a_manifest_says_which_films_and_of_whom(folder: Path) -> None:
    rows = "age_years;path;view\r\n61,5;b/2;PA\r\n;z.jpg;\r\n;;\r\n"
    (folder / "manifest.csv").write_text(rows, encoding="utf-8-sig")
    expected = [
        ListedFilm("b/2", age="61,5", view="PA"),
        ListedFilm("z.jpg"),
        ListedFilm("", fault="the row has no path"),
    ]
    assert list(open_source(str(folder)).list_films()) == expected
    assert list(open_source(str(folder / "manifest.csv")).list_films()) == expected
    assert list(open_source(f"file://{folder}").list_films()) == expected


@pytest.mark.parametrize("content", [b"", b"file,label\na,b\n", b"path\n\xff\xfe\n"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(SourceUnusable):
        list(open_source(str(tmp_path)).list_films())


def test_a_url_is_read_as_the_folder_is(folder: Path, jpeg: bytes) -> None:
    source = pickle.loads(pickle.dumps(open_source(f"file://{folder}")))  # noqa: S301 - our own
    assert [path for path in paths(source) if not path.startswith("circle")] == paths(
        open_source(str(folder))
    )
    assert source.read(ListedFilm("b/2", found=True), MOST) == jpeg
    with pytest.raises(NoFilm):
        source.read(ListedFilm("a.txt", found=True), MOST)
    with pytest.raises(BodyTooLarge):
        source.read(ListedFilm("b/2"), len(jpeg) - 1)
    for film in (ListedFilm("gone"), ListedFilm("b/2", fault="no")):
        with pytest.raises(FileUnreadable):
            source.read(film, MOST)


def test_the_marker_of_a_folder_is_no_film_and_a_film_may_have_a_folders_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = LocalFileSystem.ls

    def with_marker(self: LocalFileSystem, path: str, **options: bool) -> list[dict[str, object]]:
        more = [f"{path}/", *([f"{folder}/b"] if path == str(folder) else [])]
        return [{"name": name, "type": "file"} for name in more] + whole(self, path, **options)

    (folder / "circle").unlink()
    monkeypatch.setattr(LocalFileSystem, "ls", with_marker)
    found = ["a.txt", "b", "z.jpg", "b/10.dcm", "b/2", "b/deep/1.png"]
    assert paths(open_source(f"file://{folder}")) == found


@pytest.mark.parametrize("below", ["b", "b/deep"])
def test_a_folder_of_a_store_that_cannot_be_listed_is_no_folder_without_films(
    folder: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    whole = LocalFileSystem.ls

    def refuse(self: LocalFileSystem, path: str, **options: bool) -> list[dict[str, object]]:
        if path == f"{folder}/{below}":
            raise PermissionError
        found: list[dict[str, object]] = whole(self, path, **options)
        return found

    monkeypatch.setattr(LocalFileSystem, "ls", refuse)
    with pytest.raises(SourceUnusable, match="listing ended with PermissionError"):
        paths(open_source(f"file://{folder}"))


def test_an_archive_file_is_read_by_its_url(tmp_path: Path, jpeg: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.writestr("one.jpg", jpeg)
        archive.writestr("inner/two.jpg", jpeg)
    source = open_source(f"zip://::{tmp_path}/films.zip")
    assert paths(source) == ["one.jpg", "inner/two.jpg"]
    assert source.read(ListedFilm("inner/two.jpg", found=True), MOST) == jpeg


@pytest.mark.parametrize("given", ["nowhere", "nosuchstore://bucket/films", "file:///nowhere"])
def test_what_is_not_there_is_refused(given: str) -> None:
    with pytest.raises(SourceUnusable):
        list(open_source(given).list_films())


def test_credentials_are_no_part_of_a_name() -> None:
    assert open_source("sftp://jane:secret@host/films").name == "sftp://host/films"


def test_a_store_that_fails_for_a_moment_is_asked_again(
    folder: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = LocalFileSystem.cat_file, []

    def fail_twice(self: LocalFileSystem, path: str, **options: int) -> bytes:
        calls.append(path)
        if len(calls) < 3:
            raise TimeoutError
        content: bytes = whole(self, path, **options)
        return content

    monkeypatch.setattr(LocalFileSystem, "cat_file", fail_twice)
    monkeypatch.setattr("app.score.source.time.sleep", lambda _: None)
    assert open_source(f"file://{folder}").read(ListedFilm("z.jpg"), MOST) == jpeg
    assert len(calls) == 3
