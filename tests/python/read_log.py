"""usage: read_log.py DIR. Prints every event of a log as a line of JSON, shard by shard and in order. Written from FORMAT.md alone."""
import json, pathlib, sys
from struct import unpack_from as unpack
from xxhash import xxh3_64_intdigest as checksum

def header(data, number):
    for page in (data[:4096], data[4096:8192]):
        if len(page) == 4096 and page.startswith(b"libnetlg") and checksum(page[:4088]) == unpack("<Q", page, 4088)[0]:
            version, _, own_number, salt = unpack("<2I2Q", page, 8)
            jumps = [unpack("<2Q", page, 96 + 16 * i) for i in range(unpack("<I", page, 80)[0])]
            return (salt, jumps) if (version, own_number) == (1, number) else None

def blocks(data, salt):
    at = 8192
    while at + 64 <= len(data):
        found, magic, size, records, count, first, previous_end, durable_end = unpack("<Q4s3I3Q", data, at)
        good = magic == b"blk1" and found == checksum(data[at + 8:at + 64]) ^ salt
        if good:
            yield data[at + 64:at + 64 + records], count, first, previous_end, durable_end
        at += size if good else 4096

def events(body, first, end, salt):
    at = 0
    while at + 40 <= len(body) and first < end:
        found, size, _, sequence, time, routing = unpack("<Q2I3Q", body, at)
        good = first <= sequence < end and at + 40 + size <= len(body) and found == checksum(body[at + 8:at + 40 + size]) ^ salt
        if good:
            yield sequence, time, routing, body[at + 40:at + 40 + size]
        first, at = (sequence + 1, at + (47 + size) // 8 * 8) if good else (first, at + 8)

def log(folder):
    files = [(int(path.stem), path.read_bytes()) for path in sorted(folder.glob("*.seg"))]
    headers = [(found, data) for number, data in files if (found := header(data, number))]
    after = lambda sequence: next((n for e, n in (headers[-1][0][1] if headers else []) if e <= sequence < n), sequence)
    kept, bound, end, durable = [], 1 << 64, 1 << 64, 0
    for (salt, _), data in reversed(headers):
        found = list(blocks(data, salt))
        if found and found[0][1] and found[0][2] < bound and after(found[0][2]) == found[0][2]:
            durable = max([durable] + [block[4] for block in found]) if durable < end else durable
            kept, end, bound = [(salt, found, bound)] + kept, found[0][2], found[0][3]
    end = min(end, durable)
    for salt, found, bound in kept:
        for body, count, first, previous_end, _ in (block for block in found if block[1] and block[2] < bound):
            if first > end and previous_end > max(after(end), durable):
                return
            expected, end = first, min(first + count, bound)
            for sequence, *event in events(body, first, end, salt):
                if sequence > max(expected, durable):
                    return
                if after(sequence) == sequence:
                    yield sequence, *event
                expected = sequence + 1
            if expected < end and end > durable:
                return

root = pathlib.Path(sys.argv[1])
for folder in sorted(root.glob("shard-*")) or [root]:
    shard = 0 if folder == root else int(folder.name[6:])
    for sequence, time, routing, payload in log(folder):
        print(json.dumps({"shard": shard, "sequence": sequence, "timestamp_ns": time, "hash": routing, "payload": payload.hex()}))
