package store

import (
	"context"
	"iter"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store/internal/wake"
)

const (
	memoryName   = "memory"
	memoryShards = 64
	never        = math.MaxInt64
)

// NewMemory returns a store in the memory of this process. The store is not
// durable: use it for tests, and for answers that may be lost. An entry costs
// at most 200 bytes in addition to its body. Claim returns the oldest entries
// of the whole store first, unless other calls write at the same time. The
// store is a [Pager], a [Counter] and a [Notifier].
func NewMemory() Store { return newMemory() }

func newMemory() *memory {
	m := new(memory)
	for i := range m.shards {
		m.shards[i].items = make(map[string]*item)
		m.shards[i].head.Store(never)
	}
	return m
}

// memory spreads its entries over shards by their ID. memory holds no lock
// while it calls other code.
type memory struct {
	versions atomic.Uint64 // one counter for all entries, so that no version repeats
	bell     wake.Bell
	shards   [memoryShards]shard
}

type shard struct {
	head atomic.Int64 // the due time of the first of queue; read without the lock

	mu     sync.Mutex
	closed bool
	items  map[string]*item
	queue  queue
	sorted sorted
}

// item is a stored entry. The size of an item is part of the memory that an
// entry costs. The body is a string, because it is never changed in place and
// needs no capacity.
type item struct {
	id      string
	body    string
	version uint64 // 0 for an item that has left the shard
	due     int64  // Unix milliseconds, or never
	at      int    // index in queue; -1 while not queued
}

func (it *item) gone() bool { return it.version == 0 }

func (it *item) entry() Entry {
	e := Entry{ID: it.id, Version: it.version, Body: []byte(it.body)}
	if it.due != never {
		e.Due = time.UnixMilli(it.due).UTC()
	}
	return e
}

// shard returns the shard of an ID. The hash, FNV-1a, is the same in every
// process, so a test that makes claims sees the same order in each run.
func (m *memory) shard(id string) *shard {
	h := uint32(2166136261)
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return &m.shards[(h^h>>16)%memoryShards]
}

func (m *memory) Get(ctx context.Context, id string) (Entry, error) {
	e, err := m.get(ctx, id)
	return e, Wrap("get", memoryName, id, err)
}

func (m *memory) get(ctx context.Context, id string) (Entry, error) {
	if err := CheckID(id); err != nil {
		return Entry{}, err
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Entry{}, ErrClosed
	}
	it := s.items[id]
	if it == nil {
		return Entry{}, ErrNotFound
	}
	return it.entry(), nil
}

func (m *memory) Put(ctx context.Context, e Entry) (uint64, error) {
	version, err := m.put(ctx, e)
	if err == nil {
		m.bell.Due(e.Due)
	}
	return version, Wrap("put", memoryName, e.ID, err)
}

func (m *memory) put(ctx context.Context, e Entry) (uint64, error) {
	if err := e.Check(); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	due := int64(never)
	if !e.Due.IsZero() {
		due = e.Due.UnixMilli()
	}
	body := string(e.Body)

	s := m.shard(e.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	it := s.items[e.ID]
	switch {
	case it == nil && e.Version == 0:
		// The caller's string may be part of a larger one.
		it = &item{id: strings.Clone(e.ID), due: never, at: -1}
		s.items[it.id] = it
		s.sorted.inserted(it)
	case it == nil:
		return 0, ErrConflict
	case e.Version == 0:
		return 0, ErrExists
	case it.version != e.Version:
		return 0, ErrConflict
	}
	it.body = body
	it.version = m.versions.Add(1)
	s.requeue(it, due)
	return it.version, nil
}

func (m *memory) Delete(ctx context.Context, id string, version uint64) error {
	return Wrap("delete", memoryName, id, m.delete(ctx, id, version))
}

func (m *memory) delete(ctx context.Context, id string, version uint64) error {
	if err := CheckID(id); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	it := s.items[id]
	if it == nil {
		return nil
	}
	if it.version != version {
		return ErrConflict
	}
	s.requeue(it, never)
	delete(s.items, id)
	it.version = 0
	s.sorted.removed(len(s.items))
	return nil
}

func (m *memory) Claim(ctx context.Context, now, until time.Time, n int) ([]Entry, error) {
	claimed, err := m.claim(ctx, now, until, n)
	if len(claimed) > 0 {
		m.bell.Due(until)
	}
	return claimed, Wrap("claim", memoryName, "", err)
}

func (m *memory) claim(ctx context.Context, now, until time.Time, n int) ([]Entry, error) {
	if err := CheckClaim(now, until, n); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.shards[0].isClosed() {
		return nil, ErrClosed
	}
	var claimed []Entry
	size := 0
	for len(claimed) < n && size < MaxClaim {
		first := m.oldest()
		e, err := first.claim(now.UnixMilli(), until.UnixMilli(), &m.versions)
		if err != nil {
			return nil, err
		}
		if e.ID != "" {
			claimed = append(claimed, e)
			size += len(e.Body)
		} else if m.oldest().head.Load() > now.UnixMilli() {
			break
		}
	}
	return claimed, nil
}

// oldest returns the shard whose head is due first.
func (m *memory) oldest() *shard {
	first := &m.shards[0]
	due := first.head.Load()
	for i := range m.shards[1:] {
		if s := &m.shards[1+i]; s.head.Load() < due {
			first, due = s, s.head.Load()
		}
	}
	return first
}

func (s *shard) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// claim takes the first entry that is due, or returns the zero Entry.
func (s *shard) claim(now, until int64, versions *atomic.Uint64) (Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Entry{}, ErrClosed
	}
	if len(s.queue) == 0 || s.queue[0].due > now {
		return Entry{}, nil
	}
	it := s.queue[0]
	it.version = versions.Add(1)
	s.requeue(it, until)
	return it.entry(), nil
}

func (m *memory) List(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(Entry{}, Wrap("list", memoryName, "", err))
			return
		}
		for i := range m.shards {
			s := &m.shards[i]
			for _, it := range s.list() {
				e, err := s.read(ctx, it)
				if err != nil {
					yield(Entry{}, Wrap("list", memoryName, "", err))
					return
				}
				if e.ID != "" && !yield(e, nil) {
					return
				}
			}
		}
		if m.shards[0].isClosed() {
			yield(Entry{}, Wrap("list", memoryName, "", ErrClosed))
		}
	}
}

// list returns the items that the shard has now.
func (s *shard) list() []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := make([]*item, 0, len(s.items))
	for _, it := range s.items {
		items = append(items, it)
	}
	return items
}

// read returns the entry in its current state, or the zero Entry if it is gone.
func (s *shard) read(ctx context.Context, it *item) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Entry{}, ErrClosed
	}
	if it.gone() {
		return Entry{}, nil
	}
	return it.entry(), nil
}

// Close drops all entries. Each call holds the lock of a shard while it works,
// so Close waits for running calls when it takes the locks.
func (m *memory) Close() error {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		s.closed = true
		s.items, s.queue, s.sorted = nil, nil, sorted{}
		s.head.Store(never)
		s.mu.Unlock()
	}
	m.bell.Close()
	return nil
}
