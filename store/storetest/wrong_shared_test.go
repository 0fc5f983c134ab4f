package storetest

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// perWorld gives the handles of one world a shared value.
func perWorld[T any](create func() T) func(w *world) T {
	var mu sync.Mutex
	all := map[*world]T{}
	return func(w *world) T {
		mu.Lock()
		defer mu.Unlock()
		if _, ok := all[w]; !ok {
			all[w] = create()
		}
		return all[w]
	}
}

func wrongShared() []wrong {
	meetings := perWorld(newMeeting)
	handles := perWorld(func() *int { return new(int) })
	closes := perWorld(func() *bool { return new(bool) })
	return []wrong{
		{name: "each handle has a cache of its own", caughtBy: []string{"Shared/PeerSeesWritesAtOnce"}, wrap: func(r *ref) store.Store {
			s := cached(r)
			get := s.get
			fresh := make(map[string]uint64) // the versions that this handle has written
			s.get = func(ctx context.Context, id string) (store.Entry, error) {
				if v := fresh[id]; v != 0 && v == r.peek(id).Version {
					return r.get(ctx, id)
				}
				return get(ctx, id)
			}
			s.put = func(ctx context.Context, e store.Entry) (uint64, error) {
				v, err := r.put(ctx, e)
				if err == nil {
					fresh[e.ID] = v
				}
				return v, err
			}
			return s
		}},
		{name: "a handle compares with what it has seen itself", caughtBy: []string{"Shared/PeersCompareAndSwap"}, wrap: func(r *ref) store.Store {
			var mu sync.Mutex
			seen := make(map[string]uint64)
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				mu.Lock()
				defer mu.Unlock()
				if v := r.peek(e.ID).Version; v != 0 && e.Version != 0 && e.Version == seen[e.ID] {
					e.Version = v
				}
				v, err := r.put(ctx, e)
				if err == nil {
					seen[e.ID] = v
				}
				return v, err
			}}
		}},
		{name: "handles lock each for itself", caughtBy: []string{"Shared/PeersLoseNoUpdate", "Shared/OneInsertWins"}, wrap: func(r *ref) store.Store {
			return putInTwoSteps(r, meetings(r.w), new(sync.Mutex))
		}},
		{name: "handles claim each for itself", caughtBy: []string{"Shared/PeersClaimDifferentVersions"}, wrap: func(r *ref) store.Store {
			var mu sync.Mutex
			s := claimInTwoSteps(r, meetings(r.w), r.take).(*twisted)
			claim := s.claim
			s.claim = func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				mu.Lock()
				defer mu.Unlock()
				return claim(ctx, now, until, n)
			}
			return s
		}},
		{name: "each handle has a due index of its own", caughtBy: []string{"Shared/PeerSeesDuesAtOnce"}, wrap: func(r *ref) store.Store {
			dues := make(map[string]time.Time) // guarded by the world's lock
			r.isDue = func(e store.Entry, now time.Time) bool {
				due, known := dues[e.ID]
				return known && !due.IsZero() && !due.After(now)
			}
			cut := r.cut
			return &twisted{ref: r,
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					v, err := r.put(ctx, e)
					if err == nil {
						r.w.mu.Lock()
						dues[e.ID] = cut(e.Due)
						r.w.mu.Unlock()
					}
					return v, err
				},
			}
		}},
		{name: "each handle counts versions for itself", caughtBy: []string{"Shared/VersionsAreNotRepeated"}, wrap: func(r *ref) store.Store {
			last := uint64(0) // guarded by the world's lock
			r.version = func(string) uint64 { last++; return last }
			return r
		}},
		{name: "Close closes the peers too", caughtBy: []string{"Shared/CloseIsOfOneHandle"}, wrap: func(r *ref) store.Store {
			closed := closes(r.w)
			return &twisted{ref: r,
				get: func(ctx context.Context, id string) (store.Entry, error) {
					r.w.mu.Lock()
					gone := *closed
					r.w.mu.Unlock()
					if gone {
						return store.Entry{}, store.ErrClosed
					}
					return r.get(ctx, id)
				},
				close: func() error {
					r.w.mu.Lock()
					*closed = true
					r.w.mu.Unlock()
					return r.Close()
				},
			}
		}},
		{name: "a second handle's claims keep the due", caughtBy: []string{"Model/AcrossHandles"}, wrap: func(r *ref) store.Store {
			number := handles(r.w)
			r.w.mu.Lock()
			*number++
			second := *number == 2
			r.w.mu.Unlock()
			return claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				if second {
					until = now.Add(time.Millisecond)
				}
				return r.claim(ctx, now, until, n)
			})(r)
		}},
	}
}

func wrongModels() []wrong {
	return []wrong{
		{name: "every thirtieth put forgets the due", caughtBy: []string{"Model/RandomOperations"}, wrap: func(r *ref) store.Store {
			n := 0
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if n++; n%30 == 0 {
					e.Due = never
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "a put at a version of long ago works", caughtBy: []string{"Model/RandomOperations"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if v := r.peek(e.ID).Version; e.Version != 0 && e.Version+60 < v {
					e.Version = v
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "deleting after a claim leaves the entry", caughtBy: []string{"Model/RandomOperations"}, wrap: func(r *ref) store.Store {
			claimed := make(map[string]uint64)
			return &twisted{ref: r,
				claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
					got, err := r.claim(ctx, now, until, n)
					for _, e := range got {
						claimed[e.ID] = e.Version
					}
					return got, err
				},
				del: func(ctx context.Context, id string, version uint64) error {
					if version != 0 && claimed[id] == version {
						return nil
					}
					return r.del(ctx, id, version)
				},
			}
		}},
	}
}
