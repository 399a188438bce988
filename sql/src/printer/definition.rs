//! Definitions of databases, tables and indexes, as text.

use super::Printer;
use crate::ast::{
    Check, ColumnDefinition, ColumnPlace, CreateTable, DataType, DatabaseOptions, DefaultValue,
    DistributionItem, DistributionMethod, DistributionValues, ForeignKey, KeyColumn, KeyDefinition,
    KeyKind, KeyTarget, LoadDuplicates, Reference, ReferenceAction, ShardingClause, Statement,
    TableChange, TableOptions,
};

impl Printer {
    pub(super) fn definition(&mut self, statement: &Statement) {
        match statement {
            Statement::CreateDatabase(create) => {
                self.text("CREATE DATABASE ");
                self.when(create.if_not_exists, "IF NOT EXISTS ");
                self.name(&create.name);
                self.database_options(&create.options);
            }
            Statement::AlterDatabase(alter) => {
                self.text("ALTER DATABASE");
                self.optional(" ", &alter.name, |printer, name| printer.name(name));
                self.database_options(&alter.options);
            }
            Statement::DropDatabase { if_exists, name } => {
                self.text("DROP DATABASE ");
                self.when(*if_exists, "IF EXISTS ");
                self.name(name);
            }
            Statement::Use { database } => {
                self.text("USE ");
                self.name(database);
            }
            Statement::CreateTable(create) => self.create_table(create),
            Statement::CreateTableLike(create) => {
                self.table_head(create.temporary, create.if_not_exists);
                self.table(&create.name);
                self.text(" LIKE ");
                self.table(&create.like);
            }
            Statement::AlterTable(alter) => {
                self.text("ALTER TABLE ");
                self.table(&alter.table);
                self.when(!alter.changes.is_empty(), " ");
                self.list(&alter.changes, Self::table_change);
            }
            Statement::DropTable(drop) => {
                self.text("DROP ");
                self.when(drop.temporary, "TEMPORARY ");
                self.text("TABLE ");
                self.when(drop.if_exists, "IF EXISTS ");
                self.list(&drop.names, Self::table);
            }
            Statement::TruncateTable { name } => {
                self.text("TRUNCATE TABLE ");
                self.table(name);
            }
            Statement::RenameTable(pairs) => {
                self.text("RENAME TABLE ");
                self.list(pairs, |printer, (old, new)| {
                    printer.table(old);
                    printer.text(" TO ");
                    printer.table(new);
                });
            }
            Statement::CreateIndex(create) => {
                self.text("CREATE ");
                self.text(match create.key.kind {
                    KeyKind::Unique => "UNIQUE ",
                    KeyKind::Fulltext => "FULLTEXT ",
                    KeyKind::Spatial => "SPATIAL ",
                    KeyKind::Primary | KeyKind::Plain => "",
                });
                self.text("INDEX ");
                self.name(create.key.name.as_deref().unwrap_or(""));
                self.text(" ON ");
                self.table(&create.table);
                self.text(" ");
                self.key_columns(&create.key);
                self.index_options(&create.key);
                self.modifiers(&create.modifiers);
            }
            Statement::DropIndex(drop) => {
                self.text("DROP INDEX ");
                self.name(&drop.name);
                self.text(" ON ");
                self.table(&drop.table);
                self.modifiers(&drop.modifiers);
            }
            // `Printer::statement` sends only the ones above.
            _ => {}
        }
    }

    fn modifiers(&mut self, modifiers: &[(String, String)]) {
        for (name, value) in modifiers {
            self.value(format_args!(" {name} = {value}"));
        }
    }

    fn database_options(&mut self, options: &DatabaseOptions) {
        self.optional(" CHARACTER SET ", &options.charset, |printer, name| printer.word(name));
        self.optional(" COLLATE ", &options.collation, |printer, name| printer.word(name));
        self.optional_string(" ENCRYPTION ", &options.encryption);
        self.optional(" READ ONLY ", &options.read_only, |printer, read_only| {
            printer.text(if *read_only { "1" } else { "0" });
        });
        self.optional(" ", &options.placement, |printer, policy| printer.placement_policy(policy));
    }

    fn table_head(&mut self, temporary: bool, if_not_exists: bool) {
        self.text("CREATE ");
        self.when(temporary, "TEMPORARY ");
        self.text("TABLE ");
        self.when(if_not_exists, "IF NOT EXISTS ");
    }

    fn create_table(&mut self, create: &CreateTable) {
        self.table_head(create.temporary, create.if_not_exists);
        self.table(&create.name);
        let parts = create.columns.len()
            + create.keys.len()
            + create.foreign_keys.len()
            + create.checks.len();
        if parts > 0 {
            self.text(" (");
            self.list(&create.columns, Self::column_definition);
            for key in &create.keys {
                self.separator();
                self.key(key);
            }
            for key in &create.foreign_keys {
                self.separator();
                self.foreign_key(key);
            }
            for check in &create.checks {
                self.separator();
                self.check(check);
            }
            self.text(")");
        }
        let before = self.out.len();
        self.table_options(&create.options);
        if self.out.len() > before {
            self.out.insert(before, ' ');
        }
        if let Some(partition_by) = &create.partition_by {
            self.text(" ");
            self.partition_by(partition_by);
        }
        if let Some(sharding) = &create.sharding {
            self.text(" ");
            self.sharding(sharding);
        }
        if let Some(query) = &create.query {
            self.text(match query.duplicates {
                LoadDuplicates::Default => " AS ",
                LoadDuplicates::Replace => " REPLACE AS ",
                LoadDuplicates::Ignore => " IGNORE AS ",
            });
            self.query(&query.query);
        }
    }

    /// A comma, unless a parenthesis was just opened.
    fn separator(&mut self) {
        let first = self.out.ends_with('(');
        self.when(!first, ", ");
    }

    fn sharding(&mut self, sharding: &ShardingClause) {
        match sharding {
            ShardingClause::ShardKey(column) => {
                self.text("shardkey=");
                self.name(column);
            }
            ShardingClause::Broadcast { word: true } => self.text("BROADCAST"),
            ShardingClause::Broadcast { word: false } => self.text("shardkey=noshardkey_allset"),
            ShardingClause::Single => self.text("shardkey=noshardkey"),
            ShardingClause::DistributedBy { method, columns, items } => {
                self.text(match method {
                    DistributionMethod::Hash => "TDSQL_DISTRIBUTED BY HASH",
                    DistributionMethod::Range => "TDSQL_DISTRIBUTED BY RANGE",
                    DistributionMethod::List => "TDSQL_DISTRIBUTED BY LIST",
                });
                self.names(columns);
                if !items.is_empty() {
                    self.text(" ");
                    self.parenthesised(items, Self::distribution_item);
                }
            }
            ShardingClause::ByRange { columns, bounds } => {
                self.text("SHARD BY RANGE ");
                self.names(columns);
                if !bounds.is_empty() {
                    self.text(" SPLIT AT ");
                    self.parenthesised(bounds, Self::expr);
                }
            }
        }
    }

    fn distribution_item(&mut self, item: &DistributionItem) {
        self.word(&item.set);
        match &item.values {
            DistributionValues::LessThan(value) => {
                self.text(" VALUES LESS THAN (");
                self.expr(value);
                self.text(")");
            }
            DistributionValues::Maxvalue => self.text(" VALUES LESS THAN (MAXVALUE)"),
            DistributionValues::In(values) => {
                self.text(" VALUES IN ");
                self.parenthesised(values, Self::expr);
            }
        }
    }

    fn table_options(&mut self, options: &TableOptions) {
        let mut parts: Vec<String> = Vec::new();
        let mut part = |print: &dyn Fn(&mut Printer)| {
            let mut printer = Printer::default();
            print(&mut printer);
            parts.push(printer.out);
        };
        if let Some(engine) = &options.engine {
            part(&|p| {
                p.text("ENGINE=");
                p.word(engine);
            });
        }
        if let Some(value) = options.auto_increment {
            part(&|p| p.value(format_args!("AUTO_INCREMENT={value}")));
        }
        match options.retention_s {
            None => {}
            Some(0) => part(&|p| p.text("RETENTION_SECONDS=DEFAULT")),
            Some(value) => part(&|p| p.value(format_args!("RETENTION_SECONDS={value}"))),
        }
        if let Some(value) = options.auto_partition {
            part(&|p| p.value(format_args!("AUTO_PARTITION={value}")));
        }
        if let Some(policy) = &options.placement {
            part(&|p| p.placement_policy(policy));
        }
        if let Some(charset) = &options.charset {
            part(&|p| {
                p.text("DEFAULT CHARSET=");
                p.word(charset);
            });
        }
        if let Some(collation) = &options.collation {
            part(&|p| {
                p.text("COLLATE=");
                p.word(collation);
            });
        }
        for option in &options.other {
            part(&|p| {
                p.text(&option.name);
                match (option.quoted, option.value.is_empty()) {
                    (true, _) => {
                        p.text("=");
                        p.string(&option.value);
                    }
                    (false, true) => {}
                    (false, false) => {
                        p.text("=");
                        p.text(&option.value);
                    }
                }
            });
        }
        if let Some(comment) = &options.comment {
            part(&|p| {
                p.text("COMMENT=");
                p.string(comment);
            });
        }
        self.text(&parts.join(" "));
    }

    fn column_definition(&mut self, column: &ColumnDefinition) {
        self.name(&column.name);
        self.text(" ");
        self.data_type(&column.ty);
        if let Some(generated) = &column.generated {
            self.text(" GENERATED ALWAYS AS (");
            self.expr(&generated.expr);
            self.text(if generated.stored { ") STORED" } else { ") VIRTUAL" });
        }
        self.text(match column.nullable {
            None => "",
            Some(true) => " NULL",
            Some(false) => " NOT NULL",
        });
        self.optional(" DEFAULT ", &column.default, Self::default_value);
        if let Some(digits) = column.on_update_now {
            self.text(" ON UPDATE ");
            self.default_value(&DefaultValue::Now(digits));
        }
        self.when(column.auto_increment, " AUTO_INCREMENT");
        self.when(column.unique, " UNIQUE KEY");
        self.when(column.primary_key, " PRIMARY KEY");
        self.optional_string(" COMMENT ", &column.comment);
        self.when(column.invisible, " INVISIBLE");
        for check in &column.checks {
            self.text(" ");
            self.check(check);
        }
        self.optional(" ", &column.references, Self::reference);
    }

    pub(super) fn data_type(&mut self, ty: &DataType) {
        self.text(ty.kind.name());
        if !ty.members.is_empty() {
            self.parenthesised(&ty.members, |printer, member| printer.string(member));
        }
        match (ty.length, ty.decimals) {
            (Some(length), Some(decimals)) => self.value(format_args!("({length},{decimals})")),
            (length, _) => self.length(length),
        }
        self.when(ty.unsigned, " UNSIGNED");
        self.when(ty.zerofill, " ZEROFILL");
        self.when(ty.binary, " BINARY");
        self.optional(" CHARACTER SET ", &ty.charset, |printer, name| printer.word(name));
        self.optional(" COLLATE ", &ty.collation, |printer, name| printer.word(name));
        if let Some(srid) = ty.srid {
            self.value(format_args!(" SRID {srid}"));
        }
    }

    fn default_value(&mut self, default: &DefaultValue) {
        match default {
            DefaultValue::Literal(literal) => self.expr(literal),
            DefaultValue::Now(digits) => {
                self.text("CURRENT_TIMESTAMP");
                self.length((*digits > 0).then_some(u32::from(*digits)));
            }
            DefaultValue::Expression(expr) => {
                self.text("(");
                self.expr(expr);
                self.text(")");
            }
        }
    }

    fn key(&mut self, key: &KeyDefinition) {
        self.text(match key.kind {
            KeyKind::Primary => "PRIMARY KEY ",
            KeyKind::Unique => "UNIQUE KEY ",
            KeyKind::Plain => "KEY ",
            KeyKind::Fulltext => "FULLTEXT KEY ",
            KeyKind::Spatial => "SPATIAL KEY ",
        });
        if let Some(name) = &key.name {
            self.name(name);
            self.text(" ");
        }
        self.key_columns(key);
        self.index_options(key);
    }

    fn key_columns(&mut self, key: &KeyDefinition) {
        self.parenthesised(&key.columns, Self::key_column);
        if !key.included.is_empty() {
            self.text(" INCLUDE ");
            self.names(&key.included);
        }
    }

    fn key_column(&mut self, column: &KeyColumn) {
        match &column.target {
            KeyTarget::Column(name) => self.name(name),
            KeyTarget::Expression(expr) => {
                self.text("(");
                self.expr(expr);
                self.text(")");
            }
        }
        self.length(column.prefix);
        self.when(column.descending, " DESC");
    }

    fn index_options(&mut self, key: &KeyDefinition) {
        let options = &key.options;
        self.optional(" USING ", &options.using, |printer, using| printer.text(using));
        self.optional(" KEY_BLOCK_SIZE=", &options.key_block_size, |printer, n| printer.value(n));
        self.optional(" WITH PARSER ", &options.parser, |printer, name| printer.name(name));
        self.optional_string(" COMMENT ", &options.comment);
        self.when(options.invisible, " INVISIBLE");
        self.when(key.global, " GLOBAL");
        self.when(key.local, " LOCAL");
    }

    fn foreign_key(&mut self, key: &ForeignKey) {
        if let Some(constraint) = &key.constraint {
            self.text("CONSTRAINT ");
            self.name(constraint);
            self.text(" ");
        }
        self.text("FOREIGN KEY ");
        if let Some(index) = &key.index {
            self.name(index);
            self.text(" ");
        }
        self.names(&key.columns);
        self.text(" ");
        self.reference(&key.reference);
    }

    fn reference(&mut self, reference: &Reference) {
        self.text("REFERENCES ");
        self.table(&reference.table);
        if !reference.columns.is_empty() {
            self.text(" ");
            self.names(&reference.columns);
        }
        self.optional(" MATCH ", &reference.matching, |printer, word| printer.text(word));
        self.optional(" ON DELETE ", &reference.on_delete, Self::reference_action);
        self.optional(" ON UPDATE ", &reference.on_update, Self::reference_action);
    }

    fn reference_action(&mut self, action: &ReferenceAction) {
        self.text(match action {
            ReferenceAction::Restrict => "RESTRICT",
            ReferenceAction::Cascade => "CASCADE",
            ReferenceAction::SetNull => "SET NULL",
            ReferenceAction::NoAction => "NO ACTION",
            ReferenceAction::SetDefault => "SET DEFAULT",
        });
    }

    fn check(&mut self, check: &Check) {
        if let Some(name) = &check.name {
            self.text("CONSTRAINT ");
            self.name(name);
            self.text(" ");
        }
        self.text("CHECK (");
        self.expr(&check.expr);
        self.text(")");
        self.when(!check.enforced, " NOT ENFORCED");
    }

    fn place(&mut self, place: &ColumnPlace) {
        match place {
            ColumnPlace::Unchanged => {}
            ColumnPlace::First => self.text(" FIRST"),
            ColumnPlace::After(column) => {
                self.text(" AFTER ");
                self.name(column);
            }
        }
    }

    fn table_change(&mut self, change: &TableChange) {
        match change {
            TableChange::AddColumn { column, place } => {
                self.text("ADD COLUMN ");
                self.column_definition(column);
                self.place(place);
            }
            TableChange::ModifyColumn { column, place } => {
                self.text("MODIFY COLUMN ");
                self.column_definition(column);
                self.place(place);
            }
            TableChange::ChangeColumn { old, column, place } => {
                self.text("CHANGE COLUMN ");
                self.name(old);
                self.text(" ");
                self.column_definition(column);
                self.place(place);
            }
            TableChange::DropColumn(column) => {
                self.text("DROP COLUMN ");
                self.name(column);
            }
            TableChange::RenameColumn { old, new } => {
                self.text("RENAME COLUMN ");
                self.name(old);
                self.text(" TO ");
                self.name(new);
            }
            TableChange::AlterDefault { column, default } => {
                self.text("ALTER COLUMN ");
                self.name(column);
                match default {
                    Some(default) => {
                        self.text(" SET DEFAULT ");
                        self.default_value(default);
                    }
                    None => self.text(" DROP DEFAULT"),
                }
            }
            TableChange::AddKey(key) => {
                self.text("ADD ");
                self.key(key);
            }
            TableChange::AddForeignKey(key) => {
                self.text("ADD ");
                self.foreign_key(key);
            }
            TableChange::DropForeignKey(name) => {
                self.text("DROP FOREIGN KEY ");
                self.name(name);
            }
            TableChange::AddCheck(check) => {
                self.text("ADD ");
                self.check(check);
            }
            TableChange::DropPrimaryKey => self.text("DROP PRIMARY KEY"),
            TableChange::DropKey(name) => {
                self.text("DROP KEY ");
                self.index_name(name);
            }
            TableChange::DropConstraint(name) => {
                self.text("DROP CONSTRAINT ");
                self.index_name(name);
            }
            TableChange::ConvertTo { charset, collation } => {
                self.text("CONVERT TO CHARACTER SET ");
                self.text(charset.as_deref().unwrap_or("DEFAULT"));
                self.optional(" COLLATE ", collation, |printer, name| printer.text(name));
            }
            TableChange::DropCheck(name) => {
                self.text("DROP CHECK ");
                self.name(name);
            }
            TableChange::AlterCheck { name, enforced } => {
                self.text("ALTER CHECK ");
                self.name(name);
                self.text(if *enforced { " ENFORCED" } else { " NOT ENFORCED" });
            }
            TableChange::RenameKey { old, new } => {
                self.text("RENAME KEY ");
                self.index_name(old);
                self.text(" TO ");
                self.name(new);
            }
            TableChange::RenameTable(name) => {
                self.text("RENAME TO ");
                self.table(name);
            }
            TableChange::Options(options) => self.table_options(options),
            TableChange::Sharding(sharding) => self.sharding(sharding),
            TableChange::EnableKeys(true) => self.text("ENABLE KEYS"),
            TableChange::EnableKeys(false) => self.text("DISABLE KEYS"),
            TableChange::AddPartitions { count, partitions } => {
                self.text("ADD PARTITION ");
                match count {
                    Some(count) => self.value(format_args!("PARTITIONS {count}")),
                    None => self.partition_definitions(partitions),
                }
            }
            TableChange::DropPartitions(names) => {
                self.text("DROP PARTITION ");
                self.list(names, |printer, name| printer.name(name));
            }
            TableChange::TruncatePartitions(names) => {
                self.text("TRUNCATE PARTITION ");
                self.when(names.is_empty(), "ALL");
                self.list(names, |printer, name| printer.name(name));
            }
            TableChange::SplitRange(bounds) => {
                self.text("SPLIT RANGE AT ");
                self.parenthesised(bounds, Self::expr);
            }
            TableChange::MergeRanges(bounds) => {
                self.text("MERGE RANGES AT ");
                self.parenthesised(bounds, Self::expr);
            }
            TableChange::Other(text) => self.text(text),
        }
    }

    fn index_name(&mut self, name: &str) {
        self.name(name);
    }
}
