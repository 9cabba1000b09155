"""Disjoint sets of numbers that grow together."""


class DisjointSets:
    """Sets over ``0 … count - 1``, at first one for each number.

    Source: R. E. Tarjan and J. van Leeuwen, "Worst-case Analysis of Set Union Algorithms",
    J. ACM 31(2), 1984: linking by index, path halving.
    """

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def first(self, number: int) -> int:
        """Return the smallest number of the set that ``number`` is in."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Make one set of the sets that two numbers are in."""
        low, high = sorted((self.first(one), self.first(other)))
        self._parent[high] = low
