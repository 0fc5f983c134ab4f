package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// TestWatchConnectsAgain cuts the connection of a watcher. When the watcher
// listens again, it sends a signal, because notifications may have been lost.
// The watcher then gets the next notification.
func TestWatchConnectsAgain(t *testing.T) {
	t.Parallel()
	s := open(t, newPlace(t))
	writer := open(t, s.place)
	signals, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hear := func(when string) {
		t.Helper()
		select {
		case _, open := <-signals:
			if !open {
				t.Fatalf("%s: the channel is closed, want a signal", when)
			}
		case <-time.After(5 * time.Minute):
			t.Fatalf("%s: got no signal, want one", when)
		}
	}
	put(t, writer, store.Entry{ID: "before", Due: time.Now()})
	hear("before the line is cut")
	s.lines.cut()
	put(t, writer, store.Entry{ID: "meanwhile", Due: time.Now()})
	s.lines.restore()
	hear("when it listens again")
	put(t, writer, store.Entry{ID: "after", Due: time.Now()})
	hear("after that")
}

// TestWatchBehindPgBouncer: Watch refuses to work where LISTEN would be lost. A
// write behind PgBouncer is notified nevertheless.
func TestWatchBehindPgBouncer(t *testing.T) {
	t.Parallel()
	direct := open(t, newPlace(t))
	p := direct.place
	p.url = server.Server(t).Bouncer(t).URL("")
	pooled := open(t, p)
	if _, err := pooled.Watch(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Watch behind PgBouncer: got %v, want ErrUnsupported", err)
	}
	signals, err := direct.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put(t, pooled, store.Entry{ID: "entry", Due: time.Now()})
	select {
	case <-signals:
	case <-time.After(5 * time.Minute):
		t.Error("a Put behind PgBouncer: got no signal, want one")
	}
}
