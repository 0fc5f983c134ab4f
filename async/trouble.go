package async

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// troubleEvery is the time between two log lines about one kind of trouble.
const troubleEvery = 10 * time.Second

// trouble logs one kind of trouble, which may concern thousands of entries at
// once. trouble writes a line when the trouble begins, and one when it is over.
// In between it writes one every troubleEvery, with the number of cases since
// the last line. Cases of a single entry are logged at debug level.
type trouble struct {
	log   *slog.Logger
	level slog.Level
	what  string
	quiet time.Duration // the trouble is over when it has not happened for this time

	mu                sync.Mutex
	began, said, last time.Time
	count, total      int // number of cases since the last line, and since the trouble began
}

// happened records one case of the trouble. The attributes describe this case.
func (t *trouble) happened(ctx context.Context, about ...slog.Attr) {
	now := time.Now()
	t.mu.Lock()
	begins := t.began.IsZero()
	if begins {
		t.began, t.said, t.total = now, now, 0
	}
	t.last = now
	t.total++
	n := 0
	if !begins {
		if t.count++; now.Sub(t.said) >= troubleEvery {
			n, t.count, t.said = t.count, 0, now
		}
	}
	t.mu.Unlock()
	switch {
	case begins:
		t.log.LogAttrs(ctx, t.level, t.what, about...)
	case n > 0:
		t.log.LogAttrs(ctx, t.level, t.what, append(about, slog.Int("times", n))...)
	default:
		t.log.LogAttrs(ctx, slog.LevelDebug, t.what, about...)
	}
}

// settle logs the number of cases since the last line, and that the trouble is
// over if it is.
func (t *trouble) settle(now time.Time) {
	t.mu.Lock()
	over := !t.began.IsZero() && now.Sub(t.last) >= t.quiet
	n := 0
	if !over && t.count > 0 && now.Sub(t.said) >= troubleEvery {
		n, t.count, t.said = t.count, 0, now
	}
	lasted, total := t.last.Sub(t.began), t.total
	if over {
		t.began, t.count = time.Time{}, 0
	}
	t.mu.Unlock()
	switch {
	case over:
		t.log.Info(t.what+": over", slog.Int("times", total), slog.Duration("lasted", lasted))
	case n > 0:
		t.log.LogAttrs(context.Background(), t.level, t.what, slog.Int("times", n))
	}
}

// troubles are the kinds of trouble that a hub logs.
type troubles struct {
	store, undelivered, lost, unreadable, hook, beat, pump, clock, observer trouble
}

// newTroubles names the kinds of trouble. The quiet time of each is longer than
// its longest backoff.
func newTroubles(log *slog.Logger) *troubles {
	t := new(troubles)
	for of, is := range map[*trouble]struct {
		level slog.Level
		what  string
		quiet time.Duration
	}{
		&t.store:       {slog.LevelError, "async: the store fails, and the hub retries", troubleEvery},
		&t.undelivered: {slog.LevelWarn, "async: an answer is accepted and not delivered yet, and the hub retries", 7 * time.Minute},
		&t.lost:        {slog.LevelWarn, "async: an activity ended without the outcome that was accepted", time.Minute},
		&t.unreadable:  {slog.LevelError, "async: an entry cannot be read, and is left alone", 2 * unreadable},
		&t.hook:        {slog.LevelWarn, "async: a hook failed, and the hub retries", 13 * time.Minute},
		&t.beat:        {slog.LevelWarn, "async: a heartbeat was not sent, and the hub retries", 2 * time.Minute},
		&t.pump:        {slog.LevelError, "async: this hub does not know the pump of an activity, and leaves its heartbeats to other hubs: add it to Options.Pumps", 2 * time.Minute},
		&t.observer:    {slog.LevelWarn, "async: the observer panicked, did not return in time, or returned what it must not; the operation is not observed", 10 * time.Minute},
		&t.clock:       {slog.LevelWarn, "async: this machine's clock is far from Temporal's: hubs may heartbeat too late for its activities", 10 * time.Minute},
	} {
		of.log, of.level, of.what, of.quiet = log, is.level, is.what, is.quiet
	}
	return t
}

// settle logs which kinds of trouble are over.
func (t *troubles) settle(now time.Time) {
	for _, one := range []*trouble{&t.store, &t.undelivered, &t.lost, &t.unreadable, &t.hook, &t.beat, &t.pump, &t.clock, &t.observer} {
		one.settle(now)
	}
}

// storeFailed logs an error of the store about an entry, or about none.
func (t *troubles) storeFailed(ctx context.Context, id string, err error) {
	t.store.happened(ctx, append(fields(id, nil, OpStore, storeClass(err), err), slog.Any("error", err))...)
}
