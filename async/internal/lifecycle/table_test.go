package lifecycle

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/internal/record"
)

// Longer than 400 lines, since the table is one list.

// table has a case for each row of docs/internals.md that names a rule. The
// table is in one file, so that it reads like the table in the document.
var table = map[string]func(c *row){
	"Waiting, later Start: same round, asks": func(c *row) {
		c.rec = attempt(1, handedOff)
		c.arrives(attempt(2), Run, false)
		if string(c.rec.TaskToken) != "\x02" || c.rec.HandedOffStarted == c.rec.Started {
			c.t.Errorf("the record has token %v, handed off %d", c.rec.TaskToken, c.rec.HandedOffStarted)
		}
	},
	"Waiting, later Start, Once and known: not asked": func(c *row) {
		c.rec = attempt(1, once, handedOff)
		c.arrives(attempt(2, once), Nothing, false)
		if c.rec.HandedOffStarted != c.rec.Started {
			c.t.Error("no beats would begin")
		}
	},
	"Waiting, same Start, hand-off not recorded: asks": func(c *row) {
		c.rec = attempt(1)
		c.arrives(attempt(1), Run, false)
	},
	"Waiting, same Start, asked: nothing": func(c *row) {
		c.rec = attempt(1, handedOff)
		c.arrives(attempt(1), Nothing, false)
	},
	"any, earlier Start: nothing": func(c *row) {
		for _, r := range []*record.Record{attempt(2), settledOn(record.Result), closedBy(record.EndOther, attempt(2))} {
			c.rec = r
			c.rec.Started = 20 * sec
			c.arrives(attempt(1), Nothing, false)
		}
	},
	"Closed, same Start: nothing": func(c *row) {
		c.rec = closedBy(record.EndOther, attempt(1))
		c.arrives(attempt(1), Nothing, false)
	},
	"none: early result by key": func(c *row) {
		c.rec = &record.Record{State: record.Waiting, Early: true, Key: key}
		c.p.Settle(c.rec, &record.Outcome{Kind: record.Result})
		c.is(record.Settled, record.NoEnd)
	},
	"Settled without target, Start: delivered": func(c *row) {
		c.rec = early(record.Result)
		if a := c.arrives(attempt(1, keyed), Deliver, false); !a.Renamed || c.rec.Early || c.rec.WorkflowId != "w" {
			c.t.Errorf("the result is not the activity's: %+v, %v", a, c.rec)
		}
	},
	"Settled without target, Start of another type or too late: notified, asks": func(c *row) {
		c.rec = early(record.Result)
		c.arrives(attempt(1, keyed, awaitsB), Run, true)
		c.notified(record.NoticeOver, record.EndTypeMismatch)
		c.rec = closedBy(record.EndTimedOut, early(record.Result))
		c.arrives(attempt(1, keyed), Run, true)
	},
	"Settled without target, due: notified": func(c *row) {
		c.rec = early(record.Result)
		c.p.Close(c.rec, record.EndTimedOut)
		c.notified(record.NoticeOver, record.EndTimedOut)
	},
	"Settled, later Start: delivers, doesn't ask": func(c *row) {
		for _, kind := range []record.Kind{record.Result, record.Cancellation} {
			c.rec = settledOn(kind)
			c.arrives(attempt(2), Deliver, false)
			c.is(record.Settled, record.NoEnd)
		}
		// The outcome is a failure that was not accepted, or a rejection.
		c.rec, c.said.Arriving = settledOn(record.Failure), runs(attempt(2))
		if a := c.arrives(attempt(2), Deliver, false); !a.First || c.rec.Outcome.Started != 20*sec {
			c.t.Errorf("it is not written down whose the failure is: %+v, %v", a, c.rec.Outcome)
		}
		c.rec, c.said.Arriving = settledOn(record.Failure), runs(attempt(4))
		c.rec.Outcome.NonRetryable = true
		c.arrives(attempt(4), Deliver, false)
	},
	"Settled failure, later Start, unresolved: the worker gets an error": func(c *row) {
		for _, w := range []*Word{{Pending: true}, runs(attempt(3)), {End: record.EndTimedOut}, {Buffered: true}} {
			c.rec, c.said.Arriving = settledOn(record.Failure), w
			c.refused(attempt(2), ErrUnresolved)
		}
		c.p.CanAsk, c.said.Arriving = false, nil
		c.refused(attempt(2), ErrUnresolved)
	},
	"Settled failure, later Start, spent: notified, new round": func(c *row) {
		for name, now := range map[string]*record.Record{
			"others lie between": attempt(3),
			"a reset":            attempt(3, func(r *record.Record) { r.Attempt = 1 }),
		} {
			c.rec, c.said.Arriving = settledOn(record.Failure), runs(now)
			c.arrives(now, Run, true)
			if c.notified(record.NoticeOver, record.EndUnknown); c.rec.Notices[0].Outcome != record.Failure {
				c.t.Errorf("%s: the notice is not about the failure: %v", name, c.rec.Notices[0])
			}
			if len(c.rec.Rounds) != 1 || string(c.rec.Rounds[0].Fingerprint) != "print" {
				c.t.Errorf("%s: a repeat would not be known: %v", name, c.rec.Rounds)
			}
		}
		c.rec, c.said.Arriving = settledOn(record.Failure), runs(attempt(2))
		if !Outrun(c.rec) || Outrun(c.rec) {
			c.t.Error("an attempt that can't resolve the failure leaves its trace once")
		}
		c.arrives(attempt(2), Run, true)
	},
	"Waiting, Start of another type: new round": func(c *row) {
		c.rec = attempt(1, handedOff)
		c.arrives(attempt(2, awaitsB), Run, true)
	},
	"Settled, Start of another type: notified, new round": func(c *row) {
		c.rec, c.said.Arriving = settledOn(record.Result), runs(attempt(2))
		if a := c.arrives(attempt(2, awaitsB), Run, true); !a.Mismatch {
			c.t.Error("the decision doesn't say so")
		}
		c.notified(record.NoticeOver, record.EndTypeMismatch)
		c.rec, c.said.Arriving = settledOn(record.Failure), &Word{Pending: true, LastMark: "mark"}
		c.arrives(attempt(2, awaitsB), Run, true)
		c.notified(record.NoticeDelivered, record.EndDelivered)
		c.rec, c.said.Arriving = settledOn(record.Result), nil
		c.arrives(attempt(2, awaitsB), DescribeArriving, false)
	},
	"Closed, success, Start: nothing": func(c *row) {
		c.rec = closedBy(record.EndDelivered, settledOn(record.Result))
		c.arrives(attempt(2), Nothing, false)
	},
	"Closed, failure delivered, later Start: new round": func(c *row) {
		c.rec = closedBy(record.EndDelivered, settledOn(record.Failure))
		c.arrives(attempt(2), Run, true)
	},
	"Closed, over, undelivered, later Start: Settled again": func(c *row) {
		c.rec = settledOn(record.Result)
		c.p.Close(c.rec, record.EndOther)
		c.arrives(attempt(2), Deliver, false)
		if c.is(record.Settled, record.NoEnd); len(c.rec.Notices) != 0 {
			c.t.Errorf("the end that was none is still to be notified: %v", c.rec.Notices)
		}
	},
	"Closed, over, no outcome, later Start: new round": func(c *row) {
		c.rec = closedBy(record.EndOther, attempt(1))
		c.arrives(attempt(2), Run, true)
		c.rec = closedBy(record.EndAbandoned, settledOn(record.Result))
		c.arrives(attempt(2), Run, true)
	},
	"Closed, over: answer gets ErrClosed": func(c *row) {
		c.offered(closedBy(record.EndOther, attempt(1)), record.Result, "print", TooLate)
	},
	"Waiting: ReportCanceled settles": func(c *row) {
		c.offered(attempt(1), record.Cancellation, "print", Accept)
		c.rec = settledOn(record.Cancellation)
		c.is(record.Settled, record.NoEnd)
		if due := Due(c.rec, time.Hour); !due.Equal(noon.Add(10 * time.Second)) {
			c.t.Errorf("it is due at %v, want it claimed", due)
		}
		c.offered(c.rec, record.Cancellation, "print", Repeat)
		c.offered(c.rec, record.Result, "print", Other)
	},
	"Settled: delivered by token": func(c *row) {
		c.rec = settledOn(record.Result)
		c.p.Conclude(c.rec, Delivered)
		c.is(record.Closed, record.EndDelivered)
		c.notified(record.NoticeDelivered, record.EndDelivered)
		c.offered(c.rec, record.Result, "print", Repeat)
	},
	"Settled, delivered, lost before it was written down: evidence tells": func(c *row) {
		c.notFound(record.Result, Word{End: record.EndDelivered}, record.EndDelivered, false)
	},
	"Settled, delivered, known before it was written down: nothing": func(c *row) {
		about := settledOn(record.Result)
		for name, r := range map[string]*record.Record{
			"closed": closedBy(record.EndDelivered, settledOn(record.Result)), "another activity": settledOn(record.Result, nextRun), "a new round": attempt(2),
		} {
			if Concerns(r, about, "mark") {
				c.t.Errorf("%s: the verdict is about it", name)
			}
		}
		if !Concerns(about, about, "mark") || Concerns(about, about, "other") {
			c.t.Error("the verdict is about its own outcome only")
		}
	},
	"Settled: unavailable, stays": func(c *row) {
		c.rec = settledOn(record.Result)
		for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			c.p.Conclude(c.rec, Verdict{Class: "unavailable"})
			if c.is(record.Settled, record.NoEnd); !Due(c.rec, time.Hour).Equal(noon.Add(want)) {
				c.t.Errorf("it is due at %v, want %v later", Due(c.rec, time.Hour), want)
			}
		}
	},
	"Settled: refused, stays, notified": func(c *row) {
		c.rec = settledOn(record.Result)
		c.p.Conclude(c.rec, Verdict{Class: ClassRefused, After: RefusedDelivery})
		c.is(record.Settled, record.NoEnd)
		c.notified(record.NoticeRefused, record.NoEnd)
	},
	"Settled success, NotFound by token: by ID": func(c *row) {
		c.notFound(record.Result, Word{Pending: true}, record.NoEnd, true)
	},
	"Settled success, NotFound by token and by ID: stays": func(c *row) {
		c.rec = settledOn(record.Result)
		c.p.Conclude(c.rec, Verdict{Class: "no attempt"})
		c.is(record.Settled, record.NoEnd)
	},
	"Settled failure, NotFound, renumbered: by ID": func(c *row) {
		c.notFound(record.Failure, *runs(attempt(1)), record.NoEnd, true)
		c.notFound(record.Cancellation, *runs(attempt(1)), record.NoEnd, true)
	},
	"Settled failure, NotFound, its mark is there: delivered": func(c *row) {
		c.notFound(record.Failure, Word{Pending: true, LastMark: "mark"}, record.EndDelivered, false)
	},
	"Settled failure, NotFound, pending: stays": func(c *row) {
		c.notFound(record.Failure, Word{Pending: true}, record.NoEnd, false)
		c.notFound(record.Failure, *runs(attempt(2)), record.NoEnd, false)
	},
	"Settled, another attempt, its mark is there: delivered": func(c *row) {
		c.rec, c.said.Arriving = settledOn(record.Failure), &Word{Pending: true, LastMark: "mark"}
		c.arrives(attempt(2), Run, true)
		c.notified(record.NoticeDelivered, record.EndDelivered)
		r := settledOn(record.Failure)
		if v, send := BeforeFailing(r, *c.said.Arriving); send || v != Delivered {
			c.t.Errorf("a hub that runs would judge %+v, send %t", v, send)
		}
		if v, send := BeforeFailing(r, *runs(attempt(2))); send || v != NoAttempt {
			c.t.Errorf("a hub that runs would send it to another attempt: %+v, %t", v, send)
		}
		if _, send := BeforeFailing(r, *runs(attempt(1))); !send {
			c.t.Error("a hub that runs would not send it to its attempt")
		}
	},
	"evidence: ours":      func(c *row) { c.notFound(record.Failure, Word{End: record.EndDelivered}, record.EndDelivered, false) },
	"evidence: timed out": func(c *row) { c.notFound(record.Result, Word{End: record.EndTimedOut}, record.EndTimedOut, false) },
	"evidence: other":     func(c *row) { c.notFound(record.Result, Word{End: record.EndOther}, record.EndOther, false) },
	"evidence: buffered, stays": func(c *row) {
		c.notFound(record.Result, Word{Buffered: true, End: record.EndUnknown}, record.NoEnd, false)
	},
	"evidence: unknown": func(c *row) { c.notFound(record.Result, Word{End: record.EndUnknown}, record.EndUnknown, false) },
	"Waiting, deadline: pending, asked again": func(c *row) {
		c.rec = attempt(1)
		for _, w := range []*Word{{Pending: true, Paused: true}, nil, {Buffered: true, End: record.EndUnknown}} {
			c.p.Answered(c.rec, w)
			c.is(record.Waiting, record.NoEnd)
		}
		c.notified(record.NoticePaused, record.NoEnd)
		if at := QuestionAt(c.rec); !at.Equal(noon.Add(20 * time.Second)) {
			c.t.Errorf("the fourth question is at %v, want it 20 s later", at)
		}
	},
	"Waiting, deadline: over, notified": func(c *row) {
		c.rec = attempt(1)
		c.p.Answered(c.rec, &Word{End: record.EndDelivered}) // another client ended the activity, since there is no outcome
		c.is(record.Closed, record.EndOther)
		c.notified(record.NoticeOver, record.EndOther)
	},
	"Waiting, looked after: over, notified": func(c *row) {
		c.rec, c.p.Watch = attempt(1), time.Minute
		c.p.Answered(c.rec, &Word{End: record.EndOther})
		c.is(record.Closed, record.EndOther)
		c.notified(record.NoticeOver, record.EndOther)
	},
	"Waiting, looked after: pending, asked again": func(c *row) {
		c.rec, c.p.Watch = attempt(1), time.Minute
		c.p.Answered(c.rec, nil) // Temporal is away, so the hub asks again soon
		if at := QuestionAt(c.rec); !at.Equal(noon.Add(5 * time.Second)) {
			c.t.Errorf("the question is repeated at %v, want 5 s later", at)
		}
		c.p.Answered(c.rec, &Word{Pending: true})
		c.is(record.Waiting, record.NoEnd)
		if at := QuestionAt(c.rec); !at.Equal(NextLook(c.rec, time.Minute, noon)) {
			c.t.Errorf("the next question is at %v, want it with the next look at the run", at)
		}
	},
	"Waiting, beat: taken": func(c *row) {
		c.rec = beating("old")
		c.rec.BeatTries, c.rec.BeatPendingSince, c.rec.DetailsPendingSince = 3, 5, 5
		c.beaten([]byte("old"), Beat{At: 7, Read: true, Details: []byte("new"), Digest: []byte("d")}, AskPump)
		if r := c.rec; r.LastBeat != 7 || r.BeatTries != 0 || string(r.Details) != "new" || string(r.ServerDetailsDigest) != "d" ||
			r.BeatPendingSince != 0 || r.DetailsPendingSince != 0 || NeedsDetails(r) {
			c.t.Errorf("the record is %v", r)
		}
	},
	"Waiting, beat: unavailable, again": func(c *row) {
		c.rec = beating("old")
		c.rec.HeartbeatTimeout = int64(time.Minute)
		c.beaten([]byte("old"), Beat{Result: BeatFailed, Read: true}, RetryBeat)
		if !NeedsDetails(c.rec) {
			c.t.Error("the details that were read for it count, though they may be older by the next beat")
		}
		for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			BeatAgain(c.rec, noon, c.p.Jitter)
			if got := FromNano(c.rec.NextBeat).Sub(noon); got != want {
				c.t.Errorf("try %d comes after %v, want %v", i+1, got, want)
			}
		}
		BeatNow(c.rec, noon) // another hub may send the beat at once
		if c.rec.BeatTries != 3 || c.rec.NextBeat != noon.UnixNano() {
			c.t.Errorf("a beat that is left has %d tries, and is due at %v", c.rec.BeatTries, FromNano(c.rec.NextBeat))
		}
	},
	"Waiting, beat: cancellation requested, notified": func(c *row) {
		c.rec = beating("")
		c.beaten(nil, Beat{Heard: true, Signals: Signals{CancelRequested: true}}, AskPump)
		c.notified(record.NoticeCancelRequested, record.NoEnd)
	},
	"Waiting, beat: paused, notified": func(c *row) {
		c.rec = beating("")
		c.beaten(nil, Beat{Heard: true, Signals: Signals{Paused: true}}, AskPump)
		c.notified(record.NoticePaused, record.NoEnd)
		c.rec.Notices = nil
		c.beaten(nil, Beat{Heard: true}, AskPump)
		if c.rec.Paused || len(c.rec.Notices) > 0 {
			c.t.Errorf("a pause that was lifted stands: %v", c.rec)
		}
	},
	"Waiting, first beat: the server's details adopted": func(c *row) {
		c.rec = beating("ours")
		w := *runs(c.rec)
		for name, is := range map[string]struct {
			theirs, known string
			pending, beat int64
			newer         bool
		}{
			"none there":                   {},
			"known":                        {theirs: "x", known: "x"},
			"unknown":                      {theirs: "x", known: "y", newer: true},
			"ours are pending, and newer":  {theirs: "x", known: "y", pending: 9, beat: 8},
			"ours are pending, and older":  {theirs: "x", known: "y", pending: 9, beat: 10, newer: true},
			"ours are pending, none there": {known: "y", pending: 9, beat: 10},
		} {
			c.rec.ServerDetailsDigest, c.rec.DetailsPendingSince = []byte(is.known), is.pending
			w.Details, w.LastBeat = []byte(is.theirs), is.beat
			if is.theirs == "" {
				w.Details = nil
			}
			if got := ServersAreNewer(c.rec, w); got != is.newer {
				c.t.Errorf("%s: newer %t, want %t", name, got, is.newer)
			}
			if got, want := WorkerSends(c.rec, w), is.pending != 0 && !is.newer; got != want {
				c.t.Errorf("%s: the worker's beat carries the record's details: %t, want %t", name, got, want)
			}
		}
	},
	"Waiting, beat NotFound: over, notified": func(c *row) {
		c.rec = beating("")
		c.beaten(nil, Beat{}.NotTaken(c.rec, Word{End: record.EndDelivered}), NoBeat)
		c.is(record.Closed, record.EndOther)
		c.notified(record.NoticeOver, record.EndOther)
	},
	"Waiting, beat NotFound: buffered, again": func(c *row) {
		c.rec = beating("")
		c.beaten(nil, Beat{}.NotTaken(c.rec, Word{Buffered: true}), RetryBeat)
		c.is(record.Waiting, record.NoEnd)
	},
	"Waiting, beat NotFound: pending, none until Started changes": func(c *row) {
		c.rec = beating("")
		c.rec.NextBeat = 9
		c.beaten(nil, Beat{}.NotTaken(c.rec, *runs(attempt(2))), NoBeat)
		if !BeatAt(c.rec).IsZero() || c.rec.ResetRequested || StillBeats(c.rec, c.rec) {
			c.t.Errorf("an attempt that is over beats on: %v", c.rec)
		}
	},
	"Waiting, beat NotFound: renumbered, Reset notified": func(c *row) {
		c.rec = beating("")
		c.beaten(nil, Beat{}.NotTaken(c.rec, *runs(c.rec)), NoBeat)
		c.notified(record.NoticeReset, record.NoEnd)
	},
	"Waiting, beat: details brought meanwhile stay, and are sent next": func(c *row) {
		c.rec = beating("brought")
		c.rec.DetailsPendingSince, c.rec.BeatPendingSince = 8, 8
		c.beaten([]byte("old"), Beat{Details: []byte("old"), Digest: []byte("d")}, AskPump)
		if string(c.rec.Details) != "brought" || c.rec.DetailsPendingSince != 8 {
			c.t.Errorf("details that were brought meanwhile count as sent: %v", c.rec)
		}
		// Another process has sent the details, maybe before this beat.
		c.rec.DetailsPendingSince, c.rec.BeatPendingSince = 0, 0
		c.beaten([]byte("old"), Beat{Details: []byte("old"), Digest: []byte("d")}, AskPump)
		if string(c.rec.Details) != "brought" || c.rec.DetailsPendingSince != noon.UnixNano() {
			c.t.Errorf("details that this beat may have overwritten are not sent again: %v", c.rec)
		}
	},
	"Waiting, beat: the pump skips it": func(c *row) {
		c.rec = beating("old")
		c.rec.LastBeat, c.rec.BeatTries, c.rec.NextBeat = 3, 2, noon.UnixNano()
		c.beaten([]byte("old"), Beat{Result: BeatSkipped}, AskPumpLater)
		DelayBeat(c.rec, noon)
		if c.rec.LastBeat != 3 || c.rec.BeatTries != 0 || c.rec.NextBeat != noon.Add(FirstBeatRetry).UnixNano() {
			c.t.Errorf("the record is %v", c.rec)
		}
	},
	"Settled: pending details are sent before the outcome": func(c *row) {
		r := settledOn(record.Failure)
		c.passing(r, true, nil, Withhold)
		r.Details, r.DetailsPendingSince = []byte("brought"), 8
		c.passing(r, true, nil, DescribeForDetails) // the function may have recorded details
		c.passing(r, true, runs(r), PassOn)
		r.DetailsReadStarted = r.Started
		c.passing(r, true, nil, PassOn)
		c.passing(r, false, nil, DescribeForDetails) // the token may belong to another attempt
		PassedOn(r, []byte("d"))
		c.passing(r, true, nil, Withhold)
	},
	"Settled: pending details are withheld from an attempt that is over": func(c *row) {
		r := settledOn(record.Failure)
		r.Details, r.DetailsPendingSince = []byte("brought"), 8
		c.passing(r, false, runs(attempt(2)), Withhold)
		newer := runs(r)
		newer.Details, newer.LastBeat = []byte("the function's"), 9
		c.passing(r, false, newer, Withhold)
		LoseToken(r)
		c.passing(r, false, runs(r), Withhold)
	},
	"Waiting, the function runs, beat: with Temporal's details": func(c *row) {
		c.rec = attempt(1)
		c.rec.Details = []byte("sent before")
		w := *runs(c.rec)
		w.Details = []byte("the function's")
		c.workerSends(w, false)
		c.rec.DetailsPendingSince, w.LastBeat = 8, 9 // the function's details are newer
		c.workerSends(w, false)
	},
	"Waiting, the function runs, beat: with the details brought": func(c *row) {
		c.rec = attempt(1)
		c.rec.Details, c.rec.DetailsPendingSince = []byte("brought"), 8
		w := *runs(c.rec)
		c.workerSends(w, true)
		w.Details, w.LastBeat = []byte("the function's"), 7 // older
		c.workerSends(w, true)
	},
	"Waiting, the function runs: what a beat has learned is recorded": func(c *row) {
		c.rec = attempt(1)
		started := c.rec.Started
		if !c.p.LearnMeanwhile(c.rec, started, Signals{Paused: true}, []byte("d")) || !c.rec.Paused || string(c.rec.ServerDetailsDigest) != "d" {
			c.t.Errorf("not recorded: %v", c.rec)
		}
		c.notified(record.NoticePaused, record.NoEnd)
		if c.p.LearnMeanwhile(c.rec, started, Signals{Paused: true}, []byte("d")) {
			c.t.Error("the same again counts as a change")
		}
		if c.p.LearnMeanwhile(c.rec, started-1, Signals{}, nil) || !c.rec.Paused {
			c.t.Error("what a beat for an earlier attempt has learned is recorded")
		}
		c.p.Listens = 0
		if c.p.LearnMeanwhile(c.rec, started, Signals{CancelRequested: true, Paused: true}, []byte("d")) {
			c.t.Error("a signal without a hook is recorded, and no hub with a hook learns of it")
		}
	},
	"unknown newer state: left alone": func(c *row) {
		c.rec = attempt(1)
		c.rec.State = 77
		c.refused(attempt(2), ErrNewer)
		c.offered(c.rec, record.Result, "print", Unknown)
	},
	"key, earlier one pending: ErrKeyInUse": func(c *row) {
		c.rec, c.said.Earlier = attempt(1, keyed), &Word{Pending: true}
		c.refused(attempt(1, nextRun), ErrKeyInUse)
	},
	"key, earlier Scheduled: ErrKeyInUse": func(c *row) {
		c.rec = attempt(1, keyed)
		c.refused(attempt(1, keyed, func(r *record.Record) { r.ActivityId, r.Scheduled = "b", 4*sec }), ErrKeyInUse)
		c.p.CanAsk = false
		c.refused(attempt(1, afterReset), ErrKeyInUse)
	},
	"key, other workflow, not Closed: ErrKeyInUse": func(c *row) {
		c.rec = attempt(1, keyed)
		c.refused(attempt(1, otherWorkflow), ErrKeyInUse)
	},
	"key, other workflow, Closed: new round": func(c *row) {
		now := attempt(1, otherWorkflow)
		c.rec, c.said.Arriving = closedBy(record.EndDelivered, settledOn(record.Result, keyed)), runs(now)
		c.arrives(now, Run, true)
	},
	"key, other workflow, Closed, an attempt that is over: nothing": func(c *row) {
		c.rec, c.said.Arriving = closedBy(record.EndDelivered, settledOn(record.Result, keyed)), &Word{End: record.EndOther}
		c.arrives(attempt(1, otherWorkflow), Nothing, false)
	},
	"key, Waiting: same round": func(c *row) {
		c.rec, c.said.Earlier = attempt(1, keyed, handedOff), &Word{End: record.EndOther}
		if a := c.arrives(attempt(1, nextRun), Run, false); !a.Renamed || c.rec.RunId != "run2" {
			c.t.Errorf("the entry is not the later activity's: %+v", a)
		}
	},
	"key, Settled, delivered there: new round": func(c *row) {
		c.rec, c.said.Earlier = settledOn(record.Result, keyed), &Word{End: record.EndDelivered}
		c.arrives(attempt(1, nextRun), Run, true)
		c.notified(record.NoticeDelivered, record.EndDelivered)
	},
	"key, Settled, over: notified, new round": func(c *row) {
		for _, kind := range []record.Kind{record.Result, record.Failure, record.Cancellation} {
			c.rec, c.said.Earlier = settledOn(kind, keyed), &Word{End: record.EndTimedOut}
			c.arrives(attempt(1, nextRun), Run, true)
			c.notified(record.NoticeOver, record.EndTimedOut)
		}
	},
	"key, Settled, end unknown: notified, new round": func(c *row) {
		c.rec, c.said.Earlier = settledOn(record.Result, keyed), &Word{End: record.EndUnknown}
		c.arrives(attempt(1, nextRun), Run, true)
		c.notified(record.NoticeOver, record.EndUnknown)
	},
	"key, earlier one's end is buffered: ErrKeyInUse": func(c *row) {
		c.rec, c.said.Earlier = settledOn(record.Result, keyed), &Word{Buffered: true}
		c.refused(attempt(1, nextRun), ErrKeyInUse)
	},
	"key, Closed: new round": func(c *row) {
		c.rec = closedBy(record.EndDelivered, settledOn(record.Result, keyed))
		c.arrives(attempt(1, nextRun), Run, true)
		c.rec = closedBy(record.EndOther, attempt(1, keyed))
		c.arrives(attempt(1, nextRun), DescribeEarlier, false)
	},
	"key, workflow reset, Waiting: same round": func(c *row) {
		c.rec = attempt(1, keyed, handedOff)
		c.arrives(attempt(1, afterReset), DescribeArriving, false)
		c.said = Words{Arriving: runs(attempt(1, afterReset)), Earlier: &Word{End: record.EndOther}}
		c.arrives(attempt(1, afterReset), Run, false)
	},
	"key, workflow reset, Settled, over: notified, new round": func(c *row) {
		c.rec = settledOn(record.Result, keyed)
		c.said = Words{Arriving: runs(attempt(1, afterReset)), Earlier: &Word{End: record.EndOther}}
		c.arrives(attempt(1, afterReset), Run, true)
		c.notified(record.NoticeOver, record.EndOther)
	},
	"key, workflow reset, Settled, delivered there: new round": func(c *row) {
		c.rec = settledOn(record.Result, keyed)
		c.said = Words{Arriving: runs(attempt(1, afterReset)), Earlier: &Word{End: record.EndDelivered}}
		c.arrives(attempt(1, afterReset), Run, true)
	},
	"key, workflow reset, Closed: new round": func(c *row) {
		c.rec, c.said.Arriving = closedBy(record.EndDelivered, settledOn(record.Result, keyed)), runs(attempt(1, afterReset))
		c.arrives(attempt(1, afterReset), Run, true)
	},
	"key, workflow reset, a late attempt of the run before: ErrKeyInUse": func(c *row) {
		c.rec, c.said.Arriving = attempt(1, keyed), &Word{End: record.EndOther}
		c.refused(attempt(1, afterReset), ErrKeyInUse)
	},
	"key: a repeat is known by its idempotency key": func(c *row) {
		for _, x := range []struct {
			kind  record.Kind
			print string
			want  Answer
		}{{record.Result, "p", Repeat}, {record.Result, "q", Other}, {record.Failure, "p", Other}} {
			if got := Judge(record.Result, []byte("p"), x.kind, []byte(x.print)); got != x.want {
				c.t.Errorf("%v %q is judged as %d, want %d", x.kind, x.print, got, x.want)
			}
		}
	},
	"Closed, delivered and notified: the payload is dropped": func(c *row) {
		c.rec = settledOn(record.Result)
		c.rec.Outcome.Payload = []byte("payload")
		c.p.Close(c.rec, record.EndDelivered)
		c.p.notice(c.rec, record.NoticeDelivered, record.EndDelivered)
		if Shrink(c.rec, false); len(c.rec.TaskToken) > 0 || c.rec.Outcome.Gone {
			c.t.Errorf("with a notice the token has %d bytes, and the payload is gone: %v, want none, and the payload", len(c.rec.TaskToken), c.rec.Outcome.Gone)
		}
		c.rec.Notices = nil
		if Shrink(c.rec, false); !c.rec.Outcome.Gone || len(c.rec.Outcome.Payload) > 0 {
			c.t.Error("the payload stays")
		}
	},
	"Settled, Retry: due now": func(c *row) {
		for _, kind := range []record.Kind{record.Result, record.Failure, record.Cancellation} {
			c.rec = settledOn(kind)
			c.p.Conclude(c.rec, Verdict{Class: "unavailable"})
			if !Retry(c.rec, noon) || !Due(c.rec, time.Hour).Equal(noon) {
				c.t.Errorf("a %v is due at %v, want it due now", kind, Due(c.rec, time.Hour))
			}
			if c.is(record.Settled, record.NoEnd); c.rec.Delivery.Tries != 1 || c.rec.Delivery.LastError != "unavailable" {
				c.t.Errorf("what an operator sees of the tries has changed: %v", c.rec.Delivery)
			}
		}
	},
	"a hook failed, Retry: called again at once": func(c *row) {
		c.rec = settledOn(record.Result)
		c.p.Close(c.rec, record.EndDelivered)
		c.p.Notified(c.rec, nil, nil, true)
		if !Retry(c.rec, noon) || !Due(c.rec, time.Hour).Equal(noon) {
			c.t.Errorf("it is due at %v, want it due now", Due(c.rec, time.Hour))
		}
		c.is(record.Closed, record.EndDelivered)
	},
	"nothing to retry, Retry: nothing changes": func(c *row) {
		newer := attempt(1)
		newer.State = 77
		newer.Notices, newer.NoticeTries = []*record.Notice{{Kind: record.NoticeOver}}, 1
		for name, r := range map[string]*record.Record{
			"waiting": attempt(1, handedOff), "an early result": early(record.Result), "delivered": closedBy(record.EndDelivered, settledOn(record.Result)),
			"over": closedBy(record.EndOther, settledOn(record.Result)), "of a newer release": newer,
		} {
			before := proto.CloneOf(r)
			if Retry(r, noon) || !proto.Equal(before, r) {
				c.t.Errorf("%s: the record has changed from %v to %v", name, before, r)
			}
		}
	},
	"any: a note is added, and stays with its round": func(c *row) {
		for _, r := range []*record.Record{attempt(1), settledOn(record.Result), closedBy(record.EndDelivered, settledOn(record.Result))} {
			if got := AddNote(r, note(1, "vote", "ada"), true); got != NoteAdded || len(r.Notes) != 1 {
				c.t.Errorf("%v: AddNote is %v with %d notes, want it added", r.State, got, len(r.Notes))
			}
		}
		c.rec = settledOn(record.Result)
		AddNote(c.rec, note(1, "vote", "ada"), true)
		c.p.Close(c.rec, record.EndDelivered)
		if Shrink(c.rec, false); len(c.rec.Notes) != 1 {
			c.t.Error("the note goes with what a closed record drops")
		}
		c.rec = attempt(1)
		AddNote(c.rec, note(1, "vote", "ada"), true)
		if c.arrives(attempt(2), Run, false); len(c.rec.Notes) != 1 {
			c.t.Error("the note goes with the attempt")
		}
	},
	"Waiting, later attempt adopted: same round, as handed off": func(c *row) {
		for _, token := range []string{"2", ""} {
			c.rec = attempt(1, handedOff)
			now := attempt(2, handedOff)
			now.TaskToken = []byte(token)
			c.arrives(now, Run, false) // Run would find nothing to do: the hub records that
			if c.rec.Started != now.Started || string(c.rec.TaskToken) != token || (c.rec.TokenLostStarted == c.rec.Started) != (token == "") {
				c.t.Errorf("with the token %q the record is %v", token, c.rec)
			}
			if c.rec.HandedOffStarted == c.rec.Started {
				c.t.Error("the attempt counts as handed off before the hub has written it")
			}
		}
	},
	"Waiting, adopted by its IDs, same Start: brings the token": func(c *row) {
		c.rec = attempt(1, handedOff)
		c.rec.TaskToken, c.rec.TokenLostStarted = nil, c.rec.Started
		if a := c.arrives(attempt(1), Nothing, false); !a.Changed || string(c.rec.TaskToken) != "\x01" || c.rec.TokenLostStarted != 0 {
			c.t.Errorf("Arrive is %+v, and the record is %v", a, c.rec)
		}
		if a := c.arrives(attempt(1), Nothing, false); a.Changed {
			c.t.Error("the same again changes the record")
		}
		c.rec = settledOn(record.Result)
		c.rec.TaskToken, c.rec.TokenLostStarted = nil, c.rec.Started
		if c.arrives(attempt(1), Deliver, false); string(c.rec.TaskToken) != "\x01" {
			c.t.Errorf("the outcome is delivered without the token: %v", c.rec)
		}
	},
	"any: an equal note is not added again": func(c *row) {
		c.rec = attempt(1)
		for i, next := range []struct {
			n     *record.Note
			dated bool
			want  Noted
		}{
			{note(1, "claim", "ada"), true, NoteAdded},
			{note(1, "claim", "ada"), true, NoteKnown},
			{note(2, "claim", "ada"), true, NoteAdded},
			{note(3, "claim", "ada"), false, NoteKnown}, // equal to the last note of ada
			{note(3, "claim", "bob"), false, NoteAdded},
			{note(4, "claim", "ada"), false, NoteKnown}, // still equal to the last note of ada
			{note(5, "release", "ada"), false, NoteAdded},
			{note(6, "claim", "ada"), false, NoteAdded}, // ada did something different in between
			{note(1, "claim", "ada"), true, NoteKnown},
		} {
			if got := AddNote(c.rec, next.n, next.dated); got != next.want {
				c.t.Errorf("note %d: AddNote is %v, want %v", i, got, next.want)
			}
		}
	},
	"Settled, or Closed and delivered: a note that is there is repeated: nothing": func(c *row) {
		for _, r := range []*record.Record{settledOn(record.Result), closedBy(record.EndDelivered, settledOn(record.Result))} {
			AddNote(r, note(1, "vote", "ada"), true)
			if got := Decided(r, note(1, "vote", "ada"), true); got != Repeat {
				c.t.Errorf("%v: Decided is %v, want Repeat", r.State, got)
			}
		}
	},
	"Settled, or Closed and delivered: another note to decide by: ErrSettled": func(c *row) {
		for r, want := range map[*record.Record]Answer{
			attempt(1):                Accept,
			settledOn(record.Failure): Other,
			closedBy(record.EndDelivered, settledOn(record.Result)): Other,
			closedBy(record.EndTimedOut, attempt(1)):                TooLate,
			attempt(1, func(r *record.Record) { r.State = 77 }):     Unknown,
		} {
			AddNote(r, note(1, "vote", "ada"), true)
			if got := Decided(r, note(1, "vote", "bob"), true); got != want {
				c.t.Errorf("%v, %v: Decided is %v, want %v", r.State, r.End, got, want)
			}
		}
	},
	"any: the next round begins: the journal goes": func(c *row) {
		c.rec = closedBy(record.EndDelivered, settledOn(record.Failure))
		AddNote(c.rec, note(1, "vote", "ada"), true)
		if c.arrives(attempt(2), Run, true); len(c.rec.Notes) != 0 {
			c.t.Errorf("%d notes are carried into the next round", len(c.rec.Notes))
		}
	},
	"Closed: removed after the retention": func(c *row) {
		c.rec = closedBy(record.EndDelivered, settledOn(record.Result))
		if due := Due(c.rec, time.Hour); !due.Equal(noon.Add(time.Hour)) {
			c.t.Errorf("it is due at %v, want an hour later", due)
		}
		c.p.notice(c.rec, record.NoticeDelivered, record.EndDelivered)
		if due := Due(c.rec, time.Hour); !due.Equal(noon) {
			c.t.Errorf("with a notice it is due at %v, want now", due)
		}
	},
}

// documented returns the rows of docs/internals.md, with the text of the last
// column of each row.
func documented(t *testing.T) (rows []string, rule map[string]string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/internals.md")
	if err != nil {
		t.Fatal(err)
	}
	rule = make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, m[2])
		rule[m[2]] = m[3]
		if n, _ := strconv.Atoi(m[1]); n != len(rows) {
			t.Errorf("row %s of docs/internals.md is the %d-th", m[1], len(rows))
		}
	}
	if len(rows) < 70 {
		t.Fatalf("docs/internals.md has only %d rows", len(rows))
	}
	return rows, rule
}

// TestTable plays the state table of docs/internals.md.
func TestTable(t *testing.T) {
	rows, rule := documented(t)
	for n, name := range rows {
		play := table[name]
		switch hub := strings.HasPrefix(rule[name], "hub: "); {
		case hub && play != nil:
			t.Errorf("row %d (%s) has a case, and docs/internals.md leaves it to the hub", n+1, name)
		case !hub && play == nil:
			t.Errorf("row %d (%s) has no case", n+1, name)
		case play != nil:
			t.Run(strconv.Itoa(n+1), func(t *testing.T) {
				t.Log(name)
				play(&row{t: t, p: testPolicy()})
			})
		}
	}
	for name := range table {
		if rule[name] == "" {
			t.Errorf("docs/internals.md has no row %q", name)
		}
	}
}

// TestRulesAreApart checks that this package makes no calls and reads no clock.
func TestRulesAreApart(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") || !strings.HasSuffix(f.Name(), ".go") {
			continue
		}
		read++
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, no := range []string{"time.Now", "time.Since", "time.Until", "context.", `"context"`, "slog", "rand.", "/store\"", "sync."} {
			if strings.Contains(string(text), no) {
				t.Errorf("%s has %s: a rule makes no call and reads no clock", f.Name(), no)
			}
		}
	}
	if read < 8 {
		t.Errorf("only %d files were read", read)
	}
}
