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
    sets = _alike(scan.perceptual[candidates], scan.thumbnails[candidates])
    members: defaultdict[int, list[int]] = defaultdict(list)
    for number, owner in zip(candidates.tolist(), sets.tolist(), strict=True):
        members[owner].append(number)
    records = list(scan.records)
    for same in members.values():
        for number in same if len(same) > 1 else ():
            records[number] = replace(records[number], cluster=records[same[0]].id)
    return records


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


def _alike(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return for each image the number of the set of near duplicates that it is in, int64 [N].

    Two hashes that differ in 7 bits are equal in at least one of 8 bands, so that only hashes
    that share a band are compared: the pigeonhole principle, as in M. Norouzi, A. Punjani and
    D. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing" (CVPR 2012). What is in one
    set already is not compared again: many images that all look alike take no longer than others.
    """
    sets = np.arange(len(hashes))
    for band in range(_BANDS):
        keys = (hashes >> np.uint64(band * _BAND_BITS)) & np.uint64(2**_BAND_BITS - 1)
        order = np.lexsort((hashes, keys))
        bucket = np.unique(keys[order], return_inverse=True)[1]
        places = _unsettled(sets[order], bucket)
        for offset in range(1, len(order)):
            places = places[places + offset < len(order)]
            places = places[bucket[places] == bucket[places + offset]]
            if not len(places):
                break
            left, right = order[places], order[places + offset]
            near = np.bitwise_count(hashes[left] ^ hashes[right]) <= _LARGEST_DISTANCE
            near &= sets[left] != sets[right]
            pairs = np.stack([left[near], right[near]], axis=1)
            pairs = pairs[_correlations(thumbnails, pairs) >= _LEAST_CORRELATION]
            if len(pairs):
                sets = _joined(sets, pairs)
                places = np.intersect1d(places, _unsettled(sets[order], bucket))
    return sets


def _unsettled(sets: NDArray[np.int64], bucket: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places in buckets that hold more than one set, int64 [P]."""
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    several = np.minimum.reduceat(sets, starts) != np.maximum.reduceat(sets, starts)
    return np.flatnonzero(several[bucket])


def _joined(sets: NDArray[np.int64], pairs: Pairs) -> NDArray[np.int64]:
    """Return the sets once those of each pair are one."""
    owners, numbers = np.unique(sets[pairs], return_inverse=True)
    joint = DisjointSets(len(owners))
    for one, other in numbers.reshape(-1, 2).tolist():
        joint.join(one, other)
    owner_of = np.arange(len(sets))
    owner_of[owners] = owners[[joint.first(number) for number in range(len(owners))]]
    return owner_of[sets]


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
