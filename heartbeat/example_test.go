package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/heartbeat"
)

// A probe asks the system that runs the job. The details of its answer become
// the details of the heartbeat.
func ExampleProbe() {
	status := map[string]string{"job-7": "40 %", "job-8": "crashed"} // the system's answers
	probe := heartbeat.Probe(func(ctx context.Context, a heartbeat.Activity) (any, error) {
		progress := status[a.Reference]
		if progress == "crashed" {
			return nil, fmt.Errorf("%w: it crashed", heartbeat.ErrDead)
		}
		return progress, nil
	}, heartbeat.ProbeOptions{})

	// Hubs call Beat whenever the activity is due for a heartbeat.
	beat, err := probe.Beat(context.Background(), heartbeat.Activity{Reference: "job-7"})
	fmt.Println(beat.Details, err)
	_, err = probe.Beat(context.Background(), heartbeat.Activity{Reference: "job-8"})
	fmt.Println(errors.Is(err, heartbeat.ErrDead), err)

	// Output:
	// 40 % <nil>
	// true heartbeat: the external job is dead: it crashed
}

// A relay heartbeats only after the external system has called
// Callback.Heartbeat.
func ExampleRelay() {
	relay := heartbeat.Relay(heartbeat.RelayOptions{MinInterval: 10 * time.Second})
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	a := heartbeat.Activity{Timeout: time.Minute, LastBeat: now}
	fmt.Println("nothing brought:", relay.Next(a, now).IsZero())

	a.Relayed = now.Add(3 * time.Second)
	fmt.Println("brought after 3 s, sent after:", relay.Next(a, now).Sub(now))

	// Output:
	// nothing brought: true
	// brought after 3 s, sent after: 10s
}

// KeepAlive heartbeats for any activity that has a heartbeat timeout.
func ExampleKeepAlive() {
	keepAlive := heartbeat.KeepAlive(heartbeat.KeepAliveOptions{})
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	fmt.Println("without a timeout:", keepAlive.Next(heartbeat.Activity{LastBeat: now}, now).IsZero())

	next := keepAlive.Next(heartbeat.Activity{ID: "x", LastBeat: now, Timeout: time.Minute}, now)
	fmt.Println("within a third of a timeout of 1m:", next.Sub(now) <= 20*time.Second)

	// Output:
	// without a timeout: true
	// within a third of a timeout of 1m: true
}
