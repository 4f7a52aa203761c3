"""The split of templates into train and test: SHA-256 of some bytes, as a big-endian number, mod 23.

Source: arXiv:2407.20311, app. E (the paper trains on bins below 17, the released code on 0..15).
Ours: bin 16 is in neither split, so that nothing leaks under either reading; the hash is computed inside the block kernel (FIPS 180-4).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from igsm_pipeline.problems.calculation import Steps, new_steps, steps_of_record, write_template
from igsm_pipeline.problems.kernel import Bytes, Int, Row, Words, kernel
from igsm_pipeline.problems.record import Records

NUM_BINS = 23
TRAIN_BINS = frozenset(range(16))
TEST_BINS = frozenset(range(17, NUM_BINS))
BINS = {"train": TRAIN_BINS, "test": TEST_BINS, "all": frozenset(range(NUM_BINS))}

HASH_BYTES = 4096
"""Room for the bytes that a hash is taken of; the longest template (52 operations) has fewer than 3,000."""


def _first_bits(power: float, count: int) -> Words:
    """The first 32 bits of the fractional part of prime ** power, of the first primes; exact, by integer roots."""
    primes = [n for n in range(2, 400) if all(n % m for m in range(2, math.isqrt(n) + 1))][:count]
    if power == 1 / 2:
        return np.array([math.isqrt(prime << 64) & 0xFFFFFFFF for prime in primes], np.uint64)
    roots = []
    for prime in primes:
        root = round((prime << 96) ** (1 / 3))
        while root**3 > prime << 96:
            root -= 1
        while (root + 1) ** 3 <= prime << 96:
            root += 1
        roots.append(root & 0xFFFFFFFF)
    return np.array(roots, np.uint64)


_INITIAL, _ROUND = _first_bits(1 / 2, 8), _first_bits(1 / 3, 64)
_LOW = np.uint64(0xFFFFFFFF)


class Hashing(NamedTuple):
    """Scratch arrays of one hash."""

    message: Bytes  # (HASH_BYTES,) the bytes, then their padding
    schedule: Words  # (64,)
    digest: Words  # (8,) 32 bits each


def new_hashing() -> Hashing:
    """Fresh scratch arrays."""
    return Hashing(np.zeros(HASH_BYTES, np.uint8), np.zeros(64, np.uint64), np.zeros(8, np.uint64))


@kernel
def _rotated(word: np.uint64, bits: Int) -> np.uint64:
    """A 32-bit word rotated to the right."""
    return ((word >> np.uint64(bits)) | (word << np.uint64(32 - bits))) & _LOW


@kernel
def _compress(hashing: Hashing, start: Int) -> None:
    """Take 64 bytes of the message into the digest."""
    message, w, digest = hashing.message, hashing.schedule, hashing.digest
    for t in range(16):
        at = start + 4 * t
        w[t] = np.uint64(message[at]) << np.uint64(24) | np.uint64(message[at + 1]) << np.uint64(16)
        w[t] |= np.uint64(message[at + 2]) << np.uint64(8) | np.uint64(message[at + 3])
    for t in range(16, 64):
        low, high = w[t - 15], w[t - 2]
        small0 = _rotated(low, 7) ^ _rotated(low, 18) ^ (low >> np.uint64(3))
        small1 = _rotated(high, 17) ^ _rotated(high, 19) ^ (high >> np.uint64(10))
        w[t] = (w[t - 16] + small0 + w[t - 7] + small1) & _LOW
    a, b, c, d, e, f, g, h = digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]
    for t in range(64):
        big1 = _rotated(e, 6) ^ _rotated(e, 11) ^ _rotated(e, 25)
        first = h + big1 + ((e & f) ^ (~e & g)) + _ROUND[t] + w[t]
        big0 = _rotated(a, 2) ^ _rotated(a, 13) ^ _rotated(a, 22)
        second = big0 + ((a & b) ^ (a & c) ^ (b & c))
        h, g, f, e = g, f, e, (d + first) & _LOW
        d, c, b, a = c, b, a, (first + second) & _LOW
    digest[0], digest[1], digest[2], digest[3] = (digest[0] + a) & _LOW, (digest[1] + b) & _LOW, (digest[2] + c) & _LOW, (digest[3] + d) & _LOW
    digest[4], digest[5], digest[6], digest[7] = (digest[4] + e) & _LOW, (digest[5] + f) & _LOW, (digest[6] + g) & _LOW, (digest[7] + h) & _LOW


@kernel
def message_bin(hashing: Hashing, length: Int) -> Int:
    """The bin of the first ``length`` bytes of ``hashing.message``; overwrites what follows them."""
    message = hashing.message
    end = (length + 9 + 63) // 64 * 64
    message[length] = 0x80
    message[length + 1 : end] = 0
    bits = 8 * length
    for byte in range(8):
        message[end - 1 - byte] = bits >> 8 * byte & 0xFF
    for word in range(8):
        hashing.digest[word] = _INITIAL[word]
    for start in range(0, end, 64):
        _compress(hashing, start)
    remainder = np.uint64(0)
    for word in range(8):
        remainder = (remainder << np.uint64(32) | hashing.digest[word]) % np.uint64(NUM_BINS)
    return np.int64(remainder)


@kernel
def template_bin(rec: Row, steps: Steps, hashing: Hashing) -> Int:
    """The bin of a solution's template; ``steps`` holds the solution."""
    return message_bin(hashing, write_template(hashing.message, steps, rec["order"], rec["num_necessary"]))


@kernel
def codes_bin(codes: Words, number: Int, hashing: Hashing) -> Int:
    """The bin of ``number`` 64-bit words, each written with its lowest byte first."""
    for index in range(number):
        for byte in range(8):
            hashing.message[8 * index + byte] = codes[index] >> np.uint64(8 * byte) & np.uint64(0xFF)
    return message_bin(hashing, 8 * number)


@kernel
def _fill_template_bins(records: Records, steps: Steps, hashing: Hashing) -> None:
    first_edge = np.zeros((3, 4), np.int64)
    for index in range(len(records)):
        steps_of_record(records[index], first_edge, steps)
        records[index]["template_bin"] = template_bin(records[index], steps, hashing)


def fill_template_bins(records: Records) -> None:
    """Set ``template_bin`` of finished records from their solutions."""
    _fill_template_bins(records, new_steps(), new_hashing())


@kernel
def _write_template(rec: Row, steps: Steps, out: Bytes) -> Int:
    steps_of_record(rec, np.zeros((3, 4), np.int64), steps)
    return write_template(out, steps, rec["order"], rec["num_necessary"])


def template_of(record: np.void) -> bytes:
    """The template of a finished record: what the split by template takes the hash of."""
    out = np.zeros(HASH_BYTES, np.uint8)
    return out[: _write_template(record, new_steps(), out)].tobytes()
