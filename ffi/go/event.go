// SPDX-License-Identifier: Apache-2.0 OR MIT

package libnet

// #include <net.h>
// #include <stdlib.h>
import "C"

import "unsafe"

// Event is an event as it was stored. The events of one call share their memory: whoever keeps one keeps all.
type Event struct {
	ID  string
	Raw []byte
	// InsertionTS is in nanoseconds since the Unix epoch.
	InsertionTS uint64
	ShardID     uint16
}

// Page is what a poll has found.
type Page struct {
	Events []Event
	// Cursor is where to poll next; empty if nothing was ever examined.
	Cursor  string
	HasMore bool
}

// Poll reads up to limit events from a cursor on; an empty one is the oldest.
func (b *Bus) Poll(limit int, cursor string) (Page, error) {
	var from *C.char
	if limit < 0 {
		limit = 0 // which C refuses
	}
	if cursor != "" {
		text, err := terminated(cursor)
		if err != nil {
			return Page{}, err
		}
		defer C.free(unsafe.Pointer(text))
		from = text
	}
	var result C.net_poll_result_t
	_, err := call(func() C.int { return C.net_poll_ex(b.handle, C.size_t(limit), from, &result) })
	if err != nil {
		return Page{}, err
	}
	defer C.net_free_poll_result(&result)
	page := Page{Events: copied(result.events, int(result.count)), HasMore: result.has_more != 0}
	if result.next_id != nil {
		page.Cursor = C.GoString(result.next_id)
	}
	return page, nil
}

// copied are the events that C lends, in memory of Go's.
func copied(first *C.net_event_t, count int) []Event {
	if count == 0 {
		return nil
	}
	lent := unsafe.Slice(first, count)
	idBytes, rawBytes := 0, 0
	for i := range lent {
		idBytes += int(lent[i].id_len)
		rawBytes += int(lent[i].raw_len)
	}
	ids, raws := make([]byte, 0, idBytes), make([]byte, 0, rawBytes)
	for i := range lent {
		ids = append(ids, bytesAt(lent[i].id, lent[i].id_len)...)
		raws = append(raws, bytesAt(lent[i].raw, lent[i].raw_len)...)
	}
	text, events := string(ids), make([]Event, count)
	for i := range lent {
		id, raw := int(lent[i].id_len), int(lent[i].raw_len)
		events[i] = Event{text[:id], raws[:raw:raw], uint64(lent[i].insertion_ts), uint16(lent[i].shard_id)}
		text, raws = text[id:], raws[raw:]
	}
	return events
}

func bytesAt(first *C.char, count C.size_t) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(first)), int(count))
}
