//! Statements about sequences, as text.

use super::Printer;
use crate::ast::{SequenceOptions, SequenceStatement};

impl Printer {
    pub(super) fn sequence(&mut self, statement: &SequenceStatement) {
        match statement {
            SequenceStatement::Create { or_replace, if_not_exists, name, options } => {
                self.text("CREATE ");
                self.when(*or_replace, "OR REPLACE ");
                self.text("SEQUENCE ");
                self.when(*if_not_exists, "IF NOT EXISTS ");
                self.table(name);
                self.sequence_options(options);
            }
            SequenceStatement::Alter { if_exists, name, options } => {
                self.text("ALTER SEQUENCE ");
                self.when(*if_exists, "IF EXISTS ");
                self.table(name);
                self.sequence_options(options);
            }
            SequenceStatement::Drop { if_exists, names } => {
                self.text("DROP SEQUENCE ");
                self.when(*if_exists, "IF EXISTS ");
                self.list(names, Self::table);
            }
        }
    }

    fn sequence_options(&mut self, options: &SequenceOptions) {
        if let Some(of) = &options.of {
            self.value(format_args!(" AS {}", of.name));
            self.when(of.unsigned, " UNSIGNED");
        }
        let number = |printer: &mut Self, value: &i128| printer.value(value);
        self.optional(" START WITH ", &options.start, number);
        self.optional(" INCREMENT BY ", &options.increment, number);
        match &options.min {
            Some(None) => self.text(" NO MINVALUE"),
            min => self.optional(" MINVALUE ", &min.flatten(), number),
        }
        match &options.max {
            Some(None) => self.text(" NO MAXVALUE"),
            max => self.optional(" MAXVALUE ", &max.flatten(), number),
        }
        match options.cache {
            None => {}
            Some(0) => self.text(" NOCACHE"),
            Some(cache) => self.value(format_args!(" CACHE {cache}")),
        }
        match options.cycle {
            None => {}
            Some(true) => self.text(" CYCLE"),
            Some(false) => self.text(" NOCYCLE"),
        }
        match options.restart {
            None => {}
            Some(None) => self.text(" RESTART"),
            Some(Some(value)) => self.value(format_args!(" RESTART WITH {value}")),
        }
    }
}
