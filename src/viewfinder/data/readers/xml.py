"""XML from strangers: parsed without entities, the door to files and memory bombs."""

from xml.etree import ElementTree

from viewfinder.errors import ViewfinderError


class _PlainTreeBuilder(ElementTree.TreeBuilder):
    """Refuses a document type, the only place where entities can be declared."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError(f"it declares a document type ({name}), which may hide entities")


def parse_xml(content: bytes, where: str) -> ElementTree.Element:
    """Return the root of an XML document.

    Raises:
        ViewfinderError: If it is not well-formed, or declares a document type.
    """
    parser = ElementTree.XMLParser(target=_PlainTreeBuilder())
    try:
        return ElementTree.fromstring(content, parser)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ViewfinderError(
            f"{where} is not plain XML: {error}. Expected an annotation file: correct it."
        ) from error
