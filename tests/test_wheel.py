"""Someone who has only the wheel: what is in it, and that the program does its work in an empty folder."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import REPOSITORY
from program import LOCAL, PATIENCE, Ended

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]  # one worker builds and installs, for all of them

NEEDED = (
    *(f"factory/embedded/model/{part}/diffusion_pytorch_model.safetensors" for part in ("unet", "vae", "matting_head")),
    "factory/embedded/model/text_encoder/model.safetensors",
    "factory/embedded/model/tokenizer/tokenizer.json",
    "factory/embedded/model/vocabulary.json",
    "factory/greenscreen/keyer/edges_drawn.npz",
    "factory/py.typed",
    "factory/review/report.html.j2",
    "factory/shards/templates/card.md.j2",
    "factory/shipped/pipelines/tiny-green.yaml",
    "factory/shipped/prompts/classes.txt",
    "factory/sources/files/test_images.txt",
)
SMALL = ("--set", "sources=[{type: procedural, n: 4, classes: [heart, star]}]", "--set", "size=32", "--shard-size", "2")
Factory = Callable[..., Ended]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files alone: whatever else lies about here must not slip in."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout: there is no list of what belongs to it")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    copy = tmp_path_factory.mktemp("checkout")
    for name in tracked.stdout.split("\0"):
        if (REPOSITORY / name).is_file():  # not one that was just removed
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution."""
    return build(checkout, tmp_path_factory.mktemp("dist"))


def build(project: Path, target: Path, *what: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", *what, "-d", str(target)]
    subprocess.run(command, cwd=project, capture_output=True, check=True, timeout=PATIENCE)
    return target


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("matting_factory-*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel, and nothing of this checkout."""
    return install(fresh(tmp_path_factory.mktemp("venv")), str(wheel))


def fresh(folder: Path) -> Path:
    """A new virtual environment that borrows torch and all the others: they are not installed again.

    A .pth file names the folder where they are. Python reads no .pth files in a folder that came in by one, so the
    editable installation there leads nowhere.
    """
    venv.create(folder, with_pip=False)
    (site(folder) / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return folder


def site(folder: Path) -> Path:
    """Where a virtual environment's packages lie."""
    return Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))


def install(folder: Path, *what: str) -> Path:
    """pip, without index and dependencies. It sees the borrowed packages, and must not take ours for installed."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin" / "python")]
    command = [*pip, "install", "--no-deps", "--no-index", "--ignore-installed", *what]
    subprocess.run(command, cwd=folder, env=plain(), capture_output=True, check=True, timeout=PATIENCE)
    return folder


def plain() -> dict[str, str]:
    """The environment without what would lead Python or pip elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}


@pytest.fixture(scope="module")
def factory(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """`factory ARGUMENTS` as the wheel installed it, in one folder that is empty at first."""
    folder = tmp_path_factory.mktemp("empty")

    def call(*arguments: str) -> Ended:
        done = subprocess.run(
            [environment / "bin" / "factory", *arguments],
            cwd=folder,
            env=plain(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(checkout: Path, wheel: Path) -> None:
    names = {name for name in ZipFile(wheel).namelist() if not name.endswith("/")}
    beside = {name for name in names if ".dist-info/" in name}
    expected = {path.relative_to(checkout).as_posix() for path in (checkout / "factory").rglob("*") if path.is_file()}
    for folder in ("pipelines", "prompts"):
        expected |= {f"factory/shipped/{folder}/{path.name}" for path in (checkout / folder).iterdir()}
    assert names - beside == expected
    assert set(NEEDED) <= names
    assert {name.partition("/")[2] for name in beside} >= {"METADATA", "entry_points.txt", "licenses/LICENSE"}
    assert not any("__pycache__" in name or name.startswith(("tests", "benchmarks")) for name in names)


def test_the_source_distribution_builds_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    (sdist,) = built.glob("matting_factory-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (project,) = tmp_path.iterdir()
    again = build(project, tmp_path / "dist", "-t", "wheel")
    assert (again / wheel.name).read_bytes() == wheel.read_bytes()


def test_an_editable_installation_is_one_line_and_finds_what_comes_later(checkout: Path, tmp_path: Path) -> None:
    """As the image is made: first an empty package for the dependencies' sake, then the files."""
    project, folder = tmp_path / "app", tmp_path / "venv"
    (project / "factory").mkdir(parents=True)
    (project / "factory" / "__init__.py").touch()
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(checkout / name, project)
    install(fresh(folder), "--no-build-isolation", "--editable", str(project))
    for name in ("factory", "pipelines", "prompts"):
        shutil.copytree(checkout / name, project / name, dirs_exist_ok=True)
    done = subprocess.run(
        [folder / "bin" / "factory", "recipes"], cwd=tmp_path, env=plain(), capture_output=True, text=True, check=True
    )
    assert "factory train tiny\n" in done.stdout
    installed = {path.name for path in site(folder).iterdir() if not path.name.endswith(".dist-info")}
    assert installed == {"_matting_factory.pth", "borrowed.pth"}, "no copies that would grow old"
    assert (site(folder) / "_matting_factory.pth").read_text().strip() == str(project)


def test_the_installed_package_is_the_wheels_own(environment: Path, tmp_path: Path) -> None:
    code = "import json, sys, factory; print(json.dumps([factory.__file__, *sys.path]))"
    python = environment / "bin" / "python"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, env=plain(), capture_output=True, text=True, check=True)
    package, *searched = json.loads(done.stdout)
    assert Path(package).is_relative_to(environment)
    assert REPOSITORY not in {Path(folder).resolve() for folder in searched if folder}


def test_the_version_is_the_projects(factory: Factory) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert factory("--version").out.strip() == project["version"]


def test_the_doctor_finds_the_embedded_model_whole(factory: Factory) -> None:
    ended = factory("doctor")
    assert ended.code == 0, ended.err
    assert "is whole" in ended.out
    assert "missing" not in ended.out


def test_every_recipe_and_list_is_listed_and_can_be_copied(factory: Factory) -> None:
    listed = factory("recipes").out
    for path in [*(REPOSITORY / "pipelines").iterdir(), *(REPOSITORY / "prompts").iterdir()]:
        assert path.stem in listed
    ended = factory("recipes", "copy", "tiny-green", "mine.yaml")
    assert ended.code == 0, ended.err
    assert factory("plan", "mine.yaml").code == 0


def test_generate_paints_a_set_that_is_whole(factory: Factory) -> None:
    ended = factory("generate", "--n", "4", "--shard-size", "2", *LOCAL, "--out", "a")
    assert ended.code == 0, ended.err
    assert "4 samples in" in ended.out
    assert factory("verify", "a").out.strip() == "a is whole."


def test_build_green100k_makes_a_set_that_is_whole(factory: Factory) -> None:
    ended = factory("build-green100k", *SMALL, *LOCAL, "--out", "b")
    assert ended.code == 0, ended.err
    assert factory("verify", "b").out.strip() == "b is whole."


def test_build_green100k_alone_means_the_recipe_that_ships(factory: Factory) -> None:
    ended = factory("build-green100k", "--dry-run", *LOCAL)
    assert (ended.code, ended.err) == (0, "")
    assert "build-green100k → runs/tiny-green" in ended.out
    assert "drawn objects: 28,000 samples for train" in ended.out


def test_a_recipe_is_found_by_its_name(factory: Factory) -> None:
    """Of Green100K's sources none lies in this folder; that is what planning it says."""
    ended = factory("plan", "green100k", *LOCAL)
    assert ended.code == 2
    assert "absent or empty, and passed over, as the recipe allows: /" in ended.sentence
    assert "/data/adobe-matting, " in ended.sentence


def test_a_prompt_list_is_found_by_its_name(factory: Factory) -> None:
    ended = factory("generate", "--prompts", "classes.txt", "--n", "2", "--dry-run")
    assert ended.code == 0, ended.err
    assert "not a file here; taking the prompt list of that name that ships with factory." in ended.out
    assert "2 samples in 1 shard" in ended.out
