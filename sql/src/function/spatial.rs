//! Geometries from text and back, and the parts of points.
//!
//! Not here: their form (`types::geometry`), measures and relations (`spatial_relation`).

use super::{Bound, Call, Eval, Function, any_nullable, bound, pure};
use crate::collation::CollationId;
use crate::context::EvalContext;
use crate::expr::{Expr, build};
use crate::types::SqlType;
use crate::types::geometry::{self, Kind, Shape};
use crate::value::Value;
use crate::{Error, Result};

/// This family.
pub static FUNCTIONS: &[Function] = &[
    pure("st_geomfromtext", 1, 2, of_text),
    pure("st_geometryfromtext", 1, 2, of_text),
    pure("st_astext", 1, 1, |args, ctx| {
        of_geometry(SqlType::longtext(CollationId::DEFAULT), args, ctx, as_text)
    }),
    pure("st_aswkt", 1, 1, |args, ctx| {
        of_geometry(SqlType::longtext(CollationId::DEFAULT), args, ctx, as_text)
    }),
    pure("linestring", 2, super::MANY, of_members),
    pure("polygon", 1, super::MANY, of_members),
    pure("multipoint", 1, super::MANY, of_members),
    pure("multilinestring", 1, super::MANY, of_members),
    pure("multipolygon", 1, super::MANY, of_members),
    pure("geometrycollection", 0, super::MANY, of_members),
    pure("geomcollection", 0, super::MANY, of_members),
    pure("st_pointfromtext", 1, 2, of_text),
    pure("st_linefromtext", 1, 2, of_text),
    pure("st_linestringfromtext", 1, 2, of_text),
    pure("st_polyfromtext", 1, 2, of_text),
    pure("st_polygonfromtext", 1, 2, of_text),
    pure("st_geomfromwkb", 1, 2, of_bytes),
    pure("st_geometryfromwkb", 1, 2, of_bytes),
    pure("st_aswkb", 1, 1, as_bytes),
    pure("st_asbinary", 1, 1, as_bytes),
    pure("st_x", 1, 1, |args, ctx| of_geometry(SqlType::double(), args, ctx, x)),
    pure("st_y", 1, 1, |args, ctx| of_geometry(SqlType::double(), args, ctx, y)),
    pure("st_srid", 1, 1, |args, ctx| {
        of_geometry(SqlType::bigint_width(10).unsigned(), args, ctx, srid)
    }),
    pure("point", 2, 2, |args, ctx| {
        let args: Vec<Expr> = args.into_iter().map(|arg| build::as_double(arg, ctx)).collect();
        let ty = SqlType::geometry(Kind::Point).with_nullable(any_nullable(&args));
        Ok(bound(ty, args, point))
    }),
];

fn of_text(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let mut cast = Vec::with_capacity(args.len());
    for (place, arg) in args.into_iter().enumerate() {
        cast.push(match place {
            0 => build::as_string(arg, ctx),
            _ => build::as_integer(arg, ctx),
        });
    }
    let ty = SqlType::geometry(Kind::Any).with_nullable(any_nullable(&cast));
    Ok(bound(ty, cast, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        check_plane(call.bits(1))?;
        let text = std::str::from_utf8(call.bytes(0)).ok();
        let shape = text.and_then(geometry::of_text);
        let shape = shape.ok_or_else(|| Error::invalid_geometry(call.name))?;
        let wanted = match call.name {
            "st_pointfromtext" => Kind::Point,
            "st_linefromtext" | "st_linestringfromtext" => Kind::LineString,
            "st_polyfromtext" | "st_polygonfromtext" => Kind::Polygon,
            _ => shape.kind(),
        };
        if shape.kind() != wanted {
            let (wanted, kind) = (wanted.name(), shape.kind().name());
            return Err(Error::unexpected_geometry(wanted, kind, call.name));
        }
        Ok(Value::Bytes(geometry::write(0, &shape)))
    }))
}

pub(super) fn of_geometry(
    ty: SqlType,
    args: Vec<Expr>,
    ctx: &EvalContext,
    eval: Eval,
) -> Result<Bound> {
    let args: Vec<Expr> = args.into_iter().map(|arg| build::as_string(arg, ctx)).collect();
    Ok(bound(ty.with_nullable(any_nullable(&args)), args, eval))
}

/// LINESTRING(point, …), POLYGON(line, …) and the others that are made of geometries.
fn of_members(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    of_geometry(SqlType::geometry(Kind::Any), args, ctx, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        let wrong = || Error::invalid_geometry(call.name);
        let mut members = Vec::with_capacity(call.args.len());
        for index in 0..call.args.len() {
            let (srid, shape) = geometry::read(call.bytes(index)).ok_or_else(wrong)?;
            check_plane(u64::from(srid))?;
            members.push(shape);
        }
        let shape = match call.name {
            "linestring" => {
                let place = |shape| match shape {
                    Shape::Point(place) => Some(place),
                    _ => None,
                };
                let places: Option<_> = members.into_iter().map(place).collect();
                Shape::Line(places.ok_or_else(wrong)?)
            }
            "polygon" => {
                let ring = |shape| match shape {
                    Shape::Line(places) => Some(places),
                    _ => None,
                };
                let rings: Option<_> = members.into_iter().map(ring).collect();
                Shape::Polygon(rings.ok_or_else(wrong)?)
            }
            "multipoint" => Shape::Many(Kind::MultiPoint, members),
            "multilinestring" => Shape::Many(Kind::MultiLineString, members),
            "multipolygon" => Shape::Many(Kind::MultiPolygon, members),
            _ => Shape::Many(Kind::Collection, members),
        };
        let stored = geometry::write(0, &shape);
        // Open rings, and members of another kind, are found where bytes are read.
        geometry::read(&stored).ok_or_else(wrong)?;
        Ok(Value::Bytes(stored))
    })
}

/// ST_GeomFromWKB: what stands behind the SRID of a geometry.
fn of_bytes(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    let args = super::string_and_integers(args, ctx);
    let ty = SqlType::geometry(Kind::Any).with_nullable(any_nullable(&args));
    Ok(bound(ty, args, |call| {
        if call.any_null() {
            return Ok(Value::Null);
        }
        check_plane(call.bits(1))?;
        let stored = [&0_u32.to_le_bytes()[..], call.bytes(0)].concat();
        match geometry::read(&stored) {
            Some(_) => Ok(Value::Bytes(stored)),
            None => Err(Error::invalid_geometry(call.name)),
        }
    }))
}

/// ST_AsWKB.
fn as_bytes(args: Vec<Expr>, ctx: &EvalContext) -> Result<Bound> {
    of_geometry(SqlType::longtext(CollationId::BINARY), args, ctx, |call| {
        let Some((srid, shape)) = shape_of(call)? else { return Ok(Value::Null) };
        check_plane(u64::from(srid))?;
        Ok(Value::Bytes(geometry::write(srid, &shape)[size_of::<u32>()..].to_vec()))
    })
}

/// Other reference systems may swap their axes, so that coordinates would be mistaken.
pub(super) fn check_plane(srid: u64) -> Result<()> {
    match srid {
        0 => Ok(()),
        srid => Err(Error::not_supported(format!("SRID {srid}: use 0, the plane"))),
    }
}

/// The SRID and shape of the first argument; `None` for NULL.
fn shape_of(call: &Call<'_>) -> Result<Option<(u32, Shape)>> {
    if call.any_null() {
        return Ok(None);
    }
    match geometry::read(call.bytes(0)) {
        Some(found) => Ok(Some(found)),
        None => Err(Error::invalid_geometry(call.name)),
    }
}

fn as_text(call: &Call<'_>) -> Result<Value> {
    let Some((srid, shape)) = shape_of(call)? else { return Ok(Value::Null) };
    check_plane(u64::from(srid))?;
    Ok(Value::Text(geometry::to_text(&shape)))
}

fn srid(call: &Call<'_>) -> Result<Value> {
    Ok(shape_of(call)?.map_or(Value::Null, |(srid, _)| Value::UInt(u64::from(srid))))
}

fn x(call: &Call<'_>) -> Result<Value> {
    Ok(place_of(call)?.map_or(Value::Null, |(x, _)| Value::Double(x)))
}

fn y(call: &Call<'_>) -> Result<Value> {
    Ok(place_of(call)?.map_or(Value::Null, |(_, y)| Value::Double(y)))
}

fn place_of(call: &Call<'_>) -> Result<Option<geometry::Place>> {
    let Some((srid, shape)) = shape_of(call)? else { return Ok(None) };
    check_plane(u64::from(srid))?;
    match shape {
        Shape::Point(place) => Ok(Some(place)),
        other => Err(Error::unexpected_geometry("POINT", other.kind().name(), call.name)),
    }
}

fn point(call: &Call<'_>) -> Result<Value> {
    if call.any_null() {
        return Ok(Value::Null);
    }
    let shape = Shape::Point((call.double(0), call.double(1)));
    Ok(Value::Bytes(geometry::write(0, &shape)))
}
