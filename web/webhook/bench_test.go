package webhook_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/webhook"
)

// BenchmarkComplete compares the handler, on a hub that settles only, with a
// bare net/http handler that reads and writes entries of the same size in the
// same kind of store. 64 callers send.
func BenchmarkComplete(b *testing.B) {
	const body = `{"approved":true,"by":"Ann","cents":8420}`
	drive := func(b *testing.B, h http.Handler, paths []string) {
		server := httptest.NewServer(h)
		defer server.Close()
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		var next atomic.Int64
		b.ResetTimer()
		var callers sync.WaitGroup
		for range 64 {
			callers.Go(func() {
				for n := next.Add(1); n <= int64(len(paths)); n = next.Add(1) {
					resp, err := client.Post(server.URL+paths[n-1], "application/json", strings.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
						b.Errorf("status %d, %v", resp.StatusCode, err)
					}
					_ = resp.Body.Close()
				}
			})
		}
		callers.Wait()
		b.StopTimer()
		b.ReportMetric(float64(len(paths))/b.Elapsed().Seconds(), "answers/s")
	}
	size := 0
	b.Run("handler", func(b *testing.B) {
		s := store.NewMemory()
		hub, err := async.New(async.Options{Store: s, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		h, err := webhook.New(hub, webhook.Options{Types: []answer.Type{mustFor[Decision](b)}, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		paths := make([]string, b.N)
		template := template(b, s, hub)
		for i := range paths {
			// Entries of the same body, under IDs of their own: the secret is in the body.
			e := template.entry
			e.ID = fmt.Sprintf("%010d%s", i, e.ID[10:])
			if _, err := s.Put(b.Context(), e); err != nil {
				b.Fatal(err)
			}
			paths[i] = "/" + e.ID + template.secret + "/complete"
		}
		drive(b, h, paths)
		e, err := s.Get(b.Context(), fmt.Sprintf("%010d%s", 0, template.entry.ID[10:]))
		if err != nil {
			b.Fatal(err)
		}
		size = len(e.Body)
	})
	b.Run("bare", func(b *testing.B) {
		s := store.NewMemory()
		paths := make([]string, b.N)
		for i := range paths {
			id := fmt.Sprintf("%010d%022d", i, i)
			if _, err := s.Put(b.Context(), store.Entry{ID: id, Body: make([]byte, size)}); err != nil {
				b.Fatal(err)
			}
			paths[i] = "/" + id
		}
		drive(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
			var d Decision
			if err == nil {
				err = json.Unmarshal(body, &d)
			}
			e, getErr := s.Get(r.Context(), r.URL.Path[1:])
			if err == nil && getErr == nil {
				e.Due = time.Now().Add(time.Second)
				_, err = s.Put(r.Context(), e)
			}
			if err != nil || getErr != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write([]byte(`{"state":"settled"}`))
		}), paths)
	})
}

type waiting struct {
	entry  store.Entry
	secret string
}

// template returns the entry of an activity that waits, and its secret.
func template(b *testing.B, s store.Store, hub *async.Hub) waiting {
	b.Helper()
	id := startOn[Decision](b, hub, async.StartOptions{})
	e, err := s.Get(b.Context(), id[:32])
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Delete(b.Context(), e.ID, e.Version); err != nil {
		b.Fatal(err)
	}
	e.Version = 0
	return waiting{e, id[32:]}
}
