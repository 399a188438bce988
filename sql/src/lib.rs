//! MySQL's meaning: text in, rows out.
//!
//! Reading order: `lexer`, `ast`, `parser`, `printer` (grammar); `types`, `value`, `collation`, `expr`,
//! `function` (meaning of expressions); `catalog`, `table_codec`, `broadcast` (tables and their bytes); `view` (the text of views), `binder`,
//! `access`, `planner`, `exec` (queries); `locking_read`, `dml`, `ddl`, `show`, `index_check`, `sysvar` (statements); `session` (what
//! the gateway calls); `sets` (parts of the cluster as TDSQL names them); `activity` (what runs and who waits); `silence` (nodes that say nothing); `error` (MySQL's numbers).
//!
//! Not here: packets, passwords, Raft.

pub mod access;
pub mod activity;
pub mod ast;
pub mod binder;
pub(crate) mod broadcast;
pub mod catalog;
pub mod collation;
pub mod context;
pub mod ddl;
pub mod dml;
pub mod error;
pub mod exec;
pub mod expr;
pub mod function;
pub(crate) mod index_check;
pub mod instance;
pub mod lexer;
pub(crate) mod locking_read;
pub mod parser;
pub mod placement;
pub mod planner;
pub mod point_plan;
pub mod printer;
pub(crate) mod program;
pub mod session;
pub(crate) mod sets;
pub mod show;
pub(crate) mod silence;
pub(crate) mod statistics;
pub mod sysvar;
pub mod table_codec;
pub(crate) mod temporary;
pub mod types;
pub mod value;
pub(crate) mod view;

pub use error::{Error, Result};
