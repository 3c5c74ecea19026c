"""The folder of a training: what says how far it is. Light, for planning reads it."""

from pathlib import Path

STATE_FILE, LOG_FILE, FINISHED_FILE = "state.pt", "log.jsonl", "finished.json"
SETTINGS_FILE = "settings.json"


def is_training(out: Path) -> bool:
    """Whether a training was begun there, and not a data set."""
    return (out / SETTINGS_FILE).is_file()


def is_begun(out: Path) -> bool:
    """Whether anything that was learned is kept there: until then it may as well be trained with other settings."""
    return any((out / name).is_file() for name in (STATE_FILE, FINISHED_FILE))


def standing(out: Path, left: str = "nothing to do") -> list[str]:
    """For a dry run, a line on where the same command would go on; none for a new folder.  left: of a finished one."""
    if (out / FINISHED_FILE).is_file():
        return [f"  is finished: {left}"]
    return [f"  goes on from its last saved state; OUT/{LOG_FILE} says how far it is"] if is_begun(out) else []
