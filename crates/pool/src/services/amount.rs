//! Amounts and client-made ids, as every call that moves money takes them.
//!
//! Invariant: no amount is rounded on its way in.

use hivemind_model::command::Once;
use hivemind_model::rows::RequestKey;
use hivemind_model::units::MICRO_PER_CPT;
use hivemind_model::{Cpt, Rejection, UserId};

/// Longest client-made id, in bytes.
const MAX_ID_BYTES: usize = 128;

/// `whole` CPT and `micro` micro-CPT on top.
pub(super) fn amount(whole: i64, micro: i64) -> Result<Cpt, Rejection> {
    if whole < 0 {
        return Err(Rejection::invalid("amount", format!("{whole} is negative; only its owner can send money")));
    }
    if !(0..MICRO_PER_CPT).contains(&micro) {
        return Err(Rejection::invalid(
            "amount_micro",
            format!("{micro} is outside 0 to 999999; put whole CPT into amount"),
        ));
    }
    let sum = Cpt::checked_from_whole(whole).and_then(|whole| whole.checked_add(Cpt::from_micro(micro)));
    match sum {
        Some(sum) if sum.is_positive() => Ok(sum),
        Some(_) => Err(Rejection::invalid("amount", "is 0; send at least 0.000001 CPT")),
        None => Err(Rejection::invalid("amount", format!("{whole} CPT is more than there is"))),
    }
}

/// A client-made id with the digest of its request; `None` where the client made none.
pub(super) fn once(
    field: &str,
    user: UserId,
    id: &str,
    body: impl FnOnce() -> Vec<u8>,
) -> Result<Option<Once>, Rejection> {
    if id.is_empty() {
        return Ok(None);
    }
    if id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
        return Err(Rejection::invalid(field, "is longer than 128 bytes or contains a control character"));
    }
    let body = crate::blobs::digest_of(&body()).0;
    Ok(Some(Once { key: RequestKey { user, id: id.to_owned() }, body, stored: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_amounts() {
        let micro = |whole, micro| amount(whole, micro).map(Cpt::micro).map_err(|rejection| rejection.field);
        for (given, expected) in [
            ((1, 0), Ok(1_000_000)),
            ((0, 1), Ok(1)),
            ((9_223_372_036_854, 775_807), Ok(i64::MAX)),
            ((9_223_372_036_854, 775_808), Err("amount")),
            ((9_223_372_036_855, 0), Err("amount")),
            ((i64::MAX, 0), Err("amount")),
            ((i64::MIN, 0), Err("amount")),
            ((-1, 0), Err("amount")),
            ((0, 0), Err("amount")),
            ((1, -1), Err("amount_micro")),
            ((1, 1_000_000), Err("amount_micro")),
            ((1, i64::MAX), Err("amount_micro")),
        ] {
            assert_eq!(micro(given.0, given.1), expected.map_err(String::from), "{given:?}");
        }
    }
}
