"""Uploaded archives: an unsafe entry is refused with a sentence that names it."""

import contextlib
import gzip
import stat
import struct
import tarfile
import unicodedata
import warnings
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.archive import read_archive, survey_archive
from api.archive.entries import ArchiveLimits
from shared.problems import Refused
from tests.support.archives import tar_of, zip_of

LIMITS = ArchiveLimits(entries=20, bytes=100_000)


def no_heads(_name):
    return False


@pytest.fixture
def survey(tmp_path):
    """Survey an archive with these bytes."""

    def read(content, kind="zip", limits=LIMITS, wants_head=no_heads):
        path = tmp_path / "upload"
        path.write_bytes(content)
        return survey_archive(path, kind, limits, wants_head)

    return read


@pytest.fixture
def refusal(survey):
    """Return the problems of an archive."""

    def read(content, kind="zip", limits=LIMITS):
        with pytest.raises(Refused) as caught:
            survey(content, kind, limits)
        return caught.value.problems

    return read


def zip_entry(name, mode=0, flags=0):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.flag_bits |= flags
    return info


def tar_entry(name, kind=tarfile.REGTYPE, **values):
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in values.items():
        setattr(info, field, value)
    return info


BAD_NAMES = {
    "../a.png": "has .. in its name",
    "cat/../../a.png": "has .. in its name",
    "/etc/passwd": "has an absolute name",
    "C:/a.png": "has a drive letter",
    "cat\\a.png": "has a backslash",
    "cat/a\x1b[2J.png": "has a control character",
    "cat/\u202egnp.a": "has a control character",
    "c" * 5000 + ".png": "has a name of 5004 characters",
}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", BAD_NAMES, ids=[str(number) for number in range(len(BAD_NAMES))])
def test_a_name_that_leads_elsewhere_or_cannot_be_shown_is_refused(refusal, kind, name):
    pack = zip_of if kind == "zip" else tar_of
    [problem] = refusal(pack({name: b"x", "cat/fine.png": b"y"}), kind)
    assert BAD_NAMES[name] in problem.detail
    assert problem.pointer.startswith("#/files/")
    assert problem.pointer.isprintable()


def test_a_nul_in_a_name_of_a_zip_does_not_hide_what_follows(refusal):
    content = zip_of({"cat/a.png_.exe": b"x"}).replace(b"a.png_.exe", b"a.png\0.exe")
    assert "control character" in refusal(content)[0].detail


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat/a.png", "cat/A.png"),
        ("cat/a.png", "Cat/b.png"),
        ("é/a.png", unicodedata.normalize("NFD", "é/b.png")),
        ("straße/a.png", "strasse/b.png"),
    ],
)
def test_names_that_differ_by_case_or_unicode_form_alone_are_refused(refusal, kind, one, other):
    pack = zip_of if kind == "zip" else tar_of
    [problem] = refusal(pack({one: b"x", other: b"y"}), kind)
    assert "differs from" in problem.detail


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_two_entries_of_one_name_are_refused(refusal, kind):
    pack = zip_of if kind == "zip" else tar_of
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = pack([("cat/a.png", b"x"), ("./cat//a.png", b"y")])
    assert "is in the archive twice" in refusal(content, kind)[0].detail


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (zip_entry("link", stat.S_IFLNK | 0o777), "is a link"),
        (zip_entry("pipe", stat.S_IFIFO), "is a device, a FIFO or a socket"),
        (zip_entry("disk", stat.S_IFBLK), "is a device, a FIFO or a socket"),
    ],
)
def test_what_is_no_file_in_a_zip_is_refused(refusal, entry, sentence):
    assert sentence in refusal(zip_of([(entry, b"/etc/passwd")]))[0].detail


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (tar_entry("link", tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
        (tar_entry("link", tarfile.LNKTYPE, linkname="cat/a.png"), "is a link"),
        (tar_entry("pipe", tarfile.FIFOTYPE), "is a device, a FIFO or a socket"),
        (tar_entry("disk", tarfile.BLKTYPE), "is a device, a FIFO or a socket"),
        (tar_entry("null", tarfile.CHRTYPE), "is a device, a FIFO or a socket"),
        (tar_entry("holes", tarfile.GNUTYPE_SPARSE), "is a sparse file"),
    ],
)
def test_what_is_no_file_in_a_tar_is_refused(refusal, entry, sentence):
    assert sentence in refusal(tar_of([(entry, b"")], format=tarfile.GNU_FORMAT), "tar")[0].detail


def test_an_encrypted_entry_is_refused(refusal):
    content = bytearray(zip_of({"cat/a.png": b"x"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    assert "is encrypted" in refusal(bytes(content))[0].detail


def test_an_unusual_compression_is_refused(refusal):
    assert "unusual method" in refusal(zip_of({"cat/a.png": b"x"}, zipfile.ZIP_LZMA))[0].detail


def test_all_entries_that_are_refused_are_named_at_once(refusal):
    files = [(zip_entry("link", stat.S_IFLNK), b""), ("/a", b""), ("b\\c", b""), ("../d", b"")]
    assert [problem.pointer for problem in refusal(zip_of(files))] == [
        "#/files/link", "#/files/~1a", "#/files/b\\c", "#/files/..~1d",
    ]  # fmt: skip
    assert len(refusal(zip_of({f"/{n}": b"" for n in range(120)}), limits=ArchiveLimits(1000, 1000))) == 51


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_entries_are_refused(refusal, kind):
    pack = zip_of if kind == "zip" else tar_of
    [problem] = refusal(pack({f"cat/{number}.png": b"" for number in range(21)}), kind)
    assert (problem.code, "more than 20 entries" in problem.detail) == ("too_many_entries", True)


def test_a_zip_bomb_is_told_from_its_directory(refusal):
    assert refusal(zip_of({"a": b"\0" * 10**6}, zipfile.ZIP_DEFLATED))[0].code == "too_many_bytes"


@pytest.mark.parametrize("files", [{"a": b"\0" * 10**6}, {f"a{number}": b"\0" * 20_000 for number in range(6)}])
def test_a_tar_that_opens_to_too_much_is_refused_while_it_is_read(refusal, files):
    assert refusal(tar_of(files, "w:gz"), "tar")[0].code == "too_many_bytes"


def test_what_follows_the_end_of_a_tar_counts_too(refusal):
    content = gzip.compress(tar_of({"a": b"x"}) + b"\0" * 10**6)
    assert refusal(content, "tar")[0].code == "too_many_bytes"


def test_entries_of_a_zip_that_share_their_bytes_are_refused(refusal):
    """The directory of a zip bomb lists one compressed file many times; here twice."""
    content = zip_of({"a": b"\0" * 1000, "b": b"\0" * 1000}, zipfile.ZIP_DEFLATED)
    directory = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", directory + 1)
    overlapping = bytearray(content)
    overlapping[second + 42 : second + 46] = struct.pack("<I", 0)
    assert any("shares its bytes" in problem.detail for problem in refusal(bytes(overlapping)))


def entries_read(path, kind):
    return {one.name: one.read(one.size) for one in read_archive(path, kind, lambda _: True)}


def test_a_wrong_checksum_and_a_lying_header_are_named_when_the_entry_is_read(survey, tmp_path):
    good = zip_of({"cat/a.png": b"abcdefgh", "cat/b.png": b"x"})
    survey(good.replace(b"abcdefgh", b"abcdefgX", 1))
    with pytest.raises(Refused, match=r"cat~1a[.]png: is damaged or cut short: its checksum is wrong"):
        entries_read(tmp_path / "upload", "zip")
    survey(good.replace(b"cat/a.png", b"cat/c.png", 1))
    with pytest.raises(Refused, match="its headers contradict each other"):
        entries_read(tmp_path / "upload", "zip")


def test_a_zip_that_is_cut_anywhere_is_damaged(refusal):
    content = zip_of({"cat/a.png": b"x" * 200, "cat/b.png": b"y"})
    for length in range(4, len(content) - 1, 7):
        assert refusal(content[:length])[0].code == "damaged_archive"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_that_is_cut_anywhere_before_its_end_is_damaged(refusal, mode):
    content = tar_of({"cat/a.png": bytes(range(256)) * 9, "cat/b.png": b"y" * 600}, mode)
    end = len(tar_of({"a": b""})) - 512 if mode == "w" else 0
    for length in range(600, len(content) - end, 97):
        assert refusal(content[:length], "tar")[0].code == "damaged_archive"


def test_a_damaged_header_in_the_middle_of_a_tar_is_not_its_end(refusal):
    content = bytearray(tar_of({"a": b"x", "b": b"y", "c": b"z"}))
    content[1024 + 148 : 1024 + 156] = b"0000000\0"
    assert refusal(bytes(content), "tar")[0].code == "damaged_archive"


def test_a_wrong_checksum_of_gzip_is_damage(refusal):
    content = bytearray(tar_of({"a": b"x"}, "w:gz"))
    content[-6] ^= 1
    assert refusal(bytes(content), "tar")[0].code == "damaged_archive"


def test_a_negative_size_and_headers_without_end_are_damage(refusal):
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert refusal(bytes(header) + b"\0" * 1024, "tar")[0].code == "damaged_archive"
    chain = tarfile.TarInfo("x")
    chain.type, chain.size = tarfile.XHDTYPE, 0
    assert refusal(chain.tobuf(tarfile.USTAR_FORMAT) * 3000 + b"\0" * 1024, "tar")[0].code == "damaged_archive"


@pytest.mark.parametrize(("kind", "mode"), [("zip", None), ("tar", "w"), ("tar", "w:gz")])
def test_files_come_back_in_order_with_clean_names_and_their_first_bytes(survey, tmp_path, kind, mode):
    files = {"./cat/b.png": b"B" * 2000, "cat/a.png": b"A", "dog//c": b""}
    content = zip_of(files) if kind == "zip" else tar_of([("cat", b""), *files.items()][1:], mode)
    found = survey(content, kind, wants_head=lambda name: name.endswith("b.png"))
    assert [(one.name, one.size) for one in found] == [("cat/b.png", 2000), ("cat/a.png", 1), ("dog/c", 0)]
    assert [len(one.head) for one in found] == [512, 0, 0]
    assert entries_read(tmp_path / "upload", kind) == {"cat/b.png": b"B" * 2000, "cat/a.png": b"A", "dog/c": b""}


def test_utf_8_names_of_programs_that_do_not_say_so_are_read(survey):
    content = zip_of({"xx/a.png": b"x"}).replace(b"xx/", "é/".encode()[:2] + b"/")
    assert [one.name for one in survey(content)] == ["é/a.png"]


@settings(max_examples=60)
@given(data=st.data())
def test_no_damage_of_an_archive_is_anything_but_a_refusal(tmp_path_factory, data):
    kind = data.draw(st.sampled_from(["zip", "tar", "gz"]))
    files = {"cat/a.png": b"abc" * 100, "dog/b.png": b"x"}
    content = bytearray({"zip": zip_of(files), "tar": tar_of(files), "gz": tar_of(files, "w:gz")}[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "upload"
    path.write_bytes(content)
    as_kind = "zip" if kind == "zip" else "tar"
    with contextlib.suppress(Refused):
        survey_archive(path, as_kind, LIMITS, lambda _: True)
        entries_read(path, as_kind)
