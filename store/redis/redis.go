package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/internal/wake"
)

const backend = "redis"

var (
	// ErrConfig means that the store could not keep its contract with these
	// options, this client or this server. The text of the error says what to
	// change.
	ErrConfig = errors.New("redis: configuration")

	// ErrAck means that a write took place, and that the acknowledgements of
	// Options.Ack did not arrive in time. After a failover, the entry may have
	// its state from before the write. Retry the call.
	ErrAck = errors.New("redis: write not acknowledged")
)

// Options configures a [Store]. The zero value is valid.
type Options struct {
	// Prefix is the beginning of every key, so that several stores and other
	// data can share a server. Prefix has 1 to 64 bytes without braces, spaces
	// or control characters. Defaults to "latchkey:".
	Prefix string

	// Shards is the number of hash slots that contain the entries, from 1 to
	// 1024. The number of shards is fixed when the store is created, and all
	// processes must use the same one. A cluster needs several shards for each
	// node that it may grow to. Each shard costs an idle Claim one ZCOUNT.
	// Defaults to 16.
	Shards int

	// Pages keeps the IDs of each shard in order, in a second sorted set, so
	// that the store is a [store.Pager]. Pages is fixed when the store is
	// created, and all processes must use the same setting. Without Pages, the
	// method Page returns errors.ErrUnsupported. Defaults to false.
	Pages bool

	// Ack is the acknowledgement that Put and Delete wait for. Defaults to the
	// answer of the server.
	Ack Ack
}

// Ack configures which acknowledgements Put and Delete wait for before they
// return nil.
type Ack struct {
	// Replicas is the number of replicas that must have the write: in memory,
	// or with AOF in their append-only files. Defaults to 0.
	Replicas int

	// AOF makes a write wait until the append-only file of the master is on
	// disk, whatever appendfsync is. AOF needs appendonly yes and the command
	// WAITAOF, which every Valkey has, and Redis since 7.2. On an older server,
	// Open returns ErrConfig; set appendfsync always on such a server. Defaults
	// to false.
	AOF bool

	// Timeout is the time to wait, in whole milliseconds. Timeout must be
	// shorter than the ReadTimeout of the client. Defaults to one second.
	Timeout time.Duration
}

// Store is a store.Store in Redis. Any number of goroutines may call its methods.
type Store struct {
	client  redis.UniversalClient
	cluster *redis.ClusterClient // the same client, or nil
	owned   bool                 // whether Close closes the client
	prefix  string
	ack     Ack
	due     []string      // the due set of each shard
	ids     []string      // the IDs of each shard in order; empty without pages
	next    atomic.Uint32 // the shard with which the next Claim begins
	signals wake.Rule

	mu       sync.Mutex
	closed   bool
	calls    sync.WaitGroup      // added to while mu is held
	watchers map[*watcher]func() // guarded by mu; the functions end the watchers
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Pager    = (*Store)(nil)
	_ store.Counter  = (*Store)(nil)
	_ store.Notifier = (*Store)(nil)
)

// begin counts a call, so that Close waits for it.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.calls.Add(1)
	return nil
}

// Close waits for the calls in progress. Close closes the client only if
// [store.Open] created it. A second Close returns nil.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	for _, end := range s.watchers {
		end()
	}
	s.mu.Unlock()
	s.calls.Wait()
	if first && s.owned {
		return store.Wrap("close", backend, "", s.client.Close())
	}
	return nil
}

// Get implements [store.Store] with one round trip.
func (s *Store) Get(ctx context.Context, id string) (store.Entry, error) {
	e, err := s.get(ctx, id)
	return e, wrap(ctx, "get", id, err)
}

func (s *Store) get(ctx context.Context, id string) (store.Entry, error) {
	if err := store.CheckID(id); err != nil {
		return store.Entry{}, err
	}
	if err := s.begin(ctx); err != nil {
		return store.Entry{}, err
	}
	defer s.calls.Done()
	value, err := s.client.Get(ctx, s.entryKey(s.shard(id), id)).Result()
	if errors.Is(err, redis.Nil) {
		return store.Entry{}, store.ErrNotFound
	}
	if err != nil {
		return store.Entry{}, err
	}
	return decode(id, value)
}

// Put implements [store.Store] with one round trip. With Options.Ack, Put then
// waits for the acknowledgement.
func (s *Store) Put(ctx context.Context, e store.Entry) (uint64, error) {
	version, err := s.put(ctx, e)
	return version, wrap(ctx, "put", e.ID, err)
}

func (s *Store) put(ctx context.Context, e store.Entry) (uint64, error) {
	if err := e.Check(); err != nil {
		return 0, err
	}
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	expected := ""
	if e.Version != 0 {
		expected = versionBytes(e.Version)
	}
	for {
		version, value := encode(e)
		if version == e.Version {
			continue
		}
		status, err := s.write(ctx, putScript, e.ID, value, score(e.Due), expected, s.channel(e.Due))
		switch {
		case err != nil:
			return 0, err
		case status == "OK":
			return version, nil
		}
	}
}

// Delete implements [store.Store] with one round trip. With Options.Ack, Delete
// then waits for the acknowledgement.
func (s *Store) Delete(ctx context.Context, id string, version uint64) error {
	return wrap(ctx, "delete", id, s.delete(ctx, id, version))
}

func (s *Store) delete(ctx context.Context, id string, version uint64) error {
	if err := store.CheckID(id); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	_, err := s.write(ctx, deleteScript, id, versionBytes(version))
	return err
}

// write runs a script that changes one entry. write returns the script's
// status, or the error for that status.
func (s *Store) write(ctx context.Context, sc *redis.Script, id string, args ...any) (string, error) {
	sh := s.shard(id)
	keys := []string{s.entryKey(sh, id), s.due[sh]}
	if len(s.ids) > 0 {
		keys = append(keys, s.ids[sh])
	}
	reply, err := s.run(ctx, sc, s.ack, keys, append([]any{id}, args...)...)
	if err != nil {
		return "", err
	}
	switch reply {
	case "OK", "DRAWN":
		return reply.(string), nil
	case "EXISTS":
		return "", store.ErrExists
	case "CONFLICT":
		return "", store.ErrConflict
	case "CORRUPT":
		return "", fmt.Errorf("%w: the value has no header: remove its key and call Delete", store.ErrCorrupt)
	}
	return "", fmt.Errorf("redis: a script answered %T", reply)
}

// wrap returns err as a *store.Error. If a deadline passes while go-redis
// reads, go-redis returns a network timeout. wrap then adds the error of the
// context.
func wrap(ctx context.Context, op, id string, err error) error {
	if err == nil {
		return nil
	}
	err = corrupt(err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	default:
		if d, ok := ctx.Deadline(); ok && isTimeout(err) && !time.Now().Before(d) {
			err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
		}
	}
	return store.Wrap(op, backend, id, err)
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

// corrupt adds ErrCorrupt to Redis's error for a key of another type. Redis 6
// puts the code of an error within a script in the middle of the text.
func corrupt(err error) error {
	if isReply(err) && strings.Contains(err.Error(), "WRONGTYPE") && !errors.Is(err, store.ErrCorrupt) {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return err
}

// isReply reports whether err is an error reply of the server.
func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// drawVersions returns n random versions of eight bytes each. The versions come
// from the system's random source. A generator in the process could draw the
// same versions in two clones of a virtual machine.
func drawVersions(n int) []byte {
	b := make([]byte, 8*n)
	for {
		rand.Read(b) // never fails
		ok := true
		for i := range n {
			b[8*i] &= 0x7f
			ok = ok && [8]byte(b[8*i:]) != [8]byte{}
		}
		if ok {
			return b
		}
	}
}
