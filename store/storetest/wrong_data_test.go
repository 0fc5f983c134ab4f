package storetest

import (
	"bytes"
	"context"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func wrongVersions() []wrong {
	return []wrong{
		{name: "a put of the same keeps the version", caughtBy: []string{"Version/NewWithEachPut"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if e.Version != 0 && difference(r.peek(e.ID), e) == "" {
					return e.Version, nil
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "a claim keeps the version", caughtBy: []string{"Version/NewWithEachClaim"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				return r.claimAs(ctx, now, until, n, func(e store.Entry) store.Entry {
					v := e.Version
					e = r.take(e, until)
					e.Version = v
					r.w.entries[e.ID] = e
					return e
				})
			}}
		}},
		{name: "versions count from 1 for each entry", caughtBy: []string{"Version/NotRepeatedAfterDelete", "Version/OldOnesAreDeadAfterReinsert"}, wrap: func(r *ref) store.Store {
			r.version = func(id string) uint64 { return r.w.entries[id].Version + 1 }
			return r
		}},
		{name: "two claims at once give one version", caughtBy: []string{"Version/NotRepeatedByConcurrentWriters"}, wrap: func(r *ref) store.Store {
			return claimInTwoSteps(r, newLongMeeting(100*time.Millisecond), func(e store.Entry, until time.Time) store.Entry {
				v := e.Version + 1<<40
				e = r.take(e, until)
				e.Version = v
				r.w.entries[e.ID] = e
				return e
			})
		}},
	}
}

func wrongBodies() []wrong {
	writing := func(change func(e, current store.Entry) []byte) func(r *ref) store.Store {
		return func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				e.Body = change(e, r.peek(e.ID))
				return r.put(ctx, e)
			}}
		}
	}
	return []wrong{
		{name: "an empty body means the one before", caughtBy: []string{"Body/NilAndEmptyAreTheSame"}, wrap: writing(func(e, current store.Entry) []byte {
			if e.Body == nil {
				return current.Body
			}
			return e.Body
		})},
		{name: "a body ends at its last byte that isn't zero", caughtBy: []string{"Body/EveryByteIsKept"}, wrap: writing(func(e, _ store.Entry) []byte {
			return bytes.TrimRight(e.Body, "\x00")
		})},
		{name: "a body is text", caughtBy: []string{"Body/EveryByteIsKept"}, wrap: writing(func(e, _ store.Entry) []byte {
			return []byte(strings.ToValidUTF8(string(e.Body), "\ufffd"))
		})},
		{name: "a shorter body leaves the rest of the longer", caughtBy: []string{"Body/ReplacedWhole"}, wrap: writing(func(e, current store.Entry) []byte {
			if len(e.Body) < len(current.Body) {
				return append(bytes.Clone(e.Body), current.Body[len(e.Body):]...)
			}
			return e.Body
		})},
		{name: "a body over MaxBody is too large", caughtBy: []string{"Body/LargestIsTaken"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if len(e.Body) > store.MaxBody {
					return 0, store.ErrInvalid
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "a body may have any size", caughtBy: []string{"Body/OverLargestIsErrInvalid"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if len(e.Body) <= store.MaxStored {
					return r.put(ctx, e)
				}
				end, err := r.begin(ctx)
				if err != nil {
					return 0, err
				}
				defer end()
				return r.swap(e)
			}}
		}},
		{name: "put keeps the slice that it is given", caughtBy: []string{"Body/PutKeepsNoReference"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				v, err := r.put(ctx, e)
				if err == nil {
					r.poke(e.ID, func(kept *store.Entry) { kept.Body = e.Body })
				}
				return v, err
			}}
		}},
		{name: "get hands out its own slice", caughtBy: []string{"Body/OfGetBelongsToTheCaller"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) {
				if _, err := r.get(ctx, id); err != nil {
					return store.Entry{}, err
				}
				return r.peek(id), nil
			}}
		}},
		{name: "claim hands out its own slice", caughtBy: []string{"Body/OfClaimBelongsToTheCaller"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				got, err := r.claim(ctx, now, until, n)
				for i := range got {
					got[i] = r.peek(got[i].ID)
				}
				return got, err
			}}
		}},
		{name: "list hands out its own slice", caughtBy: []string{"Body/OfListBelongsToTheCaller"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, list: func(ctx context.Context) iter.Seq2[store.Entry, error] {
				return func(yield func(store.Entry, error) bool) {
					for e, err := range r.List(ctx) {
						if err == nil {
							e = r.peek(e.ID)
						}
						if !yield(e, err) {
							return
						}
					}
				}
			}}
		}},
		{name: "bodies read point into pages that are used again", caughtBy: []string{"Body/ReadStaysIntact"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r,
				get: func(ctx context.Context, id string) (store.Entry, error) {
					if _, err := r.get(ctx, id); err != nil {
						return store.Entry{}, err
					}
					e := r.peek(id)
					e.Body = e.Body[:len(e.Body):len(e.Body)]
					return e, nil
				},
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					page := r.peek(e.ID).Body
					v, err := r.put(ctx, e)
					if err == nil && cap(page) > 0 {
						r.poke(e.ID, func(kept *store.Entry) { copy(page[:cap(page)], kept.Body) })
					}
					return v, err
				},
			}
		}},
	}
}

func wrongIDs() []wrong {
	// under stores entries under keys that differ from their IDs.
	under := func(key func(id string) string) func(r *ref) store.Store {
		return func(r *ref) store.Store {
			return &twisted{ref: r,
				get: func(ctx context.Context, id string) (store.Entry, error) {
					e, err := r.get(ctx, key(id))
					e.ID = id
					return e, err
				},
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					e.ID = key(e.ID)
					return r.put(ctx, e)
				},
				del: func(ctx context.Context, id string, version uint64) error { return r.del(ctx, key(id), version) },
			}
		}
	}
	return []wrong{
		{name: "an underscore isn't taken in an ID", caughtBy: []string{"ID/EveryCharacterOfTheAlphabet"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if strings.Contains(e.ID, "_") {
					return 0, store.ErrInvalid
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "IDs are kept to 127 bytes", caughtBy: []string{"ID/OfOneAndOf128Bytes"}, wrap: under(func(id string) string { return id[:min(len(id), 127)] })},
		{name: "get finds what begins with the ID", caughtBy: []string{"ID/PrefixesAreApart"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) {
				ids, err := r.ids(ctx)
				for _, longer := range ids {
					if longer != id && strings.HasPrefix(longer, id) {
						id = longer
						break
					}
				}
				if err != nil {
					return store.Entry{}, err
				}
				return r.get(ctx, id)
			}}
		}},
		{name: "delete removes what begins with the ID", caughtBy: []string{"ID/PrefixesAreApart"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, del: func(ctx context.Context, id string, version uint64) error {
				err := r.del(ctx, id, version)
				ids, _ := r.ids(ctx)
				for _, longer := range ids {
					if err == nil && strings.HasPrefix(longer, id) {
						err = r.del(ctx, longer, r.peek(longer).Version)
					}
				}
				return err
			}}
		}},
		{name: "IDs are file names", caughtBy: []string{"ID/DotsAndDashesAreOrdinary"}, wrap: under(func(id string) string {
			return strings.TrimPrefix(path.Clean("/"+id), "/") + "-"
		})},
		{name: "IDs are kept in lower case", caughtBy: []string{"ID/CaseMatters"}, wrap: under(strings.ToLower)},
		{name: "any ID is taken", caughtBy: []string{"ID/OthersAreErrInvalid"}, wrap: under(func(id string) string {
			if store.CheckID(id) != nil {
				return "x"
			}
			return id
		})},
	}
}

// poke changes the stored entry of id without the store's methods.
func (r *ref) poke(id string, change func(e *store.Entry)) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	e, there := r.w.entries[id]
	if there {
		change(&e)
		r.w.entries[id] = e
	}
}

// claimAs is claim, but calls the given function to take an entry.
func (r *ref) claimAs(ctx context.Context, now, until time.Time, n int, take func(e store.Entry) store.Entry) ([]store.Entry, error) {
	if err := store.CheckClaim(now, until, n); err != nil {
		return nil, err
	}
	end, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var got []store.Entry
	for _, e := range r.due(now) {
		if len(got) < n {
			got = append(got, take(e))
		}
	}
	return got, nil
}

// meeting makes two goroutines wait for each other within a call, so that an
// error that needs two callers happens whenever there are two.
type meeting struct {
	door     chan struct{}
	patience time.Duration // the maximum wait, because there may be no other caller
}

func newMeeting() *meeting { return newLongMeeting(2 * time.Millisecond) }

// newLongMeeting returns a meeting for calls that are seldom concurrent.
func newLongMeeting(patience time.Duration) *meeting {
	return &meeting{door: make(chan struct{}), patience: patience}
}

func (m *meeting) meet() {
	timer := time.NewTimer(m.patience)
	defer timer.Stop()
	select {
	case m.door <- struct{}{}:
	case <-m.door:
	case <-timer.C:
	}
}
