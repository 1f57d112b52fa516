//! Comma-separated values (RFC 4180), safe to open in a spreadsheet.
//!
//! Start at [`Record`].
//!
//! Invariant: a text from elsewhere never becomes a formula, and a number is never rounded.

use crate::show::Amount;

/// One field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// Words. Where a spreadsheet would take them for a formula, an apostrophe goes before them.
    Text(String),
    /// A number as it is written, such as `-2.25`.
    Number(String),
}

impl Field {
    /// Words.
    #[must_use]
    pub fn text(words: impl Into<String>) -> Self {
        Self::Text(words.into())
    }

    /// A number.
    #[must_use]
    pub fn number(number: impl ToString) -> Self {
        Self::Number(number.to_string())
    }

    /// An amount as its two columns: exact CPT, and micro-CPT.
    #[must_use]
    pub fn amount(amount: &Amount) -> [Self; 2] {
        [Self::Number(amount.cpt.clone()), Self::number(amount.micro)]
    }
}

/// A line of a list that has a CSV form. Columns are added at the end, never renamed or moved.
pub trait Record {
    /// Names of the columns, the first line of the file.
    const COLUMNS: &'static [&'static str];

    /// One field for each column.
    fn fields(&self) -> Vec<Field>;
}

/// The first line of a file of such records.
#[must_use]
pub fn header<R: Record>() -> String {
    format!("{}\r\n", R::COLUMNS.join(","))
}

/// Adds one line to `text`.
pub fn append<R: Record>(text: &mut String, record: &R) {
    for (at, field) in record.fields().iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match field {
            Field::Text(words) => push_text(text, words),
            Field::Number(number) => text.push_str(number),
        }
    }
    text.push_str("\r\n");
}

fn push_text(text: &mut String, words: &str) {
    let is_formula = words.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    if words.contains([',', '"', '\r', '\n']) {
        text.push('"');
        text.push_str(guard);
        text.push_str(&words.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(guard);
        text.push_str(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two(&'static str, i64);

    impl Record for Two {
        const COLUMNS: &'static [&'static str] = &["words", "cpt", "micro"];

        fn fields(&self) -> Vec<Field> {
            let [cpt, micro] = Field::amount(&Amount::of(self.1));
            vec![Field::text(self.0), cpt, micro]
        }
    }

    #[test]
    fn fields_are_quoted_where_they_must_be_and_never_formulas() {
        let mut text = header::<Two>();
        for (words, micro) in [
            ("plain", 1),
            ("", -2_250_000),
            ("a, \"b\"\nc", 0),
            ("=cmd|'/c calc'!A1", i64::MIN),
            ("+1", 5),
            ("-1", 5),
            ("@sum(A1,A2)", 5),
            ("\tx", 5),
            ("1=2", 5),
        ] {
            append(&mut text, &Two(words, micro));
        }
        let wanted = [
            "words,cpt,micro",
            "plain,0.000001,1",
            ",-2.25,-2250000",
            "\"a, \"\"b\"\"\nc\",0.00,0",
            "'=cmd|'/c calc'!A1,-9223372036854.775808,-9223372036854775808",
            "'+1,0.000005,5",
            "'-1,0.000005,5",
            "\"'@sum(A1,A2)\",0.000005,5",
            "'\tx,0.000005,5",
            "1=2,0.000005,5",
            "",
        ];
        assert_eq!(text, wanted.join("\r\n"));
    }
}
