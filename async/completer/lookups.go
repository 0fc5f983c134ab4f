package completer

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"
)

// lookups shares the answer about one run between the callers that ask for it at
// the same time. The answer holds all pending activities of the run, and a run
// can have thousands that are looked up at once.
//
// A caller gets no answer to a question that was put before its own, since that
// answer may lack what the caller has just learned. [SharedSince] allows it.
type lookups struct {
	mu     sync.Mutex
	runs   map[run]*lookup
	recent [keptAnswers]answered // the last answers to questions with SharedSince
	oldest int
}

const (
	// keptAnswers and keptFor bound which answers are shared afterwards. The
	// activities of a run are due together, so few runs are looked up at once.
	keptAnswers = 16
	keptFor     = 10 * time.Second
)

// answered is a question that has been answered.
type answered struct {
	run run
	q   *question
}

type sinceKey struct{}

// SharedSince returns a context that allows Describe to share an answer, even one
// that has already come, if its question was put at t or later. So a hub that
// checks many activities of one run makes few calls. Completers other than those
// of this package may ignore it.
func SharedSince(ctx context.Context, t time.Time) context.Context {
	return context.WithValue(ctx, sinceKey{}, t)
}

type run struct{ namespace, workflowID, runID string }

// lookup is the question that is out for a run, and the one that comes after.
type lookup struct{ out, next *question }

type question struct {
	done   chan struct{}
	put    time.Time // zero: not yet
	answer *workflowservice.DescribeWorkflowExecutionResponse
	err    error
	gone   bool // the caller that put it has given up
}

// describe returns the answer about a run. It shares the question with all callers
// that come before the question is put.
func (l *lookups) describe(ctx context.Context, r run, ask func(ctx context.Context) (*workflowservice.DescribeWorkflowExecutionResponse, error)) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	from, shares := ctx.Value(sinceKey{}).(time.Time)
	l.mu.Lock()
	if q := l.shared(r, from); shares && q != nil {
		l.mu.Unlock()
		return l.await(ctx, r, q, ask)
	}
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
		if shares {
			l.keep(r, q)
		}
	}
	return l.await(ctx, r, q, ask)
}

// await waits for the answer to a question. It asks anew if the caller that put
// the question has given up.
func (l *lookups) await(ctx context.Context, r run, q *question, ask func(ctx context.Context) (*workflowservice.DescribeWorkflowExecutionResponse, error)) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
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

// shared returns a question about a run that was put at from or later, or nil.
// It is called with mu held.
func (l *lookups) shared(r run, from time.Time) *question {
	if at := l.runs[r]; at != nil && at.out != nil && !at.out.put.Before(from) {
		return at.out
	}
	now := time.Now()
	for i, a := range l.recent {
		switch {
		case a.q == nil:
		case now.Sub(a.q.put) > keptFor:
			l.recent[i] = answered{}
		case a.run == r && !a.q.put.Before(from):
			return a.q
		}
	}
	return nil
}

// keep keeps an answer for callers that come a moment later. It keeps no error.
func (l *lookups) keep(r run, q *question) {
	if q.err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent[l.oldest] = answered{r, q}
	l.oldest = (l.oldest + 1) % keptAnswers
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
	q.put = time.Now()
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
