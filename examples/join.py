"""Joins two files: who ordered what, and who ordered nothing.

    python examples/join.py                                # makes two small files and joins them
    python examples/join.py users.csv orders.csv
    asyncmr run examples/join.py:left users=users.csv orders=orders.csv -o joined

A line of users.csv is `user,name`, one of orders.csv `order,user,thing`. Each input has a mapper of its own, and
both yield the user's number as the key. The values of a key come in the order in which the job names its
mappers, so the reducer has seen the name when the first order comes, and holds no order: a user may have any number.
"""

import asyncio
import csv
import sys
import tempfile
from functools import partial
from pathlib import Path

import asyncmr


def users(_key, line):
    user, name = next(csv.reader([line]))
    yield int(user), ("name", name)


def orders(_key, line):
    _order, user, thing = next(csv.reader([line]))
    yield int(user), ("thing", thing)


def join(user, values, *, keep_users):
    """Pairs of a name and a thing; with `keep_users` also those who have no thing."""
    names = []
    ordered = False
    for kind, value in values:
        if kind == "name":
            names.append(value)
        else:
            ordered = True
            for name in names:
                yield name, value
    if keep_users and not ordered:
        for name in names:
            yield name, None


mappers = {"users": users, "orders": orders}
inner = asyncmr.Job(mapper=mappers, reducer=partial(join, keep_users=False), name="inner join")
left = asyncmr.Job(mapper=mappers, reducer=partial(join, keep_users=True), name="left join")


def make_files(folder: Path) -> tuple[Path, Path]:
    (folder / "users.csv").write_text('1,Ann\n2,Bob\n3,"Cy, the third"\n')
    (folder / "orders.csv").write_text("100,2,ink\n101,1,pen\n102,2,paper\n103,9,tea\n")
    return folder / "users.csv", folder / "orders.csv"


async def show(users_path: Path, orders_path: Path) -> None:
    async with asyncmr.Engine(workers=2) as engine:
        for job in (inner, left):
            result = await engine.collect(job, {"users": users_path, "orders": orders_path})
            print(f"{job.title}:")
            for name, thing in sorted(result, key=str):
                print(f"  {name:14} {thing or '-'}")


def main() -> None:
    if len(sys.argv) == 3:
        asyncio.run(show(Path(sys.argv[1]), Path(sys.argv[2])))
    elif len(sys.argv) == 1:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(show(*make_files(Path(folder))))
    else:
        sys.exit(f"usage: {sys.argv[0]} [USERS ORDERS]")


if __name__ == "__main__":
    main()
