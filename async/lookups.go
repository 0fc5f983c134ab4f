package async

import (
	"context"
	"sync"

	"go.temporal.io/api/workflowservice/v1"
)

// lookups has those who ask for one run at the same time share the answer: it
// holds all pending activities of the run, and a run can have thousands that
// are looked up at once.
//
// Nobody gets an answer to a question that was put before theirs: what came
// before may not know yet of what they have just been told.
type lookups struct {
	mu   sync.Mutex
	runs map[run]*lookup
}

type run struct{ namespace, workflowID, runID string }

// lookup is the question that is out for a run, and the one that comes after.
type lookup struct{ out, next *question }

type question struct {
	done   chan struct{}
	answer *workflowservice.DescribeWorkflowExecutionResponse
	err    error
	gone   bool // whoever put it has given up
}

// describe asks for a run, with everybody who asks before it is put.
func (l *lookups) describe(ctx context.Context, r run, ask func(ctx context.Context) (*workflowservice.DescribeWorkflowExecutionResponse, error)) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	l.mu.Lock()
	if l.runs == nil {
		l.runs = make(map[run]*lookup)
	}
	at := l.runs[r]
	if at == nil {
		at = new(lookup)
		l.runs[r] = at
	}
	q, before := at.next, at.out
	leads := q == nil
	if leads {
		q = &question{done: make(chan struct{})}
		at.next = q
	}
	l.mu.Unlock()
	if leads {
		l.put(ctx, r, at, q, before, ask)
	}
	select {
	case <-q.done:
		if q.gone && ctx.Err() == nil {
			return l.describe(ctx, r, ask)
		}
		return q.answer, q.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// put puts a question once the one before it is answered.
func (l *lookups) put(ctx context.Context, r run, at *lookup, q, before *question, ask func(ctx context.Context) (*workflowservice.DescribeWorkflowExecutionResponse, error)) {
	if before != nil {
		select {
		case <-before.done:
		case <-ctx.Done():
		}
	}
	l.mu.Lock()
	at.out, at.next = q, nil
	l.mu.Unlock()
	q.answer, q.err = ask(ctx)
	q.gone = q.err != nil && ctx.Err() != nil
	close(q.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.out == q && at.next == nil {
		delete(l.runs, r)
	}
}
