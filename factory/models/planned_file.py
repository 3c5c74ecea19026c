"""A file of weights in a plan, which knows it by its hash, and where it lies."""

from hashlib import sha256
from pathlib import Path

from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import InputChanged
from factory.shards.commit import sha256_of


def plan_file(name: str, weights: Path, draft: Draft) -> None:
    """Freeze the file under a name. A link keeps its own, whose suffix says what it is: caches name files by hashes."""
    draft.weights[name] = sha256_of(weights)
    draft.places[name] = str(weights.absolute())


def file_as_planned(plan: Plan, name: str) -> Path:
    """The file. Raises InputChanged where it is not the planned one."""
    path = Path(plan.places[name])
    if not path.is_file() or sha256_of(path) != plan.weights[name]:
        raise changed(path)
    return path


def bytes_as_planned(plan: Plan | Draft, name: str) -> bytes:
    """What the file holds: the very bytes that have the planned hash. Raises InputChanged."""
    path = Path(plan.places[name])
    content = path.read_bytes() if path.is_file() else b""
    if sha256(content).hexdigest() != plan.weights[name]:
        raise changed(path)
    return content


def changed(path: Path) -> InputChanged:
    """What is said of a file that is not the planned one."""
    return InputChanged(f"{path} is not the file the run was planned with: restore it, or use a new --out.")
