"""The source, reader and split method that a data set's config names, checked before they run."""

import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from viewfinder.errors import ViewfinderError, did_you_mean

_SPLITS = "viewfinder.data.splits."
METHODS = {
    "official": f"{_SPLITS}assign.official_split",
    "stratified": f"{_SPLITS}assign.stratified_split",
    "stable": f"{_SPLITS}stable.stable_split",
    "kfold": f"{_SPLITS}kfold.kfold_split",
    "slices": f"{_SPLITS}slices.slice_split",
}
_SCALARS: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
}


def section(config: DictConfig, name: str, key: str) -> dict[str, Any]:
    """Return a section of a data set's config as plain values.

    Args:
        config: The data set's config.
        name: The data set.
        key: The section: source, reader or split.

    Raises:
        ViewfinderError: If there is no such mapping, or a value in it can't be resolved.
    """
    try:
        found = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ViewfinderError(
            f"{_file(name)}: {error.full_key or key} has no value: {str(error).splitlines()[0]}."
        ) from error
    assert isinstance(found, dict)
    if not isinstance(found.get(key), dict):
        raise ViewfinderError(
            f"{_file(name)} has no mapping `{key}:`; it has {', '.join(map(str, found))}. Add it, "
            "as other files of conf/dataset/ have it."
        )
    return {str(option): value for option, value in found[key].items()}


def build(
    settings: Mapping[str, Any], name: str, key: str, besides: Sequence[str] = ()
) -> Callable[..., Any]:
    """Return the function that a section names, with its options.

    Args:
        settings: The section: ``_target_`` (or, for a split, ``method``), and options.
        name: The data set.
        key: The section's name, for messages.
        besides: Options that the section may have besides, for messages.

    Raises:
        ViewfinderError: If there is no such function, or an option is unknown, missing or of
            another type than expected.
    """
    where = f"{_file(name)}: {key}"
    options = {option: value for option, value in settings.items() if option != "_partial_"}
    method = options.pop("method", None) if key == "split" else None
    target = options.pop("_target_", None)
    if method is not None and (target is not None or method not in METHODS):
        raise ViewfinderError(
            f"{where}.method is {method!r}; expected one of {', '.join(METHODS)}, or `_target_` "
            f"alone.{did_you_mean(str(method), list(METHODS))} Correct it."
        )
    target = METHODS[method] if method is not None else target
    if not isinstance(target, str):
        names = f"`method: {' | '.join(METHODS)}`" if key == "split" else "`_target_`"
        raise ViewfinderError(f"{where} does not say what to call; expected {names}.")
    try:
        function: Callable[..., Any] = pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise ViewfinderError(
            f"{where}._target_ is {target!r}, which can't be imported: {error}. Correct it."
        ) from error
    _check(function, options, where, besides)
    return partial(function, **options)


def _check(
    function: Callable[..., Any], options: Mapping[str, Any], where: str, besides: Sequence[str]
) -> None:
    parameters = inspect.signature(function).parameters.values()
    known = {item.name: item for item in parameters if item.kind is item.KEYWORD_ONLY}
    for option, value in options.items():
        if option not in known:
            raise ViewfinderError(
                f"{where} has the option {option!r}; {function.__name__} knows "
                f"{', '.join([*known, *besides]) or 'none'}."
                f"{did_you_mean(option, [*known, *besides])} Correct it."
            )
        hint = get_type_hints(function).get(option, Any)
        if not _fits(value, hint):
            raise ViewfinderError(
                f"{where}.{option} is {value!r}; expected {_words(hint)}. Correct it."
            )
    missing = [
        name
        for name in known
        if name not in options and known[name].default is inspect.Parameter.empty
    ]
    if missing:
        raise ViewfinderError(
            f"{where} lacks {', '.join(missing)}, which {function.__name__} needs. Add them."
        )


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is of one of the plain types that a hint names; others are let pass."""
    choices = _choices(hint)
    if value is None:
        return type(None) in choices or not any(choice in _SCALARS for choice in choices)
    plain = [choice for choice in choices if choice is not type(None)]
    if not all(choice in _SCALARS for choice in plain):
        return True
    if isinstance(value, bool):
        return bool in plain
    return any(isinstance(value, _SCALARS[choice]) for choice in plain)


def _words(hint: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return " or ".join(names.get(choice, "null") for choice in _choices(hint))


def _file(name: str) -> str:
    return f"conf/dataset/{name}.yaml"
