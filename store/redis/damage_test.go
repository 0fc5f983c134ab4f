package redis_test

import (
	"context"
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redis"
)

// TestDamage stores values that the store never writes. Undamaged entries are
// still claimed. A damaged value is read neither as an absent entry nor as a
// valid one.
func TestDamage(t *testing.T) {
	const prefix, shard = "latchkey:", "latchkey:{0}:"
	for _, damage := range []struct {
		name string
		do   func(ctx context.Context, c goredis.UniversalClient, key string) error
		get  error
	}{
		{"empty", func(ctx context.Context, c goredis.UniversalClient, key string) error {
			return c.Set(ctx, key, "", 0).Err()
		}, store.ErrCorrupt},
		{"short", func(ctx context.Context, c goredis.UniversalClient, key string) error {
			return c.Set(ctx, key, "fifteen bytes..", 0).Err()
		}, store.ErrCorrupt},
		{"foreign", func(ctx context.Context, c goredis.UniversalClient, key string) error {
			return c.Set(ctx, key, "a string that somebody else has put here", 0).Err()
		}, store.ErrCorrupt},
		{"hash", func(ctx context.Context, c goredis.UniversalClient, key string) error {
			return errors.Join(c.Del(ctx, key).Err(), c.HSet(ctx, key, "field", "value").Err())
		}, store.ErrCorrupt},
		{"gone", func(ctx context.Context, c goredis.UniversalClient, key string) error {
			return c.Del(ctx, key).Err()
		}, store.ErrNotFound},
	} {
		t.Run(damage.name, func(t *testing.T) {
			ctx := t.Context()
			client := newClient(t, &goredis.Options{Addr: miniredis.RunT(t).Addr()})
			s := openStore(t, client, redis.Options{Prefix: prefix, Shards: 1})
			bad := mustPut(t, s, store.Entry{ID: "bad", Due: at(1)})
			mustPut(t, s, store.Entry{ID: "good", Due: at(2)})
			if err := damage.do(ctx, client, shard+"e:bad"); err != nil {
				t.Fatal(err)
			}
			_, err := s.Get(ctx, "bad")
			wantErr(t, err, damage.get, "Get")
			if damage.get == store.ErrCorrupt {
				for _, version := range []uint64{0, bad.Version} {
					_, err = s.Put(ctx, store.Entry{ID: "bad", Version: version})
					if errors.Is(err, store.ErrExists) || err == nil {
						t.Errorf("Put at version %d: got %v, want another error", version, err)
					}
				}
			}
			got, err := s.Claim(ctx, at(5), at(10), 1)
			if err == nil && len(got) == 0 {
				t.Fatal("Claim with an entry due: got an empty answer")
			}
			if err != nil || got[0].ID != "good" {
				t.Errorf("Claim of 1 behind a damaged entry: got %v and %v, want the other entry", got, err)
			}
			if got, err := s.Claim(ctx, at(6), at(20), 1); err != nil || len(got) != 0 {
				t.Errorf("Claim with the damaged entry put off: got %d entries and %v, want none", len(got), err)
			}
			_, err = s.Claim(ctx, at(10), at(20), 2)
			if err != nil {
				t.Fatalf("Claim of a good and a damaged entry: got %v, want the good one", err)
			}
			if _, err := s.Claim(ctx, at(20), at(30), 1); err != nil {
				t.Fatalf("Claim of a good or a damaged entry: got %v, want the good one", err)
			}
			good, err := s.Get(ctx, "good")
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Delete(ctx, "good", good.Version); err != nil {
				t.Fatal(err)
			}
			_, err = s.Claim(ctx, at(40), at(50), 1)
			wantErr(t, err, store.ErrCorrupt, "Claim with nothing but a damaged entry")
			if e, ok := errors.AsType[*store.Error](err); ok && e.ID != "bad" {
				t.Errorf("Claim with nothing but a damaged entry: got ID %q in the error, want %q", e.ID, "bad")
			}

			// The documentation gives an operator the following steps.
			if err := client.Del(ctx, shard+"e:bad").Err(); err != nil {
				t.Fatal(err)
			}
			if err := s.Delete(ctx, "bad", 1); err != nil {
				t.Errorf("Delete of what has gone: got %v, want nil", err)
			}
			if got, err := s.Claim(ctx, at(60), at(70), 1); err != nil || len(got) != 0 {
				t.Errorf("Claim after Delete: got %d entries and %v, want none", len(got), err)
			}
		})
	}
}

// TestDueSetOfAnotherType: a script writes nothing before a command that can
// fail.
func TestDueSetOfAnotherType(t *testing.T) {
	m := miniredis.RunT(t)
	ctx := t.Context()
	client := newClient(t, &goredis.Options{Addr: m.Addr()})
	s := openStore(t, client, redis.Options{Shards: 1})
	e := mustPut(t, s, store.Entry{ID: "a", Due: at(1), Body: []byte("before")})
	if err := client.Set(ctx, "latchkey:{0}:due", "not a set", 0).Err(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Put(ctx, store.Entry{ID: "a", Version: e.Version, Body: []byte("after")})
	wantErr(t, err, store.ErrCorrupt, "a replacement")
	_, err = s.Put(ctx, store.Entry{ID: "b"})
	wantErr(t, err, store.ErrCorrupt, "an insert")
	wantErr(t, s.Delete(ctx, "a", e.Version), store.ErrCorrupt, "Delete")
	_, err = s.Claim(ctx, at(5), at(10), 1)
	wantErr(t, err, store.ErrCorrupt, "Claim")
	got, err := s.Get(ctx, "a")
	if err != nil || got.Version != e.Version || string(got.Body) != "before" {
		t.Errorf("Get after writes that failed: got version %d, body %q and %v, want the entry as it was", got.Version, got.Body, err)
	}
	_, err = s.Get(ctx, "b")
	wantErr(t, err, store.ErrNotFound, "Get after an insert that failed")
}
