//! The names of a view's query, resolved: what the text of a view says no longer depends on who reads it.
//!
//! ```text
//! a             ─> `d`.`t`.`a`, or `x`.`a` when t goes by the alias x
//! *, t.*        ─> their columns
//! USING (a)     ─> ON t.a = u.a           NATURAL likewise
//! t RIGHT JOIN u ─> u LEFT JOIN t         as MySQL writes it
//! ORDER BY 2    ─> the second item
//! ```
//!
//! The query has been bound before, so it is known to be right: what is asked here is only which column a name means. The rules
//! are the binder's (`binder::scope`, `binder::from`, `binder::select`).
//!
//! Invariant: every item of the outermost select list, and of those of derived tables, has an alias.
//!
//! Not here: types; the layout (`text`).

use crate::ast::{
    BinaryOp, ColumnName, Expr, ExprKind, JoinConstraint, JoinKind, Literal, OrderItem, Over,
    Query, QueryBody, Select, SelectItem, SelectOptions, SourceText, Span, TableName, TableRef,
    TableSource, WindowSpec, With,
};
use crate::binder::VirtualTables;
use crate::catalog::Catalog;
use crate::dml::bind::visit;
use crate::{Error, Result};

/// Longest name that an item without an alias gives to its column.
const OWN_NAME_CHARS_MAX: usize = 64;

/// A query without names that somebody would have to look up.
pub(crate) struct Resolved {
    /// The query.
    pub(crate) query: Query,
    /// Names of its columns.
    pub(crate) columns: Vec<String>,
}

/// Resolves a query that has been bound. Names without a database mean `database`.
///
/// # Errors
/// 1351 for variables and parameters, 1235 for what no view can say yet.
pub(crate) fn resolve(
    query: &Query,
    catalog: &Catalog,
    database: Option<&str>,
    tables: &dyn VirtualTables,
) -> Result<Resolved> {
    let mut names = Names { catalog, database, tables, blocks: Vec::new(), commons: Vec::new() };
    let mut query = query.clone();
    let columns = names.query(&mut query, Naming::All)?;
    Ok(Resolved { query, columns })
}

/// Which items of a select list get an alias.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// All: their names are seen outside.
    All,
    /// None but those that other clauses name: nobody sees the columns of a subquery in an expression.
    Named,
}

/// What names mean at some place of the query.
struct Names<'a> {
    catalog: &'a Catalog,
    database: Option<&'a str>,
    tables: &'a dyn VirtualTables,
    /// The query blocks around it, the outermost first.
    blocks: Vec<Block>,
    /// The named queries of WITH: names and columns.
    commons: Vec<(String, Vec<String>)>,
}

/// A query block: what its FROM has, and its aliases.
#[derive(Default)]
struct Block {
    tables: Vec<Table>,
    /// What `*` stands for.
    star: Vec<Place>,
    aliases: Vec<Alias>,
    /// HAVING is read: aliases come before columns that are not grouped.
    aliases_first: bool,
    /// The columns that GROUP BY names.
    grouped: Vec<Place>,
}

/// A table of FROM.
struct Table {
    /// Its database; none for a derived table and a named query.
    database: Option<String>,
    /// What it goes by.
    name: String,
    /// It has a name of its own: columns are written without a database.
    is_aliased: bool,
    /// Names of its columns, and whether a bare name passes them over, as the second one of a USING column.
    columns: Vec<(String, bool)>,
    /// Those that `*` does not stand for.
    invisible: Vec<usize>,
}

/// A column of FROM.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    table: usize,
    column: usize,
}

/// An item of the select list, by its name.
struct Alias {
    /// As it was named.
    name: String,
    /// As it is written.
    written: ColumnName,
}

impl Block {
    fn append(&mut self, other: Block) {
        let offset = self.tables.len();
        let moved = |place: Place| Place { table: place.table + offset, ..place };
        self.star.extend(other.star.into_iter().map(moved));
        self.tables.extend(other.tables);
    }

    fn of_table(table: Table) -> Block {
        let star = table.shown().into_iter().map(|column| Place { table: 0, column }).collect();
        Block { tables: vec![table], star, ..Block::default() }
    }

    /// The column of this name; the rules of `binder::Scope::find`.
    fn find(&self, name: &ColumnName) -> Option<Place> {
        let mut places = self.tables.iter().enumerate().flat_map(|(place, table)| {
            let fits = name.table.as_ref().is_none_or(|named| *named == table.name)
                && (name.database.is_none() || name.database == table.database);
            let columns = table.columns.iter().enumerate().filter(move |_| fits);
            columns.map(move |(column, known)| (Place { table: place, column }, known))
        });
        let found = places.find(|(_, (column, is_hidden))| {
            column.eq_ignore_ascii_case(&name.column) && !(*is_hidden && name.table.is_none())
        });
        found.map(|(place, _)| place)
    }

    fn name_of(&self, place: Place) -> &str {
        &self.tables[place.table].columns[place.column].0
    }

    /// A column as it is written.
    fn written(&self, place: Place) -> ColumnName {
        let table = &self.tables[place.table];
        let database = table.database.clone().filter(|_| !table.is_aliased);
        let column = self.name_of(place).to_string();
        ColumnName { database, table: Some(table.name.clone()), column }
    }

    fn alias(&self, name: &ColumnName) -> Option<&ColumnName> {
        let bare = name.table.is_none();
        let found = |alias: &&Alias| bare && alias.name.eq_ignore_ascii_case(&name.column);
        self.aliases.iter().find(found).map(|alias| &alias.written)
    }

    /// What a name is written as, if it means something here.
    fn look_up(&self, name: &ColumnName) -> Option<ColumnName> {
        let place = self.find(name);
        if self.aliases_first
            && !place.is_some_and(|place| self.grouped.contains(&place))
            && let Some(alias) = self.alias(name)
        {
            return Some(alias.clone());
        }
        match place {
            Some(place) => Some(self.written(place)),
            None => self.alias(name).cloned(),
        }
    }

    /// The condition that USING these names says; of each pair only one column stays visible.
    fn using(&mut self, left_tables: usize, names: &[String], keep_right: bool) -> Result<Expr> {
        let mut condition: Option<Expr> = None;
        let (mut shared, mut dropped) = (Vec::new(), Vec::new());
        for name in names {
            let is_left = |place: &Place| place.table < left_tables;
            let left = self.visible(name, is_left)?;
            let right = self.visible(name, |place| !is_left(place))?;
            let equal = binary(
                BinaryOp::Equal,
                Expr::new(ExprKind::Column(self.written(left))),
                Expr::new(ExprKind::Column(self.written(right))),
            );
            condition = Some(match condition {
                None => equal,
                Some(before) => binary(BinaryOp::And, before, equal),
            });
            let (kept, hidden) = if keep_right { (right, left) } else { (left, right) };
            self.tables[hidden.table].columns[hidden.column].1 = true;
            shared.push((left, kept));
            dropped.extend([left, right]);
        }
        shared.sort_unstable();
        let rest = self.star.iter().copied().filter(|place| !dropped.contains(place));
        self.star = shared.iter().map(|(_, kept)| *kept).chain(rest).collect();
        condition.ok_or_else(|| Error::internal("USING without a column"))
    }

    fn visible(&self, name: &str, accepts: impl Fn(&Place) -> bool) -> Result<Place> {
        let mut places = self.tables.iter().enumerate().flat_map(|(table, known)| {
            let columns = known.columns.iter().enumerate();
            columns.map(move |(column, known)| (Place { table, column }, known))
        });
        let found = places.find(|(place, (column, is_hidden))| {
            accepts(place) && !is_hidden && column.eq_ignore_ascii_case(name)
        });
        let missing = || Error::unknown_column(name, "from clause");
        found.map(|(place, _)| place).ok_or_else(missing)
    }
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::new(ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) })
}

impl Names<'_> {
    /// Works inside of a query block.
    fn within<T>(
        &mut self,
        block: Block,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Block)> {
        self.blocks.push(block);
        let result = work(self);
        let block = self.blocks.pop().unwrap_or_default();
        Ok((result?, block))
    }

    /// Resolves a query; the names of its columns.
    fn query(&mut self, query: &mut Query, naming: Naming) -> Result<Vec<String>> {
        if !query.locks.is_empty() {
            return Err(Error::not_supported(
                "FOR UPDATE and FOR SHARE in a view: say it in the SELECT that reads the view",
            ));
        }
        if query.into.is_some() {
            return Err(Error::view_select_clause("INTO"));
        }
        let mut limits =
            query.limit.iter().flat_map(|limit| limit.offset.iter().chain([&limit.count]));
        if limits.any(|number| matches!(number.kind, ExprKind::Param(_))) {
            return Err(Error::view_select_variable());
        }
        let known = self.commons.len();
        if let Some(with) = &mut query.with {
            self.with(with)?;
        }
        select_all(&mut query.body);
        let columns = match &mut query.body {
            QueryBody::Select(select) => self.select(select, &mut query.order_by, naming)?,
            body => {
                let columns = self.body(body, naming)?;
                order_result(&mut query.order_by, &columns);
                columns
            }
        };
        self.commons.truncate(known);
        Ok(columns)
    }

    fn with(&mut self, with: &mut With) -> Result<()> {
        for table in &mut with.tables {
            let known = self.commons.len();
            if with.recursive {
                let mut columns = table.columns.clone();
                if columns.is_empty() {
                    // The first part says them, and does not name the query itself.
                    columns = self.query(&mut first_part(&table.query), Naming::All)?;
                }
                self.commons.push((table.name.clone(), columns));
            }
            let columns = self.query(&mut table.query, Naming::All)?;
            self.commons.truncate(known);
            let columns = if table.columns.is_empty() { columns } else { table.columns.clone() };
            self.commons.push((table.name.clone(), columns));
        }
        Ok(())
    }

    fn body(&mut self, body: &mut QueryBody, naming: Naming) -> Result<Vec<String>> {
        select_all(body);
        match body {
            QueryBody::Select(select) => self.select(select, &mut [], naming),
            QueryBody::Query(query) => self.query(query, naming),
            QueryBody::SetOperation { left, right, .. } => {
                let columns = self.body(left, naming)?;
                self.body(right, naming)?;
                Ok(columns)
            }
            QueryBody::Values(rows) => {
                let width = rows.first().map_or(0, Vec::len);
                self.within(Block::default(), |names| {
                    rows.iter_mut().flatten().try_for_each(|value| names.expr(value))
                })?;
                Ok((0..width).map(|column| format!("column_{column}")).collect())
            }
            QueryBody::Table(_) => Err(Error::internal("TABLE is a SELECT by now")),
        }
    }

    fn select(
        &mut self,
        select: &mut Select,
        order_by: &mut [OrderItem],
        naming: Naming,
    ) -> Result<Vec<String>> {
        let mut block = Block::default();
        for table in &mut select.from {
            block = self.beside(block, table)?.0;
        }
        let (columns, _) = self.within(block, |names| names.clauses(select, order_by, naming))?;
        Ok(columns)
    }

    fn clauses(
        &mut self,
        select: &mut Select,
        order_by: &mut [OrderItem],
        naming: Naming,
    ) -> Result<Vec<String>> {
        if let Some(filter) = &mut select.filter {
            self.expr(filter)?;
        }
        let is_named =
            !order_by.is_empty() || !select.group_by.is_empty() || select.having.is_some();
        let columns = self.select_list(&mut select.items, naming, is_named)?;
        let items = select.items.clone();
        for item in &mut select.group_by {
            match ordinal(&item.expr, &items) {
                Some(expr) => item.expr = expr,
                None => self.expr(&mut item.expr)?,
            }
        }
        for (_, spec) in &mut select.windows {
            self.window_spec(spec)?;
        }
        if let Some(having) = &mut select.having {
            let block = self.blocks.last_mut().ok_or_else(no_block)?;
            let named = select.group_by.iter().filter_map(|item| match &item.expr.kind {
                ExprKind::Column(name) => block.find(name),
                _ => None,
            });
            block.grouped = named.collect();
            block.aliases_first = true;
            self.expr(having)?;
            self.blocks.last_mut().ok_or_else(no_block)?.aliases_first = false;
        }
        for item in order_by {
            if let Some(expr) = ordinal(&item.expr, &items) {
                item.expr = expr;
                continue;
            }
            // A bare name means a select item first.
            let block = self.blocks.last().ok_or_else(no_block)?;
            let alias = match &item.expr.kind {
                ExprKind::Column(name) => block.alias(name).cloned(),
                _ => None,
            };
            match alias {
                Some(written) => item.expr.kind = ExprKind::Column(written),
                None => self.expr(&mut item.expr)?,
            }
        }
        Ok(columns)
    }

    /// The select list: wildcards written out, items named. `is_named`: other clauses may name its aliases.
    fn select_list(
        &mut self,
        items: &mut Vec<SelectItem>,
        naming: Naming,
        is_named: bool,
    ) -> Result<Vec<String>> {
        let (mut written, mut columns) = (Vec::with_capacity(items.len()), Vec::new());
        for item in std::mem::take(items) {
            let block = self.blocks.last().ok_or_else(no_block)?;
            let places: Vec<Place> = match &item {
                SelectItem::Wildcard => block.star.clone(),
                SelectItem::TableWildcard(table) => block.table_star(table),
                SelectItem::Expr { .. } => Vec::new(),
            };
            for place in places {
                let block = self.blocks.last().ok_or_else(no_block)?;
                let column = block.name_of(place).to_string();
                written.push(SelectItem::Expr {
                    expr: Expr::new(ExprKind::Column(block.written(place))),
                    alias: (naming == Naming::All).then(|| column.clone()),
                    text: SourceText::default(),
                });
                columns.push(column);
            }
            let own = item.name();
            let SelectItem::Expr { mut expr, alias, .. } = item else { continue };
            let is_column = matches!(expr.kind, ExprKind::Column(_));
            let mut name = own.unwrap_or_default();
            let too_long = name.chars().count() > OWN_NAME_CHARS_MAX || name.ends_with(' ');
            if alias.is_none() && !is_column && too_long {
                name = format!("Name_exp_{}", columns.len() + 1);
            }
            match &mut expr.kind {
                ExprKind::Subquery(query) if alias.is_some() => {
                    self.query(query, Naming::All)?;
                }
                _ => self.expr(&mut expr)?,
            }
            let has_alias = match naming {
                Naming::All => true,
                Naming::Named => alias.is_some() && is_named,
            };
            let seen = match (&expr.kind, alias) {
                (ExprKind::Column(column), None) => column.clone(),
                _ => ColumnName::bare(name.clone()),
            };
            let known = Alias { name: name.clone(), written: seen };
            self.blocks.last_mut().ok_or_else(no_block)?.aliases.push(known);
            let alias = has_alias.then(|| name.clone());
            written.push(SelectItem::Expr { expr, alias, text: SourceText::default() });
            columns.push(name);
        }
        *items = written;
        Ok(columns)
    }

    /// A part of FROM behind what stands before it, which a lateral derived table reads; and how many tables stand before it.
    fn beside(&mut self, before: Block, table: &mut TableRef) -> Result<(Block, usize)> {
        let count = before.tables.len();
        let (next, mut block) = match table {
            TableRef::Derived { lateral: true, .. } => {
                self.within(before, |names| names.table_ref(table))?
            }
            table => (self.table_ref(table)?, before),
        };
        block.append(next);
        Ok((block, count))
    }

    fn table_ref(&mut self, table: &mut TableRef) -> Result<Block> {
        match table {
            TableRef::Table(source) => self.table_source(source).map(Block::of_table),
            // A lateral one finds what stands before it among the blocks.
            TableRef::Derived { query, alias, columns, .. } => {
                let own = self.query(query, Naming::All)?;
                let columns = if columns.is_empty() { own } else { columns.clone() };
                Ok(Block::of_table(Table::unstored(alias, columns)))
            }
            TableRef::Join { kind, left, right, constraint } => {
                if *kind == JoinKind::Right
                    && let TableRef::Derived { lateral: true, alias, .. } = &**right
                {
                    return Err(Error::lateral_join_type(alias));
                }
                let block = self.table_ref(left)?;
                let (mut block, left_tables) = self.beside(block, right)?;
                let is_right = *kind == JoinKind::Right;
                let shared = match &*constraint {
                    JoinConstraint::Using(names) => names.clone(),
                    JoinConstraint::Natural => block.shared(left_tables),
                    JoinConstraint::None | JoinConstraint::On(_) => Vec::new(),
                };
                match constraint {
                    JoinConstraint::On(condition) => {
                        block = self.within(block, |names| names.expr(condition))?.1;
                    }
                    _ if shared.is_empty() => *constraint = JoinConstraint::None,
                    _ => {
                        let condition = block.using(left_tables, &shared, is_right)?;
                        *constraint = JoinConstraint::On(condition);
                    }
                }
                if is_right {
                    *kind = JoinKind::Left;
                    std::mem::swap(left, right);
                }
                Ok(block)
            }
        }
    }

    fn table_source(&mut self, source: &mut TableSource) -> Result<Table> {
        if source.as_of.is_some() {
            return Err(Error::not_supported(
                "AS OF TIMESTAMP in a view: set the time for a whole transaction with SET TRANSACTION READ ONLY AS OF \
                 TIMESTAMP",
            ));
        }
        source.alias = source.alias.take().filter(|alias| *alias != source.name.name);
        let name = source.alias.as_ref().unwrap_or(&source.name.name).clone();
        if source.name.database.is_none() {
            let mut commons = self.commons.iter().rev();
            let common = commons.find(|(common, _)| common.eq_ignore_ascii_case(&source.name.name));
            if let Some((_, columns)) = common {
                return Ok(Table::unstored(&name, columns.clone()));
            }
        }
        let database = source.name.database.as_deref().or(self.database);
        let database = database.ok_or_else(Error::no_database)?.to_string();
        let columns = self.columns_of(&database, &source.name.name)?;
        let stored = self.catalog.table(&database, &source.name.name);
        let stored = stored.into_iter().flat_map(|table| table.visible_columns().enumerate());
        let invisible = stored.filter(|(_, (_, column))| column.invisible);
        let invisible = invisible.map(|(at, _)| at).collect();
        source.name.database = Some(database.clone());
        Ok(Table {
            database: Some(database),
            name,
            is_aliased: source.alias.is_some(),
            columns: columns.into_iter().map(|column| (column, false)).collect(),
            invisible,
        })
    }

    fn columns_of(&self, database: &str, name: &str) -> Result<Vec<String>> {
        if let Some(table) = self.catalog.table(database, name) {
            return Ok(table.visible_columns().map(|(_, column)| column.name.clone()).collect());
        }
        if let Some(view) = self.catalog.view(database, name) {
            return Ok(view.columns.clone());
        }
        match self.tables.table(database, name)? {
            Some(rows) => Ok(rows.columns.into_iter().map(|(column, _)| column).collect()),
            None => Err(Error::no_such_table(format!("{database}.{name}"))),
        }
    }

    fn expr(&mut self, expr: &mut Expr) -> Result<()> {
        let mut failed = None;
        visit(expr, &mut |part| {
            if failed.is_some() {
                return true;
            }
            self.part(part).unwrap_or_else(|error| {
                failed = Some(error);
                true
            })
        });
        failed.map_or(Ok(()), Err)
    }

    /// Resolves what a node says itself; whether its parts are done, too.
    fn part(&mut self, part: &mut Expr) -> Result<bool> {
        match &mut part.kind {
            ExprKind::Column(name) => {
                *name = self.column(name)?;
                Ok(true)
            }
            ExprKind::UserVariable(_)
            | ExprKind::SystemVariable { .. }
            | ExprKind::Assign { .. }
            | ExprKind::Param(_) => Err(Error::view_select_variable()),
            ExprKind::InSubquery { query, .. } => {
                self.query(query, Naming::Named)?;
                Ok(false)
            }
            ExprKind::Subquery(query) => {
                self.query(query, Naming::Named)?;
                Ok(true)
            }
            ExprKind::Exists(query) => {
                select_one(query);
                self.query(query, Naming::Named)?;
                Ok(true)
            }
            ExprKind::Quantified { left, query, .. } => {
                self.expr(left)?;
                self.query(query, Naming::Named)?;
                Ok(true)
            }
            ExprKind::Aggregate(aggregate) => {
                let order = aggregate.order_by.iter_mut().map(|item| &mut item.expr);
                aggregate.args.iter_mut().chain(order).try_for_each(|arg| self.expr(arg))?;
                Ok(true)
            }
            ExprKind::Window { function, over } => {
                self.expr(function)?;
                if let Over::Spec(spec) = over {
                    self.window_spec(spec)?;
                }
                Ok(true)
            }
            ExprKind::Grouping(args) => {
                args.iter_mut().try_for_each(|arg| self.expr(arg))?;
                Ok(true)
            }
            ExprKind::Default(Some(name)) | ExprKind::Values(name) => {
                *name = self.column(name)?;
                Ok(true)
            }
            ExprKind::JsonPath { column, .. } => {
                *column = self.column(column)?;
                Ok(true)
            }
            ExprKind::Match { columns, against, .. } => {
                for column in columns {
                    *column = self.column(column)?;
                }
                self.expr(against)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn window_spec(&mut self, spec: &mut WindowSpec) -> Result<()> {
        let order = spec.order_by.iter_mut().map(|item| &mut item.expr);
        spec.partition_by.iter_mut().chain(order).try_for_each(|part| self.expr(part))
    }

    /// A column by the block that knows it, from the inside out.
    fn column(&self, name: &ColumnName) -> Result<ColumnName> {
        let found = self.blocks.iter().rev().find_map(|block| block.look_up(name));
        found.ok_or_else(|| Error::unknown_column(name, "field list"))
    }
}

impl Table {
    /// A table that is no table of the catalog.
    fn unstored(name: &str, columns: Vec<String>) -> Table {
        Table {
            database: None,
            name: name.to_string(),
            is_aliased: true,
            columns: columns.into_iter().map(|column| (column, false)).collect(),
            invisible: Vec::new(),
        }
    }

    /// The columns that `*` stands for.
    fn shown(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|column| !self.invisible.contains(column)).collect()
    }
}

impl Block {
    /// What `table.*` stands for.
    fn table_star(&self, name: &TableName) -> Vec<Place> {
        let fits = |table: &Table| {
            table.name == name.name && (name.database.is_none() || name.database == table.database)
        };
        let tables = self.tables.iter().enumerate().filter(|(_, table)| fits(table));
        let columns = |(place, table): (usize, &Table)| {
            table.shown().into_iter().map(move |column| Place { table: place, column })
        };
        tables.flat_map(columns).collect()
    }

    /// The names that both sides of a NATURAL join have.
    fn shared(&self, left_tables: usize) -> Vec<String> {
        let (left, right): (Vec<Place>, Vec<Place>) =
            self.star.iter().copied().partition(|place| place.table < left_tables);
        let names = left.into_iter().map(|place| self.name_of(place).to_string());
        let is_shared = |name: &String| {
            right.iter().any(|place| self.name_of(*place).eq_ignore_ascii_case(name))
        };
        names.filter(is_shared).collect()
    }
}

fn no_block() -> Error {
    Error::internal("a clause outside of every query block")
}

/// `TABLE t` as the SELECT that it stands for.
fn select_all(body: &mut QueryBody) {
    let QueryBody::Table(name) = body else { return };
    let source = TableSource {
        name: name.clone(),
        partitions: Vec::new(),
        alias: None,
        as_of: None,
        hints: Vec::new(),
        span: Span::default(),
    };
    *body = QueryBody::Select(Box::new(Select {
        distinct: false,
        options: SelectOptions::default(),
        items: vec![SelectItem::Wildcard],
        from: vec![TableRef::Table(Box::new(source))],
        filter: None,
        group_by: Vec::new(),
        rollup: false,
        having: None,
        windows: Vec::new(),
        hints: String::new(),
    }));
}

/// `EXISTS (SELECT * …)` looks at no column.
fn select_one(query: &mut Query) {
    if let QueryBody::Select(select) = &mut query.body
        && select.items == [SelectItem::Wildcard]
        && !select.distinct
    {
        let one = Expr::new(ExprKind::Literal(Literal::Integer(1)));
        let text = SourceText::default();
        select.items = vec![SelectItem::Expr { expr: one, alias: None, text }];
    }
}

/// The part of a recursive query that does not name it.
fn first_part(query: &Query) -> Query {
    let mut body = &query.body;
    while let QueryBody::SetOperation { left, .. } = body {
        body = left;
    }
    Query { body: body.clone(), order_by: Vec::new(), limit: None, ..query.clone() }
}

/// The item that `ORDER BY 2` means.
fn ordinal(expr: &Expr, items: &[SelectItem]) -> Option<Expr> {
    let ExprKind::Literal(Literal::Integer(number)) = &expr.kind else { return None };
    let place = usize::try_from(*number).ok()?.checked_sub(1)?;
    match items.get(place)? {
        // A number would be a place again.
        SelectItem::Expr { expr, alias, .. } if matches!(expr.kind, ExprKind::Literal(_)) => {
            let name = ColumnName::bare(alias.clone()?);
            Some(Expr::new(ExprKind::Column(name)))
        }
        SelectItem::Expr { expr, .. } => Some(expr.clone()),
        SelectItem::Wildcard | SelectItem::TableWildcard(_) => None,
    }
}

/// ORDER BY over the columns of a set operation: places become names.
fn order_result(order_by: &mut [OrderItem], columns: &[String]) {
    for item in order_by {
        let ExprKind::Literal(Literal::Integer(number)) = &item.expr.kind else { continue };
        let place = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1));
        if let Some(name) = place.and_then(|place| columns.get(place)) {
            item.expr.kind = ExprKind::Column(ColumnName::bare(name.clone()));
        }
    }
}
