package redis

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// each issues n commands by do, on a cluster one pipeline for each node, all
// beside each other, and returns them with their errors. Those that a node
// refers to another one are issued again on their own, which follows.
//
// A pipeline of the cluster's client would do for that if it didn't, in
// go-redis 9.23, run a command on two nodes at once where it is referred to
// another one and the first of its pipeline is to be tried again: as happens
// while slots move.
func each[C redis.Cmder](ctx context.Context, s *Store, n int, key func(i int) string, do func(c redis.Cmdable, i int) C) []C {
	cmds := make([]C, n)
	run := func(node redis.UniversalClient, indexes []int) {
		pipe := node.Pipeline()
		for _, i := range indexes {
			cmds[i] = do(pipe, i)
		}
		pipe.Exec(ctx) // each command has its error
	}
	byNode := make(map[redis.UniversalClient][]int)
	for i := range n {
		node := s.client
		if s.cluster != nil {
			master, err := s.cluster.MasterForKey(ctx, key(i))
			if err != nil {
				cmds[i] = do(s.client, i) // meets the same error
				continue
			}
			node = master
		}
		byNode[node] = append(byNode[node], i)
	}
	var nodes sync.WaitGroup
	for node, indexes := range byNode {
		if len(byNode) == 1 {
			run(node, indexes)
			break
		}
		nodes.Go(func() { run(node, indexes) })
	}
	nodes.Wait()
	if s.cluster == nil {
		return cmds
	}
	failed := false
	for i, cmd := range cmds {
		_, moved := redis.IsMovedError(cmd.Err())
		_, ask := redis.IsAskError(cmd.Err())
		if moved || ask {
			cmds[i] = do(s.client, i)
		}
		failed = failed || cmds[i].Err() != nil && !isReply(cmds[i].Err())
	}
	if failed {
		// After a fail-over the keys are elsewhere.
		s.cluster.ReloadState(ctx)
	}
	return cmds
}
