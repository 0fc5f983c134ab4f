package completer

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"
)

// lookups shares the answer about one run between callers that ask about the
// run at the same time. The answer contains all pending activities of the run.
// Hubs may look up thousands of activities of a run at once.
//
// By default, a caller gets no answer to a question that was sent before its
// own call. An answer to an older question may lack a change that the caller
// already knows. [SharedSince] allows an older answer.
type lookups struct {
	mu     sync.Mutex
	runs   map[run]*lookup
	recent [keptAnswers]answered // the last answers to questions with SharedSince
	oldest int
}

const (
	// keptAnswers and keptFor limit which answers are shared after they have
	// arrived. The activities of a run are due together, so few runs are looked
	// up at once.
	keptAnswers = 16
	keptFor     = 10 * time.Second
)

// answered is a question with its answer.
type answered struct {
	run run
	q   *question
}

type sinceKey struct{}

// SharedSince returns a context that allows Describe to share the answer to an
// earlier question, if that question was sent at t or later. A hub that checks
// many activities of one run thus makes few calls. Completers of other packages
// may ignore the context.
func SharedSince(ctx context.Context, t time.Time) context.Context {
	return context.WithValue(ctx, sinceKey{}, t)
}

type run struct{ namespace, workflowID, runID string }

// lookup holds the current question about a run, and the next one.
type lookup struct{ out, next *question }

type question struct {
	done   chan struct{}
	put    time.Time // zero: not yet
	answer *workflowservice.DescribeWorkflowExecutionResponse
	err    error
	gone   bool // the caller that sent the question has given up
}

// describe returns the answer about a run. describe shares the question with
// all callers that come before the question is sent.
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

// await waits for the answer to a question. await asks again if the caller that
// sent the question has given up.
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

// shared returns a question about a run that was sent at from or later, or nil.
// The caller of shared holds mu.
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

// keep keeps an answer for callers that come a moment later. keep does not keep
// an error.
func (l *lookups) keep(r run, q *question) {
	if q.err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recent[l.oldest] = answered{r, q}
	l.oldest = (l.oldest + 1) % keptAnswers
}

// put sends a question after the previous one is answered.
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
