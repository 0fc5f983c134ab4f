package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/internal/wake"
)

// world is the data that the handles of the reference store share.
type world struct {
	mu      sync.Mutex
	entries map[string]store.Entry
	damaged map[string]bool
	last    uint64 // the last version given
	bell    wake.Bell
}

func newWorld() *world {
	return &world{entries: make(map[string]store.Entry), damaged: make(map[string]bool)}
}

// ref is a handle to a world. ref implements the contract in as few lines as
// possible; it is slow and correct. The wrong stores are variants of ref.
type ref struct {
	w      *world
	broken atomic.Bool
	flaps  atomic.Bool            // the next call fails
	slow   time.Duration          // how long a call takes to fail
	lost   atomic.Pointer[func()] // called instead of the next write's reply

	mu     sync.RWMutex // held by calls, so that Close waits for them
	closed bool

	// Wrong stores replace these functions.
	version func(id string) uint64
	isDue   func(e store.Entry, now time.Time) bool
	older   func(a, b store.Entry) int
	cut     func(t time.Time) time.Time
	room    int // number of bytes of bodies in an answer of Claim

	watching []context.CancelFunc // under mu
}

var errUnreachable = errors.New("reference: out of reach")

func newRef(w *world) *ref {
	r := &ref{w: w, room: store.MaxClaim}
	r.version = func(string) uint64 { w.last++; return w.last }
	r.isDue = func(e store.Entry, now time.Time) bool { return !e.Due.IsZero() && !e.Due.After(now) }
	r.older = func(a, b store.Entry) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) }
	r.cut = func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return time.UnixMilli(t.UnixMilli())
	}
	return r
}

func (r *ref) handle() *ref { return r }

// begin admits a call. The caller must call end unless begin returns an error.
func (r *ref) begin(ctx context.Context) (end func(), err error) {
	r.mu.RLock()
	switch {
	case r.closed:
		err = store.ErrClosed
	case ctx.Err() != nil:
		err = ctx.Err()
	case r.broken.Load(), r.flaps.CompareAndSwap(true, false):
		err = errUnreachable
	}
	if err != nil {
		r.mu.RUnlock()
		if errors.Is(err, errUnreachable) {
			time.Sleep(r.slow)
		}
		return nil, err
	}
	r.w.mu.Lock()
	return func() { r.w.mu.Unlock(); r.mu.RUnlock() }, nil
}

func wrapped(op, id string, err error) error { return store.Wrap(op, "reference", id, err) }

func (r *ref) Get(ctx context.Context, id string) (store.Entry, error) {
	e, err := r.get(ctx, id)
	return e, wrapped("get", id, err)
}

func (r *ref) get(ctx context.Context, id string) (store.Entry, error) {
	if err := store.CheckID(id); err != nil {
		return store.Entry{}, err
	}
	end, err := r.begin(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer end()
	return r.read(id)
}

// read must be called between begin and end.
func (r *ref) read(id string) (store.Entry, error) {
	e, there := r.w.entries[id]
	switch {
	case !there:
		return store.Entry{}, store.ErrNotFound
	case r.w.damaged[id]:
		return store.Entry{}, store.ErrCorrupt
	}
	e.Body = bytes.Clone(e.Body)
	return e, nil
}

func (r *ref) Put(ctx context.Context, e store.Entry) (uint64, error) {
	v, err := r.put(ctx, e)
	if err == nil {
		r.w.bell.Due(e.Due)
	}
	return v, wrapped("put", e.ID, err)
}

func (r *ref) put(ctx context.Context, e store.Entry) (version uint64, err error) {
	if err := e.Check(); err != nil {
		return 0, err
	}
	end, err := r.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer r.reply(&err)
	defer end()
	return r.swap(e)
}

// reply replaces the result of a write by an error if its reply must be lost.
// The write is over by then, and its locks are released.
func (r *ref) reply(err *error) {
	if meanwhile := r.lost.Swap(nil); meanwhile != nil {
		(*meanwhile)()
		*err = errUnreachable
	}
}

// swap is the compare-and-swap, which must be called between begin and end.
func (r *ref) swap(e store.Entry) (uint64, error) {
	current, there := r.w.entries[e.ID]
	switch {
	case r.w.damaged[e.ID]:
		return 0, store.ErrCorrupt
	case there && e.Version == 0:
		return 0, store.ErrExists
	case e.Version != current.Version:
		return 0, store.ErrConflict
	}
	return r.write(e), nil
}

// write stores e over any version, and must be called between begin and end.
func (r *ref) write(e store.Entry) uint64 {
	e.Version = r.version(e.ID)
	e.Due = r.cut(e.Due)
	e.Body = bytes.Clone(e.Body)
	r.w.entries[e.ID] = e
	return e.Version
}

func (r *ref) Delete(ctx context.Context, id string, version uint64) error {
	return wrapped("delete", id, r.del(ctx, id, version))
}

func (r *ref) del(ctx context.Context, id string, version uint64) (err error) {
	if err := store.CheckID(id); err != nil {
		return err
	}
	end, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer r.reply(&err)
	defer end()
	e, there := r.w.entries[id]
	switch {
	case !there:
		return nil
	case r.w.damaged[id]:
		return store.ErrCorrupt
	case e.Version != version:
		return store.ErrConflict
	}
	delete(r.w.entries, id)
	return nil
}

func (r *ref) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	got, err := r.claim(ctx, now, until, n)
	if len(got) > 0 {
		r.w.bell.Due(until)
	}
	return got, wrapped("claim", "", err)
}

func (r *ref) claim(ctx context.Context, now, until time.Time, n int) (got []store.Entry, err error) {
	if err := store.CheckClaim(now, until, n); err != nil {
		return nil, err
	}
	end, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r.reply(&err); err != nil {
			got = nil
		}
	}()
	defer end()
	size := 0
	for _, e := range r.due(now) {
		if size += len(e.Body); len(got) == n || len(got) > 0 && size > r.room {
			break
		}
		got = append(got, r.take(e, until))
	}
	return got, nil
}

// due returns the due entries, oldest first, and must be called between begin
// and end.
func (r *ref) due(now time.Time) []store.Entry {
	now = r.cut(now)
	var due []store.Entry
	for id, e := range r.w.entries {
		if !r.w.damaged[id] && r.isDue(e, now) {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, r.older)
	return due
}

// take claims one entry, and must be called between begin and end.
func (r *ref) take(e store.Entry, until time.Time) store.Entry {
	e.Due = until
	r.write(e)
	e = r.w.entries[e.ID]
	e.Body = bytes.Clone(e.Body)
	return e
}

func (r *ref) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		ids, err := r.ids(ctx)
		for _, id := range ids {
			var e store.Entry
			if e, err = r.get(ctx, id); errors.Is(err, store.ErrNotFound) {
				err = nil
				continue
			}
			if errors.Is(err, store.ErrCorrupt) {
				e, err = store.Entry{}, nil
				if !yield(e, wrapped("list", id, store.ErrCorrupt)) {
					return
				}
				continue
			}
			if err != nil {
				break
			}
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(store.Entry{}, wrapped("list", "", err))
		}
	}
}

func (r *ref) ids(ctx context.Context) ([]string, error) {
	end, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return slices.Sorted(maps.Keys(r.w.entries)), nil
}

func (r *ref) Page(ctx context.Context, after string, n int) ([]store.Entry, error) {
	page, err := r.page(ctx, after, n)
	return page, wrapped("page", after, err)
}

func (r *ref) page(ctx context.Context, after string, n int) (page []store.Entry, damaged error) {
	if err := store.CheckPage(after, n); err != nil {
		return nil, err
	}
	ids, err := r.ids(ctx)
	if err != nil {
		return nil, err
	}
	size := 0
	for _, id := range ids {
		if id <= after {
			continue
		}
		e, err := r.get(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case errors.Is(err, store.ErrCorrupt):
			damaged = err
			continue
		case err != nil:
			return nil, err
		}
		if size += len(e.Body); len(page) == n || len(page) > 0 && size > r.room {
			break
		}
		page = append(page, e)
	}
	return page, damaged
}

func (r *ref) Count(ctx context.Context) (int, error) {
	ids, err := r.ids(ctx)
	return len(ids), wrapped("count", "", err)
}

func (r *ref) Watch(ctx context.Context) (<-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, wrapped("watch", "", store.ErrClosed)
	}
	ctx, cancel := context.WithCancel(ctx)
	r.watching = append(r.watching, cancel)
	signals, err := r.w.bell.Watch(ctx)
	return signals, wrapped("watch", "", err)
}

func (r *ref) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, cancel := range r.watching {
		cancel()
	}
	return nil
}

// everything returns a harness with all features and hooks. wrap makes a store
// of each handle, whether the handle is opened, reopened or a peer. If reopened
// is not nil, reopened may change the data between Close and Reopen.
func everything(wrap func(r *ref) store.Store, reopened func(w *world)) Harness {
	of := func(s store.Store) *ref { return s.(interface{ handle() *ref }).handle() }
	return Harness{
		Features: Features{Durable: true, Shared: true, Ordered: true, Pager: true, Counter: true, Notifier: true},
		Open:     func(*testing.T) store.Store { return wrap(newRef(newWorld())) },
		Reopen: func(_ *testing.T, s store.Store) store.Store {
			w := of(s).w
			if reopened != nil {
				w.mu.Lock()
				defer w.mu.Unlock()
				reopened(w)
			}
			return wrap(newRef(w))
		},
		Peer:  func(_ *testing.T, s store.Store) store.Store { return wrap(newRef(of(s).w)) },
		Break: func(_ *testing.T, s store.Store) { of(s).broken.Store(true) },
		Lose:  func(_ *testing.T, s store.Store, meanwhile func()) { of(s).lost.Store(&meanwhile) },
		Flap:  func(_ *testing.T, s store.Store) { of(s).flaps.Store(true) },
		Corrupt: func(_ *testing.T, s store.Store, id string) {
			w := of(s).w
			w.mu.Lock()
			defer w.mu.Unlock()
			w.damaged[id] = true
		},
	}
}

func reference() Harness {
	return everything(func(r *ref) store.Store { return r }, nil)
}

func TestReference(t *testing.T) { Run(t, reference()) }
