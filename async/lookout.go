package async

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

const (
	// observerWait is how long a hub waits for its observer.
	observerWait = 50 * time.Millisecond

	// maxCarry is the maximum size of the values that an observer keeps with a
	// round.
	maxCarry = 1 << 10
)

// lookout calls the observer of a hub. The zero lookout has no observer.
type lookout struct {
	observer Observer
	counter  counter // the observer, if it only counts
	inline   bool
	trouble  *trouble
	info     func(e entry) Info
	hanging  atomic.Int32 // number of calls that have not returned in time
}

// observation is an observed operation. The zero observation is not observed.
type observation struct {
	of    *lookout
	op    Op
	done  func(Done)
	info  Info
	carry map[string]string // the values that the observer wants to keep; nil: unchanged

	counted count // used if the observer only counts; there is no done function then
}

// newLookout returns the lookout for an observer, which may be nil.
func newLookout(o Observer, t *trouble) *lookout {
	l := &lookout{trouble: t}
	if isNilInterface(o) {
		return l
	}
	l.observer = o
	l.counter, _ = o.(counter)
	if b, ok := o.(Blocker); ok {
		blocks, err := guarded("the observer's Blocks", func() (bool, error) { return b.Blocks(), nil })
		l.inline = err == nil && !blocks
	}
	return l
}

// observe begins an operation on an entry. Without an observer, observe costs
// nothing.
func (l *lookout) observe(ctx context.Context, op Op, detail string, e entry) (context.Context, observation) {
	if l.observer == nil {
		return ctx, observation{}
	}
	if l.counter != nil {
		return ctx, l.counting(op, detail, e.rec)
	}
	o := Operation{Op: op, Detail: detail}
	if e.rec != nil {
		o.Info = l.info(e)
		o.Carry = maps.Clone(e.rec.Carry)
	}
	return l.begin(ctx, o)
}

// observeHandOff begins a hand-off. The observer's values are stored in the
// record.
func (l *lookout) observeHandOff(ctx context.Context, r *record.Record) (context.Context, observation) {
	if l.observer == nil {
		return ctx, observation{}
	}
	if l.counter != nil {
		return ctx, l.counting(OpHandOff, "", r)
	}
	ctx, seen := l.begin(ctx, Operation{Op: OpHandOff, Info: l.info(entry{id: record.EntryID(r), rec: r}), Carry: make(map[string]string)})
	seen.keep(r)
	return ctx, seen
}

// observeSettle begins the acceptance of an outcome.
func (l *lookout) observeSettle(ctx context.Context, e entry, kind record.Kind) (context.Context, observation) {
	if l.observer == nil {
		return ctx, observation{}
	}
	if l.counter != nil {
		return ctx, l.counting(OpSettle, kindName(kind), e.rec)
	}
	o := Operation{Op: OpSettle, Detail: kindName(kind), Carry: make(map[string]string)}
	if e.rec != nil {
		o.Info = l.info(e)
		maps.Copy(o.Carry, e.rec.Carry)
	}
	return l.begin(ctx, o)
}

// query begins a question to Temporal.
func (l *lookout) query(ctx context.Context, t completer.Target) (context.Context, observation) {
	if l.observer == nil {
		return ctx, observation{}
	}
	if l.counter != nil {
		return ctx, l.counting(OpQuery, "", nil)
	}
	return l.begin(ctx, Operation{Op: OpQuery, Info: Info{
		Namespace: t.Namespace, WorkflowID: t.WorkflowID, WorkflowType: t.WorkflowType, RunID: t.RunID,
		ActivityID: t.ActivityID, ActivityType: t.ActivityType, ActivityRunID: t.ActivityRunID, TaskQueue: t.TaskQueue,
	}})
}

// observedKey is the context key that marks a context of an observer.
type observedKey struct{}

var (
	errStrangeContext = errors.New("async: Begin returned a context that is not derived from its argument")
	errStrangeCarry   = errors.New("async: Operation.Carry must be at most 1 KiB of UTF-8; its changes are dropped")
	errSlowObserver   = errors.New("async: the observer did not return in time")
)

// begin calls the observer's Begin.
func (l *lookout) begin(ctx context.Context, o Operation) (context.Context, observation) {
	type begun struct {
		ctx   context.Context
		done  func(Done)
		carry map[string]string
		wrong error
	}
	mark := new(int)
	given := context.WithValue(ctx, observedKey{}, mark)
	before := maps.Clone(o.Carry)
	b, err := callObserver(l, func() (b begun) {
		b.ctx, b.done = l.observer.Begin(given, o)
		if b.ctx == nil || b.ctx.Value(observedKey{}) != any(mark) {
			b.wrong, b.ctx = errStrangeContext, given
		}
		if o.Carry != nil && !maps.Equal(before, o.Carry) {
			if b.carry = maps.Clone(o.Carry); !carriable(b.carry) {
				b.wrong, b.carry = errStrangeCarry, nil
			}
		}
		return b
	})
	if err == nil {
		err = b.wrong
	}
	if err != nil {
		l.complain(ctx, o.Op, err)
	}
	if b.ctx != nil && b.ctx != given {
		ctx = observedContext{ctx, b.ctx}
	}
	return ctx, observation{of: l, op: o.Op, done: b.done, info: o.Info, carry: b.carry}
}

// carriable reports whether the values can be kept with a round: they are valid
// UTF-8 and small enough.
func carriable(carry map[string]string) bool {
	size := 0
	for k, v := range carry {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return false
		}
		size += len(k) + len(v)
	}
	return size <= maxCarry
}

// keep writes the observer's values to a record.
func (o *observation) keep(r *record.Record) {
	if o.carry != nil {
		r.Carry = maps.Clone(o.carry)
	}
}

// open reports whether the operation is observed and has not ended.
func (o *observation) open() bool { return o.done != nil || o.counted.op != "" }

// end ends an operation. Only the first call of end counts.
func (o *observation) end(d Done) {
	switch {
	case o.counted.op != "":
		o.count(d.Class, d.Count, d.Lag)
	case o.done != nil:
		o.finish(d) // a separate function, so that d stays off the heap if nothing is observed
	}
}

func (o *observation) finish(d Done) {
	done := o.done
	o.done = nil
	if d.Info.ID == "" {
		d.Info = o.info
	}
	if _, err := callObserver(o.of, func() struct{} { done(d); return struct{}{} }); err != nil {
		o.of.complain(context.Background(), o.op, err)
	}
}

func (l *lookout) complain(ctx context.Context, op Op, err error) {
	l.trouble.happened(ctx, slog.String("op", string(op)), slog.Any("error", err))
}

// callObserver calls the observer inline, or in a goroutine that is abandoned
// if it hangs. While a call hangs, callObserver makes no other.
func callObserver[T any](l *lookout, f func() T) (v T, err error) {
	const call = "the observer"
	if l.inline {
		return guarded(call, func() (T, error) { return f(), nil })
	}
	if l.hanging.Load() > 0 {
		return v, errSlowObserver
	}
	type result struct {
		v   T
		err error
	}
	back := make(chan result, 1)
	var settled atomic.Bool // set by the caller when it gives up, or by the call
	go func() {
		r := result{err: panicked(call, nil)} // the result if the call ends its goroutine
		defer func() {
			if !settled.CompareAndSwap(false, true) {
				l.hanging.Add(-1)
			}
			back <- r
		}()
		r.v, r.err = guarded(call, func() (T, error) { return f(), nil })
	}()
	timer := time.NewTimer(observerWait)
	defer timer.Stop()
	select {
	case r := <-back:
		return r.v, r.err
	case <-timer.C:
		l.hanging.Add(1)
		if settled.CompareAndSwap(false, true) {
			return v, errSlowObserver
		}
		l.hanging.Add(-1)
		r := <-back
		return r.v, r.err
	}
}

// observedContext has the observer's values, and ends when the hub's context
// ends.
type observedContext struct {
	context.Context
	values context.Context
}

// Value returns the observer's value, or the hub's value if the observer has
// none. The hub's own keys are not taken from the observer, because they decide
// what an outcome is.
func (c observedContext) Value(key any) any {
	switch key.(type) {
	case idempotencyKey, noteOfCall, pendingKey:
		return c.Context.Value(key)
	}
	v, err := guarded("the Value method of the observer's context", func() (any, error) { return c.values.Value(key), nil })
	if v != nil && err == nil {
		return v
	}
	return c.Context.Value(key)
}
