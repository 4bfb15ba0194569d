"""Flows that read and write a database, on the engine in memory."""

from pathlib import Path

from tests.sql.places import SqlitePlace
from tests.unit.running import Running, running


def done(run: Running) -> None:
    """Let the flows work until nothing is left, and let go of their connections."""
    run.drain()
    run.member.close()


def test_a_flow_hydrates_and_writes(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path / "shop.db")
    place.sql(
        "create table users (id integer primary key, name text)",
        "create table orders (id integer primary key, name text not null, n integer)",
        "insert into users values (1, 'Ada'), (2, 'Bo')",
    )
    flow = f"""
    name: flow
    stages:
      - {{name: source, action: kafka, config: {{topics: in}}, out: known}}
      - name: known
        action: hydrate
        config:
          key: event.user
          into: user
          sql: {{database: "sqlite:///${{env.PLACE}}", table: users, column: id, columns: [name]}}
          cache: {{ttl: 1m}}
        out: written
      - name: written
        action: sql
        config:
          database: "{place.url}"
          table: orders
          columns: {{id: event.id, name: event.user?.name, n: event.n}}
        out: sink
      - {{name: sink, action: publish, config: {{topic: out}}}}
    """.replace("${env.PLACE}", str(place.path))
    run = running(flow, topics=["in"])

    for n in range(30):
        run.feed({"id": n % 5, "user": 1 + n % 2, "n": n}, key=f"k{n % 5}")
    run.feed({"id": 77, "user": 9, "n": 0}, key="x")
    done(run)

    assert sorted(place.sql("select id, n from orders")) == [(i, 25 + i) for i in range(5)]
    assert len(run.data("out")) == 30
    assert run.data("out")[0]["user"] == {"name": "Ada"}
    assert len(run.dead_letters) == 1


def test_changes_of_a_database_keep_a_copy_equal(tmp_path: Path) -> None:
    place = SqlitePlace(tmp_path / "copy.db")
    place.sql("create table orders (id integer primary key, name text)")
    run = running(
        f"""
        name: flow
        stages:
          - {{name: source, action: kafka, config: {{topics: in}}, out: copy}}
          - {{name: copy, action: sql, config: {{database: "{place.url}", table: orders, from: debezium}}}}
        """,
        topics=["in"],
    )

    for n in range(40):
        row = {"id": n % 8, "name": f"n{n}"}
        run.feed(
            {"op": "c" if n < 8 else "u", "before": None, "after": row}, key=f'{{"id": {n % 8}}}'
        )
    for n in range(0, 8, 2):
        run.feed({"op": "d", "before": {"id": n}, "after": None}, key=f'{{"id": {n}}}')
        run.feed(None, key=f'{{"id": {n}}}')
    done(run)

    assert place.sql("select * from orders order by id") == [
        (n, f"n{32 + n}") for n in (1, 3, 5, 7)
    ]
