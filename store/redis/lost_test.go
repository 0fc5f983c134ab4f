package redis_test

import (
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// lossy is a store behind a proxy that can lose replies, and another handle to
// the same data.
type lossy struct {
	*proxy
	store, peer *redis.Store
}

func newLossy(t *testing.T, retries int) lossy {
	t.Helper()
	m := miniredis.RunT(t)
	p := startProxy(t, m.Addr())
	one := redis.Options{Shards: 1} // with one shard, a count has one reply
	l := lossy{
		proxy: p,
		peer:  openStore(t, newClient(t, &goredis.Options{Addr: m.Addr()}), one),
		store: openStore(t, newClient(t, &goredis.Options{Addr: p.addr, PoolSize: 1, MaxRetries: retries}), one),
	}
	// A connection of each kind and each script is prepared, so that the next
	// reply is the reply to the operation.
	warm := mustPut(t, l.store, store.Entry{ID: "warm", Due: at(1)})
	claimed, err := l.store.Claim(t.Context(), at(1), at(2), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim: got %d entries and %v, want one", len(claimed), err)
	}
	if err := l.store.Delete(t.Context(), warm.ID, claimed[0].Version); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l lossy) wantDropped(t *testing.T) {
	t.Helper()
	if n := l.dropped(); n != 1 {
		t.Fatalf("replies thrown away: got %d, want 1", n)
	}
}

func TestLostReplyOfAPutSentAgain(t *testing.T) {
	l := newLossy(t, 3)
	e := store.Entry{ID: "a", Due: at(1), Body: []byte("inserted")}
	for _, body := range []string{"inserted", "replaced"} {
		e.Body = []byte(body)
		seen := uint64(0)
		l.arm(0, func() {
			// The write took place.
			if got, err := l.peer.Get(t.Context(), "a"); err == nil && string(got.Body) == body {
				seen = got.Version
			}
		})
		version, err := l.store.Put(t.Context(), e)
		l.wantDropped(t)
		if err != nil || version != seen || seen == 0 {
			t.Fatalf("Put whose reply was lost and that was sent again: got version %d and %v, want %d, which the first try stored", version, err, seen)
		}
		e.Version = version
	}
}

func TestLostReplyOfAPutOvertaken(t *testing.T) {
	l := newLossy(t, 3)
	e := store.Entry{ID: "a", Due: at(1), Body: []byte("body")}
	for _, want := range []error{store.ErrExists, store.ErrConflict} {
		l.arm(0, func() {
			claimed, err := l.peer.Claim(t.Context(), at(1), at(2), 1)
			if err != nil || len(claimed) != 1 {
				t.Errorf("Claim beside the lost reply: got %d entries and %v, want one", len(claimed), err)
				return
			}
			e.Version = claimed[0].Version
		})
		_, err := l.store.Put(t.Context(), e)
		l.wantDropped(t)
		wantErr(t, err, want, "Put sent again behind another write")
		got, err := l.store.Get(t.Context(), "a")
		if err != nil || got.Version != e.Version || string(got.Body) != "body" {
			t.Errorf("Get: got version %d, body %q and %v, want what the other write left", got.Version, got.Body, err)
		}
	}
}

func TestLostReplyOfAPutNotSentAgain(t *testing.T) {
	l := newLossy(t, -1)
	l.arm(0, func() {})
	_, err := l.store.Put(t.Context(), store.Entry{ID: "a", Body: []byte("body")})
	l.wantDropped(t)
	if _, ok := errors.AsType[*store.Error](err); !ok {
		t.Errorf("Put whose reply was lost: got %v, want an *store.Error", err)
	}
	for _, known := range []error{store.ErrExists, store.ErrConflict, store.ErrNotFound, store.ErrCorrupt} {
		if errors.Is(err, known) {
			t.Errorf("Put whose reply was lost: got %v, want an error that leaves open whether it was stored", err)
		}
	}
	if got, err := l.peer.Get(t.Context(), "a"); err != nil || string(got.Body) != "body" {
		t.Errorf("Get: got body %q and %v, want the entry: the write took place", got.Body, err)
	}
}

func TestLostReplyOfADelete(t *testing.T) {
	l := newLossy(t, 3)
	e := mustPut(t, l.store, store.Entry{ID: "a"})
	l.arm(0, func() {
		_, err := l.peer.Get(t.Context(), "a")
		wantErr(t, err, store.ErrNotFound, "Get beside the lost reply")
	})
	err := l.store.Delete(t.Context(), "a", e.Version)
	l.wantDropped(t)
	if err != nil {
		t.Errorf("Delete whose reply was lost and that was sent again: got %v, want nil", err)
	}
}

// TestLostReplyOfAClaim loses the reply to the script, and not the reply to the
// count. Another handle puts the entry back before the claim is sent again.
func TestLostReplyOfAClaim(t *testing.T) {
	l := newLossy(t, 3)
	ctx := t.Context()
	mustPut(t, l.store, store.Entry{ID: "a", Due: at(1)})
	mustPut(t, l.store, store.Entry{ID: "lapses", Due: at(9)})
	var first, put store.Entry
	l.arm(1, func() {
		first, _ = l.peer.Get(ctx, "a")
		put = first
		put.Due = at(2)
		put.Version, _ = l.peer.Put(ctx, put)
	})
	claimed, err := l.store.Claim(ctx, at(5), at(10), 1)
	l.wantDropped(t)
	if err != nil || len(claimed) != 1 {
		t.Fatalf("Claim whose reply was lost: got %d entries and %v, want one", len(claimed), err)
	}
	if !first.Due.Equal(at(10)) || put.Version == 0 {
		t.Fatalf("beside the lost reply: got due %v and version %d, want the entry claimed and put back", first.Due, put.Version)
	}
	for _, before := range []uint64{first.Version, put.Version} {
		if claimed[0].Version == before {
			t.Errorf("Claim sent again: got version %d, want one that the entry never had", before)
		}
	}

	// No caller puts back the entry that the next claim takes: it is due again
	// when that claim expires.
	l.arm(1, func() {})
	claimed, err = l.store.Claim(ctx, at(9), at(20), 1)
	l.wantDropped(t)
	if err != nil || len(claimed) != 0 {
		t.Fatalf("Claim whose first try took what was due: got %d entries and %v, want none", len(claimed), err)
	}
	claimed, err = l.store.Claim(ctx, at(20), at(30), 9)
	if err != nil || len(claimed) != 2 {
		t.Errorf("Claim after the lost one has lapsed: got %d entries and %v, want both", len(claimed), err)
	}
}
