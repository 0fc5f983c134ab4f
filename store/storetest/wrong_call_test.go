package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// listingBy replaces List. The replacement may call the reference's List.
func listingBy(list func(r *ref, ctx context.Context, yield func(store.Entry, error) bool)) func(r *ref) store.Store {
	return func(r *ref) store.Store {
		return &twisted{ref: r, list: func(ctx context.Context) iter.Seq2[store.Entry, error] {
			return func(yield func(store.Entry, error) bool) { list(r, ctx, yield) }
		}}
	}
}

func wrongLists() []wrong {
	return []wrong{
		{name: "a list of nothing is an error", caughtBy: []string{"List/Empty"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			if ids, err := r.ids(ctx); err == nil && len(ids) == 0 {
				yield(store.Entry{}, store.ErrNotFound)
				return
			}
			r.List(ctx)(yield)
		})},
		{name: "a list leaves the dues out", caughtBy: []string{"List/WholeEntries"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			r.List(ctx)(func(e store.Entry, err error) bool { e.Due = never; return yield(e, err) })
		})},
		{name: "a list ends with its first page", caughtBy: []string{"List/ManyEntries"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			n := 0
			r.List(ctx)(func(e store.Entry, err error) bool { n++; return yield(e, err) && n < 1000 })
		})},
		{name: "a page of a list drops what is over its size", caughtBy: []string{"List/LargeBodies"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			size := 0
			r.List(ctx)(func(e store.Entry, err error) bool {
				if size += len(e.Body); size > store.MaxClaim {
					size -= len(e.Body)
					return true
				}
				return yield(e, err)
			})
		})},
		{name: "a list counts its way through pages", caughtBy: []string{"List/WritesInTheLoop"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			for n := 0; ; n++ {
				ids, err := r.ids(ctx)
				if err != nil {
					yield(store.Entry{}, err)
					return
				}
				if n >= len(ids) || !yield(r.peek(ids[n]), nil) {
					return
				}
			}
		})},
		{name: "a list holds the lock in its loop", caughtBy: []string{"List/WritesInTheLoop"}, hangs: true, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			end, err := r.begin(ctx)
			if err != nil {
				yield(store.Entry{}, err)
				return
			}
			defer end()
			for id := range r.w.entries {
				if e, err := r.read(id); !yield(e, err) {
					return
				}
			}
		})},
		{name: "a list gives up when somebody writes", caughtBy: []string{"List/WritesBesideTheLoop"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			r.w.mu.Lock()
			begun := r.w.last
			r.w.mu.Unlock()
			m := newMeeting()
			turn := 0
			r.List(ctx)(func(e store.Entry, err error) bool {
				if turn++; turn%50 == 0 {
					m.meet() // gives other callers time
				}
				r.w.mu.Lock()
				changed := r.w.last != begun
				r.w.mu.Unlock()
				if changed {
					yield(store.Entry{}, errors.New("reference: snapshot too old"))
					return false
				}
				return yield(e, err)
			})
		})},
		{name: "a store has one cursor", caughtBy: []string{"List/LoopInTheLoop"}, wrap: func(r *ref) store.Store {
			var busy atomic.Bool
			return listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
				if !busy.CompareAndSwap(false, true) {
					yield(store.Entry{}, errors.New("reference: another list is going on"))
					return
				}
				defer busy.Store(false)
				r.List(ctx)(yield)
			})(r)
		}},
		{name: "a list goes on after its loop has stopped", caughtBy: []string{"List/LoopMayStop"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			r.List(ctx)(func(e store.Entry, err error) bool { yield(e, err); return true })
		})},
		{name: "a list whose loop has stopped holds its lock", caughtBy: []string{"List/LoopMayStop"}, hangs: true, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			r.List(ctx)(func(e store.Entry, err error) bool {
				if !yield(e, err) {
					r.w.mu.Lock()
					return false
				}
				return true
			})
		})},
		{name: "a list looks at its context only to begin", caughtBy: []string{"List/ContextEndsInTheLoop"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			if err := ctx.Err(); err != nil {
				yield(store.Entry{}, err)
				return
			}
			r.List(context.WithoutCancel(ctx))(yield)
		})},
		{name: "a list ends in silence with its context", caughtBy: []string{"List/ContextEndsInTheLoop", "Context/EndedBeforeList"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			r.List(ctx)(func(e store.Entry, err error) bool { return ctx.Err() == nil && yield(e, err) })
		})},
	}
}

func wrongContexts() []wrong {
	return []wrong{
		{name: "a deadline's error is only its text", caughtBy: []string{"Context/DeadlineIsReachable"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) {
				e, err := r.get(ctx, id)
				if errors.Is(err, context.DeadlineExceeded) {
					err = errors.New(err.Error())
				}
				return e, err
			}}
		}},
		{name: "a list of nothing doesn't look at its context", caughtBy: []string{"Context/EndedBeforeListOfNothing"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			if ids, err := r.ids(context.WithoutCancel(ctx)); err != nil || len(ids) > 0 {
				r.List(ctx)(yield)
			}
		})},
		{name: "a put that is called off says that it was stored", caughtBy: []string{"Context/EndsDuringPut"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if err := ctx.Err(); err != nil {
					return 0, err
				}
				newMeeting().meet()
				if ctx.Err() != nil {
					return 12345, nil
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "get doesn't look at its context", caughtBy: []string{"Context/EndedBeforeGet"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) {
				return r.get(context.WithoutCancel(ctx), id)
			}}
		}},
		{name: "put doesn't look at its context", caughtBy: []string{"Context/EndedBeforeInsert", "Context/EndedBeforePut"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				return r.put(context.WithoutCancel(ctx), e)
			}}
		}},
		{name: "put looks at its context when it has written", caughtBy: []string{"Context/EndedBeforeInsert", "Context/EndedBeforePut"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				v, err := r.put(context.WithoutCancel(ctx), e)
				if ctx.Err() != nil {
					return 0, ctx.Err()
				}
				return v, err
			}}
		}},
		{name: "delete doesn't look at its context", caughtBy: []string{"Context/EndedBeforeDelete"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, del: func(ctx context.Context, id string, version uint64) error {
				return r.del(context.WithoutCancel(ctx), id, version)
			}}
		}},
		{name: "claim doesn't look at its context", caughtBy: []string{"Context/EndedBeforeClaim"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			return r.claim(context.WithoutCancel(ctx), now, until, n)
		})},
		{name: "list doesn't look at its context", caughtBy: []string{"Context/EndedBeforeList"}, wrap: listingBy(func(r *ref, ctx context.Context, yield func(store.Entry, error) bool) {
			r.List(context.WithoutCancel(ctx))(yield)
		})},
	}
}

// putInTwoSteps compares the version, and then replaces the entry, which may
// have changed in between. Several stores may share the lock that keeps the two
// steps together.
func putInTwoSteps(r *ref, m *meeting, together sync.Locker) store.Store {
	return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
		if err := e.Check(); err != nil {
			return 0, err
		}
		together.Lock()
		defer together.Unlock()
		current := r.peek(e.ID)
		switch {
		case current.Version != 0 && e.Version == 0:
			return 0, store.ErrExists
		case current.Version != e.Version:
			return 0, store.ErrConflict
		}
		m.meet()
		end, err := r.begin(ctx)
		if err != nil {
			return 0, err
		}
		defer end()
		return r.write(e), nil
	}}
}

type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

func wrongOrders() []wrong {
	return []wrong{
		{name: "compare and swap are two steps", caughtBy: []string{"Concurrency/NoUpdateIsLost", "Concurrency/OneInsertWins"}, wrap: func(r *ref) store.Store {
			return putInTwoSteps(r, newMeeting(), noLock{})
		}},
		{name: "delete looks first and then deletes", caughtBy: []string{"Concurrency/PutOrDeleteWins"}, wrap: func(r *ref) store.Store {
			m := newMeeting()
			return &twisted{ref: r,
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					if e.Version != 0 {
						m.meet()
					}
					return r.put(ctx, e)
				},
				del: func(ctx context.Context, id string, version uint64) error {
					if current := r.peek(id).Version; current != 0 && current != version {
						return store.ErrConflict
					}
					m.meet()
					m.meet()
					return r.del(ctx, id, r.peek(id).Version)
				},
			}
		}},
		{name: "the later of two equal deletes conflicts", caughtBy: []string{"Concurrency/EqualDeletesBothSucceed"}, wrap: func(r *ref) store.Store {
			m := newLongMeeting(time.Second)
			return &twisted{ref: r, del: func(ctx context.Context, id string, version uint64) error {
				there := r.peek(id).Version == version // the state that the snapshot of a statement shows
				m.meet()
				r.w.mu.Lock()
				removed := r.w.entries[id].Version == version
				delete(r.w.entries, id)
				r.w.mu.Unlock()
				if there && !removed {
					return store.ErrConflict
				}
				return nil
			}}
		}},
		{name: "body and due are written one after the other", caughtBy: []string{"Concurrency/ReadersSeeWholeEntries"}, wrap: func(r *ref) store.Store {
			m := newMeeting()
			return &twisted{ref: r,
				get: func(ctx context.Context, id string) (store.Entry, error) {
					m.meet()
					return r.get(ctx, id)
				},
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					due := e.Due
					e.Due = r.peek(e.ID).Due
					v, err := r.put(ctx, e)
					m.meet()
					m.meet()
					if err == nil {
						r.poke(e.ID, func(kept *store.Entry) { kept.Due = r.cut(due) })
					}
					return v, err
				},
			}
		}},
		{name: "get answers from a cache", caughtBy: []string{"Concurrency/ReadersSeeReturnedWrites"}, wrap: func(r *ref) store.Store { return cached(r) }},
		{name: "a claim passes over what is being written", caughtBy: []string{"Concurrency/ClaimsMissNothing"}, wrap: func(r *ref) store.Store {
			m := newMeeting()
			var writing atomic.Int32
			return &twisted{ref: r,
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					writing.Add(1)
					defer writing.Add(-1)
					m.meet() // a claim comes in between
					m.meet() // the claim has time to see the entry
					return r.put(ctx, e)
				},
				claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
					m.meet()
					if writing.Load() > 0 {
						return nil, nil
					}
					return r.claim(ctx, now, until, n)
				},
			}
		}},
		{name: "a claim writes back what it has read before", caughtBy: []string{"Concurrency/ClaimsLoseNoUpdate"}, wrap: func(r *ref) store.Store { return claimInTwoSteps(r, newMeeting(), r.take) }},
	}
}

// cached answers Get with the entry that this handle has last read. Only the
// handle's own Delete removes the entry from the cache.
func cached(r *ref) *twisted {
	var mu sync.Mutex
	cache := make(map[string]store.Entry)
	return &twisted{ref: r,
		get: func(ctx context.Context, id string) (store.Entry, error) {
			mu.Lock()
			defer mu.Unlock()
			if e, ok := cache[id]; ok {
				return e, nil
			}
			e, err := r.get(ctx, id)
			if err == nil {
				cache[id] = e
			}
			return e, err
		},
		del: func(ctx context.Context, id string, version uint64) error {
			mu.Lock()
			defer mu.Unlock()
			delete(cache, id)
			return r.del(ctx, id, version)
		},
	}
}

// bare returns the reference's errors after change has changed them.
type bare struct {
	*ref
	change func(op, id string, body []byte, err error) error
}

func (s *bare) of(op, id string, body []byte, err error) error {
	if err == nil {
		return nil
	}
	return s.change(op, id, body, err)
}

func (s *bare) Get(ctx context.Context, id string) (store.Entry, error) {
	e, err := s.get(ctx, id)
	return e, s.of("get", id, s.peek(id).Body, err)
}

func (s *bare) Put(ctx context.Context, e store.Entry) (uint64, error) {
	v, err := s.put(ctx, e)
	return v, s.of("put", e.ID, e.Body, err)
}

func (s *bare) Delete(ctx context.Context, id string, version uint64) error {
	return s.of("delete", id, s.peek(id).Body, s.del(ctx, id, version))
}

func wrongErrors() []wrong {
	changing := func(change func(op, id string, body []byte, err error) error) func(r *ref) store.Store {
		return func(r *ref) store.Store { return &bare{r, change} }
	}
	return []wrong{
		{name: "errors are wrapped twice", caughtBy: []string{"Errors/WrappedExactlyOnce"}, wrap: changing(func(op, id string, _ []byte, err error) error {
			return &store.Error{Op: op, Backend: "reference", Err: wrapped(op, id, err)}
		})},
		{name: "errors aren't wrapped", caughtBy: []string{"Errors/WrappedExactlyOnce"}, wrap: changing(func(_, _ string, _ []byte, err error) error { return err })},
		{name: "errors are wrapped and joined", caughtBy: []string{"Errors/WrappedExactlyOnce"}, wrap: changing(func(op, id string, _ []byte, err error) error {
			return errors.Join(wrapped(op, id, err), wrapped(op, id, err))
		})},
		{name: "errors name another operation", caughtBy: []string{"Errors/NameOperationAndBackend"}, wrap: changing(func(_, id string, _ []byte, err error) error { return wrapped("write", id, err) })},
		{name: "errors name no backend", caughtBy: []string{"Errors/NameOperationAndBackend"}, wrap: changing(func(op, id string, _ []byte, err error) error { return store.Wrap(op, "", id, err) })},
		{name: "errors tell the whole ID", caughtBy: []string{"Errors/ShortenTheID"}, wrap: changing(func(op, id string, _ []byte, err error) error {
			return &store.Error{Op: op, Backend: "reference", ID: id, Err: err}
		})},
		{name: "the cause tells the whole ID", caughtBy: []string{"Errors/ShortenTheID"}, wrap: changing(func(op, id string, _ []byte, err error) error {
			return wrapped(op, id, fmt.Errorf("key %s: %w", id, err))
		})},
		{name: "the cause tells the body", caughtBy: []string{"Errors/TellNothingOfTheBody"}, wrap: changing(func(op, id string, body []byte, err error) error {
			return wrapped(op, id, fmt.Errorf("value %q: %w", body[:min(len(body), 100)], err))
		})},
	}
}
