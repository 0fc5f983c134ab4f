package redis

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// each issues n commands with do, and returns them with their errors. On a
// cluster, each uses one pipeline for each node, at the same time. If a node
// redirects a command (MOVED or ASK), each issues the command again through the
// cluster client, which follows redirects.
//
// each does not use the cluster client's pipeline. With that pipeline, go-redis
// 9.23 can run a command on two nodes, if a node redirects the command while the
// pipeline's first command is retried. Nodes redirect commands while slots move.
func each[C redis.Cmder](ctx context.Context, s *Store, n int, key func(i int) string, do func(c redis.Cmdable, i int) C) []C {
	cmds := make([]C, n)
	run := func(node redis.UniversalClient, indexes []int) {
		pipe := node.Pipeline()
		for _, i := range indexes {
			cmds[i] = do(pipe, i)
		}
		pipe.Exec(ctx) // each command has its own error
	}
	byNode := make(map[redis.UniversalClient][]int)
	for i := range n {
		node := s.client
		if s.cluster != nil {
			master, err := s.cluster.MasterForKey(ctx, key(i))
			if err != nil {
				cmds[i] = do(s.client, i) // the command gets the same error
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
		// After a failover, the keys are on another node.
		s.cluster.ReloadState(ctx)
	}
	return cmds
}
