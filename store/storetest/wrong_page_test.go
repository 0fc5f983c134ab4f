package storetest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/internal/wake"
)

// paged is a store whose Page uses the IDs that exist.
func paged(r *ref, page func(ctx context.Context, ids []string, after string, n int) ([]store.Entry, error)) store.Store {
	return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
		if err := store.CheckPage(after, n); err != nil {
			return nil, err
		}
		ids, err := r.ids(ctx)
		if err != nil {
			return nil, err
		}
		return page(ctx, ids, after, n)
	}}
}

// some reads the first n entries of ids.
func (r *ref) some(ctx context.Context, ids []string, n int) (page []store.Entry, err error) {
	for _, id := range ids[:min(n, len(ids))] {
		e, err := r.get(ctx, id)
		if err != nil {
			return nil, err
		}
		page = append(page, e)
	}
	return page, nil
}

func wrongPages() []wrong {
	return []wrong{
		{name: "a limit is declared and not told", caughtBy: []string{"Optional/LimitIsDeclared"},
			features: func(f *Features) { f.MaxBody = 1 << 20 }, wrap: func(r *ref) store.Store { return r }},
		{name: "pages are served and not declared", caughtBy: []string{"Optional/ServedIsDeclared"},
			features: func(f *Features) { f.Pager = false }, wrap: func(r *ref) store.Store { return r }},
		{name: "a count is served and not declared", caughtBy: []string{"Optional/ServedIsDeclared"},
			features: func(f *Features) { f.Counter = false }, wrap: func(r *ref) store.Store { return r }},
		{name: "a page leaves out its first entry", caughtBy: []string{"Page/EachEntryOnce"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
				page, err := r.page(ctx, after, n+1)
				return page[min(1, len(page)):], err
			}}
		}},
		{name: "the order of pages depends on their size", caughtBy: []string{"Page/EachEntryOnce"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
				page, err := r.page(ctx, after, n)
				if n == 1000 {
					slices.Reverse(page[:max(0, len(page)-1)])
				}
				return page, err
			}}
		}},
		{name: "a page begins with the entry that it follows", caughtBy: []string{"Page/EachEntryOnce", "Page/EmptyIsTheEnd"}, wrap: func(r *ref) store.Store {
			return paged(r, func(ctx context.Context, ids []string, after string, n int) ([]store.Entry, error) {
				i, _ := slices.BinarySearch(ids, after)
				return r.some(ctx, ids[i:], n)
			})
		}},
		{name: "pages are in the order of the last write", caughtBy: []string{"Page/OrderStays"}, wrap: func(r *ref) store.Store {
			return paged(r, func(ctx context.Context, ids []string, after string, n int) ([]store.Entry, error) {
				slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(r.peek(a).Version, r.peek(b).Version) })
				return r.some(ctx, ids[slices.Index(ids, after)+1:], n)
			})
		}},
		{name: "a page begins anew where the entry before it is gone", caughtBy: []string{"Page/AfterMayBeGone"}, wrap: func(r *ref) store.Store {
			return paged(r, func(ctx context.Context, ids []string, after string, n int) ([]store.Entry, error) {
				return r.some(ctx, ids[slices.Index(ids, after)+1:], n)
			})
		}},
		{name: "pages count how many entries came before", caughtBy: []string{"Page/WritesInBetween"}, wrap: func(r *ref) store.Store {
			before := 0
			return paged(r, func(ctx context.Context, ids []string, after string, n int) ([]store.Entry, error) {
				if after == "" {
					before = 0
				}
				page, err := r.some(ctx, ids[min(before, len(ids)):], n)
				before += len(page)
				return page, err
			})
		}},
		{name: "a page drops what is over its size", caughtBy: []string{"Page/LargeBodies"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
				page, err := r.page(ctx, after, n)
				return slices.DeleteFunc(page, func(e store.Entry) bool { return len(e.Body) > 4<<20 }), err
			}}
		}},
		{name: "a page shows the store's own bodies", caughtBy: []string{"Page/BodyBelongsToTheCaller"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
				page, err := r.page(ctx, after, n)
				for i := range page {
					page[i] = r.peek(page[i].ID)
				}
				return page, err
			}}
		}},
		{name: "a page takes any count for all", caughtBy: []string{"Page/ArgumentsAreChecked"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
				if n < 1 {
					n = 1 << 20
				}
				return r.page(ctx, after, n)
			}}
		}},
		{name: "a page doesn't look at its context", caughtBy: []string{"Page/EndedContext"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
				return r.page(context.WithoutCancel(ctx), after, n)
			}}
		}},
		{name: "pages are empty after Close", caughtBy: []string{"Page/AfterClose"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
				page, err := r.page(ctx, after, n)
				if errors.Is(err, store.ErrClosed) {
					err = nil
				}
				return page, err
			}}
		}},
		{name: "a page ends at a damaged entry", caughtBy: []string{"Page/DamagedIsLeftOut"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
				page, err := r.page(ctx, after, n)
				if errors.Is(err, store.ErrCorrupt) {
					page = nil
				}
				return page, err
			}}
		}},
		{name: "a page leaves damaged entries out in silence", caughtBy: []string{"Page/DamagedIsLeftOut"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, page: func(ctx context.Context, after string, n int) ([]store.Entry, error) {
				page, err := r.page(ctx, after, n)
				if errors.Is(err, store.ErrCorrupt) {
					err = nil
				}
				return page, err
			}}
		}},
		{name: "pages come from an index that the handle makes once", caughtBy: []string{"Page/PeersAreSeen"}, wrap: func(r *ref) store.Store {
			var known map[string]store.Entry
			return paged(r, func(ctx context.Context, ids []string, after string, n int) ([]store.Entry, error) {
				if known == nil {
					known = make(map[string]store.Entry)
					for _, id := range ids {
						known[id] = r.peek(id)
					}
				}
				ids = slices.Sorted(maps.Keys(known))
				i, found := slices.BinarySearch(ids, after)
				if found {
					i++
				}
				var page []store.Entry
				for _, id := range ids[i:min(i+n, len(ids))] {
					page = append(page, known[id])
				}
				return page, nil
			})
		}},
	}
}

func wrongCounts() []wrong {
	counted := func(count func(r *ref, inserts, writes int) (int, error)) func(r *ref) store.Store {
		return func(r *ref) store.Store {
			inserts, writes := 0, 0
			s := &twisted{ref: r}
			s.put = func(ctx context.Context, e store.Entry) (uint64, error) {
				r.w.mu.Lock()
				_, there := r.w.entries[e.ID]
				r.w.mu.Unlock()
				v, err := r.put(ctx, e)
				r.w.mu.Lock()
				defer r.w.mu.Unlock()
				if err == nil {
					writes++
					if !there {
						inserts++
					}
				}
				return v, err
			}
			s.del = func(ctx context.Context, id string, version uint64) error {
				r.w.mu.Lock()
				_, there := r.w.entries[id]
				r.w.mu.Unlock()
				err := r.del(ctx, id, version)
				if err == nil && there {
					inserts--
				}
				return err
			}
			s.count = func(context.Context) (int, error) { return count(r, inserts, writes) }
			return s
		}
	}
	return []wrong{
		{name: "a count is of writes", caughtBy: []string{"Count/IsTheNumberOfEntries"},
			wrap: counted(func(_ *ref, _, writes int) (int, error) { return writes, nil })},
		{name: "a handle counts what it has inserted itself", caughtBy: []string{"Count/Reopened", "Count/PeersAreCounted"},
			wrap: counted(func(_ *ref, inserts, _ int) (int, error) { return inserts, nil })},
		{name: "a count goes on after Close", caughtBy: []string{"Count/AfterClose"},
			wrap: counted(func(r *ref, _, _ int) (int, error) { return len(r.w.entries), nil })},
	}
}

func wrongNotifiers() []wrong {
	bells := perWorld(func() *wake.Bell { return new(wake.Bell) })
	rung := perWorld(func() chan struct{} { return make(chan struct{}) })
	return []wrong{
		{name: "signals are served and not declared", caughtBy: []string{"Optional/ServedIsDeclared"},
			features: func(f *Features) { f.Notifier = false }, wrap: func(r *ref) store.Store { return r }},
		{name: "a put signals nothing", silent: true,
			caughtBy: []string{"Notify/DueAtOnceSignals", "Notify/DueSoonSignals", "Notify/WritersDoNotWait"},
			wrap:     func(r *ref) store.Store { return &twisted{ref: r, put: r.put} }},
		{name: "only what is due at once is signaled", silent: true, caughtBy: []string{"Notify/DueSoonSignals"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				v, err := r.put(ctx, e)
				if err == nil && !e.Due.After(time.Now()) {
					r.w.bell.Due(e.Due)
				}
				return v, err
			}}
		}},
		{name: "a put signals once a minute", silent: true, caughtBy: []string{"Notify/DueAtOnceSignals"}, wrap: func(r *ref) store.Store {
			signaled := false
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				v, err := r.put(ctx, e)
				if err == nil && !e.Due.IsZero() && !signaled {
					signaled = true
					r.w.bell.Due(e.Due)
				}
				return v, err
			}}
		}},
		{name: "a claim signals nothing", silent: true, caughtBy: []string{"Notify/ClaimsSignal"},
			wrap: func(r *ref) store.Store { return &twisted{ref: r, claim: r.claim} }},
		{name: "all watchers share one channel", silent: true, caughtBy: []string{"Notify/AllWatchersAreSignaled"}, wrap: func(r *ref) store.Store {
			var shared <-chan struct{}
			return &twisted{ref: r, watch: func(ctx context.Context) (_ <-chan struct{}, err error) {
				if shared == nil {
					shared, err = r.w.bell.Watch(ctx)
				}
				return shared, err
			}}
		}},
		{name: "a handle signals its own watchers only", silent: true, caughtBy: []string{"Notify/PeersSignal"}, wrap: func(r *ref) store.Store {
			var own wake.Bell
			return &twisted{ref: r, watch: own.Watch, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				v, err := r.put(ctx, e)
				own.Due(e.Due)
				return v, err
			}}
		}},
		{name: "a put waits until its signal is taken", hangs: true, caughtBy: []string{"Notify/WritersDoNotWait"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, watch: func(context.Context) (<-chan struct{}, error) { return rung(r.w), nil },
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					v, err := r.put(ctx, e)
					rung(r.w) <- struct{}{}
					return v, err
				}}
		}},
		{name: "watching goes on when its context ends", silent: true, caughtBy: []string{"Notify/ContextEnds"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, watch: func(ctx context.Context) (<-chan struct{}, error) {
				return r.w.bell.Watch(context.WithoutCancel(ctx))
			}}
		}},
		{name: "watching goes on after Close", silent: true, caughtBy: []string{"Notify/CloseEnds"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, watch: func(ctx context.Context) (<-chan struct{}, error) { return bells(r.w).Watch(ctx) }}
		}},
	}
}
