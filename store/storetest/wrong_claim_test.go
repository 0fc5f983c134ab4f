package storetest

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// claiming replaces Claim. The replacement may call the reference's Claim.
func claiming(claim func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error)) func(r *ref) store.Store {
	return func(r *ref) store.Store {
		return &twisted{ref: r, claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			return claim(r, ctx, now, until, n)
		}}
	}
}

// keeping changes the entries that Put stores.
func keeping(change func(e, current store.Entry) store.Entry) func(r *ref) store.Store {
	return func(r *ref) store.Store {
		return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
			return r.put(ctx, change(e, r.peek(e.ID)))
		}}
	}
}

func wrongDues() []wrong {
	return []wrong{
		{name: "no due means due at once", caughtBy: []string{"Due/ZeroIsNever"}, wrap: func(r *ref) store.Store {
			r.isDue = func(e store.Entry, now time.Time) bool { return !e.Due.After(now) }
			return r
		}},
		{name: "dues are rounded", caughtBy: []string{"Due/IsCutToMilliseconds"}, wrap: func(r *ref) store.Store {
			r.cut = func(t time.Time) time.Time { return t.Round(time.Millisecond) }
			return r
		}},
		{name: "dues keep their nanoseconds", caughtBy: []string{"Due/IsCutToMilliseconds", "Claim/CutsItsTimesToMilliseconds"}, wrap: func(r *ref) store.Store {
			r.cut = func(t time.Time) time.Time { return t }
			return r
		}},
		{name: "due is when now is after it", caughtBy: []string{"Due/ReachedAtItsMillisecond"}, wrap: func(r *ref) store.Store {
			r.isDue = func(e store.Entry, now time.Time) bool { return !e.Due.IsZero() && e.Due.Before(now) }
			return r
		}},
		{name: "due is a millisecond early", caughtBy: []string{"Due/ReachedAtItsMillisecond"}, wrap: func(r *ref) store.Store {
			r.isDue = func(e store.Entry, now time.Time) bool {
				return !e.Due.IsZero() && !e.Due.After(now.Add(time.Millisecond))
			}
			return r
		}},
		{name: "dues are nanoseconds in 64 bits", caughtBy: []string{"Due/BothEndsOfTimeAreKept"}, wrap: keeping(func(e, _ store.Entry) store.Entry {
			if !e.Due.IsZero() {
				e.Due = time.Unix(0, e.Due.UnixMilli()*int64(time.Millisecond))
				if e.Due.UnixMilli() <= 0 {
					e.Due = firstDue
				}
			}
			return e
		})},
		{name: "any due is taken", caughtBy: []string{"Due/OutsideIsErrInvalid"}, wrap: keeping(func(e, _ store.Entry) store.Entry {
			if ms := e.Due.UnixMilli(); !e.Due.IsZero() && (ms < 1 || ms > lastDue.UnixMilli()) {
				e.Due = lastDue
			}
			return e
		})},
		{name: "dues are clock readings without their zone", caughtBy: []string{"Due/OfAnyZone"}, wrap: keeping(func(e, _ store.Entry) store.Entry {
			if t := e.Due; !t.IsZero() {
				e.Due = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
			}
			return e
		})},
		{name: "a put that fails moves the due", caughtBy: []string{"Due/ChangesWithTheBody"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				v, err := r.put(ctx, e)
				if err == store.ErrConflict {
					r.poke(e.ID, func(kept *store.Entry) { kept.Due = r.cut(e.Due) })
				}
				return v, err
			}}
		}},
		{name: "the due index keeps what a put has moved", caughtBy: []string{"Due/MovedByPut"}, wrap: func(r *ref) store.Store {
			first := make(map[string]time.Time) // guarded by the world's lock
			r.isDue = func(e store.Entry, now time.Time) bool {
				due := e.Due
				if t, ok := first[e.ID]; ok && !t.IsZero() {
					due = t
				}
				return !due.IsZero() && !due.After(now)
			}
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				r.w.mu.Lock()
				if _, ok := first[e.ID]; !ok {
					first[e.ID] = r.cut(e.Due)
				}
				r.w.mu.Unlock()
				return r.put(ctx, e)
			}}
		}},
		{name: "a put ends the claim whatever its due", caughtBy: []string{"Due/PutBackKeepsTheClaim"}, wrap: func(r *ref) store.Store {
			before := make(map[string]time.Time) // entries that were due before the claim
			return &twisted{ref: r,
				claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
					return r.claimAs(ctx, now, until, n, func(e store.Entry) store.Entry {
						before[e.ID] = e.Due
						return r.take(e, until)
					})
				},
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					r.w.mu.Lock()
					if due, claimed := before[e.ID]; claimed && e.Due.Equal(r.w.entries[e.ID].Due) {
						e.Due = due
					}
					r.w.mu.Unlock()
					return r.put(ctx, e)
				},
			}
		}},
		{name: "a put under a claim can't move the due", caughtBy: []string{"Due/SetByTheHolderReplacesTheClaim"}, wrap: func(r *ref) store.Store {
			held := make(map[string]time.Time)
			return &twisted{ref: r,
				claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
					return r.claimAs(ctx, now, until, n, func(e store.Entry) store.Entry {
						held[e.ID] = until
						return r.take(e, until)
					})
				},
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					r.w.mu.Lock()
					if until := held[e.ID]; e.Due.Before(until) {
						e.Due = until
					}
					r.w.mu.Unlock()
					return r.put(ctx, e)
				},
			}
		}},
	}
}

func wrongClaims() []wrong {
	return []wrong{
		{name: "a claim returns entries as they were", caughtBy: []string{"Claim/ReturnsTheEntryAsItIsNow"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			return r.claimAs(ctx, now, until, n, func(e store.Entry) store.Entry { r.take(e, until); return e })
		})},
		{name: "a claim returns no bodies", caughtBy: []string{"Claim/ReturnsTheEntryAsItIsNow"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			return r.claimAs(ctx, now, until, n, func(e store.Entry) store.Entry { e = r.take(e, until); e.Body = nil; return e })
		})},
		{name: "the version before a claim still holds", caughtBy: []string{"Claim/VersionsBeforeItConflict"}, wrap: func(r *ref) store.Store {
			before := make(map[string]uint64)
			return &twisted{ref: r,
				claim: func(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
					return r.claimAs(ctx, now, until, n, func(e store.Entry) store.Entry {
						before[e.ID] = e.Version
						return r.take(e, until)
					})
				},
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					r.w.mu.Lock()
					if v := before[e.ID]; v != 0 && e.Version == v {
						e.Version = r.w.entries[e.ID].Version
					}
					r.w.mu.Unlock()
					return r.put(ctx, e)
				},
			}
		}},
		{name: "what is claimed never comes back", caughtBy: []string{"Claim/ComesBackAtUntil"}, wrap: func(r *ref) store.Store {
			taken := make(map[string]uint64)
			due := r.isDue
			r.isDue = func(e store.Entry, now time.Time) bool { return taken[e.ID] != e.Version && due(e, now) }
			return claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
				return r.claimAs(ctx, now, until, n, func(e store.Entry) store.Entry {
					e = r.take(e, until)
					taken[e.ID] = e.Version
					return e
				})
			})(r)
		}},
		{name: "a claim returns all that is due", caughtBy: []string{"Claim/AtMostN"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			return r.claim(ctx, now, until, max(n, 1000))
		})},
		{name: "a claim's number is 32 bits", caughtBy: []string{"Claim/AnyNumberMayBeAskedFor"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			return r.claim(ctx, now, until, int(int32(n)))
		})},
		{name: "a claim makes room for all that is asked for", caughtBy: []string{"Claim/AnyNumberMayBeAskedFor"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			if n == math.MaxInt { // for a smaller n, a machine with much memory may have room
				_ = make([]store.Entry, 0, n)
			}
			return r.claim(ctx, now, until, n)
		})},
		{name: "nothing due is an error", caughtBy: []string{"Claim/NothingDueIsEmpty"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			got, err := r.claim(ctx, now, until, n)
			if err == nil && len(got) == 0 {
				err = store.ErrNotFound
			}
			return got, err
		})},
		{name: "an empty claim writes", caughtBy: []string{"Claim/EmptyChangesNothing"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			got, err := r.claim(ctx, now, until, n)
			if err == nil && len(got) == 0 {
				r.touchAll()
			}
			return got, err
		})},
		{name: "a claim marks more than it returns", caughtBy: []string{"Claim/OthersAreUntouched"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			r.touchAll()
			return r.claim(ctx, now, until, n)
		})},
		{name: "a claim goes by the store's clock", caughtBy: []string{"Claim/ClockIsTheCallers"}, wrap: func(r *ref) store.Store {
			r.isDue = func(e store.Entry, _ time.Time) bool { return !e.Due.IsZero() && e.Due.Before(time.Now()) }
			return r
		}},
		{name: "a claim goes by the latest clock it has seen", caughtBy: []string{"Claim/ClockIsTheCallers"}, wrap: func(r *ref) store.Store {
			var latest time.Time
			due := r.isDue
			r.isDue = func(e store.Entry, now time.Time) bool {
				if now.After(latest) {
					latest = now
				}
				return due(e, latest)
			}
			return r
		}},
		{name: "a claim takes any arguments", caughtBy: []string{"Claim/BadArgumentsAreErrInvalid"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			if store.CheckClaim(now, until, n) != nil {
				return nil, nil
			}
			return r.claim(ctx, now, until, n)
		})},
		{name: "two claims at once take the same entry", caughtBy: []string{"Claim/NoTwoReturnTheSameVersion"}, wrap: func(r *ref) store.Store { return claimInTwoSteps(r, newMeeting(), r.take) }},
		{name: "a claim waits for a full batch", caughtBy: []string{"Claim/DrainsAllThatIsDue"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			end, err := r.begin(ctx)
			if err != nil {
				return nil, err
			}
			few := len(r.due(now)) < n
			end()
			if few {
				return nil, nil
			}
			return r.claim(ctx, now, until, n)
		})},
		{name: "one entry is due in each millisecond", caughtBy: []string{"Claim/ManyOfOneMillisecond"}, wrap: func(r *ref) store.Store {
			at := make(map[int64]string) // guarded by the world's lock
			due := r.isDue
			r.isDue = func(e store.Entry, now time.Time) bool { return due(e, now) && at[e.Due.UnixMilli()] == e.ID }
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				r.w.mu.Lock()
				at[e.Due.UnixMilli()] = e.ID
				r.w.mu.Unlock()
				return r.put(ctx, e)
			}}
		}},
		{name: "a claim drops what is over its size", caughtBy: []string{"Claim/LargeBodiesDrain"}, wrap: claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
			room := r.room
			r.room = math.MaxInt
			got, err := r.claim(ctx, now, until, n)
			r.room = room
			for i := range got {
				if room -= len(got[i].Body); room < 0 && i > 0 {
					return got[:i], err
				}
			}
			return got, err
		})},
		{name: "an entry over half of an answer isn't claimed", caughtBy: []string{"Claim/OneEntryHoweverLarge"}, wrap: func(r *ref) store.Store {
			due := r.isDue
			r.isDue = func(e store.Entry, now time.Time) bool { return len(e.Body) <= r.room/2 && due(e, now) }
			return r
		}},
		{name: "a claim goes by ID", caughtBy: []string{"Claim/OldestFirst"}, wrap: func(r *ref) store.Store {
			r.older = func(a, b store.Entry) int { return cmp.Compare(a.ID, b.ID) }
			return r
		}},
		{name: "a claim is youngest first", caughtBy: []string{"Claim/NothingStarves"}, wrap: func(r *ref) store.Store {
			r.older = func(a, b store.Entry) int { return b.Due.Compare(a.Due) }
			return r
		}},
		{name: "a claim goes by ID and starves the last", caughtBy: []string{"Claim/NothingStarves"}, wrap: func(r *ref) store.Store {
			r.older = func(a, b store.Entry) int { return cmp.Compare(a.ID, b.ID) }
			return r
		}},
		{name: "a claim takes large entries when there is nothing else", caughtBy: []string{"Claim/LargeOnesDontStarve"}, wrap: func(r *ref) store.Store {
			r.older = func(a, b store.Entry) int {
				return cmp.Or(cmp.Compare(len(a.Body)>>20, len(b.Body)>>20), a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID))
			}
			return r
		}},
		{name: "a claim never becomes empty", caughtBy: []string{"Claim/DrainsAllThatIsDue", "Claim/ComesBackAtUntil", "Claim/NoTwoReturnTheSameVersion"}, wrap: func(r *ref) store.Store {
			r.isDue = func(store.Entry, time.Time) bool { return true }
			return r
		}},
	}
}

// touchAll gives every entry a new version.
func (r *ref) touchAll() {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	for _, e := range r.w.entries {
		r.write(e)
	}
}

// claimInTwoSteps reads the due entries, and then marks them as claimed without
// a second check that they are due.
func claimInTwoSteps(r *ref, m *meeting, take func(e store.Entry, until time.Time) store.Entry) store.Store {
	return claiming(func(r *ref, ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
		if err := store.CheckClaim(now, until, n); err != nil {
			return nil, err
		}
		end, err := r.begin(ctx)
		if err != nil {
			return nil, err
		}
		due := r.due(now)
		due = due[:min(n, len(due))]
		for i := range due {
			due[i].Body = bytes.Clone(due[i].Body)
		}
		end()
		m.meet()
		if end, err = r.begin(ctx); err != nil {
			return nil, err
		}
		defer end()
		for i := range due {
			due[i] = take(due[i], until)
		}
		return due, nil
	})(r)
}
