//! Reads MySQL's grammar: tokens in, [`Statement`] out.
//!
//! Recursive descent, one function per rule; operators by precedence climbing (`expression`). Nothing
//! is guessed by looking at text: what a word means is decided by where it stands. What MySQL has and
//! the grammar only recognises becomes [`Statement::Unsupported`], so that the client reads "doesn't
//! yet support 'CREATE SERVER'" and not "syntax error".
//!
//! Files: `expression` and `function` (values), `query`, `select` and `from` (queries), `dml`, `load_data`, `ddl` with
//! `column`, `partition` and `alter`, `sequence`, `view`, `program`, `body` (stored programs), `placement`, `show`, `set`, `sets`, `transaction`, `xa`, `account`, `administration`.
//!
//! Invariants:
//! 1. No input makes it panic, loop, or use more stack than `base::limits::PARSE_DEPTH_MAX` levels.
//! 2. No tree is higher than `TREE_HEIGHT_MAX`, so whoever walks it recursively is safe. Chains of AND
//!    and OR, which programs generate by the thousand, are built as balanced trees for that.
//! 3. An error names the first token that cannot continue the statement, as MySQL does.
//!
//! Not here: names, types, whether a table exists.

mod account;
mod administration;
mod alter;
mod body;
mod column;
mod ddl;
mod dml;
mod expression;
mod from;
mod function;
mod load_data;
mod partition;
mod placement;
mod program;
mod query;
mod select;
mod sequence;
mod set;
mod sets;
mod show;
mod transaction;
mod view;
mod xa;

pub use crate::lexer::ParseMode;

use crate::ast::{SelectInto, Span, Statement, TableName, Unsupported};
use crate::error::{Error, Result};
use crate::lexer::{self, Lexer, Token, TokenKind};
use base::limits::{PARSE_DEPTH_MAX, TREE_HEIGHT_MAX};

/// Reads the first statement of `sql`. The number is how many bytes it takes with its semicolon: the
/// next statement starts there. `None` means only blanks and comments.
///
/// Parameters (`?`) are refused, as in every statement that is not prepared.
pub fn parse_one(sql: &str, mode: &ParseMode) -> (Result<Option<Statement>>, usize) {
    let mut parser = match Parser::new(sql, mode) {
        Ok(parser) => parser,
        Err(error) => return (Err(error), sql.len()),
    };
    parser.parameters_allowed = false;
    match parser.whole_statement() {
        Ok(statement) => (Ok(statement), parser.consumed),
        Err(error) => (Err(error), sql.len()),
    }
}

/// Bytes of the first statement of `sql` with its semicolon. The lexer tells, unless the statement may be a program, whose body
/// has semicolons. One that cannot be read takes all of the text.
pub fn statement_length(sql: &str, mode: &ParseMode) -> usize {
    let tokens = lexer::tokens(sql, mode);
    let is_first = |word: &str| {
        let first = tokens.first().filter(|first| first.kind == TokenKind::Reserved);
        first.is_some_and(|first| first.span.of(sql).eq_ignore_ascii_case(word))
    };
    match is_first("CREATE") || is_first("ALTER") {
        true => parse_one(sql, mode).1,
        false => tokens.last().map_or(sql.len(), |last| last.span.end as usize),
    }
}

/// Reads exactly one statement, which may have parameters.
pub fn parse_statement(sql: &str, mode: &ParseMode) -> Result<Statement> {
    parse_prepared(sql, mode).map(|(statement, _)| statement)
}

/// Reads exactly one statement and says how many parameters it has.
pub fn parse_prepared(sql: &str, mode: &ParseMode) -> Result<(Statement, usize)> {
    let mut parser = Parser::new(sql, mode)?;
    let statement = parser.whole_statement()?.ok_or_else(Error::empty_query)?;
    if let Some(offset) = rest_after(sql, parser.consumed, mode) {
        return Err(parser.error_at(offset));
    }
    Ok((statement, parser.parameters))
}

/// Where the statement after `consumed` bytes starts; `None` when only blanks, comments and
/// semicolons follow.
pub fn rest_after(sql: &str, consumed: usize, mode: &ParseMode) -> Option<usize> {
    lexer::rest(sql, consumed, mode)
}

/// A statement's tokens and how far they are read.
struct Parser<'a> {
    text: &'a str,
    mode: ParseMode,
    /// Has read `tokens` and can read on behind their semicolon.
    lexer: Lexer<'a>,
    tokens: Vec<Token>,
    /// The next token.
    at: usize,
    /// Parameters seen.
    parameters: usize,
    parameters_allowed: bool,
    /// The token that the statement at hand begins with.
    start: usize,
    /// Inside of the body of a stored program.
    in_program: bool,
    /// Nested rules that are being read.
    depth: usize,
    /// Height of the highest tree read since the enclosing node began.
    height: usize,
    /// INTO that stood inside a SELECT; the query takes it.
    into: Option<SelectInto>,
    /// Bytes that the statement takes.
    consumed: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, mode: &ParseMode) -> Result<Parser<'a>> {
        // Spans are 32 bits wide.
        if text.len() >= u32::MAX as usize {
            return Err(Error::too_large("A statement must be smaller than 4 GiB; cut it"));
        }
        let (lexer, tokens) = lexer::first_tokens(text, mode);
        Ok(Parser {
            text,
            mode: *mode,
            lexer,
            tokens,
            at: 0,
            parameters: 0,
            parameters_allowed: true,
            start: 0,
            in_program: false,
            depth: 0,
            height: 0,
            into: None,
            consumed: 0,
        })
    }

    fn whole_statement(&mut self) -> Result<Option<Statement>> {
        let statement = match self.kind() {
            TokenKind::End | TokenKind::Semicolon => None,
            _ => Some(self.hinted_statement()?),
        };
        if !matches!(self.kind(), TokenKind::End | TokenKind::Semicolon) {
            return Err(self.error());
        }
        self.consumed = self.consumed.max(match self.kind() {
            TokenKind::Semicolon => self.token().span.end as usize,
            _ => self.text.len(),
        });
        Ok(statement)
    }

    /// One statement, by its first word.
    fn statement(&mut self) -> Result<Statement> {
        let outer = std::mem::replace(&mut self.start, self.at);
        let statement = self.nested(|parser| parser.statement_by_word());
        self.start = outer;
        statement
    }

    #[inline(never)]
    fn statement_by_word(&mut self) -> Result<Statement> {
        if self.kind() == TokenKind::LeftParen {
            return Ok(Statement::Query(Box::new(self.query()?)));
        }
        match self.upper().as_str() {
            "SELECT" | "VALUES" | "TABLE" => Ok(Statement::Query(Box::new(self.query()?))),
            "WITH" => self.with_statement(),
            "INSERT" | "REPLACE" => self.insert(),
            "UPDATE" => self.update(None),
            "DELETE" => self.delete(None),
            "LOAD" => self.load(),
            "DO" => {
                self.advance();
                Ok(Statement::Do(self.list(Self::expr)?))
            }
            "CALL" => self.call(),
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop(),
            "TRUNCATE" => self.truncate(),
            "RENAME" => self.rename(),
            "USE" => {
                self.advance();
                Ok(Statement::Use { database: self.identifier()? })
            }
            "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" => {
                self.transaction()
            }
            "XA" => self.xa(),
            "SET" => self.set(),
            "SHOW" => self.show(),
            "DESCRIBE" | "DESC" | "EXPLAIN" => self.explain(),
            "ON" => self.on_sets(),
            "GRANT" => self.grant(),
            "REVOKE" => self.revoke(),
            "ANALYZE" | "OPTIMIZE" | "CHECK" | "REPAIR" | "CHECKSUM" => self.table_administration(),
            "PREPARE" | "EXECUTE" | "DEALLOCATE" | "KILL" | "FLUSH" | "LOCK" | "UNLOCK"
            | "HELP" | "ADMIN" => self.server_statement(),
            "SIGNAL" => self.signal(),
            "RESIGNAL" => self.resignal(),
            "GET" => self.get_diagnostics(),
            "RESET" if self.upper_at(1) == "PERSIST" => self.reset_persist(),
            "HANDLER" | "INSTALL" | "UNINSTALL" | "PURGE" | "RESET" | "CHANGE" | "STOP"
            | "CLONE" | "RESTART" | "SHUTDOWN" | "BINLOG" | "CACHE" | "IMPORT" => {
                Ok(self.unsupported(1))
            }
            _ => Err(self.error()),
        }
    }

    // Nesting.

    /// Runs a rule one level deeper. The heights of trees that it reads are its own; outside, the
    /// highest of its siblings counts.
    fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > PARSE_DEPTH_MAX {
            return Err(Error::too_deep(PARSE_DEPTH_MAX));
        }
        let outer = std::mem::replace(&mut self.height, 0);
        let result = rule(self)?;
        self.height = self.height.max(outer);
        self.depth -= 1;
        Ok(result)
    }

    /// The tree that is being built got a new root.
    fn higher(&mut self) -> Result<()> {
        self.height += 1;
        if self.height > TREE_HEIGHT_MAX {
            return Err(Error::too_deep(TREE_HEIGHT_MAX));
        }
        Ok(())
    }

    // Tokens.

    fn token(&self) -> Token {
        self.token_at(0)
    }

    /// The token `ahead` of the next one; the last token stands for all that would follow it.
    fn token_at(&self, ahead: usize) -> Token {
        match self.tokens.get(self.at + ahead).or(self.tokens.last()) {
            Some(token) => *token,
            None => Token { kind: TokenKind::End, span: Span::default() },
        }
    }

    fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn kind_at(&self, ahead: usize) -> TokenKind {
        self.token_at(ahead).kind
    }

    fn source(&self, token: Token) -> &'a str {
        self.text.get(token.span.start as usize..token.span.end as usize).unwrap_or("")
    }

    fn advance(&mut self) {
        // The last token stays: nothing reads past the end.
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    /// From the token `start` to the last one that was read.
    fn span_from(&self, start: usize) -> Span {
        let first = self.tokens.get(start).map_or(Span::default(), |token| token.span);
        match self.at.checked_sub(1).and_then(|last| self.tokens.get(last)) {
            Some(last) if last.span.end >= first.start => first.to(last.span),
            _ => first,
        }
    }

    fn text_from(&self, start: usize) -> &'a str {
        let span = self.span_from(start);
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Whether the token `ahead` is this word, quoted names excluded.
    fn is_at(&self, ahead: usize, word: &str) -> bool {
        let token = self.token_at(ahead);
        matches!(token.kind, TokenKind::Word | TokenKind::Reserved)
            && (token.span.end - token.span.start) as usize == word.len()
            && self.source(token).eq_ignore_ascii_case(word)
    }

    fn is(&self, word: &str) -> bool {
        self.is_at(0, word)
    }

    fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Whether these words come next.
    fn are(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(ahead, word)| self.is_at(ahead, word))
    }

    /// The next word in capitals; empty when it is no word.
    fn upper(&self) -> String {
        self.upper_at(0)
    }

    fn upper_at(&self, ahead: usize) -> String {
        let token = self.token_at(ahead);
        match token.kind {
            TokenKind::Word | TokenKind::Reserved => self.source(token).to_ascii_uppercase(),
            _ => String::new(),
        }
    }

    /// Takes `words` when all of them come next.
    fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.are(words);
        if found {
            self.at += words.len();
        }
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is(word);
        if found {
            self.advance();
        }
        found
    }

    /// Takes one of `words`, and says which.
    fn accept_any(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let word = words.iter().copied().find(|word| self.is(word))?;
        self.advance();
        Some(word)
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.accept_word(word) { Ok(()) } else { Err(self.error()) }
    }

    /// Takes `words`; an error points at the first that is missing.
    fn expect(&mut self, words: &[&str]) -> Result<()> {
        words.iter().try_for_each(|word| self.expect_word(word))
    }

    fn accept_kind(&mut self, kind: TokenKind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.advance();
        }
        found
    }

    fn expect_kind(&mut self, kind: TokenKind) -> Result<()> {
        if self.accept_kind(kind) { Ok(()) } else { Err(self.error()) }
    }

    // Errors.

    /// The next token cannot continue the statement.
    fn error(&self) -> Error {
        self.error_at(self.token().span.start as usize)
    }

    fn error_at(&self, offset: usize) -> Error {
        // MySQL drops blanks and semicolons at the end before it reads a statement.
        let text = self.text.trim_end_matches(|c: char| c == ';' || c.is_ascii_whitespace());
        let rest = text.get(offset..).unwrap_or("");
        let near: String = rest.chars().take(80).collect();
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Error::syntax(near, line)
    }

    /// The whole statement as one that is only recognised; its name is the next `words` words.
    fn unsupported(&mut self, words: usize) -> Statement {
        let names: Vec<String> =
            (0..words).map(|ahead| self.upper_at(ahead)).filter(|word| !word.is_empty()).collect();
        self.unsupported_as(&names.join(" "))
    }

    fn unsupported_as(&mut self, what: &str) -> Statement {
        let first = self.tokens.get(self.start);
        let start = first.map_or(0, |token| token.span.start as usize);
        self.at = self.tokens.len() - 1;
        let end = self.token().span.start as usize;
        let text = self.text.get(start..end).unwrap_or("").trim().to_string();
        Statement::Unsupported(Unsupported { what: what.to_string(), text })
    }

    /// Takes the tokens up to the end of the statement and gives their text.
    fn rest_of_statement(&mut self) -> Result<String> {
        let start = self.at;
        while !matches!(self.kind(), TokenKind::End | TokenKind::Semicolon) {
            if self.kind() == TokenKind::Invalid {
                return Err(self.error());
            }
            self.advance();
        }
        Ok(if self.at == start { String::new() } else { self.text_from(start).to_string() })
    }

    // Small rules.

    /// One or more of `rule`, separated by commas.
    fn list<T>(&mut self, mut rule: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![rule(self)?];
        while self.accept_kind(TokenKind::Comma) {
            items.push(rule(self)?);
        }
        Ok(items)
    }

    /// The same in parentheses.
    fn parenthesised<T>(&mut self, rule: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect_kind(TokenKind::LeftParen)?;
        let items = self.list(rule)?;
        self.expect_kind(TokenKind::RightParen)?;
        Ok(items)
    }

    /// A name: quoted, or a word that is not reserved.
    fn identifier(&mut self) -> Result<String> {
        let token = self.token();
        let name = match token.kind {
            TokenKind::Word => self.source(token).to_string(),
            TokenKind::Quoted => {
                let name = lexer::identifier_value(self.source(token));
                if name.is_empty() {
                    return Err(self.error());
                }
                name
            }
            _ => return Err(self.error()),
        };
        self.advance();
        Ok(name)
    }

    fn is_identifier(&self) -> bool {
        matches!(self.kind(), TokenKind::Word | TokenKind::Quoted)
    }

    /// A name or a string.
    fn identifier_or_string(&mut self) -> Result<String> {
        if self.kind() == TokenKind::String { self.string() } else { self.identifier() }
    }

    /// A name, a string or the word BINARY, DEFAULT excluded: a character set or a collation.
    fn charset_name(&mut self) -> Result<String> {
        if self.accept_word("BINARY") {
            return Ok("binary".to_string());
        }
        self.identifier_or_string()
    }

    fn names(&mut self) -> Result<Vec<String>> {
        self.parenthesised(Self::identifier)
    }

    /// One string.
    fn string(&mut self) -> Result<String> {
        let token = self.token();
        if token.kind != TokenKind::String {
            return Err(self.error());
        }
        self.advance();
        Ok(lexer::string_value(self.source(token), &self.mode))
    }

    /// A whole number.
    fn number(&mut self) -> Result<u64> {
        let token = self.token();
        let number = match token.kind {
            TokenKind::Integer => self.source(token).parse().ok(),
            TokenKind::Hex | TokenKind::Bits => {
                let bytes = lexer::bytes_value(self.source(token), token.kind == TokenKind::Bits);
                (bytes.len() <= 8)
                    .then(|| bytes.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
            }
            _ => None,
        };
        let number = number.ok_or_else(|| self.error())?;
        self.advance();
        Ok(number)
    }

    /// A whole number of at most 32 bits.
    fn small_number(&mut self) -> Result<u32> {
        let error = self.error();
        u32::try_from(self.number()?).map_err(|_| error)
    }

    /// `name` or `database.name`.
    fn table_name(&mut self) -> Result<TableName> {
        // `.name` is a table of the default database.
        if self.kind() == TokenKind::Dot {
            self.advance();
            return Ok(TableName { database: None, name: self.identifier()? });
        }
        let first = self.identifier()?;
        if self.accept_kind(TokenKind::Dot) {
            return Ok(TableName { database: Some(first), name: self.identifier()? });
        }
        Ok(TableName { database: None, name: first })
    }

    fn if_exists(&mut self) -> bool {
        self.accept(&["IF", "EXISTS"])
    }

    fn if_not_exists(&mut self) -> bool {
        self.accept(&["IF", "NOT", "EXISTS"])
    }

    fn call(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.table_name()?;
        let mut args = Vec::new();
        if self.accept_kind(TokenKind::LeftParen) && !self.accept_kind(TokenKind::RightParen) {
            args = self.list(Self::expr)?;
            self.expect_kind(TokenKind::RightParen)?;
        }
        Ok(Statement::Call { name, args })
    }
}
