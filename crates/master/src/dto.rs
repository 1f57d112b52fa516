//! What goes over HTTP as JSON: the messages' fields under their own names, without tokens.
//!
//! Money is a string of micro-CPT, as numbers of JSON end at 2^53; other integers are numbers. Start at [`task`].
//!
//! Invariant: form only; what is allowed is decided by the pool.

use crate::wire::{FromWire, ToWire};
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

pub mod account;
pub mod explain;
pub mod money;
pub mod node;
pub mod picture;
pub mod pool;
pub mod submit;
pub mod task;

/// Digits of the largest amount that can be asked for.
const AMOUNT_DIGITS: usize = 18;

/// Money in micro-CPT, as it is told: a string of a decimal integer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Micro(pub i64);

impl Serialize for Micro {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl FromWire<i64> for Micro {
    fn from_wire(value: i64) -> Self {
        Self(value)
    }
}

impl PartialSchema for Micro {
    fn schema() -> RefOr<Schema> {
        decimal("^-?[0-9]{1,19}$", 1, "Micro-CPT (1 CPT = 1,000,000), as a decimal integer in a string.")
    }
}

impl ToSchema for Micro {
    fn name() -> Cow<'static, str> {
        "Micro".into()
    }
}

/// Money in micro-CPT, as it is asked for: a string of a decimal integer that is not below zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount(pub i64);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let bad = || D::Error::invalid_value(Unexpected::Str(&text), &"micro-CPT: a string of 1 to 18 decimal digits");
        if text.is_empty() || text.len() > AMOUNT_DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        text.parse().map(Self).map_err(|_too_large| bad())
    }
}

impl ToWire<i64> for Amount {
    fn to_wire(self) -> i64 {
        self.0
    }
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        decimal("^[0-9]{1,18}$", 1, "Micro-CPT (1 CPT = 1,000,000), as a decimal integer in a string.")
    }
}

impl ToSchema for Amount {
    fn name() -> Cow<'static, str> {
        "Amount".into()
    }
}

fn decimal(pattern: &str, shortest: usize, what: &str) -> RefOr<Schema> {
    let object = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .pattern(Some(pattern))
        .min_length(Some(shortest))
        .description(Some(what));
    RefOr::T(Schema::Object(object.build()))
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// `cursor` of the next page; null: that was the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page of a list whose next page has that token; empty: there is none.
    pub(crate) fn of<A>(items: Vec<A>, next_page_token: String) -> Self
    where
        T: FromWire<A>,
    {
        Self { items: Vec::from_wire(items), next_cursor: Some(next_page_token).filter(|token| !token.is_empty()) }
    }
}

/// What did not work, why, and what to do (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `https://hivemind.invalid/errors/` and the code.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// For people: what, why, and what to do.
    pub detail: String,
    /// The stable code.
    #[schema(pattern = "^E_[A-Z0-9_]+$")]
    pub code: String,
    /// The field of the question that is at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub field: Option<String>,
}

/// Bytes.
pub(crate) struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        let object = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).format(Some(format));
        RefOr::T(Schema::Object(object.build()))
    }
}

impl ToSchema for Binary {
    fn name() -> Cow<'static, str> {
        "Binary".into()
    }
}

/// Reads a list of no more than `MOST` items; a longer one is refused where it becomes that, and not once all of it is in memory.
///
/// # Errors
/// The list is too long, or an item is none.
pub(crate) fn at_most<'de, const MOST: usize, T, D>(list: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Items<const MOST: usize, T>(PhantomData<T>);

    impl<'de, const MOST: usize, T: Deserialize<'de>> Visitor<'de> for Items<MOST, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MOST}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element()? {
                if items.len() == MOST {
                    return Err(A::Error::custom(format_args!("more than {MOST} items; send fewer at once")));
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    list.deserialize_seq(Items::<MOST, T>(PhantomData))
}
