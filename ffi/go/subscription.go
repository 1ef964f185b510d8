// SPDX-License-Identifier: Apache-2.0 OR MIT

package libnet

// #include <net.h>
// #include <stdlib.h>
import "C"

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Subscription is a cursor that the shards push into. A goroutine that waits in it holds no thread: Go's own poller watches the
// descriptor. Several may call it; one after the other is served, and the timeout of a call counts from its turn.
type Subscription struct {
	taking sync.Mutex
	raw    *C.net_subscription_t
	// Memory of C's: what lies there are addresses of the library's, which may be Go's own once the library has given them back.
	buffer *C.net_event_t
	// A descriptor of ours on what the library's is readable for.
	ready *os.File
	poll  syscall.RawConn
}

const chunk = 1024

// Subscribe makes one. The request is that of net_subscribe, such as {"from":"start"}.
func (b *Bus) Subscribe(request string) (*Subscription, error) {
	text, err := terminated(request)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(text))
	s := &Subscription{}
	if _, err = call(func() C.int { return C.net_subscribe(b.handle, text, &s.raw) }); err != nil {
		return nil, err
	}
	s.buffer = (*C.net_event_t)(C.calloc(chunk, C.sizeof_net_event_t))
	if err = s.watch(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Subscription) watch() error {
	descriptor, err := call(func() C.int { return C.net_subscription_fd(s.raw) })
	if err != nil {
		return err
	}
	own, _, number := syscall.Syscall(syscall.SYS_FCNTL, uintptr(descriptor), syscall.F_DUPFD_CLOEXEC, 0)
	if number != 0 {
		return number
	}
	s.ready = os.NewFile(own, "net_subscription")
	s.poll, err = s.ready.SyscallConn()
	return err
}

// Next gives up to 1,024 events, of one shard: those that are there or come in time, none if none came. A timeout of 0 looks once, a
// negative one waits for ever. ErrShuttingDown is the end: the bus has ended, and everything was given. Close ends a call with
// os.ErrClosed.
func (s *Subscription) Next(timeout time.Duration) ([]Event, error) {
	s.taking.Lock()
	defer s.taking.Unlock()
	events, err := s.take()
	if len(events) > 0 || err != nil || timeout == 0 {
		return events, err
	}
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	if err = s.ready.SetReadDeadline(deadline); err != nil {
		return nil, os.ErrClosed
	}
	// The poller is edge-triggered: it hears of what comes after a look that has found nothing.
	waited := s.poll.Read(func(uintptr) bool {
		events, err = s.take()
		return len(events) > 0 || err != nil
	})
	switch {
	case waited == nil:
		return events, err
	case errors.Is(waited, os.ErrDeadlineExceeded):
		return nil, nil
	default:
		return nil, os.ErrClosed
	}
}

func (s *Subscription) take() ([]Event, error) {
	if s.buffer == nil {
		return nil, os.ErrClosed
	}
	count, err := call(func() C.int { return C.net_next(s.raw, s.buffer, chunk, 0) })
	if err != nil {
		return nil, err
	}
	return copied(s.buffer, count), nil
}

// Cursor is where to go on, behind everything that Next has given, and how many events retention has removed before they were given,
// since this was asked last. It waits for its turn too.
func (s *Subscription) Cursor() (cursor string, skipped uint64, err error) {
	s.taking.Lock()
	defer s.taking.Unlock()
	var count C.uint64_t
	cursor, err = written(func(out *C.char, size C.size_t) C.int { return C.net_subscription_cursor(s.raw, out, size, &count) })
	return cursor, uint64(count), err
}

// Close ends it, also while another goroutine is in Next.
func (s *Subscription) Close() error {
	if s.ready != nil {
		_ = s.ready.Close() // who waits is sent away, and the poller lets go
	}
	s.taking.Lock()
	defer s.taking.Unlock()
	C.free(unsafe.Pointer(s.buffer))
	s.buffer = nil
	_, err := call(func() C.int { return C.net_unsubscribe(s.raw) })
	return err
}
