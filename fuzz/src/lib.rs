//! What must hold for every sequence of bytes that a client can send: the targets of `make fuzz`.
//!
//! ```text
//! byte 0: flags of sql_mode        lexer ─ tokens ─ parser ─ tree ─ printer ─ text ─┐
//! the rest: text, or packets                          ▲────────── the same tree ────┘
//! ```
//!
//! A target is a function that returns or panics. `make fuzz` runs each in libFuzzer with instrumented code; the texts
//! that reached new code are kept in `fuzz/corpus/`, and `tests/corpus.rs` runs every target over them without libFuzzer.
//!
//! Not here: statements that run (`chaos`, `tests/diff`).

use bytes::BytesMut;
use gateway::codec::command::Command;
use gateway::codec::handshake::{ChangeUser, ClientHello, server_capabilities};
use gateway::codec::parameter::take_parameters;
use gateway::packet::Decoder;
use mysql_common::constants::CapabilityFlags;
use sql::ast::Statement;
use sql::lexer::{self, ParseMode, TokenKind, digest};
use sql::parser;
use std::collections::BTreeMap;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] = [
    ("lexer", lexer),
    ("parser", parser),
    ("printer", printer),
    ("digest", digest),
    ("packet", packet),
];

/// Longest message that the packet target takes, bytes: small, so that limits are met.
const MESSAGE_BYTES_MAX: usize = 1 << 10;
/// Parameters of the statement that the packet target executes.
const PARAMETERS: u16 = 3;

/// Tokens lie in the text, in their order, on borders of characters, and end with one end.
pub fn lexer(input: &[u8]) {
    let Some((mode, text)) = text(input) else { return };
    let tokens = lexer::tokens(text, &mode);
    let mut end = 0;
    for token in &tokens {
        let (from, to) = (token.span.start as usize, token.span.end as usize);
        assert!(end <= from && from <= to, "tokens overlap at {from}: {text:?}");
        assert!(text.get(from..to).is_some(), "a token outside of the text at {from}: {text:?}");
        end = to;
    }
    let is_end = |kind: TokenKind| matches!(kind, TokenKind::Semicolon | TokenKind::End);
    let ends = tokens.iter().filter(|token| is_end(token.kind)).count();
    let last = tokens.last().map(|token| token.kind);
    assert!(ends == 1 && last.is_some_and(is_end), "{ends} ends, last {last:?}: {text:?}");
}

/// A statement takes bytes of its text and not more; both ways to read it agree whether it is one.
pub fn parser(input: &[u8]) {
    let Some((mode, text)) = text(input) else { return };
    let (parsed, consumed) = parser::parse_one(text, &mode);
    assert!(text.is_char_boundary(consumed), "{consumed} bytes are no part of {text:?}");
    let length = parser::statement_length(text, &mode);
    assert!(text.is_char_boundary(length), "{length} bytes are no part of {text:?}");
    let one = match parsed {
        Ok(Some(_)) => {
            assert_eq!(consumed, length, "two lengths of {text:?}");
            parser::rest_after(text, consumed, &mode).is_none()
        }
        Ok(None) | Err(_) => false,
    };
    let prepared = parser::parse_prepared(text, &mode);
    assert!(!one || prepared.is_ok(), "only without parameters a statement: {text:?}");
}

/// What is printed means the same and prints the same.
pub fn printer(input: &[u8]) {
    let Some((mode, text)) = text(input) else { return };
    let Ok(statement) = parser::parse_statement(text, &mode) else { return };
    if matches!(statement, Statement::Unsupported(_)) {
        return;
    }
    let printed = statement.to_string();
    match parser::parse_statement(&printed, &ParseMode::default()) {
        Ok(again) => {
            assert!(again == statement, "{text:?} printed as {printed:?} means something else");
            assert_eq!(again.to_string(), printed, "printing of {text:?} is not stable");
        }
        Err(error) => panic!("{text:?} printed as {printed:?} does not parse: {error}"),
    }
}

/// The template of a template is itself, and has no literals.
pub fn digest(input: &[u8]) {
    let Some((mode, text)) = text(input) else { return };
    let Some(template) = digest::template(text, &mode) else { return };
    assert!(text.is_char_boundary(template.consumed), "{text:?}");
    let _ = template.digest_text();
    let Some(again) = digest::template(&template.text, &mode) else {
        panic!("the template of {text:?}, {:?}, has none", template.text);
    };
    assert_eq!(again.text, template.text, "the template of {text:?} is not stable");
    assert!(again.literals.is_empty(), "a literal is left in {:?}", template.text);
}

/// Packets mean the same in whatever pieces they come, and no payload does more than fail.
pub fn packet(input: &[u8]) {
    let Some((&flags, bytes)) = input.split_first() else { return };
    let whole = messages(bytes, bytes.len().max(1));
    let pieces = messages(bytes, usize::from(flags % 7) + 1);
    assert!(whole == pieces, "{bytes:?} means something else in pieces");
    let mut capabilities = server_capabilities(true);
    if flags & 0x80 != 0 {
        capabilities.remove(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
    }
    for payload in whole.iter().map(Vec::as_slice).chain([bytes]) {
        let _ = ClientHello::decode(payload, capabilities);
        let _ = ChangeUser::decode(payload, capabilities);
        if let Ok(Command::Execute(execute)) = Command::decode(payload, capabilities) {
            let (mut types, long) = (Vec::new(), BTreeMap::new());
            let _ = take_parameters(&execute, capabilities, PARAMETERS, &mut types, &long);
        }
    }
}

/// The messages that bytes hold until something is wrong, when so many bytes come at a time.
fn messages(bytes: &[u8], at_a_time: usize) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    let mut received = BytesMut::new();
    let mut found = Vec::new();
    for piece in bytes.chunks(at_a_time) {
        received.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut received) {
                Ok(Some(message)) => found.push(message.to_vec()),
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}

/// An input as flags and text; `None` when the bytes are no text, which no session reads.
fn text(input: &[u8]) -> Option<(ParseMode, &str)> {
    let (&flags, bytes) = input.split_first()?;
    let flag = |bit: u8| flags & 1 << bit != 0;
    let mode = ParseMode {
        ansi_quotes: flag(0),
        pipes_as_concat: flag(1),
        no_backslash_escapes: flag(2),
        high_not_precedence: flag(3),
        ignore_space: flag(4),
    };
    Some((mode, std::str::from_utf8(bytes).ok()?))
}

/// Makes a program for libFuzzer of a target: a panic ends it, so that libFuzzer keeps the input.
#[macro_export]
macro_rules! program {
    ($target:ident) => {
        /// Called by libFuzzer with each input.
        #[unsafe(no_mangle)]
        pub extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
            static PANICS: std::sync::Once = std::sync::Once::new();
            PANICS.call_once(|| {
                let print = std::panic::take_hook();
                std::panic::set_hook(Box::new(move |panic| {
                    print(panic);
                    std::process::abort();
                }));
            });
            // SAFETY: libFuzzer gives `size` readable bytes, which nobody changes during the call.
            let input: &[u8] = match size {
                0 => &[],
                _ => unsafe { std::slice::from_raw_parts(data, size) },
            };
            $crate::$target(input);
            0
        }
    };
}
