package async

import (
	"errors"
	"sync/atomic"
	"time"

	"go.temporal.io/api/serviceerror"
)

// restAfter is for how long a hub claims nothing after the server has said that
// it is out of resources, beyond what the SDK's own retries wait.
const restAfter = time.Second

// exhaustion has a hub rest while the server asks for it. What is due stays in
// the store meanwhile.
type exhaustion struct{ until atomic.Int64 }

func (x *exhaustion) note(err error, now time.Time) {
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*serviceerror.ResourceExhausted](err); ok {
		x.until.Store(now.Add(restAfter).UnixNano())
	}
}

// left is for how long the hub has still to rest.
func (x *exhaustion) left(now time.Time) time.Duration {
	return time.Duration(x.until.Load() - now.UnixNano())
}
