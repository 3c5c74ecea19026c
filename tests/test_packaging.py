"""A fresh machine gets what was tested: exact versions, make's targets, cluster files that parse, a quick --help."""

import ast
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

HEAVY = {"torch", "diffusers", "transformers", "ray", "webdataset", "wids", "cv2", "numpy", "pyarrow", "pydantic"}
OF_TORCH = ("nvidia-", "cuda-", "triton")  # each CUDA build of torch asks for exactly its own
TARGETS = {"demo", "test", "bench", "clean", "help"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return dict(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"])


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    """Canonical name → version, from constraints.txt."""
    found: dict[str, str] = {}
    for line in (REPOSITORY / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)", line)
            assert match, f"not an exact version of an index's package: {line}"
            found[canonicalize_name(match[1])] = match[2]
    return found


def requirements(project: dict[str, Any]) -> Iterator[Requirement]:
    for text in [
        *project["dependencies"],
        *(line for group in project["optional-dependencies"].values() for line in group),
    ]:
        yield Requirement(text)


def test_every_requirement_is_pinned_to_a_version_it_allows(project: dict[str, Any], pins: dict[str, str]) -> None:
    for requirement in requirements(project):
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(pin), f"constraints.txt pins {requirement.name} {pin}, not {requirement}"


def test_whatever_an_installation_brings_is_pinned_and_installed_so(
    project: dict[str, Any], pins: dict[str, str]
) -> None:
    """Walks the requirements of the requirements; what is not installed here (an extra) brings nothing."""
    waiting = [(requirement.name, requirement.extras) for requirement in requirements(project)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extras = waiting.pop()
        name = canonicalize_name(name)
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        assert name in pins, f"{name} comes along but is not in constraints.txt"
        assert Version(installed.version).public == pins[name], (
            f"{name} {installed.version} is installed: run `make test`"
        )
        for extra in {"", *extras} - {extra for seen_name, extra in seen if seen_name == name}:
            seen.add((name, extra))
            for requirement in map(Requirement, installed.requires or ()):
                wanted = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
                if wanted and not canonicalize_name(requirement.name).startswith(OF_TORCH):
                    waiting.append((requirement.name, requirement.extras))
    assert len(seen) > len(project["dependencies"])


def test_everything_factory_imports_is_a_dependency(project: dict[str, Any]) -> None:
    named = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    owners = packages_distributions()
    for path in sorted((REPOSITORY / "factory").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            for module in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"factory"}:
                dists = {canonicalize_name(name) for name in owners[module]}
                assert dists & named, f"{path} imports {module}, which pyproject.toml does not ask for"


def test_help_imports_nothing_heavy_and_answers_at_once() -> None:
    """The figure itself (0.5 s) is measured in benchmarks/help_time.py; here a bound that a busy machine holds too."""
    code = (
        "import sys\n"
        "from factory.cli.app import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as leave:\n    assert not leave.code, leave.code\n"
        "print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 3
    help_text, _, loaded = done.stdout.rpartition("LOADED")
    assert "generate" in help_text
    assert not HEAVY & set(loaded.split())


def test_make_offers_its_targets_and_they_parse() -> None:
    done = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert set(re.findall(r"make (\w+)", done.stdout)) == TARGETS
    for target in sorted(TARGETS):
        subprocess.run(["make", "-n", target], cwd=REPOSITORY, capture_output=True, check=True)


def test_make_installs_again_when_what_it_installs_from_has_changed(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("bin/pip", ".dev", ".runtime"):
        (tmp_path / name).touch()
    make = ["make", "-n", "test", f"VENV={tmp_path}"]
    assert "pip" not in commands(*make), "up to date"
    for changed in ("pyproject.toml", "constraints.txt"):
        assert "install --quiet -c constraints.txt -e '.[dev]'" in commands(*make, "-W", changed)


def test_make_clean_removes_what_a_build_leaves() -> None:
    assert " dist " in commands("make", "-n", "clean")


def commands(*make: str) -> str:
    """What make would do."""
    return subprocess.run(make, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


def test_make_refuses_an_old_python_with_the_mend(tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.18 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.18" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_ray_takes_the_cluster_file(pins: dict[str, str]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    text = (REPOSITORY / "docker" / "ray-cluster.yaml").read_text()
    config = prepare_config(yaml.safe_load(text))
    validate_config(config)
    gpu = config["available_node_types"]["gpu"]
    assert gpu["min_workers"] * gpu["resources"]["GPU"] == gpus_asked(text)
    assert f"ray[default]=={pins['ray']}" in text


def test_the_kuberay_manifest_runs_the_image_on_as_many_gpus_as_the_command_asks(pins: dict[str, str]) -> None:
    claim, job = yaml.safe_load_all((REPOSITORY / "docker" / "kuberay.yaml").read_text())
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == pins["ray"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1, "head and workers must run one image"
    for pod in pods:
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (workers,) = cluster["workerGroupSpecs"]
    per_pod = int(workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    assert workers["replicas"] * per_pod == gpus_asked(job["spec"]["entrypoint"])


def gpus_asked(text: str) -> int:
    """The number behind the first --gpus of a command."""
    match = re.search(r"--gpus (\d+)", text)
    assert match
    return int(match[1])


@pytest.mark.parametrize("name", ["ray-cluster.yaml", "kuberay.yaml"])
def test_factory_understands_the_cluster_files_command(name: str) -> None:
    from typer.main import get_group

    from factory.cli.app import app

    words = (REPOSITORY / "docker" / name).read_text().replace("#", " ")
    command = re.search(r"factory generate((?:\s+-{1,2}[a-z-]+ [\w/.]+)+)", words)
    assert command
    generate = get_group(app).commands["generate"]
    assert generate.make_context("generate", command[1].split()).params["n"] == 1_000_000


def test_the_image_copies_what_exists() -> None:
    dockerfile = (REPOSITORY / "docker" / "Dockerfile").read_text()
    kept = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in kept:
        assert (REPOSITORY / name).exists(), f".dockerignore lets {name} in, which does not exist"
    copied = {word for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.M) for word in line.split()} - {"."}
    assert copied <= kept
    assert {"factory", "pipelines", "prompts"} <= kept


def test_continuous_integration_runs_all_tests() -> None:
    script = REPOSITORY / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
    assert script.read_text().rstrip().endswith("make test test-slow")
