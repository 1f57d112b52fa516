//! From messages to JSON and back, field by field.
//!
//! The fields of an answer ([`told`]) and of a question ([`asked`]) have the names they have in the messages, so there is nothing
//! to decide here: a macro writes both the type and the conversion. Start at [`FromWire`].
//!
//! Invariant: no field changes its meaning on the way.

/// Makes an answer of what a message has.
pub(crate) trait FromWire<T>: Sized {
    /// The same, as JSON has it.
    fn from_wire(value: T) -> Self;
}

/// Makes a message of what was asked.
pub(crate) trait ToWire<T> {
    /// The same, as the message has it.
    fn to_wire(self) -> T;
}

macro_rules! the_same {
    ($($kind:ty),+) => { $(
        impl FromWire<$kind> for $kind {
            fn from_wire(value: $kind) -> Self {
                value
            }
        }
        impl ToWire<$kind> for $kind {
            fn to_wire(self) -> $kind {
                self
            }
        }
    )+ };
}

the_same!(String, bool, i32, i64, u32, u64, f64);

impl FromWire<f32> for f64 {
    /// JSON has no infinity, and what is none is none.
    fn from_wire(value: f32) -> Self {
        if value.is_finite() { Self::from(value) } else { 0.0 }
    }
}

impl<A, B: FromWire<A>> FromWire<Vec<A>> for Vec<B> {
    fn from_wire(value: Vec<A>) -> Self {
        value.into_iter().map(B::from_wire).collect()
    }
}

impl<A, B: FromWire<A>> FromWire<Option<A>> for Option<B> {
    fn from_wire(value: Option<A>) -> Self {
        value.map(B::from_wire)
    }
}

impl<A, B: ToWire<A>> ToWire<Vec<A>> for Vec<B> {
    fn to_wire(self) -> Vec<A> {
        self.into_iter().map(B::to_wire).collect()
    }
}

impl<A, B: ToWire<A>> ToWire<Option<A>> for Option<B> {
    fn to_wire(self) -> Option<A> {
        self.map(B::to_wire)
    }
}

/// An answer with fields of the message of the same names.
macro_rules! told {
    ($(#[$attr:meta])* $name:ident <= $message:ident { $($(#[$field_attr:meta])* $field:ident: $kind:ty),+ $(,)? }) => {
        $(#[$attr])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
        pub struct $name {
            $($(#[$field_attr])* pub $field: $kind),+
        }

        impl $crate::wire::FromWire<hivemind_proto::v1::$message> for $name {
            fn from_wire(message: hivemind_proto::v1::$message) -> Self {
                Self { $($field: $crate::wire::FromWire::from_wire(message.$field)),+ }
            }
        }
    };
}

/// A question with fields of the message of the same names; what is left out has the message's default, what is unknown is refused.
macro_rules! asked {
    ($(#[$attr:meta])* $name:ident => $message:ident { $($(#[$field_attr:meta])* $field:ident: $kind:ty),+ $(,)? }) => {
        $(#[$attr])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$field_attr])* pub $field: $kind),+
        }

        impl $crate::wire::ToWire<hivemind_proto::v1::$message> for $name {
            #[allow(clippy::needless_update)]
            fn to_wire(self) -> hivemind_proto::v1::$message {
                hivemind_proto::v1::$message {
                    $($field: $crate::wire::ToWire::to_wire(self.$field),)+
                    ..hivemind_proto::v1::$message::default()
                }
            }
        }
    };
}

pub(crate) use {asked, told};
