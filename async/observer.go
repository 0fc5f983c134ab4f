package async

import (
	"context"
	"time"
)

// Op is a kind of operation of a hub.
type Op string

// The operations that an [Observer] sees.
const (
	// OpHandOff is one call of Start. Detail is empty. Class is "asked", "failed"
	// or "panicked" for the function that was run, "not run" where an earlier
	// attempt has asked or an answer stands, "failed" also where Start fails.
	OpHandOff Op = "hand-off"

	// OpSettle is one call of Complete, Fail, Reject or ReportCanceled, until the
	// store has accepted the outcome. Detail is "result", "failure" or
	// "cancellation". Class is the verdict: "accepted", "repeat", "settled",
	// "superseded", "closed", "not found", "type mismatch", "not requested",
	// "refused" or "unknown". Lag is the time from hand-off to acceptance.
	OpSettle Op = "settle"

	// OpDeliver is one try to report an outcome to Temporal. Detail is that of
	// OpSettle. Class is "delivered"; the class of the error, such as
	// "unavailable"; or how the activity ended without the outcome: "expired",
	// "unknown end" or "over". Count is the number of tries so far. Lag is the
	// time from acceptance.
	OpDeliver Op = "deliver"

	// OpBeat is one heartbeat. Detail is the name of the pump. Class is "sent",
	// "failed" or "over". Lag is how late it was.
	OpBeat Op = "beat"

	// OpNotify is one call of a hook. Detail is its name, such as "Delivered".
	// Class is "ok", "failed", "panicked" or "hangs".
	OpNotify Op = "notify"

	// OpQuery is one question to Temporal about an activity. Class is "ok" or the
	// class of the error. Its Info has only what names the activity.
	OpQuery Op = "query"

	// OpClaim is one claim of due entries by Run or Work. Class is "ok" or
	// "failed". Count is the number of entries. It has no Info.
	OpClaim Op = "claim"

	// OpStore is one read or write of an entry. Detail is "get", "put" or
	// "delete". Class is "ok", "not found", "conflict" or "failed". It has no
	// Info.
	OpStore Op = "store"
)

// Operation is what begins.
type Operation struct {
	Op     Op
	Detail string
	Info   Info

	// Carry is what the observer has kept with the round: small values such as a
	// W3C traceparent, at most 1 KiB of UTF-8 in all. An observer may change the
	// map before Begin returns. The hub stores the changes of OpHandOff and
	// OpSettle with the entry, and no others. It drops the changes if they are too
	// large. The values are stored in clear; they must be no secrets.
	Carry map[string]string
}

// Done is how an operation ended.
type Done struct {
	Class string
	Count int
	Lag   time.Duration
	Info  Info // afterwards; that of the Operation where nothing else is known
}

// Observer sees the operations of a hub, for metrics and traces. Its methods are
// called concurrently.
//
// An observer changes no outcome. One that panics, returns a context that is not
// derived from its argument, or blocks for more than 50 ms is logged, and the
// operation goes on without it. While one of its calls hangs, the hub makes no
// others.
//
// An Observer may also implement [Blocker] and [StatsObserver].
type Observer interface {
	// Begin is called when an operation begins. It returns the context for the
	// calls that the operation makes to the store, to Temporal, to a hook or to
	// the function of Start, which must be derived from ctx; the hub uses its
	// values only. Also it returns the function to call when the operation has
	// ended, or nil.
	Begin(ctx context.Context, o Operation) (context.Context, func(Done))
}

// Blocker is an optional interface of an [Observer].
type Blocker interface {
	// Blocks reports whether Begin, or a function that it returns, may block. If it
	// returns false, hubs call them inline, without a timeout, which is cheaper.
	// Hubs assume true for an Observer that is no Blocker.
	Blocks() bool
}

// StatsObserver is an optional interface of an [Observer] that wants snapshots of
// the store: see [Hub.Stats].
type StatsObserver interface {
	// ObserveStats is called by Run with each new snapshot.
	ObserveStats(s Stats)
}
