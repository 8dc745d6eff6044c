"""Datasets of arrays: every form of npz file that people save, and the files that are refused."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers

from api.datasets.ingest import npy
from api.datasets.ingest.arrays import take_arrays
from shared.dataset import hash_files
from shared.problems import Refused
from tests.support.archives import npz_of, zip_of
from tests.support.ingesting import run_ingest

MOST_BYTES = 10_000_000
X, Y = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def take(tmp_path):
    """Return the facts about an npz file, with its arrays by name and part."""

    def read(content=None, **arrays):
        (tmp_path / "upload").write_bytes(npz_of(**arrays) if content is None else content)
        facts = take_arrays(tmp_path, MOST_BYTES)
        return facts | {"by_name": {(one["name"], one["part"]): one for one in facts["arrays"]}}

    return read


@pytest.fixture
def refusal(take):
    """Return the codes and pointers of the problems in an npz file."""

    def read(content=None, **arrays):
        with pytest.raises(Refused) as caught:
            take(content, **arrays)
        return [(problem.code, problem.pointer) for problem in caught.value.problems]

    return read


def kept(folder, name):
    return np.load(folder / "arrays" / f"{name}.npy", mmap_mode="r", allow_pickle=False)


def npy_bytes(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def test_inputs_target_and_weights_of_both_parts_are_kept_as_files(take, tmp_path):
    weights = np.array([1, 2, 3, 4, 5, 6.5])
    facts = take(x=X, y=Y, sample_weight=weights, x_validation=X[:2] * 10, y_validation=Y[:2])
    assert facts["rows"] == 8
    assert [(one["name"], one["role"], one["part"], one["shape"], one["dtype"]) for one in facts["arrays"]] == [
        ("x", "input", "training", [6, 4], "float32"),
        ("y", "target", "training", [6], "int64"),
        ("sample_weight", "sample_weight", "training", [6], "float64"),
        ("x", "input", "validation", [2, 4], "float32"),
        ("y", "target", "validation", [2], "int64"),
    ]
    y = facts["by_name"]["y", "training"]
    assert (y["minimum"], y["maximum"], y["non_finite"]) == (0.0, 2.0, 0)
    assert y["values"] == [{"value": value, "rows": 2} for value in range(3)]
    assert facts["by_name"]["x", "training"]["values"] is None
    assert np.array_equal(kept(tmp_path, "x_validation"), X[:2] * 10)
    files = sorted((tmp_path / "arrays").iterdir())
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert [file.name for file in files] == [
        "sample_weight.npy", "x.npy", "x_validation.npy", "y.npy", "y_validation.npy",
    ]  # fmt: skip
    lines = "".join(f"{sums[file.name]}  {file.name}\n" for file in files)
    assert facts["data_sha256"] == hash_files(sums) == hashlib.sha256(lines.encode()).hexdigest()


def test_inputs_may_have_names_of_their_own(take):
    facts = take(image=X, age=Y, y=Y > 0)
    assert {name: one["role"] for (name, _), one in facts["by_name"].items()} == {
        "image": "input", "age": "input", "y": "target",
    }  # fmt: skip
    assert facts["by_name"]["y", "training"]["values"] == [{"value": False, "rows": 2}, {"value": True, "rows": 4}]


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u1", "<i2", ">i2", "<u4", "<i8", ">i8", "<u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_type_and_order_is_kept_plain(tmp_path, dtype, order, compressed):
    x = np.asarray(np.arange(120).reshape(6, 4, 5) % 100, dtype=dtype, order=order)
    (tmp_path / "upload").write_bytes(npz_of(compressed, x=x, y=Y))
    [profile, _] = take_arrays(tmp_path, MOST_BYTES)["arrays"]
    found = kept(tmp_path, "x")
    assert np.array_equal(found, x)
    assert (found.flags.c_contiguous, found.dtype.isnative, found.dtype.name) == (True, True, profile["dtype"])


@settings(max_examples=40)
@given(
    x=numbers.arrays(
        st.sampled_from(["<f4", ">f8", "i1", ">u2", "?"]), numbers.array_shapes(min_dims=1, max_dims=4, max_side=7)
    ),
    is_fortran=st.booleans(),
)
def test_small_blocks_give_what_one_block_gives(tmp_path_factory, x, is_fortran):
    folder = tmp_path_factory.mktemp("npy")
    content = io.BytesIO(npy_bytes(np.asarray(x, order="F" if is_fortran else "C")))
    header = npy.read_header(content.read, len(content.getvalue()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npy, "_BLOCK_BYTES", 24)
        blocks = list(npy.read_blocks(content.read, header, folder))
    joined = np.concatenate(blocks).reshape(header.shape)
    np.testing.assert_array_equal(joined, x)


def test_numbers_of_an_input_that_are_not_finite_are_counted(take):
    holes = X.copy()
    holes[0, :2] = [np.nan, np.inf]
    facts = take(x=holes, y=Y)
    profile = facts["by_name"]["x", "training"]
    assert (profile["non_finite"], profile["minimum"], profile["maximum"]) == (2, 2.0, 23.0)
    assert facts["warnings"] == ["x holds 2 numbers that are NaN or infinite"]


def test_a_target_or_weight_that_is_not_finite_is_refused(refusal):
    bad = np.array([1.0, np.nan, 1, 1, 1, 1])
    assert refusal(x=X, y=bad, sample_weight=bad) == [
        ("not_finite", "#/arrays/y"),
        ("not_finite", "#/arrays/sample_weight"),
    ]


def test_a_target_of_very_many_values_lists_none(take):
    many = np.arange(1001)
    profile = take(x=many.astype("f4"), y=many)["by_name"]["y", "training"]
    assert (profile["values"], profile["maximum"]) == (None, 1000.0)


OBJECTS = np.array([print, None] * 3, dtype=object)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (OBJECTS, "Python objects .a pickle., which are never loaded"),
        (np.array(["a"] * 6), "expected integers, float16"),
        (np.array([b"a"] * 6), "expected integers, float16"),
        (np.zeros(6, "M8[s]"), "expected integers, float16"),
        (np.zeros(6, "c8"), "expected integers, float16"),
        (np.zeros(6, "f4, f4"), "expected integers, float16"),
        (np.zeros(6, np.longdouble), "expected integers, float16"),
        (np.array(5), "is a single number"),
        (np.zeros((0, 4)), "which is empty"),
        (np.zeros((6, 0)), "which is empty"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_by_a_sentence_of_its_own(take, array, sentence):
    with pytest.raises(Refused, match=sentence) as caught:
        take(x=array, y=Y)
    assert caught.value.problems[0].pointer == "#/arrays/x"


def test_no_pickle_is_loaded_whatever_the_header_says(refusal, tmp_path):
    marker = tmp_path / "ran"

    class Harm:
        def __reduce__(self):
            return open, (str(marker), "w")

    content = io.BytesIO()
    np.save(content, np.array([Harm()] * 6, dtype=object), allow_pickle=True)
    lying = content.getvalue().replace(b"'|O'", b"'u1'")
    assert refusal(zip_of({"x.npy": content.getvalue(), "y.npy": lying})) == [
        ("bad_array", "#/arrays/x"), ("bad_array", "#/arrays/y"),
    ]  # fmt: skip
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00", npy_bytes(X)[:40], b"\x93NUMPY\x01\x00\x10\x00" + b"{" * 16,
     b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535,
     npy_bytes(X).replace(b"(6, 4)", b"(9, 4)"), npy_bytes(X).replace(b"(6, 4)", b"(6,-4)"), npy_bytes(X)[:-1],
     npy_bytes(X) + b"x", npy_bytes(X).replace(b"(6, 4), ", b"(10**9,"), b"PK", b"x" * 500],
)  # fmt: skip
def test_a_damaged_npy_file_is_named(refusal, content):
    assert refusal(zip_of({"x.npy": content, "y.npy": npy_bytes(Y)})) == [("bad_array", "#/arrays/x")]


@pytest.mark.parametrize(
    ("arrays", "problems"),
    [
        ({"x": X}, [("missing_array", "#")]),
        ({"y": Y}, [("missing_array", "#")]),
        ({"arr_0": X, "arr_1": Y}, [("missing_array", "#")]),
        ({"x": X, "y": Y[:4]}, [("different_rows", "#/arrays/y")]),
        ({"x": X, "y": Y, "x_validation": X}, [("missing_array", "#/arrays/y")]),
        ({"x": X, "y": Y, "x_validation": X, "y_validation": Y[:3]}, [("different_rows", "#/arrays/y_validation")]),
        ({"x": X, "y": Y, "x_validation": X[:, :3], "y_validation": Y}, [("different_shape", "#/arrays/x_validation")]),
        ({"x": X, "y": Y, "x_validation": X > 1, "y_validation": Y}, [("different_type", "#/arrays/x_validation")]),
        ({"x": X, "y": Y, "x_validation": X, "y_validation": Y, "z_validation": X},
         [("missing_array", "#/arrays/z_validation")]),
        ({"x": X, "y": Y, "sample_weight": X}, [("wrong_shape", "#/arrays/sample_weight")]),
        ({"x": X, "y": Y, "1": X}, [("invalid_name", "#/arrays/1")]),
        ({"x": X, "y": Y, "a/b": X}, [("invalid_name", "#/arrays/a~1b")]),
        ({"x": X, "y": Y, "X": X}, [("bad_entry", "#/files/X.npy")]),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_together_are_named(refusal, arrays, problems):
    assert refusal(npz_of(**arrays)) == problems


def test_another_file_in_an_npz_file_is_refused(refusal):
    assert refusal(zip_of({"x.npy": npy_bytes(X), "y.npy": npy_bytes(Y), "README": b"x"})) == [
        ("invalid_name", "#/arrays/README")
    ]


def test_weights_may_be_of_the_training_alone_and_a_type_may_be_wider(take):
    take(x=X, y=Y, sample_weight=np.ones(6), x_validation=X.astype("f8"), y_validation=Y.astype("i4"))


def test_too_many_bytes_and_a_wrong_checksum_are_refused(refusal, tmp_path):
    assert refusal(npz_of(compressed=True, x=np.zeros((100, 20_000)), y=np.zeros(100))) == [("too_many_bytes", "#")]
    content = npz_of(x=X, y=Y)
    place = content.index(X.tobytes())
    assert refusal(content[:place] + b"\xff" + content[place + 1 :]) == [("damaged_archive", "#/files/x.npy")]


# In the process that parses an upload, and over HTTP


@pytest.mark.parametrize("is_fortran", [False, True])
def test_arrays_larger_than_the_memory_are_taken_in_pieces(tmp_path, is_fortran):
    """120 MB, in a process that may use 80 MB more than at its start."""
    shape = (30_000, 1000)
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "f4", shape, fortran_order=is_fortran).flush()
    with zipfile.ZipFile(tmp_path / "upload", "w") as archive:
        archive.write(tmp_path / "x.npy", "x.npy")
        archive.writestr("y.npy", npy_bytes(np.zeros(30_000, "i1")))
    answer = run_ingest(tmp_path, format="npz", memory_bytes=80_000_000)
    assert answer["facts"]["arrays"][0]["shape"] == list(shape)
    assert (tmp_path / "arrays" / "x.npy").stat().st_size == 120_000_128


def test_an_npz_file_becomes_a_dataset(client, volume):
    content = npz_of(x=X, y=Y)
    answer = client.put("/datasets/a?name=a.npz", data=content)
    shown = answer.json
    assert (answer.status_code, shown["kind"], shown["source_format"], shown["rows"]) == (201, "arrays", "npz", 6)
    assert [one["name"] for one in shown["arrays"]] == ["x", "y"]
    assert (shown["columns"], shown["images"]) == ([], None)
    assert client.get("/datasets/a").json == shown
    assert client.get("/datasets/a/images").status_code == 404
    folder = volume.dataset_folder("a")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "arrays", "arrays/x.npy", "arrays/y.npy", "dataset.json",
    ]  # fmt: skip
    assert client.put("/datasets/a", data=content).status_code == 200
    assert client.delete("/datasets/a").status_code == 204
    assert not folder.exists()


def test_a_refused_npz_file_leaves_nothing_behind(client, volume):
    answer = client.put("/datasets/a", data=npz_of(x=OBJECTS, y=Y))
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "#/arrays/x")
    assert list(volume.datasets.iterdir()) == []
