"""Datasets of images: every form in which people have them, and the faults that some have."""

import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from api.datasets.ingest.image_archive import take_image_archive
from api.datasets.ingest.image_labels import label_images
from api.datasets.ingest.image_parquet import holds_images, take_image_parquet
from api.datasets.ingest.limits import ImageLimits
from shared.problems import Refused
from tests.support.archives import class_folders, picture, tar_of, zip_of
from tests.support.ingesting import run_ingest

LIMITS = ImageLimits(images=100, bytes=10_000_000, image_bytes=200_000, image_pixels=100_000)


@pytest.fixture
def take(tmp_path):
    """Return the facts about a zip of these files, or about these bytes."""

    def read(files, kind="zip", limits=LIMITS):
        content = files if isinstance(files, bytes) else zip_of(files)
        (tmp_path / "upload").write_bytes(content)
        return take_image_archive(tmp_path, kind, limits)

    return read


@pytest.fixture
def refusal(take):
    """Return the code, file and sentence of each problem in an archive."""

    def read(files, kind="zip", limits=LIMITS):
        with pytest.raises(Refused) as caught:
            take(files, kind, limits)
        return [(problem.code, problem.pointer, problem.detail) for problem in caught.value.problems]

    return read


def counts(facts):
    return {
        one["name"]: (one["unsplit"], one["train"], one["validation"], one["test"])
        for one in facts["images"]["classes"]
    }


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def rows_of(folder):
    return pq.read_table(folder / "data.parquet").to_pylist()


def metadata(*rows, header="file_name,label"):
    return "\n".join([header, *rows]).encode()


# Forms


@pytest.mark.parametrize("prefix", ["", "pets/", "./data/pets/"])
def test_a_folder_for_each_class_is_kept_with_the_uploaded_bytes(take, tmp_path, prefix):
    files = class_folders(prefix=prefix)
    facts = take(files)
    assert counts(facts) == {"cat": (2, 0, 0, 0), "dog": (2, 0, 0, 0)}
    assert facts["rows"] == 4
    assert (facts["images"]["width"], facts["images"]["height"], facts["images"]["channels"]) == (
        [8, 8],
        [6, 6],
        {"3": 4},
    )
    clean = prefix.removeprefix("./")
    assert [(row["path"], row["label"], row["split"], row["width"], row["height"]) for row in rows_of(tmp_path)] == [
        (f"{clean}{name}/{n}.png", name, "", 8, 6) for name in ("cat", "dog") for n in range(2)
    ]
    assert [row["image"] for row in rows_of(tmp_path)] == list(files.values())
    assert pq.read_schema(tmp_path / "data.parquet") == pa.schema(
        {"path": pa.string(), "label": pa.string(), "split": pa.string(), "image": pa.binary(), "width": pa.int32(),
         "height": pa.int32()}
    )  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "pets/"])
@pytest.mark.parametrize("validation", ["validation", "val", "Val"])
def test_folders_may_say_the_part(take, prefix, validation):
    files = {}
    for number, part in enumerate(("train", validation, "test")):
        files |= class_folders(number + 1, f"{prefix}{part}/", seed=1000 * number)
    assert counts(take(files)) == {"cat": (0, 1, 2, 3), "dog": (0, 1, 2, 3)}


def test_a_class_may_be_called_as_a_part_and_have_folders_below(take):
    files = {"train/1.png": picture(1), "bus/2.png": picture(2), "bus/red/3.png": picture(3)}
    assert counts(take(files)) == {"bus": (2, 0, 0, 0), "train": (1, 0, 0, 0)}


def test_files_that_are_no_data_are_left_out_and_named(take):
    junk = {"README": b"read me", "cat/notes.txt": b"x", ".DS_Store": b"\0", "__MACOSX/cat/._0.png": b"x",
            "dog/Thumbs.db": b"x", "cat/.hidden.png": b"x"}  # fmt: skip
    facts = take(class_folders() | junk)
    assert facts["rows"] == 4
    assert facts["left_out"] == ["README", "cat/notes.txt"]
    assert facts["warnings"] == [
        "files left out because they are not images: README, cat/notes.txt",
        "hidden files and files of the operating system left out: 4",
    ]


def test_an_image_is_known_by_its_bytes_where_its_name_says_nothing(take):
    assert take({"cat/one": picture(1), "dog/two.dat": picture(2, kind="WEBP")})["rows"] == 2


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_tars_are_taken_as_zips_are(take, mode, tar_format):
    long_name = "x" * 150
    files = class_folders(names=("cat", "hund" + long_name))
    assert counts(take(tar_of(files, mode, format=tar_format), "tar")) == {
        "cat": (2, 0, 0, 0),
        f"hund{long_name}": (2, 0, 0, 0),
    }


def test_a_table_beside_the_files_gives_the_labels_wherever_it_stands_in_the_archive(take):
    images = {f"pets/img/{number}.png": picture(number) for number in range(3)}
    table = {
        "pets/metadata.csv": metadata(
            "img/0.png,cat,x", "img/2.png,dog,y", "img/1.png,cat,z", header="file_name,label,by"
        )
    }
    for files in (images | table, table | images):
        facts = take(tar_of(files), "tar")
        assert counts(facts) == {"cat": (2, 0, 0, 0), "dog": (1, 0, 0, 0)}
        assert "pets/metadata.csv: left out the columns by" in facts["warnings"]


def test_each_part_may_have_its_table(take):
    files = {
        "train/a.png": picture(1), "train/b.png": picture(2), "train/metadata.csv": metadata("a.png,1", "b.png,2"),
        "val/c.png": picture(3), "val/metadata.csv": metadata("c.png,2"),
    }  # fmt: skip
    assert counts(take(files)) == {"1": (0, 1, 0, 0), "2": (0, 1, 1, 0)}
    one_table = {name: data for name, data in files.items() if name.endswith(".png")}
    one_table["metadata.csv"] = metadata("train/a.png,1", "train/b.png,2", "val/c.png,2")
    assert counts(take(one_table)) == {"1": (0, 1, 0, 0), "2": (0, 1, 1, 0)}


IMAGE_FORMATS = {
    "JPEG": ("JPEG", "RGB", "3"), "grey JPEG": ("JPEG", "L", "1"), "CMYK JPEG": ("JPEG", "CMYK", "3"),
    "PNG": ("PNG", "RGB", "3"), "PNG with alpha": ("PNG", "RGBA", "4"), "grey PNG": ("PNG", "L", "1"),
    "grey PNG with alpha": ("PNG", "LA", "4"), "palette": ("PNG", "P", "3"), "one bit": ("PNG", "1", "1"),
    "GIF": ("GIF", "P", "3"), "BMP": ("BMP", "RGB", "3"), "WebP": ("WEBP", "RGB", "3"),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGE_FORMATS)
def test_every_format_and_mode_is_decoded_and_its_channels_counted(take, tmp_path, name):
    kind, mode, channels = IMAGE_FORMATS[name]
    facts = take({"a/1.jpg": picture(1, kind=kind, mode=mode), "b/2.jpg": picture(2, kind=kind, mode=mode)})
    assert facts["images"]["channels"] == {channels: 2}
    thumbnails = pq.read_table(tmp_path / "thumbnails.parquet").to_pylist()
    assert [Image.open(io.BytesIO(row["image"])).size for row in thumbnails] == [(8, 6), (8, 6)]
    assert {row["type"] for row in thumbnails} == {"image/png"}


def test_what_a_model_will_not_see_is_a_warning(take, tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    animation, deep = io.BytesIO(), io.BytesIO()
    frames[0].save(animation, "GIF", save_all=True, append_images=frames[1:])
    Image.fromarray(np.full((4, 4), 65_535, dtype=np.uint16)).save(deep, "PNG")
    facts = take({"a/1.gif": animation.getvalue(), "b/3.png": deep.getvalue()})
    assert facts["warnings"] == [
        "animations, of which only the first frame is used: 1",
        "images with 16 bits per channel, reduced to 8: 1",
    ]
    rows = {row["path"]: row for row in pq.read_table(tmp_path / "thumbnails.parquet").to_pylist()}
    assert Image.open(io.BytesIO(rows["b/3.png"]["image"])).getpixel((0, 0)) == (255, 255, 255)


def test_an_image_is_turned_as_its_exif_data_says(take, tmp_path):
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (9, 4)).save(turned, "JPEG", exif=exif)
    facts = take({"a/1.jpg": turned.getvalue(), "b/2.jpg": turned.getvalue()})
    assert (facts["images"]["width"], facts["images"]["height"]) == ([4, 4], [9, 9])
    [first, _] = pq.read_table(tmp_path / "thumbnails.parquet").to_pylist()
    with Image.open(io.BytesIO(first["image"])) as small:
        assert (first["width"], first["height"], small.size) == (4, 9, (4, 9))


def test_the_same_picture_in_train_and_in_validation_is_a_warning_with_the_count(take):
    same = picture(1)
    files = {"train/a/1.png": same, "train/b/2.png": picture(2), "val/a/3.png": same, "val/a/4.png": same,
             "val/b/5.png": picture(2), "test/b/6.png": picture(6), "test/b/7.png": picture(6)}  # fmt: skip
    facts = take(files)
    assert (facts["images"]["duplicates"], facts["images"]["in_train_and_validation"]) == (7, 5)
    assert facts["warnings"] == [
        "duplicate images: 7",
        "images that are in both train and validation, so the validation metrics are too good: 5",
    ]


def test_a_class_that_cannot_be_trained_is_a_warning(take):
    files = class_folders(prefix="train/") | {"val/bird/1.png": picture(7)}
    assert take(files)["warnings"] == ["classes without an image to train on: bird"]


# Refusals


def test_every_broken_image_is_named_at_once(refusal):
    jpeg, png = picture(1, (300, 200), "JPEG"), picture(2, (100, 90))
    broken = {
        "cat/text.jpg": b"no image", "cat/half.jpg": jpeg[: len(jpeg) // 2], "dog/half.png": png[: len(png) // 2],
        "dog/empty.png": b"", "dog/svg.png": b"<svg/>", "dog/noise.gif": b"GIF89a" + b"\xff" * 50,
    }  # fmt: skip
    found = refusal(class_folders() | broken)
    assert sorted(pointer for _, pointer, _ in found) == sorted("#/files/" + name.replace("/", "~1") for name in broken)
    assert {code for code, _, _ in found} == {"bad_image"}
    sentences = {pointer: detail for _, pointer, detail in found}
    assert sentences["#/files/cat~1half.jpg"] == "is cut short and cannot be decoded"
    assert sentences["#/files/cat~1text.jpg"] == "is not an image; expected JPEG, PNG, GIF, BMP or WebP"


def test_of_very_many_broken_images_the_first_are_named_and_the_others_counted(refusal):
    found = refusal({f"elk/{number}.png": b"x" for number in range(80)} | class_folders())
    assert len(found) == 51
    assert found[-1][::2] == ("more_problems", "30 more problems are not listed")


@pytest.mark.parametrize(("name", "kind"), [("a.heic", "HEIC"), ("b.SVG", "SVG"), ("c.tiff", "TIFF")])
def test_an_image_of_another_format_is_named_and_never_left_out(refusal, name, kind):
    [(code, pointer, detail)] = refusal(class_folders() | {f"cat/{name}": b"x"})
    assert (code, pointer, kind in detail) == ("bad_entry", f"#/files/cat~1{name}", True)


@pytest.mark.parametrize("inner", ["more.zip", "more.tar.gz", "plain"])
def test_an_archive_inside_the_archive_is_refused(refusal, inner):
    [(_, pointer, detail)] = refusal(class_folders() | {f"cat/{inner}": zip_of({"a": b"x"})})
    assert (pointer, "archive inside the archive" in detail) == (f"#/files/cat~1{inner}", True)
    assert "inside the archive" in refusal(class_folders() | {"cat/x": tar_of({"a": b"x"})})[0][2]


def test_a_bomb_of_pixels_is_told_from_its_header(refusal):
    header = io.BytesIO()
    Image.new("1", (60_000, 10)).save(header, "PNG")
    content = bytearray(header.getvalue())
    content[20:24] = (60_000).to_bytes(4, "big")
    # A correct checksum, as in a real header.
    import zlib

    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    [(code, _, detail)] = refusal(class_folders() | {"cat/bomb.png": bytes(content)})
    assert (code, detail) == ("bad_image", "has 60000 x 60000 pixels, expected at most 100000")


def test_an_animation_of_ten_thousand_pictures_is_one_image(take):
    frames = [Image.new("1", (2, 2), number % 2) for number in range(2)]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:] * 9_999, optimize=False)
    assert take(class_folders() | {"cat/long.gif": content.getvalue()})["rows"] == 5


def test_an_image_of_too_many_bytes_is_not_read(refusal):
    [(code, _, _)] = refusal(class_folders() | {"cat/big.png": b"\0" * 300_000})
    assert code == "too_large"


def test_too_many_images_and_too_many_bytes_are_refused(refusal):
    few = ImageLimits(images=3, bytes=10_000_000, image_bytes=200_000, image_pixels=100_000)
    assert refusal(class_folders(), limits=few)[0][0] == "too_many_images"
    assert refusal({f"cat/{number}.txt": b"" for number in range(7)}, limits=few)[0][0] == "too_many_entries"
    small = ImageLimits(images=100, bytes=500, image_bytes=200_000, image_pixels=100_000)
    assert refusal(class_folders(), limits=small)[0][0] == "too_many_bytes"


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"cat/1.png": picture(1), "cat/2.png": picture(2)}, "one_class"),
        ({"1.png": picture(1), "2.png": picture(2)}, "no_labels"),
        ({"rows.csv": b"a,b\n1,2\n"}, "no_images"),
        (class_folders() | {"lost.png": picture(9)}, "no_label"),
        (class_folders(prefix="val/"), "no_training_images"),
        ({"cat/train/1.png": picture(1), "dog/train/2.png": picture(2)}, "split_inside_class"),
        ({"c" * 300 + "/1.png": picture(1), "dog/2.png": picture(2)}, "invalid_name"),
    ],
)
def test_images_without_two_classes_are_refused(refusal, files, code):
    assert {found for found, _, _ in refusal(files)} == {code}


def test_too_many_classes_are_refused(refusal, monkeypatch):
    monkeypatch.setattr("api.datasets.ingest.images.MOST_IMAGE_CLASSES", 2)
    assert refusal(class_folders(1, names=("a", "b", "c")))[0][0] == "too_many_classes"


def test_a_table_is_compared_with_the_files_row_by_row(refusal):
    images = {f"{number}.png": picture(number) for number in range(4)}
    table = metadata("0.png,cat", "gone.png,dog", "1.png,cat", "1.png,dog", "1.png,cat", "2.png,", "3.png")
    found = refusal(images | {"metadata.csv": table})
    assert [(code, detail) for code, _, detail in found] == [
        ("missing_file", 'line 3 names "gone.png", which is not an image of this archive'),
        ("duplicate_row", 'line 5 names "1.png" as "cat" before'),
        ("duplicate_row", 'line 6 names "1.png" again'),
        ("no_label", "line 7 has no label"),
        ("ragged_row", "line 8 does not have as many cells as the header"),
        ("no_label", "is not listed in any metadata.csv"),
        ("no_label", "is not listed in any metadata.csv"),
    ]


@pytest.mark.parametrize(
    ("table", "code"),
    [
        (b"file,label\n", "missing_column"),
        (b"", "missing_column"),
        (b"file_name,label,label\na,b,c\n", "missing_column"),
        (b"file_name,label\n\xff,x\n", "not_utf8"),
        (b'file_name,label\n"0.png,x\n', "unreadable"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(table, code):
    assert label_images([], {"metadata.csv": table}).problems[0].code == code


def test_problems_of_labels_and_broken_images_come_together(refusal):
    found = refusal(class_folders() | {"lost.png": picture(9), "cat/bad.png": b"x"})
    assert {code for code, _, _ in found} == {"no_label", "bad_image"}


# Parquet


@pytest.fixture
def parquet(tmp_path):
    """Return the facts about a Parquet file with these columns."""

    def read(columns, metadata=None, limits=LIMITS):
        table = pa.table(columns).replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / "upload")
        assert holds_images(tmp_path / "upload")
        return take_image_parquet(tmp_path, limits)

    return read


def test_bytes_and_labels_in_parquet_are_images(parquet, tmp_path):
    images = [picture(number) for number in range(3)]
    facts = parquet({"image": images, "label": ["cat", "dog", "cat"], "extra": [1, 2, 3]})
    assert counts(facts) == {"cat": (2, 0, 0, 0), "dog": (1, 0, 0, 0)}
    assert (facts["left_out"], facts["warnings"]) == (["extra"], ["left out the columns extra"])
    assert [(row["path"], row["image"]) for row in rows_of(tmp_path)] == [
        (f"row {number + 1}", image) for number, image in enumerate(images)
    ]


def test_the_form_of_hugging_face_has_paths_and_names_of_classes(parquet, tmp_path):
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    info = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    images = [{"bytes": picture(number), "path": f"{number}.png"} for number in range(2)]
    assert counts(parquet({"image": images, "label": [1, 0]}, info)) == {"cat": (1, 0, 0, 0), "dog": (1, 0, 0, 0)}
    assert [row["path"] for row in rows_of(tmp_path)] == ["0.png", "1.png"]


def test_what_is_kept_can_be_uploaded_again(take, tmp_path):
    first = take(class_folders(prefix="train/") | class_folders(1, "val/", seed=500))
    (tmp_path / "data.parquet").replace(tmp_path / "upload")
    again = take_image_parquet(tmp_path, LIMITS)
    assert (again["images"], again["data_sha256"]) == (first["images"], first["data_sha256"])


def test_every_row_that_is_no_image_is_named(parquet):
    images = [picture(1), None, b"x", picture(4), picture(5)]
    with pytest.raises(Refused) as caught:
        parquet({"image": images, "label": ["a", "b", "a", None, "b"], "split": ["", "", "", "", "later"]})
    assert [(problem.pointer, problem.code) for problem in caught.value.problems] == [
        ("#/files/row 2", "no_image"), ("#/files/row 3", "bad_image"), ("#/files/row 4", "no_label"),
        ("#/files/row 5", "no_label"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "limits", "code"),
    [
        ({"image": [b"x"]}, LIMITS, "missing_column"),
        ({"image": [b"x"], "label": [1.5]}, LIMITS, "unsupported_type"),
        ({"image": [b"x"] * 101, "label": ["a"] * 101}, LIMITS, "too_many_images"),
        ({"image": [b"x" * 90] * 9, "label": ["a"] * 9}, ImageLimits(100, 500, 1000, 100), "too_many_bytes"),
    ],
)
def test_parquet_that_cannot_be_taken_is_refused(parquet, columns, limits, code):
    with pytest.raises(Refused) as caught:
        parquet(columns, limits=limits)
    assert caught.value.problems[0].code == code


def test_other_columns_of_that_name_are_a_table(tmp_path):
    pq.write_table(pa.table({"image": ["a"], "label": ["b"]}), tmp_path / "text.parquet")
    pq.write_table(pa.table({"image": [{"path": "a"}]}), tmp_path / "paths.parquet")
    assert not holds_images(tmp_path / "text.parquet")
    assert not holds_images(tmp_path / "paths.parquet")


# In the process that parses an upload, and over HTTP


def test_images_larger_together_than_the_memory_are_taken_in_pieces(tmp_path):
    """315 MB, in a process that may use 256 MB more than at its start."""
    some = [picture(number, (512, 512), "BMP") for number in range(4)]
    files = ((f"{name}/{at}.bmp", some[at % 4][:-2] + at.to_bytes(2, "big")) for name in "ab" for at in range(200))
    (tmp_path / "upload").write_bytes(tar_of(files))
    answer = run_ingest(tmp_path, format="tar", memory_bytes=256_000_000)
    assert (answer["facts"]["rows"], answer["facts"]["images"]["duplicates"]) == (400, 400)
    assert pq.ParquetFile(tmp_path / "data.parquet").num_row_groups > 10


def put(client, content, dataset_id="pets"):
    return client.put(f"/datasets/{dataset_id}?name=pets.zip", data=content)


def test_an_archive_becomes_a_dataset_that_is_listed_shown_and_deleted(client, volume):
    content = zip_of(class_folders())
    answer = put(client, content)
    shown = answer.json
    assert (answer.status_code, shown["kind"], shown["source_format"], shown["rows"]) == (201, "images", "zip", 4)
    assert (shown["columns"], shown["arrays"]) == ([], [])
    assert client.get("/datasets/pets").json == shown
    assert client.get("/datasets").json["data"] == [shown]
    assert put(client, content).status_code == 200
    assert put(client, zip_of(class_folders(3))).status_code == 409
    assert names_in(volume.dataset_folder("pets")) == ["data.parquet", "dataset.json", "thumbnails.parquet"]
    assert client.delete("/datasets/pets").status_code == 204
    assert client.get("/datasets/pets/images").status_code == 404


@pytest.mark.parametrize("field", ["image", "path", "label", "type", "split"])
def test_thumbnails_that_somebody_planted_on_the_volume_are_a_damaged_record(client, volume, field):
    """One value of 8 MB for 50,000 rows: 400 GB if each row held a copy."""
    assert put(client, zip_of(class_folders(3))).status_code == 201
    path = volume.dataset_folder("pets") / "thumbnails.parquet"
    row = pq.read_table(path).slice(0, 1)
    rows = row.take(np.zeros(50_000, np.int64))
    indices = pa.array(np.zeros(50_000, np.int32))
    kind = rows.schema.field(field).type
    long = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 8_000_000]).cast(kind))
    pq.write_table(rows.set_column(rows.schema.get_field_index(field), field, long), path)
    answer = client.get("/datasets/pets/images")
    assert (answer.status_code, answer.json["code"]) == (500, "damaged_record")


def test_a_refused_archive_leaves_nothing_behind(client, volume):
    answer = put(client, zip_of(class_folders() | {"cat/bad.png": b"x"}))
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "#/files/cat~1bad.png")
    assert names_in(volume.datasets) == []


def test_how_to_read_cells_means_nothing_for_images(client):
    answer = client.put("/datasets/pets?column_kinds=a:text", data=zip_of(class_folders()))
    assert [one["code"] for one in answer.json["errors"]] == ["no_table"]


def test_thumbnails_come_as_data_uris_class_by_class(client):
    files = class_folders(30) | {"elk/1.jpg": picture(1, (400, 200), "JPEG")}
    put(client, zip_of(files))
    page = client.get("/datasets/pets/images?limit=4").json
    assert [one["path"] for one in page["data"]] == ["cat/0.png", "dog/0.png", "elk/1.jpg", "cat/1.png"]
    assert page["has_more"] is True
    elk = page["data"][2]
    assert (elk["label"], elk["split"], elk["width"], elk["height"]) == ("elk", "", 400, 200)
    with Image.open(io.BytesIO(content_of(elk["thumbnail"], "image/jpeg"))) as small:
        assert small.size == (96, 48)
    of_class = client.get("/datasets/pets/images?class=dog&limit=100").json
    assert [one["path"] for one in of_class["data"]] == [f"dog/{number}.png" for number in range(24)]
    assert of_class["has_more"] is False
    assert content_of(of_class["data"][0]["thumbnail"], "image/png").startswith(b"\x89PNG")


def content_of(uri, media_type):
    from base64 import b64decode

    prefix = f"data:{media_type};base64,"
    assert uri.startswith(prefix)
    return b64decode(uri.removeprefix(prefix))


def test_what_has_no_thumbnails_is_404_and_a_bad_query_422(client):
    client.put("/datasets/wine", data=b"a,b\n1,2\n")
    put(client, zip_of(class_folders()))
    for path in ("nothing/images", "wine/images", "pets/images?class=bird"):
        assert client.get(f"/datasets/{path}").status_code == 404
    for query in ("limit=0", "limit=101", "klass=cat"):
        assert client.get(f"/datasets/pets/images?{query}").status_code == 422


def test_each_kind_has_a_size_limit_of_its_own(client, settings):
    """The limit for tables is 200,000 bytes in these tests."""
    noise = os.urandom(210_000)
    assert client.put("/datasets/t", data=b"a,b\n" + b"1,2\n" * 60_000).status_code == 413
    files = class_folders(20, names=tuple("abcdefghijklmnopqrstuvwxyz")) | {"notes.txt": noise}
    assert put(client, zip_of(files)).status_code == 201
    table = io.BytesIO()
    pq.write_table(pa.table({"a": [noise.hex()], "b": ["x"]}), table)
    answer = client.put("/datasets/p", data=table.getvalue())
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "too_large")


@pytest.mark.parametrize(
    ("changes", "kind"), [({"max_image_dataset_bytes": 2000}, "tar"), ({"max_dataset_images": 3}, "zip")]
)
def test_the_limits_are_settings(settings, changes, kind):
    from api import create_app
    from tests.support.keys import authorized

    limited = authorized(create_app(settings.model_copy(update=changes)))
    content = tar_of(class_folders()) if kind == "tar" else zip_of(class_folders(), zipfile.ZIP_DEFLATED)
    assert put(limited, content).status_code == (413 if kind == "tar" else 422)
    assert names_in(settings.volume / "datasets") == []
