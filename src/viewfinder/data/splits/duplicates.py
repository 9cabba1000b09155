"""Images that stand in a data set more than once, exactly or nearly."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from viewfinder.data.readers.record import Record
from viewfinder.data.splits.disjoint import DisjointSets
from viewfinder.data.splits.pixels import THUMBNAIL_SIDE
from viewfinder.data.splits.scan import Scan

_LARGEST_DISTANCE = 7
_BANDS = _LARGEST_DISTANCE + 1
_BAND_BITS = 64 // _BANDS
_LEAST_CORRELATION = 0.95
_LEAST_CONTRAST = 3.0

Pairs = NDArray[np.int64]


def mark_near_duplicates(scan: Scan) -> list[Record]:
    """Give the records of near duplicates the same ``cluster``: the id of the first of them.

    Two images are near duplicates if their perceptual hashes differ in at most 7 of 64 bits and
    their thumbnails correlate with 0.95 or more. On CIFAR-10 every pair that was looked at above
    these limits showed the same photo, cropped, recoloured or encoded otherwise. Images below
    16 pixels and those without contrast are not compared: they can't be told apart this way.
    """
    candidates = np.flatnonzero(_comparable(scan))
    pairs = candidates[_similar_hashes(scan.perceptual[candidates])]
    pairs = pairs[_correlations(scan.thumbnails, pairs) >= _LEAST_CORRELATION]
    sets = DisjointSets(len(scan.records))
    for one, other in pairs.tolist():
        sets.join(one, other)
    alike = {sets.first(number) for number in pairs.ravel().tolist()}
    return [
        replace(record, cluster=scan.records[first].id) if first in alike else record
        for record, first in zip(
            scan.records, map(sets.first, range(len(scan.records))), strict=True
        )
    ]


def exact_duplicates(records: Sequence[Record]) -> list[list[Record]]:
    """Return the groups of two or more records whose pixels are equal."""
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.fingerprint is not None:
            groups[record.fingerprint].append(record)
    return [group for group in groups.values() if len(group) > 1]


def near_duplicates(records: Sequence[Record]) -> list[list[Record]]:
    """Return the clusters of records that look alike; of exact duplicates they hold one."""
    clusters: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.cluster is not None:
            clusters[record.cluster].append(record)
    return [cluster for cluster in clusters.values() if len(cluster) > 1]


def contradicting(group: Sequence[Record]) -> bool:
    """Tell whether copies of one image are annotated with different classes."""
    return len({record.classes() for record in group}) > 1


def _comparable(scan: Scan) -> NDArray[np.bool_]:
    large = [min(record.size or (0, 0)) >= THUMBNAIL_SIDE for record in scan.records]
    contrast = scan.thumbnails.reshape(len(large), -1).std(axis=1)
    # One of several exact duplicates stands for all: the bundles hold them together anyway.
    fingerprints = np.array([record.fingerprint or record.id for record in scan.records])
    first = np.zeros(len(large), bool)
    first[np.unique(fingerprints, return_index=True)[1]] = True
    return np.asarray(np.array(large, bool) & (contrast >= _LEAST_CONTRAST) & first)


def _similar_hashes(hashes: NDArray[np.uint64]) -> Pairs:
    """Return all pairs of hashes within the largest distance, int64 [P, 2].

    Two hashes that differ in 7 bits are equal in at least one of 8 bands, so that only hashes
    that share a band are compared: the pigeonhole principle, as in M. Norouzi, A. Punjani and
    D. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing" (CVPR 2012).
    """
    found = [np.empty((0, 2), np.int64)]
    for band in range(_BANDS):
        keys = (hashes >> np.uint64(band * _BAND_BITS)) & np.uint64(2**_BAND_BITS - 1)
        order = np.argsort(keys, kind="stable")
        ordered, places = keys[order], np.arange(len(order))
        for offset in range(1, len(order)):
            places = places[places + offset < len(order)]
            places = places[ordered[places] == ordered[places + offset]]
            if not len(places):
                break
            left, right = order[places], order[places + offset]
            near = np.bitwise_count(hashes[left] ^ hashes[right]) <= _LARGEST_DISTANCE
            found.append(np.stack([left[near], right[near]], axis=1))
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _correlations(thumbnails: NDArray[np.uint8], pairs: Pairs) -> NDArray[np.float32]:
    """Return the correlation of the thumbnails of each pair, in bounded memory."""
    result = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 4096):
        part = pairs[start : start + 4096]
        values = thumbnails[part].reshape(len(part), 2, -1).astype(np.float32)
        values -= values.mean(axis=2, keepdims=True)
        values /= np.linalg.norm(values, axis=2, keepdims=True)
        result[start : start + len(part)] = (values[:, 0] * values[:, 1]).sum(axis=1)
    return result
