//! EXTRACTVALUE and UPDATEXML.
//!
//! ```text
//! <a><b x="1">text</b></a>   nodes in the order of the text, each with the place behind its last descendant:
//! a b text                   what is below a node stands directly behind it
//! ```
//!
//! Paths are a part of XPath 1.0: `/`, `//`, names, `*`, `.`, `..`, `@name`, `@*`, `text()`, `|`, `count()`, and conditions with
//! places, comparisons, `and`, `or`, `not()`, `position()`, `last()`, `contains()`. Another one is error 1105, as MySQL answers
//! what it cannot read. Entities are kept as they are written.

use super::{Bound, Call, Eval, Function, bound, pure};
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::value::Value;
use crate::{Error, Result};
use base::limits::{XML_DEPTH_MAX, XPATH_STEPS_MAX};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("extractvalue", 2, 2, |args, ctx| of_texts(args, ctx, extract)),
    pure("updatexml", 3, 3, |args, ctx| of_texts(args, ctx, update)),
];

fn of_texts(args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let mut cast = Vec::with_capacity(args.len());
    for arg in args {
        let arg = build::as_string(arg, ctx);
        cast.push(if arg.ty.is_bytes() { build::convert_using(arg, "utf8mb4", ctx)? } else { arg });
    }
    Ok(bound(SqlType::longtext(cast[0].ty.collation), cast, eval))
}

fn extract(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let mut walk = Walk::new(call.text(1));
    let path = walk.whole()?;
    let Some(document) = document(call) else { return Ok(Value::Null) };
    match walk.value(&document, &path, Focus::ROOT)? {
        Found::Nodes(nodes) => {
            let texts: Vec<&str> = nodes.iter().flat_map(|node| document.texts(*node)).collect();
            Ok(Value::Text(texts.join(" ")))
        }
        other => Ok(Value::Text(other.text(&document))),
    }
}

fn update(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let mut walk = Walk::new(call.text(1));
    let path = walk.whole()?;
    let Some(document) = document(call) else { return Ok(Value::Null) };
    let text = call.text(0);
    // One place is replaced; none or several leave the text as it is.
    if let Found::Nodes(nodes) = walk.value(&document, &path, Focus::ROOT)?
        && let [Item::Node(node)] = nodes.as_slice()
        && *node > 0
    {
        let (start, end) = document.nodes[*node].span;
        return Ok(Value::Text([&text[..start], call.text(2), &text[end..]].concat()));
    }
    Ok(Value::text(text))
}

/// The first argument, read; a warning when it is not well-formed.
fn document(call: &Call<'_>) -> Option<Document> {
    let read = Document::read(call.text(0));
    if let Err((what, at)) = &read {
        let before = &call.text(0)[..*at];
        let line = before.matches('\n').count() + 1;
        let place = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
        let shown = format!("parse error at line {line} pos {place}: {what}");
        call.ctx.warn(Error::wrong_value("XML", shown));
    }
    read.ok()
}

/// A node. The first one is the root, which has no name.
#[derive(Debug)]
struct Node {
    /// The element's name; `None` of a text.
    name: Option<String>,
    /// The text.
    text: String,
    attributes: Vec<(String, String)>,
    parent: usize,
    /// Behind its last descendant.
    end: usize,
    /// Where it stands in the document.
    span: (usize, usize),
}

#[derive(Debug)]
struct Document {
    nodes: Vec<Node>,
}

/// A node or an attribute of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Node(usize),
    Attribute(usize, usize),
}

type Bad = (&'static str, usize);

impl Document {
    fn read(text: &str) -> std::result::Result<Document, Bad> {
        let mut document = Document { nodes: Vec::new() };
        document.push(Some(String::new()), 0, 0);
        let (mut open, mut at) = (vec![0], 0);
        while at < text.len() {
            let rest = &text[at..];
            let parent = open[open.len() - 1];
            if !rest.starts_with('<') {
                let end = at + rest.find('<').unwrap_or(rest.len());
                let node = document.push(None, parent, at);
                document.nodes[node].text = text[at..end].to_string();
                document.nodes[node].span.1 = end;
                at = end;
            } else if let Some(inner) = rest.strip_prefix("<![CDATA[") {
                let length = inner.find("]]>").ok_or(("unterminated CDATA", at))?;
                let node = document.push(None, parent, at);
                document.nodes[node].text = inner[..length].to_string();
                at += "<![CDATA[".len() + length + "]]>".len();
                document.nodes[node].span.1 = at;
            } else if rest.starts_with("<!--") {
                at += rest.find("-->").ok_or(("unterminated comment", at))? + "-->".len();
            } else if rest.starts_with("<?") || rest.starts_with("<!") {
                at += rest.find('>').ok_or(("unterminated declaration", at))? + 1;
            } else if let Some(inner) = rest.strip_prefix("</") {
                let length = inner.find('>').ok_or(("'>' wanted", at))?;
                let name = inner[..length].trim();
                at += "</".len() + length + 1;
                let is_open = parent > 0 && document.nodes[parent].name.as_deref() == Some(name);
                if !is_open {
                    return Err(("unexpected end of an element", at));
                }
                document.close(parent, at);
                open.pop();
            } else {
                let (node, is_empty, end) = document.element(text, at, parent)?;
                at = end;
                if is_empty {
                    document.close(node, at);
                } else {
                    open.push(node);
                }
                if open.len() > XML_DEPTH_MAX {
                    return Err(("elements nested too deep", at));
                }
            }
        }
        if open.len() > 1 {
            return Err(("unexpected end of the text ('>' wanted)", text.len()));
        }
        document.close(0, text.len());
        Ok(document)
    }

    fn push(&mut self, name: Option<String>, parent: usize, start: usize) -> usize {
        let place = self.nodes.len();
        let (text, attributes) = (String::new(), Vec::new());
        let (end, span) = (place + 1, (start, start));
        self.nodes.push(Node { name, text, attributes, parent, end, span });
        place
    }

    fn close(&mut self, node: usize, end: usize) {
        self.nodes[node].end = self.nodes.len();
        self.nodes[node].span.1 = end;
    }

    /// `<name a="x" …>`: its node, whether it ends at once, and where it ends.
    fn element(
        &mut self,
        text: &str,
        start: usize,
        parent: usize,
    ) -> std::result::Result<(usize, bool, usize), Bad> {
        let name = name_of(&text[start + 1..]);
        if name.is_empty() {
            return Err(("unknown token ('<' without a name)", start));
        }
        let node = self.push(Some(name.to_string()), parent, start);
        let mut at = start + 1 + name.len();
        loop {
            at += blanks(&text[at..]);
            let rest = &text[at..];
            if rest.starts_with('>') {
                return Ok((node, false, at + 1));
            }
            if rest.starts_with("/>") {
                return Ok((node, true, at + 2));
            }
            let name = name_of(rest);
            if name.is_empty() {
                return Err(("unknown token", at));
            }
            at += name.len();
            at += blanks(&text[at..]);
            let mut value = String::new();
            if text[at..].starts_with('=') {
                at += 1;
                at += blanks(&text[at..]);
                let quote = text[at..].chars().next().filter(|c| matches!(c, '"' | '\''));
                let quote = quote.ok_or(("a value in quotes wanted", at))?;
                let length = text[at + 1..].find(quote).ok_or(("unterminated value", at))?;
                value = text[at + 1..at + 1 + length].to_string();
                at += length + 2;
            }
            self.nodes[node].attributes.push((name.to_string(), value));
        }
    }

    /// The texts that EXTRACTVALUE shows of an item: its own, or those directly in it.
    fn texts(&self, item: Item) -> Vec<&str> {
        match item {
            Item::Attribute(node, place) => vec![self.nodes[node].attributes[place].1.as_str()],
            Item::Node(node) if self.nodes[node].name.is_none() => {
                vec![self.nodes[node].text.as_str()]
            }
            Item::Node(node) => self
                .below(node)
                .iter()
                .filter(|n| n.parent == node && n.name.is_none())
                .map(|n| n.text.as_str())
                .collect(),
        }
    }

    /// The descendants of a node.
    fn below(&self, node: usize) -> &[Node] {
        &self.nodes[node + 1..self.nodes[node].end]
    }
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// The name at the beginning of a text.
fn name_of(text: &str) -> &str {
    let is_part = |c: char| c.is_alphanumeric() || "_-.:".contains(c);
    &text[..text.find(|c: char| !is_part(c)).unwrap_or(text.len())]
}

/// Where a condition is asked: the item, its place among those found, and their count.
#[derive(Clone, Copy, Debug)]
struct Focus {
    item: Item,
    position: usize,
    last: usize,
}

impl Focus {
    const ROOT: Focus = Focus { item: Item::Node(0), position: 1, last: 1 };
}

/// What a part of a path gives.
#[derive(Clone, Debug)]
enum Found {
    Nodes(Vec<Item>),
    Number(f64),
    Text(String),
    Truth(bool),
}

impl Found {
    fn text(&self, document: &Document) -> String {
        match self {
            Found::Nodes(items) => {
                items.first().map(|item| document.texts(*item).concat()).unwrap_or_default()
            }
            Found::Number(number) => number.to_string(),
            Found::Text(text) => text.clone(),
            Found::Truth(truth) => u8::from(*truth).to_string(),
        }
    }

    fn number(&self, document: &Document) -> f64 {
        match self {
            Found::Number(number) => *number,
            other => other.text(document).trim().parse().unwrap_or(f64::NAN),
        }
    }

    fn truth(&self) -> bool {
        match self {
            Found::Nodes(items) => !items.is_empty(),
            Found::Number(number) => *number != 0.0 && !number.is_nan(),
            Found::Text(text) => !text.is_empty(),
            Found::Truth(truth) => *truth,
        }
    }
}

/// A path, read.
#[derive(Clone, Debug)]
enum Path {
    /// Steps from the root or from the item at hand.
    Steps {
        rooted: bool,
        steps: Vec<PathStep>,
    },
    Number(f64),
    Text(String),
    Call(String, Vec<Path>),
    Two(&'static str, Box<Path>, Box<Path>),
}

#[derive(Clone, Debug)]
struct PathStep {
    /// Behind `//`: at any depth.
    deep: bool,
    what: What,
    conditions: Vec<Path>,
}

#[derive(Clone, Debug)]
enum What {
    Named(String),
    Every,
    Own,
    Parent,
    Text,
    Attribute(Option<String>),
}

/// Reads a path, and walks it.
struct Walk<'a> {
    rest: &'a str,
    depth: usize,
    /// Steps that are left.
    left: usize,
}

/// Operators by how loosely they bind, the longer of two first.
static OPERATORS: [&[&str]; 4] = [&["or"], &["and"], &["!=", "<=", ">=", "=", "<", ">"], &["|"]];

impl<'a> Walk<'a> {
    fn new(path: &'a str) -> Walk<'a> {
        Walk { rest: path, depth: 0, left: XPATH_STEPS_MAX }
    }

    fn error(&self) -> Error {
        Error::xpath_syntax(self.rest.chars().take(32).collect::<String>())
    }

    fn accept(&mut self, text: &str) -> bool {
        let rest = self.rest.trim_start();
        let Some(behind) = rest.strip_prefix(text) else { return false };
        let is_word = text.ends_with(|c: char| c.is_ascii_alphabetic());
        if is_word && !name_of(behind).is_empty() {
            return false;
        }
        self.rest = behind;
        true
    }

    fn expect(&mut self, text: &str) -> Result<()> {
        if self.accept(text) { Ok(()) } else { Err(self.error()) }
    }

    fn whole(&mut self) -> Result<Path> {
        let path = self.operation(0)?;
        if self.rest.trim().is_empty() { Ok(path) } else { Err(self.error()) }
    }

    fn operation(&mut self, level: usize) -> Result<Path> {
        let Some(operators) = OPERATORS.get(level) else { return self.operand() };
        let mut left = self.operation(level + 1)?;
        while let Some(operator) = operators.iter().copied().find(|word| self.accept(word)) {
            let right = self.operation(level + 1)?;
            left = Path::Two(operator, Box::new(left), Box::new(right));
            self.deeper()?;
        }
        Ok(left)
    }

    /// One more part within another: bounds the stack of whoever reads or walks the path.
    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > XML_DEPTH_MAX { Err(self.error()) } else { Ok(()) }
    }

    fn operand(&mut self) -> Result<Path> {
        self.deeper()?;
        let rest = self.rest.trim_start();
        match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let (text, behind) = rest[1..].split_once(quote).ok_or_else(|| self.error())?;
                self.rest = behind;
                return Ok(Path::Text(text.to_string()));
            }
            Some('0'..='9') => {
                let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
                let (digits, behind) = rest.split_at(end.unwrap_or(rest.len()));
                let number = digits.parse::<f64>().map_err(|_| self.error())?;
                self.rest = behind;
                return Ok(Path::Number(number));
            }
            _ => {}
        }
        if self.accept("(") {
            let inner = self.operation(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let name = name_of(rest);
        if !name.is_empty() && name != "text" && rest[name.len()..].starts_with('(') {
            let known = ["count", "position", "last", "contains", "not", "true", "false"];
            if !known.contains(&name) {
                return Err(self.error());
            }
            self.rest = &rest[name.len() + 1..];
            let mut args = Vec::new();
            while !self.accept(")") {
                if !args.is_empty() {
                    self.expect(",")?;
                }
                args.push(self.operation(0)?);
            }
            let wanted = match name {
                "count" | "not" => 1,
                "contains" => 2,
                _ => 0,
            };
            if args.len() != wanted {
                return Err(self.error());
            }
            return Ok(Path::Call(name.to_string(), args));
        }
        self.steps()
    }

    fn steps(&mut self) -> Result<Path> {
        let mut deep = self.accept("//");
        let rooted = deep || self.accept("/");
        let mut steps = Vec::new();
        loop {
            let what = self.what()?;
            let mut conditions = Vec::new();
            while self.accept("[") {
                conditions.push(self.operation(0)?);
                self.expect("]")?;
            }
            steps.push(PathStep { deep, what, conditions });
            deep = self.accept("//");
            if !deep && !self.accept("/") {
                return Ok(Path::Steps { rooted, steps });
            }
        }
    }

    fn what(&mut self) -> Result<What> {
        if self.accept("..") {
            return Ok(What::Parent);
        }
        if self.accept(".") {
            return Ok(What::Own);
        }
        if self.accept("*") {
            return Ok(What::Every);
        }
        let is_attribute = self.accept("@");
        if is_attribute && self.accept("*") {
            return Ok(What::Attribute(None));
        }
        let rest = self.rest.trim_start();
        let name = name_of(rest);
        if name.is_empty() {
            return Err(self.error());
        }
        self.rest = &rest[name.len()..];
        if is_attribute {
            return Ok(What::Attribute(Some(name.to_string())));
        }
        if name == "text" && self.accept("(") {
            self.expect(")")?;
            return Ok(What::Text);
        }
        Ok(What::Named(name.to_string()))
    }

    /// What a path gives from an item on.
    fn value(&mut self, document: &Document, path: &Path, focus: Focus) -> Result<Found> {
        self.left = self.left.checked_sub(1).ok_or_else(|| self.error())?;
        Ok(match path {
            Path::Number(number) => Found::Number(*number),
            Path::Text(text) => Found::Text(text.clone()),
            Path::Steps { rooted, steps } => {
                let start = if *rooted { Item::Node(0) } else { focus.item };
                let mut items = vec![start];
                for step in steps {
                    items = self.step(document, step, &items)?;
                }
                Found::Nodes(items)
            }
            Path::Call(name, args) => {
                let mut values = Vec::with_capacity(args.len());
                for arg in args {
                    values.push(self.value(document, arg, focus)?);
                }
                match (name.as_str(), values.as_slice()) {
                    ("count", [Found::Nodes(items)]) => Found::Number(items.len() as f64),
                    ("position", _) => Found::Number(focus.position as f64),
                    ("last", _) => Found::Number(focus.last as f64),
                    ("contains", [text, part]) => {
                        Found::Truth(text.text(document).contains(&part.text(document)))
                    }
                    ("not", [value]) => Found::Truth(!value.truth()),
                    ("true", _) => Found::Truth(true),
                    ("false", _) => Found::Truth(false),
                    _ => return Err(self.error()),
                }
            }
            Path::Two(operator, left, right) => {
                let left = self.value(document, left, focus)?;
                let right = self.value(document, right, focus)?;
                match (*operator, &left, &right) {
                    ("or", ..) => Found::Truth(left.truth() || right.truth()),
                    ("and", ..) => Found::Truth(left.truth() && right.truth()),
                    ("|", Found::Nodes(a), Found::Nodes(b)) => {
                        let mut items = [a.as_slice(), b.as_slice()].concat();
                        items.sort_unstable();
                        items.dedup();
                        Found::Nodes(items)
                    }
                    ("|", ..) => return Err(self.error()),
                    (operator, ..) => Found::Truth(compared(document, operator, &left, &right)),
                }
            }
        })
    }

    fn step(&mut self, document: &Document, step: &PathStep, from: &[Item]) -> Result<Vec<Item>> {
        let mut all = Vec::new();
        for item in from {
            let mut starts = vec![*item];
            if let (true, Item::Node(node)) = (step.deep, *item) {
                starts.extend((node + 1..document.nodes[node].end).map(Item::Node));
            }
            for start in starts {
                let mut found = candidates(document, &step.what, start);
                // Who looks for children looks at all that is below.
                let looked_at = match start {
                    Item::Node(node) => document.nodes[node].end - node,
                    Item::Attribute(..) => 1,
                };
                self.left = self.left.checked_sub(looked_at).ok_or_else(|| self.error())?;
                for condition in &step.conditions {
                    let mut kept = Vec::new();
                    for (place, item) in found.iter().enumerate() {
                        let focus = Focus { item: *item, position: place + 1, last: found.len() };
                        let holds = match self.value(document, condition, focus)? {
                            Found::Number(number) => number == focus.position as f64,
                            other => other.truth(),
                        };
                        if holds {
                            kept.push(*item);
                        }
                    }
                    found = kept;
                }
                all.extend(found);
            }
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

/// What a step finds from one item, before its conditions.
fn candidates(document: &Document, what: &What, from: Item) -> Vec<Item> {
    let Item::Node(node) = from else {
        return match (what, from) {
            (What::Own, _) => vec![from],
            (What::Parent, Item::Attribute(owner, _)) => vec![Item::Node(owner)],
            _ => Vec::new(),
        };
    };
    let children = |wanted: &dyn Fn(&Node) -> bool| -> Vec<Item> {
        let below = document.below(node).iter().enumerate();
        let fits = below.filter(|(_, child)| child.parent == node && wanted(child));
        fits.map(|(place, _)| Item::Node(node + 1 + place)).collect()
    };
    match what {
        What::Own => vec![from],
        What::Parent if node == 0 => Vec::new(),
        What::Parent => vec![Item::Node(document.nodes[node].parent)],
        What::Every => children(&|child| child.name.is_some()),
        What::Text => children(&|child| child.name.is_none()),
        What::Named(name) => children(&|child| child.name.as_deref() == Some(name.as_str())),
        What::Attribute(wanted) => {
            let attributes = document.nodes[node].attributes.iter().enumerate();
            let fits = attributes
                .filter(|(_, (name, _))| wanted.as_ref().is_none_or(|wanted| wanted == name));
            fits.map(|(place, _)| Item::Attribute(node, place)).collect()
        }
    }
}

/// Compares; of nodes it is enough when one of them does.
fn compared(document: &Document, operator: &str, left: &Found, right: &Found) -> bool {
    let each = |found: &Found| -> Vec<Found> {
        match found {
            Found::Nodes(items) => {
                items.iter().map(|item| Found::Text(document.texts(*item).concat())).collect()
            }
            other => vec![other.clone()],
        }
    };
    let (left, right) = (each(left), each(right));
    let holds = |a: &Found, b: &Found| {
        let is_number = |found: &Found| matches!(found, Found::Number(_));
        let equal = match is_number(a) || is_number(b) {
            true => a.number(document) == b.number(document),
            false => a.text(document) == b.text(document),
        };
        let (x, y) = (a.number(document), b.number(document));
        match operator {
            "=" => equal,
            "!=" => !equal,
            "<" => x < y,
            "<=" => x <= y,
            ">" => x > y,
            _ => x >= y,
        }
    };
    left.iter().any(|a| right.iter().any(|b| holds(a, b)))
}
