package async

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/lifecycle"
	"github.com/latchkey-go/latchkey/async/internal/record"
)

// simRows are the rows of the state table in docs/internals.md, in the same
// order. A test run with at least 20,000 histories fails if it never takes one
// of the rows.
var simRows = []string{
	"none: Start asks",
	"none, in the run after a workflow reset: Start asks again",
	"Waiting, later Start: same round, asks",
	"Waiting, later Start, Once and known: not asked",
	"Waiting, same Start, hand-off not recorded: asks",
	"Waiting, same Start, asked: nothing",
	"Waiting, function fails: the worker gets it",
	"Waiting, function panics: the panic goes on",
	"any, earlier Start: nothing",
	"Closed, same Start: nothing",
	"none: early result by key",
	"none: early failure by key: ErrNotFound",
	"Settled without target, Start: delivered",
	"Settled without target, Start of another type or too late: notified, asks",
	"Settled without target, due: notified",
	"Settled meanwhile, function returns: pending",
	"Settled, later Start: delivers, doesn't ask",
	"Settled failure, later Start, unresolved: the worker gets an error",
	"Settled failure, later Start, spent: notified, new round",
	"Waiting, Start of another type: new round",
	"Settled, Start of another type: notified, new round",
	"Closed, success, Start: nothing",
	"Closed, failure delivered, later Start: new round",
	"Closed, over, undelivered, later Start: Settled again",
	"Closed, over, no outcome, later Start: new round",
	"Closed, over: answer gets ErrClosed",
	"Waiting: ReportCanceled settles",
	"Waiting: ReportCanceled not requested",
	"Settled: delivered by token",
	"Settled, delivered: written down behind the caller",
	"Settled, delivered, lost before it was written down: evidence tells",
	"Settled, delivered, known before it was written down: nothing",
	"Settled: unavailable, stays",
	"Settled: refused, stays, notified",
	"Settled success, NotFound by token: by ID",
	"Settled success, NotFound by token and by ID: stays",
	"Settled failure, NotFound, renumbered: by ID",
	"Settled failure, NotFound, its mark is there: delivered",
	"Settled failure, NotFound, pending: stays",
	"Settled, another attempt, its mark is there: delivered",
	"evidence: ours",
	"evidence: timed out",
	"evidence: other",
	"evidence: buffered, stays",
	"evidence: unknown",
	"Waiting, deadline: pending, asked again",
	"Waiting, deadline: over, notified",
	"Waiting, beat: taken",
	"Waiting, beat: unavailable, again",
	"Waiting, beat: cancellation requested, notified",
	"Waiting, beat: paused, notified",
	"Waiting, first beat: the server's details adopted",
	"Waiting, beat NotFound: over, notified",
	"Waiting, beat NotFound: buffered, again",
	"Waiting, beat NotFound: pending, none until Started changes",
	"Waiting, beat NotFound: renumbered, Reset notified",
	"Waiting, the job is dead: settled",
	"unknown newer state: left alone",
	"key, earlier one pending: ErrKeyInUse",
	"key, earlier Scheduled: ErrKeyInUse",
	"key, other workflow, not Closed: ErrKeyInUse",
	"key, other workflow, Closed: new round",
	"key, other workflow, Closed, an attempt that is over: nothing",
	"key, Waiting: same round",
	"key, Settled, delivered there: new round",
	"key, Settled, over: notified, new round",
	"key, Settled, end unknown: notified, new round",
	"key, earlier one's end is buffered: ErrKeyInUse",
	"key, Closed: new round",
	"key, workflow reset, Waiting: same round",
	"key, workflow reset, Settled, over: notified, new round",
	"key, workflow reset, Settled, delivered there: new round",
	"key, workflow reset, Closed: new round",
	"key, workflow reset, a late attempt of the run before: ErrKeyInUse",
	"key: a repeat is known by its idempotency key",
	"Closed, delivered and notified: the payload is dropped",
	"Closed: removed after the retention",
	"Waiting, looked after: over, notified",
	"Waiting, looked after: pending, asked again",
	"any: Start waits for a store that is away",
	"Settled: the caller has left before the delivery",
	"breaker open: left alone",
	"Settled, Retry: due now",
	"a hook failed, Retry: called again at once",
	"nothing to retry, Retry: nothing changes",
	"any: a note is added, and stays with its round",
	"any: an equal note is not added again",
	"Waiting: a note that decides nothing is added",
	"Waiting: a note that decides settles, in one write",
	"Settled, or Closed and delivered: a note that is there is repeated: nothing",
	"Settled, or Closed and delivered: another note to decide by: ErrSettled",
	"any: the next round begins: the journal goes",
	"Waiting, beat: details brought meanwhile stay, and are sent next",
	"Waiting, beat: the pump skips it",
	"Settled: pending details are sent before the outcome",
	"Settled: pending details are withheld from an attempt that is over",
	"Waiting or Settled: an operator's note and action are one write",
	"Waiting, the function runs, beat: with Temporal's details",
	"Waiting, the function runs, beat: with the details brought",
	"Waiting, the function runs and beats for itself: no beat",
	"Waiting, the function runs: what a beat has learned is recorded",
	"none, Adopt: waits, as handed off",
	"Waiting, later attempt adopted: same round, as handed off",
	"any, Adopt by another token: refused",
	"Waiting, adopted by its IDs, same Start: brings the token",
}

// TestRowsAreThoseOfTheDocs compares the counted rows and their numbers with
// the state table of docs/internals.md. Package lifecycle has the cases of the
// table itself.
func TestRowsAreThoseOfTheDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/internals.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| [^|]+ \|$`).FindAllStringSubmatch(string(text), -1) {
		if rows = append(rows, m[2]); m[1] != strconv.Itoa(len(rows)) {
			t.Errorf("row %s of docs/internals.md is the %d-th", m[1], len(rows))
		}
	}
	for n := range max(len(rows), len(simRows)) {
		if n >= len(rows) || n >= len(simRows) || rows[n] != simRows[n] {
			t.Fatalf("row %d differs: docs/internals.md has %q, and the simulation counts %q", n+1, rows[n:min(n+1, len(rows))], simRows[n:min(n+1, len(simRows))])
		}
	}
}

// rowNumber returns the number of a row in the state table, or 0.
func rowNumber(row string) int { return slices.Index(simRows, row) + 1 }

// startRow names the row that a Start took if nothing happened in between.
func (w *simWorld) startRow(s simStarted, after *record.Record) {
	if s.f.rough {
		if s.asked != "" && s.err == activity.ErrResultPending && after != nil && State(after.State) != Waiting && record.NewCallbackID(s.entry, after.Secret).Reveal() == s.asked {
			w.hit("Settled meanwhile, function returns: pending")
		}
		return
	}
	asked := s.asked != ""
	pending := s.err == activity.ErrResultPending
	if asked && !pending && after != nil && State(after.State) == Waiting {
		if s.panicked {
			w.hit("Waiting, function panics: the panic goes on")
		} else {
			w.hit("Waiting, function fails: the worker gets it")
		}
	}
	b := s.before
	if b == nil {
		if s.at.act.carried {
			w.expect(asked, "none, in the run after a workflow reset: Start asks again")
			return
		}
		w.expect(asked, "none: Start asks")
		return
	}
	if b.Early {
		if State(b.State) == Settled && b.ResultType == s.at.typ {
			w.expect(!asked, "Settled without target, Start: delivered")
		} else {
			w.expect(asked, "Settled without target, Start of another type or too late: notified, asks")
		}
		return
	}
	if w.actOfRecord(b) != s.at.act {
		w.keyRow(s, asked, after)
		return
	}
	o := s.at.act.options
	now := s.at.started.UnixNano()
	later, same := now > b.Started, now == b.Started
	over := State(b.State) == Closed && b.End != record.EndDelivered
	failed := b.Outcome.GetKind() == record.Failure
	known := b.HandedOffStarted != 0 || b.Reference != ""
	newRound := after != nil && string(after.Secret) != string(b.Secret)
	switch {
	case !later && !same:
		w.expect(!asked && pending, "any, earlier Start: nothing")
	case State(b.State) == Closed && same && !(failed && b.End == record.EndDelivered && b.Outcome.Started < now):
		w.expect(!asked && pending, "Closed, same Start: nothing")
	case State(b.State) == Closed && over && (b.Outcome == nil || b.End == record.EndAbandoned):
		w.expect(asked && newRound, "Closed, over, no outcome, later Start: new round")
	case State(b.State) == Closed && over:
		if b.ResultType == s.at.typ {
			w.expect(asked && newRound || !asked && (pending || errors.Is(s.err, lifecycle.ErrUnresolved)), "Closed, over, undelivered, later Start: Settled again")
		}
	case State(b.State) == Closed && failed:
		w.expect(asked && newRound, "Closed, failure delivered, later Start: new round")
	case State(b.State) == Closed:
		w.expect(!asked && pending, "Closed, success, Start: nothing")
	case State(b.State) == Settled && b.ResultType != s.at.typ && later && w.marks[b.Outcome.Mark].accepts > 0: // it had arrived
	case State(b.State) == Settled && b.ResultType != s.at.typ && later:
		w.expect(asked && newRound, "Settled, Start of another type: notified, new round")
	case State(b.State) == Settled && later:
		if asked {
			row := "Settled, another attempt, its mark is there: delivered"
			if noticed(b, after, record.NoticeOver, record.EndUnknown) {
				row = "Settled failure, later Start, spent: notified, new round"
			}
			w.expect(newRound && failed, row)
		} else if !errors.Is(s.err, lifecycle.ErrUnresolved) {
			w.expect(pending, "Settled, later Start: delivers, doesn't ask")
		} else {
			// No process can determine whether this attempt must run its
			// function.
			w.expect(failed && (w.away || s.f.p.hub.completer == nil || s.at != s.at.act.cur), "Settled failure, later Start, unresolved: the worker gets an error")
		}
	case State(b.State) == Settled:
	case b.ResultType != s.at.typ:
		w.expect(asked && newRound, "Waiting, Start of another type: new round")
	case same && b.HandedOffStarted == b.Started:
		w.expect(!asked && pending, "Waiting, same Start, asked: nothing")
	case same:
		w.expect(asked && !newRound, "Waiting, same Start, hand-off not recorded: asks")
	case o.Once && known:
		w.expect(!asked && pending && !newRound, "Waiting, later Start, Once and known: not asked")
	default:
		w.expect(asked && !newRound, "Waiting, later Start: same round, asks")
	}
}

// expect counts a row, and checks that the operation took it as the row says.
func (w *simWorld) expect(ok bool, row string) {
	if !ok {
		w.violate("row", "not as in %q", row)
	}
	w.hit(row)
}

// keyRow names the rule for keys that applies to a Start that found another
// activity under its key.
func (w *simWorld) keyRow(s simStarted, asked bool, after *record.Record) {
	b, a := s.before, w.actOfRecord(s.before)
	inUse := s.err != nil && strings.Contains(s.err.Error(), "key in use")
	newRound := after != nil && string(after.Secret) != string(b.Secret)
	closed := State(b.State) == Closed
	// An activity that was scheduled before, or at the same time, belongs to
	// another run after a workflow reset, or arrives too late.
	earlier := !s.at.act.scheduled.After(a.scheduled)
	key := "key"
	if earlier {
		key = "key, workflow reset"
	}
	switch {
	case b.WorkflowId != s.at.act.run.workflow && closed && s.f.p.hub.completer != nil:
		if s.at == s.at.act.cur && s.at.act.pending() && !w.away {
			w.expect(asked && newRound, "key, other workflow, Closed: new round")
		} else if !w.away {
			w.expect(!asked, "key, other workflow, Closed, an attempt that is over: nothing")
		}
	case b.WorkflowId != s.at.act.run.workflow && closed:
		w.expect(asked && newRound, "key, other workflow, Closed: new round")
	case b.WorkflowId != s.at.act.run.workflow:
		w.expect(inUse, "key, other workflow, not Closed: ErrKeyInUse")
	case earlier && (a.run == s.at.act.run || s.f.p.hub.completer == nil):
		w.expect(inUse, "key, earlier Scheduled: ErrKeyInUse")
	case w.away || s.f.p.hub.completer == nil:
	case earlier && !s.current:
		if s.at.act.scheduled.Equal(a.scheduled) {
			w.expect(inUse, "key, workflow reset, a late attempt of the run before: ErrKeyInUse")
		} else {
			w.expect(inUse, "key, earlier Scheduled: ErrKeyInUse")
		}
	case a.pending() && !(closed && b.End == record.EndDelivered && b.Outcome.Kind != record.Failure):
		w.expect(inUse, "key, earlier one pending: ErrKeyInUse")
	case inUse:
		w.expect(a.buffered, "key, earlier one's end is buffered: ErrKeyInUse")
	case closed:
		w.expect(asked && newRound, key+", Closed: new round")
	case State(b.State) == Waiting && b.ResultType == s.at.typ:
		w.expect(!newRound, key+", Waiting: same round")
	case State(b.State) == Settled && newRound:
		switch {
		case noticed(b, after, record.NoticeOver, record.EndUnknown):
			w.expect(a.run.gone, key+", Settled, end unknown: notified, new round")
		case noticed(b, after, record.NoticeDelivered, record.EndDelivered):
			w.hit(key + ", Settled, delivered there: new round")
		default:
			w.hit(key + ", Settled, over: notified, new round")
		}
	case State(b.State) == Settled:
		w.expect(false, key+", Settled, over: notified, new round")
	}
}

// passedOnRow names the row for pending heartbeat details before an outcome is
// sent.
func (w *simWorld) passedOnRow(calls string, before *record.Record) {
	sent := strings.Contains(calls, "token:") || strings.Contains(calls, "id:")
	switch {
	case before.DetailsPendingSince == 0 || !sent:
	case strings.Contains(calls, "beat:ok"):
		w.hit("Settled: pending details are sent before the outcome")
	case strings.HasPrefix(calls, "look:back-off") && !strings.Contains(calls, "beat:"):
		w.hit("Settled: pending details are withheld from an attempt that is over")
	}
}

// deliveryRow names the row that the recording of a delivery took.
func (w *simWorld) deliveryRow(f *simFrame, was, is State, before, r *record.Record) {
	if was == Settled && is == Closed {
		w.behindRow(f, r)
	}
	calls := strings.Join(f.calls, " ")
	if was == Waiting && f.op == "work" && len(f.calls) > 0 {
		if r.Pump == simSilent && time.Now().Before(fromNano(r.Deadline)) {
			if is == Closed {
				w.hit("Waiting, looked after: over, notified")
			} else if strings.Contains(calls, "running") || strings.Contains(calls, "back-off") {
				w.hit("Waiting, looked after: pending, asked again")
			}
		} else if is == Closed {
			w.hit("Waiting, deadline: over, notified")
		} else if strings.Contains(calls, "running") || strings.Contains(calls, "back-off") {
			w.hit("Waiting, deadline: pending, asked again")
		}
		return
	}
	if was != Settled || len(f.calls) == 0 || r.Outcome == nil {
		return
	}
	f.calls = nil
	w.passedOnRow(calls, before)
	success := r.Outcome.Kind == record.Result
	last := calls[strings.LastIndex(calls, " ")+1:]
	failure := !success
	switch {
	case is == Settled && strings.HasSuffix(calls, ":failed"):
		w.hit("Settled: unavailable, stays")
	case is == Settled && strings.HasSuffix(calls, ":refused"):
		if slices.ContainsFunc(r.Notices, func(n *record.Notice) bool { return n.Kind == record.NoticeRefused }) {
			w.hit("Settled: refused, stays, notified")
		}
	case strings.HasSuffix(calls, "token:ok") && is == Closed:
		w.hit("Settled: delivered by token")
	case success && strings.HasSuffix(calls, "id:ok"):
		w.hit("Settled success, NotFound by token: by ID")
	case success && strings.HasSuffix(calls, "id:over") && is == Settled:
		w.hit("Settled success, NotFound by token and by ID: stays")
	case failure && strings.HasSuffix(calls, "id:ok"):
		w.hit("Settled failure, NotFound, renumbered: by ID")
	case failure && strings.HasSuffix(calls, "pending, marked") && is == Closed:
		if strings.Contains(calls, "token:over") {
			w.hit("Settled failure, NotFound, its mark is there: delivered")
		} else {
			w.hit("Settled, another attempt, its mark is there: delivered")
		}
	case failure && (strings.HasSuffix(calls, "look:running") || strings.HasSuffix(calls, "look:back-off")) && is == Settled:
		w.hit("Settled failure, NotFound, pending: stays")
	default:
		for end, row := range map[completer.End]string{
			completer.EndOurs: "evidence: ours", completer.EndTimedOut: "evidence: timed out", completer.EndOther: "evidence: other",
			completer.EndBuffered: "evidence: buffered, stays", completer.EndUnknown: "evidence: unknown",
		} {
			if last == fmt.Sprint(int(end)) {
				w.hit(row)
			}
		}
	}
}
