package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// movePatience is how long a script is retried while a cluster refuses it because
// the slot of its keys is moving to another node.
const movePatience = 10 * time.Second

// run runs a script on the node that has its keys.
func (s *Store) run(ctx context.Context, sc *redis.Script, ack Ack, keys []string, args ...any) (reply any, err error) {
	err = s.whileMoving(ctx, func() (err error) {
		if ack == (Ack{}) {
			reply, err = sc.Run(ctx, s.client, keys, args...).Result()
		} else {
			reply, err = s.runAcked(ctx, sc, ack, keys, args...)
		}
		return err
	})
	return reply, err
}

// whileMoving calls do. On a cluster, whileMoving calls do again while the
// error means that a slot is moving. A refused script has changed nothing. If
// the context ends meanwhile, the error names the moving slot.
func (s *Store) whileMoving(ctx context.Context, do func() error) error {
	begun := time.Now()
	var moving error
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		err := do()
		switch {
		case err != nil && moving != nil && ctx.Err() != nil:
			return fmt.Errorf("%w: %w", err, moving)
		case err == nil || s.cluster == nil || !isMoving(err) || time.Since(begun) > movePatience:
			return err
		}
		moving = err
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func isMoving(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask || redis.IsTryAgainError(err)
}

// runAcked runs a script. On the same connection, runAcked then runs the
// command that waits for acknowledgements, because Redis counts the writes of a
// connection.
func (s *Store) runAcked(ctx context.Context, sc *redis.Script, ack Ack, keys []string, args ...any) (any, error) {
	node := s.client
	if s.cluster != nil {
		master, err := s.cluster.MasterForKey(ctx, keys[0])
		if err != nil {
			return nil, err
		}
		node = master
	}
	reply, waited, err := ack.pipeline(ctx, node, sc.EvalSha, keys, args...)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, waited, err = ack.pipeline(ctx, node, sc.Eval, keys, args...)
	}
	if err != nil {
		if s.cluster != nil {
			// The node's client does not follow redirections.
			s.cluster.ReloadState(ctx)
		}
		return nil, err
	}
	if reply != "OK" {
		return reply, nil // nothing was written
	}
	return reply, ack.check(waited)
}

type evalFunc func(ctx context.Context, c redis.Scripter, keys []string, args ...any) *redis.Cmd

func (a Ack) pipeline(ctx context.Context, node redis.UniversalClient, eval evalFunc, keys []string, args ...any) (any, *redis.Cmd, error) {
	pipe := node.Pipeline()
	script := eval(ctx, pipe, keys, args...)
	waited := pipe.Do(ctx, a.command()...)
	if _, err := pipe.Exec(ctx); err != nil && script.Err() == nil && waited.Err() == nil {
		return nil, nil, err
	}
	reply, err := script.Result()
	return reply, waited, err
}

func (a Ack) command() []any {
	if a.AOF {
		return []any{"waitaof", 1, a.Replicas, a.Timeout.Milliseconds()}
	}
	return []any{"wait", a.Replicas, a.Timeout.Milliseconds()}
}

// check returns ErrAck unless the reply shows all acknowledgements.
func (a Ack) check(waited *redis.Cmd) error {
	local, replicas := int64(1), int64(0)
	var err error
	if a.AOF {
		var got []int64
		if got, err = waited.Int64Slice(); err == nil && len(got) != 2 {
			err = fmt.Errorf("a reply of %d numbers, not 2", len(got))
		}
		if err == nil {
			local, replicas = got[0], got[1]
		}
	} else {
		replicas, err = waited.Int64()
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrAck, err)
	case local < 1:
		return fmt.Errorf("%w: the append-only file was not on disk within %v", ErrAck, a.Timeout)
	case replicas < int64(a.Replicas):
		return fmt.Errorf("%w: %d of %d replicas within %v", ErrAck, replicas, a.Replicas, a.Timeout)
	}
	return nil
}
