// SPDX-License-Identifier: Apache-2.0 OR MIT

package libnet

/*
#include <net.h>

// Publishes the events that lie in `bytes` one behind the other, each behind its key, and says how many were accepted before the
// first that was not. A key of SIZE_MAX bytes is none.
static int publish_all(net_producer_t *producer, const char *bytes, const size_t *lens, size_t count, int timeout_ms, size_t *accepted) {
	for (*accepted = 0; *accepted < count; ++*accepted, lens += 2) {
		size_t key_len = lens[0] == SIZE_MAX ? 0 : lens[0];
		const char *key = lens[0] == SIZE_MAX ? NULL : bytes;
		int code = net_producer_ingest(producer, key, key_len, bytes + key_len, lens[1], timeout_ms, NULL);
		if (code != NET_SUCCESS) return code;
		bytes += key_len + lens[1];
	}
	return NET_SUCCESS;
}
*/
import "C"

import (
	"runtime"
	"time"
	"unsafe"
)

// Producer is a way into a bus, for one goroutine at a time.
type Producer struct {
	raw   *C.net_producer_t
	bytes []byte
	lens  []C.size_t
}

// Receipt is what a publisher is told about an accepted event.
type Receipt struct {
	ShardID   uint16
	Timestamp uint64
}

// NewProducer opens a way into the bus.
func (b *Bus) NewProducer() (*Producer, error) {
	var raw *C.net_producer_t
	if _, err := call(func() C.int { return C.net_producer_open(b.handle, &raw) }); err != nil {
		return nil, err
	}
	return &Producer{raw: raw}, nil
}

// Publish publishes one event, which is UTF-8, and waits for room. Events of this producer under one key keep their order; nil is none.
func (p *Producer) Publish(key, event []byte, wait time.Duration) (Receipt, error) {
	var out C.net_receipt_t
	runtime.LockOSThread()
	code := C.net_producer_ingest(p.raw, unsafe.Pointer(start(key)), C.size_t(len(key)), (*C.char)(unsafe.Pointer(present(event))),
		C.size_t(len(event)), milliseconds(wait), &out)
	err := failure(code)
	runtime.UnlockOSThread()
	return Receipt{uint16(out.shard_id), uint64(out.timestamp)}, err
}

// PublishBatch publishes many events with one call of C, each under the key of the same index; nil keys are none. It ends at the first event
// that is not accepted: events[:count] were, and err is why events[count] was not. Each waits for room by itself.
func (p *Producer) PublishBatch(keys, events [][]byte, wait time.Duration) (count int, err error) {
	if keys != nil && len(keys) != len(events) {
		return 0, &Error{ErrInvalidArgument, "as many keys as events"}
	}
	p.bytes, p.lens = p.bytes[:0], p.lens[:0]
	for i, event := range events {
		keyLen := ^C.size_t(0)
		if keys != nil && keys[i] != nil {
			p.bytes = append(p.bytes, keys[i]...)
			keyLen = C.size_t(len(keys[i]))
		}
		p.bytes = append(p.bytes, event...)
		p.lens = append(p.lens, keyLen, C.size_t(len(event)))
	}
	if len(events) == 0 {
		return 0, nil
	}
	var accepted C.size_t
	_, err = call(func() C.int {
		bytes := (*C.char)(unsafe.Pointer(present(p.bytes)))
		return C.publish_all(p.raw, bytes, &p.lens[0], C.size_t(len(events)), milliseconds(wait), &accepted)
	})
	return int(accepted), err
}

// Close gives it back. What it has published is stored.
func (p *Producer) Close() error {
	_, err := call(func() C.int { return C.net_producer_close(p.raw) })
	return err
}

// start is where bytes begin, nil if they are; an empty slice that is not nil has a place too.
func start(bytes []byte) *byte {
	if bytes == nil {
		return nil
	}
	return present(bytes)
}

// present is where bytes begin, although there may be none.
func present(bytes []byte) *byte {
	if len(bytes) == 0 {
		return &nothing
	}
	return &bytes[0]
}

var nothing byte
