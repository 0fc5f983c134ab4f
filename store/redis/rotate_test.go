package redis_test

import (
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/internal/rotation"
)

// TestRotationDuringKills changes the key of a store while one process writes
// and another reseals. Both are killed at random.
func TestRotationDuringKills(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	quiet := func(t *testing.T) {
		server.await("without the connections of the processes", func(c *goredis.Client) (bool, error) {
			list, err := c.ClientList(t.Context()).Result()
			return strings.Count(list, "\n") == 1, err
		})
	}
	rotation.Test{URL: "redis://" + server.addr + "?" + stallInURL, Quiet: quiet}.Run(t)
}
