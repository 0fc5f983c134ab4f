package async

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"time"
	"unicode/utf8"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/heartbeat"
	"github.com/latchkey-go/latchkey/store"
)

// callMargin is how long before the end of its claim a call to Temporal ends.
const callMargin = time.Second

// Options configures a [Hub].
type Options struct {
	// Store persists the entries. The hub does not close its Store. Required.
	Store store.Store

	// Completer reports to Temporal; see [completer.New]. A hub without a
	// Completer only settles outcomes. Another hub on the same store delivers
	// the outcomes. Defaults to none.
	Completer completer.Completer

	// DataConverter encodes results and details. DataConverter must be the
	// converter of the workers. If Completer is a [completer.Converting], New
	// refuses a different DataConverter, and the default is the completer's
	// converter. Otherwise DataConverter defaults to the SDK's.
	//
	// A converter that implements workflow.ContextAware gets the context of
	// each call of Complete, ReportCanceled, Heartbeat or Start. For the
	// details of a pump it gets the context of Beat.
	DataConverter converter.DataConverter

	// FailureConverter encodes failures. The check and the default are as for
	// DataConverter.
	//
	// The SDK has no interface for a failure converter that uses contexts. If
	// the failure converter has a method WithContext(context.Context)
	// converter.FailureConverter, Latchkey calls it.
	FailureConverter converter.FailureConverter

	// Pumps decide when waiting activities heartbeat, and with which details.
	// [StartOptions].Pump chooses a pump by name. Give all running hubs of a
	// store the same pumps. A hub that meets an unknown pump leaves the
	// heartbeats of that activity to other hubs and logs an error. For the next
	// minute it claims every entry one and a half PollIntervals late, after the
	// other hubs. The pump named "" is heartbeat.KeepAlive unless Pumps sets
	// it. Pumps defaults to a map with only this pump.
	Pumps map[string]heartbeat.Pump

	// Retention is how long an entry is kept after its end to answer repeats.
	// Defaults to 24 h.
	Retention time.Duration

	// KeepOutcomes keeps the payload of a delivered outcome for the retention,
	// for [Pending.Outcome]. Without KeepOutcomes, a delivered entry keeps only
	// what is needed to answer repeats. The payload is dropped when the
	// Delivered hook, if there is one, has returned nil. Give all hubs of a
	// store the same value. Defaults to false.
	KeepOutcomes bool

	// Hooks are called when something happens to a callback. Defaults to none.
	Hooks Hooks

	// Concurrency is the maximum number of entries that Run and Work handle at
	// a time. Concurrency calls of hooks, and as many of each pump, may run at
	// the same time. Defaults to 64.
	Concurrency int

	// Rate is this hub's maximum number of calls to Temporal per second.
	// Defaults to no limit.
	Rate float64

	// PollInterval is how often Run looks for entries that have become due. A
	// store that implements store.Notifier wakes Run as soon as another process
	// makes an entry due. After a minute without a signal, Run looks only every
	// 10 s, or every PollInterval if that is longer. Defaults to 1 s.
	PollInterval time.Duration

	// BlobLimit is the maximum size of a result, a failure or details, in
	// encoded bytes, after codecs. Set BlobLimit to the limit of the namespace.
	// With external storage it may be larger, at most 3.5 MiB. A store that
	// implements store.Limiter lowers the maximum: an entry must have room for
	// an outcome and details of that size. Defaults to 2 MiB, which is
	// Temporal's default, or to the maximum if that is lower.
	BlobLimit int

	// ClaimTime is how long a hub reserves an entry while it calls Temporal. If
	// the hub dies, another hub takes the entry over after ClaimTime. A call to
	// Temporal ends a second before the claim does. ClaimTime must be at least
	// 2 s. Defaults to 10 s.
	ClaimTime time.Duration

	// StoreWait is how long Start waits for a store that is unavailable. Start
	// never waits for more than half of the attempt's remaining time, and sends
	// the attempt's heartbeats while it waits. When the wait ends, Start
	// returns an error that Temporal retries. A negative value means that Start
	// does not wait. StoreWait must be at most 1 h. Defaults to 30 s.
	StoreWait time.Duration

	// WatchInterval is how often Run and Work ask Temporal whether a waiting
	// activity that does not heartbeat still exists. The Over hook learns of a
	// terminated workflow within that time. Activities of one workflow run share
	// a call. A million runs cost 278 calls a second at the default. Must be between 1
	// s and 8,760 h. With a negative value, hubs ask only at deadlines.
	// Defaults to 1 h.
	WatchInterval time.Duration

	// DeliveryWait is how long Complete, Fail, Reject and ReportCanceled wait
	// for Temporal after the store has the outcome. A negative value means that
	// the call does not wait. The delivery continues after DeliveryWait and is
	// retried. While Temporal cannot be reached, no call waits. DeliveryWait
	// must be at most 1 min. Defaults to 1 s.
	DeliveryWait time.Duration

	// StatsAge is how long [Hub.Stats] returns the same snapshot. StatsAge must
	// be between 1 s and 24 h. Defaults to 1 min.
	StatsAge time.Duration

	// Observer gets the operations of the hub, for metrics and traces: see
	// [Metrics]. Defaults to none.
	Observer Observer

	// Logger gets problems that cannot be returned to a caller. Defaults to
	// slog.Default.
	Logger *slog.Logger
}

// settings contains the checked options with their defaults.
type settings struct {
	completer    completer.Completer // nil: none
	encoder      encoder
	pumps        map[string]heartbeat.Pump
	hooks        Hooks
	observer     Observer // nil: none
	keepOutcomes bool
	concurrency  int
	rate         float64 // zero: no limit

	retention, claimTime, pollInterval time.Duration
	storeWait, watch                   time.Duration // zero: none
	deliveryWait                       time.Duration // zero or negative: calls do not wait
	statsAge                           time.Duration

	log *slog.Logger
}

// settings checks the options, and applies the defaults.
func (o Options) settings() (s settings, err error) {
	if isNilInterface(o.Store) {
		return s, errors.New("async: Options.Store is required")
	}
	if o.Completer != nil && isNilInterface(o.Completer) {
		return s, errors.New("async: Options.Completer is a nil pointer: leave it out for a hub that settles only")
	}
	s = settings{
		completer: o.Completer, hooks: o.Hooks, observer: o.Observer, keepOutcomes: o.KeepOutcomes,
		concurrency: cmp.Or(o.Concurrency, 64), rate: o.Rate,
		retention: cmp.Or(o.Retention, 24*time.Hour), claimTime: cmp.Or(o.ClaimTime, 10*time.Second),
		pollInterval: cmp.Or(o.PollInterval, time.Second), deliveryWait: cmp.Or(o.DeliveryWait, defaultDeliveryWait),
		encoder: encoder{data: o.DataConverter, failure: o.FailureConverter},
		log:     o.Logger,
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.encoder.limit, err = blobLimit(o.BlobLimit, o.Store); err != nil {
		return s, err
	}
	if s.pumps, err = checkPumps(o.Pumps); err != nil {
		return s, err
	}
	if s.storeWait, err = checkStoreWait(o.StoreWait); err != nil {
		return s, err
	}
	if s.watch, err = checkWatch(o.WatchInterval); err != nil {
		return s, err
	}
	if s.statsAge, err = checkStatsAge(o.StatsAge); err != nil {
		return s, err
	}
	if err := s.checkNumbers(); err != nil {
		return s, err
	}
	return s, s.encoder.agree(s.completer)
}

// checkNumbers checks the options that are numbers and durations.
func (s settings) checkNumbers() error {
	switch {
	case s.retention < 0:
		return fmt.Errorf("async: Options.Retention must not be negative, got %v", s.retention)
	case s.claimTime < 2*callMargin:
		return fmt.Errorf("async: Options.ClaimTime must be at least %v, got %v", 2*callMargin, s.claimTime)
	case s.pollInterval < 0:
		return fmt.Errorf("async: Options.PollInterval must not be negative, got %v", s.pollInterval)
	case s.concurrency < 0:
		return fmt.Errorf("async: Options.Concurrency must not be negative, got %d", s.concurrency)
	case s.deliveryWait > maxDeliveryWait:
		return fmt.Errorf("async: Options.DeliveryWait must be at most %v, or negative not to wait, got %v", maxDeliveryWait, s.deliveryWait)
	case s.rate < 0:
		return fmt.Errorf("async: Options.Rate must not be negative, got %v", s.rate)
	}
	return nil
}

// checkPumps checks Options.Pumps, and adds the default pump.
func checkPumps(given map[string]heartbeat.Pump) (map[string]heartbeat.Pump, error) {
	pumps := map[string]heartbeat.Pump{"": heartbeat.KeepAlive(heartbeat.KeepAliveOptions{})}
	for name, pump := range given {
		if isNilInterface(pump) {
			return nil, fmt.Errorf("async: Options.Pumps[%q] is nil", name)
		}
		if len(name) > maxPump || !utf8.ValidString(name) {
			return nil, fmt.Errorf("async: a name in Options.Pumps must be at most %d bytes of UTF-8, got %d bytes", maxPump, len(name))
		}
	}
	maps.Copy(pumps, given)
	return pumps, nil
}

// agree uses the converters of the completer's clients if the options set none,
// and refuses different ones.
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
