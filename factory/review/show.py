"""Everything about one sample: how it was made, how it was judged, and one large picture of it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from factory.engine.plan import read_plan
from factory.errors import DataError, MachineError, UsageError, quoted, what_failed
from factory.review.facts import facts
from factory.review.thumbnails import beside, pane, pane_over_checkerboard
from factory.sample import Picture
from factory.shards.durable import write_durably
from factory.shards.encoding import encode_png
from factory.shards.layout import Layout
from factory.shards.lookup import attempts, read_row
from factory.shards.reader import Stored, read_members

SMALLEST_SIDE = 256  # smaller samples are enlarged by a whole factor


def show(root: Path, key: str, folder: Path | None = None) -> tuple[str, Path | None]:
    """Text about a sample, and the PNG that was written: rgb | alpha | foreground | over a checkerboard.

    folder: where the picture goes, root/report by default; where that cannot be written, the text says so. A slot that
    no attempt filled gives its last rejected attempt's thumbnail where one was kept, else None.
    Raises UsageError with the nearest keys where the key is unknown, MachineError where its bytes are broken.
    """
    rows = attempts(root, key)
    accepted = next((row for row in rows if row["status"] == "accepted"), None)
    png: bytes | None
    if accepted is not None:
        try:
            sample = read_row(root, accepted)
        except DataError as error:
            raise MachineError(f"{error}: `factory verify {quoted(root)}` names all that is broken.") from error
        lines = facts({**sample.meta, "item": sample.meta.get("item") or accepted.get("item", "")})
        png = encode_png(_picture(sample))
    else:
        lines, png = facts(rows[-1]), _last_rejected(root, rows)
    lines += [("split", rows[-1]["split"]), *_how(root)]
    if accepted is not None:
        lines.append(("tar", str(Layout(root).tar(accepted["shard"], accepted["split"]))))
        if accepted.get("duplicate_of"):
            lines.append(("duplicate of", accepted["duplicate_of"]))
    lines += [(f"attempt {row['attempt']}", _verdict(row)) for row in rows]
    path, told = _write(png, folder or Layout(root).report, key)
    return _table([*lines, ("picture", told)]), path


def _write(png: bytes | None, folder: Path, key: str) -> tuple[Path | None, str]:
    """The picture's file, and a line about it."""
    if png is None:
        return None, "none, for no attempt was accepted and no thumbnail was kept"
    path = folder / f"{key}.png"
    try:
        write_durably(path, png)
    except OSError as error:
        return None, f"not written ({what_failed(error, path)}): name another folder with --picture"
    return path, str(path)


def _verdict(row: dict[str, Any]) -> str:
    reason = f": {row['reason']} ({row.get('detail', '')})" if row["reason"] else ""
    return f"{row['status']}{reason}, seed {row['seed']}"


def _how(root: Path) -> list[tuple[str, str]]:
    """The recipe and plan that made it."""
    layout = Layout(root)
    lines = [("recipe", str(layout.recipe))] if layout.recipe.exists() else []
    if layout.plan.exists():
        try:
            plan = read_plan(layout.plan)
            lines.append(("run", f"{plan.job}, seed {plan.seed}, fingerprint {plan.fingerprint}"))
        except UsageError as error:  # the sample itself can be shown
            lines.append(("run", str(error)))
    return lines


def _table(lines: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def _picture(sample: Stored) -> Picture:
    longest = max(sample.alpha.shape)
    side = longest * max(1, SMALLEST_SIDE // longest)
    return beside(
        [
            pane(sample.rgb, side),
            pane(sample.alpha, side),
            pane(sample.foreground, side),
            pane_over_checkerboard(sample.foreground, sample.alpha, side),
        ]
    )


def _last_rejected(root: Path, rows: list[dict[str, Any]]) -> bytes | None:
    """Each shard keeps the first pictures of each reason: perhaps one of this key's attempts is among them."""
    tar = Layout(root).rejected_tar(rows[0]["shard"])
    kept: dict[str, bytes] = {}
    with suppress(DataError, OSError):  # there is none, or it is broken: the text is shown without it
        kept = {name: next(iter(members.values())) for name, members in read_members(tar)}
    for row in reversed(rows):
        if (png := kept.get(f"{row['key']}-{row['attempt']}")) is not None:
            return png
    return None
