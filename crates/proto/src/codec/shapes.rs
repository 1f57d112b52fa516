//! What a message would take in memory, told from its bytes and the contract alone.
//!
//! Start at [`Shapes::weigh`]. What is counted are the entries of lists; everything else takes about what it takes on the
//! wire, or once for each message.
//!
//! Invariant: nothing is made while it is weighed, and bytes that are no message are left to whoever reads them.

use crate::DESCRIPTOR_SET;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// What every message may take beside its bytes: ten thousand of the largest entries that there are.
const FREE_BYTES: u64 = 16 << 20;
/// What it may take for each byte on the wire: entries that say something take less.
const PER_BYTE: u64 = 4;
/// Messages as small as that cannot take more than is free.
const SMALL: usize = 4096;
/// How deep messages lie in one another; what reads them stops there as well.
const MAX_DEPTH: u32 = 100;
// What a text, bytes, a list and a number take.
const TEXT: u64 = 24;
const BYTES: u64 = 32;
const LIST: u64 = 24;
const NUMBER: u64 = 8;

/// The shapes of the contract.
pub(super) static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::of_contract);

/// A request would take too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooHeavy;

#[derive(Debug, Clone, Copy)]
enum Field {
    /// One message, of the shape at that place.
    One(usize),
    /// Many messages, of the shape at that place and so large each.
    Many(usize, u64),
    /// Many texts or bytes, so large each.
    Texts(u64),
    /// Many numbers, also packed.
    Numbers,
}

/// What matters of the fields of one message, by number.
type Shape = BTreeMap<u64, Field>;

/// See [`SHAPES`].
#[derive(Debug, Default)]
pub(super) struct Shapes {
    shapes: Vec<Shape>,
    /// Places of what calls are made with, by full name.
    requests: HashMap<String, usize>,
}

impl Shapes {
    fn of_contract() -> Self {
        let set = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap_or_default();
        let mut messages: Vec<(String, &DescriptorProto)> = Vec::new();
        for file in &set.file {
            messages.extend(file.message_type.iter().flat_map(|one| with_nested(&format!(".{}", file.package()), one)));
        }
        let places: HashMap<&str, usize> =
            messages.iter().enumerate().map(|(place, (name, _))| (name.as_str(), place)).collect();
        let sizes = Sizes { messages: &messages, places: &places };
        let shapes = messages.iter().map(|(_, message)| shape(message, &places, &sizes)).collect();
        let services = set.file.iter().flat_map(|file| &file.service);
        let inputs = services.flat_map(|service| &service.method).map(|method| method.input_type());
        let requests = inputs.filter_map(|name| Some((name.trim_start_matches('.').to_owned(), *places.get(name)?)));
        Self { requests: requests.collect(), shapes }
    }

    /// The place of the shape of a message that calls are made with.
    pub(super) fn request(&self, full_name: &str) -> Option<usize> {
        self.requests.get(full_name).copied()
    }

    /// Weighs a message of the shape at `place`.
    ///
    /// # Errors
    /// Its lists would take more memory than a message of its length may.
    pub(super) fn weigh(&self, place: usize, bytes: &[u8]) -> Result<(), TooHeavy> {
        if bytes.len() <= SMALL {
            return Ok(());
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut left = FREE_BYTES.saturating_add(length.saturating_mul(PER_BYTE));
        match self.scan(place, bytes, 0, &mut left) {
            Scan::TooHeavy => Err(TooHeavy),
            Scan::Done | Scan::NoMessage => Ok(()),
        }
    }

    fn scan(&self, place: usize, mut bytes: &[u8], depth: u32, left: &mut u64) -> Scan {
        let Some(shape) = self.shapes.get(place).filter(|_| depth < MAX_DEPTH) else { return Scan::NoMessage };
        while !bytes.is_empty() {
            let Some((number, wire, value)) = next(&mut bytes) else { return Scan::NoMessage };
            let Some(field) = shape.get(&number) else { continue };
            let (weight, within) = match (*field, wire) {
                (Field::One(within), Wire::Bytes) => (0, Some(within)),
                (Field::Many(within, each), Wire::Bytes) => (each, Some(within)),
                (Field::Texts(each), Wire::Bytes) => (each, None),
                (Field::Numbers, Wire::Bytes) => (NUMBER * u64::try_from(value.len()).unwrap_or(u64::MAX), None),
                (Field::Numbers, Wire::Number) => (NUMBER, None),
                // Whoever reads it refuses it.
                (Field::One(_) | Field::Many(..) | Field::Texts(_), Wire::Number) => return Scan::NoMessage,
            };
            match left.checked_sub(weight) {
                Some(rest) => *left = rest,
                None => return Scan::TooHeavy,
            }
            match within.map_or(Scan::Done, |within| self.scan(within, value, depth + 1, left)) {
                Scan::Done => {}
                ended @ (Scan::TooHeavy | Scan::NoMessage) => return ended,
            }
        }
        Scan::Done
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
enum Scan {
    Done,
    TooHeavy,
    /// It cannot be read; nothing after that place will be made.
    NoMessage,
}

#[derive(Debug, Clone, Copy)]
enum Wire {
    Number,
    Bytes,
}

/// Takes the next field: its number, how it is written, and its bytes where it has a length.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Wire, &'a [u8])> {
    let key = varint(bytes)?;
    let (length, wire) = match key & 7 {
        0 => {
            varint(bytes)?;
            (0, Wire::Number)
        }
        1 => (8, Wire::Number),
        2 => (usize::try_from(varint(bytes)?).ok()?, Wire::Bytes),
        5 => (4, Wire::Number),
        // Groups, which nothing of ours has: what is in them is looked at as if they were not there.
        3 | 4 => return Some((0, Wire::Number, &[])),
        _ => return None,
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((key >> 3, wire, value))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A message and those declared in it, with their full names.
fn with_nested<'a>(scope: &str, message: &'a DescriptorProto) -> Vec<(String, &'a DescriptorProto)> {
    let name = format!("{scope}.{}", message.name());
    let nested: Vec<_> = message.nested_type.iter().flat_map(|one| with_nested(&name, one)).collect();
    std::iter::once((name, message)).chain(nested).collect()
}

fn is_list(field: &FieldDescriptorProto) -> bool {
    field.label() == Label::Repeated
}

fn shape(message: &DescriptorProto, places: &HashMap<&str, usize>, sizes: &Sizes<'_>) -> Shape {
    let entry = |field: &FieldDescriptorProto| {
        let number = u64::try_from(field.number()).ok()?;
        let field = match (field.r#type(), is_list(field)) {
            (Type::Message | Type::Group, true) => {
                let place = *places.get(field.type_name())?;
                Field::Many(place, sizes.of(place, 0))
            }
            (Type::Message | Type::Group, false) => Field::One(*places.get(field.type_name())?),
            (Type::String, true) => Field::Texts(TEXT),
            (Type::Bytes, true) => Field::Texts(BYTES),
            (_, true) => Field::Numbers,
            (_, false) => return None,
        };
        Some((number, field))
    };
    message.field.iter().filter_map(entry).collect()
}

/// How large messages are in memory, about.
struct Sizes<'a> {
    messages: &'a [(String, &'a DescriptorProto)],
    places: &'a HashMap<&'a str, usize>,
}

impl Sizes<'_> {
    fn of(&self, place: usize, depth: u32) -> u64 {
        let Some((_, message)) = self.messages.get(place).filter(|_| depth < MAX_DEPTH) else { return 0 };
        // Of what excludes one another only the largest takes room.
        let mut choices: BTreeMap<i32, u64> = BTreeMap::new();
        let mut all = 0u64;
        for field in &message.field {
            let size = self.of_field(field, depth);
            match field.oneof_index.filter(|_| !field.proto3_optional()) {
                Some(choice) => {
                    let largest = choices.entry(choice).or_default();
                    *largest = size.max(*largest);
                }
                None => all = all.saturating_add(size),
            }
        }
        choices.into_values().fold(all, u64::saturating_add)
    }

    fn of_field(&self, field: &FieldDescriptorProto, depth: u32) -> u64 {
        match field.r#type() {
            _ if is_list(field) => LIST,
            Type::String => TEXT,
            Type::Bytes => BYTES,
            Type::Message | Type::Group => {
                self.places.get(field.type_name()).map_or(0, |place| self.of(*place, depth + 1)) + NUMBER
            }
            _ => NUMBER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{
        Dependency, GraphTask, SubmitGraphRequest, SubmitTaskRequest, SubmitTasksRequest, TransferRequest,
    };
    use crate::v1::{TransferManyRequest, WatchTasksRequest};
    use prost::Name;

    fn weigh<M: Message + Name>(message: &M) -> Result<(), TooHeavy> {
        SHAPES.weigh(SHAPES.request(&M::full_name()).expect("a request"), &message.encode_to_vec())
    }

    fn graph(tasks: Vec<GraphTask>) -> SubmitGraphRequest {
        SubmitGraphRequest { tasks, ..SubmitGraphRequest::default() }
    }

    #[test]
    fn what_is_allowed_is_light_enough() {
        let after: Vec<Dependency> = (0..100)
            .map(|number| Dependency { task_id: format!("task_{}", 100_000 + number), ..Dependency::default() })
            .collect();
        let task = SubmitTaskRequest { after, command: "true".into(), ..SubmitTaskRequest::default() };
        let whole = GraphTask { name: "a task".into(), task: Some(task.clone()) };
        assert_eq!(weigh(&graph(vec![whole; 10_000])), Ok(()));
        assert_eq!(weigh(&graph(vec![GraphTask::default(); 10_001])), Ok(()), "the service says how many it takes");
        assert_eq!(weigh(&SubmitTasksRequest { tasks: vec![task; 9_000], ..SubmitTasksRequest::default() }), Ok(()));
        let transfers = vec![TransferRequest { to_username: "bob".into(), ..TransferRequest::default() }; 10_000];
        assert_eq!(weigh(&TransferManyRequest { transfers, ..TransferManyRequest::default() }), Ok(()));
        let one = SubmitTaskRequest { files: vec!["A".repeat(8 << 20)], ..SubmitTaskRequest::default() };
        assert_eq!(weigh(&one), Ok(()));
        let task_ids = vec!["task_1".to_owned(); 10_000];
        assert_eq!(weigh(&WatchTasksRequest { task_ids, ..WatchTasksRequest::default() }), Ok(()));
    }

    #[test]
    fn lists_of_nothing_are_too_heavy_wherever_they_are() {
        assert_eq!(weigh(&graph(vec![GraphTask::default(); 150_000])), Err(TooHeavy));
        let after = vec![Dependency::default(); 4 << 20];
        let task = SubmitTaskRequest { after, ..SubmitTaskRequest::default() };
        assert_eq!(weigh(&graph(vec![GraphTask { task: Some(task.clone()), ..GraphTask::default() }])), Err(TooHeavy));
        assert_eq!(weigh(&task), Err(TooHeavy));
        let argv = SubmitTaskRequest { argv: vec![String::new(); 4 << 20], ..SubmitTaskRequest::default() };
        assert_eq!(weigh(&argv), Err(TooHeavy));
        let transfers = vec![TransferRequest::default(); 1 << 20];
        assert_eq!(weigh(&TransferManyRequest { transfers, ..TransferManyRequest::default() }), Err(TooHeavy));
    }

    #[test]
    fn no_entry_is_much_larger_than_it_is_weighed() {
        let at = SHAPES.request("hivemind.v1.SubmitGraphRequest").expect("a request");
        let Some(Field::Many(_, each)) = SHAPES.shapes[at].get(&2) else { panic!("tasks are no list") };
        let (real, weighed) = (size_of::<GraphTask>(), usize::try_from(*each).expect("small"));
        assert!(weighed >= real * 3 / 4 && weighed <= real * 2, "{weighed} for {real}");
        // Ten thousand of the largest are free.
        assert!(u64::try_from(weighed).expect("small") * 10_000 <= FREE_BYTES, "{weighed}");
    }

    #[test]
    fn what_is_no_message_is_left_to_whoever_reads_it() {
        let at = SHAPES.request("hivemind.v1.SubmitGraphRequest").expect("a request");
        let whole = graph(vec![GraphTask { name: "a".into(), task: Some(SubmitTaskRequest::default()) }; 1000]);
        let bytes = whole.encode_to_vec();
        for end in (SMALL..bytes.len()).step_by(7) {
            assert_eq!(SHAPES.weigh(at, &bytes[..end]), Ok(()));
        }
        for byte in [0x00, 0x07, 0x0b, 0x12, 0x80, 0xff] {
            assert_eq!(SHAPES.weigh(at, &vec![byte; 100_000]), Ok(()), "{byte:x}");
        }
        assert_eq!(SHAPES.request("hivemind.v1.SubmitGraphResponse"), None);
        assert!(SHAPES.request("hivemind.worker.v1.WorkerMessage").is_some());
    }
}
