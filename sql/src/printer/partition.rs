//! PARTITION BY and the definitions of partitions.

use super::Printer;
use crate::ast::{
    PartitionBy, PartitionDefinition, PartitionKey, PartitionMethod, PartitionValue,
    PartitionValues,
};

impl Printer {
    pub(super) fn partition_by(&mut self, by: &PartitionBy) {
        self.when(by.tdsql, "TDSQL_");
        self.text("PARTITION BY ");
        match &by.method {
            PartitionMethod::Range(key) => self.partition_key("RANGE", key),
            PartitionMethod::List(key) => self.partition_key("LIST", key),
            PartitionMethod::Hash { linear, expr } => {
                self.when(*linear, "LINEAR ");
                self.text("HASH (");
                self.expr(expr);
                self.text(")");
            }
            PartitionMethod::Key { linear, columns } => {
                self.when(*linear, "LINEAR ");
                self.text("KEY ");
                self.names(columns);
            }
        }
        if let Some(count) = by.count {
            self.value(format_args!(" PARTITIONS {count}"));
        }
        if let Some(text) = &by.subpartition_by {
            self.text(" ");
            self.text(text);
        }
        if !by.partitions.is_empty() {
            self.text(" ");
            self.partition_definitions(&by.partitions);
        }
    }

    pub(super) fn partition_definitions(&mut self, partitions: &[PartitionDefinition]) {
        self.parenthesised(partitions, Self::partition_definition);
    }

    fn partition_key(&mut self, method: &str, key: &PartitionKey) {
        self.text(method);
        match key {
            PartitionKey::Expr(expr) => {
                self.text(" (");
                self.expr(expr);
                self.text(")");
            }
            PartitionKey::Columns(columns) => {
                self.text(" COLUMNS ");
                self.names(columns);
            }
        }
    }

    fn partition_definition(&mut self, definition: &PartitionDefinition) {
        self.text("PARTITION ");
        self.name(&definition.name);
        match &definition.values {
            None => {}
            Some(PartitionValues::LessThan(values)) => {
                self.text(" VALUES LESS THAN ");
                self.parenthesised(values, Self::partition_value);
            }
            Some(PartitionValues::In(items)) => {
                self.text(" VALUES IN ");
                self.parenthesised(items, |printer, item| match item.as_slice() {
                    [value] => printer.partition_value(value),
                    values => printer.parenthesised(values, Self::partition_value),
                });
            }
        }
        self.optional_string(" COMMENT = ", &definition.comment);
        self.optional(" ENGINE = ", &definition.engine, |printer, engine| printer.word(engine));
        self.optional(" ", &definition.subpartitions, |printer, text| printer.text(text));
    }

    fn partition_value(&mut self, value: &PartitionValue) {
        match value {
            PartitionValue::Max => self.text("MAXVALUE"),
            PartitionValue::Expr(expr) => self.expr(expr),
        }
    }
}
