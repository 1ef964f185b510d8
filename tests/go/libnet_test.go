// SPDX-License-Identifier: Apache-2.0 OR MIT

// What the Go package holds: order and wholeness of what many goroutines publish, ends that race, and errors with their codes.
package tests

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"libnet"
)

const config = `{"num_shards":1,"backpressure_mode":"FailProducer"}`

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestEightGoroutinesPublishBatchesAndEachOnesOrderIsKept(t *testing.T) {
	const goroutines, rounds, each = 8, 100, 50
	bus := must(libnet.Open(config))
	subscription := must(bus.Subscribe(`{"from":"start"}`))
	var publishing sync.WaitGroup
	for number := 0; number < goroutines; number++ {
		publishing.Add(1)
		go func(number int) {
			defer publishing.Done()
			producer := must(bus.NewProducer())
			for round := 0; round < rounds; round++ {
				var keys, events [][]byte
				for i := 0; i < each; i++ {
					keys = append(keys, []byte(fmt.Sprint(number)))
					events = append(events, []byte(fmt.Sprintf("%d %d", number, round*each+i)))
				}
				if count, err := producer.PublishBatch(keys, events, time.Minute); count != each || err != nil {
					t.Errorf("%d of %d: %v", count, each, err)
				}
				runtime.Gosched()
			}
			must(0, producer.Close())
		}(number)
	}
	var next [goroutines]int
	for received := 0; received < goroutines*rounds*each; {
		for _, event := range must(subscription.Next(-1)) {
			var number, i int
			must(fmt.Sscanf(string(event.Raw), "%d %d", &number, &i))
			if next[number] != i {
				t.Fatalf("%q after %d", event.Raw, next[number])
			}
			next[number]++
			received++
		}
	}
	publishing.Wait()
	must(0, subscription.Close())
	must(0, bus.Close())
}

func TestABatchEndsAtTheFirstEventThatIsNotAccepted(t *testing.T) {
	bus := must(libnet.Open(config))
	producer := must(bus.NewProducer())
	count, err := producer.PublishBatch(nil, [][]byte{[]byte("a"), {}, {0xff}, []byte("d")}, 0)
	if count != 2 || !errors.Is(err, libnet.ErrInvalidUTF8) {
		t.Fatal(count, err)
	}
	must(producer.Publish([]byte{}, nil, 0))
	must(0, bus.Flush())
	if page := must(bus.Poll(100, "")); len(page.Events) != 3 || string(page.Events[0].Raw) != "a" {
		t.Fatal(page)
	}
	must(0, bus.Close())
	if count, err = producer.PublishBatch(nil, [][]byte{[]byte("a")}, 0); count != 0 || !errors.Is(err, libnet.ErrShuttingDown) {
		t.Fatal(count, err)
	}
	must(0, producer.Close())
}

func TestPagesGoOnFromTheirCursor(t *testing.T) {
	bus := must(libnet.Open(config))
	producer := must(bus.NewProducer())
	for i := 0; i < 100; i++ {
		must(producer.Publish(nil, []byte(fmt.Sprint(i)), time.Minute))
	}
	must(0, bus.Flush())
	cursor, seen := "", 0
	for {
		page := must(bus.Poll(7, cursor))
		for _, event := range page.Events {
			if string(event.Raw) != fmt.Sprint(seen) || event.ID != fmt.Sprint(seen+1) {
				t.Fatal(event, seen)
			}
			seen++
		}
		if cursor = page.Cursor; !page.HasMore {
			break
		}
	}
	if seen != 100 {
		t.Fatal(seen)
	}
	must(0, bus.Close())
}

func TestAWaitEndsWithItsTimeACloseAndTheBus(t *testing.T) {
	bus := must(libnet.Open(config))
	subscription := must(bus.Subscribe("{}"))
	if events, err := subscription.Next(10 * time.Millisecond); events != nil || err != nil {
		t.Fatal(events, err)
	}
	ended := make(chan error)
	go func() {
		_, err := subscription.Next(-1)
		ended <- err
	}()
	waitsInThePoller()
	must(0, subscription.Close())
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Fatal(err)
	}
	if err := subscription.Close(); !errors.Is(err, libnet.ErrInvalidArgument) {
		t.Fatal(err)
	}
	subscription = must(bus.Subscribe("{}"))
	go func() {
		_, err := subscription.Next(-1)
		ended <- err
	}()
	waitsInThePoller()
	must(0, bus.Close())
	if err := <-ended; !errors.Is(err, libnet.ErrShuttingDown) {
		t.Fatal(err)
	}
	must(0, subscription.Close())
}

// Returns when a goroutine waits for a descriptor.
func waitsInThePoller() {
	stacks := make([]byte, 1<<20)
	for !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "[IO wait") {
		runtime.Gosched()
	}
}

func TestErrorsHaveTheirCodeAndTheDetailOfTheirOwnCall(t *testing.T) {
	var calling sync.WaitGroup
	for number := 0; number < 64; number++ {
		calling.Add(1)
		go func(number int) {
			defer calling.Done()
			for i := 0; i < 100; i++ {
				key := fmt.Sprintf("unknown_%d", number)
				_, err := libnet.Open(fmt.Sprintf(`{"%s":1}`, key))
				if !errors.Is(err, libnet.ErrInvalidConfig) || !strings.Contains(err.Error(), key+"`") && !strings.HasPrefix(err.Error(), key) {
					t.Error(err)
				}
			}
		}(number)
	}
	calling.Wait()
	for _, err := range []error{
		func() error { _, err := libnet.Open("{}\x00"); return err }(),
		func() error { _, err := (&libnet.Bus{}).Poll(1, "a\x00b"); return err }(),
	} {
		if !errors.Is(err, libnet.ErrInteriorNul) {
			t.Error(err)
		}
	}
	if err := (&libnet.Bus{}).Flush(); !errors.Is(err, libnet.ErrNullPointer) {
		t.Error(err)
	}
}

func TestStatisticsAreRead(t *testing.T) {
	bus := must(libnet.Open(config))
	if stats := must(bus.Stats()); !strings.Contains(stats, `"events_ingested":0`) {
		t.Error(stats)
	}
	if metrics := must(bus.Metrics()); !strings.HasSuffix(metrics, "# EOF\n") {
		t.Error(metrics)
	}
	if answer := must(bus.Query(`{"limit":1}`)); !strings.Contains(answer, `"count":0`) {
		t.Error(answer)
	}
	must(0, bus.Close())
}

func BenchmarkPublish(b *testing.B) {
	bus := must(libnet.Open(`{"num_shards":1,"backpressure_mode":"FailProducer"}`))
	producer := must(bus.NewProducer())
	event := []byte(strings.Repeat("x", 100))
	for i := 0; i < b.N; i++ {
		must(producer.Publish(nil, event, time.Minute))
	}
	must(0, bus.Close())
}

func BenchmarkPublishBatchOf64(b *testing.B) {
	bus := must(libnet.Open(`{"num_shards":1,"backpressure_mode":"FailProducer"}`))
	producer := must(bus.NewProducer())
	events := make([][]byte, 64)
	for i := range events {
		events[i] = []byte(strings.Repeat("x", 100))
	}
	for i := 0; i < b.N; i += len(events) {
		must(producer.PublishBatch(nil, events, time.Minute))
	}
	must(0, bus.Close())
}
