# SPDX-License-Identifier: Apache-2.0 OR MIT
"""What libnet.py adds to the C ABI: batches with bad entries, cursors, errors with code and detail, ends, garbage and forks."""
import gc
import os
import threading

import libnet
from libnet import Bus, Code, NetError, ShutDown


def refused(call, code):
    try:
        call()
    except NetError as error:
        assert error.code == code and error.detail and error.detail in str(error), repr(error)
        return error
    raise AssertionError(f"{code.name} was not raised")


def batches_and_pages():
    with Bus({"num_shards": 1, "max_event_bytes": 1000}) as bus:
        texts = [b"%d" % number for number in range(100)]
        result = bus.publish_batch(texts[:50] + [b"\xff", "ü", "x" * 1001, b"a\0b", ""] + texts[50:])
        assert result.accepted == 103 and result.failed == [50, 52], result
        assert bus.publish_batch([]) == (0, []) and bus.publish_batch([b"\xff"]) == (0, [0])
        bus.flush()
        pages = list(bus.pages(limit=7))
        raw = [event.raw for page in pages for event in page]
        assert raw == texts[:50] + ["ü".encode(), b"a\0b", b""] + texts[50:], raw
        assert [len(page) for page in pages][:2] == [7, 7] and pages[0].events[0].id == "1"
        rest = [event.raw for page in bus.pages(pages[2].cursor) for event in page]
        assert rest == raw[21:]
        last = pages[-1].cursor
        assert bus.poll(cursor=last) == libnet.Page([], last, False)
        receipt = bus.publish_keyed(b"\xffkey\0", "one")
        assert receipt.shard_id == 0 and receipt.timestamp > 0
        bus.publish_json({"price": 7})
        bus.flush()
        assert [event.raw for event in bus.poll(cursor=last)] == [b"one", b'{"price": 7}']
        answer = bus.poll_json({"filter": {"path": "price", "value": 7}})
        assert answer["events"] == [{"price": 7}], answer
        assert bus.stats()["events_ingested"] == 105 and "libnet_ingested_events_total 105" in bus.metrics()


def errors():
    assert refused(lambda: Bus({"num_shard": 1}), Code.INVALID_CONFIG).detail.startswith("num_shard")
    refused(lambda: Bus(b'{"num_shards":1}\0'), Code.INTERIOR_NUL)
    bus = Bus({"num_shards": 1})
    refused(lambda: bus.publish(b"\xff"), Code.INVALID_UTF8)
    refused(lambda: bus.publish_json("{"), Code.INVALID_JSON)
    refused(lambda: bus.poll(0), Code.INVALID_ARGUMENT)
    refused(lambda: bus.poll(2**64 + 1), Code.INVALID_ARGUMENT)
    refused(lambda: bus.poll(cursor="nonsense"), Code.POLL_FAILED)
    refused(lambda: bus.subscribe("now", unknown=1), Code.INVALID_JSON)
    for wrong in (7, None, bytearray(b"x")):
        try:
            bus.publish(wrong)
            raise AssertionError("what has no bytes was published")
        except TypeError:
            pass
    subscription = bus.subscribe("start")
    bus.publish("last")
    assert bus.shutdown_within(float("inf")) == 0
    for call in (lambda: bus.publish("x"), bus.flush, bus.stats, bus.shutdown, bus.poll, bus.subscribe):
        assert isinstance(refused(call, Code.SHUTTING_DOWN), ShutDown)
    assert bus.num_shards == 0
    # What had been pushed is still given, and then the iteration ends.
    assert [event.raw for event in subscription] == [b"last"]
    refused(subscription.next, Code.SHUTTING_DOWN)
    assert subscription.cursor() and subscription.skipped() == 0
    subscription.close()
    subscription.close()
    refused(subscription.next, Code.INVALID_ARGUMENT)


def garbage():
    bus = Bus({"num_shards": 1})
    for _ in range(10):
        bus.subscribe()
    gc.collect()
    assert bus.stats()["subscriptions"] == [], "subscriptions outlive who had them"
    subscription = bus.subscribe("start")
    bus.publish("x")
    del bus
    gc.collect()
    assert [event.raw for event in subscription.next()] == [b"x"]
    assert subscription.next(timeout=0) == []  # and not the bus's end: it is kept


def forks():
    bus = Bus({"num_shards": 1})
    subscription = bus.subscribe()
    waiting = threading.Thread(target=lambda: refused(subscription.next, Code.INVALID_ARGUMENT))
    waiting.start()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for call in (lambda: bus.publish("x"), bus.flush, subscription.next, subscription.close):
                refused(call, Code.FORKED)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    subscription.close()
    waiting.join()
    bus.shutdown()


batches_and_pages()
errors()
garbage()
forks()
