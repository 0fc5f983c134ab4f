package async

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/store"
)

// Hub stores waiting activities, accepts outcomes and delivers them. Any number
// of hubs, in any number of processes, may share a store. The methods of a Hub
// may be called concurrently. A Hub needs no closing.
//
// While Run, Work or Start runs, a hub has goroutines of its own. A scan of
// Stats has one goroutine, which ends when the last caller of Stats leaves.
// Each delivery whose caller no longer waits also has one goroutine.
// Concurrency limits the number of deliveries. Each delivery ends within
// ClaimTime, and Run and Work wait for the deliveries.
type Hub struct {
	settings  settings
	completer completer.Completer // the completer behind the throttle; nil if the hub only settles
	encoder   encoder
	entries   *entries
	rules     *rules
	health    *health
	wheel     *wheel
	courier   *courier
	recorder  *recorder
	deliverer *deliverer
	beater    *beater
	notifier  *notifier
	starter   *starter
	runner    *runner
	census    census // the snapshot of Stats
	pulse     pulse  // of Run
	lookout   *lookout
}

// New returns a hub, or an error that names the wrong option.
func New(o Options) (*Hub, error) {
	s, err := o.settings()
	if err != nil {
		return nil, err
	}
	h := assemble(o.Store, s)
	if h.completer != nil {
		h.recorder.queue = make(chan delivery, recorderQueue)
	}
	return h, nil
}

// assemble makes the parts of a hub.
func assemble(s store.Store, o settings) *Hub {
	troubles := newTroubles(o.log)
	lookout := newLookout(o.observer, &troubles.observer)
	s = lookout.store(s)
	h := &Hub{
		lookout:  lookout,
		settings: o, encoder: o.encoder,
		entries: &entries{store: s, retention: o.retention, keepOutcomes: o.keepOutcomes, log: o.log},
		health:  &health{log: o.log},
		wheel:   newWheel(o.pollInterval),
		courier: newCourier(o.deliveryWait, o.concurrency),
		census:  census{age: o.statsAge},
	}
	backlog, strange := new(backlog), new(strange)
	h.health.closed = func(namespace string, k kind) {
		backlog.recall(way{namespace, k})
		h.wheel.wake()
	}
	if o.completer != nil {
		h.completer = newThrottle(o.completer, o.rate, h.health, lookout)
	}
	h.rules = &rules{health: h.health, policy: lifecycle.Policy{
		Watch: o.watch, Retention: o.retention, ClaimTime: o.claimTime, Listens: o.hooks.listens(), CanAsk: h.completer != nil,
		NewSecret: record.NewSecret, Digest: roundDigest, Jitter: jitter,
	}}
	callback := func(c handle) Callback { return Callback{h, c} }
	lookout.info = func(e entry) Info { return callback(handle{entry: e}).Info() }
	ask := describer{completer: h.completer, claimTime: o.claimTime}
	h.recorder = new(recorder)
	h.deliverer = &deliverer{
		describer: ask, entries: h.entries, rules: h.rules, health: h.health, backlog: backlog, courier: h.courier,
		recorder: h.recorder, wheel: h.wheel, troubles: troubles, log: o.log, lookout: lookout,
	}
	h.recorder.write = h.deliverer.record
	h.beater = &beater{
		describer: ask, pumps: o.pumps, encoder: o.encoder, entries: h.entries, rules: h.rules, health: h.health,
		wheel: h.wheel, deliverer: h.deliverer, troubles: troubles, log: o.log, pollInterval: o.pollInterval, strange: strange, lookout: lookout,
	}
	h.notifier = &notifier{
		hooks: o.hooks, entries: h.entries, rules: h.rules, troubles: troubles, claimTime: o.claimTime, callback: callback, lookout: lookout,
	}
	h.starter = &starter{
		describer: ask, entries: h.entries, encoder: o.encoder, rules: h.rules, deliverer: h.deliverer,
		beater: h.beater, wheel: h.wheel, troubles: troubles, log: o.log, storeWait: o.storeWait, callback: callback, lookout: lookout,
	}
	h.runner = &runner{
		entries: h.entries, rules: h.rules, health: h.health, backlog: backlog, wheel: h.wheel, deliverer: h.deliverer,
		beater: h.beater, notifier: h.notifier, recorder: h.recorder, courier: h.courier, troubles: troubles, strange: strange, log: o.log, pulse: &h.pulse, lookout: lookout, stats: h.Stats, statsAge: o.statsAge,
		claimTime: o.claimTime, pollInterval: o.pollInterval, concurrency: o.concurrency,
	}
	return h
}

// isNilInterface reports whether v is nil or holds a nil pointer. A nil pointer
// in an interface is not equal to nil, and would panic far from the mistake.
func isNilInterface(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// Open returns the callback with this ID. The result type does not matter. Open
// also opens an activity that is over: Info reports that. ErrNotFound means
// that the ID is unknown, or that its secret is wrong.
func (h *Hub) Open(ctx context.Context, id string) (Callback, error) {
	callback, ok := record.ParseCallbackID(id)
	c, err := h.open(ctx, callback, ok)
	return c, failed("open", callback.EntryID(), err)
}

// open implements Open. ok is whether the string has the form of a callback ID.
func (h *Hub) open(ctx context.Context, id record.CallbackID, ok bool) (Callback, error) {
	if h == nil {
		return Callback{}, fmt.Errorf("%w: a nil hub", ErrNotFound)
	}
	if !ok {
		return Callback{}, fmt.Errorf("%w: not a callback ID, which has %d characters of A-Z a-z 0-9 - _ (%d with a business key)", ErrNotFound, record.CallbackIDLen, record.KeyedCallbackIDLen)
	}
	stored, err := h.entries.store.Get(ctx, id.EntryID())
	if errors.Is(err, store.ErrNotFound) {
		id.Holds(noEntry)
		return Callback{}, errUnknown
	}
	if err != nil {
		return Callback{}, err
	}
	// The secret is compared before the body is decoded. Otherwise the time of
	// the decoding would reveal information to a caller with a wrong secret.
	if holds, sure := id.Holds(stored.Body); sure && !holds {
		return Callback{}, errUnknown
	}
	e, err := decodeEntry(stored)
	if err != nil {
		return Callback{}, err
	}
	if current, before := id.RoundOf(e.rec); !current && before == nil {
		return Callback{}, errUnknown
	}
	return Callback{h, handle{id: &id, entry: e}}, nil
}

// errUnknown is the error both for an unknown ID and for a wrong secret.
var errUnknown = fmt.Errorf("%w: it is not in this store, or its retention is over", ErrNotFound)

// List yields a callback for each entry of the store, including ended entries,
// in no particular order. If an entry cannot be read, List yields an error that
// names it and continues. An error of the store ends the loop. The body of the
// loop may use the hub.
func (h *Hub) List(ctx context.Context) iter.Seq2[Callback, error] {
	return func(yield func(Callback, error) bool) {
		for stored, err := range h.entries.store.List(ctx) {
			if err != nil {
				yield(Callback{}, failed("list", "", err))
				return
			}
			var c Callback
			e, err := decodeEntry(stored)
			if err == nil {
				c = Callback{h, handle{id: new(e.callbackID()), entry: e}}
			}
			if err != nil {
				err = &opError{op: "list", id: store.ShortID(stored.ID), err: err}
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// noEntry is the body that Open reads if there is no entry. An unknown callback
// ID thus costs the same time as a wrong secret.
var noEntry = func() []byte {
	e, err := entry{rec: &record.Record{Secret: make([]byte, record.SecretBytes)}}.encode()
	if err != nil {
		panic(err) // a constant record can be encoded
	}
	return e.Body
}()
