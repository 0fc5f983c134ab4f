package store_test

import (
	"encoding/base64"
	"encoding/binary"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// BenchmarkMemory measures the in-memory store, with bodies as long as those of
// package async: puts per second, the bytes of an entry (with its ID) in
// addition to the body, and the time of a claim of a thousand entries among a
// million.
func BenchmarkMemory(b *testing.B) {
	body := make([]byte, 400)
	b.Run("put", func(b *testing.B) {
		s := store.NewMemory()
		var next atomic.Uint64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Put(b.Context(), store.Entry{ID: entryID(next.Add(1)), Due: start, Body: body}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	})
	b.Run("entry", func(b *testing.B) {
		const entries = 1_000_000
		for b.Loop() {
			before := heap()
			s := fill(b, entries, body)
			b.ReportMetric(float64(heap()-before)/entries-float64(len(body)), "B/entry")
			runtime.KeepAlive(s)
		}
	})
	b.Run("claim", func(b *testing.B) {
		const entries, n = 1_000_000, 1000
		s := fill(b, entries, body)
		// Each claim returns the next thousand: claimed entries are due after
		// all other entries.
		now := start.Add(entries * time.Millisecond)
		for b.Loop() {
			now = now.Add(time.Hour)
			claimed, err := s.Claim(b.Context(), now, now.Add(time.Minute), n)
			if err != nil || len(claimed) != n {
				b.Fatalf("claimed %d of %d: %v", len(claimed), n, err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
	})
}

var start = time.UnixMilli(1_700_000_000_000).UTC()

func fill(b *testing.B, entries int, body []byte) store.Store {
	s := store.NewMemory()
	for i := range entries {
		e := store.Entry{ID: entryID(uint64(i)), Due: start.Add(time.Duration(i*7919%entries) * time.Millisecond), Body: body}
		if _, err := s.Put(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// entryID returns an ID that is as long as package async's IDs, and as random
// at its end.
func entryID(n uint64) string {
	var tail [16]byte
	binary.BigEndian.PutUint64(tail[:], n*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(tail[8:], n)
	return strconv.FormatUint(1<<49+n>>4, 32)[:10] + base64.RawURLEncoding.EncodeToString(tail[:])
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
