"""A small set and whatever else comes from elsewhere, and all that reads it: what the fuzzer works on."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from safetensors.numpy import save_file

import factory
from factory.cli.running import recipe_fields
from factory.diffusion import model_files
from factory.diffusion.sample.settings import default_settings
from factory.diffusion.vocabulary import read_vocabulary
from factory.engine.inputs import make_table
from factory.engine.made import what_is_missing
from factory.engine.plan import read_plan
from factory.errors import DataError, FactoryError
from factory.jobs import filter as filter_job
from factory.jobs.base import RunSettings
from factory.jobs.input_set import derive, duplicates, read_set
from factory.jobs.registry import parse
from factory.quality.evaluation import evaluate
from factory.quality.gates import GateSettings, judge
from factory.review.digest import read_digest
from factory.review.identify import identify
from factory.review.report import write_report
from factory.review.show import show
from factory.review.status import status_text
from factory.review.verify import advice, verify_set
from factory.run.execute import execute, look_and_plan
from factory.run.folder import check_out
from factory.sample import Request, Sample
from factory.shards.encoding import encode
from factory.shards.export import export
from factory.shards.keys import make_key
from factory.shards.layout import Layout
from factory.sources.captioning import corrections
from factory.sources.prompts import read_prompts
from factory.sources.stored import StoredSamples

SHARDS = 2
KEYS = [make_key(shard, index) for shard in range(SHARDS) for index in range(4)]
RECIPE = {
    "job": "build-green100k",
    "size": 32,
    "shard_size": 4,
    "executor": "local",
    "sources": [{"type": "procedural", "n": 8, "classes": ["heart", "star", "gear"]}],
    "gates": {"coverage_max": 0.3},
}


@dataclass(frozen=True)
class Arena:
    """Where it all lies. data: the set.  bare: the same as it is handed on, without plan and records.

    whole: a third copy, which nobody changes.  out: the one folder to write to.
    files: kind → what may be changed.
    """

    root: Path
    files: Mapping[str, tuple[Path, ...]]

    @property
    def data(self) -> Path:
        return self.root / "set"

    @property
    def bare(self) -> Path:
        return self.root / "bare"

    @property
    def whole(self) -> Path:
        return self.root / "whole"

    @property
    def out(self) -> Path:
        return self.root / "out"

    def set_of(self, place: Path) -> Path:
        """The set that a file is of."""
        return self.bare if place.is_relative_to(self.bare) else self.data


Reader: TypeAlias = Callable[[Arena, Path], object]


def make_arena(root: Path) -> Arena:
    """Make everything; about two seconds."""
    recipe = parse({**RECIPE, "out": str(root / "set")})
    assert isinstance(recipe, RunSettings)
    execute(recipe, say=lambda sentence: None)
    shutil.rmtree(root / "set" / "report")
    shutil.copytree(root / "set", root / "whole")
    shutil.copytree(root / "set", root / "bare", ignore=shutil.ignore_patterns("plan.json", "commits", "finished.json"))
    (root / "out").mkdir()
    _write_texts(root)
    _write_model(root / "model")
    data, bare = Layout(root / "set"), Layout(root / "bare")
    return Arena(
        root,
        {
            "tars": (*sorted(data.data.iterdir()), *sorted(data.rejected.glob("*.tar")), bare.tar(0, "train")),
            "manifests": (data.manifest, data.part(0), bare.manifest, bare.part(0)),
            "plans": (data.plan,),
            "records": (data.commit(0), data.commit(1), data.finished),
            "recipes": tuple(sorted((root / "recipes").iterdir())),
            "prompts": tuple(sorted((root / "prompts").iterdir())),
            "weights": tuple(sorted(path for path in (root / "model").rglob("*") if path.is_file())),
        },
    )


def _write_texts(root: Path) -> None:
    recipes = {
        "build": {**RECIPE, "out": "out"},
        "filter": {"job": "filter", "data": str(root / "set"), "out": "out", "gates": {"gsg_max": 30.0}},
        "generate": {"job": "generate", "prompts": "a.txt", "n": 4, "out": "out", "sampler": {"steps": 8}},
        "captions": {"job": "captions", "data": str(root / "set"), "table": "a.csv", "by": "me", "out": "out"},
        "train": {"job": "train", "out": "out", "train": {"folders": [{"folder": "set"}], "size": 32}},
    }
    (root / "recipes").mkdir()
    for name, fields in recipes.items():
        (root / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(fields))
    folder = root / "prompts"
    folder.mkdir()
    rows = [
        {"key": KEYS[0], "caption": "a heart", "prompt": "wine glass"},
        {"key": KEYS[1], "caption": "b", "prompt": "owl"},
    ]
    (folder / "a.txt").write_text("# glass\nwine glass\na red owl, standing\n", encoding="utf-8")
    (folder / "a.csv").write_text('key,caption,prompt\n0000000000,"a, heart",wine glass\n1,ä,owl\n', encoding="utf-8")
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    cv2.imwrite(str(root / "picture.png"), picture)


def _write_model(folder: Path) -> None:
    for name in model_files.folders(xl=False):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps({"block_out_channels": [8, 16], "sample_size": 8}))
    for name in model_files.parts(xl=False):
        weights = {"a.weight": np.ones((2, 3), np.float32), "b.bias": np.zeros(4, np.float16)}
        save_file(weights, folder / name / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    (folder / model_files.INDEX).write_text(json.dumps({"_class_name": "StableDiffusionPipeline", "unet": ["a", "b"]}))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (folder / "sampler.json").write_text(json.dumps({"steps": 8, "guidance": 3.0}))
    vocabulary = {"words": ["owl"], "classes": ["owl"], "colours": ["red"], "palette": {"owl": ["red"]}}
    (folder / "vocabulary.json").write_text(json.dumps(vocabulary))


# --- readers: each is told the changed file -------------------------------------------------------------------------


def status(arena: Arena, place: Path) -> None:
    status_text(arena.set_of(place))


def showing(arena: Arena, place: Path) -> None:
    show(arena.set_of(place), KEYS[1], arena.out)


def verifying(arena: Arena, place: Path) -> None:
    advice(arena.set_of(place), verify_set(arena.set_of(place), 1))


def reporting(arena: Arena, place: Path) -> None:
    write_report(arena.set_of(place))


def digesting(arena: Arena, place: Path) -> None:
    digest = read_digest(Layout(arena.set_of(place)))
    assert digest.limits is not None
    assert digest.counts is not None


def exporting(arena: Arena, place: Path) -> None:
    for form in ("folder", "rgba"):
        export(arena.set_of(place), form, arena.out / form)


def evaluating(arena: Arena, place: Path) -> None:
    evaluate(arena.set_of(place), arena.whole, parquet=arena.out / "errors.parquet").text()


def identifying(arena: Arena, place: Path) -> None:
    identify(arena.root / "picture.png", arena.set_of(place)).text()


def opening(arena: Arena, place: Path) -> None:
    """From Python a damaged sample is a DataError, as its documentation says."""
    samples = factory.open(arena.set_of(place))
    for at in range(len(samples)):
        try:
            samples[at]
        except DataError:
            continue
    assert samples.splits is not None
    assert samples.manifest is not None
    assert samples.attempts is not None


def deriving(arena: Arena, place: Path) -> None:
    """What filter, refine and captions take over."""
    data = arena.set_of(place)
    recipe = filter_job.FilterRecipe(data=data, out=arena.out)
    what_is_missing(data)
    derive(recipe, read_set(data), {})
    duplicates(data)


def exporting_captions(arena: Arena, place: Path) -> None:
    corrections.export(arena.set_of(place), arena.out / "captions.csv")


def taking_up(arena: Arena, place: Path) -> None:
    """What a worker does with the samples of a tar, whose hash was planned."""
    tars = make_table([{"tar": path.name, "tar_sha256": _sha256(path)} for path in sorted(place.parent.iterdir())])
    source = StoredSamples(place.parent.parent, tars)
    if place.parent.name != "data" or tars.num_rows < SHARDS:
        return
    for sample in source([Request(key=key, slot=0, attempt=0, seed=0) for key in KEYS]):
        if isinstance(sample, Sample):
            judge(sample, GateSettings())
            try:
                encode(sample)
            except DataError:
                continue


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reseal(arena: Arena) -> Mapping[Path, bytes]:
    """Make the records of the set fit its changed plan, so that what else could be said of it is asked.

    Returns what they were.
    """
    layout = Layout(arena.data)
    before = {path: path.read_bytes() for path in layout.commits.iterdir()}
    try:
        fingerprint = read_plan(layout.plan).fingerprint
    except FactoryError:
        return before
    for path, data in before.items():
        path.write_text(json.dumps({**json.loads(data), "fingerprint": fingerprint}))
    return before


def planning(_arena: Arena, place: Path) -> None:
    """A recipe, as far as its plan where nothing heavy is asked for."""
    recipe = parse(recipe_fields(place))
    check_out(recipe.out)
    if isinstance(recipe, RunSettings) and recipe.job in {"build-green100k", "filter"}:
        look_and_plan(recipe, Layout(_arena.out))


def reading_prompts(_arena: Arena, place: Path) -> None:
    read_prompts(str(place), "{a} {colour} {class}", {"owl": ("red", "blue")})


def reading_corrections(arena: Arena, place: Path) -> None:
    corrections.read_corrections(arena.data, place)


def checking_model(arena: Arena, _place: Path) -> None:
    model = arena.root / "model"
    model_files.licence(model)
    read_vocabulary(model)
    default_settings(model)
    model_files.check(model)
    model_files.fingerprint(model)


READERS: Mapping[str, tuple[Reader, ...]] = {
    "tars": (exporting, evaluating, opening, showing, verifying, taking_up, identifying, reporting),
    "manifests": (
        *(opening, showing, identifying, digesting, verifying, deriving, exporting_captions, status, exporting),
        reporting,
    ),
    "plans": (status, verifying, digesting, showing, deriving, exporting_captions, reporting),
    "records": (status, verifying, digesting, showing, deriving, exporting_captions, exporting, evaluating, reporting),
    "recipes": (planning,),
    "prompts": (reading_prompts, reading_corrections),
    "weights": (checking_model,),
}
# Of those that take long, the share of the cases that they are asked in; all others are always asked.
SHARES: Mapping[Reader, float] = {
    **dict.fromkeys((reporting, exporting, evaluating, identifying), 0.1),
    **dict.fromkeys((showing, verifying), 0.3),
}
