"""The public API keeps its names, numbers and types.

The table is typed by hand from the published contract, not derived from the .proto files: a renumbered
field fails here. Fields above 19 are additions and may grow.
"""

import unittest

from google.protobuf.descriptor import FieldDescriptor

from hivemind.v1 import auth_pb2, node_pb2, task_pb2, token_pb2

STRING, BOOL, FLOAT = FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_FLOAT
INT32, INT64 = FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64
REPEATED_STRING = "repeated string"
FIRST_ADDITION = 20

SERVICES = {
    (auth_pb2, "AuthService"): {
        "Register": ("RegisterRequest", "RegisterResponse"),
        "Login": ("LoginRequest", "LoginResponse"),
    },
    (token_pb2, "TokenService"): {
        "Transfer": ("TransferRequest", "TransferResponse"),
        "Balance": ("BalanceRequest", "BalanceResponse"),
    },
    (task_pb2, "TaskService"): {
        "SubmitTask": ("SubmitTaskRequest", "SubmitTaskResponse"),
        "TaskStatus": ("TaskStatusRequest", "TaskStatusResponse"),
    },
    (node_pb2, "NodeService"): {
        "RegisterNode": ("RegisterNodeRequest", "RegisterNodeResponse"),
        "ReportResource": ("ResourceReportRequest", "ResourceReportResponse"),
    },
}

MESSAGES = {
    auth_pb2.RegisterRequest: [("username", STRING), ("password", STRING), ("email", STRING)],
    auth_pb2.RegisterResponse: [("success", BOOL), ("message", STRING)],
    auth_pb2.LoginRequest: [("username", STRING), ("password", STRING)],
    auth_pb2.LoginResponse: [("success", BOOL), ("token", STRING), ("message", STRING)],
    token_pb2.TransferRequest: [("token", STRING), ("to_username", STRING), ("amount", INT64)],
    token_pb2.TransferResponse: [("success", BOOL), ("message", STRING), ("new_balance", INT64)],
    token_pb2.BalanceRequest: [("token", STRING)],
    token_pb2.BalanceResponse: [("success", BOOL), ("balance", INT64), ("message", STRING)],
    task_pb2.SubmitTaskRequest: [
        ("token", STRING),
        ("task_name", STRING),
        ("docker_image", STRING),
        ("command", STRING),
        ("files", REPEATED_STRING),
        ("priority", INT32),
        ("max_runtime", INT64),
        ("required_memory", INT64),
        ("required_cpu_cores", INT32),
    ],
    task_pb2.SubmitTaskResponse: [("success", BOOL), ("task_id", STRING), ("message", STRING)],
    task_pb2.TaskStatusRequest: [("token", STRING), ("task_id", STRING)],
    task_pb2.TaskStatusResponse: [
        ("success", BOOL),
        ("status", STRING),
        ("result", STRING),
        ("error_message", STRING),
        ("progress", INT32),
    ],
    node_pb2.RegisterNodeRequest: [
        ("node_id", STRING),
        ("ip_address", STRING),
        ("port", INT32),
        ("cpu_cores", INT32),
        ("memory_mb", INT64),
        ("disk_gb", INT64),
        ("has_gpu", BOOL),
        ("gpu_info", STRING),
    ],
    node_pb2.RegisterNodeResponse: [("success", BOOL), ("message", STRING), ("vpn_config", STRING)],
    node_pb2.ResourceReportRequest: [
        ("node_id", STRING),
        ("cpu_usage", FLOAT),
        ("memory_usage", FLOAT),
        ("disk_usage", FLOAT),
        ("gpu_usage", FLOAT),
        ("active_tasks", INT32),
    ],
    node_pb2.ResourceReportResponse: [("success", BOOL), ("message", STRING)],
}


def shape(field):
    """The field's type, as the table writes it."""
    return REPEATED_STRING if field.is_repeated and field.type == STRING else field.type


class Contract(unittest.TestCase):
    def test_every_field_keeps_its_name_number_and_type(self):
        for message, fields in MESSAGES.items():
            descriptor = message.DESCRIPTOR
            with self.subTest(descriptor.full_name):
                wanted = [(name, number, kind) for number, (name, kind) in enumerate(fields, start=1)]
                found = [(f.name, f.number, shape(f)) for f in descriptor.fields if f.number < FIRST_ADDITION]
                self.assertEqual(sorted(found), sorted(wanted))

    def test_every_service_keeps_its_calls(self):
        for (module, service), calls in SERVICES.items():
            descriptor = module.DESCRIPTOR.services_by_name[service]
            self.assertEqual(descriptor.full_name, f"hivemind.v1.{service}")
            for name, (asks, answers) in calls.items():
                call = descriptor.methods_by_name[name]
                self.assertEqual((call.input_type.name, call.output_type.name), (asks, answers))


if __name__ == "__main__":
    unittest.main()
