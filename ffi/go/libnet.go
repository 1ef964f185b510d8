// SPDX-License-Identifier: Apache-2.0 OR MIT

// Package libnet is libnet in Go 1.19 and later, over cgo. The installed library is found by `pkg-config net`.
//
// net.h has what holds for every call; what differs here:
//
//   - Goroutines hop between threads, so they publish through a Producer: each has its own, or guards one with a lock.
//   - Everything that is given is copied, with one allocation for the bytes of a call. A call of C costs some 50 ns or more, so that many
//     events go through one: PublishBatch, Poll, Next.
//   - A failure is an *Error, and errors.Is tells its code: errors.Is(err, libnet.ErrShuttingDown).
//   - Nothing is closed by the garbage collector: what was opened is to be closed, in any order.
package libnet

/*
#cgo pkg-config: net
#include <net.h>
#include <stdlib.h>
*/
import "C"

import (
	"math"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

// Code is what net.h calls net_error_t.
type Code int

// The codes, by their names in net.h.
const (
	ErrNullPointer       Code = C.NET_ERR_NULL_POINTER
	ErrInvalidUTF8       Code = C.NET_ERR_INVALID_UTF8
	ErrInvalidJSON       Code = C.NET_ERR_INVALID_JSON
	ErrInitFailed        Code = C.NET_ERR_INIT_FAILED
	ErrIngestionFailed   Code = C.NET_ERR_INGESTION_FAILED
	ErrPollFailed        Code = C.NET_ERR_POLL_FAILED
	ErrBufferTooSmall    Code = C.NET_ERR_BUFFER_TOO_SMALL
	ErrShuttingDown      Code = C.NET_ERR_SHUTTING_DOWN
	ErrIntOverflow       Code = C.NET_ERR_INT_OVERFLOW
	ErrMismatchedHandles Code = C.NET_ERR_MISMATCHED_HANDLES
	ErrInteriorNul       Code = C.NET_ERR_INTERIOR_NUL
	ErrInvalidArgument   Code = C.NET_ERR_INVALID_ARGUMENT
	ErrTimeout           Code = C.NET_ERR_TIMEOUT
	ErrUnsupported       Code = C.NET_ERR_UNSUPPORTED
	ErrForked            Code = C.NET_ERR_FORKED
	ErrPanic             Code = C.NET_ERR_PANIC
	ErrNoIoUring         Code = C.NET_ERR_NO_IO_URING
	ErrInvalidConfig     Code = C.NET_ERR_INVALID_CONFIG
	ErrAdapter           Code = C.NET_ERR_ADAPTER
	ErrTooLarge          Code = C.NET_ERR_TOO_LARGE
	ErrUnknown           Code = C.NET_ERR_UNKNOWN
)

func (code Code) Error() string { return C.GoString(C.net_strerror(C.int(code))) }

// Error is a call that has failed: its code, and what net_last_error has said.
type Error struct {
	Code   Code
	Detail string
}

func (e *Error) Error() string { return e.Detail }

// Unwrap gives the code, for errors.Is.
func (e *Error) Unwrap() error { return e.Code }

// failure is the error of a code. The detail is the thread's own, so that the goroutine must not have left the thread of the call.
func failure(code C.int) error {
	if code >= 0 {
		return nil
	}
	return &Error{Code(code), C.GoString(C.net_last_error())}
}

// call calls C, and its error is of that call.
func call(function func() C.int) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	code := function()
	return int(code), failure(code)
}

// terminated is a text of C's, to be freed. A NUL would end it early.
func terminated(text string) (*C.char, error) {
	if strings.IndexByte(text, 0) >= 0 {
		return nil, &Error{ErrInteriorNul, "text has a NUL in it"}
	}
	return C.CString(text), nil
}

// milliseconds are those of a duration, rounded up, as many as an int of C has; negative ones are alike.
func milliseconds(duration time.Duration) C.int {
	whole := int64(duration / time.Millisecond)
	switch {
	case duration < 0:
		return -1
	case whole >= math.MaxInt32:
		return math.MaxInt32
	case duration%time.Millisecond > 0:
		whole++
	}
	return C.int(whole)
}

// Version is that of the library.
func Version() string { return C.GoString(C.net_version()) }

// Bus is a bus. Any goroutine may call anything at any time.
type Bus struct {
	// A number that no address of this process is, so that the garbage collector passes over it.
	handle C.net_handle_t
}

// Open starts a bus; an empty configuration means all defaults.
func Open(config string) (*Bus, error) {
	text, err := terminated(config)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(text))
	var handle C.net_handle_t
	if _, err = call(func() C.int { return C.net_init_ex(text, &handle) }); err != nil {
		return nil, err
	}
	return &Bus{handle}, nil
}

// Close stores what was accepted and ends the bus, within shutdown_timeout_ms. Every later call is ErrShuttingDown.
func (b *Bus) Close() error {
	_, err := call(func() C.int { return C.net_shutdown(b.handle) })
	return err
}

// CloseWithin is Close with a deadline of its own, and says how many events could not be stored, with ErrTimeout if any.
func (b *Bus) CloseWithin(limit time.Duration) (notStored uint64, err error) {
	var count C.uint64_t
	_, err = call(func() C.int { return C.net_shutdown_within(b.handle, milliseconds(limit), &count) })
	return uint64(count), err
}

// Flush waits until everything accepted before is stored.
func (b *Bus) Flush() error {
	_, err := call(func() C.int { return C.net_flush(b.handle) })
	return err
}

// Stats is the JSON of net_stats.
func (b *Bus) Stats() (string, error) {
	return written(func(out *C.char, size C.size_t) C.int { return C.net_stats(b.handle, out, size) })
}

// Metrics is the text of net_metrics, for Prometheus.
func (b *Bus) Metrics() (string, error) {
	return written(func(out *C.char, size C.size_t) C.int { return C.net_metrics(b.handle, out, size) })
}

// Query is net_poll: a request in JSON with a filter or an order by time, and its answer in JSON.
func (b *Bus) Query(request string) (string, error) {
	text, err := terminated(request)
	if err != nil {
		return "", err
	}
	defer C.free(unsafe.Pointer(text))
	return written(func(out *C.char, size C.size_t) C.int { return C.net_poll(b.handle, text, out, size) })
}

// written is the text that a function writes, in as much memory as it takes.
func written(write func(*C.char, C.size_t) C.int) (string, error) {
	for size := 4096; ; size *= 2 {
		out := make([]byte, size)
		count, err := call(func() C.int { return write((*C.char)(unsafe.Pointer(&out[0])), C.size_t(size)) })
		if Code(count) == ErrBufferTooSmall {
			continue
		}
		if err != nil {
			return "", err
		}
		return string(out[:count]), nil
	}
}
