package async

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// counter is an Observer that only counts. A counter does not change the
// context, keeps nothing for a round, does not block, and needs few fields of
// an entry. Hubs call a counter without the cost of a full Observer: contexts,
// and copies of Info and of Carry.
type counter interface {
	count(c count, class string, n int, lag time.Duration)
}

// count is an operation that a counter counts when it ends.
type count struct {
	op     Op // "" if there is no operation, or if it has ended
	detail string
	begun  time.Time
	about  subject
}

// subject contains the fields of an entry that a counter needs, as in Info.
type subject struct {
	activityType, resultType string
	heartbeatTimeout         time.Duration
	asked, settled           time.Time
}

func subjectOf(r *record.Record) subject {
	return subject{
		activityType: r.GetActivityType(), resultType: r.GetResultType(), heartbeatTimeout: time.Duration(r.GetHeartbeatTimeout()),
		asked: fromNano(r.GetRoundBegan()), settled: fromNano(r.GetOutcome().GetSettled()),
	}
}

func subjectOfInfo(i Info) subject {
	return subject{i.ActivityType, i.ResultType, i.HeartbeatTimeout, i.Asked, i.Settled}
}

// counting begins a counted operation.
func (l *lookout) counting(op Op, detail string, r *record.Record) observation {
	o := observation{of: l, counted: count{op: op, detail: detail, begun: time.Now()}}
	if r != nil {
		o.counted.about = subjectOf(r)
	}
	return o
}

// count ends a counted operation. The counter calls the application's metrics
// sink, which may panic.
func (o *observation) count(class string, n int, lag time.Duration) {
	c := o.counted
	o.counted.op = ""
	if err := guardedCount(o.of.counter, c, class, n, lag); err != nil {
		o.of.complain(context.Background(), c.op, err)
	}
}
