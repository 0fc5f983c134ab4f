package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// wrong is a store that breaks one sentence of the contract.
type wrong struct {
	name     string // what it does
	caughtBy []string
	wrap     func(r *ref) store.Store
	reopened func(w *world) // changes the store's data between Close and Reopen
	hangs    bool           // the store hangs instead of answering
	silent   bool           // an expected signal does not come

	features func(f *Features) // changes the features that its harness declares
}

func wrongs() []wrong {
	return slices.Concat(wrongPuts(), wrongVersions(), wrongBodies(), wrongIDs(), wrongDues(), wrongClaims(), wrongLists(),
		wrongContexts(), wrongOrders(), wrongErrors(), wrongCloses(), wrongBroken(), wrongLost(), wrongFlaps(), wrongDurable(), wrongShared(), wrongModels(),
		wrongPages(), wrongCounts(), wrongNotifiers())
}

// notes is a reporter that only records.
type notes struct {
	mu     sync.Mutex
	errors []string
	logs   []string
}

func (n *notes) Helper() {}

func (n *notes) Logf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.logs = append(n.logs, fmt.Sprintf(format, args...))
}

func (n *notes) Errorf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.errors = append(n.errors, fmt.Sprintf(format, args...))
}

// observe runs one check on stores of h and returns its reports.
func observe(t *testing.T, name string, h Harness, seed uint64, patience time.Duration) *notes {
	t.Helper()
	i := slices.IndexFunc(checks(), func(k check) bool { return k.name == name })
	if i < 0 {
		t.Fatalf("no check is named %s", name)
	}
	var n notes
	c := newChecker(&n, t.Context(), h.Features, h.bind(t))
	c.seed, c.patience = seed, patience
	c.run(checks()[i])
	return &n
}

// TestWrongStoresAreCaught runs the intended checks on each wrong store.
// TestReference shows that the reference store passes all checks.
func TestWrongStoresAreCaught(t *testing.T) {
	for _, w := range wrongs() {
		t.Run(strings.ReplaceAll(w.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			if w.silent { // the checks wait for a signal, which takes no time in a bubble
				synctest.Test(t, w.isCaught)
				return
			}
			w.isCaught(t)
		})
	}
}

// isCaught runs the checks that must catch w.
func (w wrong) isCaught(t *testing.T) {
	patience := time.Minute
	if w.hangs {
		patience = 200 * time.Millisecond
	}
	h := everything(w.wrap, w.reopened)
	if w.features != nil {
		w.features(&h.Features)
	}
	for _, name := range w.caughtBy {
		n := observe(t, name, h, 1, patience)
		if len(n.errors) == 0 {
			t.Errorf("%s on a store that is wrong: got no failure, want one", name)
			continue
		}
		t.Logf("%s: %s", name, strings.SplitN(n.errors[0], "\n", 2)[0])
		hung := strings.Contains(n.errors[len(n.errors)-1], "not done after")
		if hung != w.hangs {
			t.Errorf("%s: got %.200q, want it to say that a call hangs: %t", name, n.errors[len(n.errors)-1], w.hangs)
		}
	}
}

// TestEveryCheckCatches: every check finds a wrong store, and all names differ.
func TestEveryCheckCatches(t *testing.T) {
	catches := make(map[string]int)
	for _, k := range checks() {
		if _, twice := catches[k.name]; twice {
			t.Errorf("two checks are named %s, want each name once", k.name)
		}
		catches[k.name] = 0
		if k.says == "" {
			t.Errorf("%s: says nothing of the contract", k.name)
		}
	}
	names := make(map[string]bool)
	for _, w := range wrongs() {
		if names[w.name] {
			t.Errorf("two wrong stores are named %q, want each name once", w.name)
		}
		names[w.name] = true
		if len(w.caughtBy) == 0 {
			t.Errorf("%q: no check is meant to catch it", w.name)
		}
		for _, name := range w.caughtBy {
			if _, known := catches[name]; !known {
				t.Errorf("%q is meant for %s, and there is no such check", w.name, name)
			}
			catches[name]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(catches)) {
		if catches[name] == 0 {
			t.Errorf("%s: is meant to catch no wrong store, want one at least", name)
		}
	}
	t.Logf("%d checks, %d wrong stores", len(catches), len(names))
}

func wrongPuts() []wrong {
	return []wrong{
		{name: "absent is the zero entry and no error", caughtBy: []string{"Get/AbsentIsErrNotFound"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) {
				e, err := r.get(ctx, id)
				if err == store.ErrNotFound {
					return store.Entry{}, nil
				}
				return e, err
			}}
		}},
		{name: "reading gives a new version", caughtBy: []string{"Get/ChangesNothing"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, get: func(ctx context.Context, id string) (store.Entry, error) {
				e, err := r.get(ctx, id)
				if err == nil {
					e.Version, err = r.put(ctx, e)
				}
				return e, err
			}}
		}},
		{name: "the version returned is not the one stored", caughtBy: []string{"Put/InsertThenGet"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				v, err := r.put(ctx, e)
				return v + 1000, err
			}}
		}},
		{name: "an insert replaces", caughtBy: []string{"Put/InsertOfPresentIsErrExists"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if e.Version == 0 {
					e.Version = r.peek(e.ID).Version
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "a replacement keeps the body that was there", caughtBy: []string{"Put/ReplacesAtItsVersion"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if e.Version != 0 {
					e.Body = r.peek(e.ID).Body
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "the last writer wins", caughtBy: []string{"Put/StaleVersionConflicts"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if v := r.peek(e.ID).Version; v != 0 && e.Version != 0 {
					e.Version = v
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "versions are compared as 32 bits", caughtBy: []string{"Put/ForeignVersionConflicts"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if v := r.peek(e.ID).Version; uint32(v) == uint32(e.Version) {
					e.Version = v
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "versions are compared as floats", caughtBy: []string{"Put/ForeignVersionConflicts", "Delete/WrongVersionConflicts"}, wrap: func(r *ref) store.Store {
			r.version = func(string) uint64 { r.w.last++; return 1<<63 + r.w.last*4096 }
			near := func(id string, version uint64) uint64 {
				if v := r.peek(id).Version; float64(v) == float64(version) {
					return v
				}
				return version
			}
			return &twisted{ref: r,
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					e.Version = near(e.ID, e.Version)
					return r.put(ctx, e)
				},
				del: func(ctx context.Context, id string, version uint64) error { return r.del(ctx, id, near(id, version)) },
			}
		}},
		{name: "a put of what is absent inserts", caughtBy: []string{"Put/AbsentConflicts"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, put: func(ctx context.Context, e store.Entry) (uint64, error) {
				if r.peek(e.ID).Version == 0 {
					e.Version = 0
				}
				return r.put(ctx, e)
			}}
		}},
		{name: "a put brings back what was deleted", caughtBy: []string{"Put/GoneConflicts"}, wrap: func(r *ref) store.Store {
			gone := make(map[string]uint64)
			var mu sync.Mutex
			return &twisted{ref: r,
				put: func(ctx context.Context, e store.Entry) (uint64, error) {
					mu.Lock()
					defer mu.Unlock()
					if gone[e.ID] == e.Version {
						e.Version = 0
					}
					return r.put(ctx, e)
				},
				del: func(ctx context.Context, id string, version uint64) error {
					mu.Lock()
					defer mu.Unlock()
					gone[id] = version
					return r.del(ctx, id, version)
				},
			}
		}},
		{name: "what is deleted is still claimed", caughtBy: []string{"Delete/Removes", "Claim/NothingDueIsEmpty"}, wrap: func(r *ref) store.Store {
			deleted := make(map[string]bool)
			return &twisted{ref: r,
				get: func(ctx context.Context, id string) (store.Entry, error) {
					if deleted[id] {
						return store.Entry{}, store.ErrNotFound
					}
					return r.get(ctx, id)
				},
				del: func(_ context.Context, id string, _ uint64) error { deleted[id] = true; return nil },
			}
		}},
		{name: "deleting what is absent is an error", caughtBy: []string{"Delete/AbsentIsNil"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, del: func(ctx context.Context, id string, version uint64) error {
				if r.peek(id).Version == 0 {
					return store.ErrNotFound
				}
				return r.del(ctx, id, version)
			}}
		}},
		{name: "delete doesn't look at the version", caughtBy: []string{"Delete/WrongVersionConflicts"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, del: func(ctx context.Context, id string, version uint64) error {
				if version != 0 {
					version = r.peek(id).Version
				}
				return r.del(ctx, id, version)
			}}
		}},
		{name: "delete at version 0 deletes whatever there is", caughtBy: []string{"Delete/VersionZeroConflicts"}, wrap: func(r *ref) store.Store {
			return &twisted{ref: r, del: func(ctx context.Context, id string, version uint64) error {
				if version == 0 {
					version = r.peek(id).Version
				}
				return r.del(ctx, id, version)
			}}
		}},
	}
}

// peek returns the stored entry of id, or the zero Entry.
func (r *ref) peek(id string) store.Entry {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return r.w.entries[id]
}
