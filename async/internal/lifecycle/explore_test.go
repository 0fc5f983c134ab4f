package lifecycle

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// The exploration plays every sequence of events, up to a depth. The events
// concern two attempts, a result and a failure, one reset and one lost reply.
// At most two operations run at a time. Each operation advances by one step, or
// its process dies, in every order. A step is a read or a write of the store,
// or a call of Temporal. This file models the environment of the rules, and
// explore_steps_test.go has the steps.

const (
	maxAttempts = 2
	maxOps      = 2
)

// universe is the complete state: the stored record, Temporal's activity, and
// the running operations.
type universe struct {
	rec     *record.Record // nil: none
	version int
	ops     []op

	num, started, begun  int32 // num is the number of the running attempt, started is its position among all attempts (0 if none runs), and begun is how many have begun
	lastMark, endMark    string
	closed, buffered     bool
	resets, lost, offers int
	votes                int

	asked   []string // the secrets that functions got
	ran     []int32  // the attempts whose function has run
	accepts map[string]int
	settled map[string]string // mark by secret
	trace   string
}

// op is one operation of a process.
type op struct {
	kind    byte // 's' is Start, 'a' an answer, 'w' a running hub
	stage   string
	attempt int32
	num     int32
	secret  string
	voter   string
	out     record.Kind
	snap    *record.Record
	version int
	said    Words
	first   bool
	verdict Verdict
}

// voters are the people who vote on the result. Both votes of a request
// together decide.
var voters = []string{"ada", "bob"}

// vote makes an operation add its vote, and settle if it is the second vote.
func (u *universe) vote(i int, p Policy, b breaks) {
	o := &u.ops[i]
	n := &record.Note{At: 1, Kind: "vote", By: o.voter}
	if o.snap == nil || string(o.snap.Secret) != o.secret || Decided(o.snap, n, true) != Accept {
		u.drop(i)
		return
	}
	AddNote(o.snap, n, true)
	if len(o.snap.Notes) == len(voters) {
		p.Settle(o.snap, &record.Outcome{Kind: o.out, Mark: "v" + o.secret, Fingerprint: []byte("votes")})
		if b.noVote {
			o.snap.Notes = o.snap.Notes[:len(voters)-1]
		}
	}
	o.stage, o.first = "save", true
}

// checkNotes checks the change of a write to the journal.
func checkNotes(before, after *record.Record) string {
	switch {
	case before != nil && !bytes.Equal(before.Secret, after.Secret) && len(after.Notes) > 0:
		return "journal: a round begins with notes of another"
	case before != nil && bytes.Equal(before.Secret, after.Secret) && len(after.Notes) < len(before.Notes):
		return "journal: a note went away within its round"
	case after.State == record.Settled && string(after.Outcome.Fingerprint) == "votes" && len(after.Notes) != len(voters):
		return "journal: a round was decided without its notes"
	}
	return ""
}

// revived is not a violation but a documented gap. A reset has given the number
// of an attempt to another attempt, while a call still carries the token of the
// first one. The exploration does not follow such a sequence further.
const revived = "a reset revived the token of a call under way"

// breaks are ways to make the rules wrong.
type breaks struct {
	afterNotFound func(r *record.Record, w Word) (Verdict, bool)
	word          func(w Word) Word
	arriving      func(w *Word)
	anyVersion    bool // the hand-off overwrites any version of the entry
	anyVote       bool // a vote overwrites any version of the entry
	noVote        bool // the deciding vote is not written
}

func (u *universe) clone() *universe {
	c := *u
	if u.rec != nil {
		c.rec = proto.CloneOf(u.rec)
	}
	c.ops = slices.Clone(u.ops)
	for i := range c.ops {
		if c.ops[i].snap != nil {
			c.ops[i].snap = proto.CloneOf(c.ops[i].snap)
		}
	}
	c.asked, c.ran = slices.Clone(u.asked), slices.Clone(u.ran)
	c.accepts, c.settled = make(map[string]int), make(map[string]string)
	maps.Copy(c.accepts, u.accepts)
	maps.Copy(c.settled, u.settled)
	return &c
}

// key returns a hash of the universe without its history: two sequences of
// events that lead to the same state have the same key.
func (u *universe) key() [16]byte {
	var b bytes.Buffer
	write := func(r *record.Record) {
		if r == nil {
			b.WriteString("-;")
			return
		}
		body, _ := proto.MarshalOptions{Deterministic: true}.Marshal(r)
		fmt.Fprintf(&b, "%d:", len(body))
		b.Write(body)
	}
	write(u.rec)
	ops := make([]string, len(u.ops))
	for i, o := range u.ops {
		body := []byte("-")
		if o.snap != nil {
			body, _ = proto.MarshalOptions{Deterministic: true}.Marshal(o.snap)
		}
		ops[i] = fmt.Sprint(string(o.kind), o.stage, o.attempt, o.num, o.secret, o.voter, o.out, o.version == u.version, o.first, o.verdict, o.said.Arriving, string(body))
	}
	slices.Sort(ops)
	fmt.Fprint(&b, ops, u.num, u.started, u.begun, u.lastMark, u.endMark, u.closed, u.buffered, u.resets, u.lost, u.offers, u.votes, u.asked, u.ran, u.accepts)
	sum := sha256.Sum256(b.Bytes())
	return [16]byte(sum[:16])
}

func (u *universe) policy() Policy {
	p := testPolicy()
	rounds := 0
	if u.rec != nil {
		rounds = len(u.rec.Rounds)
	}
	p.NewSecret = func() []byte { return fmt.Appendf(nil, "s%d", rounds+2) }
	return p
}

// word returns Temporal's answer.
func (u *universe) word(mark string) Word {
	w := Word{Pending: !u.closed, LastMark: u.lastMark}
	if u.closed {
		w.Buffered, w.End, w.LastMark = u.buffered, record.EndTimedOut, ""
		if mark != "" && (u.endMark == mark || u.lastMark == mark) {
			w.End = record.EndDelivered
		} else if u.endMark != "" {
			w.End = record.EndOther
		}
		return w
	}
	if u.started > 0 {
		w.Running, w.Started = true, startedOf(u.started)
	}
	return w
}

func startedOf(attempt int32) int64 { return int64(attempt) * 10 * sec }

// take makes Temporal accept an outcome, or answer NotFound.
func (u *universe) take(r *record.Record, byID bool) (ok bool, wrong string) {
	failure := r.Outcome.Kind == record.Failure
	if u.closed || (failure || !byID) && u.started == 0 || !byID && int32(r.TaskToken[0]) != u.num {
		return false, ""
	}
	if !byID && startedOf(u.started) != r.Started {
		return true, revived
	}
	mark := r.Outcome.Mark
	if u.accepts[mark]++; u.accepts[mark] > 1 {
		wrong = "G2: an outcome was taken twice"
	}
	if byID && failure && startedOf(u.started) != r.Started {
		wrong = "G2: a failure by ID ended another attempt"
	}
	if failure {
		u.started, u.lastMark = 0, mark
		u.num++
	} else {
		u.closed, u.buffered, u.endMark, u.started = true, true, mark, 0
	}
	return true, wrong
}

// save writes the operation's record if no other operation has written since it
// was read.
func (u *universe) save(o *op) (ok bool, wrong string) {
	if o.version != u.version {
		return false, ""
	}
	before, after := u.rec, o.snap
	if after.Delivery != nil { // times and counts would distinguish states that are equal otherwise
		after.Delivery.Tries, after.Delivery.Next = min(after.Delivery.Tries, 1), 0
	}
	after.Questions, after.NextQuestion, after.NextNotice, after.Ended = 0, 0, 0, 0
	u.rec = proto.CloneOf(after)
	u.version++
	o.version = u.version
	return true, u.check(before, after)
}

// check compares a write with the record before it.
func (u *universe) check(before, after *record.Record) string {
	if wrong := checkNotes(before, after); wrong != "" {
		return wrong
	}
	secret := string(after.Secret)
	if after.State == record.Settled {
		mark := after.Outcome.Mark
		if old, is := u.settled[secret]; is && old != mark {
			return "G2: two outcomes settled for one round"
		}
		u.settled[secret] = mark
	}
	if after.State == record.Closed && after.End == record.EndDelivered && u.accepts[after.Outcome.GetMark()] == 0 {
		return "G1: an outcome is taken for delivered that Temporal never took"
	}
	if before == nil || before.State != record.Settled || after.State == record.Settled {
		if before != nil && before.State == record.Waiting && after.State == record.Closed && !noticed(after, before, record.NoticeOver) {
			return "G6: an entry closed without a notice"
		}
		if before != nil && before.State == record.Waiting && after.State == record.Waiting && !bytes.Equal(before.Secret, after.Secret) {
			return "G4: the callback ID changed within a round"
		}
		return ""
	}
	mark := before.Outcome.Mark
	// A failure that ended the attempt before the last one leaves no trace, so
	// the activity seems to have ended without it.
	switch over, delivered := noticed(after, before, record.NoticeOver), noticed(after, before, record.NoticeDelivered); {
	case !over && !delivered:
		return "G1, G6: a settled outcome went without a notice"
	case delivered && u.accepts[mark] == 0:
		return "G1: a hook gets Delivered for what Temporal never took"
	case over && after.State == record.Closed && after.End != record.EndUnknown && u.accepts[mark] > 0 && (u.endMark == mark || u.lastMark == mark):
		return "G1: an outcome is reported as lost that Temporal has taken"
	case over && after.State == record.Closed && !u.closed:
		return "G1: an entry was closed as over, and its activity is pending"
	}
	return ""
}

func noticed(r, about *record.Record, kind record.NoticeKind) bool {
	return slices.ContainsFunc(r.Notices, func(n *record.Notice) bool { return n.Kind == kind && bytes.Equal(n.Secret, about.Secret) })
}

// explored is the result of an exploration.
type explored struct {
	states, depth int
	gaps          int // number of sequences that end in a documented gap
	wrong         string
}

// explore plays all sequences, breadth first. explore ends when it finds a
// violation, has seen all states, or reaches the limit of states or time.
func explore(b breaks, states int, long time.Duration) explored {
	until := time.Now().Add(long)
	first := &universe{num: 1, accepts: make(map[string]int), settled: make(map[string]string)}
	seen := map[[16]byte]bool{first.key(): true}
	gaps := 0
	for depth, level := 0, []*universe{first}; ; depth++ {
		var following []*universe
		for _, u := range level {
			for _, s := range u.next(b) {
				if s.wrong == revived {
					gaps++
					continue
				}
				if s.wrong != "" {
					return explored{len(seen), depth + 1, gaps, s.wrong + " after:" + s.u.trace}
				}
				if k := s.u.key(); !seen[k] {
					seen[k] = true
					following = append(following, s.u)
				}
			}
			if len(seen) > states || time.Now().After(until) {
				return explored{len(seen), depth, gaps, ""} // this level is not complete
			}
		}
		if len(following) == 0 {
			return explored{len(seen), depth, gaps, ""}
		}
		level = following
	}
}

// TestExplore plays all sequences of events up to a depth, and checks the
// guarantees after each step. With LATCHKEY_SOAK, the test continues for 60 s.
func TestExplore(t *testing.T) {
	states, long := 60_000, time.Minute
	switch {
	case os.Getenv("LATCHKEY_SOAK") != "":
		states = 100_000_000
	case raceOn: // the race detector makes this ten times slower, and there are no goroutines
		states = 6_000
	}
	e := explore(breaks{}, states, long)
	if e.wrong != "" {
		t.Errorf("after %d states: %s", e.states, e.wrong)
	}
	t.Logf("%d distinct states, all sequences of %d events; %d end where %s", e.states, e.depth, e.gaps, revived)
	if e.depth < 6 {
		t.Errorf("the exploration has reached depth %d only", e.depth)
	}
}

// TestExploreFindsBrokenRules shows that the exploration can fail.
func TestExploreFindsBrokenRules(t *testing.T) {
	for name, c := range map[string]struct {
		by   string
		deep bool // not found among the first 10,000 states
		b    breaks
	}{
		"a failure by ID after any NotFound": {"G2", false, breaks{afterNotFound: func(r *record.Record, w Word) (Verdict, bool) {
			if w.Pending {
				return Verdict{}, true
			}
			return Ended(w), false
		}}},
		"a buffered end read as over": {"G1", true, breaks{word: func(w Word) Word {
			if w.Buffered {
				w.Buffered, w.End = false, record.EndOther
			}
			return w
		}}},
		"the mark of the last failure not looked at": {"G2", true, breaks{arriving: func(w *Word) { w.LastMark = "" }}},
		"a vote written over what is there":          {"G1", false, breaks{anyVote: true}},
		"a round decided without its last vote":      {"journal", false, breaks{noVote: true}},
		"the hand-off written over what is there":    {"G1", false, breaks{anyVersion: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.deep && raceOn {
				t.Skip("without the race detector only: it takes minutes with it")
			}
			e := explore(c.b, 3_000_000, 5*time.Minute)
			if !strings.HasPrefix(e.wrong, c.by) {
				t.Errorf("not found by %s in %d states of up to %d events: %s", c.by, e.states, e.depth, e.wrong)
			}
			t.Logf("found after %d states, %d events: %s", e.states, e.depth, e.wrong)
		})
	}
}
