package async_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
)

// recorder is an observer that keeps what it has seen, except for calls of the
// store.
type recorder struct {
	begin func(ctx context.Context, o async.Operation) context.Context

	mu   sync.Mutex
	open int
	seen []seen
}

type seen struct {
	async.Operation
	async.Done
}

func (r *recorder) Begin(ctx context.Context, o async.Operation) (context.Context, func(async.Done)) {
	if o.Op == async.OpStore {
		return ctx, nil
	}
	if r.begin != nil {
		ctx = r.begin(ctx, o)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open++
	return ctx, func(d async.Done) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.open--
		r.seen = append(r.seen, seen{o, d})
	}
}

// of returns the observations of an operation.
func (r *recorder) of(op async.Op) (all []seen) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.seen {
		if s.Op == op {
			all = append(all, s)
		}
	}
	return all
}

func TestObserverSeesEachOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		w := newWorld(t, func(o *async.Options) {
			o.Observer = r
			o.Hooks.Delivered = func(context.Context, async.Callback) error { return nil }
		})
		id := w.start(1, async.StartOptions{})
		time.Sleep(72 * time.Hour)
		p := w.open(id)
		w.completer.CompleteFunc = stumbles
		wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
		wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
		wantErr(t, p.Complete(t.Context(), Decision{}), async.ErrSettled)
		wantErr(t, p.Fail(t.Context(), nil), async.ErrInvalidFailure)
		wantErr(t, p.ReportCanceled(t.Context(), func() {}), async.ErrInvalidResult)
		w.completer.CompleteFunc = nil
		time.Sleep(time.Minute)
		_, err := w.hub.Work(t.Context())
		wantNil(t, err)

		if hs := r.of(async.OpHandOff); len(hs) != 1 || hs[0].Class != "asked" || hs[0].Operation.Info.ActivityType != "Approve" {
			t.Errorf("hand-offs: %+v", hs)
		}
		var verdicts []string
		for _, s := range r.of(async.OpSettle) {
			verdicts = append(verdicts, s.Detail+" "+s.Class)
			if s.Class == async.ClassAccepted && (s.Lag != 72*time.Hour || s.Done.Info.State != async.Settled) {
				t.Errorf("accepted after %v in state %v, want 72 h and settled", s.Lag, s.Done.Info.State)
			}
		}
		if got := strings.Join(verdicts, ", "); got != "result accepted, result repeat, result settled, failure refused, cancellation refused" {
			t.Errorf("verdicts: %s", got)
		}
		ds := r.of(async.OpDeliver)
		if len(ds) != 2 || ds[0].Class != "unavailable" || ds[1].Class != async.ClassDelivered || ds[1].Count != 2 || ds[1].Lag != time.Minute {
			t.Errorf("deliveries: %+v", ds)
		}
		if ns := r.of(async.OpNotify); len(ns) != 1 || ns[0].Detail != "Delivered" || ns[0].Class != "ok" {
			t.Errorf("hooks: %+v", ns)
		}
		if cs := r.of(async.OpClaim); len(cs) < 2 || cs[0].Count != 1 || cs[0].Class != "ok" {
			t.Errorf("claims: %+v", cs)
		}
		if r.open != 0 {
			t.Errorf("%d operations have not ended", r.open)
		}
	})
}

// TestCarry shows that values of one process's observer reach the observers of
// other processes, days later.
func TestCarry(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	synctest.Test(t, func(t *testing.T) {
		writes := func(key string) *recorder {
			return &recorder{begin: func(ctx context.Context, o async.Operation) context.Context {
				if o.Op == async.OpHandOff || o.Op == async.OpSettle {
					o.Carry[key] = parent
				} else if o.Carry != nil {
					o.Carry["lost"] = "x" // the operations in this test keep no values
				}
				return ctx
			}}
		}
		shared := store.NewMemory()
		var worker, web, runner recorder
		hub := func(r *recorder, completer bool) *world {
			return newWorld(t, func(o *async.Options) {
				o.Store, o.Observer = shared, r
				if !completer {
					o.Completer = nil
				}
			})
		}
		worker.begin, web.begin, runner.begin = writes("asked").begin, writes("answered").begin, writes("none").begin
		id := hub(&worker, true).start(1, async.StartOptions{})
		time.Sleep(48 * time.Hour)
		wantNil(t, hub(&web, false).open(id).Complete(t.Context(), Decision{}))
		w := hub(&runner, true)
		_, err := w.hub.Work(t.Context())
		wantNil(t, err)
		if s := web.of(async.OpSettle); len(s) != 1 || s[0].Carry["asked"] != parent {
			t.Errorf("the process that was answered saw %v", s)
		}
		d := runner.of(async.OpDeliver)
		if len(d) != 1 || d[0].Carry["asked"] != parent || d[0].Carry["answered"] != parent || d[0].Carry["none"] != "" {
			t.Errorf("the process that delivered saw %+v", d)
		}
		if c := w.record().Carry; len(c) != 0 {
			t.Errorf("the entry keeps %v after the end", c)
		}
	})
}

func TestCarryIsBounded(t *testing.T) {
	for name, carry := range map[string]map[string]string{
		"large": {"k": strings.Repeat("x", 1024)}, "no UTF-8": {"k": "\xff"}, "key": {"\xff": ""},
	} {
		r := &recorder{begin: func(ctx context.Context, o async.Operation) context.Context {
			for k, v := range carry {
				if o.Carry != nil {
					o.Carry[k] = v
				}
			}
			return ctx
		}}
		w := newWorld(t, func(o *async.Options) { o.Observer = r })
		id := w.start(1, async.StartOptions{})
		if c := w.record().Carry; len(c) != 0 {
			t.Errorf("%s: the entry keeps %v", name, c)
		}
		wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
		w.wantState(async.Closed)
		if !strings.Contains(w.logs.String(), "1 KiB") {
			t.Errorf("%s: nothing is logged", name)
		}
	}
}

// strange is a context that a broken observer returns.
type strange struct{ context.Context }

func (s strange) Value(key any) any {
	if v := s.Context.Value(key); v != nil && fmt.Sprintf("%T", key) == "async.observedKey" {
		return v // the context passes as a derived one
	}
	panic("strange")
}

type inlineObserver struct{ badObserver }

func (inlineObserver) Blocks() bool { return false }

// badObserver is an observer that violates the contract.
type badObserver struct {
	begin func(ctx context.Context, o async.Operation) (context.Context, func(async.Done))
}

func (b badObserver) Begin(ctx context.Context, o async.Operation) (context.Context, func(async.Done)) {
	return b.begin(ctx, o)
}

// TestBadObserversChangeNothing plays an activity's life with observers that
// panic, block, or return wrong values.
func TestBadObserversChangeNothing(t *testing.T) {
	type beginFunc = func(ctx context.Context, o async.Operation) (context.Context, func(async.Done))
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	bad := map[string]beginFunc{
		"panics": func(context.Context, async.Operation) (context.Context, func(async.Done)) { panic(secretText) },
		"panics in done": func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) {
			return ctx, func(async.Done) { panic(secretText) }
		},
		"no context": func(context.Context, async.Operation) (context.Context, func(async.Done)) { return nil, nil },
		"canceled":   func(context.Context, async.Operation) (context.Context, func(async.Done)) { return canceled, nil },
		"another context": func(context.Context, async.Operation) (context.Context, func(async.Done)) {
			return context.Background(), func(async.Done) {}
		},
		"a derived context that is canceled": func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, nil
		},
		"a deadline": func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) {
			ctx, cancel := context.WithTimeout(ctx, time.Nanosecond)
			return ctx, func(async.Done) { cancel() }
		},
		"a context that panics": func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) {
			return strange{ctx}, nil
		},
		"an idempotency key": func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) {
			return async.WithIdempotencyKey(ctx, "the same each time"), nil
		},
		"a note": func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) {
			return async.WithNote(ctx, vote("the observer")), nil
		},
		"changes its Info": func(ctx context.Context, o async.Operation) (context.Context, func(async.Done)) {
			for k := range o.Info.Labels {
				delete(o.Info.Labels, k)
			}
			clear(o.Carry)
			return ctx, nil
		},
		"ends its goroutine": func(context.Context, async.Operation) (context.Context, func(async.Done)) {
			runtime.Goexit()
			return nil, nil
		},
		"blocks": func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) {
			time.Sleep(24 * time.Hour)
			return ctx, nil
		},
		"blocks in done": func(ctx context.Context, _ async.Operation) (context.Context, func(async.Done)) {
			return ctx, func(async.Done) { time.Sleep(24 * time.Hour) }
		},
	}
	for name, begin := range bad {
		for _, inline := range []bool{false, true} {
			if inline && (strings.HasPrefix(name, "blocks") || strings.HasPrefix(name, "ends")) {
				continue // this observer has declared that it does not block
			}
			t.Run(fmt.Sprintf("%s, inline %t", name, inline), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, func(o *async.Options) {
						if o.Observer = (badObserver{begin}); inline {
							o.Observer = inlineObserver{badObserver{begin}}
						}
						o.Hooks.Delivered = func(context.Context, async.Callback) error { return nil }
					})
					begun := time.Now()
					id := w.start(1, async.StartOptions{Labels: map[string]string{"a": "b"}})
					p := w.open(id)
					w.completer.CompleteFunc = stumbles
					wantNil(t, p.Complete(t.Context(), Decision{Approved: true}))
					wantErr(t, p.Complete(t.Context(), Decision{}), async.ErrSettled)
					wantErr(t, p.Fail(t.Context(), errors.New("no")), async.ErrSettled)
					if took := time.Since(begun); took > time.Second {
						t.Errorf("the calls took %v", took)
					}
					w.completer.CompleteFunc = nil
					time.Sleep(5 * time.Second)
					begun = time.Now()
					_, err := w.hub.Work(t.Context())
					wantNil(t, err)
					if took := time.Since(begun); took > time.Second {
						t.Errorf("Work took %v", took)
					}
					w.wantState(async.Closed)
					w.wantSent(1)
					if labels := w.open(id).Info().Labels; labels["a"] != "b" {
						t.Errorf("the labels are %v", labels)
					}
					if n := len(w.record().Notes); n != 0 {
						t.Errorf("the journal has %d notes", n)
					}
					if strings.Contains(w.logs.String(), secretText) {
						t.Error("the log repeats what the observer panicked with")
					}
					if strings.Contains(w.logs.String(), `op=""`) {
						t.Error("a log line about the observer does not name the operation")
					}
					time.Sleep(48 * time.Hour) // the hanging calls return
				})
			})
		}
	}
}

func TestObserverGivesValuesToCalls(t *testing.T) {
	type key struct{}
	r := &recorder{begin: func(ctx context.Context, o async.Operation) context.Context {
		return context.WithValue(ctx, key{}, o.Op)
	}}
	var during async.Op
	w := newWorld(t, func(o *async.Options) {
		o.Observer = r
		o.Hooks.Delivered = func(ctx context.Context, _ async.Callback) error {
			during, _ = ctx.Value(key{}).(async.Op)
			return nil
		}
	})
	id := w.start(1, async.StartOptions{})
	wantNil(t, w.open(id).Complete(t.Context(), Decision{}))
	_, err := w.hub.Work(t.Context())
	wantNil(t, err)
	if during != async.OpNotify {
		t.Errorf("the hook's context is that of %q, want %q", during, async.OpNotify)
	}
}

// contextWith is an observer that keeps a traceparent with each round.
func contextWith(parent string) func(ctx context.Context, o async.Operation) context.Context {
	return func(ctx context.Context, o async.Operation) context.Context {
		if o.Op == async.OpHandOff {
			o.Carry["traceparent"] = parent
		}
		return ctx
	}
}
