"""The command line to someone who does everything wrong: one sentence, the right exit code, no traceback."""

import io
import json
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from program import BUILD, LOCAL, Ended, factory, factory_here, factory_obeying_modes, hashes, start
from tiny_model import OPEN_GATES, save_tiny_model

from factory.cli.app import app, main
from factory.review.verify import verify_set
from factory.shards.layout import Layout

COMMANDS = (
    *("generate", "build-green100k", "key", "refine", "filter", "run", "train", "plan", "status", "show", "verify"),
    *("report", "export", "doctor", "evaluate", "greenbench", "identify", "hash-images", "models", "convert"),
)
COMMON = {
    *("--out", "--seed", "--workers", "--executor", "--shard-size", "--threads", "--set", "--debug", "--dry-run"),
    *("--accept-software", "--allow-short"),
}
REPOSITORY = Path(__file__).resolve().parents[1]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The program's own main(), in this process and in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """Runs what must be refused with exit code 2 and one sentence, which it returns; nothing may be left behind."""

    def call(*arguments: str | Path) -> str:
        before = set(Path.cwd().rglob("*"))
        code, _, err = run(*arguments)
        assert code == 2, err
        assert "Traceback" not in err
        assert err.startswith("factory: ")
        assert err.count("\n") == 1
        assert set(Path.cwd().rglob("*")) == before
        return err.removeprefix("factory: ").strip()

    return call


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the model, to be damaged."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"factory {command}" in " ".join(out.split()), out


def test_help_lists_every_command_and_begins_with_what_to_type_first(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)
    assert "factory generate" in out


@pytest.mark.parametrize("command", ["generate", "build-green100k", "key", "refine", "filter", "run", "plan"])
def test_every_run_has_the_common_flags(command: str) -> None:
    from typer.main import get_group

    flags = {flag for parameter in get_group(app).commands[command].params for flag in parameter.opts}
    absent = {"--shard-size"} if command in {"refine", "filter"} else set()
    absent |= {"--dry-run"} if command == "plan" else set()
    assert flags & COMMON == COMMON - absent


def test_help_has_a_default_for_every_flag_and_it_is_the_recipes() -> None:
    """But for those that are off or empty by themselves."""
    from typer.main import get_group

    from factory.diffusion.sample.settings import SamplerSettings
    from factory.jobs.generate import GenerateRecipe
    from factory.jobs.key import KeyRecipe
    from factory.quality.gates import GateSettings

    generated = {name: field.default for name, field in GenerateRecipe.model_fields.items()}
    generated |= asdict(SamplerSettings()) | asdict(GateSettings())
    del generated["size"]  # 0 is the model's own, as the flag says
    keyed = {name: field.default for name, field in KeyRecipe.model_fields.items()}
    compared = set()
    for command in ("generate", "build-green100k", "key", "refine", "filter", "run", "plan"):
        known = keyed if command == "key" else generated
        for flag in get_group(app).commands[command].params:
            if flag.param_type_name != "option" or flag.is_flag or flag.name == "assignments":
                continue
            assert isinstance(flag.show_default, str), f"{command} --{flag.name}"
            shown = flag.show_default.rpartition("else ")[2]
            if (
                flag.name in known
                and known[flag.name] not in {"", None}
                and flag.name not in {"out", "negative_prompt", "include"}
            ):
                assert shown == str(known[flag.name]), f"{command} --{flag.name}"
                compared.add(flag.name)
    assert compared >= {
        "n",
        "seed",
        "shard_size",
        "steps",
        "guidance",
        "gsg_max",
        "coverage_min",
        "executor",
        "key",
        "size",
    }


def test_the_common_flags_reach_the_recipe(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("plan", REPOSITORY / "pipelines" / "tiny-green.yaml", "--shard-size", "7", "--out", "there")
    assert code == 0
    assert "→ there" in out
    assert "shards of 7" in out
    assert not (tmp_path / "there").exists()


def test_wrong_numbers_are_refused(refused: Callable[..., str]) -> None:
    assert "n: " in refused("generate", "--n", "0")
    assert "n: " in refused("generate", "--n", "-3")
    assert "--shard-size must be 1 to 10000, not 100000" in refused(*BUILD, "--shard-size", "100000")
    assert "--shard-size must be 1 to 10000, not 0" in refused(*BUILD, "--shard-size", "0")
    assert "--threads" in refused(*BUILD, "--threads", "0")
    many = "sources=[{type: procedural, n: 100000000000}]"
    assert "use --shard-size 10000 or larger, or split the run" in refused(*BUILD, "--set", many)


def test_wrong_fields_are_refused_by_name(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "executor" in refused(*BUILD, "--executor", "slurm")
    assert "sizes" in refused(*BUILD, "--set", "sizes=3")
    assert "gates.gsg" in refused(*BUILD, "--set", "gates.gsg=3")
    assert "a.b=value" in refused(*BUILD, "--set", "gates.gsg_max")
    assert "not a YAML value" in refused(*BUILD, "--set", "gates.gsg_max={")
    assert "size is not a group of fields" in refused(*BUILD, "--set", "size.x=1")
    assert "there is no recipe" in refused("run", "nothing.yaml")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("job: build-green100k\nsauces: []\n")
    assert "sauces" in refused("run", recipe)
    recipe.write_text("job: [")
    assert "not a readable YAML recipe" in refused("run", recipe)
    recipe.write_text("job: generate\n")
    assert "use `factory run" in refused("build-green100k", recipe)


def test_wrong_places_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.tex").write_text("mine")
    assert "--out s3://bucket/set is a bucket" in refused(*BUILD, "--out", "s3://bucket/set")
    assert "is a file" in refused(*BUILD, "--out", "file")
    assert "Not a directory" in refused(*BUILD, *LOCAL, "--out", "file/set")
    assert "holds other files" in refused(*BUILD, "--out", "foreign")
    for command in (("status",), ("verify",), ("report",), ("refine",), ("filter",)):
        assert "plan.json" in refused(*command, "foreign")
    assert "foreign" in refused("show", "foreign", "0000000003")
    assert "no key" in refused("show", "foreign", "3")


def test_a_folder_that_is_not_there_is_said_to_be_absent(refused: Callable[..., str]) -> None:
    for command in (("status",), ("verify",), ("report",), ("refine",), ("filter",), ("captions", "export")):
        table = ("captions.csv",) if command[0] == "captions" else ()
        assert "there is no such folder" in refused(*command, "nowhere", *table)
    assert "there is no such folder" in refused("show", "nowhere", "0000000003")
    training = refused("train", "tiny", "--dry-run")
    assert "runs/tiny-green is not a finished data set: there is no such folder" in training
    assert "factory build-green100k" in training


def test_a_folder_in_a_recipes_place_is_answered_with_the_recipe_in_it(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "set").mkdir()
    assert "set is a folder: give a YAML file" in refused("run", "set")
    (tmp_path / "set" / "recipe.yaml").write_text("job: generate")
    assert "set is a folder: give set/recipe.yaml" in refused("run", "set")


def test_an_empty_argument_is_refused_for_it_is_an_unset_variable(refused: Callable[..., str]) -> None:
    generate = ("generate", "--dry-run")
    for flag in ("--out", "--prompts", "--model", "--template"):
        assert f"what follows {flag} is empty" in refused(*generate, flag, "")
        assert f"what follows {flag} is empty" in refused(*generate, f"{flag}=")
    assert "what follows filter is empty" in refused("filter", "")


def test_an_empty_negative_prompt_is_a_choice(run: Run) -> None:
    assert run("generate", "--dry-run", "--negative-prompt", "")[0] == 0
    assert run("generate", "--dry-run", "--negative-prompt=")[0] == 0


def test_more_gpus_than_the_local_executor_knows_of(run: Run) -> None:
    code, _, err = run(*BUILD, *LOCAL, "--set", "gpus=3", "--out", "set")
    assert code == 2
    assert "--gpus 3 needs --executor ray" in err


def test_debug_shows_the_traceback() -> None:
    ended = factory(*BUILD, "--shard-size", "0", "--debug")
    assert ended.code == 2, "the same as without"
    assert "Traceback" in ended.err
    assert "UsageError" in ended.err


def test_an_unexpected_error_is_one_sentence_as_well(root: Path) -> None:
    (root / "events.jsonl").mkdir()
    ended = factory("status", root)
    assert ended.code == 1
    assert "unexpected IsADirectoryError" in ended.sentence
    assert "--debug" in ended.sentence


def test_models_that_are_not_whole_are_refused(refused: Callable[..., str], model: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("owl\n")
    generate = ("generate", "--model", model, "--prompts", "p.txt", "--n", "2")
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    assert f"{weights} is cut short" in refused(*generate)
    weights.write_bytes(b"")
    assert str(weights) in refused(*generate)
    weights.unlink()
    torch.save({"weight": torch.zeros(1)}, weights.with_suffix(".bin"))
    assert "is pickled and could run code" in refused(*generate)
    weights.with_suffix(".bin").unlink()
    weights.write_bytes(content)
    shutil.rmtree(model / "tokenizer")
    assert "has no tokenizer/" in refused(*generate)
    (model / "model_index.json").unlink()
    assert "no model_index.json" in refused(*generate)
    assert "hf download" in refused("generate", "--model", "someone/some-model", "--prompts", "p.txt")
    assert "there is no such folder" in refused("generate", "--model", "missing", "--prompts", "p.txt")


def test_prompts_and_sampler_settings_are_checked_before_anything_starts(
    refused: Callable[..., str], tiny_model: Path, tmp_path: Path
) -> None:
    generate = ("generate", "--model", tiny_model, "--n", "2")
    assert "--prompts is missing" in refused(*generate)
    assert "there is no such file" in refused(*generate, "--prompts", "missing.txt")
    (tmp_path / "p.txt").write_text("")
    assert "p.txt holds no prompt" in refused(*generate, "--prompts", "p.txt")
    (tmp_path / "p.txt").write_text("owl\n")
    assert "sampler" in refused(*generate, "--prompts", "p.txt", "--sampler", "heun")
    assert "steps 0 is out of range" in refused(*generate, "--prompts", "p.txt", "--steps", "0")
    assert "stepz" in refused(*generate, "--prompts", "p.txt", "--set", "sampler.stepz=3")


def test_a_file_it_may_not_read_is_named(tiny_model: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "p.txt"
    prompts.write_text("owl\n")
    prompts.chmod(0)
    ended = factory_obeying_modes("generate", "--model", tiny_model, "--prompts", prompts, "--out", tmp_path / "set")
    assert ended.code == 2
    assert f"{prompts} cannot be read (Permission denied)" in ended.sentence


def test_a_dry_run_writes_nothing(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("owl\n")
    before = set(tmp_path.rglob("*"))
    code, out, _ = run("generate", "--model", tiny_model, "--prompts", "p.txt", "--n", "600", "--dry-run")
    assert code == 0
    assert "600 samples in 3 shards of 256" in out
    assert "(an estimate: 2.5 bytes a pixel)" in out
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_prompts_from_standard_input_to_a_verified_set(tiny_model: Path, tmp_path: Path) -> None:
    command = (
        *("generate", "--model", tiny_model, "--prompts", "-", "--n", "5", "--shard-size", "2", "--batch", "2"),
        *("--steps", "2", *LOCAL, "--set", OPEN_GATES, "--out", tmp_path / "set"),
    )
    ended = factory(*command, stdin=b"a red feather\n{big|small} owl\n")
    assert ended.code == 0, ended.err
    assert "5 samples in" in ended.out
    code = factory("verify", tmp_path / "set").code
    assert code == 0
    shown = factory("show", tmp_path / "set", "0000010001")
    assert "{big|small} owl" in shown.out
    events = [json.loads(line) for line in Layout(tmp_path / "set").events.read_text().splitlines()]
    assert events[-1]["event"] == "finished"


@pytest.mark.slow
def test_a_run_that_ends_short_says_so_and_exits_with_1(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("owl\n")
    command = (
        *(
            "generate",
            "--model",
            tiny_model,
            "--prompts",
            tmp_path / "p.txt",
            "--n",
            "2",
            "--steps",
            "1",
            "--batch",
            "2",
        ),
        *("--max-attempts", "2", *LOCAL, "--coverage-min", "0.99", "--coverage-max", "1", "--out", tmp_path / "set"),
    )
    ended = factory(*command)
    assert ended.code == 1
    assert "2 of 2 are missing" in ended.out
    assert "  turned down: empty 4" in ended.out
    again = factory(*command, "--allow-short")
    assert again.code == 0
    assert "nothing to do" in again.out
    assert "rejected: " in factory("status", tmp_path / "set").out


def test_a_damaged_plan_is_one_sentence_wherever_it_is_read(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "plan.json").write_text("{")
    for command in ("status", "report", "verify"):
        assert "plan.json is damaged" in refused(command, "set")


def test_the_doctor_lists_a_missing_model_among_the_rest(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.diffusion.model_files.EMBEDDED", tmp_path / "absent")
    code, out, _ = run("doctor")
    assert code == 0
    assert f"embedded model: {tmp_path / 'absent'} is not a model folder" in out
    assert "GiB memory" in out


def test_a_set_without_a_sample_is_told_in_sentences(run: Run) -> None:
    hopeless = ("--set", "gates.coverage_min=0.999", "--set", "gates.coverage_max=1", "--set", "max_attempts=1")
    code, out, err = run(*BUILD, *LOCAL, *hopeless, "--allow-short", "--out", "set")
    assert code == 0, err
    assert "0 samples" in out
    assert run("verify", "set")[0] == 0
    code, _, err = run("export", "set", "--to", "rgba", "--out", "pictures")
    assert code == 2
    assert "has no accepted sample of the split train" in err
    shown = [run("show", "set", f"000000000{index}")[1] for index in range(4)]
    assert any("  none, for no attempt was accepted" in text for text in shown)
    assert not any("None" in text for text in shown)


def test_mattes_are_evaluated_and_a_fault_is_an_exit_code(run: Run, tmp_path: Path) -> None:
    for folder, levels in (("pred", (0, 255)), ("gt", (0, 204))):
        (tmp_path / folder).mkdir()
        for name, level in zip("ab", levels, strict=True):
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), np.full((40, 50), level, np.uint8))
    code, out, err = run("evaluate", "pred", "gt", "--parquet", "scores.parquet")
    assert (code, err) == (0, "")
    assert "whole" in out
    scores = {row["name"]: row for row in pq.read_table("scores.parquet").to_pylist()}
    assert scores["a"]["mse"] == 0
    assert scores["b"]["mse"] == pytest.approx(0.04, rel=1e-5)
    (tmp_path / "pred" / "a.png").unlink()
    code, out, _ = run("evaluate", "pred", "gt")
    assert code == 1
    assert "mean of 1 of 2" in out


def test_a_benchmarks_list_of_hashes_keeps_its_images_out(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cutouts").mkdir()
    for level in (60, 200):
        cutout = np.full((32, 32, 4), level, np.uint8)
        cutout[:8, :, 3] = 0
        cv2.imwrite(str(tmp_path / "cutouts" / f"grey {level}.png"), cutout)
    (tmp_path / "bench").mkdir()
    shutil.copy(tmp_path / "cutouts" / "grey 60.png", tmp_path / "bench" / "other name.png")
    code, out, _ = run("hash-images", "bench", "--name", "my-bench")
    assert code == 0
    (tmp_path / "list.txt").write_text(out)
    source = "sources=[{type: rgba_folder, path: cutouts}]"
    code, out, err = run(
        *("build-green100k", "--set", source, "--set", "exclude=[list.txt]", "--set", "size=32", "--dry-run"),
        *("--executor", "local"),
    )
    assert code == 0, err
    assert "kept out: 1 image of the benchmark my-bench." in out
    assert "1 sample for train" in out


@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        ("< /dev/null > /dev/full", 1, "standard output cannot be written (No space left on device)"),
        ("<&- >&-", 0, ""),
        ("<&- 2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("2> /dev/full", 0, ""),
    ],
)
def test_closed_and_full_streams_cost_nothing_but_what_they_were_told(
    tmp_path: Path, redirected: str, code: int, said: str
) -> None:
    ended = through_a_shell(f"{{}} {redirected}", *BUILD, *LOCAL, "--out", tmp_path / "set")
    assert ended.code == code, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert "Exception ignored" not in ended.err
    assert verify_set(tmp_path / "set", 1) == []


def test_prompts_from_a_closed_standard_input_are_one_sentence() -> None:
    ended = through_a_shell("{} <&-", "generate", "--prompts", "-")
    assert ended.code == 2
    assert ended.sentence.startswith("--prompts -: nothing comes from standard input: ")


def through_a_shell(line: str, *arguments: str | Path) -> Ended:
    """Run a shell's line in which {} is the program with its arguments."""
    program = shlex.join([sys.executable, "-m", "factory", *map(str, arguments)])
    command = ["sh", "-c", line.format(program)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["typer", "factory.cli.making", "pydantic", "factory.jobs.prepare"])
def test_a_signal_before_the_work_begins_is_one_sentence(tmp_path: Path, number: signal.Signals, module: str) -> None:
    """It comes while a module is imported."""
    code = (
        "import os, sys\n"
        "class Impatient:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), {int(number)})\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "from factory.__main__ import main\n"
        "main()\n"
    )
    process = start(*BUILD, *LOCAL, "--out", tmp_path / "set", program=("-c", code))
    out, err = process.communicate(timeout=240)
    assert process.returncode == 130, err
    assert err.decode().startswith("factory: interrupted")
    assert err.count(b"\n") == 1
    assert out == b""


def test_an_ignored_interrupt_stays_ignored(tmp_path: Path) -> None:
    """As `nohup` and shells start what shall live on."""
    code = (
        "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nfrom factory.__main__ import main\n"
        "from factory.run import execute\nmake = execute.make\n"
        "def interrupted(*arguments):\n    os.kill(os.getpid(), signal.SIGINT)\n    return make(*arguments)\n"
        "execute.make = interrupted\nmain()\n"
    )
    process = start(*BUILD, *LOCAL, "--out", tmp_path / "set", program=("-c", code))
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert b"40 samples in" in out


def test_what_nothing_can_pass_and_what_names_nothing_is_refused_before_a_start(refused: Callable[..., str]) -> None:
    generate = ("generate", "--n", "4", *LOCAL)
    assert "no sample can pass" in refused(*generate, "--coverage-min", "0.9", "--coverage-max", "0.1")
    assert "no sample can pass" in refused(*generate, "--coverage-min", "30")
    assert "no sample can pass" in refused(*generate, "--gsg-max", "-1")
    assert "gates.residual_max" in refused(*generate, "--set", "gates.residual_max=.nan")
    assert "no sample can pass" in refused(*BUILD, "--set", "gates.coverage_min=2")
    assert "{klass}" in refused(*generate, "--template", "a {klass}")
    assert "write {class} there" in refused(*generate, "--template", "a thing")


@pytest.mark.slow
def test_prompts_that_are_gone_are_those_that_the_set_was_begun_with(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From standard input, or from a file that was removed; and from any folder, by the set's own recipe."""
    work, elsewhere, out = tmp_path / "work", tmp_path / "elsewhere", Layout(tmp_path / "work" / "set")
    options = ("--n", "4", "--shard-size", "2", "--batch", "2", "--steps", "1", *LOCAL, "--set", OPEN_GATES)

    def ran(folder: Path, *arguments: str | Path, stdin: bytes = b"") -> Ended:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        return factory_here(*arguments)

    work.mkdir()
    elsewhere.mkdir()
    command = ("generate", "--model", tiny_model, "--prompts", "-", *options, "--out", "set")
    assert ran(work, *command, stdin=b"a red feather\nan owl\n").code == 0
    whole = hashes(out.root)
    out.commit(1).unlink()
    ended = ran(work, *command)
    assert ended.code == 0, ended.err
    assert "nothing comes from standard input; going on with the prompts that set was begun with." in ended.err
    assert hashes(out.root) == whole
    other = ran(work, *command, stdin=b"a blue feather\n")
    assert "changed in prompts: a blue feather, a red feather, an owl" in other.sentence
    out.root.rename(elsewhere / "moved")
    Layout(elsewhere / "moved").commit(0).unlink()
    ended = ran(work, "run", "../elsewhere/moved/recipe.yaml")
    assert ended.code == 0, ended.err
    assert hashes(elsewhere / "moved") == whole
    assert not out.root.exists()

    (work / "p.txt").write_text("a red feather\nan owl\n")
    shutil.copytree(tiny_model, work / "model")
    command = ("generate", "--model", "model", "--prompts", "p.txt", *options, "--out")
    assert ran(work, *command, "set").code == 0
    out.commit(0).unlink()
    ended = ran(elsewhere, "run", out.recipe)
    assert ended.code == 0, ended.err
    assert "was begun with" not in ended.err, "the list is still there"
    assert hashes(out.root) == whole
    (work / "p.txt").unlink()
    out.commit(0).unlink()
    ended = ran(work, *command, "set")
    assert ended.code == 0, ended.err
    assert "p.txt: it is not there; going on with the prompts that set was begun with" in ended.err
    assert hashes(out.root) == whole
    assert ran(work, *command, "other").code == 2, "a new set has none"


def test_the_version(run: Run) -> None:
    code, out, _ = run("--version")
    assert code == 0
    assert out.strip().count(".") == 2
