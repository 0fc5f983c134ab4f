// Package jetstream is an example of a backend for NATS JetStream, an engine
// without an ordered index. The package keeps an entry as the last message of a
// subject, as a key-value bucket does. The package implements [store.Store]
// with only the client of NATS and package store.
//
// # Layout
//
// Each entry is one message of a stream that keeps one message for each
// subject. The subject contains the entry's ID, the body of the message is the
// entry's body, and a header contains its due time. The version is the
// message's sequence number, which JetStream never gives twice. JetStream
// publishes a message on the condition that the last sequence number of its
// subject is the expected one. Put's compare-and-swap uses this condition.
//
// JetStream cannot find messages by due time, so each process keeps an index in
// memory. The index may be behind, so it is only a hint. Before Claim answers
// that no entry is due, it asks the stream for its newest sequence number and
// reads up to it. Claim takes each entry by compare-and-swap.
//
// The store does not use the client's key-value API. The buckets of that API
// let replicas answer reads, which may be stale, and the API sets no headers.
//
// # Durability
//
// A write is acknowledged when a majority of the stream's replicas has it. With
// one replica, the write survives the end of the server. The write survives a
// loss of power only if the server has "sync_interval: always".
//
// # Damaged entries
//
// Each message has a checksum. Get returns [store.ErrCorrupt] for a damaged
// entry, and other entries remain usable. Put and Delete work only at the
// sequence number of the damaged message, which Get does not return. An
// operator removes a damaged entry by purging its subject. The subject is
// "latchkey", the name of the stream, and the ID of the entry, where "="
// replaces each dot of the ID:
//
//	nats stream subjects STREAM
//	nats stream purge STREAM --subject=latchkey.STREAM.ID
//
// The activity of a removed entry can no longer be answered by its callback ID.
// Processes need no restart.
//
// # Limits
//
// A body has at most about 1 MiB, NATS's default limit for messages: see
// [Store.MaxBody]. Each process reads each write once, and keeps about 150
// bytes for each entry.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/latchkey-go/latchkey/store"
)

const backend = "jetstream"

// Store is a store in a JetStream stream. Any number of processes may share the
// stream.
type Store struct {
	conn   *line
	js     jetstream.JetStream
	stream jetstream.Stream
	prefix string // of subjects
	index  index

	turn   chan struct{} // held by the call that reads from the stream or claims
	unsure atomic.Bool   // a write got no reply

	mu     sync.RWMutex // held by calls, so that Close waits for them
	closed bool
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Limiter = (*Store)(nil)
)

// call runs one method. call checks the arguments, the context and whether the
// store is closed, waits for the connection, and wraps the error.
func call[T any](ctx context.Context, s *Store, op, id string, invalid error, f func(ctx context.Context) (T, error)) (result T, err error) {
	if err = invalid; err == nil {
		err = ctx.Err()
	}
	if err == nil {
		s.mu.RLock()
		defer s.mu.RUnlock()
		if err = store.ErrClosed; !s.closed {
			err = s.conn.during(ctx, func(ctx context.Context) (err error) {
				if err = s.settle(ctx); err == nil {
					result, err = f(ctx)
				}
				return err
			})
		}
	}
	return result, store.Wrap(op, backend, id, err)
}

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, id string) (store.Entry, error) {
	return call(ctx, s, "get", id, store.CheckID(id), func(ctx context.Context) (store.Entry, error) {
		m, err := s.stream.GetLastMsgForSubject(ctx, s.subject(id))
		if err != nil {
			return store.Entry{}, absent(err)
		}
		return decode(s.prefix, m)
	})
}

// Put implements [store.Store].
func (s *Store) Put(ctx context.Context, e store.Entry) (uint64, error) {
	return call(ctx, s, "put", e.ID, s.check(e), func(ctx context.Context) (uint64, error) {
		version, err := s.publish(ctx, e)
		if e.Version == 0 && errors.Is(err, store.ErrConflict) {
			err = store.ErrExists
		}
		return version, err
	})
}

func (s *Store) check(e store.Entry) error {
	if err := e.Check(); err != nil {
		return err
	}
	if most := s.MaxBody(); len(e.Body) > most {
		return fmt.Errorf("%w: body must be at most %d bytes, got %d", store.ErrInvalid, most, len(e.Body))
	}
	return nil
}

// publish replaces the entry at e.Version. A subject without a message has
// sequence number 0. publish waits for the answer even if the context ends,
// because the server may answer a read before a message that was sent earlier.
func (s *Store) publish(ctx context.Context, e store.Entry) (uint64, error) {
	var ack *jetstream.PubAck
	err := s.conn.write(ctx, func(ctx context.Context) (err error) {
		ack, err = s.js.PublishMsg(ctx, encode(s.prefix, e), jetstream.WithExpectLastSequencePerSubject(e.Version))
		return err
	})
	switch {
	case isWrongSequence(err):
		return 0, store.ErrConflict
	case err != nil:
		s.unsure.Store(true)
		return 0, err
	}
	s.index.apply(mark{id: e.ID, version: ack.Sequence, due: milliseconds(e.Due)})
	return ack.Sequence, nil
}

// settle runs before every call. If an earlier write got no reply, settle waits
// until that write has taken place or never will. A stream handles messages in order.
// Therefore settle publishes a message that the stream refuses, and waits for
// the refusal.
func (s *Store) settle(ctx context.Context) error {
	if !s.unsure.Load() {
		return nil
	}
	_, err := s.js.PublishMsg(ctx, nats.NewMsg(s.prefix+"barrier"), jetstream.WithExpectLastSequence(math.MaxInt64))
	if !isWrongSequence(err) {
		return fmt.Errorf("after a write without a reply: %w", err)
	}
	s.unsure.Store(false)
	return nil
}

func isWrongSequence(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// Delete implements [store.Store].
func (s *Store) Delete(ctx context.Context, id string, version uint64) error {
	_, err := call(ctx, s, "delete", id, store.CheckID(id), func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.delete(ctx, id, version)
	})
	return err
}

// delete removes the message with this sequence number. delete first checks
// whose message it is, because a version may be any number, including the
// version of another entry.
func (s *Store) delete(ctx context.Context, id string, version uint64) error {
	last, err := s.stream.GetLastMsgForSubject(ctx, s.subject(id))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil
	case err != nil:
		return err
	case last.Sequence != version:
		return store.ErrConflict
	}
	err = s.conn.write(ctx, func(ctx context.Context) error { return s.stream.DeleteMsg(ctx, version) })
	if err == nil {
		s.index.forget(mark{id: id, version: version})
		return nil
	}
	// Another call may have been faster and deleted or replaced the entry.
	switch _, after := s.stream.GetLastMsgForSubject(ctx, s.subject(id)); {
	case errors.Is(after, jetstream.ErrMsgNotFound):
		return nil
	case after == nil && isMissing(err):
		return store.ErrConflict
	}
	return err
}

// Claim implements [store.Store]. The claims of one process take turns.
func (s *Store) Claim(ctx context.Context, now, until time.Time, n int) ([]store.Entry, error) {
	return call(ctx, s, "claim", "", store.CheckClaim(now, until, n), func(ctx context.Context) ([]store.Entry, error) {
		if err := s.takeTurn(ctx); err != nil {
			return nil, err
		}
		defer s.endTurn()
		return s.claim(ctx, now, until, n)
	})
}

func (s *Store) claim(ctx context.Context, now, until time.Time, n int) (claimed []store.Entry, damaged error) {
	for {
		if err := s.readOn(ctx); err != nil {
			return nil, err
		}
		due := s.index.take(milliseconds(now), n)
		if len(due) == 0 {
			return nil, damaged
		}
		size := 0
		for i, m := range due {
			e, err := s.at(ctx, m)
			if err == nil && size > 0 && size+len(e.Body) > store.MaxClaim {
				s.index.putBack(due[i:])
				return claimed, nil
			}
			if err == nil {
				e.Due = until
				e.Version, err = s.publish(ctx, e)
			}
			switch {
			case err == nil:
				e.Due = time.UnixMilli(until.UnixMilli()).UTC()
				claimed, size = append(claimed, e), size+len(e.Body)
			case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
				s.index.forget(m) // the next turn reads the new version
			case errors.Is(err, store.ErrCorrupt):
				damaged = err // the entry stays out of the index until this process ends
			case len(claimed) > 0:
				s.index.putBack(due[i:])
				return claimed, nil
			default:
				s.index.putBack(due[i:])
				return nil, err
			}
		}
		if len(claimed) > 0 {
			return claimed, nil
		}
	}
}

// at returns the entry in the version that the index knows, or ErrNotFound if
// it has changed.
func (s *Store) at(ctx context.Context, m mark) (store.Entry, error) {
	msg, err := s.stream.GetMsg(ctx, m.version)
	if err != nil {
		return store.Entry{}, absent(err)
	}
	return decode(s.prefix, msg)
}

// readOn reads the messages that the index does not know yet, up to the newest.
// The caller must have the turn.
func (s *Store) readOn(ctx context.Context) error {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return err
	}
	for next := s.index.next(); next <= info.State.LastSeq; next = s.index.next() {
		m, err := s.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(s.prefix+">"))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			s.index.reached(info.State.LastSeq) // the last messages are deleted
		case err != nil:
			return err
		default:
			e, _ := decode(s.prefix, m) // the index also contains damaged entries
			s.index.read(mark{id: e.ID, version: m.Sequence, due: milliseconds(e.Due)})
		}
	}
	return nil
}

func (s *Store) takeTurn(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) endTurn() { <-s.turn }

// List implements [store.Store]. List reads up to the newest message, and then
// gets each entry that the index knows.
func (s *Store) List(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		_, err := call(ctx, s, "list", "", nil, func(ctx context.Context) (struct{}, error) {
			if err := s.takeTurn(ctx); err != nil {
				return struct{}{}, err
			}
			defer s.endTurn()
			return struct{}{}, s.readOn(ctx)
		})
		for _, id := range s.index.ids() {
			if err != nil {
				break
			}
			e, failed := call(ctx, s, "list", id, nil, func(ctx context.Context) (store.Entry, error) {
				m, err := s.stream.GetLastMsgForSubject(ctx, s.subject(id))
				if err != nil {
					return store.Entry{}, absent(err)
				}
				return decode(s.prefix, m)
			})
			switch {
			case errors.Is(failed, store.ErrNotFound):
			case failed == nil:
				if !yield(e, nil) {
					return
				}
			case errors.Is(failed, store.ErrCorrupt):
				if !yield(store.Entry{}, failed) {
					return
				}
			default:
				err = failed
			}
		}
		if err != nil {
			yield(store.Entry{}, err)
		}
	}
}

// MaxBody implements [store.Limiter]. MaxBody returns the largest message of
// the server, minus the room for headers.
func (s *Store) MaxBody() int { return min(store.MaxStored, s.conn.maxMessage-headerRoom) }

// Close implements [store.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.conn.close()
	return nil
}

// isMissing reports whether the error means that JetStream has no such message.
func isMissing(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeMessageNotFound || api.Code == 404) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful)
}

// absent returns ErrNotFound for a message that does not exist.
func absent(err error) error {
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return store.ErrNotFound
	}
	return err
}
