//! Transactions, SET, SHOW, accounts and administration, as text.

use super::Printer;
use crate::ast::{
    AccessMode, AccountName, AccountSpec, AccountStatement, AdminCheck, ClusterPart, Completion,
    Explain, ExplainTarget, FlushTarget, GrantLevel, GrantObject, IsolationLevel, JobAction, Limit,
    OnSets, PrepareSource, Privilege, PrivilegeName, ProxyListing, RebalanceAction, Secret,
    SetItem, SetValue, ShardingClass, Show, ShowFilter, Statement, VariableScope,
};

impl Printer {
    pub(super) fn session_statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Begin(begin) => {
                self.text("START TRANSACTION");
                self.when(begin.consistent_snapshot, " WITH CONSISTENT SNAPSHOT");
                self.when(begin.consistent_snapshot && begin.access.is_some(), ",");
                self.optional(" ", &begin.access, Self::access);
                self.as_of(&begin.as_of);
            }
            Statement::Commit(completion) => {
                self.text("COMMIT");
                self.completion(completion);
            }
            Statement::Rollback(completion) => {
                self.text("ROLLBACK");
                self.completion(completion);
            }
            Statement::Savepoint(name) => self.named("SAVEPOINT ", name),
            Statement::RollbackTo(name) => self.named("ROLLBACK TO SAVEPOINT ", name),
            Statement::ReleaseSavepoint(name) => self.named("RELEASE SAVEPOINT ", name),
            Statement::Xa(xa) => self.xa(xa),
            Statement::Set(items) => {
                let stands_alone = matches!(items.as_slice(), [SetItem::ResetPersist { .. }]);
                self.when(!stands_alone, "SET ");
                self.list(items, Self::set_item);
            }
            Statement::Show(show) => {
                self.text("SHOW ");
                self.show(show);
            }
            Statement::Describe { table, column } => {
                self.text("DESCRIBE ");
                self.table(table);
                self.optional_string(" ", column);
            }
            Statement::Explain(explain) => self.explain(explain),
            Statement::OnSets(on) => self.on_sets(on),
            Statement::ChecksumCluster => self.text("ADMIN CHECKSUM CLUSTER"),
            Statement::AdminCheck(AdminCheck::Tables(tables)) => {
                self.text("ADMIN CHECK TABLE ");
                self.list(tables, Self::table);
            }
            Statement::AdminCheck(AdminCheck::Index { table, index }) => {
                self.text("ADMIN CHECK INDEX ");
                self.table(table);
                self.named(" ", index);
            }
            Statement::DdlJobs { action, jobs } => {
                self.text(match action {
                    JobAction::Pause => "ADMIN PAUSE DDL JOBS ",
                    JobAction::Resume => "ADMIN RESUME DDL JOBS ",
                    JobAction::Cancel => "ADMIN CANCEL DDL JOBS ",
                });
                self.list(jobs, |printer, job| printer.value(job));
            }
            Statement::Help(word) => {
                self.text("HELP ");
                self.string(word);
            }
            Statement::Prepare { name, from } => {
                self.named("PREPARE ", name);
                self.text(" FROM ");
                match from {
                    PrepareSource::Text(text) => self.string(text),
                    PrepareSource::Variable(name) => self.user_variable(name),
                }
            }
            Statement::Execute { name, using } => {
                self.named("EXECUTE ", name);
                self.when(!using.is_empty(), " USING ");
                self.list(using, |printer, name| printer.user_variable(name));
            }
            Statement::Deallocate(name) => self.named("DEALLOCATE PREPARE ", name),
            Statement::Kill { query_only, id } => {
                self.text(if *query_only { "KILL QUERY " } else { "KILL " });
                self.expr(id);
            }
            Statement::AlterNode { node, action, dry_run } => {
                self.text(&format!("ALTER NODE {node} {}", action.name()));
                self.when(*dry_run, " DRY RUN");
            }
            Statement::TransferLeader { shard, to } => {
                self.text(&format!("ALTER SHARD {shard} TRANSFER LEADER TO {to}"));
            }
            Statement::MoveReplica { shard, from, to } => {
                self.text(&format!("ALTER SHARD {shard} MOVE REPLICA FROM {from} TO {to}"));
            }
            Statement::AlterRebalance(action) => {
                self.text("ALTER REBALANCE ");
                match action {
                    RebalanceAction::Pause => self.text("PAUSE"),
                    RebalanceAction::Resume => self.text("RESUME"),
                    RebalanceAction::Moves(moves) => self.text(&format!("MOVES {moves}")),
                    RebalanceAction::AutoMerge(true) => self.text("AUTO_MERGE ON"),
                    RebalanceAction::AutoMerge(false) => self.text("AUTO_MERGE OFF"),
                }
            }
            Statement::SplitShard { shard, at } => {
                let at = at.map_or(String::new(), |at| format!(" AT SLOT {at}"));
                self.text(&format!("ALTER SHARD {shard} SPLIT{at}"));
            }
            Statement::MergeShard { shard } => self.text(&format!("ALTER SHARD {shard} MERGE")),
            Statement::Account(account) => self.account_statement(account),
            Statement::Grant(grant) => {
                self.text("GRANT ");
                self.list(&grant.privileges, Self::privilege);
                self.optional(" ON ", &grant.on, Self::grant_object);
                self.text(" TO ");
                self.list(&grant.to, Self::account_spec);
                self.when(
                    grant.grant_option,
                    if grant.on.is_some() { " WITH GRANT OPTION" } else { " WITH ADMIN OPTION" },
                );
            }
            Statement::Revoke(revoke) => {
                self.text("REVOKE ");
                self.when(revoke.if_exists, "IF EXISTS ");
                self.list(&revoke.privileges, Self::privilege);
                self.optional(" ON ", &revoke.on, Self::grant_object);
                self.text(" FROM ");
                self.list(&revoke.from, Self::account);
                self.when(revoke.ignore_unknown_user, " IGNORE UNKNOWN USER");
            }
            Statement::Flush(flush) => {
                self.text(if flush.local { "FLUSH LOCAL " } else { "FLUSH " });
                match &flush.what {
                    FlushTarget::Options(options) => self.text(&options.join(", ")),
                    FlushTarget::Tables { tables, read_lock, for_export } => {
                        self.text("TABLES");
                        self.when(!tables.is_empty(), " ");
                        self.list(tables, Self::table);
                        self.when(*read_lock, " WITH READ LOCK");
                        self.when(*for_export, " FOR EXPORT");
                    }
                }
            }
            Statement::LockTables(locks) => {
                self.text("LOCK TABLES ");
                self.list(locks, |printer, lock| {
                    printer.table(&lock.table);
                    printer.optional(" AS ", &lock.alias, |printer, alias| printer.name(alias));
                    printer.text(if lock.write { " WRITE" } else { " READ" });
                    printer.when(lock.local, " LOCAL");
                });
            }
            Statement::UnlockTables => self.text("UNLOCK TABLES"),
            Statement::TableAdministration(administration) => {
                self.text(administration.action.name());
                self.when(administration.local, " LOCAL");
                self.text(" TABLE ");
                self.list(&administration.tables, Self::table);
                self.trailing(&administration.options);
            }
            // `Printer::statement` prints the other statements itself.
            _ => {}
        }
    }

    fn named(&mut self, before: &str, name: &str) {
        self.text(before);
        self.name(name);
    }

    /// A blank and `text`, when there is text.
    fn trailing(&mut self, text: &str) {
        self.when(!text.is_empty(), " ");
        self.text(text);
    }

    fn access(&mut self, access: &AccessMode) {
        self.text(match access {
            AccessMode::ReadWrite => "READ WRITE",
            AccessMode::ReadOnly => "READ ONLY",
        });
    }

    fn completion(&mut self, completion: &Completion) {
        self.text(match completion.chain {
            None => "",
            Some(true) => " AND CHAIN",
            Some(false) => " AND NO CHAIN",
        });
        self.text(match completion.release {
            None => "",
            Some(true) => " RELEASE",
            Some(false) => " NO RELEASE",
        });
    }

    /// The sign and the value of an assignment.
    fn set_value(&mut self, value: &SetValue) {
        self.text(" = ");
        match value {
            SetValue::Default => self.text("DEFAULT"),
            SetValue::Word(word) if is_value_word(word) => self.text(word),
            SetValue::Word(word) => self.word(word),
            SetValue::Expr(expr) => self.expr(expr),
        }
    }

    fn set_item(&mut self, item: &SetItem) {
        match item {
            SetItem::System { scope, name, value } => {
                // `@@` keeps the scope of one item from the next.
                self.system_variable(*scope, name);
                self.set_value(value);
            }
            SetItem::Named { name, value } => {
                for (place, part) in name.split('.').enumerate() {
                    self.when(place > 0, ".");
                    self.name(part);
                }
                self.set_value(value);
            }
            SetItem::User { name, value } => {
                self.user_variable(name);
                self.text(" = ");
                self.expr(value);
            }
            SetItem::Names { charset, collation } => {
                self.text("NAMES ");
                match charset {
                    Some(charset) => self.string(charset),
                    None => self.text("DEFAULT"),
                }
                self.optional_string(" COLLATE ", collation);
            }
            SetItem::CharacterSet(charset) => {
                self.text("CHARACTER SET ");
                match charset {
                    Some(charset) => self.string(charset),
                    None => self.text("DEFAULT"),
                }
            }
            SetItem::Transaction { scope, isolation, access, as_of } => {
                self.scope(*scope);
                self.text("TRANSACTION ");
                self.optional("ISOLATION LEVEL ", isolation, |printer, isolation| {
                    printer.text(match isolation {
                        IsolationLevel::ReadUncommitted => "READ UNCOMMITTED",
                        IsolationLevel::ReadCommitted => "READ COMMITTED",
                        IsolationLevel::RepeatableRead => "REPEATABLE READ",
                        IsolationLevel::Serializable => "SERIALIZABLE",
                    });
                });
                self.when(isolation.is_some() && access.is_some(), ", ");
                self.optional("", access, Self::access);
                self.as_of(as_of);
            }
            SetItem::Password { account, password } => {
                self.text("PASSWORD");
                self.optional(" FOR ", account, Self::account);
                self.text(" = ");
                self.string(password);
            }
            SetItem::ResetPersist { if_exists, name } => {
                self.text("RESET PERSIST");
                self.when(*if_exists, " IF EXISTS");
                if let Some(name) = name {
                    self.named(" ", name);
                }
            }
            SetItem::Other(text) => self.text(text),
        }
    }

    fn scope(&mut self, scope: Option<VariableScope>) {
        self.text(match scope {
            None => "",
            Some(VariableScope::Global) => "GLOBAL ",
            Some(VariableScope::Session) => "SESSION ",
            Some(VariableScope::Persist) => "PERSIST ",
            Some(VariableScope::PersistOnly) => "PERSIST_ONLY ",
        });
    }

    fn filter(&mut self, filter: &Option<ShowFilter>) {
        match filter {
            None => {}
            Some(ShowFilter::Like(pattern)) => {
                self.text(" LIKE ");
                self.string(pattern);
            }
            Some(ShowFilter::Where(expr)) => {
                self.text(" WHERE ");
                self.expr(expr);
            }
        }
    }

    /// The words, a database and a filter.
    fn listing(&mut self, words: &str, database: &Option<String>, filter: &Option<ShowFilter>) {
        self.text(words);
        self.optional(" FROM ", database, |printer, name| printer.name(name));
        self.filter(filter);
    }

    fn show(&mut self, show: &Show) {
        match show {
            Show::Databases(filter) => self.listing("DATABASES", &None, filter),
            Show::Tables { extended, full, database, filter } => {
                self.when(*extended, "EXTENDED ");
                self.when(*full, "FULL ");
                self.listing("TABLES", database, filter);
            }
            Show::OpenTables { database, filter } => self.listing("OPEN TABLES", database, filter),
            Show::TableStatus { database, filter } => {
                self.listing("TABLE STATUS", database, filter);
            }
            Show::Triggers { database, filter } => self.listing("TRIGGERS", database, filter),
            Show::Events { database, filter } => self.listing("EVENTS", database, filter),
            Show::Columns { extended, full, table, filter } => {
                self.when(*extended, "EXTENDED ");
                self.when(*full, "FULL ");
                self.text("COLUMNS FROM ");
                self.table(table);
                self.filter(filter);
            }
            Show::Index { extended, table, filter } => {
                self.when(*extended, "EXTENDED ");
                self.text("INDEX FROM ");
                self.table(table);
                self.optional(" WHERE ", filter, Self::expr);
            }
            Show::CreateTable(table) => {
                self.text("CREATE TABLE ");
                self.table(table);
            }
            Show::CreatePlacementPolicy(name) => {
                self.text("CREATE PLACEMENT POLICY ");
                self.name(name);
            }
            Show::Placement(target) => self.placement_target(target),
            Show::CreateSequence(sequence) => {
                self.text("CREATE SEQUENCE ");
                self.table(sequence);
            }
            Show::CreateDatabase { if_not_exists, name } => {
                self.text("CREATE DATABASE ");
                self.when(*if_not_exists, "IF NOT EXISTS ");
                self.name(name);
            }
            Show::CreateUser(account) => {
                self.text("CREATE USER ");
                self.account(account);
            }
            Show::CreateObject { kind, name } => {
                self.value(format_args!("CREATE {kind} "));
                self.table(name);
            }
            Show::Warnings(limit) => {
                self.text("WARNINGS");
                self.limit(limit);
            }
            Show::Errors(limit) => {
                self.text("ERRORS");
                self.limit(limit);
            }
            Show::CountWarnings => self.text("COUNT(*) WARNINGS"),
            Show::CountErrors => self.text("COUNT(*) ERRORS"),
            Show::Variables { scope, filter } => {
                self.scope(*scope);
                self.listing("VARIABLES", &None, filter);
            }
            Show::Status { scope, filter } => {
                self.scope(*scope);
                self.listing("STATUS", &None, filter);
            }
            Show::ProcessList { full } => {
                self.when(*full, "FULL ");
                self.text("PROCESSLIST");
            }
            Show::Engines => self.text("ENGINES"),
            Show::Engine { name, what } => {
                self.text("ENGINE ");
                self.word(name);
                self.trailing(what);
            }
            Show::Collation(filter) => self.listing("COLLATION", &None, filter),
            Show::CharacterSet(filter) => self.listing("CHARACTER SET", &None, filter),
            Show::Plugins => self.text("PLUGINS"),
            Show::Privileges => self.text("PRIVILEGES"),
            Show::Grants { account, using } => {
                self.text("GRANTS");
                self.optional(" FOR ", account, Self::account);
                self.when(!using.is_empty(), " USING ");
                self.list(using, Self::account);
            }
            Show::RoutineStatus { function, filter } => {
                let words = if *function { "FUNCTION STATUS" } else { "PROCEDURE STATUS" };
                self.listing(words, &None, filter);
            }
            Show::BinaryLogStatus => self.text("BINARY LOG STATUS"),
            Show::BinaryLogs => self.text("BINARY LOGS"),
            Show::BinlogEvents => self.text("BINLOG EVENTS"),
            Show::ReplicaStatus { channel } => {
                self.text("REPLICA STATUS");
                self.optional_string(" FOR CHANNEL ", channel);
            }
            Show::Replicas => self.text("REPLICAS"),
            Show::Profiles => self.text("PROFILES"),
            Show::Profile => self.text("PROFILE"),
            Show::Shards { table, key, filter } => {
                self.text("SHARDS");
                self.optional(" FROM ", table, Self::table);
                if !key.is_empty() {
                    self.text(" FOR (");
                    self.list(key, Self::expr);
                    self.text(")");
                }
                self.filter(filter);
            }
            Show::HotShards(filter) => self.listing("HOT SHARDS", &None, filter),
            Show::ShardWhy(shard) => self.text(&format!("SHARD {shard} WHY")),
            Show::Nodes(filter) => self.listing("NODES", &None, filter),
            Show::Rebalance { plan } => {
                self.text("REBALANCE");
                self.when(*plan, " PLAN");
            }
            Show::Proxy { listing, filter } => {
                let what = match listing {
                    ProxyListing::Help => "PROXY HELP",
                    ProxyListing::Config => "PROXY CONFIG",
                    ProxyListing::Status => "PROXY STATUS",
                };
                self.listing(what, &None, filter);
            }
            Show::TablesBySharding(class) => self.text(match class {
                ShardingClass::Sharded => "TABLE WITH SHARDKEY",
                ShardingClass::Broadcast => "TABLE WITH NOSHARDKEY_ALLSET",
                ShardingClass::Single => "TABLE WITHOUT SHARDKEY",
            }),
            Show::DdlJobs { filter, limit } => {
                self.listing("DDL JOBS", &None, filter);
                if let Some(limit) = limit {
                    self.limit(&Some(Limit::clone(limit)));
                }
            }
            Show::TransactionStatus(token) => {
                self.text("TRANSACTION STATUS ");
                self.string(token);
            }
        }
    }

    fn on_sets(&mut self, on: &OnSets) {
        match &on.part {
            ClusterPart::Sets(names) => {
                self.text("ON SETS ");
                self.parenthesised(names, |printer, name| printer.word(name));
            }
            ClusterPart::ShardKey(value) => {
                self.text("ON SHARDKEY (");
                self.string(value);
                self.text(")");
            }
            ClusterPart::Slot(slot) => self.value(format_args!("ON SHARDKEY_HASH ({slot})")),
        }
        self.text(" ");
        self.statement(&on.statement);
    }

    fn explain(&mut self, explain: &Explain) {
        self.text("EXPLAIN ");
        self.when(explain.analyze, "ANALYZE ");
        if let Some(format) = &explain.format {
            self.text("FORMAT=");
            self.string(format);
            self.text(" ");
        }
        match &explain.target {
            ExplainTarget::Statement(statement) => self.statement(statement),
            ExplainTarget::Connection(id) => self.value(format_args!("FOR CONNECTION {id}")),
            ExplainTarget::Ddl(statement) => {
                self.text("DDL ");
                self.statement(statement);
            }
        }
    }

    pub(super) fn account(&mut self, account: &AccountName) {
        match &account.user {
            Some(user) => {
                self.string(user);
                self.text("@");
                self.string(&account.host);
            }
            None => self.text("CURRENT_USER()"),
        }
    }

    fn account_spec(&mut self, spec: &AccountSpec) {
        self.account(&spec.account);
        let Some(identified) = &spec.identified else { return };
        self.text(" IDENTIFIED");
        self.optional_string(" WITH ", &identified.plugin);
        match &identified.secret {
            None => {}
            Some(Secret::Password(password)) => {
                self.text(" BY ");
                self.string(password);
            }
            Some(Secret::RandomPassword) => self.text(" BY RANDOM PASSWORD"),
            Some(Secret::Stored(bytes)) => {
                self.text(" AS x'");
                bytes.iter().for_each(|byte| self.value(format_args!("{byte:02x}")));
                self.text("'");
            }
        }
    }

    fn account_statement(&mut self, statement: &AccountStatement) {
        match statement {
            AccountStatement::Create { if_not_exists, accounts, default_roles, options } => {
                self.text("CREATE USER ");
                self.when(*if_not_exists, "IF NOT EXISTS ");
                self.list(accounts, Self::account_spec);
                self.when(!default_roles.is_empty(), " DEFAULT ROLE ");
                self.list(default_roles, Self::account);
                self.trailing(options);
            }
            AccountStatement::Alter { if_exists, accounts, options } => {
                self.text("ALTER USER ");
                self.when(*if_exists, "IF EXISTS ");
                self.list(accounts, Self::account_spec);
                self.trailing(options);
            }
            AccountStatement::Drop { if_exists, accounts } => {
                self.text("DROP USER ");
                self.when(*if_exists, "IF EXISTS ");
                self.list(accounts, Self::account);
            }
            AccountStatement::Rename(pairs) => {
                self.text("RENAME USER ");
                self.list(pairs, |printer, (old, new)| {
                    printer.account(old);
                    printer.text(" TO ");
                    printer.account(new);
                });
            }
            AccountStatement::CreateRole { if_not_exists, roles } => {
                self.text("CREATE ROLE ");
                self.when(*if_not_exists, "IF NOT EXISTS ");
                self.list(roles, Self::account);
            }
            AccountStatement::DropRole { if_exists, roles } => {
                self.text("DROP ROLE ");
                self.when(*if_exists, "IF EXISTS ");
                self.list(roles, Self::account);
            }
        }
    }

    fn privilege(&mut self, privilege: &Privilege) {
        match &privilege.name {
            PrivilegeName::Words(words) => self.text(words),
            PrivilegeName::Role(role) => self.account(role),
        }
        if !privilege.columns.is_empty() {
            self.text(" ");
            self.names(&privilege.columns);
        }
    }

    fn grant_object(&mut self, object: &GrantObject) {
        if let (Some("PROXY"), GrantLevel::Table(account)) = (object.kind.as_deref(), &object.level)
        {
            let account =
                AccountName { user: account.database.clone(), host: account.name.clone() };
            return self.account(&account);
        }
        self.optional("", &object.kind, |printer, kind| {
            printer.text(kind);
            printer.text(" ");
        });
        match &object.level {
            GrantLevel::Global => self.text("*.*"),
            GrantLevel::DefaultDatabase => self.text("*"),
            GrantLevel::Database(name) => {
                self.name(name);
                self.text(".*");
            }
            GrantLevel::Table(table) => self.table(table),
        }
    }
}

/// Reserved words that are values of variables.
fn is_value_word(word: &str) -> bool {
    ["ON", "ALL", "BINARY", "ROW", "SYSTEM"].iter().any(|value| value.eq_ignore_ascii_case(word))
}
