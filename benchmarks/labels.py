"""Our keyer against others on GreenBench and on real screens, by type of screen and by kind of object: one table.

    factory run greenbench --set group=develop --set per_kind=4 --set plain=8 --out runs/develop
    python benchmarks/labels.py runs/develop [--real] [--bgmv2 FILE] [--pymatting 6] [--json FILE] [--every 7]

The group *report* is measured and nothing else: each run on it gets a line in RESULTS.md, which is printed at the end.
With --json every scene's figures are kept as they come; the same command goes on after them.

Rows, all given the picture alone and, where they want one, the plate that our keyer estimates:

* ours: find the screen, estimate the plate, key. Of h264 and phone it is told that chroma has half resolution.
* before: our keyer at the commit --before, from git's history; without that, the row is left out.
* ffmpeg: chromakey or colorkey, told the screen's true colour and tuned for each scene with the truth (ffmpeg_keys.py).
* OBS: distance in CbCr over a box of 3 × 3 pixels, smoothed; of twelve settings the best by the truth.
* difference: as Keylight and IBK have it, the strongest channel above the mean of the others, over the plate's.
* closed form and KNN (--pymatting N, slow, on every N-th scene): PyMatting with a trimap from our keyer's matte.
* BGMv2 (--bgmv2 FILE): BackgroundMattingV2, trained by learn_bgmv2.py on the scenes of our own network.
* true α: the foreground of PyMatting's estimate_foreground_ml where the true α is given; on exact foregrounds alone.

A picture in which no screen is found is an empty, black matte for the rows that want a plate. Errors are those of
`factory greenbench`; "worst" is the mean over the worst 5 % of the scenes. Another row is held against ours on the
scenes that it has, and "best other" is the one that ours compares worst with: for rows that have all scenes, the one of
least mean. A scene in which both MSE lie below 2e-5 is a tie. Seconds a megapixel are those of one process of several.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

import cv2
import numpy as np
from earlier_keyer import ROOT, take_out
from figures import exit_code, shown
from label_rows import BEFORE, BGMV2, FAST, OURS, SLOW, TRUE_ALPHA, Rows, Shot, is_exact
from real_screens import names, real_scene

from factory.quality.metrics import foreground_error
from factory.review.greenbench import FOREGROUND, WORST, errors_of
from factory.shards.data_set import DataSet
from factory.sources.greenbench.facts import EXACT, facts_in

BEFORE_LABELS = "2ebd5de"  # the last commit before the work on labels began
TIE = 2e-5
MUST = defaultdict(lambda: 0.6, {"pure": 0.3})  # ours ÷ best other, MSE and Grad, by screen
MUST_OF_KIND = defaultdict(lambda: 1.0, {"own green": 0.5})
MUST_OF_COLOURS = 0.8  # ours ÷ PyMatting's with the true α, by kind
FEWEST = 5  # scenes of a screen or kind, below which a row that has not all of them is no peer there
MOST_WORSE = 0.1  # share of the scenes in which another row may be better
SECONDS = "seconds a megapixel"
COLUMNS = {  # measure → heading, factor, decimals
    "sad": ("SAD", 1, 3),
    "mse": ("MSE e-3", 1e3, 3),
    "mse_unknown": ("MSE? e-3", 1e3, 3),
    "grad": ("Grad", 1, 3),
    "conn": ("Conn", 1, 3),
    FOREGROUND: ("Fg e-3", 1e3, 3),
    SECONDS: ("s/MP", 1, 2),
}
Figures = Mapping[str, float]  # measure → value


class Place(NamedTuple):
    """Where a scene comes from: the n-th of the set, or an object before a studio's screen."""

    key: str
    number: int
    real: tuple[str, str] | None
    rows: tuple[str, ...]  # still to be measured


@dataclass(frozen=True)
class Scene:
    """What was measured. rows: by name."""

    key: str
    facts: Mapping[str, str]
    rows: dict[str, Figures] = field(default_factory=dict)


def main() -> int:
    """Key every scene with every row, then say the table."""
    arguments = _arguments()
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        further = _further(arguments, Path(folder))
        places = _places(arguments, (*FAST, *further))
        kept = arguments.json or Path(folder) / "scenes.jsonl"
        scenes = resumed(kept, arguments.data)
        _measure(places, scenes, kept, (arguments.data, further), arguments.processes)
    # Rows of an earlier run with other options are not this table's
    asked = [
        Scene(place.key, found.facts, {name: row for name, row in found.rows.items() if name in place.rows})
        for place in places
        for found in (scenes[place.key],)
    ]
    reached = table("screen", asked, MUST) + table("kind", asked, MUST_OF_KIND)
    if asked[0].facts["group"] == "report":
        line = f"| {time.strftime('%Y-%m-%d')} | {_commit()} | labels.py, {len(asked)} scenes | {_outcome(asked)} |"
        print(f"\na run on report, for RESULTS.md:\n{line}")
    return exit_code(*reached)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a set made by `factory run greenbench`")
    parser.add_argument("--real", action="store_true", help="the group's photographs on photographed screens as well")
    parser.add_argument("--every", type=int, default=1, help="of the scenes take each n-th")
    parser.add_argument("--before", default=BEFORE_LABELS, help="the commit of an earlier keyer of ours; '' for none")
    parser.add_argument("--pymatting", type=int, default=0, metavar="N", help="closed form and KNN on each N-th scene")
    parser.add_argument("--bgmv2", type=Path, help="weights that learn_bgmv2.py made")
    parser.add_argument("--json", type=Path, help="a line for each scene; those that are in it are not measured again")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _further(arguments: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """Rows that are not always there, by names that say which they are: files of figures outlive them."""
    rows = {}
    if arguments.before and (earlier := take_out(arguments.before, folder / "earlier")):
        rows[f"{BEFORE} {arguments.before[:7]}"] = earlier
    else:
        print(f"no commit {arguments.before or 'named'} in git's history: without the row {BEFORE}")
    if arguments.bgmv2:
        rows[f"{BGMV2} {_hash_of(arguments.bgmv2)[:6]}"] = arguments.bgmv2
    return rows


def _places(arguments: argparse.Namespace, always: tuple[str, ...]) -> list[Place]:
    samples = DataSet(arguments.data)
    found: list[tuple[str, int, tuple[str, str] | None]] = [(key, at, None) for at, key in enumerate(samples.keys)]
    if arguments.real:
        group = facts_in(samples[0].meta["prompt"])["group"]
        found += [(f"{name}, {studio}", -1, (name, studio)) for name, studio in names(group)]
    slow = max(arguments.pymatting, 0)
    return [
        Place(*one, always + (SLOW if slow and number % slow == 0 else ()))
        for number, one in enumerate(found[:: arguments.every])
    ]


def _measure(
    places: Sequence[Place],
    scenes: dict[str, Scene],
    kept: Path,
    given: tuple[Path, Mapping[str, Path]],
    processes: int,
) -> None:
    """Measure what is not there yet, and keep it line by line."""
    left = [place._replace(rows=rows) for place in places if (rows := _missing(place, scenes.get(place.key)))]
    if not left:
        return
    begin = time.monotonic()
    with (
        ProcessPoolExecutor(processes, get_context("spawn"), _begin, given) as pool,
        kept.open("a", encoding="utf-8") as file,
    ):
        for done, (key, facts, name, rows) in enumerate(pool.map(_measured, left), start=1):
            scenes.setdefault(key, Scene(key, facts)).rows.update(rows)
            file.write(json.dumps({"key": key, "facts": facts, "class": name, "rows": rows}, ensure_ascii=False) + "\n")
            file.flush()
            judged = ((name, row) for name, row in rows.items() if "mse" in row)
            told = "  ".join(f"{name} {1e3 * row['mse']:.3f} {row['grad']:.3f}" for name, row in judged)
            minutes = (time.monotonic() - begin) / 60
            print(f"  {done}/{len(left)} {minutes:.1f} min  {key} {facts['screen']:9} {name:24} {told}", flush=True)


def _missing(place: Place, scene: Scene | None) -> tuple[str, ...]:
    if scene is None:
        return place.rows
    there = {*scene.rows} | ({TRUE_ALPHA} if not is_exact(scene.facts) else set())
    return tuple(name for name in place.rows if name not in there)


def resumed(kept: Path, data: Path) -> dict[str, Scene]:
    """What the file holds; a new one gets a first line that says whose figures these are."""
    head = {
        "set": _hash_of(data / "plan.json"),
        "keyer": _hash_of(*sorted((ROOT / "factory/greenscreen").rglob("*.*"))),
    }
    if not kept.is_file() or not kept.stat().st_size:
        kept.write_text(json.dumps(head) + "\n", encoding="utf-8")
        return {}
    text = kept.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]  # a run that was killed may have left half a line
    if whole != text:
        kept.write_text(whole, encoding="utf-8")
    first, *lines = map(json.loads, whole.splitlines())
    if first != head:
        sys.exit(f"{kept} has figures of another set or of another state of the keyer: give another file to --json.")
    scenes: dict[str, Scene] = {}
    for line in lines:
        scenes.setdefault(line["key"], Scene(line["key"], line["facts"])).rows.update(line["rows"])
    return scenes


def _hash_of(*files: Path) -> str:
    """Of the contents, without what Python compiled."""
    return sha256(b"".join(sha256(f.read_bytes()).digest() for f in files if f.suffix != ".pyc")).hexdigest()[:16]


_SET: list[tuple[DataSet, Rows]] = []  # of this process


def _begin(data: Path, further: Mapping[str, Path]) -> None:
    """Open what a process keys with, and key a small picture, so that no scene's seconds pay for what is loaded."""
    cv2.setNumThreads(1)
    rows = Rows(further)
    picture, alpha = np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), np.uint8)
    picture[..., 1], picture[32:96, 32:96], alpha[32:96, 32:96] = 255, (180, 90, 60), 255
    facts = {"screen": "pure", "foreground": EXACT}
    rows.key(Shot("", facts, "", picture, alpha, picture, (0, 255, 0)), (*FAST, *further))
    _SET.append((DataSet(data), rows))


def _measured(place: Place) -> tuple[str, Mapping[str, str], str, dict[str, Figures]]:
    """Key, facts, name and the rows' figures of a scene."""
    samples, rows = _SET[0]
    if place.real:
        shot = Shot(*real_scene(*place.real))._replace(key=place.key)
    else:
        sample = samples[place.number]
        facts, meta = facts_in(sample.meta["prompt"]), sample.meta
        colour = tuple(meta["key_rgb"])
        shot = Shot(sample.key, facts, meta["class"], sample.rgb, sample.alpha, sample.foreground, colour)
    figures: dict[str, Figures] = {}
    for name, keyed in rows.key(shot, place.rows).items():
        errors = {} if name == TRUE_ALPHA else errors_of(keyed.alpha, shot.alpha)
        if keyed.foreground is not None and is_exact(shot.facts):
            errors[FOREGROUND] = foreground_error(keyed.foreground, shot.foreground, shot.alpha)
        figures[name] = {**errors, SECONDS: 1e6 * keyed.seconds / shot.alpha.size}
    return place.key, dict(shot.facts), shot.name, figures


def table(fact: str, scenes: Sequence[Scene], must: Mapping[str, float]) -> list[bool]:
    """Say every row's means, medians and worst, and ours against the best other row, by a fact's values."""
    reached = []
    for value in dict.fromkeys(scene.facts[fact] for scene in scenes):
        some = [scene for scene in scenes if scene.facts[fact] == value]
        print(f"\n{value}, {len(some)} scenes")
        print("\n".join(_lines(some)))
        for measure in ("mse", "grad"):
            name, ours, other = best_other(some, measure)
            words = f"{measure}, {value}", f"{ours:.3g}", f"{name} {other:.3g}"
            reached.append(shown(*words, other / max(ours, 1e-12), 1 / must[value]))
        worse = fmean(is_worse(scene) for scene in some)
        print(f"another row is better in {worse:.0%} of the scenes (at most {MOST_WORSE:.0%})")
        if any(name.startswith(BEFORE) for scene in some for name in scene.rows):
            print(f"  but for our own earlier keyer: {_in_short([_but_for_before(scene) for scene in some])}")
        reached.append(worse <= MOST_WORSE or fact == "kind")  # of all scenes of a screen, not of each kind
        exact = [scene.rows for scene in some if TRUE_ALPHA in scene.rows]
        if exact and fact == "kind":
            ours, peer = (fmean(rows[name][FOREGROUND] for rows in exact) for name in (OURS, TRUE_ALPHA))
            words = f"foreground, {value}, {len(exact)} scenes", f"{ours:.3g}", f"PyMatting with the true α {peer:.3g}"
            reached.append(shown(*words, peer / max(ours, 1e-12), 1 / MUST_OF_COLOURS))
    return reached


def best_other(scenes: Sequence[Scene], measure: str) -> tuple[str, float, float]:
    """The row that ours compares worst with, and both means over the scenes that it has, if these are all or FEWEST."""
    compared = []
    for name in dict.fromkeys(name for scene in scenes for name in scene.rows if name != OURS):
        both = [(s.rows[OURS][measure], s.rows[name][measure]) for s in scenes if measure in s.rows.get(name, {})]
        if len(both) >= min(FEWEST, len(scenes)):
            ours, other = (fmean(values) for values in zip(*both, strict=True))
            compared.append((name if len(both) == len(scenes) else f"{name}, {len(both)} scenes", ours, other))
    return max(compared, key=lambda one: one[1] / max(one[2], 1e-12))


def is_worse(scene: Scene) -> bool:
    """Whether another row has the lower MSE, and it is no tie."""
    ours, best = scene.rows[OURS]["mse"], min(r["mse"] for n, r in scene.rows.items() if n != OURS and "mse" in r)
    return best < ours and not (ours < TIE and best < TIE)


def _lines(scenes: Sequence[Scene]) -> Iterator[str]:
    """The table of some scenes: mean, median and worst of every row."""
    yield f"  {'':16}{'':8}" + "".join(f"{heading:>10}" for heading, _, _ in COLUMNS.values()) + "   scenes"
    for name in dict.fromkeys(name for scene in scenes for name in scene.rows):
        rows = [scene.rows[name] for scene in scenes if name in scene.rows]
        columns = {measure: sorted(row[measure] for row in rows if measure in row) for measure in COLUMNS}
        for what, of in (("mean", fmean), ("median", median), ("worst", _worst)):
            cells = (
                f"{factor * of(columns[measure]):10.{decimals}f}" if columns[measure] else f"{'–':>10}"
                for measure, (_, factor, decimals) in COLUMNS.items()
            )
            yield (
                f"  {name if what == 'mean' else '':16}{what:8}" + "".join(cells) + f"{len(rows):9,}" * (what == "mean")
            )


def _worst(values: Sequence[float]) -> float:
    """The mean of the last 5 %; values: ascending."""
    return fmean(values[-math.ceil(WORST * len(values)) :])


def _but_for_before(scene: Scene) -> Scene:
    rows = {name: row for name, row in scene.rows.items() if not name.startswith(BEFORE)}
    return Scene(scene.key, scene.facts, rows)


def _in_short(scenes: Sequence[Scene]) -> str:
    """Ours ÷ the best other row, and the share that is worse."""
    words = []
    for measure in ("mse", "grad"):
        name, ours, other = best_other(scenes, measure)
        words.append(f"{measure} {ours / max(other, 1e-12):.2f} of {name}")
    return ", ".join([*words, f"worse in {fmean(is_worse(scene) for scene in scenes):.0%}"])


def _outcome(scenes: Sequence[Scene]) -> str:
    """By screen, for the line in RESULTS.md."""
    parts = (
        f"{screen}: {_in_short([scene for scene in scenes if scene.facts['screen'] == screen])}"
        for screen in dict.fromkeys(scene.facts["screen"] for scene in scenes)
    )
    return "ours ÷ best other: " + "; ".join(parts)


def _commit() -> str:
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
