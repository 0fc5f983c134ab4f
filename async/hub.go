package async

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"reflect"
	"sync"
	"time"
	"unicode/utf8"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

// callMargin is how long before the end of its claim a call of Temporal ends.
const callMargin = time.Second

// Options configures a [Hub].
type Options struct {
	// Store keeps what waits. The hub doesn't close it. Required.
	Store store.Store

	// Completer reports to Temporal; see [completer.New]. A hub without one
	// settles only: another hub on the same store delivers what it accepts.
	// Defaults to none.
	Completer completer.Completer

	// DataConverter encodes results and details. It must be the workers' own;
	// New refuses one that is not equal to that of a [completer.Converting].
	// Defaults to that one, otherwise to the SDK's.
	//
	// A converter that implements workflow.ContextAware gets the context of
	// each call: that of Complete, ReportCanceled, Heartbeat or Start, and for
	// the details of a pump the one that Beat got.
	DataConverter converter.DataConverter

	// FailureConverter encodes failures, as DataConverter does results.
	// Defaults to that of a [completer.Converting], otherwise to the SDK's.
	//
	// The SDK knows no failure converter that is aware of contexts. Latchkey
	// calls its method WithContext(context.Context) converter.FailureConverter,
	// if it has one.
	FailureConverter converter.FailureConverter

	// Pumps say when activities heartbeat while they wait, and what, by the
	// name in [StartOptions].Pump. All hubs of a store that run should have the
	// same. A hub that meets a pump it does not know leaves the activity's
	// heartbeats to other hubs and logs an error; for the next minute it claims
	// every entry one and a half PollIntervals late, after the other hubs. Under
	// "" it is heartbeat.KeepAlive unless set. Defaults to that one.
	Pumps map[string]heartbeat.Pump

	// Retention is how long an ended entry answers repeats. Defaults to 24 h.
	Retention time.Duration

	// KeepOutcomes keeps the payload of a delivered outcome for the retention,
	// for [Pending.Outcome]. Otherwise a delivered entry keeps only what answers
	// repeats, and its payload goes as soon as the Delivered hook, if there is
	// one, has returned nil. Give all hubs of a store the same. Defaults to
	// false.
	KeepOutcomes bool

	// Hooks are told what became of the callbacks. Defaults to none.
	Hooks Hooks

	// Concurrency is how many entries Run and Work tend at once, and as many
	// calls of hooks and of each pump beside. Defaults to 64.
	Concurrency int

	// Rate bounds the calls of Temporal a second, of this hub. Defaults to no
	// limit.
	Rate float64

	// PollInterval is how often Run looks for entries that have become due. A
	// store that implements store.Notifier wakes Run as soon as another process
	// makes an entry due; without a signal for a minute Run then looks only every
	// 10 s, or every PollInterval if that is longer. Defaults to 1 s.
	PollInterval time.Duration

	// BlobLimit is the largest result, failure or details, in bytes as encoded,
	// after codecs. Set it to that of the namespace; with external storage it may
	// be larger, at most 3.5 MiB. A store that is a store.Limiter lowers the
	// maximum: an entry must have room for an outcome and details of that size.
	// Defaults to 2 MiB, which is Temporal's default, or to that maximum.
	BlobLimit int

	// ClaimTime is for how long a hub has an entry to itself while it calls
	// Temporal, and so how soon another takes over from one that died. A call
	// is given up a second before. At least 2 s. Defaults to 10 s.
	ClaimTime time.Duration

	// StoreWait is how long Start waits for a store that is away. It never waits
	// for more than half of what is left of its attempt, keeps the attempt's
	// heartbeats going meanwhile, and then fails with an error that Temporal
	// retries. A negative value doesn't wait. At most 1 h. Defaults to 30 s.
	StoreWait time.Duration

	// WatchInterval is how often Run and Work ask Temporal whether a waiting
	// activity still exists that doesn't heartbeat. So the Over hook learns of a
	// terminated workflow within that time. Activities of one run share a call;
	// a million runs cost 278 calls a second at the default. Between 1 s and
	// 8,760 h; a negative value asks at deadlines only. Defaults to 1 h.
	WatchInterval time.Duration

	// DeliveryWait is how long Complete, Fail, Reject and ReportCanceled wait
	// for Temporal once the store has the outcome; a negative value doesn't wait.
	// The delivery goes on when the wait is over, and is retried. While Temporal
	// cannot be reached no call waits. At most 1 min. Defaults to 1 s.
	DeliveryWait time.Duration

	// StatsAge is how long a snapshot that [Hub.Stats] has made is returned again.
	// Between 1 s and 24 h. Defaults to 1 min.
	StatsAge time.Duration

	// Logger gets what no caller learns. Defaults to slog.Default.
	Logger *slog.Logger
}

// Hub keeps what waits, accepts outcomes and reports them. Any number of hubs,
// in any number of processes, may share a store. Its methods may be called by
// any number of goroutines. It needs no closing. It has goroutines of its own
// while Run, Work or Start runs, one while Stats scans the store, which ends with
// its last caller, and one for each delivery that a caller has begun
// and no longer waits for. Those are bounded by Concurrency, end within ClaimTime,
// and Run and Work wait for them.
type Hub struct {
	entries
	completer    completer.Completer
	encoder      encoder
	hooks        Hooks
	claimTime    time.Duration
	pollInterval time.Duration
	storeWait    time.Duration // zero: none
	concurrency  int
	pumps        map[string]heartbeat.Pump

	wake      chan struct{} // this process has made something due
	hanging   sync.Map      // the IDs of entries of which a hook is out
	asking    sync.Map      // and of which a pump is
	warned    sync.Map      // the activity types with a short heartbeat timeout
	health    health        // of this hub's way to Temporal
	backlog   backlog       // what it has left alone
	strange   strange       // whether it meets pumps that it doesn't know
	courier   courier       // delivers what callers have answered
	soon      soon          // what this process makes due before the next poll
	finisher  finisher
	sentinels sentinels
	troubles  troubles // what is logged
	census    census   // the snapshot of Stats
	pulse     pulse    // of Run
	rules     lifecycle.Policy
}

// New returns a hub, or says which option is wrong.
func New(o Options) (*Hub, error) {
	if isNilInterface(o.Store) {
		return nil, errors.New("async: Options.Store is required")
	}
	if o.Completer != nil && isNilInterface(o.Completer) {
		return nil, errors.New("async: Options.Completer is a nil pointer: leave it out for a hub that settles only")
	}
	h := &Hub{
		entries: entries{store: o.Store, retention: o.Retention, keepOutcomes: o.KeepOutcomes, log: o.Logger}, completer: o.Completer, hooks: o.Hooks, claimTime: o.ClaimTime,
		pollInterval: o.PollInterval, concurrency: o.Concurrency, wake: make(chan struct{}, 1),
		pumps: map[string]heartbeat.Pump{"": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{})},
	}
	h.finisher.queue, h.finisher.write = make(chan finished, unfinished), h.finishOne
	for name, pump := range o.Pumps {
		if isNilInterface(pump) {
			return nil, fmt.Errorf("async: Options.Pumps[%q] is nil", name)
		}
		if len(name) > maxPump || !utf8.ValidString(name) {
			return nil, fmt.Errorf("async: a name in Options.Pumps must be at most %d bytes of UTF-8, got %d bytes", maxPump, len(name))
		}
		h.pumps[name] = pump
	}
	limit, err := blobLimit(o.BlobLimit, o.Store)
	if err != nil {
		return nil, err
	}
	h.encoder = encoder{data: o.DataConverter, failure: o.FailureConverter, limit: limit}
	if h.retention == 0 {
		h.retention = 24 * time.Hour
	}
	if h.retention < 0 {
		return nil, fmt.Errorf("async: Options.Retention must not be negative, got %v", o.Retention)
	}
	if h.claimTime == 0 {
		h.claimTime = 10 * time.Second
	}
	if h.claimTime < 2*callMargin {
		return nil, fmt.Errorf("async: Options.ClaimTime must be at least %v, got %v", 2*callMargin, o.ClaimTime)
	}
	if h.pollInterval == 0 {
		h.pollInterval = time.Second
	}
	if h.pollInterval < 0 {
		return nil, fmt.Errorf("async: Options.PollInterval must not be negative, got %v", o.PollInterval)
	}
	if h.storeWait, err = checkStoreWait(o.StoreWait); err != nil {
		return nil, err
	}
	watch, err := checkWatch(o.WatchInterval)
	if err != nil {
		return nil, err
	}
	if h.census.age, err = checkStatsAge(o.StatsAge); err != nil {
		return nil, err
	}
	h.soon.span = max(h.pollInterval/busyPoll, time.Millisecond)
	if h.concurrency == 0 {
		h.concurrency = 64
	}
	if h.concurrency < 0 {
		return nil, fmt.Errorf("async: Options.Concurrency must not be negative, got %d", o.Concurrency)
	}
	wait := o.DeliveryWait
	if wait == 0 {
		wait = defaultDeliveryWait
	}
	if wait > maxDeliveryWait {
		return nil, fmt.Errorf("async: Options.DeliveryWait must be at most %v, or negative not to wait, got %v", maxDeliveryWait, o.DeliveryWait)
	}
	if o.Rate < 0 {
		return nil, fmt.Errorf("async: Options.Rate must not be negative, got %v", o.Rate)
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	h.init(wait)
	if err := h.encoder.agree(h.completer); err != nil {
		return nil, err
	}
	h.rules = lifecycle.Policy{
		Watch:     watch,
		Retention: h.retention, ClaimTime: h.claimTime, Listens: h.hooks.listens(), CanAsk: h.completer != nil,
		NewSecret: newSecret, Digest: roundDigest, Jitter: jitter,
	}
	if h.completer != nil {
		h.completer = newThrottle(h.completer, o.Rate, &h.health)
	}
	return h, nil
}

// init prepares the parts of a hub whose options are set.
func (h *Hub) init(wait time.Duration) {
	h.troubles.init(h.log)
	h.courier.init(wait, h.concurrency)
	h.health.log = h.log
	h.health.closed = func(namespace string, k kind) {
		h.backlog.recall(way{namespace, k})
		h.wakeUp()
	}
}

// policy is what the rules are to know now.
func (h *Hub) policy(now time.Time) lifecycle.Policy {
	p := h.rules
	p.Now = now
	return p
}

// roundDigest stands for the callback ID of a round that is over.
func roundDigest(entryID string, secret []byte) []byte {
	return callbackDigest(callbackID(entryID, secret))
}

// wordOf is what Temporal's status says to the rules.
func wordOf(s completer.Status) lifecycle.Word {
	w := lifecycle.Word{
		Pending: s.Pending, Running: s.Running, CancelRequested: s.CancelRequested, Paused: s.Paused,
		Started: toNano(s.Started), LastMark: s.LastMark, Buffered: s.End == completer.EndBuffered,
	}
	switch s.End {
	case completer.EndOurs:
		w.End = record.EndDelivered
	case completer.EndTimedOut:
		w.End = record.EndTimedOut
	case completer.EndOther:
		w.End = record.EndOther
	default:
		w.End = record.EndUnknown
	}
	return w
}

// agree takes the converters of the completer's clients where none are set,
// and refuses others than those.
func (e *encoder) agree(c completer.Completer) error {
	theirs, known := c.(completer.Converting)
	if known {
		data, failure := theirs.Converters()
		if e.data != nil && !reflect.DeepEqual(e.data, data) {
			return errors.New("async: Options.DataConverter is not that of the completer's clients: workflows could not read what it encodes")
		}
		if e.failure != nil && !reflect.DeepEqual(e.failure, failure) {
			return errors.New("async: Options.FailureConverter is not that of the completer's clients: workflows could not read what it encodes")
		}
		e.data, e.failure = data, failure
	}
	if e.data == nil {
		e.data = converter.GetDefaultDataConverter()
	}
	if e.failure == nil {
		e.failure = temporal.GetDefaultFailureConverter()
	}
	return nil
}

// isNilInterface also finds a nil pointer in an interface, which would panic
// far from the mistake.
func isNilInterface(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// Open returns the callback with this ID, whatever its result, also where the
// activity is over: its Info tells. ErrNotFound means that nothing is known
// under the ID. It says the same of a wrong secret.
func (h *Hub) Open(ctx context.Context, id string) (Callback, error) {
	c, err := h.open(ctx, id)
	return c, failed("open", given(id), err)
}

func (h *Hub) open(ctx context.Context, id string) (Callback, error) {
	if h == nil {
		return Callback{}, fmt.Errorf("%w: a nil hub", ErrNotFound)
	}
	entryID, _, ok := splitCallbackID(id)
	if !ok {
		return Callback{}, fmt.Errorf("%w: not a callback ID, which has %d characters of A-Z a-z 0-9 - _ (%d with a business key)", ErrNotFound, callbackLen, keyedLen)
	}
	stored, err := h.store.Get(ctx, entryID)
	if errors.Is(err, store.ErrNotFound) {
		holder(noEntry, id)
		return Callback{}, errUnknown
	}
	if err != nil {
		return Callback{}, err
	}
	// The secret is compared before anything is decoded, so that the time that
	// decoding takes reveals nothing to a caller with a wrong secret.
	if holds, sure := holder(stored.Body, id); sure && !holds {
		return Callback{}, errUnknown
	}
	e, err := decodeEntry(stored)
	if err != nil {
		return Callback{}, err
	}
	if current, before := roundOf(e, id); !current && before == nil {
		return Callback{}, errUnknown
	}
	return Callback{hub: h, id: &id, entry: e}, nil
}

// errUnknown is the same for an unknown ID and a wrong secret.
var errUnknown = fmt.Errorf("%w: it is not in this store, or its retention is over", ErrNotFound)

// List yields a callback for each entry of the store, in no order, ended ones
// included. An entry that can't be read is yielded as an error that names it,
// and the loop goes on; an error of the store ends it. The loop's body may use
// the hub.
func (h *Hub) List(ctx context.Context) iter.Seq2[Callback, error] {
	return func(yield func(Callback, error) bool) {
		for stored, err := range h.store.List(ctx) {
			if err != nil {
				yield(Callback{}, failed("list", "", err))
				return
			}
			var c Callback
			e, err := decodeEntry(stored)
			if err == nil {
				c = Callback{hub: h, id: new(callbackID(e.id, e.rec.Secret)), entry: e}
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
