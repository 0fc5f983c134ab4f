package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// open reopens the handle for one call, so that this call does not notice
// Close.
func (r *ref) open() { r.mu.Lock(); r.closed = false; r.mu.Unlock() }

func wrongCloses() []wrong {
	after := func(name string, deaf func(r *ref) *twisted) wrong {
		return wrong{name: name + " works after Close", caughtBy: []string{"Close/" + name + "Afterwards"}, wrap: func(r *ref) store.Store { return deaf(r) }}
	}
	return []wrong{
		{name: "a second Close is an error", caughtBy: []string{"Close/SecondReturnsNil", "Close/AtOnceFromSeveral"}, wrap: func(r *ref) store.Store {
			var mu sync.Mutex
			closed := false
			return &twisted{ref: r, close: func() error {
				mu.Lock()
				defer mu.Unlock()
				if closed {
					return store.ErrClosed
				}
				closed = true
				return r.Close()
			}}
		}},
		{name: "a list goes on after Close", caughtBy: []string{"Close/ListLoopEndsWithErrClosed"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			var all []store.Entry
			for e, err := range r.List(ctx) {
				if err != nil {
					yield(e, err)
					return
				}
				all = append(all, e)
			}
			for _, e := range all {
				if !yield(e, ctx.Err()) || ctx.Err() != nil {
					return
				}
			}
		})},
		{name: "a list ends in silence after Close", caughtBy: []string{"Close/ListLoopEndsWithErrClosed", "Close/ListAfterwards"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			r.List(ctx)(func(e store.Entry, err error) bool { return !errors.Is(err, store.ErrClosed) && yield(e, err) })
		})},
		{name: "Close doesn't wait", caughtBy: []string{"Close/WaitsForCallsUnderWay"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				r.mu.RLock()
				closed := r.closed
				r.mu.RUnlock()
				if closed {
					return 0, store.ErrClosed
				}
				if err := ctx.Err(); err != nil {
					return 0, err
				}
				r.w.mu.Lock()
				defer r.w.mu.Unlock()
				return r.swap(e)
			}}
		}},
		{name: "a call after Close fails by accident", caughtBy: []string{"Close/BesideOtherCalls", "Close/GetAfterwards"}, wrap: saying(store.ErrClosed, errors.New("reference: use of closed file"))},
		{name: "absent is what Get says after Close", caughtBy: []string{"Close/GetAfterwards"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) {
				e, err := r.get(ctx, id)
				if errors.Is(err, store.ErrClosed) {
					err = store.ErrNotFound
				}
				return e, err
			}}
		}},
		after("Get", func(r *ref) *twisted {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) { r.open(); return r.get(ctx, id) }}
		}),
		after("Insert", func(r *ref) *twisted {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if e.Version == 0 {
					r.open()
				}
				return r.put(ctx, e)
			}}
		}),
		after("Put", func(r *ref) *twisted {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if e.Version != 0 {
					r.open()
				}
				return r.put(ctx, e)
			}}
		}),
		after("Delete", func(r *ref) *twisted {
			return &twisted{ref: r, del: func(ctx context.Context, id string, version uint64) error { r.open(); return r.del(ctx, id, version) }}
		}),
		after("Claim", func(r *ref) *twisted {
			return &twisted{ref: r, claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				r.open()
				return r.claim(ctx, now, until, n)
			}}
		}),
	}
}

// saying wraps the reference: each error that matches from becomes answer,
// which may be nil.
func saying(from, answer error) func(r *ref) store.Store {
	of := func(err error) error {
		if errors.Is(err, from) {
			return answer
		}
		return err
	}
	return func(r *ref) store.Store {
		return &twisted{ref: r,
			get: func(ctx context.Context, id string) (store.Entry, error) {
				e, err := r.get(ctx, id)
				return e, of(err)
			},
			put: func(ctx context.Context, e store.Entry) (uint64, error) {
				v, err := r.put(ctx, e)
				return v, of(err)
			},
			del: func(ctx context.Context, id string, version uint64) error { return of(r.del(ctx, id, version)) },
			claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				got, err := r.claim(ctx, now, until, n)
				return got, of(err)
			},
			list: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
				r.List(ctx)(func(e store.Entry, err error) bool {
					err = of(err)
					return (e.ID != "" || err != nil) && yield(e, err)
				})
			})(r).(*twisted).list,
		}
	}
}

func wrongBroken() []wrong {
	all := []string{"Break/GetFails", "Break/InsertFails", "Break/PutFails", "Break/DeleteFails", "Break/ClaimFails", "Break/ListFails", "Break/AbsentIsNotKnown"}
	return []wrong{
		{name: "out of reach is no error", caughtBy: all, wrap: saying(errUnreachable, nil)},
		{name: "out of reach is absent", caughtBy: []string{"Break/GetFails", "Break/AbsentIsNotKnown"}, wrap: saying(errUnreachable, store.ErrNotFound)},
		{name: "out of reach is a conflict", caughtBy: []string{"Break/PutFails", "Break/DeleteFails"}, wrap: saying(errUnreachable, store.ErrConflict)},
		{name: "out of reach is present", caughtBy: []string{"Break/InsertFails"}, wrap: saying(errUnreachable, store.ErrExists)},
		{name: "errors out of reach aren't wrapped", caughtBy: []string{"Break/ErrorsAreWrapped"}, wrap: func(r *ref) store.Store {
			return &bare{r, func(op, id string, _ []byte, err error) error {
				if err == errUnreachable {
					return err
				}
				return wrapped(op, id, err)
			}}
		}},
		{name: "Close gives up where the store is out of reach", caughtBy: []string{"Break/CloseReturns"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, close: func() error {
				if r.broken.Load() {
					return errUnreachable
				}
				return r.Close()
			}}
		}},
		{name: "damage isn't noticed", caughtBy: []string{"Corrupt/GetIsErrCorrupt", "Corrupt/ListSaysSo"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) {
				e, err := r.get(ctx, id)
				if err == store.ErrCorrupt {
					return r.peek(id), nil
				}
				return e, err
			}, list: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
				ids, _ := r.ids(ctx)
				for _, id := range ids {
					if !yield(r.peek(id), nil) {
						return
					}
				}
			})(r).(*twisted).list}
		}},
		{name: "a damaged entry is absent", caughtBy: []string{"Corrupt/IsNotAbsent", "Corrupt/GetIsErrCorrupt"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r,
				get: func(ctx context.Context, id string) (store.Entry, error) {
					e, err := r.get(ctx, id)
					if err == store.ErrCorrupt {
						err = store.ErrNotFound
					}
					return e, err
				},
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					r.w.mu.Lock()
					if r.w.damaged[e.ID] && e.Version == 0 {
						delete(r.w.entries, e.ID)
						delete(r.w.damaged, e.ID)
					}
					r.w.mu.Unlock()
					return r.put(ctx, e)
				},
			}
		}},
		{name: "one damaged entry makes all unreadable", caughtBy: []string{"Corrupt/OthersAreReadable"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) {
				if r.anyDamaged() {
					return store.Entry{}, store.ErrCorrupt
				}
				return r.get(ctx, id)
			}}
		}},
		{name: "one damaged entry stops every claim", caughtBy: []string{"Corrupt/OthersAreClaimable"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			if r.anyDamaged() {
				return nil, store.ErrCorrupt
			}
			return r.claim(ctx, now, until, n)
		})},
		{name: "one damaged entry makes every claim empty", caughtBy: []string{"Corrupt/OthersAreClaimable"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			if n == 1 && r.anyDamaged() {
				return nil, nil
			}
			return r.claim(ctx, now, until, n)
		})},
		{name: "a damaged entry is claimed over and over", caughtBy: []string{"Corrupt/ClaimsComeToAnEnd"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			got, err := r.claim(ctx, now, until, n)
			if err == nil && r.anyDamaged() && len(got) < n {
				got = append(got, store.Entry{ID: "damaged", Version: 1, Due: until})
			}
			return got, err
		})},
		{name: "a list ends at a damaged entry", caughtBy: []string{"Corrupt/ListGoesOn"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			r.List(ctx)(func(e store.Entry, err error) bool { return yield(e, err) && err == nil })
		})},
		{name: "a list leaves a damaged entry out", caughtBy: []string{"Corrupt/ListSaysSo"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			ids, err := r.ids(ctx)
			if err != nil {
				yield(store.Entry{}, err)
			}
			for _, id := range ids {
				if e, err := r.get(ctx, id); err == nil && !yield(e, nil) {
					return
				}
			}
		})},
	}
}

func (r *ref) anyDamaged() bool {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return len(r.w.damaged) > 0
}

func wrongDurable() []wrong {
	plain := func(r *ref) store.Store { return r }
	each := func(change func(e *store.Entry)) func(w *world) {
		return func(w *world) {
			for id, e := range w.entries {
				change(&e)
				w.entries[id] = e
			}
		}
	}
	// remembering keeps the earlier state of each entry, and reopened restores
	// that state.
	claimed := make(map[*world]map[string]store.Entry)
	deleted := make(map[*world]map[string]store.Entry)
	var mu sync.Mutex
	remember := func(in map[*world]map[string]store.Entry, w *world, e store.Entry) {
		mu.Lock()
		defer mu.Unlock()
		if in[w] == nil {
			in[w] = make(map[string]store.Entry)
		}
		in[w][e.ID] = e
	}
	bringBack := func(from map[*world]map[string]store.Entry) func(w *world) {
		return func(w *world) {
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(w.entries, from[w])
		}
	}
	return []wrong{
		{name: "dues are lost on reopening", caughtBy: []string{"Durable/ReopenedIsAsItWas"}, wrap: plain, reopened: each(func(e *store.Entry) { e.Due = never })},
		{name: "all is lost on reopening", caughtBy: []string{"Durable/ReopenedIsAsItWas", "Model/AcrossReopening"}, wrap: plain, reopened: func(w *world) { clear(w.entries) }},
		{name: "deletes are lost on reopening", caughtBy: []string{"Durable/DeletedStaysDeleted"}, reopened: bringBack(deleted), wrap: func(r *ref) store.Store {
			return &twisted{ref: r, del: func(ctx context.Context, id string, version uint64) error {
				e := r.peek(id)
				err := r.del(ctx, id, version)
				if err == nil {
					remember(deleted, r.w, e)
				}
				return err
			}}
		}},
		{name: "versions are new after reopening", caughtBy: []string{"Durable/VersionsStillHold"}, wrap: plain, reopened: each(func(e *store.Entry) { e.Version += 1000 })},
		{name: "versions go on from the highest that is left", caughtBy: []string{"Durable/VersionsAreNotRepeated"}, wrap: plain, reopened: func(w *world) {
			w.last = 0
			for _, e := range w.entries {
				w.last = max(w.last, e.Version)
			}
		}},
		{name: "claims are lost on reopening", caughtBy: []string{"Durable/ClaimsStillHold"}, reopened: bringBack(claimed), wrap: func(r *ref) store.Store {
			return claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				return r.claimAs(ctx, now, until, n, func(e store.Entry) store.Entry {
					remember(claimed, r.w, e)
					return r.take(e, until)
				})
			})(r)
		}},
		{name: "the last put acknowledged is written later", caughtBy: []string{"Durable/AcknowledgedBesideCloseIsKept"}, wrap: plain, reopened: func(w *world) {
			newest := slices.MaxFunc(slices.Collect(maps.Values(w.entries)), func(a, b store.Entry) int { return int(a.Version) - int(b.Version) })
			delete(w.entries, newest.ID)
		}},
	}
}
