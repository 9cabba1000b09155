"""Templates filled in."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(package: str, template: str, context: Mapping[str, Any]) -> str:
    """Fill in a template; ``{{ style | safe }}`` in it is the style sheet of all pages.

    Args:
        package: The package that the template lies in.
        template: Its file name.
        context: What it shows. Text is escaped.

    Returns:
        The page as HTML.
    """
    environment = Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("viewfinder.pages").joinpath("style.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=style, **context)
