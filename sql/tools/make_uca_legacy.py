#!/usr/bin/env python3
"""Makes sql/src/collation/uca_0400.bin and uca_0520.bin: the weights of utf8mb4_unicode_ci and utf8mb4_unicode_520_ci.

Usage: make_uca_legacy.py path/to/socket-of-mariadbd sql/src/collation

The weights are the primary ones of Unicode's "Default Unicode Collation Element Table", of UCA 4.0.0 and UCA 5.2.0, data of
Unicode, Inc. under the Unicode License (SPDX: Unicode-3.0), see sql/NOTICE. Unicode keeps no 4.0.0 table in a form that
tools read, and MySQL left some entries of both out (contractions, Hangul, what lies beyond eight weights). So each character
is asked of a server that has both collations: WEIGHT_STRING() shows its weights.

The tables are part of the disk format (keys hold weights): never change the output for a name that exists.

Output: as make_uca.py draws it, without contractions. A character whose weights are the implicit ones (`implicit` below; the
same rule is in sql/src/collation/uca_legacy.rs) has no entry.
"""

import struct
import subprocess
import sys

NO_ENTRY = 0xFFFF
SUPPLEMENTARY = [0xFFFD]


def implicit(point, version):
    """Weights of a character that the table lacks."""
    if point > 0xFFFF and version == "0400":
        return SUPPLEMENTARY
    if 0x4E00 <= point <= 0x9FA5:
        base = 0xFB40
    elif 0x3400 <= point <= 0x4DB5:
        base = 0xFB80
    else:
        base = 0xFBC0
    return [base + (point >> 15), point & 0x7FFF | 0x8000]


def ask(socket, collation, first, last):
    """(code point, weights) of a range."""
    sql = (f"SELECT seq, HEX(WEIGHT_STRING(CONVERT(CONVERT(UNHEX(LPAD(HEX(seq), 8, '0')) USING utf32) USING utf8mb4) "
           f"COLLATE {collation})) FROM seq_{first}_to_{last}")  # fmt: skip
    command = ["mariadb", "-S", socket, "-uroot", "--default-character-set=utf8mb4", "-N", "-B", "-q", "mysql", "-e", sql]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        point, weights = line.split("\t")
        yield int(point), [int(weights[at : at + 4], 16) for at in range(0, len(weights), 4)]


def main(socket, folder):
    for version, collation in [("0400", "utf8mb4_unicode_ci"), ("0520", "utf8mb4_unicode_520_ci")]:
        words, offsets, cells = [], {}, {}
        for first, last in [(0, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]:
            for point, weights in ask(socket, collation, first, last):
                if weights == implicit(point, version):
                    continue
                if len(weights) == 1 and weights[0] < 0x8000:
                    cells[point] = weights[0]
                elif not weights:
                    cells[point] = 0
                else:
                    key = tuple(weights)
                    if key not in offsets:
                        offsets[key] = len(words)
                        words += [len(weights), *weights]
                    cells[point] = 0x8000 + offsets[key]
                    assert cells[point] < NO_ENTRY, "too many expansions for a cell"
        index, pages, known = [], [], {}
        for block in range(0x1100):
            page = tuple(cells.get(block * 256 + low, NO_ENTRY) for low in range(256))
            if all(value == NO_ENTRY for value in page):
                index.append(NO_ENTRY)
                continue
            if page not in known:
                known[page] = len(pages)
                pages.append(page)
            index.append(known[page])
        out = b"PUCA" + struct.pack("<HHHH", len(pages), len(words), 0, 0) + struct.pack("<%dH" % len(index), *index)
        for page in pages:
            out += struct.pack("<256H", *page)
        out += struct.pack("<%dH" % len(words), *words)
        open(f"{folder}/uca_{version}.bin", "wb").write(out)
        longest = max(map(len, offsets))
        print(version, len(cells), "characters,", len(pages), "pages,", len(words), "words,", longest, "weights at most,", len(out), "bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
