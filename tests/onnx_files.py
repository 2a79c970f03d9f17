"""ONNX files of a node or two, written by hand, without the package onnx. Numbers of fields are those of onnx.proto."""

FLOAT, UINT8 = 1, 2


def number(value):
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(key, value):
    """A field of a message: a number, text, or the bytes of another message."""
    if isinstance(value, int):
        return number(key << 3) + number(value)
    data = value.encode() if isinstance(value, str) else value
    return number(key << 3 | 2) + number(len(data)) + data


def tensor(name, shape, kind):
    sides = b"".join(field(1, field(1, side) if isinstance(side, int) else field(2, side)) for side in shape)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sides)))


def node(operator, inputs, output, **numbers):
    """Numbers are attributes: an int or a tuple of ints."""
    message = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)
    for name, value in numbers.items():
        single = isinstance(value, int)
        values = field(3, value) if single else b"".join(field(8, one) for one in value)
        message += field(5, field(1, name) + values + field(20, 2 if single else 7))
    return message


def write(path, nodes, inputs, output="map"):
    """inputs: (name, shape, kind); a side that is no number is any."""
    graph = b"".join(field(1, one) for one in nodes) + field(2, "g")
    graph += b"".join(field(11, tensor(*one)) for one in inputs)
    graph += field(12, field(1, output) + field(2, field(1, field(1, FLOAT))))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 13)))
    return path


def mean_of_colours(path, shape=(1, 3, 16, 16), axes=(1,), kind=FLOAT):
    """A network whose map is the mean of the three colours."""
    cast = node("Cast", ["picture"], "numbers", to=FLOAT)
    mean = node("ReduceMean", ["numbers"], "map", axes=axes, keepdims=1)
    return write(path, [cast, mean], [("picture", shape, kind)])
