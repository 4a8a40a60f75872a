"""What a measure is, and how one is named: ``"svcca(variance=0.90)"``.

A :class:`Measure` is a frozen dataclass whose fields are its parameters. It splits the work the way a table of pairs
needs it: :meth:`Measure.prepare` runs once a representation, :meth:`Measure.value` once a pair,
:meth:`Measure.permuted` gives the score under many permutations without preparing anything again,
:meth:`Measure.law` gives the null in closed form where there is one, and :meth:`Measure.outcome` gives all that is
asked of a pair at once. :meth:`Measure.regressed` takes the effect of covariates out of a side that is already
prepared.
"""

from __future__ import annotations

import ast
import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.lazy_imports import load_entries
from babelscope.similarity.arrays import FloatArray, IntArray, label_of, same_sentences
from babelscope.similarity.jackknife import SKETCHES
from babelscope.similarity.nulls import NullLaw
from babelscope.similarity.representation import Representation

#: What :meth:`Measure.prepare` returns: opaque to everyone but the measure.
State = Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that was asked of a pair.

    Attributes
    ----------
    value : float
    law : NullLaw or None
        The null in closed form, if it was asked for and there is one.
    shuffled : float
        The score with the second side's sentences in another order; NaN unless it was asked for.
    influence, pairs : ndarray, shapes (n,) and (SKETCHES,), or None
        :meth:`Measure.influence` and :meth:`Measure.pair_sketch`, if they were asked for and have a closed form.
    """

    value: float
    law: NullLaw | None = None
    shuffled: float = math.nan
    influence: FloatArray | None = None
    pairs: FloatArray | None = None


@dataclass(frozen=True)
class Measure(ABC):
    """One measure with its parameters.

    All that the rest of the package knows of a measure stands in its class, so that a measure of another package is
    treated as a built-in one.

    Attributes
    ----------
    name : str
        As written in a study.
    title : str
        As readers call it; the name if empty.
    source : str
        Where it is defined.
    references : tuple of str
        Keys of the works behind it (:mod:`babelscope.report.references`).
    lead : int
        Preference as the measure that carries findings and headline: the lowest number leads; None never before
        another.
    geometric : bool
        Whether it compares what the sentences of one side are to one another, so that rows need not be sentences:
        residuals are then taken in rows in which unrelated data stay exchangeable
        (:func:`babelscope.similarity.residuals.residual_rows`). Other measures take the residuals of the sentences.
    drawn_by_default : bool
        Whether its intervals, where they have no closed form, are drawn without being asked for by name.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    title: ClassVar[str] = ""
    references: ClassVar[tuple[str, ...]] = ()
    lead: ClassVar[int | None] = None
    geometric: ClassVar[bool] = False
    drawn_by_default: ClassVar[bool] = True
    #: Parameters that are shown even where they have their default.
    shown: ClassVar[tuple[str, ...]] = ()

    # -- what it is
    @property
    @abstractmethod
    def convention_text(self) -> str:
        """What exactly is computed, in one line."""

    @property
    def invariances(self) -> frozenset[str]:
        """Which maps of either side leave the value as it is.

        Of ``rotation`` (an orthogonal map of the features), ``scale`` (isotropic), ``shift`` (the same vector added to
        every sentence), ``linear`` (any invertible map). No measure depends on the order of the sentences.
        """
        return frozenset()

    @property
    def null_kinds(self) -> tuple[str, ...]:
        """Which nulls there are: ``exact`` (closed form), ``permutation``."""
        return ("permutation",)

    @property
    def symmetric(self) -> bool:
        """Whether f(x, y) = f(y, x)."""
        return True

    @property
    def same_space(self) -> bool:
        """Whether the two sides must have the same features."""
        return False

    @property
    def centres(self) -> bool:
        """Whether each side's mean is taken off first; a parameter ``centre`` says so where there is one."""
        return bool(getattr(self, "centre", True))

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value means more similar."""
        return True

    @property
    def best(self) -> float:
        """The value of perfect agreement."""
        return 1.0

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        return (0.0, 1.0)

    @property
    def interval_scale(self) -> str:
        """On which scale intervals from a standard error are symmetric (:data:`~.intervals.SCALES`)."""
        return "score"

    @property
    def minimum_sentences(self) -> int:
        """How many sentences it needs to be defined and to have a null."""
        return 5

    @property
    def parameters(self) -> dict[str, Any]:
        """Names and values of all parameters."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}

    def __str__(self) -> str:
        """Return the canonical spelling, which :func:`parse_measure` reads back."""
        parts = [
            f"{item.name}={getattr(self, item.name)!r}"
            for item in dataclasses.fields(self)
            if getattr(self, item.name) != item.default or item.name in self.shown
        ]
        return f"{self.name}({', '.join(parts)})" if parts else self.name

    # -- how it is computed
    @abstractmethod
    def prepare(self, x: Representation) -> State:
        """Return what a pair needs of one side."""

    @abstractmethod
    def value(self, x: State, y: State) -> float:
        """Return the score of a pair."""

    @abstractmethod
    def permuted(self, x: State, y: State, orders: IntArray) -> FloatArray:
        """Return the score with the second side's sentences in each of `orders` (shape (K, n)); shape (K,)."""

    def law(self, x: State, y: State) -> NullLaw | None:
        """Return the null in closed form, or None where it has none or where it is not good enough."""
        return None

    def influence(self, x: State, y: State) -> FloatArray | None:
        """Return (n - 1) times what the score loses with each sentence, shape (n,); None without a closed form.

        The jackknife's pseudo-values less the score: their mean square over n is the score's variance for other
        sentences, and they add up over any sum or difference of scores.
        """
        return None

    def pair_sketch(self, x: State, y: State) -> FloatArray:
        """Return sums with random signs of what each pair of sentences contributes, shape (SKETCHES,).

        A jackknife counts the variance that pairs of sentences add twice; the sum of the squares of these is what it
        counts too often. They add up over any sum or difference of scores, as the influence does. Zeros where pairs
        count for little. See :func:`babelscope.similarity.jackknife.sketched`.
        """
        return np.zeros(SKETCHES)

    def in_part(self, units: int, of: int) -> Measure:
        """Return the measure that scores a part of the sentences as this one scores the whole.

        Parameters
        ----------
        units, of : int
            Sentences of the part and of the whole, or clusters of sentences. Another measure comes back only where
            this one sets something by their number.
        """
        return self

    @property
    def has_influence(self) -> bool:
        """Whether :meth:`influence` has a closed form."""
        return type(self).influence is not Measure.influence

    def outcome(
        self,
        x: State,
        y: State,
        *,
        law: bool = False,
        order: IntArray | None = None,
        influence: bool = False,
        value: float | None = None,
    ) -> Outcome:
        """Return the score of a pair, and what else is asked for; measures whose parts share work override it.

        Parameters
        ----------
        x, y : State
        law, influence : bool
            Whether :meth:`law` and :meth:`influence` are asked for.
        order : ndarray of int, shape (n,), optional
            An order of the second side's sentences whose score is asked for too.
        value : float, optional
            The score, where it is known.
        """
        return Outcome(
            self.value(x, y) if value is None else value,
            self.law(x, y) if law else None,
            float(self.permuted(x, y, order[None])[0]) if order is not None else math.nan,
            self.influence(x, y) if influence else None,
            self.pair_sketch(x, y) if influence else None,
        )

    def regressed(self, x: State, covariates: FloatArray) -> State:
        """Return a prepared side after regressing out covariates.

        Parameters
        ----------
        x : State
        covariates : ndarray, shape (n, c)
            An orthonormal basis of the centred covariates.

        Raises
        ------
        NothingLeft
            If the covariates explain the whole side.
        """
        raise NotImplementedError

    def mapped(self, x: State, rows: FloatArray) -> State | None:
        """Return a prepared side in other rows, or None where that means nothing.

        Asked of sides after :meth:`regressed` whose sentences belong together.

        Parameters
        ----------
        x : State
        rows : ndarray, shape (m, n)
            As :attr:`babelscope.similarity.residuals.ResidualRows.map`.
        """
        return None

    def before_regressing(self, rows: FloatArray) -> FloatArray:
        """Return the rows from which covariates are regressed out where there is no :meth:`regressed`."""
        return rows

    @property
    def regresses_states(self) -> bool:
        """Whether :meth:`regressed` is there; if not, the rows are regressed and prepared again."""
        return type(self).regressed is not Measure.regressed

    def of_one_column(self) -> Measure | None:
        """Return the measure to take where each sentence is a single number, such as its length; None without one."""
        return self

    def narrow(self, x: State) -> State:
        """Return a side in single precision, for tables that are large; as it is where that would save nothing."""
        return x

    def ranks(self, x: State, y: State) -> tuple[float, float]:
        """Return how many directions of each side entered; NaN where that means nothing."""
        return (math.nan, math.nan)

    def notes(self, x: State, y: State) -> tuple[str, ...]:
        """Return what the reader of this value must know."""
        return ()

    def values(self, xs: Sequence[State], ys: Sequence[State]) -> FloatArray | None:
        """Return all scores of `xs` against `ys` in one product, shape (len(xs), len(ys)); None if that is no gain."""
        return None

    # -- checks
    def check(self, n: int, name: Hashable = "x") -> None:
        """Raise DataError if n sentences are too few."""
        if n < self.minimum_sentences:
            raise DataError(
                f"{self} needs at least {self.minimum_sentences} sentences, got {n} ({label_of(name)}): "
                "take more sentences or another measure"
            )

    def check_pair(
        self, x: Representation | tuple[int, int], y: Representation | tuple[int, int], names: Any = None
    ) -> None:
        """Raise DataError if the two sides do not fit together."""
        (n_x, d_x), (n_y, d_y) = ((r.n, r.d) if isinstance(r, Representation) else r for r in (x, y))
        name_x, name_y = names or ("x", "y")
        same_sentences(n_x, n_y, name_x, name_y)
        self.check(n_x, name_x)
        if self.same_space and d_x != d_y:
            raise DataError(
                f"{self} compares vectors of one space, but {label_of(name_x)} has {d_x} features and "
                f"{label_of(name_y)} has {d_y}: "
                "take a measure that needs no common space (svcca, linear_cka, mutual_knn)"
            )

    def between(self, x: Any, y: Any) -> float:
        """Return the score of two arrays."""
        left, right = (r if isinstance(r, Representation) else Representation(r, n) for r, n in ((x, "x"), (y, "y")))
        self.check_pair(left, right, (left.name, right.name))
        return self.value(self.prepare(left), self.prepare(right))


#: Entry-point group in which other packages offer measures; an entry names a class made known by :func:`register`.
GROUP = "babelscope.measures"


class Registry(Mapping[str, Measure]):
    """Measures by name, with default parameters: built in, and those of installed packages once they are asked for."""

    def __init__(self) -> None:
        self._known: dict[str, Measure] = {}
        self._asked = False

    def _with_packages(self) -> dict[str, Measure]:
        if not self._asked:
            self._asked = True
            load_entries(GROUP, "measure")
        return self._known

    def __getitem__(self, name: str) -> Measure:
        return self._known[name] if name in self._known else self._with_packages()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._with_packages())

    def __len__(self) -> int:
        return len(self._with_packages())

    def add(self, measure: Measure) -> None:
        """Make a measure known under its name; UsageError if another class has that name."""
        registered = self._known.get(measure.name)
        if registered is not None and type(registered).__qualname__ != type(measure).__qualname__:
            raise UsageError(f"two measures are named {measure.name!r}: rename {type(measure).__qualname__}")
        self._known[measure.name] = measure


#: Every measure by name, with default parameters.
MEASURES = Registry()

M = TypeVar("M", bound=type[Measure])


def register(kind: M) -> M:
    """Make a class of measures known (decorator)."""
    MEASURES.add(kind())
    return kind


def parse_measure(text: str | Measure) -> Measure:
    """Read a measure as it is written in a study.

    Parameters
    ----------
    text : str or Measure
        ``"svcca"``, ``"svcca(variance=0.90)"``, ``"retrieval(metric='euclidean', k=5)"``: keyword arguments with
        plain values only. Nothing is evaluated but literals.

    Returns
    -------
    Measure

    Raises
    ------
    UsageError
        For an unknown name or parameter (with what was probably meant), a value out of range, or another syntax.

    Examples
    --------
    >>> from babelscope.similarity import parse_measure
    >>> str(parse_measure("svcca( variance = 0.90 )"))
    'svcca(variance=0.9)'
    """
    if isinstance(text, Measure):
        return text
    if not isinstance(text, str):
        raise UsageError(f"a measure is named by text such as 'svcca(variance=0.99)', not by {text!r}")
    spelling = f"cannot read the measure {text!r}: write a name, or a name with keywords such as svcca(variance=0.90)"
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise UsageError(spelling) from error
    keywords: list[ast.keyword] = []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        name, keywords = node.func.id, node.keywords
    elif isinstance(node, ast.Name):
        name = node.id
    else:
        raise UsageError(spelling)
    if name not in MEASURES:
        raise UsageError(f"there is no measure {name!r}: {did_you_mean(name, MEASURES)}")
    known = [item.name for item in dataclasses.fields(MEASURES[name])]
    given: dict[str, Any] = {}
    for keyword in keywords:
        if keyword.arg is None:
            raise UsageError(spelling)
        if keyword.arg not in known:
            raise UsageError(f"{name} has no parameter {keyword.arg!r}: {did_you_mean(keyword.arg, known)}")
        try:
            given[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
            raise UsageError(f"the value of {keyword.arg} in {text!r} is not a plain number or word") from error
    return make(type(MEASURES[name]), **given)


def make(kind: type[Measure], **parameters: Any) -> Measure:
    """Return a measure with checked parameters; UsageError for a value of the wrong kind or out of range."""
    for item in dataclasses.fields(kind):
        if item.name in parameters and not (parameters[item.name] is None and "None" in str(item.type)):
            parameters[item.name] = _fitting(kind.name, item.name, parameters[item.name], item.default)
    return kind(**parameters)


def _fitting(measure: str, parameter: str, value: Any, default: Any) -> Any:
    """Bring a value to the kind of the parameter's default."""
    where = f"{measure}({parameter}={value!r})"
    if isinstance(value, np.generic):
        value = value.item()
    words = {bool: "True or False", str: "a word in quotes", int: "a whole number", float: "a number"}
    for kind, wanted in words.items():
        if isinstance(default, kind):
            accepted = (int, float) if kind is float else kind
            if not isinstance(value, accepted) or isinstance(value, bool) is not (kind is bool):
                raise UsageError(f"{where}: {wanted} is wanted")
            return kind(value)
    return value


def one_of(measure: str, parameter: str, value: str, choices: Sequence[str]) -> None:
    """Raise UsageError unless `value` is one of `choices`."""
    if value not in choices:
        raise UsageError(f"{measure}({parameter}={value!r}): {did_you_mean(str(value), choices)}")


def share(measure: str, parameter: str, value: float | None) -> None:
    """Raise UsageError unless `value` is None or in (0, 1]."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{measure}({parameter}={value!r}): a number is wanted")
    if not 0 < value <= 1:
        raise UsageError(f"{measure}({parameter}={value!r}): a share above 0 and at most 1 is wanted")


def count(measure: str, parameter: str, value: int | None) -> None:
    """Raise UsageError unless `value` is None or a whole number of at least 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{measure}({parameter}={value!r}): a whole number of at least 1 is wanted")


def chunks(total: int, size: int) -> Iterator[slice]:
    """Yield slices that cover range(total)."""
    for start in range(0, total, max(size, 1)):
        yield slice(start, min(start + max(size, 1), total))
