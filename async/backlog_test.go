package async_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/async"
)

// Recalled entries get half of the room. If there is any room, they get at
// least one place, and never more places than there are.
func TestRoomForRecalledEntries(t *testing.T) {
	for room, want := range map[int]int{0: 0, 1: 1, 2: 1, 3: 2, 8: 4, 64: 32} {
		if got := async.RecalledFirst(room); got != want {
			t.Errorf("of %d places %d are for recalled entries, want %d", room, got, want)
		}
	}
}
