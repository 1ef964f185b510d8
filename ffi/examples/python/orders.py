# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Publishes a batch, and reads it back page by page.  usage: orders.py EVENTS"""
import sys

import libnet


def main(count: int) -> None:
    with libnet.Bus({"num_shards": 1}) as bus:
        result = bus.publish_batch([b'{"order":%d}' % number for number in range(count)] + [b"\xff"])
        print(f"{result.accepted} accepted, not {result.failed}")
        bus.flush()
        received = 0
        for page in bus.pages(limit=10):
            for event in page:
                if received == 0:
                    print(event.id, event.raw.decode())
                received += 1
        print(f"{received} read back")
        try:
            bus.publish_json("{")
        except libnet.NetError as error:
            print(f"refused: {error.code.name if isinstance(error.code, libnet.Code) else error.code}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
