"""Reads TensorBoard's event files: checks lengths and checksums of records, and returns what they hold."""
import struct

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def masked_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """The messages of a file, which must end with a whole record."""
    at = 0
    while at < len(data):
        head = data[at:at + 8]
        (length,), (check,) = struct.unpack("<Q", head), struct.unpack("<I", data[at + 8:at + 12])
        assert check == masked_crc32c(head), f"the length at byte {at} does not match its checksum"
        message = data[at + 12:at + 12 + length]
        (check,) = struct.unpack("<I", data[at + 12 + length:at + 16 + length])
        assert check == masked_crc32c(message), f"the message at byte {at} does not match its checksum"
        yield message
        at += 16 + length


def fields(message):
    """(number, value) of a protocol buffer: an integer, or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        size = {0: 0, 1: 8, 5: 4}.get(key & 7)
        if size == 0:
            yield key >> 3, varint()
            continue
        if size is None:
            size = varint()
        yield key >> 3, message[at:at + size]
        at += size


def content(value):
    """What a Summary.Value holds: a float, ("image", height, width, png), ("audio", rate, frames, wav), ("text", text),
    ("histogram", limits, heights)."""
    found = dict(fields(value))
    if 2 in found:
        return struct.unpack("<f", found[2])[0]
    if 4 in found:
        image = dict(fields(found[4]))
        return "image", image[1], image[2], image[4]
    if 5 in found:
        histogram = dict(fields(found[5]))
        return ("histogram", *(struct.unpack(f"<{len(histogram[i]) // 8}d", histogram[i]) for i in (6, 7)))
    if 6 in found:
        audio = dict(fields(found[6]))
        return "audio", struct.unpack("<f", audio[1])[0], audio[3], audio[4]
    plugin = dict(fields(dict(fields(found[9]))[1]))
    assert plugin[1] == b"text", plugin
    return "text", dict(fields(found[8]))[8].decode()


def events(folder):
    """(step, tag, content) of a run's event files, in the order of the files' names."""
    result = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        messages = list(records(path.read_bytes()))
        assert dict(fields(messages[0]))[3] == b"brain.Event:2", f"{path} begins with another event"
        for message in messages[1:]:
            event = list(fields(message))
            step = dict(event).get(2, 0)
            for number, value in fields(dict(event)[5]):
                assert number == 1, number
                result.append((step, dict(fields(value))[1].decode(), content(value)))
    return result
