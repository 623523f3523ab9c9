"""What a failed gRPC call says: its code, message and the gateway's details.

Details come as google.rpc.Status in the trailing metadata `grpc-status-details-bin`. That message is declared here, as the three fields need no library of their own.
"""

from typing import Any

from fabric_protos.gateway import gateway_pb2 as gateway
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from bal.fabric.errors import ErrorDetail

_TRAILER = "grpc-status-details-bin"


def _status_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="bal/fabric/status.proto",
        package="bal.fabric",
        syntax="proto3",
        dependency=[any_pb2.DESCRIPTOR.name],
    )
    message = file.message_type.add(name="Status")
    kind = descriptor_pb2.FieldDescriptorProto
    message.field.add(name="code", number=1, type=kind.TYPE_INT32, label=kind.LABEL_OPTIONAL)
    message.field.add(name="message", number=2, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    message.field.add(
        name="details",
        number=3,
        type=kind.TYPE_MESSAGE,
        type_name=".google.protobuf.Any",
        label=kind.LABEL_REPEATED,
    )
    pool: Any = descriptor_pool.DescriptorPool()  # its stubs are half typed
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("bal.fabric.Status"))


_Status = _status_class()


def read_details(error: Any) -> tuple[ErrorDetail, ...]:
    """Return the gateway's details of a failed call; none where there are none, or they can't be read."""
    found = []
    for key, value in error.trailing_metadata() or ():
        if key != _TRAILER:
            continue
        try:
            for packed in _Status.FromString(value).details:
                if packed.type_url.rpartition("/")[2] == gateway.ErrorDetail.DESCRIPTOR.full_name:
                    detail = gateway.ErrorDetail.FromString(packed.value)
                    found.append(ErrorDetail(detail.address, detail.message, detail.msp_id))
        except DecodeError:
            continue
    return tuple(found)


def pack_details(code: int, message: str, details: tuple[ErrorDetail, ...]) -> tuple[str, bytes]:
    """Return details as an item of trailing metadata: what a gateway sends."""
    status = _Status(code=code, message=message)
    for detail in details:
        inner = gateway.ErrorDetail(address=detail.address, message=detail.message, msp_id=detail.msp_id)
        url = f"type.googleapis.com/{inner.DESCRIPTOR.full_name}"
        status.details.add(type_url=url, value=inner.SerializeToString())
    return _TRAILER, bytes(status.SerializeToString())
