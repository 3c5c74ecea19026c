"""Plans freeze their inputs: a changed one is named. And sets made from sets: refine, filter."""

import shutil
import signal
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from program import BUILD, LOCAL, commits, factory, hashes, start, wait_for
from tiny_model import save_tiny_model

from factory.diffusion.prompt_remarks import WARNINGS
from factory.diffusion.train.data import unpack
from factory.diffusion.train.settings import TrainingFolder
from factory.diffusion.vocabulary import Vocabulary, write_vocabulary
from factory.engine.inputs import HOLE
from factory.errors import InputChanged, UsageError
from factory.jobs import generate
from factory.jobs.build import BuildRecipe
from factory.jobs.filter import FilterRecipe
from factory.jobs.generate import GenerateRecipe
from factory.jobs.input_set import duplicates, read_set
from factory.jobs.prepare import prepare
from factory.jobs.refine import RefineRecipe
from factory.quality.gates import GateSettings
from factory.quality.scores import ScoreSettings
from factory.run.settle import settle
from factory.sample import Request, Sample
from factory.shards import card, finalise, verify
from factory.shards.commit import valid_commits
from factory.shards.export import export
from factory.shards.layout import Layout
from factory.shards.reader import read_samples
from factory.sources.files.planned import matches
from factory.sources.files.rgba_folder import RgbaSettings
from factory.sources.procedural.render import CLASSES
from factory.sources.procedural.source import ProceduralSettings
from factory.sources.stored import StoredSamples

LOOSE = ("--set", "gates.duplicate_distance=100")  # so that some samples of different shards count as duplicates


def picture(path: Path, hue: int) -> None:
    """A soft disc of some colour with alpha."""
    rgba = np.zeros((40, 40, 4), np.uint8)
    cv2.circle(rgba, (20, 20), 9 + hue % 7, (0, 0, 0, 255), -1, cv2.LINE_AA)
    rgba[rgba[..., 3] > 0, :3] = hue, 40, 255 - hue
    cv2.imwrite(str(path), rgba)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(6):
        picture(folder / f"disc {number}.png", 40 * number)
    return folder


def build(folder: Path, out: Path, repeat: int = 4) -> tuple[str | Path, ...]:
    """Shards of two samples of a folder's pictures."""
    source = f"sources=[{{type: rgba_folder, path: {folder}, repeat: {repeat}}}]"
    gates = ("--set", "gates.duplicate_distance=-1")
    return ("build-green100k", "--set", source, "--set", "size=32", "--shard-size", "2", *gates, *LOCAL, "--out", out)


def test_a_picture_that_changed_between_two_runs_is_named(pictures: Path, tmp_path: Path) -> None:
    command = build(pictures, tmp_path / "set")
    assert factory(*command).code == 0
    Layout(tmp_path / "set").commit(3).unlink()
    picture(pictures / "disc 4.png", 99)
    changed = factory(*command)
    assert changed.code == 2
    assert "changed in rgba_folder-0: disc 4.png" in changed.sentence
    picture(pictures / "disc 4.png", 160)
    (pictures / "disc 2.png").unlink()
    gone = factory(*command)
    assert gone.code == 2
    assert "changed in rgba_folder-0: disc 2.png" in gone.sentence
    picture(pictures / "disc 2.png", 80)
    assert factory(*command).code == 0


def test_a_picture_that_changes_while_a_run_works_is_named(pictures: Path, tmp_path: Path) -> None:
    command = build(pictures, tmp_path / "set", repeat=20)
    process = start(*command)
    assert wait_for(lambda: commits(tmp_path / "set") > 0, process)
    process.send_signal(signal.SIGSTOP)
    content = (pictures / "disc 5.png").read_bytes()
    picture(pictures / "disc 5.png", 98)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate()
    assert process.returncode == 1
    assert "disc 5.png has changed since the run was planned" in err.decode()
    assert "Traceback" not in err.decode()
    (pictures / "disc 5.png").write_bytes(content)
    assert factory(*command).code == 0


def test_bad_pictures_become_rows_and_cost_nothing_else(pictures: Path, tmp_path: Path) -> None:
    (pictures / "torn.png").write_bytes((pictures / "disc 0.png").read_bytes()[:100])
    ended = factory(*build(pictures, tmp_path / "set", repeat=1))
    assert ended.code == 1
    assert "1 item had bad data" in ended.out
    rows = pq.read_table(Layout(tmp_path / "set").manifest).to_pylist()
    assert [row["item"] for row in rows if row["status"] == "failed"] == ["torn.png"]
    assert sorted(row["item"] for row in rows if row["status"] != "failed") == [f"disc {n}.png" for n in range(6)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def generation(model: Path, prompts: Path, out: Path) -> GenerateRecipe:
    return GenerateRecipe(model=str(model), prompts=str(prompts), n=1000, out=out)


def test_a_changed_prompt_is_named(model: Path, tmp_path: Path) -> None:
    prompts, layout = tmp_path / "p.txt", Layout(tmp_path / "set")
    prompts.write_text("a red feather\na blue leaf\n")
    recipe = generation(model, prompts, layout.root)
    plan = settle(layout, prepare(recipe), recipe, "first")
    assert settle(layout, prepare(recipe), recipe, "again") == plan
    prompts.write_text("a red feather\na blue lamp\n")
    with pytest.raises(UsageError, match="changed in prompts: a blue lamp, a blue leaf"):
        settle(layout, prepare(recipe), recipe, "other")
    prompts.write_text("a red feather\n" + "".join(f"a thing with number {n}\n" for n in range(9)))
    with pytest.raises(UsageError, match="and 7 more"):
        settle(layout, prepare(recipe), recipe, "others")


def test_damaged_frozen_inputs_are_written_again(model: Path, tmp_path: Path) -> None:
    prompts, layout = tmp_path / "p.txt", Layout(tmp_path / "set")
    prompts.write_text("a red feather\na blue leaf\n")
    recipe = generation(model, prompts, layout.root)
    settle(layout, prepare(recipe), recipe, "first")
    frozen = layout.inputs / "prompts.arrow"
    whole = frozen.read_bytes()
    frozen.write_bytes(whole[:100])
    settle(layout, prepare(recipe), recipe, "again")
    assert frozen.read_bytes() == whole


def test_other_weights_are_another_plan(model: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a red feather\n")
    other = Path(shutil.copytree(model, tmp_path / "other"))
    plan = prepare(generation(model, tmp_path / "p.txt", tmp_path)).plan
    same = prepare(generation(other, tmp_path / "p.txt", tmp_path)).plan
    assert same.fingerprint == plan.fingerprint, "a model may be moved"
    config = other / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text() + " ")
    changed = prepare(generation(other, tmp_path / "p.txt", tmp_path)).plan
    assert changed.fingerprint != plan.fingerprint


def test_a_worker_refuses_a_model_that_is_not_the_planned_one(model: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a red feather\n")
    other = Path(shutil.copytree(model, tmp_path / "other"))
    plan = prepare(generation(other, tmp_path / "p.txt", tmp_path)).plan
    assert generate.line(plan, tmp_path).sources.keys() == {"diffumatting"}
    config = other / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(InputChanged, match=f"{other} is not the model"):
        generate.line(plan, tmp_path)


def test_the_licence_is_the_plans_not_what_the_readme_says_later(model: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a red feather\n")
    other = Path(shutil.copytree(model, tmp_path / "other"))
    plan = prepare(generation(other, tmp_path / "p.txt", tmp_path)).plan
    (other / "README.md").write_text("---\nlicense: other\n---\n")
    (sample,) = generate.line(plan, tmp_path).sources["diffumatting"](
        [Request(key="0000000000", slot=0, attempt=0, seed=1, item={"prompt": "a red feather"})]
    )
    assert isinstance(sample, Sample)
    assert sample.origin.licence == "mit"
    assert prepare(generation(other, tmp_path / "p.txt", tmp_path)).plan.fingerprint != plan.fingerprint


def test_a_size_the_networks_cannot_halve_is_refused_while_planning(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"sampler.size 30 does not fit this model: take a multiple of 4"):
        prepare(GenerateRecipe(model=str(model), sampler={"size": 30}, out=tmp_path))


def drawing(tmp_path: Path, **entry: Any) -> BuildRecipe:
    return BuildRecipe.model_validate({"out": tmp_path, "sources": [{"type": "procedural", "n": 4, **entry}]})


def test_a_class_that_cannot_be_drawn_leaves_no_plan_behind(tmp_path: Path) -> None:
    ended = factory("build-green100k", "--set", "sources=[{type: procedural, n: 4, classes: [foo]}]", "--out", tmp_path)
    assert ended.code == 2
    assert "no procedural class is named 'foo'" in ended.sentence
    assert not Layout(tmp_path).plan.exists()


def test_the_plan_holds_every_parameter_of_sources_and_stages(pictures: Path, tmp_path: Path) -> None:
    folder = {"type": "rgba_folder", "path": pictures}
    recipe = BuildRecipe.model_validate({"out": tmp_path, "sources": [{"type": "procedural", "n": 4}, folder]})
    settings = prepare(recipe).plan.settings
    sources = [settings["sources"][name]["settings"] for name in ("procedural-0", "rgba_folder-1")]
    kinds = (ProceduralSettings, RgbaSettings, ScoreSettings, GateSettings)
    for kind, frozen in zip(kinds, [*sources, settings["scores"], settings["gates"]], strict=True):
        said = {entry.name for entry in fields(kind) if entry.default is not None and not entry.metadata.get("unsaid")}
        assert frozen.keys() == said
    assert sources[0]["classes"] == list(CLASSES)


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("**/*", {"x.png", "s1/x.png", "s1/deep/x.png", "s1/y.png"}),
        ("**/x.png", {"x.png", "s1/x.png", "s1/deep/x.png"}),
        ("s1/*.png", {"s1/x.png", "s1/y.png"}),
        ("s1/**", {"s1/x.png", "s1/deep/x.png", "s1/y.png"}),
        ("*/**", {"x.png", "s1/x.png", "s1/deep/x.png", "s1/y.png"}),
        ("*/x.png", {"s1/x.png"}),
        ("*.png", {"x.png"}),
        ("[xy].png", {"x.png"}),
        ("s1", set()),
    ],
)
def test_patterns_are_those_of_a_shell(pattern: str, taken: set[str]) -> None:
    paths = ("x.png", "s1/x.png", "s1/deep/x.png", "s1/y.png")
    assert {path for path in paths if matches(path, pattern)} == taken


def test_a_backslash_in_a_pattern_is_a_letter() -> None:
    assert matches(r"a\*b.png", r"a\*b.png")
    assert matches(r"a\cb.png", r"a\*b.png")


def test_only_included_pictures_are_planned(pictures: Path, tmp_path: Path) -> None:
    (pictures / "nested").mkdir()
    picture(pictures / "nested" / "disc 9.png", 9)
    entry = {"type": "rgba_folder", "path": pictures, "include": ["**/disc 9.png", "disc [12].png"]}
    table = prepare(BuildRecipe.model_validate({"out": tmp_path, "sources": [entry]})).tables["rgba_folder-0"]
    assert table["path"].to_pylist() == ["disc 1.png", "disc 2.png", "nested/disc 9.png"]
    entry["include"] = ["disc 9.png"]
    with pytest.raises(UsageError, match=r"holds no picture .* that matches disc 9\.png"):
        prepare(BuildRecipe.model_validate({"out": tmp_path, "sources": [entry]}))


def test_the_screens_prefix_is_no_unknown_word(model: Path, tmp_path: Path) -> None:
    taught = Path(shutil.copytree(model, tmp_path / "model"))
    write_vocabulary(Vocabulary(words=("a", "red", "feather"), classes=("feather",), colours=("red",)), taught)
    (tmp_path / "p.txt").write_text("green screen, a red feather\nGreen Screen , a red feather\n")
    assert prepare(generation(taught, tmp_path / "p.txt", tmp_path)).remarks == []
    (tmp_path / "p.txt").write_text("green screen, a green feather\n")
    (remark,) = prepare(generation(taught, tmp_path / "p.txt", tmp_path)).remarks
    assert "does not know the word 'green'" in remark


def test_words_that_a_small_model_never_saw_are_told_but_not_by_the_thousand(model: Path, tmp_path: Path) -> None:
    taught = Path(shutil.copytree(model, tmp_path / "model"))
    words = ("a", "red", "feather", "owl")
    write_vocabulary(Vocabulary(words=words, classes=("feather", "owl"), colours=("red",)), taught)
    (tmp_path / "p.txt").write_text("a red fether\n")
    (remark,) = prepare(generation(taught, tmp_path / "p.txt", tmp_path)).remarks
    assert remark == "the model does not know the word 'fether'; the nearest it knows: feather."
    strangers = [f"a red {word}q" for word in ("z", "b", "c", "d", "e", "f")]
    (tmp_path / "p.txt").write_text("\n".join(strangers[:WARNINGS]))
    remarks = prepare(generation(taught, tmp_path / "p.txt", tmp_path)).remarks
    assert [remark.split("'")[1] for remark in remarks] == ["bq", "cq", "dq", "eq", "zq"]
    (tmp_path / "p.txt").write_text("\n".join(strangers))
    (remark,) = prepare(generation(taught, tmp_path / "p.txt", tmp_path)).remarks
    assert remark == (
        "the model knows none of these prompts: it was never taught 'zq', 'bq', 'cq', …, and paints them poorly: "
        "train a bigger model for them, or name one with --model (the report lists all these words)."
    )


def test_a_small_model_says_how_much_of_a_long_list_it_knows(model: Path, tmp_path: Path) -> None:
    taught = Path(shutil.copytree(model, tmp_path / "model"))
    words = ("a", "an", "red", "blue", "feather", "owl", "fox", "net")
    palette = {"feather": ("red", "blue"), "owl": ("red", "blue")}
    classes = ("feather", "owl")
    write_vocabulary(Vocabulary(words=words, classes=classes, colours=("red", "blue"), palette=palette), taught)
    strangers = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}q" for n in range(600)]
    (tmp_path / "p.txt").write_text(
        "\n".join([*strangers[:2], "# birds", "owl", "a blue fox", *strangers[2:], "feather"])
    )
    recipe = generation(taught, tmp_path / "p.txt", tmp_path)
    (remark,) = prepare(recipe).remarks
    assert remark == (
        "the model knows the words of 3 of these 603 prompts (owl, a blue fox, feather); it was never taught those "
        "of the other 600, for example 'aaq', 'abq', 'acq', and paints these poorly: "
        "train a bigger model for them, or name one with --model (the report lists all these words)."
    )
    (tmp_path / "p.txt").write_text("owl\nnet\nfox\nfeather\na red owl with one or two or three things\n")
    cut_off, remark = prepare(recipe).remarks
    assert "1 of 5 prompts is longer than the 16 tokens" in cut_off
    assert "4 of these 5 prompts (owl, net, fox, …); it was never taught those of the other 1, for" in remark


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished set with duplicates across its shards. Read it only."""
    root = tmp_path_factory.mktemp("parent") / "set"
    ended = factory(*BUILD, *LOCAL, *LOOSE, "--set", "max_attempts=2", "--allow-short", "--out", root)
    assert ended.code == 0, ended.err
    return root


def keys(root: Path) -> list[str]:
    return [stored.key for stored in read_samples(root, "train")]


def test_refine_keeps_keys_and_maps_shard_to_shard(parent: Path, tmp_path: Path) -> None:
    command = ("refine", parent, *LOCAL, "--set", "gates.duplicate_distance=-1", "--set", "gates.residual_max=99")
    assert factory(*command, "--out", tmp_path / "refined").code == 0
    assert keys(tmp_path / "refined") == keys(parent)
    assert commits(tmp_path / "refined") == commits(parent)
    for old, new in zip(read_samples(parent, "train"), read_samples(tmp_path / "refined", "train"), strict=True):
        assert np.array_equal(old.rgb, new.rgb)
        assert (old.meta["seed"], old.meta["attempt"]) == (new.meta["seed"], new.meta["attempt"])
    assert factory("verify", tmp_path / "refined").code == 0
    assert factory(*command, "--workers", "2", "--out", tmp_path / "again").code == 0
    assert hashes(tmp_path / "again") == hashes(tmp_path / "refined")


def test_filter_leaves_holes(parent: Path, tmp_path: Path) -> None:
    rows = pq.read_table(Layout(parent).manifest, filters=[("status", "==", "accepted")]).to_pylist()
    below, above = sorted({row["coverage"] for row in rows})[9:11]
    limit = (below + above) / 2
    command = ("filter", parent, *LOCAL, *LOOSE, "--coverage-min", str(limit), "--out", tmp_path / "filtered")
    ended = factory(*command)
    assert ended.code == 0, ended.out + ended.err
    kept = [row["key"] for row in rows if row["coverage"] >= limit]
    assert 0 < len(kept) < len(rows)
    assert keys(tmp_path / "filtered") == kept
    assert "empty" in factory("status", tmp_path / "filtered").out
    assert factory("verify", tmp_path / "filtered").code == 0


def test_filter_drops_duplicates_of_other_shards(parent: Path, tmp_path: Path) -> None:
    rows = pq.read_table(Layout(parent).manifest, filters=[("status", "==", "accepted")]).to_pylist()
    kept = [row["key"] for row in rows if not row["duplicate_of"]]
    assert 0 < len(kept) < len(rows)
    command = ("filter", parent, *LOCAL, *LOOSE, "--drop-duplicates", "--out", tmp_path / "filtered")
    assert factory(*command).code == 0
    assert keys(tmp_path / "filtered") == kept
    manifest = pq.read_table(Layout(tmp_path / "filtered").manifest)
    assert set(manifest["duplicate_of"].to_pylist()) == {""}


def test_a_tar_that_changed_under_refine_is_named(parent: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(parent, tmp_path / "copy"))
    tar = Layout(copy).tar(3, "train")
    content = bytearray(tar.read_bytes())
    content[600] ^= 1
    tar.write_bytes(content)
    ended = factory("refine", copy, *LOCAL, "--out", tmp_path / "refined")
    assert ended.code == 1
    assert "train-000003.tar is not what it was when the run was planned" in ended.sentence


def test_an_unfinished_set_gives_what_it_has(parent: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(parent, tmp_path / "copy"))
    layout = Layout(copy)
    for shard in (1, 7):
        layout.commit(shard).unlink()  # its part lies there still: so it looks after a kill just before the commit
    with pytest.raises(UsageError, match=r"--drop-duplicates: .* is not finished"):
        prepare(FilterRecipe(data=copy, out=tmp_path / "new", drop_duplicates=True))
    prepared = prepare(RefineRecipe(data=copy, out=tmp_path / "new"))
    assert "only its 8 of 10 shards are taken" in prepared.remarks[0]
    table = prepared.tables["samples-0"]
    taken = {key for key, hole in zip(table["key"].to_pylist(), table[HOLE].to_pylist(), strict=True) if not hole}
    assert taken == {key for key in keys(parent) if int(key[:6]) not in {1, 7}}
    for record in layout.commits.iterdir():
        record.unlink()
    with pytest.raises(UsageError, match="no finished shard"):
        prepare(RefineRecipe(data=copy, out=tmp_path / "new"))


def test_the_manifest_and_its_parts_plan_the_same(parent: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(parent, tmp_path / "copy"))
    whole = prepare(RefineRecipe(data=copy, out=tmp_path / "new")).plan
    Layout(copy).finished.unlink()
    assert prepare(RefineRecipe(data=copy, out=tmp_path / "new")).plan.inputs == whole.inputs


def test_a_set_keeps_its_own_gates_but_for_those_asked(parent: Path, tmp_path: Path) -> None:
    own = read_set(parent).plan.settings["gates"]
    assert own["duplicate_distance"] == 100
    for recipe in (RefineRecipe, FilterRecipe):
        plan = prepare(recipe(data=parent, out=tmp_path, gates={"coverage_min": 0.2})).plan
        assert plan.settings["gates"] == own | {"coverage_min": 0.2}
        with pytest.raises(UsageError, match=r"gates has no field coverage_mni \(did you mean coverage_min\?\): there"):
            prepare(recipe(data=parent, out=tmp_path, gates={"coverage_mni": 0.2}))
        with pytest.raises(UsageError, match="wrong gates settings: coverage_min"):
            prepare(recipe(data=parent, out=tmp_path, gates={"coverage_min": "much"}))


def test_stored_samples_are_read_in_any_order(parent: Path) -> None:
    source = StoredSamples(parent, read_set(parent).tars)
    stored = {sample.key: sample for sample in read_samples(parent, "train")}
    chosen = sorted(stored, key=lambda key: key[::-1])  # so the shards alternate
    for sample in source([Request(key=key, slot=0, attempt=0, seed=0) for key in chosen]):
        assert isinstance(sample, Sample)
        assert sample.alpha is not None
        same = stored[sample.request.key]
        assert np.array_equal(sample.rgb, same.rgb)
        assert np.array_equal(sample.alpha, same.alpha)


def test_an_unfinished_set_is_not_trained_on(parent: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(parent, tmp_path / "copy"))
    folder = TrainingFolder(folder=str(copy))
    assert len(unpack([folder], 32, "green", tmp_path / "cache").captions) == len(keys(parent))
    Layout(copy).finished.unlink()
    with pytest.raises(UsageError, match="is not a finished data set: run the command"):
        unpack([folder], 32, "green", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_set_too_large_for_one_manifest_has_a_table_of_its_duplicates(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(Path(shutil.copytree(parent, tmp_path / "copy")))
    plan = read_set(parent).plan
    records = list(valid_commits(layout, plan.fingerprints))
    rows = pq.read_table(layout.manifest, filters=[("duplicate_of", "!=", "")]).select(["key", "duplicate_of"])
    assert rows.num_rows
    own = finalise.read_finished(layout)
    assert own is not None
    for module in (finalise, card, verify):
        monkeypatch.setattr(module, "ROWS_IN_ONE_FILE", finalise.rows_of(records) - 1)
    assert not finalise.is_finished(layout, records, own.settings), "it lacks the table, as sets of earlier versions do"
    finalise.finalise(layout, records, own.settings)
    finalise.mark_finished(layout, records, own.settings)
    assert finalise.is_finished(layout, records, own.settings)
    assert not layout.manifest.exists()
    assert pq.read_table(layout.duplicates).equals(rows)
    assert duplicates(layout.root).to_pylist() == rows["key"].to_pylist()
    assert "`duplicates.parquet` lists" in layout.card.read_text()
    assert '"manifest"' not in layout.croissant.read_text()

    def faults() -> list[verify.Fault]:
        return verify.verify(layout.root, fingerprints=plan.fingerprints, shards=plan.shards)

    assert faults() == []
    pq.write_table(rows.slice(1), layout.duplicates)
    assert {fault.kind for fault in faults()} == {"sha256", "duplicates"}
    layout.duplicates.unlink()
    assert [fault.kind for fault in faults()] == ["missing"]
    with pytest.raises(UsageError, match="was not searched for duplicates: run its own command again"):
        duplicates(layout.root)


def test_an_exports_table_is_there_only_when_all_pictures_are(parent: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(parent, tmp_path / "copy"))
    assert export(copy, "rgba", tmp_path / "whole") == len(keys(parent))
    assert len((tmp_path / "whole" / "metadata.csv").read_text().splitlines()) == 1 + len(keys(parent))
    tar = Layout(copy).tar(8, "train")
    tar.write_bytes(tar.read_bytes()[:700])
    with pytest.raises(UsageError, match=r"train-000008.tar is damaged"):
        export(copy, "rgba", tmp_path / "torn")
    assert not (tmp_path / "torn" / "metadata.csv").exists()
