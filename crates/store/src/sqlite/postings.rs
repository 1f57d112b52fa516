//! Postings as the journal keeps them: `[["available",2,-150,0],["held",2,150,150]]`.
//!
//! Kind, number of the holder (0 for the treasury), amount and balance in micro-CPT. Start at
//! [`Line`]; [`begins`] is how statements find the accounts of a user.
//!
//! Invariant: one posting has one text.

use hivemind_ledger::{Account, Kind, Posting};
use hivemind_model::Cpt;
use serde::{Deserialize, Serialize, Serializer};

/// One posting.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "(Kind, u64, Cpt, Cpt)")]
pub(super) struct Line(pub(super) Posting);

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Posting { account, amount, balance } = self.0;
        (account.kind(), account.holder(), amount, balance).serialize(serializer)
    }
}

impl TryFrom<(Kind, u64, Cpt, Cpt)> for Line {
    type Error = String;

    fn try_from((kind, holder, amount, balance): (Kind, u64, Cpt, Cpt)) -> Result<Self, String> {
        let account = Account::of(kind, holder);
        if account.holder() != holder {
            return Err(format!("the {} is nobody's, but has the holder {holder}", kind.as_str()));
        }
        Ok(Self(Posting { account, amount, balance }))
    }
}

/// All postings of an entry, as they are written.
pub(super) struct Written<'a>(pub(super) &'a [Posting]);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().copied().map(Line))
    }
}

/// How every posting to `account` begins, and no other text within postings.
pub(super) fn begins(account: Account) -> String {
    format!("[\"{}\",{},", account.kind().as_str(), account.holder())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind) -> Posting {
        let holder = if kind == Kind::Treasury { 0 } else { u64::MAX };
        Posting { account: Account::of(kind, holder), amount: Cpt::from_micro(-1), balance: Cpt::from_micro(i64::MAX) }
    }

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    fn postings_read_back_and_are_found_by_their_beginning() {
        for kind in Kind::ALL {
            let postings = [of(kind), of(Kind::Held)];
            let text = serde_json::to_string(&Written(&postings)).unwrap();
            assert!(text.contains(&begins(postings[0].account)), "{text}");
            let lines: Vec<Line> = serde_json::from_str(&text).unwrap();
            assert_eq!(lines.into_iter().map(|line| line.0).collect::<Vec<_>>(), postings);
        }
    }

    #[test]
    fn what_is_no_posting_is_refused() {
        for text in [
            r#"["treasury",1,1,1]"#,
            r#"["savings",1,1,1]"#,
            r#"["held",-1,1,1]"#,
            r#"["held",1,1]"#,
            r#"["held",1,1,1,1]"#,
            r#"["held",1,1.0,1]"#,
            r#"["held",1,9223372036854775808,1]"#,
            r#"{"kind":"held","holder":1,"amount":1,"balance":1}"#,
        ] {
            assert!(serde_json::from_str::<Line>(text).is_err(), "{text}");
        }
    }
}
