#!/usr/bin/env python3
"""Makes sql/src/collation/general_ci.bin, the weights of utf8mb4_general_ci.

Usage: make_general_ci.py path/to/general_ci.bin

The collation is of Unicode 3.0: the weight of a character is its simple upper case without accents.
Accents come off letters below U+0530 and of U+1E00..U+1FFF by canonical decomposition, except from
CYRILLIC SHORT I. Everything else weighs its own code point; beyond U+FFFF everything weighs U+FFFD.
Python carries the data of Unicode 3.2 (unicodedata.ucd_3_2_0); what 3.1 and 3.2 added is left out.
Three letters do not follow the rule and are listed. The result equals WEIGHT_STRING() of a MariaDB
10.11 server for every code point of the Basic Multilingual Plane.

Data: Unicode, Inc., under the Unicode License (SPDX: Unicode-3.0), see sql/NOTICE.

Output: pairs of little-endian u16, code point and weight, sorted, only where they differ.
"""

import struct
import sys
from unicodedata import ucd_3_2_0 as ucd

EXCEPTIONS = {0x00DF: 0x0053, 0x03F2: 0x03A3, 0x03F5: 0x03F5}
NEWER = {0x220, 0x3D8, 0x48A, 0x48B, 0x4C5, 0x4C6, 0x4C9, 0x4CA, 0x4CD, 0x4CE, *range(0x500, 0x510)}


def assigned(point):
    return ucd.category(chr(point)) != "Cn" and point not in NEWER


def upper(char):
    big = char.upper()
    return big if len(big) == 1 and assigned(ord(big)) else char


def base(char):
    point = ord(char)
    in_range = point < 0x530 or 0x1E00 <= point < 0x2000
    if not in_range or point == 0x419 or not ucd.category(char).startswith("L"):
        return char
    while True:
        parts = ucd.decomposition(char).split()
        if len(parts) < 2 or parts[0].startswith("<"):
            return char
        char = chr(int(parts[0], 16))


def weight(point):
    if point in EXCEPTIONS:
        return EXCEPTIONS[point]
    if 0xD800 <= point < 0xE000 or not assigned(point):
        return point
    return ord(upper(base(upper(chr(point)))))


pairs = [(point, weight(point)) for point in range(0x10000) if weight(point) != point]
with open(sys.argv[1], "wb") as out:
    for pair in pairs:
        out.write(struct.pack("<HH", *pair))
print(len(pairs), "pairs")
