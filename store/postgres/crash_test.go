package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/latchkey-go/latchkey/internal/postgrestest"
	"github.com/latchkey-go/latchkey/store"
)

// load is a client of a server that crashes. Only its own goroutine may use a
// load.
type load interface {
	// step makes one change, and returns an error if its result is unknown.
	step(ctx context.Context, s handle) error

	// check compares the store with the acknowledged changes. Afterwards no
	// result is unknown.
	check(t *testing.T, s handle)
}

// TestServerCrash crashes the server while clients write, claim, delete, and
// write in transactions with a row of the application. All acknowledged changes
// are present after the recovery, and the store continues.
func TestServerCrash(t *testing.T) {
	t.Parallel()
	crashes := 2
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		crashes = 60
	}
	s := postgrestest.Start(t)
	pool, err := pgxpool.New(t.Context(), s.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, placeAt(t, pool, s.URL("")))
	if _, err := pool.Exec(t.Context(), "CREATE TABLE "+db.place.schema+".app (id text PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	claims := newClaims(t, db)
	loads := []load{claims, new(deletes), &deletes{n: 1 << 20}, new(transactions), &transactions{n: 1 << 20}}
	for w := range 3 {
		loads = append(loads, &writes{put(t, db, store.Entry{ID: fmt.Sprintf("written-%d", w), Body: []byte("0")}), ""})
	}
	const before = 8 // number of steps of each load before a crash
	for crash := range crashes {
		var ready, ended sync.WaitGroup
		var crashing atomic.Bool
		for _, l := range loads {
			ready.Add(1)
			ended.Go(func() {
				once := sync.OnceFunc(ready.Done)
				defer once()
				for n := 0; ; n++ {
					if n == before {
						once()
					}
					if err := l.step(t.Context(), db); err != nil {
						if !crashing.Load() {
							t.Errorf("%T before the crash: got %v, want nil", l, err)
						}
						return
					}
				}
			})
		}
		ready.Wait()
		crashing.Store(true)
		s.Crash(t)
		ended.Wait()
		db.pool.Reset() // closes the connections from before the crash
		for _, l := range loads {
			l.check(t, db)
		}
		if t.Failed() {
			t.Fatalf("after crash %d", crash+1)
		}
	}
	t.Logf("%d crashes, %d claims acknowledged", crashes, claims.n)
}

// get reads an entry. get returns false if it is absent.
func get(t *testing.T, s handle, id string) (store.Entry, bool) {
	t.Helper()
	e, err := s.Get(t.Context(), id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get of %s after the crash: got %v, want an answer", id, err)
	}
	return e, err == nil
}

// writes replaces one entry again and again.
type writes struct {
	acknowledged store.Entry
	unsure       string // the body of a write with an unknown result
}

func (w *writes) step(ctx context.Context, s handle) error {
	e := w.acknowledged
	var n int
	_, _ = fmt.Sscan(string(e.Body), &n)
	e.Body = fmt.Append(nil, n+1)
	var err error
	if e.Version, err = s.Put(ctx, e); err != nil {
		w.unsure = string(e.Body)
		return err
	}
	w.acknowledged = e
	return nil
}

func (w *writes) check(t *testing.T, s handle) {
	t.Helper()
	want := w.acknowledged
	got, ok := get(t, s, want.ID)
	if !ok || string(got.Body) != w.unsure && (got.Version != want.Version || string(got.Body) != string(want.Body)) {
		t.Errorf("Get of %s: got version %d, body %q, want %d, %q or %q", want.ID, got.Version, got.Body, want.Version, want.Body, w.unsure)
	}
	w.acknowledged, w.unsure = got, ""
}

// claims claims a few entries again and again. Each claim begins when the
// earlier claims have expired.
type claims struct {
	held map[string]store.Entry // as acknowledged
	n    int64                  // number of acknowledged claims
}

const claimable = 12

func newClaims(t *testing.T, s handle) *claims {
	t.Helper()
	c := &claims{held: make(map[string]store.Entry)}
	for i := range claimable {
		e := put(t, s, store.Entry{ID: fmt.Sprintf("claimed-%d", i), Due: at(0)})
		c.held[e.ID] = e
	}
	return c
}

func (c *claims) step(ctx context.Context, s handle) error {
	got, err := s.Claim(ctx, at(c.n), at(c.n+1), claimable/3)
	if err != nil {
		return err
	}
	c.n++
	for _, e := range got {
		c.held[e.ID] = e
	}
	return nil
}

func (c *claims) check(t *testing.T, s handle) {
	t.Helper()
	until := at(c.n + 1) // of the claim with an unknown result
	for id, want := range c.held {
		got, ok := get(t, s, id)
		asHeld := got.Version == want.Version && got.Due.Equal(want.Due)
		lost := got.Version != want.Version && got.Due.Equal(until)
		if !ok || !asHeld && !lost {
			t.Errorf("Get of %s: got version %d due %v, want %d due %v, or another version due %v", id, got.Version, got.Due, want.Version, want.Due, until)
		}
		c.held[id] = got
	}
	c.n++
	got, err := s.Claim(t.Context(), at(c.n), at(c.n+1), 2*claimable)
	if err != nil || len(got) != claimable {
		t.Errorf("Claim after the crash: got %d entries and %v, want %d", len(got), err, claimable)
	}
	for _, e := range got {
		c.held[e.ID] = e
	}
	c.n++
}

// deletes inserts entries and deletes each second one.
type deletes struct {
	n       int
	kept    []string
	deleted []string
}

func (d *deletes) step(ctx context.Context, s handle) error {
	d.n++
	e := store.Entry{ID: fmt.Sprintf("deleted-%d", d.n)}
	var err error
	if e.Version, err = s.Put(ctx, e); err != nil {
		return err
	}
	if d.n%2 == 0 {
		d.kept = append(d.kept, e.ID)
		return nil
	}
	if err := s.Delete(ctx, e.ID, e.Version); err != nil {
		return err
	}
	d.deleted = append(d.deleted, e.ID)
	return nil
}

func (d *deletes) check(t *testing.T, s handle) {
	t.Helper()
	for _, id := range d.kept {
		if _, ok := get(t, s, id); !ok {
			t.Errorf("Get of %s: got ErrNotFound, want the entry", id)
		}
	}
	for _, id := range d.deleted {
		if _, ok := get(t, s, id); ok {
			t.Errorf("Get of %s, which was deleted: got the entry, want ErrNotFound", id)
		}
	}
	d.kept, d.deleted = nil, nil
}

// transactions writes a row of the application and an entry in each
// transaction. Each third transaction is rolled back.
type transactions struct {
	n         int
	committed []int
	began     []int
}

func (x *transactions) step(ctx context.Context, s handle) error {
	x.n++
	x.began = append(x.began, x.n)
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, s.row(x.id(x.n)), pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	if _, err := s.Tx(tx).Put(ctx, store.Entry{ID: x.id(x.n)}); err != nil {
		return err
	}
	if x.n%3 == 0 {
		return tx.Rollback(ctx)
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	x.committed = append(x.committed, x.n)
	return nil
}

func (x *transactions) id(n int) string { return fmt.Sprintf("transaction-%d", n) }

func (x *transactions) check(t *testing.T, s handle) {
	t.Helper()
	row := make(map[string]bool)
	rows, err := s.pool.Query(t.Context(), "SELECT id FROM "+s.place.schema+".app")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		row[id] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range x.began {
		_, ok := get(t, s, x.id(n))
		if row[x.id(n)] != ok || ok && n%3 == 0 {
			t.Errorf("transaction %d: got the row %t and the entry %t, want both or neither, and neither after a rollback", n, row[x.id(n)], ok)
		}
	}
	for _, n := range x.committed {
		if !row[x.id(n)] {
			t.Errorf("transaction %d, whose commit was acknowledged: got no row, want one", n)
		}
	}
	x.began, x.committed = nil, nil
}
