"""Random statements as trees: typed expressions, queries, changes of rows; each can be printed and made smaller.

A tree is a `Node`: a template with its operands. What operands may be is a matter of types, so that most statements mean
something: `int`, `dec`, `dbl`, `str`, `date`, `dt` and `bool`; one comparison in twenty mixes them, for implicit conversions.
"""

MIXED_SHARE = 0.05
ROWS_MAX = 14
TABLES = 3
# Column: type, definition. `id` is the primary key beside them.
COLUMNS = {
    "i": ("int", "INT"),
    "j": ("int", "SMALLINT"),
    "u": ("int", "BIGINT UNSIGNED"),
    "d": ("dec", "DECIMAL(8,2)"),
    "f": ("dbl", "DOUBLE"),
    "s": ("str", "VARCHAR(12)"),
    "c": ("str", "CHAR(4)"),
    "a": ("date", "DATE"),
    "t": ("dt", "DATETIME"),
}
WORDS = ["", "a", "A", "b", "ab", "Ab", "abc", "b a", "x", "B A", "ss", "0", "1", "12", "3.5", "zz", "%", "_"]
DATES = ["2024-02-29", "2024-03-01", "1999-12-31", "2000-01-01", "2023-11-05", "1970-01-02"]
PATTERNS = ["%", "a%", "%b", "_", "__", "%a%", "a_c", "1%", ""]

# Templates of expressions: result, weight, text with {} for operands, types of the operands.
TEMPLATES = [
    ("int", 6, "({} + {})", ["int", "int"]),
    ("int", 4, "({} - {})", ["int", "int"]),
    ("int", 4, "({} * {})", ["int", "int"]),
    ("int", 2, "({} DIV {})", ["int", "int"]),
    ("int", 3, "({} % {})", ["int", "int"]),
    ("int", 1, "(- {})", ["int"]),
    ("int", 2, "ABS({})", ["int"]),
    ("int", 1, "SIGN({})", ["int"]),
    ("int", 1, "({} & {})", ["int", "int"]),
    ("int", 1, "({} | {})", ["int", "int"]),
    ("int", 1, "({} << 1)", ["int"]),
    ("int", 2, "IF({}, {}, {})", ["bool", "int", "int"]),
    ("int", 2, "CASE WHEN {} THEN {} ELSE {} END", ["bool", "int", "int"]),
    ("int", 1, "CASE {} WHEN {} THEN {} END", ["int", "int", "int"]),
    ("int", 2, "COALESCE({}, {})", ["int", "int"]),
    ("int", 1, "IFNULL({}, {})", ["int", "int"]),
    ("int", 1, "NULLIF({}, {})", ["int", "int"]),
    ("int", 1, "GREATEST({}, {})", ["int", "int"]),
    ("int", 1, "LEAST({}, {})", ["int", "int"]),
    ("int", 1, "CHAR_LENGTH({})", ["str"]),
    ("int", 1, "LENGTH({})", ["str"]),
    ("int", 1, "LOCATE({}, {})", ["str", "str"]),
    ("int", 1, "ASCII({})", ["str"]),
    ("int", 1, "FIELD({}, {}, {})", ["str", "str", "str"]),
    ("int", 1, "YEAR({})", ["date"]),
    ("int", 1, "MONTH({})", ["date"]),
    ("int", 1, "DAYOFYEAR({})", ["date"]),
    ("int", 1, "DATEDIFF({}, {})", ["date", "date"]),
    ("int", 1, "HOUR({})", ["dt"]),
    ("int", 1, "FLOOR({})", ["dec"]),
    ("int", 1, "CAST({} AS SIGNED)", ["dec"]),
    ("int", 1, "{}", ["bool"]),
    ("dec", 5, "({} + {})", ["dec", "dec"]),
    ("dec", 4, "({} - {})", ["dec", "int"]),
    ("dec", 4, "({} * {})", ["dec", "dec"]),
    ("dec", 3, "({} / {})", ["dec", "int"]),
    ("dec", 2, "({} / {})", ["int", "int"]),
    ("dec", 2, "ROUND({}, 1)", ["dec"]),
    ("dec", 1, "TRUNCATE({}, 1)", ["dec"]),
    ("dec", 1, "ABS({})", ["dec"]),
    ("dec", 2, "COALESCE({}, {})", ["dec", "dec"]),
    ("dec", 2, "IF({}, {}, {})", ["bool", "dec", "int"]),
    ("dec", 1, "CAST({} AS DECIMAL(10,3))", ["int"]),
    ("dec", 1, "GREATEST({}, {})", ["dec", "int"]),
    ("dbl", 2, "({} + {})", ["dbl", "int"]),
    ("dbl", 2, "({} * {})", ["dbl", "dbl"]),
    ("dbl", 1, "COALESCE({}, {})", ["dbl", "int"]),
    ("dbl", 1, "SQRT(ABS({}))", ["int"]),
    ("str", 5, "CONCAT({}, {})", ["str", "str"]),
    ("str", 1, "CONCAT({}, {})", ["str", "int"]),
    ("str", 1, "CONCAT_WS('-', {}, {})", ["str", "str"]),
    ("str", 2, "UPPER({})", ["str"]),
    ("str", 2, "LOWER({})", ["str"]),
    ("str", 2, "SUBSTRING({}, {})", ["str", "int"]),
    ("str", 1, "LEFT({}, {})", ["str", "int"]),
    ("str", 1, "RIGHT({}, {})", ["str", "int"]),
    ("str", 1, "TRIM({})", ["str"]),
    ("str", 1, "REPLACE({}, {}, {})", ["str", "str", "str"]),
    ("str", 1, "LPAD({}, 5, 'xy')", ["str"]),
    ("str", 1, "REVERSE({})", ["str"]),
    ("str", 2, "IF({}, {}, {})", ["bool", "str", "str"]),
    ("str", 2, "COALESCE({}, {})", ["str", "str"]),
    ("str", 1, "CASE WHEN {} THEN {} WHEN {} THEN {} END", ["bool", "str", "bool", "str"]),
    ("str", 1, "NULLIF({}, {})", ["str", "str"]),
    ("str", 1, "CAST({} AS CHAR)", ["int"]),
    ("str", 1, "DATE_FORMAT({}, '%Y-%m')", ["date"]),
    ("date", 3, "DATE_ADD({}, INTERVAL {} DAY)", ["date", "small"]),
    ("date", 1, "DATE_SUB({}, INTERVAL {} MONTH)", ["date", "small"]),
    ("date", 1, "LAST_DAY({})", ["date"]),
    ("date", 1, "COALESCE({}, {})", ["date", "date"]),
    ("date", 1, "DATE({})", ["dt"]),
    ("dt", 2, "DATE_ADD({}, INTERVAL {} HOUR)", ["dt", "small"]),
    ("dt", 1, "COALESCE({}, {})", ["dt", "dt"]),
    ("dt", 1, "CAST({} AS DATETIME)", ["date"]),
    ("bool", 4, "({} AND {})", ["bool", "bool"]),
    ("bool", 4, "({} OR {})", ["bool", "bool"]),
    ("bool", 2, "(NOT {})", ["bool"]),
    ("bool", 1, "({} XOR {})", ["bool", "bool"]),
    ("bool", 1, "({} IS TRUE)", ["bool"]),
    ("bool", 1, "({} IS NOT FALSE)", ["bool"]),
    ("bool", 1, "({} IS UNKNOWN)", ["bool"]),
    ("bool", 2, "({} IS NULL)", ["any"]),
    ("bool", 2, "({} IS NOT NULL)", ["any"]),
    ("bool", 3, "({} LIKE {})", ["str", "pattern"]),
]
for of in ("int", "int", "dec", "str", "str", "date", "dt"):
    for operator in ("=", "<>", "<", "<=", ">", ">=", "<=>"):
        TEMPLATES.append(("bool", 1 if operator != "=" else 3, f"({{}} {operator} {{}})", [of, of]))
    TEMPLATES.append(("bool", 1, "({} BETWEEN {} AND {})", [of] * 3))
    TEMPLATES.append(("bool", 1, "({} IN ({}, {}))", [of] * 3))
    TEMPLATES.append(("bool", 1, "({} NOT IN ({}, {}))", [of] * 3))
TYPES = ["int", "int", "dec", "str", "str", "date", "dt"]


class Node:
    """A template and what stands in its places."""

    def __init__(self, kind, text, children=()):
        self.kind, self.text, self.children = kind, text, list(children)

    def __str__(self):
        return self.text.format(*self.children) if self.children else self.text.replace("{{", "{").replace("}}", "}")

    def size(self):
        return 1 + sum(child.size() for child in self.children)

    def smaller(self):
        """Trees with something less, the smallest first."""
        for child in self.children:
            if child.kind == self.kind and self.kind not in ("query", "from", "list"):
                yield child
        if self.children and self.kind in LITERALS:
            for literal in LITERALS[self.kind]:
                yield Node(self.kind, literal)
        for place, child in enumerate(self.children):
            if child.kind == "optional" and child.children:
                yield self.replaced(place, Node("optional", ""))
            if child.kind == "list" and len(child.children) > child.least:
                for index in range(len(child.children)):
                    yield self.replaced(place, Many(child.separator, child.children[:index] + child.children[index + 1 :], child.least))
            for less in child.smaller():
                yield self.replaced(place, less)

    def replaced(self, place, child):
        copy = Node(self.kind, self.text, self.children)
        copy.children[place] = child
        copy.__class__ = self.__class__
        copy.__dict__.update({key: value for key, value in self.__dict__.items() if key != "children"})
        return copy


class Many(Node):
    """Operands with a separator between them."""

    def __init__(self, separator, children, least=1):
        super().__init__("list", "", children)
        self.separator, self.least = separator, least

    def __str__(self):
        return self.separator.join(map(str, self.children))


LITERALS = {"int": ["1", "NULL"], "dec": ["1.5", "NULL"], "dbl": ["1e0"], "str": ["'a'", "NULL"], "bool": ["TRUE", "FALSE", "NULL"], "date": ["DATE'2024-02-29'"],
            "dt": ["TIMESTAMP'2024-02-29 01:02:03'"]}  # fmt: skip


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Generator:
    """Statements over tables t0, t1, …, out of one source of randomness."""

    def __init__(self, rng):
        self.rng = rng
        self.serial = 0

    # -- tables

    def tables(self):
        """Statements that make the tables and their rows."""
        for number in range(TABLES):
            columns = ", ".join(f"{name} {ty}" for name, (_, ty) in COLUMNS.items())
            keys = ["PRIMARY KEY (id)"]
            for serial in range(self.rng.randint(0, 3)):
                names = ", ".join(self.rng.sample(sorted(COLUMNS), self.rng.randint(1, 2)))
                keys.append(f"KEY k{serial} ({names})")
            yield f"CREATE TABLE t{number} (id INT NOT NULL, {columns}, {', '.join(keys)})"
            for identity in range(1, self.rng.randint(2, ROWS_MAX)):
                yield f"INSERT INTO t{number} VALUES ({identity}, {self.values()})"

    def values(self):
        return ", ".join("NULL" if self.rng.random() < 0.2 else self.stored(name) for name in COLUMNS)

    def stored(self, name):
        rng = self.rng
        return {
            "i": lambda: str(rng.choice([0, 1, 2, 3, -1, 7, 100, -5])),
            "j": lambda: str(rng.choice([0, 1, 2, 3, -1, 32767])),
            "u": lambda: str(rng.choice([0, 1, 2, 3, 10, 255])),
            "d": lambda: str(rng.choice(["0", "1.50", "-2.25", "3", "10.01", "99.99"])),
            "f": lambda: str(rng.choice(["0", "0.5", "-1.25", "2", "1000"])),
            "s": lambda: quoted(rng.choice(WORDS)),
            "c": lambda: quoted(rng.choice([word for word in WORDS if len(word) <= 4])),
            "a": lambda: quoted(rng.choice(DATES)),
            "t": lambda: quoted(rng.choice(DATES) + rng.choice([" 00:00:00", " 12:34:56", " 23:59:59"])),
        }[name]()  # fmt: skip

    # -- expressions

    def literal(self, kind):
        rng = self.rng
        if kind not in ("small", "pattern") and rng.random() < 0.06:
            return Node(kind, "NULL")
        text = {
            "int": lambda: str(rng.choice([0, 1, 2, 3, -1, 5, 10, 127])),
            "small": lambda: str(rng.choice([0, 1, 2, -1, 30])),
            "dec": lambda: str(rng.choice(["0.0", "1.5", "2.25", "-0.5", "10.00"])),
            "dbl": lambda: str(rng.choice(["0e0", "5e-1", "2e0", "1e3"])),
            "str": lambda: quoted(rng.choice(WORDS)),
            "pattern": lambda: quoted(rng.choice(PATTERNS)),
            "date": lambda: f"DATE'{rng.choice(DATES)}'",
            "dt": lambda: f"TIMESTAMP'{rng.choice(DATES)} 12:34:56'",
            "bool": lambda: rng.choice(["TRUE", "FALSE"]),
        }[kind]()  # fmt: skip
        return Node(kind, text.replace("{", "{{").replace("}", "}}"))

    def expression(self, kind, scope, depth):
        """An expression; `scope`: (type, text) of the columns that it may read."""
        rng = self.rng
        if kind == "any":
            kind = rng.choice(TYPES)
        if kind in ("small", "pattern"):
            return self.literal(kind)
        if kind == "bool" and depth > 1 and scope and rng.random() < 0.06:
            return self.condition_with_subquery(scope, depth - 1)
        columns = [text for ty, text in scope if ty == kind]
        if depth <= 0 or (kind != "bool" and rng.random() < 0.3):
            if columns and rng.random() < 0.75:
                return Node(kind, rng.choice(columns))
            return self.literal(kind)
        fitting = [template for template in TEMPLATES if template[0] == kind]
        _, _, text, operands = rng.choices(fitting, [template[1] for template in fitting])[0]
        if kind == "bool" and len(operands) == 2 and operands[0] == operands[1] and rng.random() < MIXED_SHARE:
            operands = [operands[0], rng.choice(["int", "dec", "str"] if operands[0] not in ("date", "dt") else ["date", "dt"])]
        return Node(kind, text, [self.expression(operand, scope, depth - 1) for operand in operands])

    def condition_with_subquery(self, scope, depth):
        rng = self.rng
        table, own = self.table()
        inner = own + (scope if rng.random() < 0.4 else [])
        where = Node("optional", " WHERE {}", [self.expression("bool", inner, depth - 1)])
        form = rng.choice(["in", "not in", "exists", "not exists", "scalar", "any", "all"])
        if form.endswith("exists"):
            return Node("bool", f"({form.upper()} (SELECT 1 FROM {table}{{}}))", [where])
        kind = rng.choice(["int", "dec", "str", "date"])
        left, item = self.expression(kind, scope, 1), self.expression(kind, own, 1)
        if form in ("in", "not in"):
            return Node("bool", f"({{}} {form.upper()} (SELECT {{}} FROM {table}{{}}))", [left, item, where])
        operator = rng.choice(["=", "<", ">=", "<>"])
        if form == "scalar":
            function = rng.choice(["MAX", "MIN", "COUNT"])
            return Node("bool", f"({{}} {operator} (SELECT {function}({{}}) FROM {table}{{}}))", [left if function != "COUNT" else self.expression("int", scope, 1), item, where])
        return Node("bool", f"({{}} {operator} {form.upper()} (SELECT {{}} FROM {table}{{}}))", [left, item, where])

    # -- queries

    def table(self):
        """A table under a name of its own: its text, and its columns."""
        self.serial += 1
        name = f"x{self.serial}"
        scope = [("int", f"{name}.id")] + [(kind, f"{name}.{column}") for column, (kind, _) in COLUMNS.items()]
        return f"t{self.rng.randrange(TABLES)} AS {name}", scope

    def source(self, depth):
        """FROM: a tree and its columns."""
        rng = self.rng
        text, scope = self.table()
        node = Node("from", text)
        for _ in range(rng.choices([0, 1, 2], [5, 4, 1])[0]):
            if depth > 1 and rng.random() < 0.15:
                self.serial += 1
                name = f"x{self.serial}"
                inner, columns = self.select(depth - 2, width=2)
                other, own = Node("from", f"({{}}) AS {name}", [inner]), [(kind, f"{name}.c{place}") for place, kind in enumerate(columns)]
            else:
                text, own = self.table()
                other = Node("from", text)
            both = scope + own
            join = rng.choice(["JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN"])
            equal = self.equality(scope, own)
            on = equal if rng.random() < 0.7 else self.expression("bool", both, 1)
            node = Node("from", f"{{}} {join} {{}} ON {{}}", [node, other, on])
            scope = both
        return node, scope

    def equality(self, left, right):
        kinds = [kind for kind, _ in right if any(kind == other for other, _ in left)]
        if not kinds:
            return Node("bool", "TRUE")
        kind = self.rng.choice(kinds)
        pick = lambda scope: Node(kind, self.rng.choice([text for ty, text in scope if ty == kind]))
        return Node("bool", "({} = {})", [pick(left), pick(right)])

    def select(self, depth, width=None):
        """A SELECT without ORDER BY, and the types of its columns c0, c1, …"""
        rng = self.rng
        source, scope = self.source(depth)
        where = Node("optional", " WHERE {}", [self.expression("bool", scope, depth)]) if rng.random() < 0.7 else Node("optional", "")
        width = width or rng.randint(1, 4)
        kinds = [rng.choice(TYPES) for _ in range(width)]
        form = rng.choices(["plain", "distinct", "group", "total", "window"], [6, 2, 4, 2, 2])[0]
        if form in ("plain", "distinct"):
            items = [self.expression(kind, scope, 2) for kind in kinds]
            head = "SELECT DISTINCT" if form == "distinct" else "SELECT"
            return Node("query", f"{head} {{}} FROM {{}}{{}}", [self.items(items), source, where]), kinds
        if form == "window":
            items = [self.expression(kind, scope, 1) for kind in kinds[:-1]] + [self.window(scope)]
            return Node("query", "SELECT {} FROM {}{}", [self.items(items), source, where]), kinds[:-1] + ["int"]
        if form == "total":
            items, kinds = zip(*(self.aggregate(scope) for _ in kinds))
            return Node("query", "SELECT {} FROM {}{}", [self.items(items), source, where]), list(kinds)
        keys = [(kind, text) for kind, text in rng.sample(scope, min(len(scope), rng.randint(1, 2))) if kind != "dbl"] or [scope[0]]
        items = [Node(kind, text) for kind, text in keys]
        kinds = [kind for kind, _ in keys]
        while len(items) < width:
            item, kind = self.aggregate(scope)
            items.append(item)
            kinds.append(kind)
        if width < len(items):
            items, kinds = items[:width], kinds[:width]
        group = Many(", ", [Node(kind, text) for kind, text in keys])
        having = Node("optional", "")
        if rng.random() < 0.3:
            item, kind = self.aggregate(scope, numbers=True)
            having = Node("optional", " HAVING ({} > {})", [item, self.literal("int")])
        return Node("query", "SELECT {} FROM {}{} GROUP BY {}{}", [self.items(items), source, where, group, having]), kinds

    def items(self, items):
        named = Many(", ", [Node("item", f"{{}} AS c{place}", [item]) for place, item in enumerate(items)], least=len(items))
        return named

    def aggregate(self, scope, numbers=False):
        rng = self.rng
        form = rng.choice(["COUNT(*)", "COUNT", "SUM", "AVG", "MIN", "MAX", "COUNT(DISTINCT)", "SUM(DISTINCT)", "BIT_OR"] + ([] if numbers else ["MINS", "MAXS", "GROUP_CONCAT"]))
        if form == "COUNT(*)":
            return Node("int", "COUNT(*)"), "int"
        if form in ("MINS", "MAXS"):
            kind = rng.choice(["str", "date", "dt"])
            # Of equal texts any may be the least: compare what does not depend on it.
            template = f"UPPER({form[:3]}({{}}))" if kind == "str" else f"{form[:3]}({{}})"
            return Node(kind, template, [self.expression(kind, scope, 1)]), kind
        if form == "GROUP_CONCAT":
            return Node("str", "GROUP_CONCAT({} ORDER BY 1)", [self.expression("int", scope, 1)]), "str"
        kind = rng.choice(["int", "dec"])
        operand = self.expression(kind, scope, 1)
        if form == "COUNT":
            return Node("int", "COUNT({})", [operand]), "int"
        if form == "COUNT(DISTINCT)":
            return Node("int", "COUNT(DISTINCT {})", [operand]), "int"
        if form == "SUM(DISTINCT)":
            return Node("dec", "SUM(DISTINCT {})", [operand]), "dec"
        if form == "BIT_OR":
            return Node("int", "BIT_OR({})", [self.expression("int", scope, 0)]), "int"
        return Node("dec" if form in ("SUM", "AVG") else kind, f"{form}({{}})", [operand]), "dec" if form in ("SUM", "AVG") else kind

    def window(self, scope):
        rng = self.rng
        identities = [text for _, text in scope if text.endswith(".id")]
        part = Node("int", rng.choice([text for kind, text in scope if kind == "int"]))
        order = ", ".join(identities)
        function = rng.choice(["ROW_NUMBER()", "RANK()", "DENSE_RANK()", "COUNT(*)", "SUM({})", "MIN({})", "MAX({})", "LAG({})", "LEAD({}, 2)", "FIRST_VALUE({})", "LAST_VALUE({})", "NTILE(3)"])
        frame = ""
        if function.startswith(("COUNT", "SUM", "MIN", "MAX", "FIRST", "LAST")) and rng.random() < 0.5:
            frame = rng.choice([" ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING", " ROWS 2 PRECEDING",
                                " RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"])  # fmt: skip
        children = [self.expression("int", scope, 1)] if "{}" in function else []
        return Node("int", f"{function} OVER (PARTITION BY {{}} ORDER BY {order}{frame})", [*children, part])

    def query(self, depth):
        """A whole query: perhaps of several SELECTs, perhaps ordered and limited."""
        rng = self.rng
        node, kinds = self.select(depth)
        if rng.random() < 0.12:
            # Equal types on both sides, so that nothing is asked about how types are joined.
            for _ in range(10):
                other, others = self.select(depth - 1, width=len(kinds))
                if others == kinds:
                    operator = rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
                    node = Node("query", f"({{}}) {operator} ({{}})", [node, other])
                    break
        if rng.random() < 0.1:
            self.serial += 1
            name = f"w{self.serial}"
            node = Node("query", f"WITH {name} AS ({{}}) SELECT * FROM {name}", [node])
        if rng.random() < 0.3:
            # By all columns: then the order is one, but for texts that are equal and look different.
            order = ", ".join(f"{place + 1}{rng.choice(['', ' DESC'])}" for place in range(len(kinds)))
            limit = f" LIMIT {rng.randint(0, 6)}" if rng.random() < 0.3 and "str" not in kinds else ""
            node = Node("query", f"{{}} ORDER BY {order}{limit}", [node])
        return node

    def change(self):
        """A statement that changes rows."""
        rng = self.rng
        name = f"t{rng.randrange(TABLES)}"
        scope = [("int", f"{name}.id")] + [(kind, f"{name}.{column}") for column, (kind, _) in COLUMNS.items()]
        form = rng.choice(["insert", "insert", "update", "update", "delete", "replace", "duplicate", "ignore"])
        identity = rng.randint(1, ROWS_MAX + 4)
        if form == "insert":
            return Node("change", f"INSERT INTO {name} VALUES ({identity}, {self.values()})")
        if form == "ignore":
            return Node("change", f"INSERT IGNORE INTO {name} VALUES ({identity}, {self.values()}), ({identity + 1}, {self.values()})")
        if form == "replace":
            return Node("change", f"REPLACE INTO {name} VALUES ({identity}, {self.values()})")
        column = rng.choice(["i", "j", "d", "s", "a"])
        kind = COLUMNS[column][0]
        if form == "duplicate":
            value = self.expression(kind, scope, 1)
            return Node("change", f"INSERT INTO {name} VALUES ({identity}, {self.values()}) ON DUPLICATE KEY UPDATE {column} = {{}}", [value])
        where = Node("optional", " WHERE {}", [self.expression("bool", scope, 2)])
        if form == "update":
            return Node("change", f"UPDATE {name} SET {column} = {{}}{{}}", [self.expression(kind, scope, 1), where])
        # Rows stay, so that there is something to ask.
        return Node("change", f"DELETE FROM {name} WHERE id = {identity}")

    def partition(self, depth):
        """For the oracles on one engine: FROM, and a condition over its columns."""
        source, scope = self.source(depth)
        return source, self.expression("bool", scope, depth), scope
