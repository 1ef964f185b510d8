# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Who waits in libnet.py, in a thread or in asyncio: what wakes it, what ends it, and that the loop watches nothing afterwards."""
import asyncio
import os
import signal
import threading

import libnet
from libnet import Bus, Code, NetError

CONFIG = {"num_shards": 1, "backpressure_mode": "FailProducer"}


def watched(loop):
    """The descriptors that the loop watches for others than itself."""
    return len(loop._selector.get_map()) - 1


def threads():
    with Bus(CONFIG) as bus:
        subscription, ticks = bus.subscribe(), []
        # The interpreter runs on while the main thread waits.
        other = threading.Thread(target=lambda: [ticks.append(1) for _ in range(1000)] and bus.publish("x"))
        other.start()
        assert [event.raw for event in subscription.next()] == [b"x"] and len(ticks) == 1000
        other.join()
        assert subscription.next(timeout=0) == [] and subscription.next(timeout=0.01) == []
        outcome = []

        def wait():
            try:
                subscription.next()
            except NetError as error:
                outcome.append(error.code)

        waiting = threading.Thread(target=wait)
        waiting.start()
        subscription.close()
        waiting.join()
        assert outcome == [Code.INVALID_ARGUMENT]


def a_loop_that_is_left_loses_nothing():
    with Bus(CONFIG) as bus:
        subscription = bus.subscribe()
        bus.publish_batch([str(number) for number in range(100)])
        seen = []
        for _ in range(50):
            for event in subscription:
                seen.append(int(event.raw))
                break
        seen += [int(event.raw) for event in subscription.next(limit=7)]
        assert len(subscription.next(limit=1000)) == 43 and seen == list(range(57))


def a_handler_of_a_signal_closes():
    with Bus(CONFIG) as bus:
        subscription = bus.subscribe()
        signal.signal(signal.SIGUSR1, lambda *_: subscription.close())
        timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGUSR1])
        timer.start()
        try:
            subscription.next()
            raise AssertionError("it was not closed")
        except NetError as error:
            assert error.code == Code.INVALID_ARGUMENT
        timer.join()
        assert not subscription._ends.alive


def a_handler_that_comes_while_events_are_copied_takes_nothing_from_under_the_copy():
    with Bus(CONFIG) as bus:
        subscription, copied, ended = bus.subscribe(), libnet._copied, []

        def handle(*_):
            subscription.close()
            try:
                subscription.next(timeout=0)
            except NetError as error:
                ended.append((error.code, subscription._ends.alive))

        def interrupted(events, count):
            os.kill(os.getpid(), signal.SIGUSR1)
            return copied(events, count)

        signal.signal(signal.SIGUSR1, handle)
        libnet._copied = interrupted
        bus.publish("x")
        taken = subscription.next()
        libnet._copied = copied
        assert [event.raw for event in taken] == [b"x"]
        assert ended == [(Code.INVALID_ARGUMENT, True)] and not subscription._ends.alive


def what_ends_a_subscription_waits_for_who_copies():
    with Bus(CONFIG) as bus:
        subscription, copied, inside, go_on = bus.subscribe(), libnet._copied, threading.Event(), threading.Event()

        def slowly(events, count):
            inside.set()
            go_on.wait()
            return copied(events, count)

        libnet._copied = slowly
        bus.publish("x")
        taken = []
        taker = threading.Thread(target=lambda: taken.extend(subscription.next()))
        taker.start()
        inside.wait()
        # As the interpreter does when it exits.
        ender = threading.Thread(target=subscription._ends)
        ender.start()
        ender.join(0.2)
        assert ender.is_alive(), "it ended under the copy"
        go_on.set()
        taker.join()
        ender.join()
        libnet._copied = copied
        assert [event.raw for event in taken] == [b"x"]


async def wakes_and_ends():
    loop = asyncio.get_running_loop()
    bus = Bus(CONFIG)
    subscription, received = bus.subscribe(), []

    async def receive():
        async for event in subscription:
            received.append(event.raw)

    task = loop.create_task(receive())
    for number in range(3):
        while watched(loop) == 0:
            await asyncio.sleep(0)  # until it waits
        bus.publish(str(number))
        while len(received) == number:
            await asyncio.sleep(0)
    while watched(loop) == 0:
        await asyncio.sleep(0)
    try:
        async for _ in subscription:
            raise AssertionError("two tasks take the same events")
    except NetError as error:
        assert error.code == Code.INVALID_ARGUMENT
    bus.shutdown()
    await task
    assert received == [b"0", b"1", b"2"] and watched(loop) == 0


async def leaves_nothing_watched():
    loop = asyncio.get_running_loop()
    with Bus(CONFIG) as bus:
        subscription = bus.subscribe()

        async def receive():
            async for _ in subscription:
                pass

        # A task that is cancelled.
        task = loop.create_task(receive())
        while watched(loop) == 0:
            await asyncio.sleep(0)
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        assert watched(loop) == 0
        # An iterator that is dropped between two events.
        bus.publish_batch([b"a", b"b"])
        iterator = subscription.__aiter__()
        assert (await iterator.__anext__()).raw == b"a" and watched(loop) == 0
        del iterator
        assert [event.raw for event in subscription.next()] == [b"b"]
        # A subscription that is closed while a task waits, from another thread and from the loop's.
        task = loop.create_task(receive())
        while watched(loop) == 0:
            await asyncio.sleep(0)
        elsewhere = loop.run_in_executor(None, subscription.close)
        refusal = (await asyncio.gather(elsewhere, return_exceptions=True))[0]
        assert isinstance(refusal, NetError) and refusal.code == Code.INVALID_ARGUMENT, refusal
        subscription.close()
        assert watched(loop) == 0
        error = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(error, NetError) and error.code == Code.INVALID_ARGUMENT, error


threads()
a_loop_that_is_left_loses_nothing()
a_handler_of_a_signal_closes()
a_handler_that_comes_while_events_are_copied_takes_nothing_from_under_the_copy()
what_ends_a_subscription_waits_for_who_copies()
asyncio.run(wakes_and_ends())
asyncio.run(leaves_nothing_watched())
