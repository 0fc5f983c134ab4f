//go:build unix

package bolt

import (
	"testing"

	"github.com/latchkey-go/latchkey/internal/rotation"
)

// TestRotationDuringKills changes the key of a file while one process writes
// and reseals. The process is killed at random, and another one opens the file.
func TestRotationDuringKills(t *testing.T) {
	t.Parallel()
	rotation.Test{URL: "bolt://" + newPath(t), Alone: true}.Run(t)
}
