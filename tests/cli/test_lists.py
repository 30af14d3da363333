"""The commands that list results and jobs: whole keys, filters, and what is damaged."""

import json
import os
import pty
import select
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from kit.results.made_up import put_result
from kit.results.stored import KEY, PROVENANCE, dataset, put
from typer.testing import CliRunner

from braindash.cli import app
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue

RUN = CliRunner()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def listed(store, *more):
    done = RUN.invoke(app, ["list", "--store", str(store.root), *more])
    assert done.exit_code == 0, done.output
    return done


COLUMNS = (20, 60, 78, 160)
IN_EACH_WIDTH = """
import os, sys
from braindash.cli import app
for columns in sys.argv[1].split():
    os.environ["COLUMNS"] = columns
    app(sys.argv[2:], standalone_mode=False)
    print(end="\\f", flush=True)
"""


def in_terminal(*arguments):
    """Run a command in a terminal, once in each of ``COLUMNS``; gives what it told by width."""
    main, side = pty.openpty()
    widths = " ".join(map(str, COLUMNS))
    process = subprocess.Popen(
        [sys.executable, "-c", IN_EACH_WIDTH, widths, *map(str, arguments)],
        stdout=side,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(side)
    told = b""
    while select.select([main], [], [], 120)[0]:
        try:
            told += os.read(main, 65536)
        except OSError:  # the other side was closed
            break
    os.close(main)
    assert process.wait() == 0
    *pages, rest = told.decode().split("\f")
    assert not rest
    return dict(zip(COLUMNS, pages, strict=True))


@pytest.fixture(scope="module")
def in_a_terminal(tmp_path_factory):
    """Keys of two results, and how they are listed in terminals."""
    store = Store(tmp_path_factory.mktemp("terminal") / "store")
    keys = [put_result(store, subject=name, space="roi") for name in ("S1", "S2")]
    return keys, in_terminal("list", "--store", store.root)


def test_in_a_pipe_every_result_is_one_line_with_its_whole_key(store):
    keys = [put_result(store, subject=name, space="roi") for name in ("S1", "a\tsubject of\nmany")]
    lines = listed(store).stdout.splitlines()
    assert {line.split("\t")[0] for line in lines} == set(keys)
    assert all(line.count("\t") == 7 for line in lines)


@pytest.mark.parametrize("columns", COLUMNS)
def test_a_key_is_never_cut_in_a_terminal(in_a_terminal, columns):
    keys, told = in_a_terminal
    assert all(key[:8] in told[columns] for key in keys) and "…" not in told[columns]


def test_the_newest_result_comes_first(store):
    for key, created in (("aa" * 16, "2026-01-02"), ("bb" * 16, "2026-01-03"), (KEY, "2026-01-01")):
        entry = put(store, key)
        text = (entry.folder / "provenance.json").read_text().replace("2026-01-01", created)
        (entry.folder / "provenance.json").write_text(text)
    assert [row["created"][-1] for row in json.loads(listed(store, "--json").stdout)] == [*"321"]


def test_filters_choose_by_kind_model_and_subject(store):
    tuned = put_result(store, subject="S1", space="roi", model="tiny-tuned")
    base = put_result(store, subject="S2", space="roi", model="tiny")

    def keys(*more):
        return [row["key"] for row in json.loads(listed(store, *more, "--json").stdout)]

    assert keys("--model", "TUNED") == [tuned] and set(keys("--model", "tiny")) == {tuned, base}
    assert keys("--subject", "S2") == [base] and keys("--subject", "S") == []
    assert set(keys("--kind", "encoding")) == {tuned, base} and keys("--kind", "probing") == []
    assert listed(store, "--subject", "nobody").stdout == ""
    assert "None of the 2" in listed(store, "--subject", "nobody").stderr
    wrong = RUN.invoke(app, ["list", "--store", str(store.root), "--kind", "encodings"])
    assert wrong.exit_code == 2 and "encoding, probing" in wrong.output.replace("│", "")


def test_region_tables_are_listed_when_they_are_asked_for(store):
    result = put_result(store, subject="S1", space="roi", model="tiny-tuned")
    spec = {"kind": "regions", "version": 1, "result": result, "name": "hcp-mmp1", "masks": "0"}
    made = store.put("regions", KEY, spec=spec, provenance=PROVENANCE, dataset=dataset())
    lost = spec | {"result": "ab" * 16}
    store.put("regions", "cd" * 16, spec=lost, provenance=PROVENANCE, dataset=dataset())
    assert KEY not in listed(store).stdout
    rows = {
        one["key"]: one for one in json.loads(listed(store, "--kind", "regions", "--json").stdout)
    }
    assert rows[KEY]["of"] == f"S1, hcp-mmp1 (of {result[:8]})"
    assert rows[KEY]["folder"] == str(made.folder) and rows[KEY]["kind"] == "regions"
    assert rows["cd" * 16]["of"].startswith("a result that is gone, hcp-mmp1")
    lines = listed(store, "--kind", "regions", "--subject", "S1").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [KEY]
    shown = RUN.invoke(app, ["show", KEY[:8], "--store", str(store.root)])
    assert f"braindash show {result} --regions hcp-mmp1" in " ".join(shown.exception.hint.split())


def test_a_store_without_region_tables_says_how_they_come(store):
    put_result(store, space="roi")
    assert "--regions NAME" in listed(store, "--kind", "regions").stderr


def test_a_damaged_result_is_listed_with_its_path(store):
    good = put_result(store, space="roi")
    folder = put(store).folder
    (folder / "spec.json").write_text("[1]")
    done = listed(store)
    assert good in done.stdout and KEY not in done.stdout
    assert f"Damaged, not read: {folder}: spec.json is JSON, but no object" in done.stderr
    rows = {row["key"]: row for row in json.loads(listed(store, "--json").stdout)}
    assert rows[good]["damaged"] is None and rows[KEY]["folder"] == str(folder)
    assert rows[KEY]["damaged"] == "spec.json is JSON, but no object"
    moved = ["export", good[:8], "--to", str(store.root / "x.zip"), "--store", str(store.root)]
    assert RUN.invoke(app, moved).exit_code == 0


def test_an_odd_record_of_a_tuned_model_is_listed(store):
    folder = store.root / "models" / "odd"
    folder.mkdir(parents=True)
    (folder / "tuning.json").write_text('{"data": []}')
    assert f"{folder}: tuning.json: " in listed(store).stderr
    assert "tuning.json" not in listed(store, "--kind", "probing").stderr
    [row] = json.loads(listed(store, "--json", "--kind", "tuning").stdout)
    assert row["folder"] == str(folder) and row["damaged"].startswith("tuning.json: ")


def test_a_damaged_job_is_listed_and_the_good_ones_as_ever(store):
    queue = JobQueue(store.root)
    for key in ("good", "odd"):
        request = {"model": f"{key}-model", "subject": "S1"}
        queue.submit("encode", key, request, f"the {key} one", start=False)
    with closing(sqlite3.connect(queue.table.path)) as rows:
        rows.execute("UPDATE jobs SET request = '[' WHERE key = 'odd'")
        rows.commit()
    jobs = ["jobs", "list", "--store", str(store.root)]
    done = RUN.invoke(app, jobs)
    found = {line.split("\t")[0]: line.split("\t")[1:] for line in done.stdout.splitlines()}
    assert found["good"][:2] == ["the good one", "queued"]
    assert found["odd"][:2] == ["the odd one", "damaged"]
    assert str(queue.table.path) in found["odd"][3]
    chosen = RUN.invoke(app, [*jobs, "--model", "good", "--kind", "encode", "--subject", "S1"])
    assert [line.split("\t")[0] for line in chosen.stdout.splitlines()] == ["good"]
    assert RUN.invoke(app, [*jobs, "--kind", "tune"]).stdout == ""
    wrong = RUN.invoke(app, [*jobs, "--kind", "encoding"])
    assert wrong.exit_code == 2 and "none of encode, probe" in wrong.output


def test_an_old_job_is_found_among_many_and_jobs_without_a_worker_are_told(store):
    queue = JobQueue(store.root)
    queue.submit("probe", "first", {"model": "early"}, "the first", start=False)
    with closing(sqlite3.connect(queue.table.path)) as rows:
        columns = "task, request, title, created, state"
        rows.executemany(
            f"INSERT INTO jobs (key, {columns}) VALUES (?, 'encode', '{{}}', 'x', ?, 'done')",
            [(f"later-{number}", 4e9 + number) for number in range(150)],
        )
        rows.commit()
    jobs = ["jobs", "list", "--store", str(store.root)]
    done = RUN.invoke(app, [*jobs, "--model", "early"])
    assert done.stdout.split("\t")[0] == "first" and "no worker is alive" in done.stderr
    assert len(RUN.invoke(app, jobs).stdout.splitlines()) == 151
    assert "worker" not in RUN.invoke(app, [*jobs, "--kind", "encode"]).stderr
    with closing(sqlite3.connect(queue.table.path)) as rows:
        rows.execute("UPDATE jobs SET state = 'running' WHERE key = 'first'")
        rows.commit()
    done = RUN.invoke(app, [*jobs, "--model", "early"])
    assert done.stdout.split("\t")[2] == "interrupted", "its worker is gone"
