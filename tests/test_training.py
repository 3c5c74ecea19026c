"""A training resumes to the same bytes, is refused other settings, and leaves a whole model folder behind."""

import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from program import factory_here, interrupt, start, wait_for
from small_training import (
    BLUE,
    COLOURS,
    GREEN,
    SIZE,
    course_of,
    make_set,
    quiet,
    small_settings,
    train_as_rank,
    train_in_child,
)
from test_model_folder import library_messages  # noqa: F401 - a fixture

from factory.diffusion import model_files, model_folder
from factory.diffusion.sample.settings import SamplerSettings, default_settings
from factory.diffusion.train import data as training_data
from factory.diffusion.train.settings import FREE, Phase, TrainingFolder
from factory.diffusion.train.trainer import train
from factory.diffusion.vocabulary import read_vocabulary
from factory.errors import Interrupted, MachineError, UsageError
from factory.jobs.recipes import to_yaml
from factory.jobs.registry import parse
from factory.jobs.train import JOB, TrainRecipe
from factory.run.train import execute_training
from factory.training.interrupts import interrupts_wait
from factory.training.log import read_log
from factory.training.pinned_settings import pin_settings
from factory.training.progress import TrainingProgress

torch.set_num_threads(1)  # workers multiply, not threads
ONE_STEP = (Phase(name="generation", steps=1, batch=4, lr=1e-3),)


def weights(out: Path) -> dict[str, str]:
    """SHA-256 of each file of weights."""
    files = sorted((out / "model").rglob("*.safetensors"))
    return {file.parent.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def stand(out: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time of change and content."""
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in out.rglob("*") if path.is_file()}


def told(out: Path, name: str = "") -> list[dict[str, Any]]:
    """What the log says (of records of a name), but for how long it took."""
    records = read_log(out / "log.jsonl")
    return [{**one, "waiting": None, "images_per_second": None} for one in records if name in ("", one["name"])]


def place(out: Path) -> tuple[int, int]:
    """Phase and step of the saved state."""
    state = torch.load(out / "state.pt", weights_only=True)
    return state["phase"], state["step"]


def stop_at(phase: str, step: int) -> Callable[[TrainingProgress], None]:
    """Ends a training at once, after this step of this phase, before it is saved."""

    def hear(progress: TrainingProgress) -> None:
        if (progress.phase, progress.step) == (phase, step):
            raise KeyboardInterrupt

    return hear


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("training") / "data")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training. Read it only."""
    out = tmp_path_factory.mktemp("training") / "finished"
    train(small_settings(data), out, quiet)
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.fixture(scope="module")
def children() -> ForkServerContext:
    """Child processes that find torch already imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["factory.diffusion.train.trainer", "small_training"])
    return context


def test_a_training_killed_three_times_ends_in_the_same_bytes(
    data: Path, finished: Path, tmp_path: Path, children: ForkServerContext
) -> None:
    """In the first step, after one that was not saved, with its weights written. test_crashes.py has the rest."""
    for die_at in (("autoencoder", 1), ("generation", 3), ("finished", 0), None):
        child = children.Process(target=train_in_child, args=(small_settings(data), tmp_path / "out", die_at))
        child.start()
        child.join()
        assert child.exitcode == (-signal.SIGKILL if die_at else 0)
    assert weights(tmp_path / "out") == weights(finished)
    assert told(tmp_path / "out") == told(finished)


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_one_goes_on_with_it(
    data: Path, tmp_path: Path, children: ForkServerContext
) -> None:
    """Binary masks and dropped captions fall to the processes unevenly; the means are the whole batch's."""
    settings, out = small_settings(data, caption_dropout=0.5, bf16="off"), tmp_path / "both"
    train(settings, tmp_path / "alone", quiet)
    for count, stop in ((2, 3), (2, 5), (1, -1)):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        ranks = [
            children.Process(target=train_as_rank, args=(settings, out, (number, count, port), stop))
            for number in range(count)
        ]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join()
        assert [rank.exitcode for rank in ranks] == [0] * count
        assert place(out) == ((1, stop + 1) if stop > 0 else (2, 4))
    for phase in settings.phases:
        both, alone = (told(tmp_path / name, phase.name) for name in ("both", "alone"))
        for one, other in zip(both, alone, strict=True):
            assert one["losses"] == pytest.approx(other["losses"], rel=2e-3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_training_saves_first(
    data: Path, finished: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """In the middle of a phase of which nothing has been saved yet; no step is lost, and the end has the same bytes."""

    def interrupt(progress: TrainingProgress) -> None:
        if (progress.phase, progress.step) == ("generation", 3):
            os.kill(os.getpid(), number)

    settings = small_settings(data, save_every=1000)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=r"generation is saved at step 4; run the same command again"):
        train(settings, tmp_path / "out", interrupt)
    assert signal.getsignal(number) == before
    assert place(tmp_path / "out") == (1, 4)
    train(settings, tmp_path / "out", quiet)
    assert weights(tmp_path / "out") == weights(finished)


def test_a_second_interrupt_does_not_wait() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), interrupts_wait() as interrupted:
        for step in range(3):
            steps.append((step, interrupted()))
            signal.raise_signal(signal.SIGINT)
    assert steps == [(0, False), (1, True)]


def test_an_interrupt_that_nobody_asked_for_is_raised_at_the_end() -> None:
    done = False
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        signal.raise_signal(signal.SIGTERM)
        done = True
    assert done


def test_an_ignored_interrupt_stays_ignored() -> None:
    """As shells have it for what a script runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_wait() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_phase_is_saved_before_its_pictures_are_drawn(data: Path, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "pictures").write_bytes(b"a file where the folder should be")
    settings = small_settings(data, save_every=1000, picture_every=1000)
    with pytest.raises(FileExistsError):
        train(settings, out, quiet)
    assert place(out) == (0, 6)
    (out / "pictures").unlink()
    train(settings, out, quiet)
    assert weights(out) == weights(finished)
    assert (out / "pictures" / "0-autoencoder-0000006.png").is_file()


def test_a_training_begun_with_other_steps_is_not_gone_on_with(data: Path, tmp_path: Path) -> None:
    """As versions before 2 of them left it: without a number."""
    settings, out = small_settings(data), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        train(settings, out, stop_at("generation", 2))
    state = torch.load(out / "state.pt", weights_only=True)
    del state["steps_version"]
    torch.save(state, out / "state.pt")
    before = stand(out)
    with pytest.raises(UsageError, match=r"begun by another version of factory.*start again in another --out"):
        train(settings, out, quiet)
    assert stand(out) == before


def test_a_set_that_has_changed_under_its_name_is_refused(data: Path, finished: Path, tmp_path: Path) -> None:
    copied, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(data, copied)
    settings = small_settings(copied)
    with pytest.raises(KeyboardInterrupt):
        train(settings, out, stop_at("generation", 2))
    shutil.rmtree(copied)
    make_set(copied, seed=4)
    with pytest.raises(UsageError, match=r"data is not the set that this training began with: put that one back"):
        train(settings, out, quiet)
    shutil.rmtree(copied)  # the cache has all of it, but for the card
    with pytest.raises(UsageError, match="has no manifest"):
        train(settings, out, quiet)
    shutil.copytree(data, copied)
    train(settings, out, quiet)
    assert weights(out) == weights(finished)


def test_a_batch_in_parts_teaches_the_same(data: Path, tmp_path: Path) -> None:
    """Also where one part has a caption or a soft matte less than another."""
    settings = small_settings(data, caption_dropout=0.5, bf16="off")
    in_parts = dataclasses.replace(settings, phases=tuple(dataclasses.replace(p, parts=4) for p in settings.phases))
    for name, own in (("whole", settings), ("parts", in_parts)):
        train(own, tmp_path / name, quiet)
    for phase in settings.phases:
        whole, parts = (told(tmp_path / name, phase.name) for name in ("whole", "parts"))
        for one, other in zip(whole, parts, strict=True):
            assert one["losses"] == pytest.approx(other["losses"], rel=2e-3)


def test_a_batch_that_has_no_such_parts_is_refused() -> None:
    with pytest.raises(UsageError, match=r"batch of the phase joint is 4: give a multiple of 3"):
        Phase(name="joint", steps=1, batch=4, parts=3)
    with pytest.raises(UsageError, match=r"parts of the phase joint is 0: give 1 or more"):
        Phase(name="joint", steps=1, batch=4, parts=0)
    with pytest.raises(UsageError, match=r"give a multiple of 8, its parts × processes"):
        Phase(name="joint", steps=1, batch=4, parts=4).at_once(processes=2)


def test_what_is_held_out_is_measured_and_changes_no_weight(data: Path, finished: Path, tmp_path: Path) -> None:
    held_out = make_set(tmp_path / "held-out", slots=12, seed=9)
    out = tmp_path / "out"
    train(small_settings(data, validation=(TrainingFolder(folder=str(held_out)),), validation_items=12), out, quiet)
    assert weights(out) == weights(finished)
    measured = {(one["phase"], one["step"]): one["losses"] for one in told(out, "validation")}
    assert list(measured[1, 6]) == ["gsg", "noise", "green", "detail"]
    assert list(measured[2, 4]) == ["gsg", "noise", "green", "detail", "latent", "mae", "iou"]
    assert 0 < measured[2, 4]["mae"] < 1
    assert 0 <= measured[2, 4]["iou"] <= 1


def test_what_is_learned_from_is_not_held_out() -> None:
    with pytest.raises(UsageError, match=r"data is learned from: name another set, or another of its splits"):
        small_settings(Path("data"), validation=(TrainingFolder(folder="data"),))
    small_settings(Path("data"), validation=(TrainingFolder(folder="data", split="validation"),))


def test_a_cache_of_other_settings_is_made_anew_where_nothing_was_learned(data: Path, tmp_path: Path) -> None:
    """As when somebody stops at once to correct the recipe."""
    first = training_data.unpack((TrainingFolder(folder=str(data)),), SIZE, "green", tmp_path)
    again = training_data.unpack((TrainingFolder(folder=str(data), repeat=3),), SIZE, "green", tmp_path)
    assert (len(first.order), len(again.order)) == (48, 144)
    assert first.made_of != again.made_of
    smaller = TrainingFolder(folder=str(data), screen=False)
    assert not training_data.unpack((smaller,), SIZE, "green", tmp_path).on_screen.any()
    with pytest.raises(UsageError, match="is 16×16, but the recipe trains at 32×32"):
        training_data.unpack((TrainingFolder(folder=str(data)),), 32, "green", tmp_path)


def test_pictures_without_a_screen_learn_beside_others(data: Path, tmp_path: Path) -> None:
    """L_g and the head ask those alone that show one."""
    plain = TrainingFolder(folder=str(data), screen=False)
    settings = dataclasses.replace(small_settings(data), data=(TrainingFolder(folder=str(data)), plain))
    both = course_of(settings, tmp_path)
    b = both.generation(2).batch(0, 48)
    assert 0 < int(b.has_word.sum()) < int(b.has_caption.sum())
    assert bool((b.key[b.has_word] > 0).all())
    assert bool((b.key[~b.has_word] == 0).all())
    assert not (b.soft_alpha & ~b.has_word & b.has_caption).any()
    assert float(b.worded) == float(b.has_word.sum())


def test_a_second_autoencoder_phase_changes_what_the_generation_learns_from(data: Path, tmp_path: Path) -> None:
    once, generation = small_settings(data).phases[:2]
    out = tmp_path / "out"
    train(small_settings(data, phases=(once, once, generation)), out, quiet)
    vae = model_folder.load(out / "model").vae
    course = course_of(small_settings(data, phases=(once, once, generation)), out)
    x = training_data.pictures(course.data, np.arange(4), np.zeros(4, bool))
    with torch.no_grad():
        z = vae.encode(x).latent_dist.mean.numpy()
    cached = np.memmap(out / "cache" / "latents.f16", np.float16, "r", shape=(48, 2, *z.shape[1:]))
    np.testing.assert_allclose(cached[:4, 0], z, atol=0.02)  # the model's weights are stored in 16 bits


def test_a_finished_folder_is_left_as_it_is(data: Path, copy: Path) -> None:
    before = stand(copy)
    assert train(small_settings(data), copy, quiet) == copy / "model"
    assert stand(copy) == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 12}, "seed"),
        ({"ema": 0.99, "flip": False}, "flip, ema"),
        ({"phases": (Phase(name="generation", steps=6),)}, "phases"),
        ({"networks": dataclasses.replace(small_settings(Path()).networks, vae_channels=(8, 8))}, "networks.vae_cha"),
    ],
)
def test_other_settings_are_refused_by_name(data: Path, copy: Path, changes: dict[str, Any], named: str) -> None:
    before = stand(copy)
    with pytest.raises(UsageError, match=rf"started with other settings \({named}.*use another --out"):
        train(small_settings(data, **changes), copy, quiet)
    assert stand(copy) == before


def test_a_changed_phase_is_named_down_to_its_field(data: Path, copy: Path) -> None:
    wanted = small_settings(data)
    slower = dataclasses.replace(wanted.phases[1], lr=1e-4)
    with pytest.raises(UsageError, match=r"\(phases\.1\.lr\)"):
        train(dataclasses.replace(wanted, phases=(wanted.phases[0], slower, wanted.phases[2])), copy, quiet)


def test_settings_of_an_earlier_version_lack_fields_that_had_their_defaults(data: Path, copy: Path) -> None:
    file = copy / "settings.json"
    pinned = json.loads(file.read_text())
    for name in ("sampler", "colours", "licence"):
        del pinned[name]
    pinned["detail_space"] = "latent"  # was a setting once, with this one value
    del pinned["phases"][0]["head_lr"]
    file.write_text(json.dumps(pinned))
    train(small_settings(data), copy, quiet)


def test_a_recipe_of_an_earlier_version_is_read(data: Path, tmp_path: Path) -> None:
    fields = TrainRecipe(out=tmp_path / "out", train=small_settings(data)).model_dump(mode="json")
    fields["train"]["detail_space"] = "latent"  # as its recipe.yaml says
    assert parse(fields) == parse({**fields, "train": {**fields["train"], "detail_space": "latent"}})
    fields["train"]["detail_space"] = "pixels"
    with pytest.raises(UsageError, match="detail_space"):
        parse(fields)


def test_what_a_killed_save_left_behind_is_swept(data: Path, tmp_path: Path) -> None:
    recipe = TrainRecipe(out=tmp_path / "out", train=small_settings(data, phases=ONE_STEP))
    leftover = tmp_path / "out" / ".tmp" / ".state.pt.1f.tmp"
    (tmp_path / "out").mkdir()
    pin_settings(recipe.train, recipe.out, free=FREE)
    leftover.parent.mkdir(exist_ok=True)
    leftover.write_bytes(b"half a state")
    execute_training(JOB, recipe)
    assert not leftover.exists()
    assert not (tmp_path / "out" / ".tmp").exists()


def test_what_decides_no_weight_may_change(data: Path, copy: Path) -> None:
    before = weights(copy)
    sampler = SamplerSettings(guidance=1.5, steps=9, negative_prompt="", sampler="ddim")
    train(small_settings(data, sampler=sampler, log_every=7, picture_prompts=("a blue disc",)), copy, quiet)
    assert default_settings(copy / "model") == sampler
    assert weights(copy) == before


def test_a_folder_with_weights_alone_gets_the_rest_later(data: Path, finished: Path, copy: Path) -> None:
    (copy / "finished.json").write_text('{"seconds": 4.5}')  # as a version without cards left it
    companions = ("README.md", "vocabulary.json", "sampler.json")
    for name in companions:
        (copy / "model" / name).unlink()
    before = stand(copy / "model")
    train(small_settings(data), copy, quiet)
    after = stand(copy / "model")
    assert {path: content for path, content in after.items() if path in before} == before
    assert {Path(path).name for path in after.keys() - before.keys()} == set(companions)
    assert read_vocabulary(copy / "model") == read_vocabulary(finished / "model")


def test_a_card_that_someone_has_edited_stays(data: Path, copy: Path) -> None:
    card = copy / "model" / "README.md"
    card.write_text("---\nlicense: mit\n---\nmine\n")
    (copy / "model" / "vocabulary.json").unlink()
    train(small_settings(data), copy, quiet)
    assert card.read_text().endswith("mine\n")
    assert read_vocabulary(copy / "model") is not None


def test_a_card_cannot_be_written_without_the_data(data: Path, copy: Path, tmp_path: Path) -> None:
    pinned = json.loads((copy / "settings.json").read_text())
    pinned["data"][0]["folder"] = str(tmp_path / "gone")
    (copy / "settings.json").write_text(json.dumps(pinned))
    (copy / "model" / "README.md").unlink()
    with pytest.raises(UsageError, match=r"gone has no manifest .* put the data set back"):
        train(small_settings(tmp_path / "gone"), copy, quiet)


def test_the_vocabulary_is_what_the_captions_say(finished: Path) -> None:
    known = read_vocabulary(finished / "model")
    assert known is not None
    assert set(known.words) == {"a", "disc", "square", "nothing", *COLOURS}
    assert known.classes == ("disc", "square")
    assert known.colours == ("red", "blue", "white")  # in the recipe's order


def test_a_class_that_came_out_badly_is_known_but_not_offered(data: Path, copy: Path) -> None:
    for name in ("README.md", "vocabulary.json"):
        (copy / "model" / name).unlink()
    train(small_settings(data, not_offered=("square",)), copy, quiet)
    known = read_vocabulary(copy / "model")
    assert known is not None
    assert known.classes == ("disc",)
    assert "square" in known.words
    assert "hardly anybody can name them: square." in (copy / "model" / "README.md").read_text()


def test_the_card_says_where_the_model_comes_from(data: Path, finished: Path, copy: Path) -> None:
    card = (finished / "model" / "README.md").read_text()
    assert model_files.licence(finished / "model") == "unknown"
    record = json.loads((finished / "finished.json").read_text())
    manifest = hashlib.sha256((data / "manifest.parquet").read_bytes()).hexdigest()
    for fact in (
        "| data | train | 48 | 1 |", manifest, "| drawn | CC0-1.0 | the tests | 48 |", "Objects (2): disc, square.",
        "16 training pictures have a binary mask", record["device"], f"torch {torch.__version__}", "seed 11",
        '"green screen, a red disc"', "| joint | 4 | 4 | 0.001, head 0.01 | noise ",
    ):  # fmt: skip
        assert fact in card
    recipe = card.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(recipe)["train"]["networks"]["unet_channels"] == [8, 16]
    assert str(data.parent) not in card
    (copy / "model" / "README.md").unlink()
    train(small_settings(data, licence="mit"), copy, quiet)
    assert model_files.licence(copy / "model") == "mit"


@pytest.mark.filterwarnings("error")
def test_plain_diffusers_loads_the_trained_folder_without_a_warning(
    finished: Path,
    library_messages: list[str],  # noqa: F811 - the fixture
) -> None:
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(finished / "model", local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("green screen, a red disc", num_inference_steps=2, output_type="np").images
    assert library_messages == []
    assert picture.shape == (1, SIZE, SIZE, 3)


def test_curves_and_pictures_are_there_to_look_at(finished: Path) -> None:
    pictures = sorted(path.name for path in (finished / "pictures").iterdir())
    assert pictures == [
        "0-autoencoder-0000005.png", "0-autoencoder-0000006.png", "1-generation-0000005.png",
        "1-generation-0000006.png", "2-joint-0000004.png",
    ]  # fmt: skip
    assert (finished / "curves.png").stat().st_size > 1000
    steps = {one.name: [record["step"] for record in told(finished, one.name)] for one in small_settings(Path()).phases}
    assert steps == {"autoencoder": [*range(1, 7)], "generation": [*range(1, 7)], "joint": [*range(1, 5)]}
    measured = [(*record["losses"], record["step"]) for record in told(finished, "validation")]
    assert measured == [("levels", 5), ("levels", 6), ("gsg", 5), ("gsg", 6), ("gsg", 4)]


def test_training_from_the_command_line_writes_its_recipe_once(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = TrainRecipe(out=tmp_path / "out", train=small_settings(data, phases=ONE_STEP))
    model = execute_training(JOB, recipe)
    assert "training is finished" in capsys.readouterr().err
    written = (tmp_path / "out" / "recipe.yaml").read_bytes()
    changed = recipe.model_copy(update={"train": small_settings(data, phases=ONE_STEP, seed=4)})
    with pytest.raises(UsageError, match=r"\(seed\)"):
        execute_training(JOB, changed)
    assert (tmp_path / "out" / "recipe.yaml").read_bytes() == written
    assert model_folder.load(model)


def test_pictures_of_another_size_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is 16×16, but the recipe trains at 32×32"):
        train(small_settings(data, size=32), tmp_path / "out", quiet)


def test_a_blue_set_teaches_the_word_blue(tmp_path: Path) -> None:
    data, out = make_set(tmp_path / "data", screen=BLUE), tmp_path / "out"
    sampler = SamplerSettings(negative_prompt="", steps=3)
    settings = small_settings(data, key_rgb=BLUE, sampler=sampler, picture_prompts=())
    train(settings, out, quiet)
    tokenizer = model_folder.load(out / "model").tokenizer
    batch = course_of(settings, out).generation(1).batch(0, 8)
    words = tokenizer.convert_ids_to_tokens(batch.token_ids[torch.arange(8), batch.key][batch.has_caption])
    assert set(words) == {"blue</w>"}
    assert default_settings(out / "model").key == "blue"
    card = (out / "model" / "README.md").read_text()
    assert "#0000ff screen" in card
    assert "Prompts begin with `blue screen, `" in card
    assert '"blue screen, a ' in card
    assert "green screen" not in card.replace("green-screen", "")


def test_a_set_on_another_screen_than_the_prompts_would_name_is_refused(data: Path, tmp_path: Path) -> None:
    blue = make_set(tmp_path / "blue", screen=BLUE)
    for folder, key_rgb, word in ((blue, GREEN, "green"), (data, BLUE, "blue")):
        with pytest.raises(UsageError, match=rf"has the screen \[.*\], but train\.key_rgb is .* {word}, .* set it to"):
            train(small_settings(folder, key_rgb=key_rgb), tmp_path / f"on-{word}", quiet)


def test_a_screen_without_a_word_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"key_rgb \[0, 177, 64\] is no key colour: take one of \[0, 255, 0\] \(green\)"
    ):
        small_settings(Path(), key_rgb=(0, 177, 64))


def test_a_dry_run_says_what_a_training_would_do(data: Path, copy: Path, tmp_path: Path) -> None:
    def told(out: Path, *flags: str) -> str:
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(to_yaml(TrainRecipe(out=out, train=small_settings(data)).model_dump(mode="json")))
        planned, dry = factory_here("plan", recipe, *flags), factory_here("train", recipe, "--dry-run", *flags)
        assert (planned.code, planned.err, steady(planned.out)) == (dry.code, dry.err, steady(dry.out))
        return planned.out + planned.err

    def steady(text: str) -> list[str]:
        """Without what tells of the moment: how fast the machine is, and how full its disk."""
        return [line for line in text.splitlines() if not line.startswith(("  at least ", "  disk: "))]

    text = told(tmp_path / "new")
    assert "from nothing, 16×16 on a green screen" in text
    assert "data: 48 samples of train" in text
    assert "generation: 6 steps of 4, 0.5 epochs, lr 0.001" in text
    assert len(text.splitlines()) == len(steady(text)) + 2
    assert not (tmp_path / "new").exists()
    before = stand(copy)
    assert "is finished" in told(copy)
    assert "started with other settings (seed)" in told(copy, "--set", "train.seed=4")
    assert "there is no folder nowhere" in told(tmp_path / "new", "--set", "train.base=nowhere")
    assert "is not a finished data set" in told(tmp_path / "new", "--set", "train.data=[{folder: nowhere}]")
    assert stand(copy) == before


def test_a_killed_start_is_one_sentence(tmp_path: Path) -> None:
    """SIGTERM while the recipe is not even read."""
    process = start("train", "tiny", "--out", tmp_path / "out")
    assert wait_for(lambda: "pydantic_core" in Path(f"/proc/{process.pid}/maps").read_text(), process)
    ended = interrupt(process, signal.SIGTERM)
    assert ended.code == 130
    assert ended.sentence.startswith("interrupted")


def test_numbers_that_are_none_are_never_saved(data: Path, tmp_path: Path) -> None:
    """Although nothing is logged before the last step."""
    phases = (Phase(name="autoencoder", steps=20, batch=2, lr=1e12, warmup=0),)
    settings = small_settings(data, phases=phases, clip_norm=1e30, log_every=1000, save_every=1)
    with pytest.raises(MachineError, match=r"autoencoder, step .* is not finite .* with a lower lr"):
        train(settings, tmp_path / "out", quiet)
    kept = torch.load(tmp_path / "out" / "state.pt", weights_only=True)
    tensors = [tensor for module in kept["weights"].values() for tensor in module.values()]
    assert all(tensor.isfinite().all() for tensor in tensors)


def test_a_loss_that_explodes_ends_the_training_with_a_word(data: Path, tmp_path: Path) -> None:
    phases = (Phase(name="autoencoder", steps=20, batch=2, lr=1e12, warmup=0),)
    with pytest.raises(MachineError, match=r"autoencoder, step .* is not finite .* with a lower lr"):
        train(small_settings(data, phases=phases, clip_norm=1e30), tmp_path / "out", quiet)
