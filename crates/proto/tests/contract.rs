//! The public API keeps its names, numbers and types.
//!
//! The table is typed by hand from the published contract; a renumbered field fails here. Fields
//! from 20 on are additions and may grow.

use hivemind_proto::DESCRIPTOR_SET;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorSet};

const FIRST_ADDITION: i32 = 20;

/// Message, then its fields as `number name type`.
const MESSAGES: &[(&str, &str)] = &[
    ("RegisterRequest", "1 username string, 2 password string, 3 email string"),
    ("RegisterResponse", "1 success bool, 2 message string"),
    ("LoginRequest", "1 username string, 2 password string"),
    ("LoginResponse", "1 success bool, 2 token string, 3 message string"),
    ("TransferRequest", "1 token string, 2 to_username string, 3 amount int64"),
    ("TransferResponse", "1 success bool, 2 message string, 3 new_balance int64"),
    ("BalanceRequest", "1 token string"),
    ("BalanceResponse", "1 success bool, 2 balance int64, 3 message string"),
    (
        "SubmitTaskRequest",
        "1 token string, 2 task_name string, 3 docker_image string, 4 command string, 5 files repeated string, \
         6 priority int32, 7 max_runtime int64, 8 required_memory int64, 9 required_cpu_cores int32",
    ),
    ("SubmitTaskResponse", "1 success bool, 2 task_id string, 3 message string"),
    ("TaskStatusRequest", "1 token string, 2 task_id string"),
    (
        "TaskStatusResponse",
        "1 success bool, 2 status string, 3 result string, 4 error_message string, 5 progress int32",
    ),
    (
        "RegisterNodeRequest",
        "1 node_id string, 2 ip_address string, 3 port int32, 4 cpu_cores int32, 5 memory_mb int64, \
         6 disk_gb int64, 7 has_gpu bool, 8 gpu_info string",
    ),
    ("RegisterNodeResponse", "1 success bool, 2 message string, 3 vpn_config string"),
    (
        "ResourceReportRequest",
        "1 node_id string, 2 cpu_usage float, 3 memory_usage float, 4 disk_usage float, 5 gpu_usage float, \
         6 active_tasks int32",
    ),
    ("ResourceReportResponse", "1 success bool, 2 message string"),
];

/// Service, call, what it takes, what it gives.
const CALLS: &[(&str, &str, &str, &str)] = &[
    ("AuthService", "Register", "RegisterRequest", "RegisterResponse"),
    ("AuthService", "Login", "LoginRequest", "LoginResponse"),
    ("TokenService", "Transfer", "TransferRequest", "TransferResponse"),
    ("TokenService", "Balance", "BalanceRequest", "BalanceResponse"),
    ("TaskService", "SubmitTask", "SubmitTaskRequest", "SubmitTaskResponse"),
    ("TaskService", "TaskStatus", "TaskStatusRequest", "TaskStatusResponse"),
    ("NodeService", "RegisterNode", "RegisterNodeRequest", "RegisterNodeResponse"),
    ("NodeService", "ReportResource", "ResourceReportRequest", "ResourceReportResponse"),
];

fn files() -> FileDescriptorSet {
    let mut set = FileDescriptorSet::decode(DESCRIPTOR_SET).expect("the set that the build made");
    set.file.retain(|file| file.package() == "hivemind.v1");
    set
}

fn show(field: &FieldDescriptorProto) -> String {
    let kind = match field.r#type() {
        Type::String => "string",
        Type::Bool => "bool",
        Type::Float => "float",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        other => other.as_str_name(),
    };
    let repeated = if field.label() == Label::Repeated { "repeated " } else { "" };
    format!("{} {} {repeated}{kind}", field.number(), field.name())
}

#[test]
fn every_field_keeps_its_name_number_and_type() {
    let set = files();
    for (name, wanted) in MESSAGES {
        let message = set.file.iter().flat_map(|file| &file.message_type).find(|message| message.name() == *name);
        let message = message.unwrap_or_else(|| panic!("{name} is gone"));
        let mut fields: Vec<_> = message.field.iter().filter(|field| field.number() < FIRST_ADDITION).collect();
        fields.sort_by_key(|field| field.number());
        let found: Vec<String> = fields.into_iter().map(show).collect();
        assert_eq!(found.join(", "), *wanted, "{name}");
    }
}

#[test]
fn every_service_keeps_its_calls() {
    let set = files();
    for (service, call, takes, gives) in CALLS {
        let services = set.file.iter().flat_map(|file| &file.service);
        let method = services.filter(|s| s.name() == *service).flat_map(|s| &s.method).find(|m| m.name() == *call);
        let method = method.unwrap_or_else(|| panic!("{service}.{call} is gone"));
        assert_eq!(method.input_type(), format!(".hivemind.v1.{takes}"));
        assert_eq!(method.output_type(), format!(".hivemind.v1.{gives}"));
    }
}

#[test]
fn no_number_is_given_twice_and_no_file_lacks_its_package() {
    let set = FileDescriptorSet::decode(DESCRIPTOR_SET).expect("the set that the build made");
    for file in &set.file {
        assert!(file.package().starts_with("hivemind."), "{}", file.name());
        for message in &file.message_type {
            let mut numbers: Vec<i32> = message.field.iter().map(FieldDescriptorProto::number).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all, "{} of {}", message.name(), file.name());
        }
    }
}
