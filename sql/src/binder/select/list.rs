//! The select list: wildcards become columns, expressions get the names that the client reads.

use super::Item;
use crate::ast::{self, ExprKind as Ast, SelectItem};
use crate::binder::{BindContext, Entry};
use crate::session::ColumnMeta;
use crate::{Error, Result};

impl BindContext<'_> {
    pub(super) fn select_list(&mut self, select: &ast::Select) -> Result<Vec<Item>> {
        let mut items = Vec::with_capacity(select.items.len());
        for item in &select.items {
            match item {
                SelectItem::Wildcard => {
                    if select.from.is_empty() {
                        return Err(Error::no_tables_used());
                    }
                    let positions = self.level()?.scope.star.clone();
                    self.wildcard(positions, &mut items)?;
                }
                SelectItem::TableWildcard(table) => {
                    let scope = &self.level()?.scope;
                    let database = table.database.as_deref();
                    let positions = scope.table_star(database, &table.name);
                    if positions.is_empty() {
                        return Err(Error::unknown_table(&table.name));
                    }
                    self.wildcard(positions, &mut items)?;
                }
                SelectItem::Expr { expr, .. } => {
                    let bound = self.expr(expr)?;
                    let meta = match &expr.kind {
                        Ast::Column(name) if self.local(name).is_none() => {
                            self.column_meta(name)?
                        }
                        _ => None,
                    };
                    let name = item.name().unwrap_or_default();
                    items.push(Item { expr: bound, name, meta });
                }
            }
        }
        Ok(items)
    }

    fn wildcard(&mut self, positions: Vec<usize>, items: &mut Vec<Item>) -> Result<()> {
        for position in positions {
            let Some(Entry::Level(level)) = self.stack.last() else {
                return Err(Error::internal("a select list outside of every query block"));
            };
            let expr = self.scope_column(level, position)?;
            let column = &level.scope.columns[position];
            items.push(Item { expr, name: column.name.clone(), meta: Some(column.meta.clone()) });
        }
        Ok(())
    }

    /// What the client is told about a plain column.
    fn column_meta(&mut self, name: &ast::ColumnName) -> Result<Option<ColumnMeta>> {
        let level = self.level()?;
        let position = level.scope.find(name, level.clause)?;
        Ok(position.map(|position| level.scope.columns[position].meta.clone()))
    }
}
