//! Stored programs: procedures, functions, triggers, events, what their bodies say, and the statements about conditions.

use super::{
    AccountName, DataType, Expr, IntervalUnit, IntoTarget, Query, SetItem, SourceText, SqlSecurity,
    Statement, TableName,
};

/// A statement about stored programs, or about the conditions that they meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramStatement {
    /// CREATE PROCEDURE, CREATE FUNCTION.
    CreateRoutine(CreateRoutine),
    /// ALTER PROCEDURE, ALTER FUNCTION.
    AlterRoutine {
        /// Which.
        kind: RoutineKind,
        /// The routine.
        name: TableName,
        /// What is changed.
        characteristics: Characteristics,
    },
    /// CREATE TRIGGER.
    CreateTrigger(CreateTrigger),
    /// CREATE EVENT.
    CreateEvent {
        /// DEFINER.
        definer: Option<AccountName>,
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The event.
        name: TableName,
        /// Its clauses; the schedule and the body are among them.
        clauses: EventClauses,
    },
    /// ALTER EVENT.
    AlterEvent {
        /// DEFINER.
        definer: Option<AccountName>,
        /// The event.
        name: TableName,
        /// What is changed: at least one of them.
        clauses: EventClauses,
    },
    /// DROP PROCEDURE, FUNCTION, TRIGGER or EVENT.
    Drop {
        /// Which.
        kind: ProgramKind,
        /// IF EXISTS.
        if_exists: bool,
        /// The program.
        name: TableName,
    },
    /// SIGNAL.
    Signal {
        /// What is raised.
        condition: SignalCondition,
        /// SET: items and their values.
        items: Vec<(&'static str, Expr)>,
    },
    /// RESIGNAL.
    Resignal {
        /// What is raised instead.
        condition: Option<SignalCondition>,
        /// SET: items and their values.
        items: Vec<(&'static str, Expr)>,
    },
    /// GET DIAGNOSTICS.
    GetDiagnostics {
        /// STACKED: the area of the handler; else CURRENT.
        stacked: bool,
        /// CONDITION: which of them; the statement when `None`.
        condition: Option<Expr>,
        /// What goes where.
        items: Vec<(IntoTarget, &'static str)>,
    },
}

impl ProgramStatement {
    /// Whether it is about conditions, and defines nothing.
    pub fn is_about_conditions(&self) -> bool {
        matches!(
            self,
            ProgramStatement::Signal { .. }
                | ProgramStatement::Resignal { .. }
                | ProgramStatement::GetDiagnostics { .. }
        )
    }

    /// Its first words, as errors name it.
    pub fn name(&self) -> String {
        match self {
            ProgramStatement::CreateRoutine(create) => format!("CREATE {}", create.kind().name()),
            ProgramStatement::AlterRoutine { kind, .. } => format!("ALTER {}", kind.name()),
            ProgramStatement::CreateTrigger(_) => "CREATE TRIGGER".to_string(),
            ProgramStatement::CreateEvent { .. } => "CREATE EVENT".to_string(),
            ProgramStatement::AlterEvent { .. } => "ALTER EVENT".to_string(),
            ProgramStatement::Drop { kind, .. } => format!("DROP {}", kind.name()),
            ProgramStatement::Signal { .. } => "SIGNAL".to_string(),
            ProgramStatement::Resignal { .. } => "RESIGNAL".to_string(),
            ProgramStatement::GetDiagnostics { .. } => "GET DIAGNOSTICS".to_string(),
        }
    }
}

/// Kinds of routines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutineKind {
    /// PROCEDURE.
    Procedure,
    /// FUNCTION.
    Function,
}

impl RoutineKind {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            RoutineKind::Procedure => "PROCEDURE",
            RoutineKind::Function => "FUNCTION",
        }
    }
}

/// Kinds of stored programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// A procedure or a function.
    Routine(RoutineKind),
    /// TRIGGER.
    Trigger,
    /// EVENT.
    Event,
}

impl ProgramKind {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            ProgramKind::Routine(kind) => kind.name(),
            ProgramKind::Trigger => "TRIGGER",
            ProgramKind::Event => "EVENT",
        }
    }
}

/// CREATE PROCEDURE or CREATE FUNCTION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRoutine {
    /// DEFINER.
    pub definer: Option<AccountName>,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The routine.
    pub name: TableName,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// The same as written, without the parentheses.
    pub parameters_text: SourceText,
    /// RETURNS; only a function has it.
    pub returns: Option<DataType>,
    /// What it says of itself.
    pub characteristics: Characteristics,
    /// What it does.
    pub body: ProgramBody,
}

impl CreateRoutine {
    /// Which kind of routine it makes.
    pub fn kind(&self) -> RoutineKind {
        match self.returns {
            Some(_) => RoutineKind::Function,
            None => RoutineKind::Procedure,
        }
    }
}

/// A parameter of a routine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Where values go; IN when it is not said.
    pub mode: Option<ParameterMode>,
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
}

/// Where the value of a parameter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterMode {
    /// IN.
    In,
    /// OUT.
    Out,
    /// INOUT.
    InOut,
}

impl ParameterMode {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            ParameterMode::In => "IN",
            ParameterMode::Out => "OUT",
            ParameterMode::InOut => "INOUT",
        }
    }
}

/// What a routine says of itself. LANGUAGE SQL says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Characteristics {
    /// COMMENT.
    pub comment: Option<String>,
    /// DETERMINISTIC or NOT DETERMINISTIC.
    pub deterministic: Option<bool>,
    /// What it does with data.
    pub data: Option<DataUse>,
    /// SQL SECURITY.
    pub security: Option<SqlSecurity>,
}

/// What a routine does with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataUse {
    /// CONTAINS SQL.
    Contains,
    /// NO SQL.
    None,
    /// READS SQL DATA.
    Reads,
    /// MODIFIES SQL DATA.
    Modifies,
}

impl DataUse {
    /// The words.
    pub fn name(self) -> &'static str {
        match self {
            DataUse::Contains => "CONTAINS SQL",
            DataUse::None => "NO SQL",
            DataUse::Reads => "READS SQL DATA",
            DataUse::Modifies => "MODIFIES SQL DATA",
        }
    }
}

/// CREATE TRIGGER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTrigger {
    /// DEFINER.
    pub definer: Option<AccountName>,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// The trigger.
    pub name: TableName,
    /// AFTER; else BEFORE.
    pub after: bool,
    /// On what.
    pub event: TriggerEvent,
    /// Of which table.
    pub table: TableName,
    /// Its place among the triggers of the same event.
    pub order: Option<TriggerOrder>,
    /// What it does.
    pub body: ProgramBody,
}

/// What a trigger waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerEvent {
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
}

impl TriggerEvent {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            TriggerEvent::Insert => "INSERT",
            TriggerEvent::Update => "UPDATE",
            TriggerEvent::Delete => "DELETE",
        }
    }
}

/// FOLLOWS or PRECEDES.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerOrder {
    /// PRECEDES; else FOLLOWS.
    pub precedes: bool,
    /// The other trigger.
    pub other: String,
}

/// The clauses of an event, each as far as it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventClauses {
    /// ON SCHEDULE.
    pub schedule: Option<Schedule>,
    /// ON COMPLETION PRESERVE, or NOT PRESERVE.
    pub preserve: Option<bool>,
    /// RENAME TO; only of ALTER EVENT.
    pub rename: Option<TableName>,
    /// ENABLE, DISABLE.
    pub state: Option<EventState>,
    /// COMMENT.
    pub comment: Option<String>,
    /// DO.
    pub body: Option<ProgramBody>,
}

/// When an event happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// AT: once.
    At(Expr),
    /// EVERY: again and again.
    Every {
        /// How many.
        amount: Expr,
        /// Of what.
        unit: IntervalUnit,
        /// STARTS.
        starts: Option<Box<Expr>>,
        /// ENDS.
        ends: Option<Box<Expr>>,
    },
}

/// Whether an event happens at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventState {
    /// ENABLE.
    Enabled,
    /// DISABLE.
    Disabled,
    /// DISABLE ON REPLICA.
    DisabledOnReplica,
}

impl EventState {
    /// The words.
    pub fn name(self) -> &'static str {
        match self {
            EventState::Enabled => "ENABLE",
            EventState::Disabled => "DISABLE",
            EventState::DisabledOnReplica => "DISABLE ON REPLICA",
        }
    }
}

/// What a program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramBody {
    /// The statement that it consists of.
    pub step: Step,
    /// Its text as written.
    pub text: SourceText,
}

/// A statement of a program's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Any statement that may stand outside of programs, too.
    Statement(Box<Statement>),
    /// BEGIN … END.
    Block {
        /// Its label.
        label: Option<String>,
        /// What it declares.
        declarations: Vec<Declaration>,
        /// What it does.
        steps: Vec<Step>,
    },
    /// IF.
    If {
        /// Conditions and what is done when they hold; the first one that holds counts.
        branches: Vec<(Expr, Vec<Step>)>,
        /// ELSE.
        otherwise: Option<Vec<Step>>,
    },
    /// CASE.
    Case {
        /// What the WHENs are compared with; without it each WHEN is a condition.
        operand: Option<Expr>,
        /// WHEN and THEN.
        branches: Vec<(Expr, Vec<Step>)>,
        /// ELSE.
        otherwise: Option<Vec<Step>>,
    },
    /// LOOP.
    Loop {
        /// Its label.
        label: Option<String>,
        /// What is done again and again.
        steps: Vec<Step>,
    },
    /// WHILE.
    While {
        /// Its label.
        label: Option<String>,
        /// As long as this holds.
        condition: Expr,
        /// What is done.
        steps: Vec<Step>,
    },
    /// REPEAT.
    Repeat {
        /// Its label.
        label: Option<String>,
        /// What is done.
        steps: Vec<Step>,
        /// UNTIL.
        until: Expr,
    },
    /// LEAVE label.
    Leave(String),
    /// ITERATE label.
    Iterate(String),
    /// RETURN value.
    Return(Expr),
    /// OPEN cursor.
    Open(String),
    /// FETCH cursor INTO …
    Fetch {
        /// The cursor.
        cursor: String,
        /// Variables of the program.
        into: Vec<String>,
    },
    /// CLOSE cursor.
    Close(String),
}

/// DECLARE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declaration {
    /// Variables.
    Variables {
        /// Their names.
        names: Vec<String>,
        /// Their type.
        ty: DataType,
        /// DEFAULT; NULL when it is not said.
        default: Option<Box<Expr>>,
    },
    /// `name CONDITION FOR …`.
    Condition {
        /// Its name.
        name: String,
        /// What it stands for: an error number or a SQLSTATE.
        value: HandlerCondition,
    },
    /// `name CURSOR FOR …`.
    Cursor {
        /// Its name.
        name: String,
        /// What it reads.
        query: Box<Query>,
    },
    /// `CONTINUE | EXIT HANDLER FOR …`.
    Handler {
        /// EXIT: the block is left; else CONTINUE.
        exit: bool,
        /// What it handles.
        conditions: Vec<HandlerCondition>,
        /// What it does.
        step: Box<Step>,
    },
}

/// What a handler handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerCondition {
    /// An error number.
    Code(u64),
    /// SQLSTATE.
    State(String),
    /// A condition by its name.
    Name(String),
    /// SQLWARNING.
    Warning,
    /// NOT FOUND.
    NotFound,
    /// SQLEXCEPTION.
    Exception,
}

/// What SIGNAL raises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalCondition {
    /// SQLSTATE.
    State(String),
    /// A condition by its name.
    Name(String),
}

impl Step {
    /// The names that SET gives values here and inside, without those of `@` and `@@`.
    pub(crate) fn assigned_names<'a>(&'a self, names: &mut Vec<&'a str>) {
        let all = |steps: &'a [Step], names: &mut Vec<&'a str>| {
            steps.iter().for_each(|step| step.assigned_names(names));
        };
        match self {
            Step::Statement(statement) => {
                if let Statement::Set(items) = &**statement {
                    names.extend(items.iter().filter_map(|item| match item {
                        SetItem::Named { name, .. } => Some(name.as_str()),
                        _ => None,
                    }));
                }
            }
            Step::Block { declarations, steps, .. } => {
                for declaration in declarations {
                    if let Declaration::Handler { step, .. } = declaration {
                        step.assigned_names(names);
                    }
                }
                all(steps, names);
            }
            Step::If { branches, otherwise } | Step::Case { branches, otherwise, .. } => {
                branches.iter().for_each(|(_, steps)| all(steps, names));
                otherwise.iter().for_each(|steps| all(steps, names));
            }
            Step::Loop { steps, .. } | Step::While { steps, .. } | Step::Repeat { steps, .. } => {
                all(steps, names);
            }
            Step::Leave(_)
            | Step::Iterate(_)
            | Step::Return(_)
            | Step::Open(_)
            | Step::Fetch { .. }
            | Step::Close(_) => {}
        }
    }
}
