"""Prompt grammars: a YAML of attributes and shares becomes as many prompts as are asked for, with the shares exact.

    class: person
    prompt: "a photo of {a} {age} {gender} with {hair}[, {beard}], {light}"
    negative: bad, ugly
    attributes:
      gender: {woman: 1, man: 1}
      age: {young: 2, middle-aged: 2, old: 1}
      hair:
        bald: {share: 1, says: a bald head}
        long: {share: 9, says: "long {colour} hair"}
      colour: {black: 3, brown: 2, gray: 1}
      beard: {none: {share: 3, says: ""}, full beard: 1}
      light: {soft light: 1}
    never:
      - {gender: woman, beard: full beard}

Of the prompts that an attribute is asked for, each of its values gets its share, rounded by the largest remainder. It
is asked for where `prompt`, or what an earlier attribute says, names it: nobody is bald and has a hair colour. What
stands in square brackets goes where something in it says nothing; {a} is the article. Values are drawn by the seed;
those that a rule forbids together are exchanged between prompts, which leaves the shares as they are.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from factory.errors import UsageError, nearest
from factory.recipe_faults import faults_in
from factory.settings import Strict
from factory.shards.foreign_text import parse_yaml
from factory.sources.captioning.names import article

SUFFIXES = (".yaml", ".yml")
ATTRIBUTES = "attributes"  # of a row: what was chosen, as "age: old"
MOST = 50_000  # prompts; longer sets begin again with the first
DRAWN = 64  # rows that are asked first for an exchange
SILENT = "\0"  # in a prompt in the making, where something says nothing
NAMED = re.compile(r"\{([^{}]*)\}")

Chosen: TypeAlias = dict[str, str]
"""Attribute → value, of one prompt."""


def _with_share(value: Any) -> Any:
    return {"share": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Value(Strict):
    """says: what the prompt gets in the attribute's place; None for the value's name."""

    share: Annotated[float, Field(ge=0, le=1e9)]
    says: str | None = None


Values: TypeAlias = Annotated[
    dict[str, Annotated[Value, BeforeValidator(_with_share)]], Field(min_length=1, max_length=1000)
]
Rule: TypeAlias = dict[str, Annotated[tuple[str, ...], BeforeValidator(_as_list)]]


class Grammar(Strict):
    """What a file says.  never: values of several attributes that no prompt has together."""

    prompt: Annotated[str, Field(min_length=1)]
    class_name: Annotated[str, Field(alias="class")] = ""
    negative: str = ""
    attributes: Annotated[dict[str, Values], Field(min_length=1)]
    never: tuple[Rule, ...] = ()


def read_grammar(text: str, name: str) -> Grammar:
    """The grammar in a YAML text.  name: of its file. Raises UsageError naming each fault."""
    try:
        content = parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"{name} is not a readable YAML grammar ({' '.join(str(error).split())}).") from error
    adapter = TypeAdapter(Grammar)
    try:
        grammar = adapter.validate_python(content)
    except ValidationError as error:
        raise UsageError(f"{name} is no prompt grammar: {'; '.join(faults_in(error, adapter))}.") from error
    if faults := list(_faults(grammar)):
        raise UsageError(f"{name}: {'; '.join(faults)}.")
    return grammar


def _faults(grammar: Grammar) -> Iterator[str]:
    """What does not fit together, a clause each."""
    names = list(grammar.attributes)
    sayings = {name: _sayings(values) for name, values in grammar.attributes.items()}
    for text in (grammar.prompt, *(text for own in sayings.values() for text in own.values())):
        if re.search(r"[\[\]]", re.sub(r"\[[^\[\]]*\]", "", text)):
            yield f"{text!r} has brackets that do not close, or stand in each other: mend them"
    asked = set(NAMED.findall(grammar.prompt))
    for name in sorted((asked - {"a"} | set(NAMED.findall(grammar.class_name))) - {*names}):
        yield f"prompt or class names {{{name}}}, which is no attribute{nearest(name, names)}"
    for place, (name, values) in enumerate(grammar.attributes.items()):
        if not sum(value.share for value in values.values()):
            yield f"no value of {name} has a share above 0"
        for value, text in sayings[name].items():
            said = set(NAMED.findall(text)) - {"a"}
            for wrong in sorted(said - {*names[place + 1 :]}):
                yield f"{name}: {value} says {{{wrong}}}, which is no attribute after it: move it below"
            asked |= said
    for name in names:
        if name not in asked:
            yield f"nothing says {{{name}}}: name it in the prompt, or take the attribute out"
    yield from _faults_of_rules(grammar)


def _faults_of_rules(grammar: Grammar) -> Iterator[str]:
    names = list(grammar.attributes)
    for rule in grammar.never:
        for name, forbidden in rule.items():
            known = list(grammar.attributes.get(name, ()))
            for value in forbidden if known else ():
                if value not in known:
                    yield f"never: {name} has no value {value!r}{nearest(value, known)}"
            if not known:
                yield f"never: there is no attribute {name!r}{nearest(name, names)}"


def _sayings(values: Values) -> Mapping[str, str]:
    """Value → what it says."""
    return {name: name if value.says is None else value.says for name, value in values.items()}


def rows_of(grammar: Grammar, count: int, seed: int, name: str) -> list[dict[str, Any]]:
    """So many prompts, as `PromptList.rows` has them, with what was chosen under ATTRIBUTES; at most MOST.

    The same for the same grammar, count and seed.  name: of the grammar's file.
    Raises UsageError where the shares cannot be had beside the rules.
    """
    count = min(count, MOST)
    texts, chosen = [grammar.prompt] * count, [Chosen() for _ in range(count)]
    for place, (attribute, values) in enumerate(grammar.attributes.items()):
        field = f"{{{attribute}}}"
        rows = [row for row, text in enumerate(texts) if field in text]
        allowed = _allowed(grammar, attribute, [chosen[row] for row in rows])
        wanted = quotas([value.share for value in values.values()], len(rows))
        try:
            dealt = deal(wanted, allowed, np.random.default_rng([seed, place]))
        except ValueError as error:
            value = list(values)[int(error.args[0])]
            raise UsageError(
                f"{name}: the share of {attribute}: {value} cannot be had beside `never`: lower it, or loosen a rule."
            ) from error
        said = list(_sayings(values).items())
        for row, value in zip(rows, dealt.tolist(), strict=True):
            chosen[row][attribute], text = said[value]
            texts[row] = texts[row].replace(field, text or SILENT)
    return [_row(text, own, grammar.class_name) for text, own in zip(texts, chosen, strict=True)]


def quotas(shares: Sequence[float], count: int) -> NDArray[np.int64]:
    """How many of `count` each share is: the largest remainders are rounded up, the earlier of equal ones first."""
    weights = np.asarray(shares, np.float64)
    exact = np.round(weights / weights.sum() * count, 9)  # a third of three is one
    whole: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: count - int(whole.sum())]] += 1
    return whole


def deal(wanted: NDArray[np.int64], allowed: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """A value for each row, each value as often as wanted, none where it is not allowed.

    wanted: (V,), its sum is the number of rows.  allowed: (rows, V).  Returns (rows,).
    Rows that got what they may not have exchange it with another one, or pass it on along a chain of exchanges.
    Raises ValueError with the value that there is no place for.
    """
    held: NDArray[np.int64] = rng.permutation(np.repeat(np.arange(len(wanted)), wanted))
    for row in np.flatnonzero(~allowed[np.arange(len(held)), held]):
        if not allowed[row, held[row]] and not _exchanged(int(row), held, allowed, rng):
            _pass_on(int(row), held, allowed)
    return held


def _exchanged(row: int, held: NDArray[np.int64], allowed: NDArray[np.bool_], rng: np.random.Generator) -> bool:
    """Whether one of some rows drawn by chance may have what the row holds, and the other way round; in place."""
    other = rng.integers(len(held), size=DRAWN)
    fitting = other[allowed[other, held[row]] & allowed[row, held[other]]]
    if fitting.size:
        held[[row, fitting[0]]] = held[[fitting[0], row]]
    return bool(fitting.size)


def _pass_on(row: int, held: NDArray[np.int64], allowed: NDArray[np.bool_]) -> None:
    """Give the row another value along the shortest chain of exchanges, in place."""
    unwanted = int(held[row])
    waiting = [value for value in np.unique(held).tolist() if allowed[row, value]]
    taker = dict.fromkeys(waiting, row)  # value → the row that would take it
    while waiting and unwanted not in taker:
        holders = np.flatnonzero(held == waiting.pop(0))
        for value in np.flatnonzero(allowed[holders].any(axis=0)).tolist():
            if value not in taker:
                taker[value] = int(holders[allowed[holders, value]][0])
                waiting.append(value)
    if unwanted not in taker:
        raise ValueError(unwanted)
    value, taking = unwanted, taker[unwanted]
    while taking != row:
        held[taking], value = value, int(held[taking])
        taking = taker[value]
    held[row] = value


def _allowed(grammar: Grammar, attribute: str, chosen: Sequence[Chosen]) -> NDArray[np.bool_]:
    """(rows, values): what the rules leave to an attribute, whose earlier ones are chosen."""
    values = list(grammar.attributes[attribute])
    allowed = np.ones((len(chosen), len(values)), np.bool_)
    order = {name: place for place, name in enumerate(grammar.attributes)}
    for rule in grammar.never:
        if max(rule, key=order.__getitem__, default="") == attribute:
            others = {name: forbidden for name, forbidden in rule.items() if name != attribute}
            met = np.fromiter(map(partial(_meets, others), chosen), np.bool_, len(chosen))
            forbidden = np.isin(values, rule[attribute])
            allowed &= ~(met[:, None] & forbidden)
    return allowed


def _meets(rule: Mapping[str, Sequence[str]], chosen: Chosen) -> bool:
    return all(chosen.get(name) in forbidden for name, forbidden in rule.items())


def _row(text: str, chosen: Chosen, class_name: str) -> dict[str, Any]:
    """class_name: takes the names of values, not what they say."""
    text = re.sub(rf"\[[^\[\]]*{SILENT}[^\[\]]*\]", "", text).translate(dict.fromkeys(map(ord, f"[]{SILENT}")))
    first, *others = text.split("{a}")
    prompt = " ".join((first + "".join(article(rest) + rest for rest in others)).split())
    attributes = [f"{name}: {value}" for name, value in chosen.items()]
    named = " ".join(NAMED.sub(lambda found: chosen.get(found[1], ""), class_name).split())
    return {"prompt": prompt, "class": named, "caption": prompt, ATTRIBUTES: attributes}
