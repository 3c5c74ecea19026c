"""What mattes of photographs are measured by: the errors of quality/metrics.py where trimaps are unknown."""

from collections.abc import Sequence

from factory.experiments.cells import Outcome, Row
from factory.experiments.figures import Figures, Metric
from factory.experiments.tables import DIFFERENCES, compared, failures, means, over_folds, page
from factory.quality.evaluation import CONVENTION, REGIONS
from factory.quality.metrics import UNITS

MSE, CONN = Metric("mse", "MSE × 1000", 1000.0, 2), Metric("conn", "Conn")
FIGURES = Figures(
    metrics=(MSE, CONN, Metric("sad", "SAD"), Metric("grad", "Grad")), compared=(MSE, CONN), plotted=(MSE, CONN)
)


def markdown(
    title: str,
    arms: Sequence[Row],
    outcomes: Sequence[Outcome],
    *,
    compare: Sequence[str],
    failed: dict[str, str],
    tainted: Sequence[str],
) -> str:
    """The page table.md.  failed: arm → why none of it was run.  tainted: which models have seen the test pictures."""
    parts = [*means(FIGURES, arms, outcomes), *over_folds(MSE, arms, outcomes)]
    for other in compare:
        parts += compared(FIGURES, arms, outcomes, other)
    parts += failures(outcomes, failed)
    if tainted:
        parts += ["", "## What has seen the test", "", *(f"- {sentence}" for sentence in tainted)]
    units = [f"{metric.heading.split(' ')[0]} = {UNITS[metric.name]}" for metric in FIGURES.metrics]
    parts += [
        "",
        f"Region: {REGIONS['trimap']}; as in {CONVENTION}. {'; '.join(units)}.",
        "",
        f"± is the spread over seeds (standard deviation, n − 1) of the mean over all test pictures of the folds. "
        f"{DIFFERENCES}",
    ]
    return page(title, parts)
