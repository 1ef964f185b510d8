// SPDX-License-Identifier: Apache-2.0 OR MIT

// Goroutines publish batches, each through a producer of its own, and one receives them: orders EVENTS_PER_GOROUTINE
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"libnet"
)

func publish(bus *libnet.Bus, name string, count int) error {
	producer, err := bus.NewProducer()
	if err != nil {
		return err
	}
	defer producer.Close()
	events := make([][]byte, count)
	for i := range events {
		events[i] = []byte(fmt.Sprintf(`{"of":%q,"order":%d}`, name, i))
	}
	accepted, err := producer.PublishBatch(nil, events, time.Minute)
	if err != nil {
		return fmt.Errorf("after %d: %w", accepted, err)
	}
	return nil
}

func run(count int) error {
	bus, err := libnet.Open(`{"num_shards":1,"backpressure_mode":"FailProducer"}`)
	if err != nil {
		return err
	}
	defer bus.Close()
	subscription, err := bus.Subscribe(`{"from":"start"}`)
	if err != nil {
		return err
	}
	defer subscription.Close()
	published := make(chan error)
	for _, name := range []string{"a", "b", "c", "d"} {
		go func(name string) { published <- publish(bus, name, count) }(name)
	}
	for i := 0; i < 4; i++ {
		if err := <-published; err != nil {
			return err
		}
	}
	received := 0
	for received < 4*count {
		events, err := subscription.Next(-1)
		if err != nil {
			return err
		}
		received += len(events)
	}
	fmt.Println(received, "received")
	return bus.Close()
}

func main() {
	if len(os.Args) != 2 {
		os.Exit(2)
	}
	count, err := strconv.Atoi(os.Args[1])
	if err == nil {
		err = run(count)
	}
	if err != nil {
		log.Fatal(err)
	}
}
