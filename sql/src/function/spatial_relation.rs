//! Measures and relations of geometries in the plane, and of their bounding boxes.
//!
//! ```text
//! geometry ──> sides, a point being one of no length ──> distance, intersection
//!         └──> areas: their rings ─────────────────────> inside, on the edge, outside
//!         └──> box: least and greatest x and y ────────> MBRContains and its family
//! ```
//!
//! ST_Contains and ST_Within are answered for points and areas; other pairs are refused. The rest takes every kind.

use super::spatial::{check_plane, of_geometry};
use super::{Bound, Call, Eval, Function, any_nullable, bound, pure};
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::types::geometry::{self, Kind, Place, Shape};
use crate::value::Value;
use crate::{Error, Result};
use base::limits::GEOMETRY_PAIRS_MAX;

/// Metres from the middle of the earth to its surface, as MySQL has it.
const EARTH_RADIUS: f64 = 6_370_986.0;

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("st_distance", 2, 2, |args, ctx| maybe(SqlType::double(), args, ctx, distance)),
    pure("st_distance_sphere", 2, 3, on_sphere),
    pure("st_contains", 2, 2, |args, ctx| test(args, ctx, |c| relation(c, contains))),
    pure("st_within", 2, 2, |args, ctx| test(args, ctx, |c| relation(c, |a, b| contains(b, a)))),
    pure("st_intersects", 2, 2, |args, ctx| {
        test(args, ctx, |c| relation(c, |a, b| Ok(apart(a, b)? == 0.0)))
    }),
    pure("st_disjoint", 2, 2, |args, ctx| {
        test(args, ctx, |c| relation(c, |a, b| Ok(apart(a, b)? > 0.0)))
    }),
    pure("mbrcontains", 2, 2, |args, ctx| test(args, ctx, |c| boxes(c, Area::contains))),
    pure("mbrwithin", 2, 2, |args, ctx| test(args, ctx, |c| boxes(c, |a, b| b.contains(a)))),
    pure("mbrcovers", 2, 2, |args, ctx| test(args, ctx, |c| boxes(c, Area::covers))),
    pure("mbrcoveredby", 2, 2, |args, ctx| test(args, ctx, |c| boxes(c, |a, b| b.covers(a)))),
    pure("mbrequals", 2, 2, |args, ctx| test(args, ctx, |c| boxes(c, |a, b| a == b))),
    pure("mbrintersects", 2, 2, |args, ctx| test(args, ctx, |c| boxes(c, Area::meets))),
    pure("mbrdisjoint", 2, 2, |args, ctx| test(args, ctx, |c| boxes(c, |a, b| !a.meets(b)))),
    pure("mbrtouches", 2, 2, |args, ctx| {
        test(args, ctx, |c| boxes(c, |a, b| a.meets(b) && !a.shares_inside(b)))
    }),
    pure("mbroverlaps", 2, 2, |args, ctx| {
        test(args, ctx, |c| boxes(c, |a, b| a.shares_inside(b) && !a.covers(b) && !b.covers(a)))
    }),
    pure("st_geometrytype", 1, 1, |args, ctx| {
        let ty = SqlType::varchar(20, build::text_collation(ctx));
        of_geometry(ty, args, ctx, |call| {
            Ok(one(call)?.map_or(Value::Null, |shape| match shape.kind() {
                Kind::Collection => Value::text("GEOMCOLLECTION"),
                kind => Value::text(kind.name()),
            }))
        })
    }),
    pure("st_dimension", 1, 1, |args, ctx| {
        maybe(SqlType::bigint_width(10), args, ctx, |call| {
            Ok(one(call)?.and_then(|shape| dimension(&shape)).map_or(Value::Null, Value::Int))
        })
    }),
    pure("st_length", 1, 1, |args, ctx| {
        maybe(SqlType::double(), args, ctx, |call| {
            Ok(one(call)?.and_then(|shape| length(&shape)).map_or(Value::Null, Value::Double))
        })
    }),
    pure("st_area", 1, 1, |args, ctx| {
        of_geometry(SqlType::double(), args, ctx, |call| {
            let Some(shape) = one(call)? else { return Ok(Value::Null) };
            match shape.kind() {
                Kind::Polygon | Kind::MultiPolygon => Ok(Value::Double(area(&shape))),
                other => {
                    Err(Error::unexpected_geometry("POLYGON/MULTIPOLYGON", other.name(), call.name))
                }
            }
        })
    }),
    pure("st_envelope", 1, 1, |args, ctx| {
        maybe(SqlType::geometry(Kind::Any), args, ctx, |call| {
            let found = one(call)?.and_then(|shape| Area::of(&shape));
            Ok(found.map_or(Value::Null, |area| Value::Bytes(geometry::write(0, &area.shape()))))
        })
    }),
];

fn test(args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    maybe(SqlType::boolean(), args, ctx, eval)
}

/// Of geometries, and NULL for some that are not.
fn maybe(ty: SqlType, args: Vec<Expr>, ctx: &EvalContext, eval: Eval) -> Result<Bound> {
    let bound = of_geometry(ty, args, ctx, eval)?;
    Ok(Bound { ty: bound.ty.with_nullable(true), ..bound })
}

/// The geometry that an argument is; `None` for NULL.
fn shape_at(call: &Call<'_>, index: usize) -> Result<Option<Shape>> {
    if call.args[index].is_null() {
        return Ok(None);
    }
    let (srid, shape) =
        geometry::read(call.bytes(index)).ok_or_else(|| Error::invalid_geometry(call.name))?;
    check_plane(u64::from(srid))?;
    Ok(Some(shape))
}

fn one(call: &Call<'_>) -> Result<Option<Shape>> {
    shape_at(call, 0)
}

fn two(call: &Call<'_>) -> Result<Option<(Shape, Shape)>> {
    Ok(shape_at(call, 0)?.zip(shape_at(call, 1)?))
}

fn relation(call: &Call<'_>, holds: fn(&Shape, &Shape) -> Result<bool>) -> Result<Value> {
    let Some((a, b)) = two(call)? else { return Ok(Value::Null) };
    // An empty collection has no relations.
    if Area::of(&a).is_none() || Area::of(&b).is_none() {
        return Ok(Value::Null);
    }
    holds(&a, &b).map(Value::boolean)
}

fn boxes(call: &Call<'_>, holds: fn(&Area, &Area) -> bool) -> Result<Value> {
    let Some((a, b)) = two(call)? else { return Ok(Value::Null) };
    let both = Area::of(&a).zip(Area::of(&b));
    Ok(both.map_or(Value::Null, |(a, b)| Value::boolean(holds(&a, &b))))
}

fn distance(call: &Call<'_>) -> Result<Value> {
    let Some((a, b)) = two(call)? else { return Ok(Value::Null) };
    let least = apart(&a, &b)?;
    Ok(if least.is_finite() { Value::Double(least) } else { Value::Null })
}

/// The points of a geometry that lie in it as such, or at the corners of its lines and rings.
fn corners(shape: &Shape, out: &mut Vec<Place>) {
    match shape {
        Shape::Point(place) => out.push(*place),
        Shape::Line(places) => out.extend(places),
        Shape::Polygon(rings) => out.extend(rings.iter().flatten()),
        Shape::Many(_, members) => members.iter().for_each(|member| corners(member, out)),
    }
}

/// A part of a line.
type Side = (Place, Place);

/// The sides of lines and rings; a point is a side from itself to itself.
fn sides(shape: &Shape, out: &mut Vec<Side>) {
    let of_line = |places: &[Place]| -> Vec<Side> {
        places.windows(2).map(|pair| (pair[0], pair[1])).collect()
    };
    match shape {
        Shape::Point(place) => out.push((*place, *place)),
        Shape::Line(places) => out.extend(of_line(places)),
        Shape::Polygon(rings) => out.extend(rings.iter().flat_map(|ring| of_line(ring))),
        Shape::Many(_, members) => members.iter().for_each(|member| sides(member, out)),
    }
}

/// The rings of all areas of a geometry.
fn areas(shape: &Shape) -> Vec<&[Vec<Place>]> {
    match shape {
        Shape::Polygon(rings) => vec![rings.as_slice()],
        Shape::Many(_, members) => members.iter().flat_map(areas).collect(),
        Shape::Point(_) | Shape::Line(_) => Vec::new(),
    }
}

/// How far two geometries are apart; 0 when they meet, infinite when one is empty.
fn apart(a: &Shape, b: &Shape) -> Result<f64> {
    let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
    sides(a, &mut of_a);
    sides(b, &mut of_b);
    if of_a.len().saturating_mul(of_b.len()) > GEOMETRY_PAIRS_MAX {
        return Err(Error::not_supported(format!(
            "geometries with more than {GEOMETRY_PAIRS_MAX} pairs of sides; make them simpler"
        )));
    }
    let inside = |sides: &[Side], shape: &Shape| {
        let areas = areas(shape);
        sides
            .iter()
            .any(|(start, _)| areas.iter().any(|rings| place_in(rings, *start) != Where::Out))
    };
    if inside(&of_a, b) || inside(&of_b, a) {
        return Ok(0.0);
    }
    let mut least = f64::INFINITY;
    for one in &of_a {
        for other in &of_b {
            least = least.min(between(*one, *other));
        }
    }
    Ok(least)
}

fn minus(a: Place, b: Place) -> Place {
    (a.0 - b.0, a.1 - b.1)
}

/// Twice the area of the triangle, negative when its corners go round clockwise.
fn turn(a: Place, b: Place, c: Place) -> f64 {
    let ((x, y), (u, v)) = (minus(b, a), minus(c, a));
    x * v - y * u
}

/// The distance of two sides.
fn between(one: Side, other: Side) -> f64 {
    let crosses = |(a, b): Side, (c, d): Side| {
        let (left, right) = (turn(a, b, c), turn(a, b, d));
        left != 0.0 && right != 0.0 && (left > 0.0) != (right > 0.0)
    };
    if crosses(one, other) && crosses(other, one) {
        return 0.0;
    }
    let ends = [
        to_side(one.0, other),
        to_side(one.1, other),
        to_side(other.0, one),
        to_side(other.1, one),
    ];
    ends.into_iter().fold(f64::INFINITY, f64::min)
}

/// The distance of a point from a side.
fn to_side(place: Place, (start, end): Side) -> f64 {
    let ((x, y), (u, v)) = (minus(end, start), minus(place, start));
    let square = x * x + y * y;
    let along = if square == 0.0 { 0.0 } else { ((u * x + v * y) / square).clamp(0.0, 1.0) };
    (u - along * x).hypot(v - along * y)
}

/// Where a point is as seen from an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    In,
    Edge,
    Out,
}

/// Where a point is: an odd number of sides between it and far away means inside, holes included.
fn place_in(rings: &[Vec<Place>], place: Place) -> Where {
    let mut inside = false;
    for side in rings.iter().flat_map(|ring| ring.windows(2)) {
        let (start, end) = (side[0], side[1]);
        if to_side(place, (start, end)) == 0.0 {
            return Where::Edge;
        }
        if (start.1 > place.1) != (end.1 > place.1) {
            let at = start.0 + (place.1 - start.1) / (end.1 - start.1) * (end.0 - start.0);
            inside ^= place.0 < at;
        }
    }
    if inside { Where::In } else { Where::Out }
}

/// Whether no point of `b` is outside of `a`, and one is within it.
fn contains(a: &Shape, b: &Shape) -> Result<bool> {
    let is_points = |shape: &Shape| matches!(shape.kind(), Kind::Point | Kind::MultiPoint);
    let mut points = Vec::new();
    corners(b, &mut points);
    match a.kind() {
        Kind::Point | Kind::MultiPoint if is_points(b) => {
            let mut own = Vec::new();
            corners(a, &mut own);
            Ok(points.iter().all(|place| own.contains(place)))
        }
        Kind::Polygon | Kind::MultiPolygon if is_points(b) => {
            let areas = areas(a);
            let seen = |place: &Place| {
                let mut found = Where::Out;
                for rings in &areas {
                    match place_in(rings, *place) {
                        Where::In => return Where::In,
                        Where::Edge => found = Where::Edge,
                        Where::Out => {}
                    }
                }
                found
            };
            let places: Vec<Where> = points.iter().map(seen).collect();
            Ok(!places.contains(&Where::Out) && places.contains(&Where::In))
        }
        _ => Err(Error::not_supported(
            "ST_Contains and ST_Within of other geometries than points in areas; use MBRContains",
        )),
    }
}

fn dimension(shape: &Shape) -> Option<i64> {
    match shape {
        Shape::Point(_) => Some(0),
        Shape::Line(_) => Some(1),
        Shape::Polygon(_) => Some(2),
        Shape::Many(_, members) => members.iter().filter_map(dimension).max(),
    }
}

/// The length of lines; `None` for what is none.
fn length(shape: &Shape) -> Option<f64> {
    if !matches!(shape.kind(), Kind::LineString | Kind::MultiLineString) {
        return None;
    }
    let mut found = Vec::new();
    sides(shape, &mut found);
    Some(found.iter().map(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1)).sum())
}

/// The size of areas without their holes.
fn area(shape: &Shape) -> f64 {
    let ring = |places: &Vec<Place>| -> f64 {
        places
            .windows(2)
            .map(|pair| pair[0].0 * pair[1].1 - pair[1].0 * pair[0].1)
            .sum::<f64>()
            .abs()
            / 2.0
    };
    let of_rings = |rings: &[Vec<Place>]| {
        let holes: f64 = rings.iter().skip(1).map(ring).sum();
        rings.first().map_or(0.0, ring) - holes
    };
    areas(shape).into_iter().map(of_rings).sum()
}

/// A bounding box.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    low: Place,
    high: Place,
}

impl Area {
    /// The box around a geometry; `None` around nothing.
    fn of(shape: &Shape) -> Option<Area> {
        let mut places = Vec::new();
        corners(shape, &mut places);
        let first = *places.first()?;
        let start = Area { low: first, high: first };
        Some(places.into_iter().fold(start, |area, (x, y)| Area {
            low: (area.low.0.min(x), area.low.1.min(y)),
            high: (area.high.0.max(x), area.high.1.max(y)),
        }))
    }

    fn axes(&self) -> [(f64, f64); 2] {
        [(self.low.0, self.high.0), (self.low.1, self.high.1)]
    }

    fn on_axes(&self, other: &Area, holds: impl Fn((f64, f64), (f64, f64)) -> bool) -> bool {
        self.axes().into_iter().zip(other.axes()).all(|(own, other)| holds(own, other))
    }

    fn meets(&self, other: &Area) -> bool {
        self.on_axes(other, |a, b| a.0 <= b.1 && b.0 <= a.1)
    }

    fn covers(&self, other: &Area) -> bool {
        self.on_axes(other, |a, b| a.0 <= b.0 && b.1 <= a.1)
    }

    /// Whether both have points inside in common; what has no width on an axis is inside there.
    fn shares_inside(&self, other: &Area) -> bool {
        self.on_axes(other, |a, b| match (a.0 == a.1, b.0 == b.1) {
            (true, true) => a.0 == b.0,
            (true, false) => b.0 < a.0 && a.0 < b.1,
            (false, true) => a.0 < b.0 && b.0 < a.1,
            (false, false) => a.0.max(b.0) < a.1.min(b.1),
        })
    }

    fn contains(&self, other: &Area) -> bool {
        self.covers(other) && self.shares_inside(other)
    }

    /// The box as a geometry: an area, or the line or point that it is.
    fn shape(&self) -> Shape {
        let ((x, y), (u, v)) = (self.low, self.high);
        match (x == u, y == v) {
            (true, true) => Shape::Point((x, y)),
            (false, false) => Shape::Polygon(vec![vec![(x, y), (u, y), (u, v), (x, v), (x, y)]]),
            _ => Shape::Line(vec![(x, y), (u, v)]),
        }
    }
}

/// ST_Distance_Sphere(a, b[, radius]) of points by longitude and latitude, in degrees.
fn on_sphere(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let mut cast = Vec::with_capacity(args.len());
    for (place, arg) in args.into_iter().enumerate() {
        cast.push(match place {
            0 | 1 => build::as_string(arg, ctx),
            _ => build::as_double(arg, ctx),
        });
    }
    let ty = SqlType::double().with_nullable(any_nullable(&cast));
    Ok(bound(ty, cast, |call| {
        let Some((a, b)) = two(call)? else { return Ok(Value::Null) };
        let radius = match call.args.get(2) {
            None => EARTH_RADIUS,
            Some(Value::Null) => return Ok(Value::Null),
            Some(_) => call.double(2),
        };
        if radius <= 0.0 {
            return Err(Error::nonpositive_radius(call.name));
        }
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        for (shape, places) in [(&a, &mut of_a), (&b, &mut of_b)] {
            if !matches!(shape.kind(), Kind::Point | Kind::MultiPoint) {
                return Err(Error::not_supported("ST_Distance_Sphere of others than points"));
            }
            corners(shape, places);
            for (longitude, latitude) in places.iter() {
                if !(*longitude > -180.0 && *longitude <= 180.0) {
                    let shown = format!("{longitude:.6}");
                    return Err(Error::longitude_out_of_range(shown, call.name));
                }
                if !(-90.0..=90.0).contains(latitude) {
                    let shown = format!("{latitude:.6}");
                    return Err(Error::latitude_out_of_range(shown, call.name));
                }
            }
        }
        if of_a.len().saturating_mul(of_b.len()) > GEOMETRY_PAIRS_MAX {
            return Err(Error::not_supported("ST_Distance_Sphere of so many points"));
        }
        let pairs = of_a.iter().flat_map(|a| of_b.iter().map(move |b| angle(*a, *b)));
        Ok(Value::Double(radius * pairs.fold(f64::INFINITY, f64::min)))
    }))
}

/// The angle between two places as seen from the middle of the globe.
fn angle(a: Place, b: Place) -> f64 {
    let (low, high) = (a.1.to_radians(), b.1.to_radians());
    let (down, across) = ((high - low) / 2.0, (b.0 - a.0).to_radians() / 2.0);
    let share = down.sin().powi(2) + low.cos() * high.cos() * across.sin().powi(2);
    2.0 * share.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        geometry::of_text(text).unwrap()
    }

    #[test]
    fn distances_are_those_of_the_plane() {
        for (a, b, wanted) in [
            ("POINT(1 1)", "POINT(4 5)", 5.0),
            ("POINT(0 3)", "LINESTRING(-1 0,1 0)", 3.0),
            ("LINESTRING(0 0,2 2)", "LINESTRING(0 2,2 0)", 0.0),
            ("POINT(1 1)", "POLYGON((0 0,4 0,4 4,0 4,0 0))", 0.0),
            ("POINT(2 2)", "POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,3 1,3 3,1 3,1 1))", 1.0),
            ("MULTIPOINT((9 0),(6 0))", "POLYGON((0 0,4 0,4 4,0 4,0 0))", 2.0),
        ] {
            assert_eq!(apart(&shape(a), &shape(b)).unwrap(), wanted, "{a} {b}");
            assert_eq!(apart(&shape(b), &shape(a)).unwrap(), wanted, "{b} {a}");
        }
    }

    #[test]
    fn areas_hold_the_points_within() {
        let with_hole = shape("POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,3 1,3 3,1 3,1 1))");
        for (point, wanted) in [
            ("POINT(0.5 0.5)", true),
            ("POINT(2 2)", false),
            ("POINT(4 2)", false),
            ("POINT(5 2)", false),
            ("MULTIPOINT((4 2),(0.5 0.5))", true),
            ("MULTIPOINT((5 2),(0.5 0.5))", false),
        ] {
            assert_eq!(contains(&with_hole, &shape(point)).unwrap(), wanted, "{point}");
        }
        assert_eq!(area(&with_hole), 12.0);
        assert_eq!(contains(&with_hole, &with_hole).unwrap_err().code, 1235);
    }
}
