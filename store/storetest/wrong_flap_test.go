package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// cutShort reports whether a call failed because its connection was cut.
func (r *ref) cutShort(err error) bool { return errors.Is(err, errUnreachable) && !r.broken.Load() }

// afterCut returns a store that calls hurt after a call whose connection was
// cut.
func afterCut(hurt func(r *ref)) func(r *ref) store.Store {
	return func(r *ref) store.Store {
		noted := func(err error) error {
			if r.cutShort(err) {
				hurt(r)
			}
			return err
		}
		return &twisted{ref: r,
			put: func(ctx context.Context, e store.Entry) (uint64, error) {
				version, err := r.put(ctx, e)
				return version, noted(err)
			},
			del: func(ctx context.Context, id string, version uint64) error { return noted(r.del(ctx, id, version)) },
			claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				got, err := r.claim(ctx, now, until, n)
				return got, noted(err)
			},
			list: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
				r.List(ctx)(func(e store.Entry, err error) bool { return yield(e, noted(err)) })
			})(r).(*twisted).list,
		}
	}
}

func wrongFlaps() []wrong {
	return []wrong{
		{name: "a connection that was cut is never made again", caughtBy: []string{"Flap/GetRecovers", "Flap/ClaimRecovers", "Flap/ListRecovers"},
			wrap: afterCut(func(r *ref) { r.broken.Store(true) })},
		{name: "the call after one that was cut hangs", caughtBy: []string{"Flap/GetRecovers", "Flap/ClaimRecovers", "Flap/ListRecovers"}, hangs: true,
			wrap: afterCut(func(r *ref) { r.w.mu.Lock() })},
		{name: "a call that was cut never ends, for Close", caughtBy: []string{"Flap/CloseReturns"}, hangs: true,
			wrap: afterCut(func(r *ref) { r.mu.RLock() })},
		{name: "what a claim that was cut has taken never comes back", caughtBy: []string{"Flap/ClaimRecovers"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			got, err := r.claim(ctx, now, until, n)
			if r.cutShort(err) {
				for _, e := range r.due(now)[:n] {
					r.poke(e.ID, func(kept *store.Entry) { kept.Due = never })
				}
			}
			return got, err
		})},
		{name: "a list that is cut ends in silence", caughtBy: []string{"Flap/ListRecovers"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			r.List(ctx)(func(e store.Entry, err error) bool { return !r.cutShort(err) && yield(e, err) })
		})},
		{name: "a put that was cut is absent", caughtBy: []string{"Flap/NoWriteComesLater"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				version, err := r.put(ctx, e)
				if r.cutShort(err) {
					err = store.ErrNotFound
				}
				return version, err
			}}
		}},
		{name: "a put that was cut is sent with a later one", caughtBy: []string{"Flap/NoWriteComesLater"}, wrap: func(r *ref) store.Store {
			var mu sync.Mutex
			var buffered []store.Entry
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				mu.Lock()
				defer mu.Unlock()
				version, err := r.put(ctx, e)
				if r.cutShort(err) {
					buffered = append(buffered, e)
				} else if len(buffered) > 0 {
					_, _ = r.put(ctx, buffered[0])
					buffered = buffered[1:]
				}
				return version, err
			}}
		}},
		{name: "a delete that was cut is sent with a later put", caughtBy: []string{"Flap/NoWriteComesLater"}, wrap: func(r *ref) store.Store {
			var mu sync.Mutex
			var buffered []store.Entry
			return &twisted{ref: r,
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					mu.Lock()
					defer mu.Unlock()
					for _, gone := range buffered {
						_ = r.del(ctx, gone.ID, gone.Version)
					}
					buffered = nil
					return r.put(ctx, e)
				},
				del: func(ctx context.Context, id string, version uint64) error {
					err := r.del(ctx, id, version)
					if r.cutShort(err) {
						mu.Lock()
						buffered = append(buffered, store.Entry{ID: id, Version: version})
						mu.Unlock()
					}
					return err
				},
			}
		}},
	}
}

// TestSlowFailuresEndSoon: the suite ends within a minute on a store whose calls
// take two seconds to fail.
func TestSlowFailuresEndSoon(t *testing.T) {
	const limit = time.Minute
	h := everything(func(r *ref) store.Store { r.slow = 2 * time.Second; return r }, nil)
	total := time.Duration(0)
	for _, k := range checks() {
		if k.needs&(breakable|flapping|losing) == 0 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			for _, e := range observe(t, k.name, h, 1, patience).errors {
				t.Errorf("%s: got %s", k.name, e)
			}
			total += time.Since(began)
		})
	}
	if total > limit {
		t.Errorf("the checks of stores out of reach took %v, want at most %v", total, limit)
	}
	t.Logf("the checks of stores out of reach took %v", total)
}
