"""Protobuf messages declared by their field numbers, where a protocol publishes them and no generated code is wanted.

In: a package and its messages, each with fields as "number name type"; `*` before the type marks a repeated field, a
capital letter another message of the package, `choice|` before the name a oneof. Out: their classes. They live in a pool
of their own, where the same messages of another library cannot be in their way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_Field = descriptor_pb2.FieldDescriptorProto


def messages(package: str, declared: Mapping[str, Sequence[str]]) -> Callable[[str], type[Any]]:
    """The function that gives the class of each `declared` message by its name.

    >>> point = messages("doc", {"Point": ("1 x int64", "2 y int64")})("Point")
    >>> point(x=1, y=2).SerializeToString()
    b'\\x08\\x01\\x10\\x02'
    """
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file(package, declared))

    def message(name: str) -> type[Any]:
        made: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        return made

    return message


def _file(package: str, declared: Mapping[str, Sequence[str]]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package.replace('.', '/')}.proto", package=package, syntax="proto3"
    )
    for name, lines in declared.items():
        message = file.message_type.add(name=name)
        for line in lines:
            number, field_name, kind = line.split()
            oneof, _, field_name = field_name.rpartition("|")
            field = message.field.add(name=field_name, number=int(number), label=_Field.LABEL_OPTIONAL)
            if kind.startswith("*"):
                field.label, kind = _Field.LABEL_REPEATED, kind[1:]
            if kind[0].isupper():
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
            if oneof:
                if oneof not in [each.name for each in message.oneof_decl]:
                    message.oneof_decl.add(name=oneof)
                field.oneof_index = len(message.oneof_decl) - 1
    return file
