package async

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/latchkey-go/latchkey/async/completer"
	"github.com/latchkey-go/latchkey/async/internal/record"
	"github.com/latchkey-go/latchkey/heartbeat"
)

// simPump beats every five seconds. For details of the external system, it
// beats a second after the last beat. The process that works draws the details
// of the pump at random. The hubs do not know the heartbeat timeouts of
// Temporal. The simulation sends the beats of Start, which normally come from a
// goroutine.
type simPump struct{}

const simBeats = 5 * time.Second

func (simPump) Next(a heartbeat.Activity, _ time.Time) time.Time {
	if at := a.LastBeat.Add(time.Second); !a.Relayed.IsZero() {
		return at
	}
	return a.LastBeat.Add(simBeats)
}

func (simPump) Beat(context.Context, heartbeat.Activity) (heartbeat.Beat, error) {
	panic("simulation: work draws what the pump says")
}

// simDetail is one detail from the external system, a function or a pump.
type simDetail struct {
	no   int // position in the order in which the details were created
	pump bool
	skew time.Duration // the clock difference of the process that recorded the time of the details
}

// newDetails creates details that differ from all others.
func (w *simWorld) newDetails(kind string) string {
	w.detailNo++
	return fmt.Sprintf(simSecret+"%s%d", kind, w.detailNo)
}

// noteDetails records the order of details when they are created.
func (w *simWorld) noteDetails(text string, d simDetail) simDetail {
	if known, ok := w.details[text]; ok || text == "" {
		return known
	}
	w.detailNo++
	d.no = w.detailNo
	w.details[text] = d
	return d
}

// brought records details that the external system has sent, and the clock that
// measured their time. brought is also called when an activity takes over
// details with its business key, and when a Heartbeat repeats a write after
// other writes.
func (w *simWorld) brought(f *simFrame, text string) {
	if f.op == "heartbeat" {
		delete(w.details, text)
	}
	d := w.noteDetails(text, simDetail{})
	if d.skew = f.p.skew; text != "" {
		w.details[text] = d
	}
}

// detailsText returns the details of a record as text.
func detailsText(stored []byte) string {
	ps := new(commonpb.Payloads)
	if err := proto.Unmarshal(stored, ps); err != nil {
		return "unreadable"
	}
	return simValue(ps)
}

// opHeartbeat makes the external system heartbeat, mostly with details.
func (w *simWorld) opHeartbeat() {
	if len(w.asks) == 0 {
		return
	}
	ask := w.asks[len(w.asks)-1]
	if w.rng.chance(300) {
		ask = w.asks[w.rng.n(len(w.asks))]
	}
	w.heartbeatFrom(ask)
}

func (w *simWorld) heartbeatFrom(ask *simAsk) {
	p := w.proc()
	f := w.push("heartbeat", p)
	defer w.pop()
	var details []any
	if w.rng.chance(750) {
		details = []any{w.newDetails("d")}
	}
	c, err := p.hub.Open(context.Background(), ask.id)
	if err == nil {
		err = c.Heartbeat(context.Background(), details...)
	}
	w.logf("%s: Heartbeat(%v): %v", p.name, details, err)
	w.shownError("Heartbeat", err)
	if r := w.records[ask.entry]; r != nil && !p.dead && !f.rough && (err == nil || len(simSignals(err)) > 0) {
		if want := simSignals(standing(r)); want != simSignals(err) {
			w.violate("G5", "Heartbeat returned %q, and the signals that stand are %q", simSignals(err), want)
		}
		if len(details) > 0 && detailsText(r.Details) != details[0] {
			w.violate("G5", "Heartbeat has taken details, and the entry has others")
		}
	}
}

func simSignals(err error) string {
	var s []string
	for _, is := range []error{ErrCancelRequested, ErrPaused, ErrReset} {
		if errors.Is(err, is) {
			s = append(s, is.Error())
		}
	}
	return strings.Join(s, ", ")
}

// recordDetails acts as activity.RecordHeartbeat in an attempt's function.
func (w *simWorld) recordDetails(at *simAttempt) {
	w.sleep(time.Microsecond)
	if a := w.byToken(at.token); a == at.act && a.cur == at {
		text := w.newDetails("f")
		w.noteDetails(text, simDetail{})
		a.details, a.lastBeat = text, time.Now()
		w.logf("the function records %s", text)
	}
}

// beat works on an entry whose pump must be asked.
func (w *simWorld) beat(f *simFrame, e entry) (entry, following) {
	said, err := heartbeat.Beat{}, error(nil)
	switch w.rng.pick([]int{70, 12, 6, 8, 4}) {
	case 1:
		said.Details = w.newDetails("p")
	case 2:
		said.Skip = true
	case 3:
		err = errors.New("simulation: the probe doesn't know")
	case 4:
		if !w.calm {
			err = heartbeat.ErrDead
			if ask := w.byCall[record.NewCallbackID(e.id, e.rec.Secret).Reveal()]; ask != nil {
				ask.offered[simSays(1, "", err.Error())] = true
			}
		}
	}
	if e := w.edge(); e != nil {
		return entry{}, nothingNext
	}
	f.beating, f.skips = true, said.Skip
	defer func() { f.beating, f.skips = false, false }()
	w.logf("%s: the pump says %v, %v", f.p.name, said, err)
	answer, err := f.p.hub.beater.answerOf(context.Background(), e, said, err)
	return f.p.hub.beater.beaten(context.Background(), e, answer, err)
}

// Heartbeat is the simulation's path from a process to Temporal's Heartbeat.
func (c *simCompleter) Heartbeat(ctx context.Context, t completer.Target, details *commonpb.Payloads) (completer.Signals, error) {
	w := c.p.w
	f := w.frame()
	if w.away {
		f.rough = true
	}
	w.beatSent(f, t)
	s, err := around(w, ctx, true, "Heartbeat", func() (completer.Signals, error) {
		switch {
		case w.away:
			return completer.Signals{}, errSimAway
		case w.refusing, c.p.refused:
			return completer.Signals{}, completer.ErrRefused
		}
		return w.heartbeat(f, t, simValue(details))
	})
	f.calls = append(f.calls, "beat:"+simClass(err))
	w.logf("%s: Heartbeat (%s): %+v, %s", c.p.name, simValue(details), s, simClass(err))
	return s, err
}

// beatSent checks a beat against the hub's knowledge.
func (w *simWorld) beatSent(f *simFrame, t completer.Target) {
	a := w.actOf(t)
	if t.TaskToken == nil || a == nil {
		w.violate("G5", "a beat not by token, or to no activity")
		return
	}
	// A call that settles a cancellation has called Describe before, for
	// another reason.
	if n := len(f.calls); n > 0 && f.calls[n-1] == "look:back-off" && !f.beating && f.op != "heartbeat" && len(f.settled) == 0 {
		w.violate("G5", "details were sent to an attempt that is over, as Temporal has said")
	}
	at := a.attemptOf(t.Started)
	switch {
	case at == nil || string(t.TaskToken) != at.token:
		w.violate("G5", "a beat with a token that isn't the attempt's")
		return
	case f.beating && !at.returned && !a.options.Once:
		w.violate("G5", "a beat for an attempt whose function has not returned")
	}
	known := false
	for _, read := range f.reads {
		r := read.rec
		if r == nil || w.actOfRecord(r) != a {
			continue
		}
		known = true
		switch {
		case at.lost > 0 && read.at >= at.lost && (at.forgot == 0 || read.at < at.forgot): // a result that was read earlier may still be in use: Temporal refuses it
			w.violate("G5", "a beat for an attempt whose token was not found, and Started has not changed")
		case string(r.TaskToken) != string(t.TaskToken):
			w.violate("G5", "a beat with a token that isn't the one in the entry")
		case State(r.State) == Closed:
			w.violate("G5", "a beat for an activity that is known to be over")
		case f.beating && r.HandedOffStarted != r.Started:
			w.violate("G5", "a beat although the entry says that nobody has been asked")
		}
	}
	if !known {
		w.violate("G5", "a beat for an entry that was not read")
	}
}

// heartbeat implements the server's side of Completer.Heartbeat.
func (w *simWorld) heartbeat(f *simFrame, t completer.Target, details string) (completer.Signals, error) {
	a := w.byToken(string(t.TaskToken))
	if a == nil {
		return completer.Signals{}, completer.ErrOver
	}
	revived := !a.cur.started.Equal(t.Started)
	if revived {
		w.hit("exception: a reset revived the token of a beat")
	}
	// A call that ran at the same time as others, or was repeated, can arrive
	// in any order. The next beat repairs a wrong order.
	if a.beatBy != nil {
		a.muddled = a.muddled || a.beatBy.rough
	}
	a.beatBy = f
	a.muddled = a.muddled || revived || w.landing
	d := w.noteDetails(details, simDetail{pump: true, skew: f.p.skew})
	stands := w.details[a.details]
	if !a.muddled && !f.rough {
		switch {
		case details == "" && a.details != "":
			w.violate("G5", "a beat erased the details %s of %v", a.details, a)
		case d.no < stands.no && !stands.pump && d.skew == 0 && f.p.skew == 0:
			w.violate("G5", "a beat set the details of %v back from %s to %s", a, a.details, details)
		}
	}
	a.details, a.lastBeat = details, time.Now()
	return completer.Signals{CancelRequested: a.cancelRequested, Paused: a.paused, Reset: a.resetting}, nil
}

// observeBeats checks a write of a waiting entry.
func (w *simWorld) observeBeats(f *simFrame, before, after *record.Record) {
	if after.DetailsPendingSince != 0 && (before == nil || after.DetailsPendingSince != before.DetailsPendingSince) {
		w.brought(f, detailsText(after.Details))
	}
	if before != nil && before.Started != after.Started {
		if a := w.actOfRecord(before); a != nil {
			if at := a.attemptOf(fromNano(before.Started)); at != nil {
				at.forgot = w.writes
			}
		}
	}
	if before == nil || State(before.State) != Waiting || State(after.State) != Waiting || before.Started != after.Started {
		return
	}
	a := w.actOfRecord(after)
	if a == nil || before.DetailsPendingSince == 0 || after.DetailsPendingSince != 0 || a.muddled || f.rough || a.beatBy != nil && a.beatBy.rough {
		return
	}
	brought, stands := w.details[detailsText(before.Details)], w.details[a.details]
	if brought.skew == 0 && f.p.skew == 0 && stands.no < brought.no {
		w.violate("G5", "what the outside brought (%s) is taken for sent, and %v has %q", detailsText(before.Details), a, a.details)
	}
}

// beatRow names the row of the state table that a recorded beat took.
func (w *simWorld) beatRow(f *simFrame, is State, before, after *record.Record) {
	calls := strings.Join(f.calls, " ")
	last := calls[strings.LastIndex(calls, " ")+1:]
	notFound := strings.Contains(calls, "beat:over")
	if a := w.actOfRecord(after); notFound && !f.rough && is == Waiting && (last == "look:running" || last == "look:back-off") && a != nil {
		if at := a.attemptOf(fromNano(after.Started)); at != nil {
			at.lost, at.forgot = w.writes, 0
		}
		w.hit("Waiting, beat NotFound: pending, none until Started changes")
		if last == "look:running" && a.cur != nil && a.cur.started.Equal(fromNano(after.Started)) {
			w.expect(after.ResetRequested, "Waiting, beat NotFound: renumbered, Reset notified")
		}
	}
	switch {
	case is == Closed && notFound:
		w.hit("Waiting, beat NotFound: over, notified")
	case is == Settled:
		w.hit("Waiting, the job is dead: settled")
	case is == Waiting && f.skips:
		w.expect(after.LastBeat == before.LastBeat && after.BeatTries == 0, "Waiting, beat: the pump skips it")
	case is == Waiting && last == "beat:ok":
		w.hit("Waiting, beat: taken")
		if before.DetailsReadStarted != after.DetailsReadStarted && detailsText(before.Details) != detailsText(after.Details) {
			w.hit("Waiting, first beat: the server's details adopted")
		}
		if after.DetailsPendingSince != 0 {
			w.hit("Waiting, beat: details brought meanwhile stay, and are sent next")
		}
		if !before.CancelRequested && after.CancelRequested {
			w.hit("Waiting, beat: cancellation requested, notified")
		}
		if !before.Paused && after.Paused {
			w.expect(slices.ContainsFunc(after.Notices, func(n *record.Notice) bool { return n.Kind == record.NoticePaused }),
				"Waiting, beat: paused, notified")
		}
	case is == Waiting && notFound && last == fmt.Sprintf("%d", completer.EndBuffered):
		w.expect(after.TokenLostStarted != after.Started && after.BeatTries > 0 || f.rough, "Waiting, beat NotFound: buffered, again")
	case is == Waiting && strings.HasSuffix(calls, ":failed") && after.BeatTries > before.BeatTries:
		w.hit("Waiting, beat: unavailable, again")
	}
}

// checkDetails checks that the entries' knowledge of details matches Temporal,
// after all failures have ended.
func (w *simWorld) checkDetails() {
	for _, r := range w.records {
		a := w.actOfRecord(r)
		if State(r.State) != Waiting || a == nil || a.cur == nil || r.HandedOffStarted != r.Started || r.TokenLostStarted == r.Started ||
			!a.cur.started.Equal(fromNano(r.Started)) || r.LastBeat == 0 || r.BeatTries > 0 || r.DetailsReadStarted != r.Started || w.byToken(string(r.TaskToken)) != a {
			continue
		}
		if r.BeatPendingSince == 0 && detailsText(r.Details) != a.details {
			w.violate("G5", "the entry of %v has the details %q, and Temporal %q, although nothing fails", a, detailsText(r.Details), a.details)
		}
	}
}

// simPayloads returns details as Temporal has them.
func simPayloads(text string) *commonpb.Payloads {
	if text == "" {
		return nil
	}
	ps, err := converter.GetDefaultDataConverter().ToPayloads(text)
	if err != nil {
		panic(err)
	}
	return ps
}
