// Package heartbeat decides when a waiting activity heartbeats, and with which
// details. A [Pump] decides; the hubs of package async send. Hubs name their
// pumps in async.Options.Pumps, and activities choose one by name in
// async.StartOptions.Pump.
//
// # Pumps
//
// There are three pumps, and an application can write its own:
//
//   - [KeepAlive] heartbeats as long as the activity waits and a hub runs.
//     KeepAlive is the default.
//   - [Probe] asks the external system, and heartbeats as long as the job
//     lives.
//   - [Relay] heartbeats when the external system calls Callback.Heartbeat.
//
// # Write a pump
//
// A [Pump] has two methods: Next computes when a heartbeat is due, and Beat returns
// its content. An [Activity] describes the activity to both. Beat can return
// [ErrDead] to fail the attempt, or a [Beat] with Skip to send nothing.
package heartbeat

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Activity describes a waiting activity to a [Pump].
type Activity struct {
	ID        string `json:"-"` // callback ID: a secret, not to be logged
	Type      string // activity type
	Reference string // set by Pending.Remember
	Labels    map[string]string

	WorkflowID string // empty for a standalone activity
	Attempt    int32
	Timeout    time.Duration // heartbeat timeout; zero if there is none
	Deadline   time.Time     // of the attempt
	LastBeat   time.Time     // when Temporal last heard of the attempt
	Relayed    time.Time     // the time of the oldest Pending.Heartbeat that was not sent yet; zero if there is none
}

// String names the activity without its callback ID.
func (a Activity) String() string { return "activity " + a.Type + " of workflow " + a.WorkflowID }

// GoString returns String, so that %#v does not print the callback ID.
func (a Activity) GoString() string { return a.String() }

// LogValue returns String.
func (a Activity) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Beat is the content of a heartbeat.
type Beat struct {
	Skip    bool // no heartbeat is sent this time
	Details any  // nil repeats the last details
}

// ErrDead means that the external job will never answer. The attempt fails with
// a retryable failure of type [JobDead]. ErrDead may be wrapped; the text of
// the error becomes the message of the failure.
var ErrDead = errors.New("heartbeat: the external job is dead")

// JobDead is the type of the application failure for ErrDead. Retry policies
// and workflows can test for JobDead.
const JobDead = "JobDead"

// Pump decides when a waiting activity heartbeats, and with which details. The
// process that has claimed the activity's entry calls the Pump. This can be
// another process each time, so a Pump must not keep state about an activity.
// The methods of a Pump must be safe for concurrent use.
//
// A Pump may also implement [Asker].
type Pump interface {
	// Next returns when Beat is due. A time in the past means now. The zero
	// time means that no beat is due until something changes: the next
	// Callback.Heartbeat, or the next attempt. Next must be pure and quick. The
	// same arguments give the same time in every process.
	Next(a Activity, now time.Time) time.Time

	// Beat returns the content of a heartbeat, which the hub then sends. Beat
	// may ask the external system. The context of Beat ends after half a claim
	// time at the latest. If Beat returns ErrDead, the attempt fails. After any
	// other error or a panic, nothing is sent, and Beat is called again soon.
	// If that continues for the heartbeat timeout, Temporal times the attempt
	// out.
	Beat(ctx context.Context, a Activity) (Beat, error)
}

// Asker is an optional interface of a [Pump]: it says whether Beat may block.
type Asker interface {
	// Asks reports whether Beat asks an external system, so that it may block.
	// If Asks returns false, Beat must not block: hubs call it inline, without
	// a timeout. Hubs assume true for a Pump that is not an Asker.
	Asks() bool
}
