//! Geometries: points, lines and areas, as MySQL stores them.
//!
//! ```text
//! ┌──────────┬────────────────────────────────────────────────┐
//! │ SRID     │ WKB: byte order 01, kind (4 bytes), contents   │   all numbers little-endian
//! │ 4 bytes  │ point: x, y (8 bytes each); others: count, …   │
//! └──────────┴────────────────────────────────────────────────┘
//! ```
//!
//! A geometry is `Value::Bytes` everywhere. What a column has is checked when it is stored (`assign`), what a function
//! gets is checked there (`function::spatial`).
//!
//! Not here: reference systems. Functions take SRID 0, the plane, alone.

use super::number_text::double_text;

/// How deep collections may be in each other.
const DEPTH_MAX: usize = 32;
const LITTLE_ENDIAN: u8 = 1;

/// The kinds of geometries by their number in WKB and on disk; `Any` only of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are MySQL's")]
pub enum Kind {
    Any = 0,
    Point = 1,
    LineString = 2,
    Polygon = 3,
    MultiPoint = 4,
    MultiLineString = 5,
    MultiPolygon = 6,
    Collection = 7,
}

impl Kind {
    const ALL: [Kind; 7] = [
        Kind::Point,
        Kind::LineString,
        Kind::Polygon,
        Kind::MultiPoint,
        Kind::MultiLineString,
        Kind::MultiPolygon,
        Kind::Collection,
    ];

    /// As its text begins.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Any => "GEOMETRY",
            Kind::Point => "POINT",
            Kind::LineString => "LINESTRING",
            Kind::Polygon => "POLYGON",
            Kind::MultiPoint => "MULTIPOINT",
            Kind::MultiLineString => "MULTILINESTRING",
            Kind::MultiPolygon => "MULTIPOLYGON",
            Kind::Collection => "GEOMETRYCOLLECTION",
        }
    }

    fn of_name(name: &str) -> Option<Kind> {
        if name.eq_ignore_ascii_case("GEOMCOLLECTION") {
            return Some(Kind::Collection);
        }
        Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// What the members of such a geometry are; `None` for any.
    fn member(self) -> Option<Kind> {
        match self {
            Kind::MultiPoint => Some(Kind::Point),
            Kind::MultiLineString => Some(Kind::LineString),
            Kind::MultiPolygon => Some(Kind::Polygon),
            _ => None,
        }
    }
}

/// A point's x and y.
pub type Place = (f64, f64);

/// A geometry taken apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// POINT.
    Point(Place),
    /// LINESTRING.
    Line(Vec<Place>),
    /// POLYGON: its rings.
    Polygon(Vec<Vec<Place>>),
    /// The others: their kind and their members.
    Many(Kind, Vec<Shape>),
}

impl Shape {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Shape::Point(_) => Kind::Point,
            Shape::Line(_) => Kind::LineString,
            Shape::Polygon(_) => Kind::Polygon,
            Shape::Many(kind, _) => *kind,
        }
    }
}

/// Whether bytes are a geometry that a column of this kind takes.
pub fn fits(bytes: &[u8], kind: u8) -> bool {
    read(bytes).is_some_and(|(_, shape)| {
        let own = shape.kind() as u8;
        kind == Kind::Any as u8
            || kind == own
            || (kind == Kind::Collection as u8 && own > Kind::Polygon as u8)
    })
}

/// The SRID and the shape of a stored geometry.
pub fn read(bytes: &[u8]) -> Option<(u32, Shape)> {
    let (srid, wkb) = bytes.split_first_chunk::<4>()?;
    let mut input = Input(wkb);
    let shape = input.shape(DEPTH_MAX)?;
    input.0.is_empty().then_some((u32::from_le_bytes(*srid), shape))
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (found, rest) = self.0.split_first_chunk::<N>()?;
        let found = *found;
        self.0 = rest;
        Some(found)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn place(&mut self) -> Option<Place> {
        let x = f64::from_le_bytes(self.take()?);
        let y = f64::from_le_bytes(self.take()?);
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }

    /// As many things as a count before them says. Each takes bytes, so that a wrong count ends soon.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut found = Vec::new();
        for _ in 0..self.number()? {
            found.push(one(self)?);
        }
        Some(found)
    }

    fn shape(&mut self, depth: usize) -> Option<Shape> {
        let [order] = self.take()?;
        let number = self.number()?;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u32 == number)?;
        if order != LITTLE_ENDIAN || depth == 0 {
            return None;
        }
        Some(match kind {
            Kind::Point => Shape::Point(self.place()?),
            Kind::LineString => {
                Shape::Line(self.many(Self::place).filter(|places| places.len() >= 2)?)
            }
            Kind::Polygon => {
                let rings = self.many(|input| input.many(Self::place))?;
                let closed = |ring: &Vec<Place>| ring.len() >= 4 && ring.first() == ring.last();
                if rings.is_empty() || !rings.iter().all(closed) {
                    return None;
                }
                Shape::Polygon(rings)
            }
            kind => {
                let members = self.many(|input| input.shape(depth - 1))?;
                let fits =
                    |shape: &Shape| kind.member().is_none_or(|wanted| shape.kind() == wanted);
                if !members.iter().all(fits) || (members.is_empty() && kind != Kind::Collection) {
                    return None;
                }
                Shape::Many(kind, members)
            }
        })
    }
}

/// A geometry as it is stored.
pub fn write(srid: u32, shape: &Shape) -> Vec<u8> {
    let mut out = srid.to_le_bytes().to_vec();
    put_shape(&mut out, shape);
    out
}

fn put_shape(out: &mut Vec<u8>, shape: &Shape) {
    out.push(LITTLE_ENDIAN);
    put_number(out, shape.kind() as usize);
    match shape {
        Shape::Point(place) => put_place(out, *place),
        Shape::Line(places) => put_places(out, places),
        Shape::Polygon(rings) => {
            put_number(out, rings.len());
            rings.iter().for_each(|ring| put_places(out, ring));
        }
        Shape::Many(_, members) => {
            put_number(out, members.len());
            members.iter().for_each(|member| put_shape(out, member));
        }
    }
}

fn put_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_le_bytes());
}

fn put_places(out: &mut Vec<u8>, places: &[Place]) {
    put_number(out, places.len());
    places.iter().for_each(|place| put_place(out, *place));
}

fn put_place(out: &mut Vec<u8>, (x, y): Place) {
    out.extend_from_slice(&x.to_le_bytes());
    out.extend_from_slice(&y.to_le_bytes());
}

/// A geometry as text: `POINT(1 2)`.
pub fn to_text(shape: &Shape) -> String {
    let kind = shape.kind();
    match shape {
        Shape::Many(_, members) if members.is_empty() => format!("{} EMPTY", kind.name()),
        _ => format!("{}{}", kind.name(), contents(shape)),
    }
}

/// What stands behind the kind's name.
fn contents(shape: &Shape) -> String {
    match shape {
        Shape::Point(place) => format!("({})", place_text(place)),
        Shape::Line(places) => places_text(places),
        Shape::Polygon(rings) => listed(rings.iter().map(|ring| places_text(ring))),
        Shape::Many(Kind::Collection, members) => listed(members.iter().map(to_text)),
        Shape::Many(_, members) => listed(members.iter().map(contents)),
    }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    format!("({})", items.collect::<Vec<_>>().join(","))
}

fn places_text(places: &[Place]) -> String {
    listed(places.iter().map(place_text))
}

fn place_text((x, y): &Place) -> String {
    format!("{} {}", double_text(*x), double_text(*y))
}

/// The geometry that a text names.
pub fn of_text(text: &str) -> Option<Shape> {
    let mut input = Text(text);
    let shape = input.shape(DEPTH_MAX)?;
    // Rings that are open and the like are found where bytes are read.
    let (_, shape) = read(&write(0, &shape))?;
    input.0.trim_start().is_empty().then_some(shape)
}

struct Text<'a>(&'a str);

impl Text<'_> {
    fn accept(&mut self, c: char) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(c)?;
        Some(())
    }

    /// What stands first of such characters.
    fn word(&mut self, is_part: impl Fn(char) -> bool) -> &str {
        let text = self.0.trim_start();
        let end = text.find(|c: char| !is_part(c)).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        word
    }

    fn number(&mut self) -> Option<f64> {
        self.word(|c| c.is_ascii_digit() || "+-.eE".contains(c)).parse().ok()
    }

    fn place(&mut self) -> Option<Place> {
        Some((self.number()?, self.number()?))
    }

    /// A list in parentheses.
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.accept('(')?;
        let mut found = vec![one(self)?];
        while self.accept(',').is_some() {
            found.push(one(self)?);
        }
        self.accept(')')?;
        Some(found)
    }

    fn shape(&mut self, depth: usize) -> Option<Shape> {
        let kind = Kind::of_name(self.word(|c| c.is_ascii_alphabetic()))?;
        if depth == 0 {
            return None;
        }
        if kind != Kind::Collection {
            return self.contents(kind);
        }
        let before = self.0;
        if self.word(|c| c.is_ascii_alphabetic()).eq_ignore_ascii_case("EMPTY") {
            return Some(Shape::Many(kind, Vec::new()));
        }
        self.0 = before;
        Some(Shape::Many(kind, self.many(|text| text.shape(depth - 1))?))
    }

    fn contents(&mut self, kind: Kind) -> Option<Shape> {
        Some(match kind {
            Kind::Point => {
                self.accept('(')?;
                let place = self.place()?;
                self.accept(')')?;
                Shape::Point(place)
            }
            Kind::LineString => Shape::Line(self.many(Self::place)?),
            Kind::Polygon => Shape::Polygon(self.many(|text| text.many(Self::place))?),
            Kind::MultiPoint => {
                // The parentheses of each point may be left out.
                let point = |text: &mut Self| {
                    let is_inner = text.accept('(').is_some();
                    let place = text.place()?;
                    if is_inner {
                        text.accept(')')?;
                    }
                    Some(Shape::Point(place))
                };
                Shape::Many(kind, self.many(point)?)
            }
            kind => {
                let member = kind.member()?;
                Shape::Many(kind, self.many(|text| text.contents(member))?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes_are_the_same_geometry() {
        for text in [
            "POINT(1 -2.5)",
            "LINESTRING(0 0,1 1,2 0)",
            "POLYGON((0 0,4 0,4 4,0 0),(1 1,2 1,2 2,1 1))",
            "MULTIPOINT((0 0),(1 1))",
            "MULTILINESTRING((0 0,1 1),(2 2,3 3))",
            "MULTIPOLYGON(((0 0,4 0,4 4,0 0)))",
            "GEOMETRYCOLLECTION(POINT(1 2),GEOMETRYCOLLECTION EMPTY)",
        ] {
            let shape = of_text(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(to_text(&shape), text);
            assert_eq!(read(&write(7, &shape)), Some((7, shape)));
        }
        assert_eq!(of_text(" multipoint ( 0 0 , 1 1 ) "), of_text("MULTIPOINT((0 0),(1 1))"));
    }

    #[test]
    fn bytes_are_those_of_mysql() {
        // ST_GeomFromText('POINT(1 2)') in hexadecimal.
        let bytes = write(0, &Shape::Point((1.0, 2.0)));
        let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(digits, "000000000101000000000000000000F03F0000000000000040");
    }

    #[test]
    fn what_is_no_geometry_is_none() {
        for text in [
            "",
            "POINT",
            "POINT(1)",
            "POINT(1 2",
            "POINT(1 2) x",
            "LINESTRING(1 1)",
            "CIRCLE(1 1)",
            "POLYGON((0 0,1 1,2 2,3 3))",
            "MULTIPOINT()",
            "POINT(1e999 0)",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
        let point = write(0, &Shape::Point((1.0, 2.0)));
        for length in 0..point.len() {
            assert_eq!(read(&point[..length]), None);
        }
        let deep = "GEOMETRYCOLLECTION(".repeat(1_000) + "POINT(0 0)" + &")".repeat(1_000);
        assert_eq!(of_text(&deep), None);
    }

    #[test]
    fn columns_take_their_kind() {
        let bytes = |text: &str| write(0, &of_text(text).unwrap());
        let point = bytes("POINT(1 2)");
        assert!(fits(&point, Kind::Any as u8) && fits(&point, Kind::Point as u8));
        assert!(!fits(&point, Kind::LineString as u8) && !fits(&point, Kind::Collection as u8));
        assert!(fits(&bytes("MULTIPOINT((0 0))"), Kind::Collection as u8));
        assert!(!fits(b"", Kind::Any as u8));
    }
}
