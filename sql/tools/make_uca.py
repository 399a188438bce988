#!/usr/bin/env python3
"""Makes sql/src/collation/uca_0900.bin, the primary weights of UCA 9.0.0.

Usage: make_uca.py path/to/allkeys-9.0.0.txt path/to/uca_0900.bin

The input is Unicode's "Default Unicode Collation Element Table" of UCA 9.0.0
(https://www.unicode.org/Public/UCA/9.0.0/allkeys.txt; the PyPI package pyuca 1.2 carries it, too).
It is data of Unicode, Inc. under the Unicode License (SPDX: Unicode-3.0), see sql/NOTICE.

The table is part of the disk format (keys hold weights): never change the output for a name that
exists; a new version is a new file and a new collation.

Output, all numbers little-endian u16 unless said otherwise:

    "PUCA" | u16 pages | u16 expansion words | u16 contractions | u16 zero
    page of each of the 0x1100 blocks of 256 code points (0xffff: no entry, implicit weights)
    pages, 256 cells each
    expansion words: count, then that many weights
    contractions: u32 first, u32 second, u32 third (0: none), u16 offset into the expansion words

A cell is 0 (ignorable), 1..0x7fff (the one primary weight), 0x8000 + n (expansion at word offset n),
or 0xffff (no entry: implicit weights). A contraction's code points follow each other directly.
"""

import struct
import sys

NO_ENTRY = 0xFFFF


def read(path):
    single, contractions = {}, {}
    for line in open(path, encoding="utf-8"):
        line = line.split("#")[0].strip()
        if not line or line.startswith("@"):
            continue
        points, elements = line.split(";")
        points = tuple(int(point, 16) for point in points.split())
        weights = []
        for element in elements.strip().strip("[]").split("]["):
            primary = int(element[1:].split(".")[0], 16)
            if primary:
                weights.append(primary)
        if len(points) == 1:
            single[points[0]] = weights
        else:
            contractions[points] = weights
    return single, contractions


def main(source, target):
    single, contractions = read(source)
    words, offsets = [], {}

    def expansion(weights):
        key = tuple(weights)
        if key not in offsets:
            offsets[key] = len(words)
            words.append(len(weights))
            words.extend(weights)
        return offsets[key]

    def cell(point):
        weights = single.get(point)
        if weights is None:
            return NO_ENTRY
        if not weights:
            return 0
        if len(weights) == 1 and weights[0] < 0x8000:
            return weights[0]
        offset = expansion(weights)
        assert 0x8000 + offset < NO_ENTRY, "too many expansions for a cell"
        return 0x8000 + offset

    index, pages, known = [], [], {}
    for block in range(0x1100):
        page = tuple(cell(block * 256 + low) for low in range(256))
        if all(value == NO_ENTRY for value in page):
            index.append(NO_ENTRY)
            continue
        if page not in known:
            known[page] = len(pages)
            pages.append(page)
        index.append(known[page])
    tail = b""
    for points in sorted(contractions):
        first, second, third = (points + (0,))[:3]
        tail += struct.pack("<IIIH", first, second, third, expansion(contractions[points]))
    out = b"PUCA" + struct.pack("<HHHH", len(pages), len(words), len(contractions), 0)
    out += struct.pack("<%dH" % len(index), *index)
    for page in pages:
        out += struct.pack("<256H", *page)
    out += struct.pack("<%dH" % len(words), *words)
    out += tail
    open(target, "wb").write(out)
    print(len(pages), "pages,", len(words), "words,", len(contractions), "contractions,", len(out), "bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
