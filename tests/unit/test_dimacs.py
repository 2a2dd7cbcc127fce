"""DIMACS: what is read, what is refused and where, and SATLIB's sets certified in full."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile

import pytest

from datagen import dimacs_files
from datagen.config import DimacsConfig
from datagen.dataset import build_dataset, read_split
from datagen.dimacs import parse_dimacs, read_dimacs
from datagen.solver import satisfies
from reward_fns.registry import score
from tests.benchmarks import benchmark, num_formulas

PLAIN = "c a comment\np cnf 3 2\n1 -2 0\n2 3 0\n"


def test_a_plain_file_is_read():
    instance = parse_dimacs(PLAIN, "a.cnf")
    assert (instance.num_vars, instance.clauses) == (3, [[1, -2], [2, 3]])


@pytest.mark.parametrize(
    "text",
    [
        PLAIN + "%\n0\n\n",
        PLAIN + "%\nanything at all",
        "p cnf 3 2\n1 -2\n0 2 3 0\n",
        "p  cnf  3   2  \n 1 -2 0 2 3 0",
        "\n\nc x\np cnf 3 2\nc inside\n1 -2 0\n\n2 3 0\r\n",
        "  c x\n \tp cnf 3 2\n c inside\n1 -2 0\n 2 3 0\n %\n0\n",
        "c a\f b\x85 c\u2028p cnf 1 1\np cnf 3 2\r1 -2 0\r\n2 3 0\r",
    ],
)
def test_the_formats_freedoms_are_read(text):
    assert parse_dimacs(text, "a.cnf").clauses == [[1, -2], [2, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.cnf:0: no header"),
        ("c only\n", r"a\.cnf:1: no header"),
        ("1 2 0\n", r"a\.cnf:1: '1 2 0' before the header"),
        ("p cnf 3\n1 0\n", r"a\.cnf:1: header 'p cnf 3' is not"),
        ("p dnf 3 1\n1 0\n", r"a\.cnf:1: header 'p dnf 3 1' is not"),
        ("p cnf -3 1\n1 0\n", r"a\.cnf:1: header"),
        ("p cnf 3 1\np cnf 3 1\n1 0\n", r"a\.cnf:2: a second header"),
        ("p cnf 0 1\n1 0\n", r"a\.cnf:1: 0 variables"),
        ("p cnf 3 0\n", r"a\.cnf:1: 3 variables and 0 clauses"),
        ("p cnf 10001 1\n1 0\n", r"a\.cnf:1: 10001 variables"),
        ("p cnf 3 1\n1 x 0\n", r"a\.cnf:2: 'x' is not an integer"),
        ("p cnf 3 1\n1 2.0 0\n", r"a\.cnf:2: '2.0' is not an integer"),
        ("p cnf 3 1\n1 \uff12 0\n", r"a\.cnf:2: '\uff12' is not an integer"),
        ("p cnf 3 1\n" + "9" * 5000 + " 0\n", r"a\.cnf:2: '9{37}\.\.\.' is not an integer"),
        ("p cnf 3 2\n1 0\n4 0\n", r"a\.cnf:3: literal 4 is beyond the header's 3"),
        ("p cnf 3 2\n1 0\n0\n", r"a\.cnf:3: an empty clause"),
        ("p cnf 3 2\n1 0\n2 3\n", r"a\.cnf:3: the last clause is not closed"),
        ("p cnf 3 3\n1 0\n2 3 0\n", r"a\.cnf:3: 2 clauses, the header says 3"),
        ("p cnf 3 1\n1 0\n2 3 0\n", r"a\.cnf:3: 2 clauses, the header says 1"),
        ("p cnf 3 0\n", "an empty formula is true of every assignment: it poses no problem"),
        ("p cnf 0 0\n", "an empty formula is true of every assignment: it poses no problem"),
        ("p cnf 0 1\n0\n", "an empty clause makes a formula unsatisfiable: it poses no problem"),
        ("p cnf 2 2\n1 0 0\n", r":2: an empty clause makes the formula unsatisfiable: it poses"),
    ],
)
def test_malformed_files_are_refused_with_file_and_line(text, message):
    with pytest.raises(ValueError, match=message):
        parse_dimacs(text, "a.cnf")


def archive(path, members):
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                file.addfile(info)
            else:
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return path


def test_files_folders_and_archives_are_read_in_order_of_names(tmp_path):
    folder = tmp_path / "set"
    (folder / "inner").mkdir(parents=True)
    (folder / "b.cnf").write_text(PLAIN)
    (folder / "inner" / "a.dimacs").write_text(PLAIN)
    (folder / "c.cnf.gz").write_bytes(gzip.compress(PLAIN.encode()))
    (folder / "readme.txt").write_text("not a formula")
    packed = archive(
        tmp_path / "set.tar.gz", {"x/b.cnf": PLAIN.encode(), "x/a.cnf": PLAIN.encode(), "x/r": b""}
    )
    names = {
        path: [instance.name for instance in read_dimacs(path)]
        for path in (folder, folder / "b.cnf", folder / "c.cnf.gz", packed)
    }
    assert names[folder] == ["b.cnf", "c.cnf.gz", "inner/a.dimacs"]
    assert names[folder / "b.cnf"] == ["b.cnf"]
    assert names[folder / "c.cnf.gz"] == ["c.cnf.gz"]
    assert names[packed] == ["x/a.cnf", "x/b.cnf"]


def test_nothing_of_an_archive_is_unpacked_and_links_are_passed_over(tmp_path):
    members = {"../../evil.cnf": PLAIN.encode(), "/absolute.cnf": PLAIN.encode(), "link.cnf": None}
    packed = archive(tmp_path / "evil.tar.gz", members)
    before = sorted(tmp_path.rglob("*"))
    assert len(read_dimacs(packed)) == 2
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent.parent / "evil.cnf").exists()


PACKERS = {"": bytes, ".gz": gzip.compress, ".XZ": lzma.compress, ".bz2": bz2.compress}


def zipped(members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


def tarred(members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return data.getvalue()


@pytest.mark.parametrize("suffix", PACKERS)
def test_every_way_of_packing_is_read(suffix, tmp_path):
    formula = b"\xef\xbb\xbf" + PLAIN.encode()
    pack = PACKERS[suffix]
    members = {f"x/a.cnf{suffix}": pack(formula), "x/B.CNF": formula, "x/._a.cnf": b"\0\5\x16\7"}
    members |= {"x/c.cnf.zip": zipped({"c.cnf": formula}), "notes.txt": b"other"}
    names = [f"x/a.cnf{suffix}", "x/B.CNF", "x/c.cnf.zip/c.cnf"]
    folder = tmp_path / "folder"
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / f"set.tar{suffix}").write_bytes(pack(tarred(members)))
    (folder / "set.zip").write_bytes(zipped(members))
    inner = ["notes.txt", "x/._a.cnf"]
    for path in (folder / f"set.tar{suffix}", folder / "set.zip"):
        ignored = []
        assert [i.name for i in read_dimacs(path, ignored)] == sorted(names)
        assert sorted(ignored) == inner
    ignored = []
    found = [instance.name for instance in read_dimacs(folder, ignored)]
    packed = [f"{one}/{name}" for one in (f"set.tar{suffix}", "set.zip") for name in names]
    assert found == sorted(names + packed)
    assert len(ignored) == 3 * len(inner)
    (alone,) = read_dimacs(folder / names[0])
    assert (alone.name, alone.clauses) == (f"a.cnf{suffix}", [[1, -2], [2, 3]])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.cnf.zst", b"\x28\xb5\x2f\xfd....", "a.cnf.zst is a Zstandard file, which is not read"),
        ("a.cnf", b"7z\xbc\xaf\x27\x1c\0\4", "a.cnf is a 7-Zip archive, which is not read"),
        ("a.cnf.Z", b"\x1f\x9d\x90", r"a.cnf.Z is a compress \(.Z\) file, which is not read"),
        ("a.cnf", "p cnf 1 1\n1 0\n".encode("utf-16"), "a.cnf is UTF-16 text, which is not read"),
        ("a.cnf", b"\x7fELF\2\1\1\0", "a.cnf is an ELF program, which is not read"),
        ("a.cnf", b"p cnf 1 1\n\0", "a.cnf is a binary file, which is not read"),
        ("a.cnf.gz", gzip.compress(b"x")[:-3], "a.cnf.gz is not a readable gzip file"),
        ("a.cnf.xz", lzma.compress(b"x" * 999)[:-20], "a.cnf.xz is not a readable xz file"),
        ("a.cnf.bz2", bz2.compress(b"x")[:-3], "a.cnf.bz2 is not a readable bzip2 file"),
        ("a.zip", zipped({"a.cnf": b""})[:40], "a.zip is not a readable zip archive"),
        ("a.tar.xz", b"", "a.tar.xz is not a readable tar archive"),
        ("a.tar", tarred({"b.tar": b"no archive" * 99}), "b.tar is not a readable tar archive"),
        ("a.tar", tarred({"b.cnf": b"1 \0"}), "a.tar:b.cnf is a binary file"),
    ],
)
def test_what_is_not_read_is_named_as_what_it_is(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(ValueError, match=message) as caught:
            read_dimacs(path)
        assert "\n" not in str(caught.value) and str(caught.value).isprintable()


def test_two_formulas_of_one_name_are_refused(tmp_path):
    for name in ("a.cnf", "a.dimacs", "a.cnf.gz", "a.b.cnf"):
        content = PLAIN.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    config = DimacsConfig(type="dimacs", path=str(tmp_path), style="compact")
    build_dataset(config, tmp_path / "data", seed=0)
    ids = [row.id for row in read_split(tmp_path / "data", "test")]
    assert ids == ["sat:a.b.cnf", "sat:a.cnf", "sat:a.cnf.gz", "sat:a.dimacs"]
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        for name in ("x/a.cnf", "./x/a.cnf"):
            info = tarfile.TarInfo(name)
            info.size = len(PLAIN)
            file.addfile(info, io.BytesIO(PLAIN.encode()))
    (tmp_path / "set.tar").write_bytes(data.getvalue())
    with pytest.raises(ValueError, match=r"set\.tar: two formulas are called 'x/a\.cnf'"):
        read_dimacs(tmp_path / "set.tar")


def test_what_unpacking_may_produce_is_bounded(tmp_path, monkeypatch):
    bomb = b"c " + b"0" * 3_000_000
    monkeypatch.setattr(dimacs_files, "MAX_FILE_BYTES", 1_000_000)
    for name, content in (
        ("a.cnf.gz", gzip.compress(bomb)), ("a.cnf.xz", lzma.compress(bomb)),
        ("a.zip", zipped({"b.cnf": bomb})), ("a.tar.bz2", bz2.compress(tarred({"b.cnf": bomb}))),
        ("b.tar", tarred({"b.cnf.bz2": bz2.compress(bomb)})),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="is larger than 1000000 bytes"):
            read_dimacs(tmp_path / name)
    monkeypatch.setattr(dimacs_files, "MAX_ARCHIVE_BYTES", 2_000_000)
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(tarred({"other": bomb})))
    with pytest.raises(ValueError, match=r"c\.tar\.gz unpacks to more than 2000000 bytes"):
        read_dimacs(tmp_path / "c.tar.gz")
    deep = zipped({"a.cnf": PLAIN})
    for _ in range(5):
        deep = zipped({"a.zip": deep})
    (tmp_path / "deep.zip").write_bytes(deep)
    with pytest.raises(ValueError, match="archives in archives, over 3 deep"):
        read_dimacs(tmp_path / "deep.zip")


def test_files_that_are_no_formulas_are_told(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("readme.txt", "._a.cnf", ".DS_Store"):
        (tmp_path / "in" / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / "in" / "a.cnf").write_text(PLAIN)
    config = DimacsConfig(type="dimacs", path=str(tmp_path / "in"))
    manifest = build_dataset(config, tmp_path / "data", seed=0)
    assert manifest.dropped == {"other files (.DS_Store, ._a.cnf, readme.txt)": 3}


@pytest.mark.parametrize("keep", [0, 40, -20, -1])
def test_a_broken_archive_is_refused_by_name(keep, tmp_path):
    packed = archive(tmp_path / "set.tar.gz", {"a.cnf": PLAIN.encode()})
    packed.write_bytes(packed.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"set\.tar\.gz is not a readable tar archive"):
        read_dimacs(packed)


def test_the_error_in_an_archive_names_the_member_and_line(tmp_path):
    packed = archive(tmp_path / "set.tar.gz", {"x/a.cnf": b"p cnf 2 1\n1 3 0\n"})
    with pytest.raises(ValueError, match=r"x/a\.cnf:2: literal 3"):
        read_dimacs(packed)


@pytest.mark.parametrize("name", ["missing.cnf", "empty"])
def test_no_formula_at_a_path_is_an_error(name, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=name):
        read_dimacs(tmp_path / name)


def test_clauses_of_mixed_length_make_a_dataset(tmp_path):
    (tmp_path / "mixed.cnf").write_text("p cnf 4 3\n1 0\n-1 2 -3 4 0\n3 -4 0\n")
    config = DimacsConfig(type="dimacs", path=str(tmp_path / "mixed.cnf"), style="compact")
    manifest = build_dataset(config, tmp_path / "data", seed=0)
    (row,) = read_split(tmp_path / "data", "test")
    assert row.prompt == "+1 ; -1 +2 -3 +4 ; +3 -4 ="
    assert json.loads(row.difficulty)["label"] == "n4 k4 m3"
    assert score("sat", "sat", row.answer, row.env).value == 1.0
    assert manifest.chance["test"] == {"all_true": 1.0, "majority": 1.0, "random": 0.3125}


def test_the_seed_does_not_matter_and_the_formulas_do(tmp_path):
    (tmp_path / "a.cnf").write_text(PLAIN)
    config = DimacsConfig(type="dimacs", path=str(tmp_path / "a.cnf"))
    first = build_dataset(config, tmp_path / "first", seed=0)
    assert build_dataset(config, tmp_path / "second", seed=1).dataset_hash == first.dataset_hash
    assert build_dataset(config, tmp_path / "first", seed=2) == first
    (tmp_path / "a.cnf").write_text(PLAIN.replace("2 3 0", "2 -3 0"))
    with pytest.raises(ValueError, match="another config or seed"):
        build_dataset(config, tmp_path / "first", seed=0)


@pytest.mark.parametrize(
    ("name", "size", "satisfiable"),
    [
        ("uf20-91", (20, 91), True),
        ("uf50-218", (50, 218), True),
        ("uuf50-218", (50, 218), False),
    ],
)
def test_satlib_is_certified_in_full(name, size, satisfiable, tmp_path):
    archive = benchmark(f"satlib/{name}.tar.gz")
    count = num_formulas(archive)
    assert count >= 12
    config = DimacsConfig(type="dimacs", path=str(archive))
    manifest = build_dataset(config, tmp_path / "data", seed=0)
    rows = list(read_split(tmp_path / "data", "test"))
    assert len({row.id for row in rows}) == len(rows) == manifest.splits["test"].num_rows == count
    for row in rows:
        env = json.loads(row.env)
        assert (env["num_vars"], len(env["clauses"])) == size
        assert env["satisfiable"] is satisfiable
        assert (row.answer == "UNSAT") is not satisfiable
        assert score("sat", "sat", row.answer, row.env).value == 1.0
        assert score("sat", "sat", "UNSAT", row.env).value == float(not satisfiable)
        if satisfiable:
            flips_score_as_the_formula_says(row, env)


def flips_score_as_the_formula_says(row, env):
    values = [word.endswith("True") for word in row.answer.split(", ")]
    for variable in range(len(values)):
        flipped = [value ^ (v == variable) for v, value in enumerate(values)]
        text = ", ".join(f"x{v}={value}" for v, value in enumerate(flipped, 1))
        wanted = float(satisfies(flipped, env["clauses"]))
        assert score("sat", "sat", text, row.env).value == wanted
        assert score("sat_affine", "sat", text, row.env).value == wanted
