//! Stored rows straight into Arrow columns.

use super::operator::batch;
use crate::catalog::TableDef;
use crate::types::{SqlType, values_to_array};
use crate::value::Value;
use crate::{Error, Result, table_codec};
use arrow::array::{
    ArrayRef, BinaryBuilder, Float64Builder, Int64Builder, StringBuilder, UInt64Builder,
};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use engine::row::RowReader;
use std::sync::Arc;

/// Decodes some columns of a table's rows.
pub struct Decoder {
    table: Arc<TableDef>,
    columns: Vec<usize>,
    schema: SchemaRef,
}

/// A column that is being filled.
enum Builder {
    Int(Int64Builder),
    UInt(UInt64Builder),
    Double(Float64Builder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    /// Types whose stored form is not their Arrow form.
    Values(Vec<Value>),
}

impl Decoder {
    /// A decoder of these columns into batches of this schema.
    pub fn new(table: Arc<TableDef>, columns: Vec<usize>, schema: SchemaRef) -> Decoder {
        Decoder { table, columns, schema }
    }

    /// A batch of rows as stored.
    pub fn decode(&self, rows: impl ExactSizeIterator<Item = Bytes>) -> Result<RecordBatch> {
        let count = rows.len();
        if self.columns.is_empty() {
            return batch(self.schema.clone(), Vec::new(), count);
        }
        let mut builders: Vec<Builder> =
            self.columns.iter().map(|&c| Builder::new(&self.table.columns[c].ty, count)).collect();
        for row in rows {
            let reader = RowReader::new(&row)?;
            for (builder, &column) in builders.iter_mut().zip(&self.columns) {
                let definition = &self.table.columns[column];
                if reader.has_column(definition.ordinal) {
                    builder.append(&reader, definition.ordinal, &definition.ty)?;
                } else {
                    // It was added after this row was written.
                    let value = table_codec::absent_value(&self.table, &reader, column)?;
                    builder.append_value(&value)?;
                }
            }
        }
        let columns = builders
            .into_iter()
            .zip(&self.columns)
            .map(|(builder, &column)| builder.finish(&self.table.columns[column].ty))
            .collect::<Result<Vec<_>>>()?;
        batch(self.schema.clone(), columns, count)
    }
}

impl Builder {
    fn new(ty: &SqlType, rows: usize) -> Builder {
        match ty.arrow() {
            DataType::Int64 if ty.is_integer() => Builder::Int(Int64Builder::with_capacity(rows)),
            // Dates are packed alike in rows and in Arrow.
            DataType::UInt64 => Builder::UInt(UInt64Builder::with_capacity(rows)),
            DataType::Float64 => Builder::Double(Float64Builder::with_capacity(rows)),
            DataType::Utf8 => Builder::Text(StringBuilder::with_capacity(rows, rows * 16)),
            DataType::Binary => Builder::Bytes(BinaryBuilder::with_capacity(rows, rows * 16)),
            _ => Builder::Values(Vec::with_capacity(rows)),
        }
    }

    fn append(&mut self, reader: &RowReader<'_>, column: usize, ty: &SqlType) -> Result<()> {
        match self {
            Builder::Int(builder) => builder.append_option(reader.i64(column)?),
            Builder::UInt(builder) => builder.append_option(reader.u64(column)?),
            Builder::Double(builder) => builder.append_option(reader.f64(column)?),
            Builder::Bytes(builder) => builder.append_option(reader.column(column)?),
            Builder::Text(builder) => match reader.column(column)? {
                None => builder.append_null(),
                Some(bytes) => builder.append_value(
                    std::str::from_utf8(bytes)
                        .map_err(|_| Error::storage(format!("corrupt text in column {column}")))?,
                ),
            },
            Builder::Values(values) => {
                values.push(table_codec::decode_column(reader, column, ty)?);
            }
        }
        Ok(())
    }

    fn append_value(&mut self, value: &Value) -> Result<()> {
        match (self, value) {
            (Builder::Values(values), value) => values.push(value.clone()),
            (Builder::Int(builder), Value::Null) => builder.append_null(),
            (Builder::UInt(builder), Value::Null) => builder.append_null(),
            (Builder::Double(builder), Value::Null) => builder.append_null(),
            (Builder::Text(builder), Value::Null) => builder.append_null(),
            (Builder::Bytes(builder), Value::Null) => builder.append_null(),
            (Builder::Int(builder), Value::Int(value)) => builder.append_value(*value),
            (Builder::UInt(builder), Value::UInt(value)) => builder.append_value(*value),
            (Builder::UInt(builder), Value::Date(value)) => builder.append_value(value.packed()),
            (Builder::UInt(builder), Value::DateTime(value)) => {
                builder.append_value(value.packed());
            }
            (Builder::Double(builder), Value::Double(value)) => builder.append_value(*value),
            (Builder::Text(builder), Value::Text(value)) => builder.append_value(value),
            (Builder::Bytes(builder), Value::Bytes(value)) => builder.append_value(value),
            _ => return Err(Error::internal("a default of another type than its column")),
        }
        Ok(())
    }

    fn finish(self, ty: &SqlType) -> Result<ArrayRef> {
        Ok(match self {
            Builder::Int(mut builder) => Arc::new(builder.finish()),
            Builder::UInt(mut builder) => Arc::new(builder.finish()),
            Builder::Double(mut builder) => Arc::new(builder.finish()),
            Builder::Text(mut builder) => Arc::new(builder.finish()),
            Builder::Bytes(mut builder) => Arc::new(builder.finish()),
            Builder::Values(values) => values_to_array(ty, values.iter())?,
        })
    }
}
