// Package heartbeat says when an activity that waits for the outside
// heartbeats, and what the heartbeat says. A [Pump] decides; the hubs of
// package async, which name their pumps in their options, send.
//
// [KeepAlive] beats for as long as somebody runs a hub, [Probe] for as long as
// the outside says that its job lives, and [Relay] whenever the outside beats.
package heartbeat

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Activity is what a [Pump] knows of an activity that waits.
type Activity struct {
	ID        string `json:"-"` // callback ID, for the outside only: not to be logged
	Type      string // activity type
	Reference string // what Pending.Remember kept
	Labels    map[string]string

	WorkflowID string // empty for a standalone activity
	Attempt    int32
	Timeout    time.Duration // heartbeat timeout; zero: none
	Deadline   time.Time     // of the attempt
	LastBeat   time.Time     // when Temporal last heard of the attempt
	Relayed    time.Time     // the oldest Pending.Heartbeat not sent yet; zero: none
}

// String tells which activity it is, without its callback ID.
func (a Activity) String() string { return "activity " + a.Type + " of workflow " + a.WorkflowID }

// GoString is String, so that %#v doesn't print the callback ID.
func (a Activity) GoString() string { return a.String() }

// LogValue is String.
func (a Activity) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Beat is what a heartbeat says.
type Beat struct {
	Skip    bool // send nothing this time
	Details any  // nil: the details sent last, again
}

// ErrDead says that the outside will never answer: the attempt fails with a
// retryable failure of type [JobDead]. It may be wrapped; the whole text
// becomes the failure's message.
var ErrDead = errors.New("heartbeat: the external job is dead")

// JobDead is the type of the application failure that ErrDead becomes, for
// retry policies and for workflows that look at their activities' errors.
const JobDead = "JobDead"

// Pump decides when an activity that waits heartbeats, and what that says. It
// is called in whichever process claimed the activity's entry, so it keeps
// nothing of an activity itself. Its methods are called by any number of
// goroutines.
//
// A Pump may also implement [Asker].
type Pump interface {
	// Next returns when Beat is due, which may be past; the zero time means
	// not until something changes: the next Pending.Heartbeat, or attempt. It
	// is pure and quick: the same arguments give the same time, in every
	// process.
	Next(a Activity, now time.Time) time.Time

	// Beat returns what the heartbeat says, which is then sent. It may ask the
	// outside, and is given up when its context ends, at the latest in half a
	// claim time. With ErrDead the attempt fails. After any other error nothing is sent,
	// and Beat is called again soon: if that goes on for the heartbeat
	// timeout, the attempt ends by it. The same follows a panic.
	Beat(ctx context.Context, a Activity) (Beat, error)
}

// Asker is an optional interface of a [Pump]: it says whether Beat may block.
type Asker interface {
	// Asks reports whether Beat asks an external system, and so may block. If
	// it returns false, Beat must not block: hubs call it inline, without a
	// timeout. Hubs assume true for a Pump that is no Asker.
	Asks() bool
}
