package bolt

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"go.etcd.io/bbolt"
)

// maxBatch and maxBatchBytes limit the calls and the bytes in one transaction.
// The limits bound the memory of a commit, and the time that the next operation
// waits for it.
const (
	maxBatch      = 512
	maxBatchBytes = 8 << 20
)

// errUnchanged rolls back a transaction that has nothing to commit.
var errUnchanged = errors.New("nothing was written")

// operation is one call's part of a transaction.
type operation struct {
	ctx  context.Context
	size int // about the number of bytes that it writes

	// run checks everything before it writes anything. If run fails, the
	// transaction therefore remains usable for other operations. run may run
	// again after a rollback.
	run func(*txn) error

	wake    chan bool // capacity 1: true to lead, false when err is set
	elected bool      // guarded by Store.mu: true was sent to wake
	err     error
	// standing means that err depends only on earlier transactions, so it stays
	// valid if this transaction fails.
	standing bool
}

// write runs an operation in a transaction that is on the disk when write
// returns nil. If no other call leads, the caller becomes the leader and
// commits for the calls in the queue, including its own. The leader then passes
// the lead to the first call that is left in the queue. So a single caller
// commits at once, many callers share one commit, and a leader makes only one
// commit.
func (s *Store) write(ctx context.Context, size int, run func(*txn) error) error {
	op := &operation{ctx: ctx, size: size, run: run, wake: make(chan bool, 1)}
	s.mu.Lock()
	if err := s.enter(ctx); err != nil {
		s.mu.Unlock()
		return err
	}
	defer s.leave()
	s.queue = append(s.queue, op)
	lead := !s.leading
	s.leading = true
	s.mu.Unlock()

	if !lead {
		select {
		case lead = <-op.wake:
		case <-ctx.Done():
			if s.withdraw(op) {
				return ctx.Err()
			}
			lead = <-op.wake
		}
	}
	if lead {
		s.lead(op)
	}
	return op.err
}

// withdraw takes an operation out of the queue. withdraw returns false if the
// operation is being committed or leads.
func (s *Store) withdraw(op *operation) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, op)
	if i < 0 || op.elected {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	return true
}

// lead commits the front of the queue, whose first operation is leader.
func (s *Store) lead(leader *operation) {
	// Gosched lets the callers of the last commit run, so that they can queue.
	// Without this call of Gosched, two writers alternate in commits of one
	// operation.
	runtime.Gosched()
	batch := s.take()
	s.commit(batch)
	for _, op := range batch {
		if op != leader {
			op.wake <- false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		s.leading = false
		return
	}
	s.queue[0].elected = true
	s.queue[0].wake <- true
}

func (s *Store) take() []*operation {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := 0, 0
	for n < len(s.queue) && n < maxBatch && size < maxBatchBytes {
		size += s.queue[n].size
		n++
	}
	batch := slices.Clone(s.queue[:n])
	s.queue = slices.Delete(s.queue, 0, n)
	return batch
}

// commit commits a batch and sets the answer of each operation.
func (s *Store) commit(batch []*operation) {
	live := make([]*operation, 0, len(batch))
	for _, op := range batch {
		if op.err = op.ctx.Err(); op.err == nil {
			live = append(live, op)
		}
	}
	if len(live) == 0 {
		return
	}
	if !s.apply(live) {
		return
	}
	// A page that one operation needs is damaged. Nothing was written, so each
	// operation runs in its own transaction, and only those that read the page fail.
	for i := range live {
		s.apply(live[i : i+1])
	}
}

// apply runs operations in one transaction and commits it. apply reports
// whether the caller must run them one by one; otherwise each operation has its
// answer.
func (s *Store) apply(batch []*operation) (again bool) {
	half := false // an operation failed after its first write
	err, fault := s.transact(func(t *txn) error {
		for _, op := range batch {
			before := t.writes
			if op.err = op.run(t); op.err != nil && t.writes > before {
				half = true
				return op.err
			}
			op.standing = t.writes == 0
		}
		if t.writes == 0 {
			return errUnchanged
		}
		return nil
	})
	fault = fault || half
	switch {
	case err == nil || errors.Is(err, errUnchanged):
		return false
	case fault && len(batch) > 1:
		return true
	}
	for _, op := range batch {
		if fault || !op.standing {
			op.err = err
		}
	}
	return false
}

// transact runs fn in a write transaction. transact reports whether there was a
// fault. After a fault, nothing was written, because bbolt reads the pages
// before it writes.
func (s *Store) transact(fn func(*txn) error) (err error, fault bool) {
	if err := s.wrecked(); err != nil {
		return err, false
	}
	var tx *bbolt.Tx
	err, escaped := guard(s.path, func() error {
		return s.update(func(btx *bbolt.Tx) error {
			tx = btx
			var err error
			// The fault is recovered inside, so that bbolt rolls back as after
			// any error.
			err, fault = guard(s.path, func() error {
				t, err := newTxn(s.path, tx)
				if err != nil {
					return err
				}
				return fn(t)
			})
			return err
		})
	})
	// A transaction that has ended has no ID. If the transaction still has an
	// ID, bbolt met the damage again during the rollback, or the transaction
	// never began. In both cases bbolt's lock for writers remains held.
	if escaped && (tx == nil || tx.ID() >= 0) {
		s.setWrecked(err)
	}
	return err, fault || escaped
}
