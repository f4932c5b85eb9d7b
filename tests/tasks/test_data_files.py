"""Test data files: each way to write the same rows gives those rows; unclear files are refused."""

import bz2
import codecs
import csv
import gzip
import json
import lzma
import os
import re

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from pytest_ftcompare.tasks import DataError, files

ROWS = [
    {"text": "the server is down", "kind": "urgent"},
    {"text": 'it says "error", twice', "kind": "urgent"},
    {"text": "NA", "kind": "calm"},
    {"text": "2020-01-01 00:00:00", "kind": "calm"},
    {"text": "tab\there; and two\nlines", "kind": "calm"},
]
LINES = "".join(f"{json.dumps(row)}\n" for row in ROWS).encode()


def read(path, **format):
    return [
        row
        for file in files.files_of(path.parent, path.name)
        for row in files.rows(file, files.Format(**format))
    ]


def table(path, *, rows=ROWS, delimiter=",", quoting=csv.QUOTE_MINIMAL, end="\n", **format):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(
            file, delimiter=delimiter, quoting=quoting, lineterminator=end, **format
        )
        writer.writerows([rows[0].keys(), *(row.values() for row in rows)])
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES),
        ("a.JSONL", LINES),
        ("a.ndjson", LINES),
        ("a.json", LINES),
        ("b.json", json.dumps(ROWS, indent=1).encode()),
        ("c.jsonl", codecs.BOM_UTF8 + LINES),
        ("d.jsonl", LINES.replace(b"\n", b"\r\n")),
        ("e.jsonl", LINES.replace(b"\n", b"\n\n") + b"  \n"),
        ("a.jsonl.gz", gzip.compress(LINES, mtime=0)),
        ("a.Json.GZ", gzip.compress(json.dumps(ROWS).encode(), mtime=0)),
        ("a.jsonl.bz2", bz2.compress(LINES)),
        ("a.jsonl.xz", lzma.compress(LINES)),
    ],
)
def test_json_gives_the_same_rows_in_each_form(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path / name) == ROWS


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize(
    ("suffix", "delimiter"),
    [("csv", ","), ("csv", ";"), ("csv", "\t"), ("csv", "|"), ("TSV", "\t")],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_gives_the_same_rows_in_each_dialect(tmp_path, suffix, delimiter, quoting, end):
    assert (
        read(table(tmp_path / f"a.{suffix}", delimiter=delimiter, quoting=quoting, end=end)) == ROWS
    )


def test_a_text_of_a_table_is_not_converted(tmp_path):
    """A text that looks like a missing value, a number or a date stays text."""
    rows = [
        {"text": text, "kind": "calm"}
        for text in ("NA", "null", "1.0", "007", "true", "None", "nan")
    ]
    assert read(table(tmp_path / "a.csv", rows=rows)) == rows


def test_arrow_gives_the_rows_in_each_of_its_files(tmp_path):
    rows = Dataset.from_list(ROWS)
    rows.to_parquet(tmp_path / "a.PARQUET")
    rows.save_to_disk(tmp_path / "saved")
    (tmp_path / "a.arrow").write_bytes(
        (tmp_path / "saved" / "data-00000-of-00001.arrow").read_bytes()
    )
    for name in ("a.PARQUET", "a.arrow", "saved"):
        assert read(tmp_path / name) == ROWS, name


def test_a_parquet_file_that_was_rewritten_with_its_old_time_is_read_anew(tmp_path):
    path = tmp_path / "a.parquet"
    Dataset.from_list(ROWS).to_parquet(path)
    times = path.stat()
    assert read(path) == ROWS
    other = [row | {"text": row["text"].swapcase()} for row in ROWS]
    Dataset.from_list(other).to_parquet(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read(path) == other


def test_a_column_whose_file_names_its_classes_gives_names(tmp_path):
    features = Features({"text": Value("string"), "kind": ClassLabel(names=["urgent", "calm"])})
    Dataset.from_list(
        [{"text": row["text"], "kind": row["kind"]} for row in ROWS], features=features
    ).to_parquet(tmp_path / "a.parquet")
    assert list(files.rows(tmp_path / "a.parquet", files.Format(), classes=True)) == ROWS
    assert [row["kind"] for row in files.rows(tmp_path / "a.parquet", files.Format())] == [
        0,
        0,
        1,
        1,
        1,
    ]


def test_all_shards_are_read_in_their_order(tmp_path):
    rows = Dataset.from_list([{"text": str(number)} for number in range(6)])
    for number in range(3):
        rows.shard(3, number, contiguous=True).to_parquet(
            tmp_path / f"train-{number:05}-of-00003.parquet"
        )
    assert [int(row["text"]) for row in read(tmp_path / "train-*.parquet")] == list(range(6))


@pytest.mark.parametrize("name", ["data[1]", "data*", "da?a1"])
def test_a_file_whose_name_is_also_a_pattern_is_read_itself(tmp_path, name):
    Dataset.from_list(ROWS[:2]).to_parquet(tmp_path / "data1.parquet")
    Dataset.from_list(ROWS[2:]).to_parquet(tmp_path / f"{name}.parquet")
    assert read(tmp_path / f"{name}.parquet") == ROWS[2:]


@pytest.mark.parametrize("kind", ["numpy", "torch", "pandas"])
def test_a_saved_data_set_is_read_without_its_format(tmp_path, kind):
    rows = Dataset.from_list([{"text": row["text"], "kind": 1} for row in ROWS])
    rows.set_format(kind, columns=["kind"])
    rows.save_to_disk(tmp_path / "saved")
    assert read(tmp_path / "saved") == [{"text": row["text"], "kind": 1} for row in ROWS]


def test_only_the_name_is_a_pattern(tmp_path):
    for folder in ("of [me]", "of m"):
        (tmp_path / folder).mkdir()
    (tmp_path / "of [me]" / "a.jsonl").write_bytes(LINES)
    (tmp_path / "of m" / "b.jsonl").write_bytes(LINES)
    root = tmp_path / "of [me]"
    assert files.files_of(root, "*.jsonl") == [root / "a.jsonl"]
    assert files.files_of(root, f"{tmp_path}/of m/*.jsonl") == [tmp_path / "of m" / "b.jsonl"]
    assert files.files_of(root, "../of m/*.jsonl") == [root / ".." / "of m" / "b.jsonl"]


@pytest.mark.parametrize("digest", ["", "-a09b74b3ef9c3b5{number}"])
@pytest.mark.parametrize("named", ["train-00000-of-00003*.parquet", "train-*.parquet"])
def test_a_missing_shard_is_refused(tmp_path, named, digest):
    rows = Dataset.from_list(ROWS)
    for number in (0, 2):
        rows.to_parquet(
            tmp_path / f"train-{number:05}-of-00003{digest.format(number=number)}.parquet"
        )
    with pytest.raises(
        DataError,
        match=r"expected all 3 shards of .*train, number 1 is missing: name them as train-\*.parq",
    ):
        read(tmp_path / named)


def test_a_folder_of_splits_gives_the_split_that_is_asked_for(tmp_path):
    DatasetDict(train=Dataset.from_list(ROWS[:3]), test=Dataset.from_list(ROWS[3:])).save_to_disk(
        tmp_path / "both"
    )
    assert read(tmp_path / files.split_of(tmp_path, "both", "test")) == ROWS[3:]
    with pytest.raises(
        DataError, match=r"expected the rows of one split, .* has test, train: name .*test"
    ):
        read(tmp_path / files.split_of(tmp_path, "both", "validation"))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.xlsx", "expected rows in .jsonl, .*; got .*a.xlsx: convert it to one of these"),
        ("a", "expected rows in .jsonl, .*; got "),
        ("none.csv", r"expected rows in .*none.csv, there is no such file: .* has a, a.xlsx"),
        ("none-*.csv", r"expected files that match .*none-\*.csv, there are none"),
        ("folder", "expected a file, .* is a folder that Dataset.save_to_disk did not write"),
        ("*.?s*", "expected files of one format, .* matches .csv and .jsonl"),
    ],
)
def test_a_file_that_no_reader_takes_is_refused(tmp_path, name, sentence):
    for one in ("a.xlsx", "a", "b.csv", "b.jsonl"):
        (tmp_path / one).write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=sentence):
        files.files_of(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "a.jsonl",
            b'{"a": 1, "b": 2, "a": 3}',
            "expected each key once in .*, line 1 has the key 'a' twice",
        ),
        (
            "a.json",
            b'[{"a": {"a": [1, 2]}} ,\n {"b": [{"a": 1, "b": 2, "a": 3}]}]',
            "expected each key once in .*, element 2 has the key 'a' twice",
        ),
        ("a.json", b'[{"a": 1}, 2]', "element 2 is int"),
        ("a.json", b'[{"a": 1' + b"0" * 5000 + b"}]", "it is none .Exceeds the limit"),
        ("a.jsonl", b"[" * 10**5, "line 1 is not JSON .it is nested too deeply"),
        ("a.json", b'[{"a": 1}', "expected a JSON list of objects in .*, it is none"),
        (
            "a.jsonl.gz",
            gzip.compress(LINES, mtime=0)[:40],
            "expected a whole compressed file in .*, it cannot be unpacked",
        ),
        (
            "a.jsonl.gz",
            gzip.compress(LINES, mtime=0)[:12] + b"\xff" * 40,
            "expected a whole compressed file in .*, it cannot be unpacked",
        ),
        ("a.jsonl", "text".encode("utf-16"), "it begins as UTF-16 does: set format = { encoding"),
        ("a.csv", "text,kind\n".encode("utf-16-le"), "found NUL: if it is UTF-16"),
        (
            "a.csv",
            b"text,kind\n\xe9,calm\n",
            "expected UTF-8 in .*, the byte at offset 10 is not UTF-8",
        ),
        (
            "a.csv",
            b"version https://git-lfs.github.com/spec/v1\n",
            "it is a pointer of Git LFS: fetch it",
        ),
        (
            "a.parquet",
            b"version https://git-lfs.github.com/spec/v1\n",
            "it is a pointer of Git LFS: fetch it",
        ),
        ("a.parquet", b"text,kind\n", "expected a .parquet file in .*, its content is none"),
        (
            "a.arrow",
            b"PAR1" * 9,
            "expected a .arrow file in .*, its content is .parquet: name it by what it is",
        ),
        ("a.parquet", b"PAR1" * 9, "expected a whole table in .*, it cannot be read"),
        (
            "a.csv",
            b"text,kind,text\na,b,c\n",
            "expected each column once in .*, 'text' is there twice",
        ),
        ("a.csv", b"text, text\na, b\n", "expected each column once"),
        ("a.csv", b"text,kind\na,b\nc\n", "its header has 2 columns, line 3 has another number, 1"),
        ("a.csv", b"text,kind\na,b,c\n", "its header has 2 columns, line 2 has another number, 3"),
        (
            "a.csv",
            b'text,kind\n"a" b,c\n',
            "line 2 has a quote where none can be .*: double the quotes within a text",
        ),
        (
            "a.csv",
            b"a;b,c\n1;2,3\n",
            r"columns may be separated by ',' and ';': set one, such as format = { delimiter =",
        ),
        (
            "a.tsv",
            b'text\tkind\n"a"\tb\n',
            'whether quotes enclose a text or belong to it, line 2 has "a": set format',
        ),
        (
            "a.csv",
            b'text\tkind\n"a"\tb\n',
            'whether quotes enclose a text or belong to it, line 2 has "a": set format',
        ),
        # The quoted reading has fewer rows.
        (
            "a.tsv",
            b'text\tkind\n"To be\tb\nfine\tb\nthe end"\tc\nnice\tb\n',
            'whether quotes enclose a text or belong to it, line 2 has "To be: set format',
        ),
        ("a.csv", "a,b\n\ue00d,c\n".encode(), r"expected no character U\+E00D"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused_with_its_line(
    tmp_path, name, content, sentence
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        (
            "a.tsv",
            'text\tkind\nsay "hi" now\tcalm\n"x\tcalm\n',
            ['say "hi" now', '"x'],
        ),  # quotes are text
        ("a.tsv", 'text\tkind\n"say ""hi"" now"\tcalm\n', ['say "hi" now']),  # quotes enclose
        ("a.tsv", '"text"\t"kind"\n"x"\t"calm"\n', ["x"]),
        ("a.tsv", 'text\tkind\n"""x"" y"\tcalm\n""\t""\n', ['"x" y']),
        ("a.tsv", '"text"\t"kind"\n"two\nlines"\t"calm"\n', ["two\nlines"]),
        ("a.tsv", "text\tkind\na\rb\tcalm\n", ["a\rb"]),
        ("a.csv", "text,kind\na\rb,calm\r\n", ["a\rb"]),
        ("a.csv", "text,kind\ra,calm\rb,calm\r", ["a", "b"]),  # an old Mac's
        ("a.csv", "\ufefftext,kind\na,calm\n", ["a"]),
        ("a.csv", " text , kind\na, calm\n", ["a"]),
        ("a.csv", 'text, kind\n"a, b", calm\n', ["a, b"]),
        ("a.csv", "text,kind\na,calm\n\n,\nb,calm\n \n", ["a", "b"]),
        ("a.csv", "sep=;\ntext;kind\na,b;calm\n", ["a,b"]),
        ("a.csv", 'text,kind\n5" pipe,calm\n', ['5" pipe']),
    ],
)
def test_the_file_shows_its_dialect(tmp_path, name, content, texts):
    (tmp_path / name).write_bytes(content.encode())
    assert read(tmp_path / name) == [{"text": text, "kind": "calm"} for text in texts]


@pytest.mark.parametrize(
    ("content", "format", "rows"),
    [
        (b'a\tb\n"x"\ty\n', {"quote": ""}, [{"a": '"x"', "b": "y"}]),
        (b'a\tb\n"x"\ty\n', {"quote": '"'}, [{"a": "x", "b": "y"}]),
        (b"a\tb\n'x\ty'\tz\n", {"quote": "'"}, [{"a": "x\ty", "b": "z"}]),
        (b'a\tb\n"x \\" y"\tz\n', {"escape": "\\"}, [{"a": 'x " y', "b": "z"}]),
        (b'a\tb\n"x\\\\ y"\tz\n', {"escape": "\\"}, [{"a": "x\\ y", "b": "z"}]),
        (b"a;b\nx;y\n", {"delimiter": ";"}, [{"a": "x", "b": "y"}]),
        ("a\tb\né\ty\n".encode("latin-1"), {"encoding": "latin-1"}, [{"a": "é", "b": "y"}]),
        ("a\tb\né\ty\n".encode("utf-16"), {"encoding": "utf-16"}, [{"a": "é", "b": "y"}]),
    ],
)
def test_the_format_of_a_task_counts(tmp_path, content, format, rows):
    (tmp_path / "a.tsv").write_bytes(content)
    assert read(tmp_path / "a.tsv", **format) == rows


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "expected format to be a table of delimiter, quote, escape, encoding, got []"),
        ({"sep": ";"}, "expected delimiter, quote, escape, encoding in format, found sep"),
        ({"delimiter": ",,"}, "expected delimiter in format to be one character, got ',,'"),
        ({"delimiter": ""}, "expected delimiter in format to be one character, got ''"),
        ({"quote": 1}, "expected quote in format to be a text, got 1"),
        ({"encoding": "rot13"}, "expected an encoding that Python knows in format, got 'rot13'"),
        ({"encoding": "utf-9"}, "expected an encoding that Python knows in format, got 'utf-9'"),
    ],
)
def test_an_invalid_format_is_refused(given, sentence):
    with pytest.raises(DataError, match=re.escape(sentence)):
        files.make_format(given)


def test_an_escape_that_escapes_nothing_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text('text,kind\n"say \\"x\\"\ny",calm\nC:\\new,calm\n')
    with pytest.raises(DataError, match=r"line 4 has '\\\\n', where \\ escapes nothing: double it"):
        read(tmp_path / "a.csv", escape="\\")


def test_the_format_of_a_task_may_be_empty():
    assert files.make_format({}) == files.Format()
    assert files.make_format({"quote": ""}) == files.Format(quote="")
