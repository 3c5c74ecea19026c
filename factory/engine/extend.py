"""A set that grows: further shards at the end of a begun plan, for more slots of the same sources.

What was made stays as it is, a short last shard too: it is a shard of its plan, and a longer one in its place would be
another. New slots go on where the old ones end, in seeds and in rows of the input table.
"""

from collections import Counter
from dataclasses import replace

from factory.engine.plan import Plan, Segment, differences


def extended(begun: Plan, wanted: Plan) -> Plan | None:
    """The begun plan with the slots that the wanted one has, itself where it has them.

    None where it has more of them already, or the plans differ in anything else.
    """
    have, asked = _slots(begun), _slots(wanted)
    more = {line: asked[line] - have[line] for line in asked}
    if have.keys() != asked.keys() or min(more.values(), default=0) < 0:
        return None
    new = tuple(replace(line, slots=slots, first=have[line]) for line, slots in more.items() if slots)
    grown = replace(begun, segments=begun.segments + new)
    expected = replace(wanted, segments=grown.segments, batch_size=_batch_of(begun, wanted))
    return grown if grown.fingerprint == expected.fingerprint else None


def as_begun_at_once(plan: Plan) -> Plan:
    """The same with the segments of each source and split put together."""
    return replace(plan, segments=tuple(replace(line, slots=slots) for line, slots in _slots(plan).items()))


def reasons_not_to_extend(begun: Plan, wanted: Plan) -> list[str]:
    """Why `extended` gives None, a clause each, for people. More slots are no reason."""
    have, asked = _slots(begun), _slots(wanted)
    at_once, comparable = as_begun_at_once(begun), replace(wanted, batch_size=_batch_of(begun, wanted))
    reasons = []
    if have.keys() == asked.keys():
        comparable = replace(comparable, segments=at_once.segments)
        if any(asked[line] < slots for line, slots in have.items()):
            reasons = [f"it has {begun.slots:,} samples, {wanted.slots:,} are asked, and no set is made smaller"]
    return reasons + differences(at_once, comparable)


def _slots(plan: Plan) -> Counter[Segment]:
    """Slots by source, split and table."""
    slots: Counter[Segment] = Counter()
    for segment in plan.segments:
        slots[replace(segment, slots=0, first=0)] += segment.slots
    return slots


def _batch_of(begun: Plan, wanted: Plan) -> int:
    """The wanted batch; a set that was begun with fewer slots than a batch has keeps its smaller one."""
    first = [segment.slots for segment in begun.segments if not segment.first]
    return min(wanted.batch_size, begun.shard_size, max(first, default=1))
