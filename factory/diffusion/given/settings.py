"""Which pictures a recipe's prompts begin with. Light: a recipe is read without torch."""

from dataclasses import dataclass

from factory.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Columns of the prompt list that name pictures, and how much of them is painted anew.

    column: of the pictures.  mask: of masks, white where a picture is painted anew; "" where all of it is.
    strength: share of the steps that are taken, from the picture with that much noise on it; 1 takes all, and with a
        mask begins at noise. Without one something of the picture stays even then, √ᾱ of the first timestep, as in
        diffusers: up to 7 % of it in Stable Diffusion.
    """

    column: str
    strength: float = 0.6
    mask: str = ""

    def __post_init__(self) -> None:
        if not self.column:
            raise UsageError("given.column is missing: name the column of the prompt list with pictures, with --given")
        if self.mask == self.column:
            raise UsageError(f"given.mask is given.column, {self.column}: name the column of the masks, with --mask")
        if not 0 < self.strength <= 1:
            raise UsageError(f"given.strength {self.strength:g} is out of range: take more than 0, up to 1")

    @property
    def columns(self) -> tuple[str, ...]:
        """All that name files."""
        return (self.column, self.mask) if self.mask else (self.column,)


def check_steps_taken(given: Given, steps: int) -> None:
    """Raises UsageError where the strength leaves none of the steps."""
    if int(steps * given.strength) < 1:
        raise UsageError(
            f"given.strength {given.strength:g} of {steps} steps is not one step: take more of either, "
            f"a strength from {1 / steps:.2g} on."
        )
