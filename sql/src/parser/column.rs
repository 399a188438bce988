//! What stands between the parentheses of CREATE TABLE: columns with their types and attributes, keys
//! and constraints.

use super::Parser;
use crate::ast::{
    Check, ColumnDefinition, CreateTable, DataType, DataTypeKind, DefaultValue, Expr, ExprKind,
    ForeignKey, Generated, IndexOptions, KeyColumn, KeyDefinition, KeyKind, KeyTarget, Literal,
    Reference, ReferenceAction, UnaryOp,
};
use crate::error::Result;
use crate::lexer::TokenKind;

/// A key or a constraint of a table.
pub(super) enum TableConstraint {
    Key(KeyDefinition),
    ForeignKey(ForeignKey),
    Check(Check),
}

impl Parser<'_> {
    /// A column, a key or a constraint.
    pub(super) fn table_element(&mut self, table: &mut CreateTable) -> Result<()> {
        match self.table_constraint()? {
            Some(TableConstraint::Key(key)) => table.keys.push(key),
            Some(TableConstraint::ForeignKey(key)) => table.foreign_keys.push(key),
            Some(TableConstraint::Check(check)) => table.checks.push(check),
            None => {
                let column = self.column_definition()?;
                table.columns.push(column);
            }
        }
        Ok(())
    }

    /// A key or a constraint, when one stands here.
    pub(super) fn table_constraint(&mut self) -> Result<Option<TableConstraint>> {
        let mut constraint = None;
        let named = self.accept_word("CONSTRAINT");
        if named && self.is_identifier() {
            constraint = Some(self.identifier()?);
        }
        let global =
            self.is("GLOBAL") && ["UNIQUE", "INDEX", "KEY"].iter().any(|word| self.is_at(1, word));
        if global {
            self.advance();
        }
        let kind = match self.upper().as_str() {
            "PRIMARY" => {
                self.advance();
                self.expect_word("KEY")?;
                KeyKind::Primary
            }
            "UNIQUE" => {
                self.advance();
                KeyKind::Unique
            }
            "FULLTEXT" if !named => {
                self.advance();
                KeyKind::Fulltext
            }
            "SPATIAL" if !named => {
                self.advance();
                KeyKind::Spatial
            }
            "KEY" | "INDEX" if !named => KeyKind::Plain,
            "FOREIGN" => {
                self.advance();
                self.expect_word("KEY")?;
                let index = match self.kind() {
                    TokenKind::LeftParen => None,
                    _ => Some(self.identifier()?),
                };
                let columns = self.names()?;
                let reference = self.reference()?;
                let key = ForeignKey { constraint, index, columns, reference };
                return Ok(Some(TableConstraint::ForeignKey(key)));
            }
            "CHECK" => return self.check(constraint).map(|c| Some(TableConstraint::Check(c))),
            _ if named => return Err(self.error()),
            _ => return Ok(None),
        };
        let global = (kind != KeyKind::Primary && self.accept_word("GLOBAL")) || global;
        if kind != KeyKind::Primary {
            self.accept_any(&["KEY", "INDEX"]);
        }
        let mut name = constraint;
        if self.is_identifier() && !self.is_using() {
            name = Some(self.new_index_name()?);
        }
        let using = self.index_type()?;
        let columns = self.parenthesised(Self::key_column)?;
        let (local, included, options) = (false, Vec::new(), Default::default());
        let mut key = KeyDefinition { kind, name, global, local, columns, included, options };
        key.options.using = using;
        self.index_options(&mut key)?;
        Ok(Some(TableConstraint::Key(key)))
    }

    fn is_using(&self) -> bool {
        self.is("USING") || (self.is("TYPE") && self.kind_at(1) != TokenKind::LeftParen)
    }

    /// `USING BTREE`, when it stands here.
    pub(super) fn index_type(&mut self) -> Result<Option<String>> {
        if !self.is_using() {
            return Ok(None);
        }
        self.advance();
        match self.accept_any(&["BTREE", "HASH", "RTREE"]) {
            Some(kind) => Ok(Some(kind.to_string())),
            None => Err(self.error()),
        }
    }

    /// INCLUDE and options after a key's columns; GLOBAL and LOCAL may stand here, too.
    pub(super) fn index_options(&mut self, key: &mut KeyDefinition) -> Result<()> {
        let options: &mut IndexOptions = &mut key.options;
        loop {
            if let Some(using) = self.index_type()? {
                options.using = Some(using);
            } else if self.accept_word("COMMENT") {
                options.comment = Some(self.string()?);
            } else if self.accept_word("KEY_BLOCK_SIZE") {
                self.accept_kind(TokenKind::Equal);
                options.key_block_size = Some(self.number()?);
            } else if self.accept(&["WITH", "PARSER"]) {
                options.parser = Some(self.identifier()?);
            } else if let Some(word) = self.accept_any(&["VISIBLE", "INVISIBLE"]) {
                options.invisible = word == "INVISIBLE";
            } else if let Some(word) = self.accept_any(&["GLOBAL", "LOCAL"]) {
                (key.global, key.local) = (word == "GLOBAL", word == "LOCAL");
            } else if key.included.is_empty() && self.accept_word("INCLUDE") {
                key.included = self.names()?;
            } else {
                return Ok(());
            }
        }
    }

    /// `column [(prefix)] [ASC | DESC]` or `(expression) [ASC | DESC]`.
    pub(super) fn key_column(&mut self) -> Result<KeyColumn> {
        let (target, prefix) = if self.accept_kind(TokenKind::LeftParen) {
            let expr = self.expr()?;
            self.expect_kind(TokenKind::RightParen)?;
            (KeyTarget::Expression(expr), None)
        } else {
            let name = self.identifier()?;
            (KeyTarget::Column(name), self.type_length()?)
        };
        let descending = self.accept_any(&["ASC", "DESC"]) == Some("DESC");
        Ok(KeyColumn { target, prefix, descending })
    }

    fn check(&mut self, name: Option<String>) -> Result<Check> {
        self.expect_word("CHECK")?;
        self.expect_kind(TokenKind::LeftParen)?;
        let expr = self.expr()?;
        self.expect_kind(TokenKind::RightParen)?;
        let enforced = !self.accept(&["NOT", "ENFORCED"]);
        if enforced {
            self.accept_word("ENFORCED");
        }
        Ok(Check { name, expr, enforced })
    }

    /// REFERENCES.
    fn reference(&mut self) -> Result<Reference> {
        self.expect_word("REFERENCES")?;
        let table = self.table_name()?;
        let columns = match self.kind() {
            TokenKind::LeftParen => self.names()?,
            _ => Vec::new(),
        };
        let mut reference =
            Reference { table, columns, matching: None, on_delete: None, on_update: None };
        if self.accept_word("MATCH") {
            match self.accept_any(&["FULL", "PARTIAL", "SIMPLE"]) {
                Some(word) => reference.matching = Some(word.to_string()),
                None => return Err(self.error()),
            }
        }
        loop {
            if self.accept(&["ON", "DELETE"]) {
                reference.on_delete = Some(self.reference_action()?);
            } else if self.are(&["ON", "UPDATE"]) && !self.is_now_at(2) {
                self.at += 2;
                reference.on_update = Some(self.reference_action()?);
            } else {
                return Ok(reference);
            }
        }
    }

    fn reference_action(&mut self) -> Result<ReferenceAction> {
        if self.accept_word("RESTRICT") {
            Ok(ReferenceAction::Restrict)
        } else if self.accept_word("CASCADE") {
            Ok(ReferenceAction::Cascade)
        } else if self.accept(&["SET", "NULL"]) {
            Ok(ReferenceAction::SetNull)
        } else if self.accept(&["SET", "DEFAULT"]) {
            Ok(ReferenceAction::SetDefault)
        } else {
            self.expect(&["NO", "ACTION"])?;
            Ok(ReferenceAction::NoAction)
        }
    }

    /// `name type attributes…`.
    pub(super) fn column_definition(&mut self) -> Result<ColumnDefinition> {
        let name = self.identifier()?;
        let serial = self.is("SERIAL");
        let ty = self.data_type()?;
        let mut column = ColumnDefinition {
            name,
            ty,
            nullable: None,
            default: None,
            on_update_now: None,
            auto_increment: false,
            primary_key: false,
            unique: false,
            comment: None,
            generated: None,
            checks: Vec::new(),
            references: None,
            invisible: false,
        };
        if serial {
            make_serial(&mut column);
        }
        while self.column_attribute(&mut column)? {}
        Ok(column)
    }

    /// One attribute of a column; false when none stands here.
    fn column_attribute(&mut self, column: &mut ColumnDefinition) -> Result<bool> {
        match self.upper().as_str() {
            "NOT" => {
                self.expect(&["NOT", "NULL"])?;
                column.nullable = Some(false);
            }
            "NULL" => {
                self.advance();
                column.nullable = Some(true);
            }
            "DEFAULT" => {
                self.advance();
                column.default = Some(self.default_value()?);
            }
            "ON" => {
                self.expect(&["ON", "UPDATE"])?;
                if !self.is_now_at(0) {
                    return Err(self.error());
                }
                column.on_update_now = Some(self.now()?);
            }
            "AUTO_INCREMENT" => {
                self.advance();
                column.auto_increment = true;
            }
            "SERIAL" => {
                self.expect(&["SERIAL", "DEFAULT", "VALUE"])?;
                make_serial(column);
            }
            "PRIMARY" => {
                self.expect(&["PRIMARY", "KEY"])?;
                column.primary_key = true;
            }
            "KEY" => {
                self.advance();
                column.primary_key = true;
            }
            "UNIQUE" => {
                self.advance();
                self.accept_word("KEY");
                column.unique = true;
            }
            "COMMENT" => {
                self.advance();
                column.comment = Some(self.string()?);
            }
            "COLLATE" => {
                self.advance();
                column.ty.collation = Some(self.charset_name()?);
            }
            "GENERATED" => {
                self.expect(&["GENERATED", "ALWAYS"])?;
                column.generated = Some(self.generated()?);
            }
            "AS" => column.generated = Some(self.generated()?),
            "CHECK" => {
                let check = self.check(None)?;
                column.checks.push(check);
            }
            "CONSTRAINT" => {
                self.advance();
                let name = if self.is("CHECK") { None } else { Some(self.identifier()?) };
                let check = self.check(name)?;
                column.checks.push(check);
            }
            "REFERENCES" => column.references = Some(self.reference()?),
            "VISIBLE" | "INVISIBLE" => {
                column.invisible = self.is("INVISIBLE");
                self.advance();
            }
            "COLUMN_FORMAT" | "STORAGE" => {
                self.advance();
                if self.accept_any(&["FIXED", "DYNAMIC", "DEFAULT", "DISK", "MEMORY"]).is_none() {
                    return Err(self.error());
                }
            }
            "ENGINE_ATTRIBUTE" | "SECONDARY_ENGINE_ATTRIBUTE" => {
                self.advance();
                self.accept_kind(TokenKind::Equal);
                self.string()?;
            }
            "SRID" => {
                self.advance();
                column.ty.srid = Some(self.small_number()?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn generated(&mut self) -> Result<Generated> {
        self.expect_word("AS")?;
        self.expect_kind(TokenKind::LeftParen)?;
        let expr = self.expr()?;
        self.expect_kind(TokenKind::RightParen)?;
        let stored = self.accept_any(&["VIRTUAL", "STORED"]) == Some("STORED");
        Ok(Generated { expr, stored })
    }

    /// What follows DEFAULT.
    pub(super) fn default_value(&mut self) -> Result<DefaultValue> {
        if self.accept_kind(TokenKind::LeftParen) {
            let expr = self.expr()?;
            self.expect_kind(TokenKind::RightParen)?;
            return Ok(DefaultValue::Expression(expr));
        }
        if self.is_now_at(0) {
            return self.now().map(DefaultValue::Now);
        }
        if self.is_any(&["NEXTVAL", "NEXT"]) {
            // MariaDB and TiDB take it without parentheses.
            let start = self.at;
            let expr = self.literal_primary()?;
            return match expr.kind {
                ExprKind::Sequence { .. } => Ok(DefaultValue::Expression(expr)),
                _ => {
                    self.at = start;
                    Err(self.error())
                }
            };
        }
        let start = self.at;
        let sign = match self.kind() {
            TokenKind::Minus => Some(UnaryOp::Minus),
            TokenKind::Plus => Some(UnaryOp::Plus),
            _ => None,
        };
        if sign.is_some() {
            self.advance();
        }
        let error = self.error();
        let literal = self.literal_primary()?;
        let number = matches!(
            literal.kind,
            ExprKind::Literal(Literal::Integer(_) | Literal::Decimal(_) | Literal::Double(_))
        );
        match (&literal.kind, sign) {
            (ExprKind::Literal(_), Some(op)) if number => {
                let kind = ExprKind::Unary { op, operand: Box::new(literal) };
                Ok(DefaultValue::Literal(Expr { kind, span: self.span_from(start) }))
            }
            (ExprKind::Literal(_), None) => Ok(DefaultValue::Literal(literal)),
            _ => Err(error),
        }
    }

    /// Whether CURRENT_TIMESTAMP or a synonym stands `ahead`.
    fn is_now_at(&self, ahead: usize) -> bool {
        ["CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP"]
            .iter()
            .any(|word| self.is_at(ahead, word))
    }

    /// CURRENT_TIMESTAMP, `NOW()`, … and its digits.
    fn now(&mut self) -> Result<u8> {
        let needs_parentheses = self.is("NOW");
        self.advance();
        if self.kind() == TokenKind::LeftParen && self.kind_at(1) == TokenKind::RightParen {
            self.at += 2;
            return Ok(0);
        }
        if needs_parentheses && self.kind() != TokenKind::LeftParen {
            return Err(self.error());
        }
        self.fraction_digits()
    }

    /// A type.
    pub(super) fn data_type(&mut self) -> Result<DataType> {
        use DataTypeKind::*;
        let error = self.error();
        let word = self.upper();
        self.advance();
        let mut ty = DataType {
            kind: Int,
            length: None,
            decimals: None,
            unsigned: false,
            zerofill: false,
            charset: None,
            collation: None,
            binary: false,
            members: Vec::new(),
            srid: None,
        };
        ty.kind = match word.as_str() {
            "TINYINT" | "INT1" => TinyInt,
            "SMALLINT" | "INT2" => SmallInt,
            "MEDIUMINT" | "INT3" | "MIDDLEINT" => MediumInt,
            "INT" | "INTEGER" | "INT4" => Int,
            "BIGINT" | "INT8" => BigInt,
            "BOOL" | "BOOLEAN" => {
                ty.length = Some(1);
                TinyInt
            }
            "SERIAL" => {
                ty.unsigned = true;
                BigInt
            }
            "DECIMAL" | "DEC" | "NUMERIC" | "FIXED" => Decimal,
            "FLOAT" | "FLOAT4" => Float,
            "DOUBLE" | "FLOAT8" => {
                self.accept_word("PRECISION");
                Double
            }
            "REAL" => Double,
            "BIT" => Bit,
            "CHAR" | "CHARACTER" if self.accept_word("VARYING") => Varchar,
            "CHAR" | "CHARACTER" => Char,
            "VARCHAR" | "VARCHARACTER" => Varchar,
            "NCHAR" if self.accept_any(&["VARCHAR", "VARYING"]).is_some() => {
                national(&mut ty, Varchar)
            }
            "NCHAR" => national(&mut ty, Char),
            "NVARCHAR" => national(&mut ty, Varchar),
            "NATIONAL" => match self.accept_any(&["CHAR", "CHARACTER", "VARCHAR"]) {
                Some("VARCHAR") => national(&mut ty, Varchar),
                Some(_) if self.accept_word("VARYING") => national(&mut ty, Varchar),
                Some(_) => national(&mut ty, Char),
                None => return Err(self.error()),
            },
            "BINARY" => Binary,
            "VARBINARY" => Varbinary,
            "TINYTEXT" => TinyText,
            "TEXT" => Text,
            "MEDIUMTEXT" => MediumText,
            "LONGTEXT" => LongText,
            "LONG" => match self.accept_any(&["VARBINARY", "VARCHAR"]) {
                Some("VARBINARY") => MediumBlob,
                _ => MediumText,
            },
            "TINYBLOB" => TinyBlob,
            "BLOB" => Blob,
            "MEDIUMBLOB" => MediumBlob,
            "LONGBLOB" => LongBlob,
            "DATE" => Date,
            "TIME" => Time,
            "DATETIME" => DateTime,
            "TIMESTAMP" => Timestamp,
            "YEAR" => Year,
            "JSON" => Json,
            "ENUM" => Enum,
            "SET" => Set,
            "GEOMETRY" => Geometry,
            "POINT" => Point,
            "LINESTRING" => LineString,
            "POLYGON" => Polygon,
            "MULTIPOINT" => MultiPoint,
            "MULTILINESTRING" => MultiLineString,
            "MULTIPOLYGON" => MultiPolygon,
            "GEOMETRYCOLLECTION" | "GEOMCOLLECTION" => GeometryCollection,
            _ => return Err(error),
        };
        self.type_arguments(&mut ty, &word)?;
        self.type_attributes(&mut ty)?;
        Ok(ty)
    }

    /// What may stand in parentheses after a type's name.
    fn type_arguments(&mut self, ty: &mut DataType, word: &str) -> Result<()> {
        use DataTypeKind::*;
        match ty.kind {
            Enum | Set => ty.members = self.parenthesised(Self::string)?,
            Decimal | Float | Double => {
                if self.accept_kind(TokenKind::LeftParen) {
                    ty.length = Some(self.small_number()?);
                    if self.accept_kind(TokenKind::Comma) {
                        ty.decimals = Some(self.small_number()?);
                    }
                    self.expect_kind(TokenKind::RightParen)?;
                }
                // DOUBLE takes two numbers or none.
                if ty.kind == Double && ty.length.is_some() && ty.decimals.is_none() {
                    return Err(self.error());
                }
            }
            TinyInt if word.starts_with("BOOL") => {}
            BigInt if word == "SERIAL" => {}
            TinyInt | SmallInt | MediumInt | Int | BigInt | Bit | Char | Binary | Text | Blob
            | Time | DateTime | Timestamp | Year => ty.length = self.type_length()?,
            Varchar | Varbinary => {
                let error = self.error();
                ty.length = Some(self.type_length()?.ok_or(error)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn type_attributes(&mut self, ty: &mut DataType) -> Result<()> {
        use DataTypeKind::*;
        match ty.kind {
            TinyInt | SmallInt | MediumInt | Int | BigInt | Decimal | Float | Double => {
                while let Some(word) = self.accept_any(&["UNSIGNED", "SIGNED", "ZEROFILL"]) {
                    ty.unsigned |= word != "SIGNED";
                    ty.zerofill |= word == "ZEROFILL";
                }
            }
            Char | Varchar | TinyText | Text | MediumText | LongText | Enum | Set => loop {
                if self.accept_charset_words() {
                    ty.charset = Some(self.charset_name()?);
                } else if self.accept_word("COLLATE") {
                    ty.collation = Some(self.charset_name()?);
                } else if self.accept_word("BINARY") {
                    ty.binary = true;
                } else if self.accept_word("ASCII") {
                    ty.charset = Some("latin1".to_string());
                } else if self.accept_word("UNICODE") {
                    ty.charset = Some("ucs2".to_string());
                } else if self.accept_word("BYTE") {
                    ty.charset = Some("binary".to_string());
                } else {
                    break;
                }
            },
            _ => {}
        }
        Ok(())
    }
}

fn national(ty: &mut DataType, kind: DataTypeKind) -> DataTypeKind {
    ty.charset = Some("utf8mb3".to_string());
    kind
}

/// SERIAL is NOT NULL AUTO_INCREMENT UNIQUE.
fn make_serial(column: &mut ColumnDefinition) {
    column.nullable = Some(false);
    column.auto_increment = true;
    column.unique = true;
}
