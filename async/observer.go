package async

import (
	"context"
	"time"
)

// Op is a kind of operation of a hub.
type Op string

// The operations that an [Observer] sees.
const (
	// OpHandOff is one call of Start. Detail is empty. Class is "asked",
	// "failed" or "panicked" if the function was run. Class is "not run" if an
	// earlier attempt has asked or an answer exists, and "failed" also if Start
	// fails.
	OpHandOff Op = "hand-off"

	// OpSettle is one call of Complete, Fail, Reject or ReportCanceled, until the
	// store has accepted the outcome. Detail is "result", "failure" or
	// "cancellation". Class is the verdict: "accepted", "repeat", "settled",
	// "superseded", "closed", "not found", "type mismatch", "not requested",
	// "refused" or "unknown". Lag is the time from hand-off to acceptance.
	OpSettle Op = "settle"

	// OpDeliver is one try to report an outcome to Temporal. Detail is the same
	// as in OpSettle. Class is "delivered"; the class of the error, such as
	// "unavailable"; or how the activity ended without the outcome: "expired",
	// "unknown end" or "over". Count is the number of tries so far. Lag is the
	// time from acceptance to the end of this try.
	OpDeliver Op = "deliver"

	// OpBeat is one heartbeat. Detail is the name of the pump. Class is "sent",
	// "failed" or "over". Lag is how late the beat was.
	OpBeat Op = "beat"

	// OpNotify is one call of a hook. Detail is the name of the hook, such as
	// "Delivered". Class is "ok", "failed", "panicked" or "hangs".
	OpNotify Op = "notify"

	// OpQuery is one question to Temporal about an activity. Class is "ok" or
	// the class of the error. The Info of an OpQuery has only the fields that
	// name the activity.
	OpQuery Op = "query"

	// OpClaim is one claim of due entries by Run or Work. Class is "ok" or
	// "failed". Count is the number of entries. An OpClaim has no Info.
	OpClaim Op = "claim"

	// OpStore is one read or write of an entry. Detail is "get", "put" or
	// "delete". Class is "ok", "not found", "conflict" or "failed". An OpStore
	// has no Info.
	OpStore Op = "store"
)

// Operation describes an operation that begins.
type Operation struct {
	Op     Op
	Detail string
	Info   Info

	// Carry contains the values that the observer has kept with the round:
	// small values such as a W3C traceparent, at most 1 KiB of UTF-8 in total.
	// An observer may change the map before Begin returns. The hub stores the
	// changes of OpHandOff and OpSettle with the entry, and no others. The hub
	// drops the changes if they are too large. The values are stored in clear
	// text, so they must not be secrets.
	Carry map[string]string
}

// Done describes the end of an operation.
type Done struct {
	Class string
	Count int
	Lag   time.Duration
	Info  Info // the state after the operation, or the Info of the Operation if no other is known
}

// Observer sees the operations of a hub, for metrics and traces. A hub calls
// the methods of an Observer concurrently.
//
// An observer changes no outcome. If an observer panics, returns a context that
// is not derived from its argument, or blocks for more than 50 ms, the hub logs
// this and continues without it. While a call of the observer hangs, the hub
// makes no other calls to it.
//
// An Observer may also implement [Blocker] and [StatsObserver].
type Observer interface {
	// Begin is called when an operation begins. Begin returns the context for
	// the operation's calls to the store, to Temporal, to a hook or to the
	// function of Start. The context must be derived from ctx; the hub uses
	// only its values. Begin also returns the function to call when the
	// operation has ended, or nil.
	Begin(ctx context.Context, o Operation) (context.Context, func(Done))
}

// Blocker is an optional interface of an [Observer].
type Blocker interface {
	// Blocks reports whether Begin, or a function that it returns, may block.
	// If Blocks returns false, hubs call these functions inline, without a
	// timeout, which is cheaper. Hubs assume true for an Observer that is not a
	// Blocker.
	Blocks() bool
}

// StatsObserver is an optional interface of an [Observer] that wants snapshots of
// the store: see [Hub.Stats].
type StatsObserver interface {
	// ObserveStats is called by Run with each new snapshot.
	ObserveStats(s Stats)
}
