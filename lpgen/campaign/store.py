"""A campaign's results on disk: an SQLite file that a campaign killed at any time goes on with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lpgen.campaign.outcome import Outcome
from lpgen.errors import LpgenError, Place

FORMAT = "lpgen.mutate.store/1"
# Another process may be writing to it: another shard.
_WAIT_SECONDS = 30.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS outcomes (id TEXT PRIMARY KEY, outcome TEXT NOT NULL)",
)


class Store:
    """The results in the file ``path``, of the campaign with the fingerprint ``about``; made when it is not there.

    Each ``add`` is written whole or not at all, and a mutant's result is there once, however often it is added. Several
    processes may share a file. Raises LpgenError for a file of something else, and for one that cannot be used.
    """

    def __init__(self, path: Path, about: dict[str, str]) -> None:
        self.path = path
        with self._named():
            self._connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
        try:
            with self._named():
                self._begin({"format": FORMAT, **about})
        except BaseException:
            self._connection.close()
            raise

    def _begin(self, about: dict[str, str]) -> None:
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and tables != {"about", "outcomes"}:
            raise LpgenError("is a database of something else", place=self._place, hint="name another file with --out")
        with self._transaction():
            for table in _TABLES:
                self._connection.execute(table)
            known = dict(self._connection.execute("SELECT name, value FROM about"))
            if not known:
                self._connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
                return
        different = [name for name in {**known, **about} if known.get(name) != about.get(name)]
        if different:
            raise LpgenError(
                f"has the results of another campaign: another {', '.join(different)}",
                place=self._place,
                hint="name another file with --out, or delete this one",
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def outcomes(self) -> dict[str, Outcome]:
        """Return all results by the mutant's id."""
        with self._named():
            rows = list(self._connection.execute("SELECT id, outcome FROM outcomes"))
        return {id_: Outcome.of(json.loads(text)) for id_, text in rows}

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Write results, all of them or none."""
        rows = [(one.id, json.dumps(one.data())) for one in outcomes]
        with self._named(), self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO outcomes VALUES (?, ?)", rows)

    @property
    def _place(self) -> Place:
        return Place(str(self.path))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn what SQLite says into one line that names the file."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            hint = "make the directory first" if not self.path.parent.is_dir() else "name another file with --out"
            raise LpgenError(f"cannot be used: {error}", place=self._place, hint=hint) from error


def read_store(path: Path) -> tuple[dict[str, str], dict[str, Outcome]]:
    """Return what the file ``path`` says it is about, and its results by the mutant's id; nothing is written to it.

    Raises LpgenError for a file of something else, and for one that cannot be read.
    """
    if not path.is_file():
        raise LpgenError("is no file", place=Place(str(path)), hint="give what `lpgen mutate` wrote")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_WAIT_SECONDS)
        try:
            about = dict(connection.execute("SELECT name, value FROM about"))
            rows = list(connection.execute("SELECT id, outcome FROM outcomes"))
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise LpgenError(
            f"has no results of a campaign: {error}", place=Place(str(path)), hint="give what `lpgen mutate` wrote"
        ) from error
    if about.get("format") != FORMAT:
        raise LpgenError("is a database of something else", place=Place(str(path)))
    return about, {id_: Outcome.of(json.loads(text)) for id_, text in rows}
