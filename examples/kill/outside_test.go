//go:build unix

package kill

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// outside is the external system that gets the requests and answers them.
// outside never dies, knows which answers were acknowledged, and repeats the
// others.
type outside struct {
	t       *testing.T
	changed chan struct{}

	mu         sync.Mutex
	random     *rand.Rand
	activities map[int]*asking
	current    *life
	repeats    int
}

// asking is the external system's knowledge about one activity. The number of
// the activity decides its answer; see offerFor.
type asking struct {
	ids      []string // of its rounds
	failed   bool     // the first round's failure was acknowledged
	offered  []string
	accepted []string // acknowledged results
	standing string   // the result that must be final, because its rival was refused
	refused  bool     // a rival of an acknowledged result was refused
}

func newOutside(t *testing.T, seed uint64) *outside {
	return &outside{t: t, changed: make(chan struct{}, 1), random: rand.New(rand.NewPCG(seed, 1)), activities: make(map[int]*asking)}
}

const (
	failsFirst = 1 // the activity's number modulo 4 for these: the first round fails
	hasRivals  = 2 // each try has one of two results
	challenged = 3 // an acknowledged result is followed by a different one, which must be refused
)

// offerFor returns the answer that is due now, or false if none is.
func (o *outside) offerFor(n int, a *asking) (offer, bool) {
	kind, round, value := "complete", len(a.ids)-1, fmt.Sprintf("answer-%d", n)
	switch n % 4 {
	case failsFirst:
		if !a.failed {
			kind, round, value = "fail", 0, fmt.Sprintf("failure-%d", n)
		} else if len(a.ids) < 2 {
			return offer{}, false
		}
	case hasRivals:
		if len(a.accepted) == 0 && o.random.IntN(2) == 0 {
			value = fmt.Sprintf("rival-%d", n)
		}
	case challenged:
		if len(a.accepted) > 0 && !a.refused {
			return offer{n: n, round: round, id: a.ids[round], kind: kind, value: fmt.Sprintf("rival-%d", n)}, true
		}
	}
	if len(a.accepted) > 0 || a.standing != "" {
		return offer{}, false
	}
	return offer{n: n, round: round, id: a.ids[round], kind: kind, value: value}, true
}

// life is one run of the process that accepts callbacks.
type life struct {
	in   io.WriteCloser
	work chan offer
	sent map[int]bool // the answers to which it has not responded yet
	over chan struct{}
}

// serve makes a new process answer all unanswered requests.
func (o *outside) serve(in io.WriteCloser) *life {
	l := &life{in: in, work: make(chan offer, 4096), sent: make(map[int]bool), over: make(chan struct{})}
	go func() {
		defer func() { _ = in.Close() }()
		for {
			select {
			case order := <-l.work:
				// An error means that the process is dead, and the next process
				// gets the answer.
				if _, err := fmt.Fprintf(in, "%d %d %s %s %s\n", order.n, order.round, order.id, order.kind, order.value); err != nil {
					<-l.over
					return
				}
			case <-l.over:
				return
			}
		}
	}()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current = l
	for n := range o.activities {
		o.order(n)
	}
	return l
}

func (l *life) end() { close(l.over) }

// order makes the current process answer if an answer is due.
func (o *outside) order(n int) {
	l := o.current
	if l == nil || l.sent[n] {
		return
	}
	a := o.activities[n]
	next, ok := o.offerFor(n, a)
	if !ok {
		return
	}
	if next.kind == "complete" {
		if slices.Contains(a.offered, next.value) {
			o.repeats++
		} else {
			a.offered = append(a.offered, next.value)
		}
	}
	l.sent[n] = true
	l.work <- next // each activity has one order at a time, so there is room
}

// heard handles a line of a process's output.
func (o *outside) heard(line string, from *life) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() {
		select {
		case o.changed <- struct{}{}:
		default:
		}
	}()
	var n, round int
	var id, value, verdict string
	if _, err := fmt.Sscanf(line, "asked %d %s", &n, &id); err == nil {
		if o.activities[n] == nil {
			o.activities[n] = new(asking)
		}
		if a := o.activities[n]; !slices.Contains(a.ids, id) {
			a.ids = append(a.ids, id)
		}
		o.order(n)
		return
	}
	if _, err := fmt.Sscanf(line, "answered %d %d %s %s", &n, &round, &value, &verdict); err != nil {
		o.t.Errorf("a process said what can't be read: %d bytes", len(line))
		return
	}
	delete(from.sent, n)
	a := o.activities[n]
	switch failure := n%4 == failsFirst && round == 0; {
	case verdict == "again":
	case verdict == "accepted" && failure:
		a.failed = true
	case verdict == "accepted":
		a.accepted = append(a.accepted, value)
	case verdict == "settled" && n%4 == hasRivals && len(a.offered) == 2:
		a.standing = a.offered[1-slices.Index(a.offered, value)]
	case verdict == "settled" && n%4 == challenged && slices.Contains(a.accepted, fmt.Sprintf("answer-%d", n)):
		a.refused = true
	default:
		o.t.Errorf("activity %d, round %d: %s was %s, after %v was offered and %v accepted", n, round, value, verdict, a.offered, a.accepted)
	}
	if from == o.current {
		o.order(n)
	}
}

// awaitWord waits until a process prints a line, but no longer than d. After a
// line, a process that accepts callbacks may have a delivery to record.
func (o *outside) awaitWord(d time.Duration) {
	select {
	case <-o.changed: // said before
	default:
	}
	select {
	case <-o.changed:
	case <-time.After(d):
	}
}

// complete reports whether each activity has a final answer.
func (o *outside) complete(activities int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.answered() == activities
}

func (o *outside) answered() (n int) {
	for i, a := range o.activities {
		if (len(a.accepted) > 0 || a.standing != "") && (i%4 != challenged || a.refused) {
			n++
		}
	}
	return n
}

func (o *outside) progress() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%d asked, %d answered, %d answers repeated", len(o.activities), o.answered(), o.repeats)
}

// check compares the result of a workflow with the acknowledged answers.
func (o *outside) check(n int, got string) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	a := o.activities[n]
	for _, accepted := range a.accepted {
		if accepted != got {
			o.t.Errorf("activity %d: %s was acknowledged, and the workflow read %s", n, accepted, got)
		}
	}
	if len(a.accepted) == 0 && a.standing != got {
		o.t.Errorf("activity %d: %s stands, and the workflow read %s", n, a.standing, got)
	}
	rounds := 1
	if n%4 == failsFirst {
		rounds = 2
	}
	if len(a.ids) != rounds {
		o.t.Errorf("activity %d: %d rounds, want %d: a failure reached another attempt than its own, or none", n, len(a.ids), rounds)
	}
}
